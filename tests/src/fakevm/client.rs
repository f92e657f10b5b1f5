//! A small blocking vfio-user client.
//!
//! It owns the connection and nothing else. It behaves as QEMU does where that matters to a
//! server: while it waits for a reply it answers nobody, and serves the server's own commands
//! only between its own. Every wait has a deadline.

mod bus;
mod device;
mod dma;
mod info;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::os::fd::{OwnedFd, RawFd};
use std::path::Path;
use std::time::{Duration, Instant};

pub use self::device::{ACTION_MASK, ACTION_TRIGGER, ACTION_UNMASK, IrqData};
pub use self::info::{Capabilities, DeviceInfo, IoFd, IrqInfo, MmapArea, RegionInfo, flags};
use super::error::{Error, Result};
use super::limits::{MAX_MESSAGE, MAX_PENDING_COMMANDS, REPLY_DEADLINE};
use super::socket::Socket;
use super::wire::{HEADER, Header, command};

/// The `VERSION` payload that QEMU 11.1 sends.
pub const QEMU_CAPABILITIES: &str = "{\"capabilities\": {\"migration\": \
    {\"max_bitmap_size\": 268435456, \"pgsize\": 4096}, \"max_msg_fds\": 16, \
    \"write_multiple\": true, \"max_dma_maps\": 65535, \"pgsizes\": 4096, \
    \"max_data_xfer_size\": 1048576}}";

/// A message as it was received.
#[derive(Debug)]
pub struct Message {
    /// Its header.
    pub header: Header,
    /// The bytes behind the header.
    pub payload: Vec<u8>,
    /// Descriptors that came with it.
    pub fds: Vec<OwnedFd>,
}

/// A command that was sent and whose reply has not been taken yet.
#[derive(Debug)]
#[must_use = "the reply must be taken, or the next command finds it"]
pub struct Ticket {
    id: u16,
    command: u16,
}

/// A connection to a vfio-user server.
#[derive(Debug)]
pub struct Client {
    socket: Socket,
    next_id: u16,
    deadline: Duration,
    capabilities: Capabilities,
    /// Commands of the server that came while a reply was awaited.
    pending: VecDeque<Message>,
    /// Messages that were sent or received.
    messages: u64,
}

impl Client {
    /// Connects to a server's socket; nothing is sent yet.
    ///
    /// # Errors
    /// Fails when nobody listens there.
    pub fn connect(path: &Path) -> Result<Self> {
        Ok(Self::new(Socket::connect(path)?))
    }

    /// Speaks over a connected socket.
    pub fn new(socket: Socket) -> Self {
        Client {
            socket,
            next_id: 1,
            deadline: REPLY_DEADLINE,
            capabilities: Capabilities::default(),
            pending: VecDeque::new(),
            messages: 0,
        }
    }

    /// Sets how long any reply may take.
    pub fn set_deadline(&mut self, deadline: Duration) {
        self.deadline = deadline;
    }

    /// What the server announced in its `VERSION` reply.
    pub fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    /// Messages so far, both ways.
    pub fn messages(&self) -> u64 {
        self.messages
    }

    /// The socket, for tests that break rules on purpose.
    pub fn socket(&self) -> &Socket {
        &self.socket
    }

    /// Agrees on version 0.0 with `json` as capabilities (an empty string sends none).
    ///
    /// # Errors
    /// Fails when the server refuses, or answers with a version or JSON that QEMU would refuse.
    pub fn negotiate(&mut self, json: &str) -> Result<()> {
        let mut payload = vec![0; 4];
        if !json.is_empty() {
            payload.extend_from_slice(json.as_bytes());
            payload.push(0);
        }
        let reply = self.request(command::VERSION, &payload, &[])?;
        self.capabilities = Capabilities::parse(&reply.payload)?;
        Ok(())
    }

    /// Sends a command and waits for its reply.
    ///
    /// # Errors
    /// Fails when the server refuses, breaks the protocol, is gone, or is late.
    pub fn request(&mut self, command: u16, payload: &[u8], fds: &[RawFd]) -> Result<Message> {
        let ticket = self.begin(command, payload, fds)?;
        self.finish(ticket)
    }

