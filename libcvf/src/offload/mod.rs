//! What a NIC would do to a frame: header parse, checksum, CRC of SCTP, segmentation, VLAN edit.
//!
//! Pure functions of bytes that were already copied out of guest memory. Nothing here allocates,
//! locks, panics on any input, or reads guest memory; payload is only ever named by its range.

mod addr;
mod check;
mod checksum;
mod crc32c;
mod error;
mod flow;
mod ident;
mod meta;
mod neighbour;
mod packed;
mod parse;
mod segment;
mod toeplitz;
mod vlan;

#[cfg(test)]
pub(crate) mod testutil;

pub use addr::PackedMac;
pub use check::{ChecksumFix, Deliver};
pub use checksum::Checksum;
pub use crc32c::Crc32c;
pub use error::OffloadError;
pub use flow::{FrameHash, HashTypes, hash};
pub use meta::{Accepts, Csum, FrameMeta, Gso};
pub use neighbour::{Claim, Discovery, FIRST_ETHERTYPE, Look, claim, is_transport};
pub use packed::PackedMeta;
pub use parse::{EthView, Headers, Network, ParseError, Transport, VlanTag, ethertype};
pub use segment::{SEGMENT_SCRATCH, Scratch, Segment, SegmentChecksum, Segmenter};
pub use toeplitz::{MAX_INPUT, Toeplitz};
pub use vlan::{Prefix, TagStyle, VlanEdit};
