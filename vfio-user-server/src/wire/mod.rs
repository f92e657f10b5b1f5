//! The messages of the protocol: bytes in, checked values out.
//!
//! Parsers look at bytes only. They never panic, allocate no more than the bytes they were given, and
//! know nothing of the device: whether an index exists or a range fits is the session's to check.
//! All numbers are in the host's byte order ("Protocol Specification").

mod bytes;
mod command;
mod dma;
mod feature;
mod header;
mod info;
mod io_fds;
mod irq;
mod migration;
mod region;
mod version;

pub use command::Command;
pub use dma::{
    Backing, DirtyBitmap, DirtyQuery, DmaMap, DmaMapBody, DmaReadReply, DmaUnmap, DmaUnmapBody,
    DmaWriteReply, dma_access_body,
};
pub use feature::{FeatureBody, FeatureOperation, FeatureRequest};
pub use header::{HEADER_SIZE, Header, MessageType};
pub use info::{InfoBody, RegionInfoReply, device_info_reply, irq_info_reply};
pub use io_fds::{IoFd, IoFdKind, IoFdsBody, io_fds_reply};
pub use irq::{IrqAction, IrqData, IrqDataKind, SetIrqs, SetIrqsBody};
pub use migration::MigrationBody;
pub use region::{MultiWrite, RegionAccessBody, multi_reply, multi_writes, region_access_reply};
pub use version::{Capabilities, MigrationCapability, TwinSocket, VersionBody, version_reply};

use thiserror::Error;

/// Why bytes are not the message they claim to be.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum WireError {
    /// Fewer bytes than the message's fixed part.
    #[error("body has {have} bytes where at least {need} are needed")]
    Short {
        /// Bytes needed.
        need: usize,
        /// Bytes there.
        have: usize,
    },
    /// The bytes do not match a count or size within.
    #[error("body has {have} bytes where its own count says {want}")]
    Length {
        /// Bytes that the body itself announces.
        want: u64,
        /// Bytes there.
        have: usize,
    },
    /// `argsz` below the size of the structure, or above what one message can carry.
    #[error("argsz {argsz} is outside {min}..={max}")]
    Argsz {
        /// The value sent.
        argsz: u32,
        /// The least that makes sense.
        min: u64,
        /// The most.
        max: u64,
    },
    /// Flag bits that are unknown or exclude each other.
    #[error("flags {0:#x} are unknown or exclude each other")]
    Flags(u32),
    /// A field that must be zero is not.
    #[error("{field} must be zero, is {value:#x}")]
    NotZero {
        /// The field's name in the specification.
        field: &'static str,
        /// What it holds.
        value: u64,
    },
    /// A count above a limit of this implementation.
    #[error("{field} {value} is above the limit {limit}")]
    TooMany {
        /// The field's name in the specification.
        field: &'static str,
        /// What it holds.
        value: u64,
        /// The limit.
        limit: u64,
    },
    /// A field whose value is none of those defined.
    #[error("{field} has the invalid value {value:#x}")]
    Value {
        /// The field's name in the specification.
        field: &'static str,
        /// What it holds.
        value: u64,
    },
    /// Version data that does not end with a NUL byte.
    #[error("version data does not end with a NUL byte")]
    MissingNul,
    /// Version data that is not the JSON described.
    #[error("version data is not valid: {0}")]
    Json(String),
    /// Another major version of the protocol.
    #[error("protocol version {0}.{1} is not spoken here, only 0.x")]
    Major(u16, u16),
}

#[cfg(test)]
mod tests;
