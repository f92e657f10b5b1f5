//! A client that sends whatever bytes a test wants and checks what comes back.

use std::io::{IoSlice, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use nix::sys::eventfd::EventFd;
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use vfio_user_server::wire::{Command, HEADER_SIZE, Header, MessageType};

use crate::sys;

/// What every wait of the suite ends with if the server hangs.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A received message.
#[derive(Debug)]
pub struct Message {
    pub header: Header,
    pub body: Vec<u8>,
    pub fds: Vec<OwnedFd>,
}

impl Message {
    pub fn u16(&self, at: usize) -> u16 {
        u16::from_ne_bytes(self.body[at..at + 2].try_into().unwrap())
    }

    pub fn u32(&self, at: usize) -> u32 {
        u32::from_ne_bytes(self.body[at..at + 4].try_into().unwrap())
    }

    pub fn u64(&self, at: usize) -> u64 {
        u64::from_ne_bytes(self.body[at..at + 8].try_into().unwrap())
    }
}

/// Concatenates fields to a body.
#[derive(Clone, Default)]
pub struct Body(pub Vec<u8>);

impl Body {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn u16(mut self, value: u16) -> Self {
        self.0.extend(value.to_ne_bytes());
        self
    }

    pub fn u32(mut self, value: u32) -> Self {
        self.0.extend(value.to_ne_bytes());
        self
    }

    pub fn u64(mut self, value: u64) -> Self {
        self.0.extend(value.to_ne_bytes());
        self
    }

    pub fn bytes(mut self, value: &[u8]) -> Self {
        self.0.extend(value);
        self
    }
}

/// The bytes of a command.
pub fn command(id: u16, command: u16, no_reply: bool, body: &[u8]) -> Vec<u8> {
    let header = Header {
        id,
        command,
        size: (HEADER_SIZE + body.len()) as u32,
        kind: MessageType::Command,
        no_reply,
        error: false,
        errno: 0,
    };
    let mut bytes = Vec::new();
    header.write_to(&mut bytes);
    bytes.extend_from_slice(body);
    bytes
}

pub fn eventfd() -> EventFd {
    EventFd::from_flags(nix::sys::eventfd::EfdFlags::EFD_NONBLOCK).unwrap()
}

pub struct Client {
    pub stream: UnixStream,
    id: u16,
}

impl Client {
    pub fn new(stream: UnixStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Self { stream, id: 0x1000 }
    }

    /// Sends bytes as they are.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// Sends bytes with descriptors, in one call.
    pub fn raw_with_fds(&mut self, bytes: &[u8], fds: &[BorrowedFd<'_>]) {
        let raw: Vec<_> = fds.iter().map(AsRawFd::as_raw_fd).collect();
        let rights = [ControlMessage::ScmRights(&raw)];
        let control = if raw.is_empty() { &[][..] } else { &rights[..] };
        let iov = [IoSlice::new(bytes)];
        let sent = sendmsg::<()>(
            self.stream.as_raw_fd(),
            &iov,
            control,
            MsgFlags::MSG_NOSIGNAL,
            None,
        );
        assert_eq!(sent.unwrap(), bytes.len());
    }

    pub fn next_id(&mut self) -> u16 {
        self.id = self.id.wrapping_add(1);
        self.id
    }

    /// Sends a command and returns its id.
    pub fn send(&mut self, number: u16, body: &Body, fds: &[BorrowedFd<'_>]) -> u16 {
        let id = self.next_id();
        self.raw_with_fds(&command(id, number, false, &body.0), fds);
        id
    }

    /// Sends a command that wants no reply.
    pub fn post(&mut self, number: Command, body: &Body) {
        let id = self.next_id();
        self.raw(&command(id, number.number(), true, &body.0));
    }

    /// Receives a message, descriptors included.
    pub fn recv(&mut self) -> Message {
        let mut bytes = vec![0; HEADER_SIZE];
        let mut fds = self.fill(&mut bytes);
        let header = Header::parse(bytes.first_chunk().unwrap());
        let mut body = vec![0; header.size as usize - HEADER_SIZE];
        fds.extend(self.fill(&mut body));
        Message { header, body, fds }
    }

    fn fill(&mut self, buffer: &mut [u8]) -> Vec<OwnedFd> {
        let mut filled = 0;
        let mut fds = Vec::new();
        while filled < buffer.len() {
            let (count, more) = sys::recv(&self.stream, &mut buffer[filled..]).unwrap();
            assert_ne!(
                count, 0,
                "the server closed the connection instead of replying"
            );
            filled += count;
            fds.extend(more);
        }
        fds
    }

    /// Sends a command and returns the reply, whatever it says.
    pub fn call(&mut self, number: u16, body: &Body, fds: &[BorrowedFd<'_>]) -> Message {
        let id = self.send(number, body, fds);
        let reply = self.recv();
        assert_eq!(reply.header.id, id);
        assert_eq!(reply.header.command, number);
        assert_eq!(reply.header.kind, MessageType::Reply);
        assert!(!reply.header.no_reply);
        if reply.header.error {
            assert_ne!(
                reply.header.errno, 0,
                "an error without errno counts as success in QEMU"
            );
            assert!(reply.body.is_empty(), "an error reply is only a header");
        }
        reply
    }

    /// Sends a command that must succeed.
    pub fn ok(&mut self, command: Command, body: &Body) -> Message {
        self.ok_fds(command, body, &[])
    }

    pub fn ok_fds(&mut self, command: Command, body: &Body, fds: &[BorrowedFd<'_>]) -> Message {
        let reply = self.call(command.number(), body, fds);
        assert!(
            !reply.header.error,
            "{command} failed with errno {}",
            reply.header.errno
        );
        reply
    }

    /// Sends a command that must fail with `errno`.
    pub fn fails(&mut self, command: Command, body: &Body, errno: i32) {
        self.fails_fds(command, body, &[], errno);
    }

    pub fn fails_fds(&mut self, number: Command, body: &Body, fds: &[BorrowedFd<'_>], errno: i32) {
        let reply = self.call(number.number(), body, fds);
        assert!(
            reply.header.error,
            "{number} succeeded where errno {errno} was expected"
        );
        assert_eq!(reply.header.errno, errno as u32, "{number}");
    }

    /// Proposes `minor` and `json`; the reply whatever it says.
    pub fn version(&mut self, major: u16, minor: u16, json: Option<&str>) -> Message {
        let mut body = Body::new().u16(major).u16(minor);
        if let Some(json) = json {
            body = body.bytes(json.as_bytes()).bytes(&[0]);
        }
        self.call(Command::Version.number(), &body, &[])
    }

    /// Negotiates with what QEMU proposes.
    pub fn negotiate(&mut self) {
        let json = r#"{"capabilities":{"max_msg_fds":16,"max_data_xfer_size":1048576,
            "max_dma_maps":65535,"pgsizes":4096,"write_multiple":true,
            "migration":{"pgsize":4096,"max_bitmap_size":268435456}}}"#;
        let reply = self.version(0, 0, Some(json));
        assert!(!reply.header.error);
    }

    /// Reads until the server closes the connection; fails if it says anything more.
    pub fn expect_close(&mut self) {
        let mut rest = Vec::new();
        match self.stream.read_to_end(&mut rest) {
            Ok(_) => assert!(rest.is_empty(), "unexpected bytes before the end: {rest:?}"),
            // Closing with unread input resets.
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
        }
    }

    pub fn map(&mut self, address: u64, size: u64, fd: Option<BorrowedFd<'_>>) {
        let fds: Vec<_> = fd.into_iter().collect();
        self.ok_fds(Command::DmaMap, &dma_map(3, 0, address, size), &fds);
    }
}

pub fn dma_map(flags: u32, offset: u64, address: u64, size: u64) -> Body {
    Body::new()
        .u32(32)
        .u32(flags)
        .u64(offset)
        .u64(address)
        .u64(size)
}

pub fn dma_unmap(flags: u32, address: u64, size: u64) -> Body {
    Body::new().u32(24).u32(flags).u64(address).u64(size)
}

pub fn access(region: u32, offset: u64, count: u32) -> Body {
    Body::new().u64(offset).u32(region).u32(count)
}

pub fn set_irqs(flags: u32, index: u32, start: u32, count: u32) -> Body {
    Body::new()
        .u32(20)
        .u32(flags)
        .u32(index)
        .u32(start)
        .u32(count)
}

/// A memfd of `size` bytes.
pub fn memfd(size: u64) -> OwnedFd {
    let fd =
        nix::sys::memfd::memfd_create(c"test", nix::sys::memfd::MFdFlags::MFD_CLOEXEC).unwrap();
    nix::unistd::ftruncate(fd.as_fd(), size as i64).unwrap();
    fd
}
