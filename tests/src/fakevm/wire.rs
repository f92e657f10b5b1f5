//! Messages of the vfio-user protocol as a client writes and reads them.
//!
//! Kept apart from the server's own wire code on purpose: two independent readings of the
//! specification find each other's mistakes.

use super::error::{Error, Result};

/// Bytes of the header of every message.
pub const HEADER: usize = 16;

/// Header flags: the message is a reply.
pub const FLAG_REPLY: u32 = 1;
/// Header flags: the sender wants no reply.
pub const FLAG_NO_REPLY: u32 = 1 << 4;
/// Header flags: the reply reports an error.
pub const FLAG_ERROR: u32 = 1 << 5;
const TYPE_MASK: u32 = 0xf;

/// Command numbers.
#[allow(missing_docs)]
pub mod command {
    pub const VERSION: u16 = 1;
    pub const DMA_MAP: u16 = 2;
    pub const DMA_UNMAP: u16 = 3;
    pub const GET_INFO: u16 = 4;
    pub const GET_REGION_INFO: u16 = 5;
    pub const GET_REGION_IO_FDS: u16 = 6;
    pub const GET_IRQ_INFO: u16 = 7;
    pub const SET_IRQS: u16 = 8;
    pub const REGION_READ: u16 = 9;
    pub const REGION_WRITE: u16 = 10;
    pub const DMA_READ: u16 = 11;
    pub const DMA_WRITE: u16 = 12;
    pub const RESET: u16 = 13;
    pub const REGION_WRITE_MULTI: u16 = 15;
    pub const DEVICE_FEATURE: u16 = 16;
    pub const MIG_DATA_READ: u16 = 17;
    pub const MIG_DATA_WRITE: u16 = 18;

    /// The specification's name of a command.
    pub fn name(command: u16) -> &'static str {
        match command {
            VERSION => "VERSION",
            DMA_MAP => "DMA_MAP",
            DMA_UNMAP => "DMA_UNMAP",
            GET_INFO => "DEVICE_GET_INFO",
            GET_REGION_INFO => "DEVICE_GET_REGION_INFO",
            GET_REGION_IO_FDS => "DEVICE_GET_REGION_IO_FDS",
            GET_IRQ_INFO => "DEVICE_GET_IRQ_INFO",
            SET_IRQS => "DEVICE_SET_IRQS",
            REGION_READ => "REGION_READ",
            REGION_WRITE => "REGION_WRITE",
            DMA_READ => "DMA_READ",
            DMA_WRITE => "DMA_WRITE",
            RESET => "DEVICE_RESET",
            REGION_WRITE_MULTI => "REGION_WRITE_MULTI",
            DEVICE_FEATURE => "DEVICE_FEATURE",
            MIG_DATA_READ => "MIG_DATA_READ",
            MIG_DATA_WRITE => "MIG_DATA_WRITE",
            _ => "an unknown command",
        }
    }
}

/// The header of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Pairs replies with commands.
    pub id: u16,
    /// Command number.
    pub command: u16,
    /// Bytes of the whole message.
    pub size: u32,
    /// Type and flags.
    pub flags: u32,
    /// Error number of a reply with [`FLAG_ERROR`].
    pub error: u32,
}

impl Header {
    /// A command with `payload` bytes behind the header.
    pub fn command(id: u16, command: u16, payload: usize) -> Self {
        Header {
            id,
            command,
            size: (HEADER + payload) as u32,
            flags: 0,
            error: 0,
        }
    }

    /// The bytes on the wire.
    pub fn encode(&self) -> [u8; HEADER] {
        let mut out = [0; HEADER];
        out[0..2].copy_from_slice(&self.id.to_le_bytes());
        out[2..4].copy_from_slice(&self.command.to_le_bytes());
        out[4..8].copy_from_slice(&self.size.to_le_bytes());
        out[8..12].copy_from_slice(&self.flags.to_le_bytes());
        out[12..16].copy_from_slice(&self.error.to_le_bytes());
        out
    }

    /// Reads the bytes of a header.
    pub fn decode(bytes: &[u8; HEADER]) -> Self {
        let mut reader = Reader::new(bytes);
        Header {
            id: reader.take_u16(),
            command: reader.take_u16(),
            size: reader.take_u32(),
            flags: reader.take_u32(),
            error: reader.take_u32(),
        }
    }

    /// Whether this is a reply.
    pub fn is_reply(&self) -> bool {
        self.flags & TYPE_MASK == FLAG_REPLY
    }

    /// Whether the sender waits for no reply.
    pub fn no_reply(&self) -> bool {
        self.flags & FLAG_NO_REPLY != 0
    }

    /// Whether this reply reports an error.
    pub fn is_error(&self) -> bool {
        self.flags & FLAG_ERROR != 0
    }
}

/// Puts little-endian words one after the other.
#[derive(Clone, Debug, Default)]
pub struct Writer(Vec<u8>);

impl Writer {
    /// An empty payload.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a 16-bit word.
    pub fn put_u16(mut self, value: u16) -> Self {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    /// Appends a 32-bit word.
    pub fn put_u32(mut self, value: u32) -> Self {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    /// Appends a 64-bit word.
    pub fn put_u64(mut self, value: u64) -> Self {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    /// Appends bytes.
    pub fn put(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// The payload.
    pub fn finish(self) -> Vec<u8> {
        self.0
    }
}

/// Takes little-endian words from a payload. What is missing reads as zero, and [`Reader::end`]
/// then reports it.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
    short: bool,
}

impl<'a> Reader<'a> {
    /// Starts at the first byte.
    pub fn new(bytes: &'a [u8]) -> Self {
        Reader {
            rest: bytes,
            short: false,
        }
    }

    /// Takes a 16-bit word.
    pub fn take_u16(&mut self) -> u16 {
        u16::from_le_bytes(self.array())
    }

    /// Takes a 32-bit word.
    pub fn take_u32(&mut self) -> u32 {
        u32::from_le_bytes(self.array())
    }

    /// Takes a 64-bit word.
    pub fn take_u64(&mut self) -> u64 {
        u64::from_le_bytes(self.array())
    }

    /// What has not been taken.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Checks that everything that was taken was there.
    ///
    /// # Errors
    /// Names `what` when the payload was too short.
    pub fn end(&self, what: &str) -> Result<&'a [u8]> {
        if self.short {
            return Err(Error::Protocol(format!("the reply to {what} is too short")));
        }
        Ok(self.rest)
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        match self.rest.split_first_chunk() {
            Some((head, rest)) => {
                self.rest = rest;
                *head
            }
            None => {
                self.rest = &[];
                self.short = true;
                [0; N]
            }
        }
    }
}