    /// Sends a command without waiting, so that several can be under way at once.
    ///
    /// # Errors
    /// Fails when the server is gone or takes nothing.
    pub fn begin(&mut self, command: u16, payload: &[u8], fds: &[RawFd]) -> Result<Ticket> {
        let header = Header::command(self.take_id(), command, payload.len());
        self.send([&header.encode(), payload], fds)?;
        Ok(Ticket {
            id: header.id,
            command,
        })
    }

    /// Waits for the reply to a command. Replies come in the order of their commands.
    ///
    /// # Errors
    /// Fails when the server refuses, breaks the protocol, is gone, or is late.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a ticket is good for one reply"
    )]
    pub fn finish(&mut self, ticket: Ticket) -> Result<Message> {
        let deadline = Instant::now() + self.deadline;
        let name = command::name(ticket.command);
        let message = loop {
            let message = self.receive_until(deadline).map_err(|error| match error {
                Error::Timeout { .. } => Error::Timeout {
                    what: format!("the reply to {name}"),
                },
                Error::Closed { .. } => Error::Closed { what: name.into() },
                other => other,
            })?;
            if message.header.is_reply() {
                break message;
            }
            if self.pending.len() == MAX_PENDING_COMMANDS {
                return Err(Error::Protocol(
                    "the server floods the client with commands".into(),
                ));
            }
            self.pending.push_back(message);
        };
        let header = message.header;
        if (header.id, header.command) != (ticket.id, ticket.command) {
            return Err(Error::Protocol(format!(
                "a reply to {} with id {} where {name} with id {} was due",
                command::name(header.command),
                header.id,
                ticket.id
            )));
        }
        match (header.is_error(), header.error) {
            (false, _) => Ok(message),
            (true, 0) => Err(Error::Protocol(format!(
                "an error reply to {name} with errno 0"
            ))),
            (true, errno) => Err(Error::Refused {
                command: name,
                errno,
            }),
        }
    }

    /// Sends bytes exactly as they are, for messages that no client should send.
    ///
    /// # Errors
    /// Fails when the server is gone or takes nothing.
    pub fn send_raw(&mut self, bytes: &[u8], fds: &[RawFd]) -> Result<()> {
        self.send([bytes, &[]], fds)
    }

    /// Receives the next message, whatever it is.
    ///
    /// # Errors
    /// Fails when the server is gone, late, or announces an impossible size.
    pub fn receive(&mut self) -> Result<Message> {
        self.receive_until(Instant::now() + self.deadline)
    }

    /// Waits until the server closes the connection. What it says before is dropped.
    ///
    /// # Errors
    /// Fails when the connection is still open at the deadline.
    pub fn wait_closed(&mut self) -> Result<()> {
        let deadline = Instant::now() + self.deadline;
        loop {
            match self.receive_until(deadline) {
                Ok(_) => {}
                Err(error) if error.is_closed() => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    fn receive_until(&mut self, deadline: Instant) -> Result<Message> {
        let mut fds = Vec::new();
        let mut head = [0; HEADER];
        self.socket.receive(&mut head, &mut fds, deadline)?;
        self.messages += 1;
        let header = Header::decode(&head);
        let size = header.size as usize;
        if !(HEADER..=MAX_MESSAGE).contains(&size) {
            return Err(Error::Protocol(format!("a message of {size} bytes")));
        }
        let mut payload = vec![0; size - HEADER];
        self.socket.receive(&mut payload, &mut fds, deadline)?;
        Ok(Message {
            header,
            payload,
            fds,
        })
    }

    fn send(&mut self, parts: [&[u8]; 2], fds: &[RawFd]) -> Result<()> {
        self.messages += 1;
        self.socket.send(parts, fds, Instant::now() + self.deadline)
    }

    fn take_id(&mut self) -> u16 {
        let id = self.next_id;
        self.next_id = id.wrapping_add(1);
        id
    }
}
