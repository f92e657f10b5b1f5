//! Rings of Intel's adaptive virtual function: descriptors that are given back in their places.
//!
//! A driver makes descriptors available by writing the tail register and learns from a bit in each that it
//! has it back. There is no index in memory and no wish about doorbells or interrupts: every tail is told of, and an
//! interrupt is wanted for whatever was given back.
//!
//! What is particular beside virtio's rings:
//! - Nothing stands in front of a frame. What a driver asks for (`ask`) is in its descriptors, and is done to the copied
//!   headers when a burst is taken: lengths are checked against them, a tag is put in, checksums that hardware would
//!   compute of headers alone are. What is left travels as metadata, as with any sender.
//! - Sent descriptors are given back in order. A frame that is kept holds back those behind it.
//! - Descriptors that are given back are written in ascending order, the word with the bit last: drivers look at
//!   several at a time, backwards, and count on it.

mod ask;
mod error;
mod gather;
mod layout;
mod marks;
mod progress;
mod ptype;
mod receive;
mod tail;
mod transmit;
mod writeback;

use std::sync::Arc;

pub use error::DescriptorError;
pub use receive::AvfReceive;
pub use tail::Tail;
pub use transmit::AvfTransmit;
pub use writeback::ReceiveFormat;

use super::RingError;
use crate::limits::{AVF_RING_STEP, MAX_AVF_RING_SIZE, MIN_RING_SIZE};
use crate::mem::PlaceError;
use crate::sync::atomic::AtomicBool;

/// Where and how a driver placed a ring.
#[derive(Clone, Debug)]
pub struct AvfRing {
    /// Descriptors: 64 to 4096, a multiple of 32.
    pub size: u16,
    /// Guest address of the first, a multiple of 128.
    pub base: u64,
    /// Its tail register. What the driver wrote before the ring was enabled counts: it posts receive buffers then.
    pub tail: Tail,
    /// Receive: bytes of each buffer, 1024 to 16256.
    pub buffer: u32,
    /// Receive: bytes of the longest frame that the driver takes.
    pub longest: u32,
    /// Receive: a customer's tag is taken off the frame and told in the descriptor. May change at any time.
    pub strip: Arc<AtomicBool>,
    /// Receive: how descriptors are given back.
    pub format: ReceiveFormat,
    /// Receive: frames come with the check sequence of the wire that they might have come by.
    pub keep_crc: bool,
    /// Transmit: the driver may have UDP cut into datagrams.
    pub uso: bool,
}

impl AvfRing {
    /// Whether a ring may have so many descriptors.
    pub fn is_size(size: u16) -> bool {
        (MIN_RING_SIZE..=MAX_AVF_RING_SIZE).contains(&size) && size.is_multiple_of(AVF_RING_STEP)
    }

    /// Descriptors, if that many may be.
    fn checked_size(&self) -> Result<u16, PlaceError> {
        let size = self.size;
        if Self::is_size(size) {
            Ok(size)
        } else {
            Err(PlaceError::Size(size))
        }
    }
}

/// The tail, if it names a descriptor of a ring of `size`.
#[inline]
fn checked_tail(tail: &Tail, size: u16) -> Result<u16, RingError> {
    match tail.get() {
        tail if tail < u32::from(size) => Ok(tail as u16),
        tail => Err(RingError::Tail { tail, size }),
    }
}

/// How many descriptors lie between two of a ring of `size`, going forward.
#[inline]
const fn distance(from: u16, to: u16, size: u16) -> u16 {
    if to >= from {
        to - from
    } else {
        to + size - from
    }
}

/// `by` descriptors, at most a turn, further in a ring of `size`.
#[inline]
const fn advanced(at: u16, by: u16, size: u16) -> u16 {
    // Both are at most 4096.
    if at + by >= size {
        at + by - size
    } else {
        at + by
    }
}

/// From one descriptor to another, going forward, as two runs without a turn; the second is mostly empty.
#[inline]
const fn runs(from: u16, to: u16, size: u16) -> [(u16, u16); 2] {
    if to >= from {
        [(from, to), (0, 0)]
    } else {
        [(from, size), (0, to)]
    }
}

#[cfg(test)]
mod tests;
