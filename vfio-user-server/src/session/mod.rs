//! The protocol as a state machine without I/O.
//!
//! Chunks go in with [`Session::receive`]; requests come out of [`Session::next_request`] and are
//! answered with [`Session::complete`] in any order; bytes to send come out of [`Session::output`].
//!
//! The session owns framing, negotiation, validation, the DMA table's addresses, the order of replies
//! and every limit. It never touches memory, sockets or the device.

mod accept;
mod answer;
mod checks;
mod config;
mod framer;
mod outbox;
mod refused;
mod request;
mod slots;
mod transfers;

use std::collections::VecDeque;
use std::sync::Arc;

use thiserror::Error;

pub use config::{Config, Negotiated};
pub use request::{Chunk, DmaDone, DmaId, Output, Reply, Request, RequestKind, Token};

use crate::describe::Description;
use crate::dma_table::DmaTable;
use crate::errno::Errno;
use crate::limits;
use crate::observer::{Observer, Refusal};
use crate::wire::{HEADER_SIZE, Header, MessageType};
use framer::{BadSize, Framer, Message};
use outbox::Outbox;
use refused::Refused;
use slots::{Outgoing, Slots};
use transfers::Transfers;

/// What a client did that a connection does not survive.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Violation {
    /// A header whose size cannot be true: where the next message begins is unknown.
    #[error("message of {size} bytes: must be {min} to {limit}", min = HEADER_SIZE)]
    MessageSize {
        /// The size claimed.
        size: u32,
        /// The most that is accepted.
        limit: usize,
    },
    /// The first message was not a VERSION that can be agreed with.
    #[error("negotiation failed: {0}")]
    Negotiation(String),
}

