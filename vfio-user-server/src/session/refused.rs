//! Why a request was refused, and with which errno.

use thiserror::Error;

use crate::dma_table::DmaTableError;
use crate::errno::Errno;
use crate::wire::{Command, WireError};

#[derive(Debug, Error)]
pub(super) enum Refused {
    #[error("{0}")]
    Wire(#[from] WireError),
    #[error("{0}")]
    Dma(#[from] DmaTableError),
    #[error("the first message must be VERSION, not command {0}")]
    NotNegotiated(u16),
    #[error("the version has already been negotiated")]
    AlreadyNegotiated,
    #[error("page sizes {client:#x} have nothing in common with {ours:#x}")]
    PageSizes { client: u64, ours: u64 },
    #[error("there is no command {0}")]
    UnknownCommand(u16),
    #[error("{0} is for the server to send")]
    ServerCommand(Command),
    #[error("message type {0} is neither command nor reply")]
    MessageType(u8),
    #[error("reply to nothing that was asked (message id {0})")]
    UnsolicitedReply(u16),
    #[error("message size {size} is outside 16..={limit}; the stream cannot be followed further")]
    MessageSize { size: u32, limit: usize },
    #[error("more than {0} file descriptors came with one message")]
    TooManyFds(usize),
    #[error("file descriptors were lost on the way: this process has too many open")]
    FdsLost,
    #[error("{got} file descriptors came where {want} belong")]
    UnexpectedFds { got: usize, want: usize },
    #[error("file descriptor {0} of the message is not an eventfd")]
    NotEventFd(usize),
    #[error("the client asks for the map to use a file but sent none")]
    MissingFd,
    #[error("file offset {offset:#x} plus {size:#x} bytes is more than a file can have")]
    FileOffset { offset: u64, size: u64 },
    #[error("region {index} does not exist, there are {count}")]
    NoRegion { index: u32, count: usize },
    #[error("region {0} has nothing in it")]
    EmptyRegion(u32),
    #[error("region {0} cannot be read")]
    NotReadable(u32),
    #[error("region {0} cannot be written")]
    NotWritable(u32),
    #[error("{count} bytes at {offset:#x} are not inside region {region} of {size:#x} bytes")]
    OutOfRegion {
        region: u32,
        offset: u64,
        count: u32,
        size: u64,
    },
    #[error(
        "region {region} takes aligned accesses of 1, 2, 4 or 8 bytes, not {count} at {offset:#x}"
    )]
    Width {
        region: u32,
        offset: u64,
        count: u32,
    },
    #[error("{count} bytes are more than the {limit} of one transfer")]
    Transfer { count: u32, limit: u32 },
    #[error("interrupt type {index} does not exist, there are {count}")]
    NoIrqType { index: u32, count: usize },
    #[error("interrupts {start}+{count} of type {index} do not exist, there are {have}")]
    NoIrq {
        index: u32,
        start: u32,
        count: u32,
        have: u32,
    },
    #[error("interrupt type {0} cannot be masked")]
    NotMaskable(u32),
    #[error("count 0 disables a whole interrupt type: only with TRIGGER, DATA_NONE and start 0")]
    IrqCountZero,
    #[error("REGION_WRITE_MULTI was not agreed on")]
    NoWriteMulti,
    #[error("the device refused: {0}")]
    Device(Errno),
    #[error("the device's answer does not fit the request: {0}")]
    BadAnswer(&'static str),
    #[error("the answer has {needed} bytes, the client has room for {room}")]
    NoRoom { needed: usize, room: usize },
    #[error("the answer needs {needed} file descriptors, the client can receive {limit}")]
    TooManyReplyFds { needed: usize, limit: u32 },
}

impl Refused {
    pub(super) fn errno(&self) -> Errno {
        match self {
            Self::Dma(error) => error.errno(),
            Self::Device(errno) => *errno,
            Self::FdsLost => Errno::EMFILE,
            Self::NoWriteMulti => Errno::EOPNOTSUPP,
            Self::BadAnswer(_) => Errno::EIO,
            Self::TooManyReplyFds { .. } => Errno::ENOSPC,
            _ => Errno::EINVAL,
        }
    }
}
