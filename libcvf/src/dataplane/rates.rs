//! How much a port may send and receive.

use std::time::Duration;

use super::bucket::{Bucket, Moment, TICKS};
use crate::limits::MAX_FRAME;
use crate::ring::Frames;
use crate::sync::atomic::{AtomicU64, Ordering};

/// A port's rates; `None`: no limit. Bytes are those of frames in their rings, as counters count them: without the
/// header of virtio, without preamble, gap and check sequence, and a large-send frame with all of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PortRates {
    /// From the guest, in bits per second.
    pub transmit_bits: Option<u64>,
    /// To the guest, in bits per second.
    pub receive_bits: Option<u64>,
    /// From the guest, in frames per second.
    pub transmit_frames: Option<u64>,
    /// To the guest, in frames per second.
    pub receive_frames: Option<u64>,
    /// From the guest to everybody, to groups and to addresses that nobody is known to have, in frames per second.
    pub flood_frames: Option<u64>,
    /// How long a rate may be used that was not used before. Of bytes there is always enough for the largest frame,
    /// of frames for one.
    pub burst: Duration,
}

impl PortRates {
    /// Every rate with its name.
    pub const fn all(&self) -> [(&'static str, Option<u64>); 5] {
        [
            ("transmit-bits", self.transmit_bits),
            ("receive-bits", self.receive_bits),
            ("transmit-frames", self.transmit_frames),
            ("receive-frames", self.receive_frames),
            ("flood-frames", self.flood_frames),
        ]
    }
}

/// Bits of a byte: a rate of bytes is said in bits.
pub(super) const BITS: u64 = 8;

/// What frames have cost, to be given back where they go no way after all.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Paid {
    bytes: u64,
    frames: u64,
}

/// One direction's rates, on a cache line of their own: others may be written by other threads.
#[derive(Debug)]
#[repr(align(64))]
pub(super) struct Meter {
    bytes: Bucket,
    frames: Bucket,
}

impl Default for Meter {
    fn default() -> Self {
        Self {
            bytes: Bucket::new(BITS, MAX_FRAME as u64),
            frames: Bucket::new(1, 1),
        }
    }
}

impl Meter {
    fn set(&self, bits: Option<u64>, frames: Option<u64>) {
        self.bytes.set(bits);
        self.frames.set(frames);
    }

    /// Lets frames of so many bytes in all through; `None`: not all of them, and none is paid for.
    #[inline]
    pub(super) fn take(&self, at: Moment, frames: u64, bytes: u64) -> Option<Paid> {
        let bytes = self.bytes.take(at, bytes)?;
        let Some(frames) = self.frames.take(at, frames) else {
            self.bytes.give(bytes);
            return None;
        };
        Some(Paid { bytes, frames })
    }

    /// Gives back what was paid.
    pub(super) fn give(&self, paid: Paid) {
        self.bytes.give(paid.bytes);
        self.frames.give(paid.frames);
    }

    /// Lets through what may pass of `frames`, whose lengths `len` says; returns the others.
    pub(super) fn refuse(
        &self,
        at: Moment,
        frames: Frames,
        len: impl Fn(usize) -> usize,
    ) -> Frames {
        let total = frames.map(|index| len(index) as u64).sum();
        let mut refused = Frames::default();
        if self.take(at, frames.count() as u64, total).is_some() {
            return refused;
        }
        let (per_byte, per_frame) = (self.bytes.price(), self.frames.price());
        let mut left = Paid {
            bytes: self.bytes.take_all(at),
            frames: self.frames.take_all(at),
        };
        for index in frames {
            let cost = Paid {
                bytes: per_byte.times(len(index) as u64),
                frames: per_frame.times(1),
            };
            if cost.bytes <= left.bytes && cost.frames <= left.frames {
                left.bytes -= cost.bytes;
                left.frames -= cost.frames;
            } else {
                refused.add(Frames::one(index));
            }
        }
        self.give(left);
        refused
    }
}

/// A port's rates as its queues share them.
#[derive(Debug)]
pub(super) struct Rates {
    pub transmit: Meter,
    pub receive: Meter,
    flood: Bucket,
    /// Of its group's rate; without a limit where it has none.
    pub share: Bucket,
    /// In ticks.
    burst: AtomicU64,
}

impl Default for Rates {
    fn default() -> Self {
        Self {
            transmit: Meter::default(),
            receive: Meter::default(),
            flood: Bucket::new(1, 1),
            share: Bucket::new(BITS, MAX_FRAME as u64),
            burst: AtomicU64::new(0),
        }
    }
}

/// A time in ticks.
pub(super) fn ticks(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).map_or(u64::MAX, |nanos| nanos.saturating_mul(TICKS))
}

impl Rates {
    /// Sets them all. What was used up of one stays so.
    pub(super) fn set(&self, rates: &PortRates) {
        self.burst.store(ticks(rates.burst), Ordering::Relaxed);
        self.transmit
            .set(rates.transmit_bits, rates.transmit_frames);
        self.receive.set(rates.receive_bits, rates.receive_frames);
        self.flood.set(rates.flood_frames);
    }

    /// What time it is for them.
    #[inline]
    pub(super) fn at(&self, now: u64) -> Moment {
        Moment {
            now,
            burst: self.burst.load(Ordering::Relaxed),
        }
    }

    /// True when one more frame may go to many.
    pub(super) fn floods(&self, now: u64) -> bool {
        self.flood.take(self.at(now), 1).is_some()
    }
}

#[cfg(test)]
mod tests;
