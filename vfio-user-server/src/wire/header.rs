//! The 16 bytes before every message ("Header").

use super::bytes::{Put, Reader};
use super::command::Command;
use crate::errno::Errno;

/// Bytes of a header.
pub const HEADER_SIZE: usize = 16;

const TYPE_MASK: u32 = 0xf;
const TYPE_COMMAND: u32 = 0;
const TYPE_REPLY: u32 = 1;
const FLAG_NO_REPLY: u32 = 1 << 4;
const FLAG_ERROR: u32 = 1 << 5;

/// The type bits of a header's flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageType {
    /// A request.
    Command,
    /// The answer to a request of the other side.
    Reply,
    /// None of the defined types.
    Unknown(u8),
}

/// A message header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Chosen by the sender of the request, echoed in the reply; need not be unique.
    pub id: u16,
    /// The command number, not yet checked.
    pub command: u16,
    /// Bytes of the whole message, this header included; not yet checked.
    pub size: u32,
    /// The type bits.
    pub kind: MessageType,
    /// In a command: no reply is wanted, not even an error.
    pub no_reply: bool,
    /// In a reply: the request failed.
    pub error: bool,
    /// In a reply with `error`: an errno, which may be zero.
    pub errno: u32,
}

impl Header {
    /// Reads a header. Every bit pattern is one.
    pub fn parse(bytes: &[u8; HEADER_SIZE]) -> Self {
        let mut reader = Reader::new(bytes);
        let (id, command) = (reader.u16(), reader.u16());
        let (size, flags, errno) = (reader.u32(), reader.u32(), reader.u32());
        let kind = match flags & TYPE_MASK {
            TYPE_COMMAND => MessageType::Command,
            TYPE_REPLY => MessageType::Reply,
            other => MessageType::Unknown(other as u8),
        };
        let no_reply = flags & FLAG_NO_REPLY != 0;
        let error = flags & FLAG_ERROR != 0;
        Self {
            id,
            command,
            size,
            kind,
            no_reply,
            error,
            errno,
        }
    }

    /// The header of a command of our own.
    pub fn command(id: u16, command: Command, body: usize) -> Self {
        Self {
            id,
            command: command.number(),
            size: message_size(body),
            kind: MessageType::Command,
            no_reply: false,
            error: false,
            errno: 0,
        }
    }

    /// The header of the reply to `self` with `body` bytes behind it.
    pub fn reply(&self, body: usize) -> Self {
        Self {
            size: message_size(body),
            kind: MessageType::Reply,
            no_reply: false,
            error: false,
            errno: 0,
            ..*self
        }
    }

    /// The reply to `self` that says it failed. Nothing follows it ("Header").
    pub fn error_reply(&self, errno: Errno) -> Self {
        Self {
            error: true,
            errno: errno.raw(),
            ..self.reply(0)
        }
    }

    /// Appends the header's bytes.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        let mut flags = match self.kind {
            MessageType::Command => TYPE_COMMAND,
            MessageType::Reply => TYPE_REPLY,
            MessageType::Unknown(bits) => u32::from(bits) & TYPE_MASK,
        };
        if self.no_reply {
            flags |= FLAG_NO_REPLY;
        }
        if self.error {
            flags |= FLAG_ERROR;
        }
        out.put16(self.id);
        out.put16(self.command);
        out.put32(self.size);
        out.put32(flags);
        out.put32(self.errno);
    }
}

fn message_size(body: usize) -> u32 {
    u32::try_from(HEADER_SIZE + body).unwrap_or(u32::MAX)
}
