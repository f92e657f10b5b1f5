//! Captures as files: pcapng (draft-ietf-opsawg-pcapng), as much of it as one device needs.
//!
//! One section, one interface (the device), a packet block for each frame, statistics at the end. The reader reads
//! what the writer writes and passes over what it does not know.

mod read;
mod write;

pub use read::{Block, Blocks, Malformed, Packet};
pub use write::{Interface, Statistics, interface, packet, section, statistics};

/// Block types.
const SECTION: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const STATISTICS: u32 = 5;
const PACKET: u32 = 6;
/// Says in which order the bytes of a section's numbers are.
const BYTE_ORDER: u32 = 0x1a2b_3c4d;
/// Options.
const END: u16 = 0;
const COMMENT: u16 = 1;
const FLAGS: u16 = 2;
const DROPCOUNT: u16 = 4;
/// What a packet's comment begins with where the packet was dropped.
const DROPPED: &str = "dropped: ";
/// Ways in a packet's flags.
const INBOUND: u32 = 1;
const OUTBOUND: u32 = 2;

#[cfg(test)]
mod tests;