/// Why a connection ended.
#[derive(Debug, Error)]
pub enum Ended {
    /// The client closed it.
    #[error("the client closed the connection")]
    ClientClosed,
    /// The client broke the protocol beyond repair.
    #[error("the client broke the protocol: {0}")]
    Violation(#[from] Violation),
    /// The socket failed.
    #[error("the connection failed: {0}")]
    Io(#[from] std::io::Error),
    /// [`crate::Shutdown::shutdown`] was called.
    #[error("the connection was shut down")]
    Shutdown,
    /// The transport was dropped before the connection ended.
    #[error("the connection was dropped")]
    Dropped,
}

#[derive(Debug)]
enum Phase {
    /// Nothing but VERSION is accepted.
    Greeting,
    /// Negotiated.
    Running,
    /// Nothing more is accepted; what is queued still leaves.
    Closing(Violation),
}

/// One connection's protocol state.
#[derive(Debug)]
pub struct Session {
    config: Config,
    description: Arc<Description>,
    observer: Observer,
    phase: Phase,
    negotiated: Option<Negotiated>,
    framer: Framer,
    // The stream cannot be followed further; answered after everything before it.
    bad_size: Option<BadSize>,
    queue: VecDeque<Message>,
    queued_bytes: usize,
    queued_fds: usize,
    slots: Slots,
    // The next write of a REGION_WRITE_MULTI.
    ready: Option<Request>,
    outbox: Outbox,
    table: DmaTable,
    transfers: Transfers,
}

impl Session {
    /// A session for a client that has just connected.
    pub fn new(config: Config, description: Arc<Description>, observer: Observer) -> Self {
        let config = config.clamped();
        let bulk = (config.max_data_xfer_size as usize).max(limits::MIN_BULK_BODY);
        let framer = Framer::new(
            limits::MAX_VERSION_MESSAGE,
            HEADER_SIZE + limits::MAX_FIXED_BODY + bulk,
            config.max_msg_fds as usize,
        );
        Self {
            config,
            description,
            observer,
            phase: Phase::Greeting,
            negotiated: None,
            framer,
            bad_size: None,
            queue: VecDeque::new(),
            queued_bytes: 0,
            queued_fds: 0,
            slots: Slots::default(),
            ready: None,
            outbox: Outbox::default(),
            table: DmaTable::default(),
            transfers: Transfers::new(),
        }
    }

    /// Feeds what one `recvmsg` returned. Whether it is acceptable shows in the requests and replies
    /// that follow. May be called whatever [`Session::wants_input`] says, once: that bounds memory.
    pub fn receive(&mut self, chunk: Chunk<'_>) {
        if self.bad_size.is_some() || matches!(self.phase, Phase::Closing(_)) {
            return;
        }
        self.observer.received(chunk.bytes.len(), chunk.fds.len());
        let (queue, transfers) = (&mut self.queue, &mut self.transfers);
        let (bytes, fds) = (&mut self.queued_bytes, &mut self.queued_fds);
        let result = self.framer.feed(chunk, |message| {
            let header = message.header;
            if header.kind == MessageType::Reply && transfers.reply(header, &message.body) {
                return;
            }
            *bytes += HEADER_SIZE + message.body.len();
            *fds += message.fds.fds.len();
            queue.push_back(message);
        });
        self.bad_size = result.err();
        self.transfers.pump(&self.table, &mut self.outbox);
    }

    /// Whether more may be read from the client. False makes it wait: it has sent more than was
    /// answered, or does not read its replies.
    pub fn wants_input(&self) -> bool {
        self.bad_size.is_none()
            && !matches!(self.phase, Phase::Closing(_))
            && self.queue.len() + self.slots.len() < self.config.max_requests
            && self.queued_bytes < limits::MAX_QUEUED_INPUT
            && self.queued_fds < limits::MAX_QUEUED_FDS
    }

    /// The next request for the device. `None` until more is received, answered or sent.
    ///
    /// Call it until it returns `None` after every [`Session::receive`], [`Session::complete`] and
    /// [`Session::sent`]: it also answers what the session answers itself.
    pub fn next_request(&mut self) -> Option<Request> {
        loop {
            if let Some(request) = self.ready.take() {
                return Some(request);
            }
            if matches!(self.phase, Phase::Closing(_)) {
                self.drop_input();
                return None;
            }
            let room = self.outbox.queued() + self.slots.reserved() < limits::MAX_QUEUED_OUTPUT;
            if !room || self.slots.len() >= self.config.max_requests {
                return None;
            }
            let Some(message) = self.queue.front() else {
                self.refuse_bad_size();
                return None;
            };
            if !self.slots.allows(self.class_of(message)) {
                return None;
            }
            let message = self.queue.pop_front()?;
            self.queued_bytes -= HEADER_SIZE + message.body.len();
            self.queued_fds -= message.fds.fds.len();
            let request = self.accept(message);
            self.flush();
            if request.is_some() {
                return request;
            }
        }
    }

    /// Answers a request. Unknown and already answered tokens are ignored.
    pub fn complete(&mut self, token: Token, result: Result<Reply, Errno>) {
        if let Some(taken) = self.slots.take(token) {
            self.answer(taken, result);
            self.flush();
            self.transfers.pump(&self.table, &mut self.outbox);
        }
    }

    /// The next bytes to send, if any.
    pub fn output(&self) -> Option<Output<'_>> {
        self.outbox.front()
    }

    /// Says that `count` bytes of [`Session::output`] were sent, with all of its descriptors.
    pub fn sent(&mut self, count: usize) {
        self.observer.sent(count);
        self.outbox.advance(count);
        self.transfers.pump(&self.table, &mut self.outbox);
    }

    /// Set once the session has nothing more to say after a violation.
    pub fn ended(&self) -> Option<&Violation> {
        match &self.phase {
            Phase::Closing(violation) if self.slots.len() == 0 && self.outbox.queued() == 0 => {
                Some(violation)
            }
            _ => None,
        }
    }

    /// Starts reading client memory by messages.
    ///
    /// # Errors
    /// `ENOTCONN` before negotiation, `EMSGSIZE` and `ENOBUFS` above the limits, `EFAULT` if the range
    /// is not mapped for reading.
    pub fn dma_read(&mut self, address: u64, length: usize) -> Result<DmaId, Errno> {
        self.check_transfer(address, length, false)?;
        let id = self.transfers.read(address, length)?;
        self.transfers.pump(&self.table, &mut self.outbox);
        Ok(id)
    }

    /// Starts writing client memory by messages.
    ///
    /// # Errors
    /// As for [`Session::dma_read`].
    pub fn dma_write(&mut self, address: u64, data: Vec<u8>) -> Result<DmaId, Errno> {
        self.check_transfer(address, data.len(), true)?;
        let id = self.transfers.write(address, data)?;
        self.transfers.pump(&self.table, &mut self.outbox);
        Ok(id)
    }

    fn check_transfer(&self, address: u64, length: usize, write: bool) -> Result<(), Errno> {
        if self.negotiated.is_none() {
            return Err(Errno::ENOTCONN);
        }
        self.table
            .check(address, length, write)
            .map_err(|error| error.errno())
    }

    /// The next DMA transfer that is over.
    pub fn next_dma_done(&mut self) -> Option<DmaDone> {
        self.transfers.next_done()
    }

    /// What was negotiated; `None` until it was.
    pub fn negotiated(&self) -> Option<&Negotiated> {
        self.negotiated.as_ref()
    }

    /// The client's DMA maps.
    pub fn dma_table(&self) -> &DmaTable {
        &self.table
    }

    /// Bytes held for this client: unfinished input, waiting requests, unsent replies.
    pub fn buffered(&self) -> usize {
        self.framer.buffered() + self.queued_bytes + self.outbox.queued()
    }

    fn flush(&mut self) {
        while let Some((_, outgoing)) = self.slots.pop() {
            if let Some(Outgoing { bytes, fds }) = outgoing {
                self.outbox.push(bytes, fds);
            }
        }
    }

    fn drop_input(&mut self) {
        self.queue.clear();
        self.queued_bytes = 0;
        self.queued_fds = 0;
    }

    fn refuse_bad_size(&mut self) {
        if let Some(bad) = self.bad_size.take() {
            let violation = Violation::MessageSize {
                size: bad.header.size,
                limit: bad.limit,
            };
            let outgoing = self.refusal(&bad.header, &bad.refused());
            self.slots.answered(bad.header, outgoing);
            self.phase = Phase::Closing(violation);
            self.flush();
        }
    }

    /// The reply that refuses a request, and a note for the operator.
    fn refusal(&self, header: &Header, refused: &Refused) -> Option<Outgoing> {
        let errno = refused.errno();
        self.observer.refused(Refusal {
            command: header.command,
            errno,
            reason: refused.to_string(),
        });
        (!header.no_reply).then(|| {
            let mut bytes = Vec::with_capacity(HEADER_SIZE);
            header.error_reply(errno).write_to(&mut bytes);
            Outgoing {
                bytes,
                fds: Vec::new(),
            }
        })
    }
}

#[cfg(test)]
mod tests;
