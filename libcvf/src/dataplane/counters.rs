//! Counters, incremented where the frame is handled.

use std::sync::{Arc, OnceLock};

use super::alarm::Alarm;
use crate::control::QueueReport;
use crate::offload::{Csum, FrameMeta, Gso, PackedMac};
use crate::sync::atomic::{AtomicU64, Ordering};

/// A number that only grows. One writer at a time (the holder of the queue's lock), any readers.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `n`; the caller is the only writer at this moment.
    #[inline]
    pub(crate) fn add(&self, n: u64) {
        self.0.store(
            self.0.load(Ordering::Relaxed).wrapping_add(n),
            Ordering::Relaxed,
        );
    }

    /// Adds `n` beside other writers.
    pub(crate) fn add_shared(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// The value at this moment.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

macro_rules! drops {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// Why a frame was not delivered.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Drop { $($(#[$doc])* $name,)* }

        impl Drop {
            /// Every reason, in the order of their counters.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// A sender does what no driver of good will does.
            pub const fn is_offence(self) -> bool {
                matches!(self, Self::Malformed | Self::BadOffload | Self::Spoofed | Self::Vlan)
            }

            /// The reason's name, as operators and metrics see it.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

drops! {
    /// Sender: shorter than its headers, longer than any frame, or in too many pieces.
    Malformed = "malformed",
    /// Sender: its checksum or segmentation request contradicts the frame.
    BadOffload = "bad-offload",
    /// Sender: never forwarded: its source is a group or zero, or its destination is for bridges alone.
    Refused = "refused",
    /// Sender: it claims an address that is not its port's.
    Spoofed = "spoofed",
    /// Sender: its tag is not for its port.
    Vlan = "vlan",
    /// Sender: above the rate at which it may send. Receiver: above the rate at which it may receive.
    OverRate = "over-rate",
    /// Sender: above the rate of what goes to many.
    FloodRate = "flood-rate",
    /// Sender: nobody takes it.
    NoDestination = "no-destination",
    /// Receiver: its driver is not running, or its link is down.
    NotReady = "not-ready",
    /// Receiver: no buffers were posted.
    NoBuffer = "no-buffer",
    /// Receiver: its buffers are too small.
    BufferTooSmall = "buffer-too-small",
    /// Receiver: longer than the MTU that its driver agreed to.
    ExceedsMtu = "exceeds-mtu",
    /// Receiver: it takes no such large-send frame and software could not cut it.
    Unsegmentable = "unsegmentable",
    /// Uplink: the kernel refused it (interface down, queue full).
    Uplink = "uplink",
}

/// What one queue counts.
#[derive(Debug, Default)]
pub struct QueueCounters {
    /// Frames that passed.
    pub frames: Counter,
    /// Their bytes, without virtio headers.
    pub bytes: Counter,
    /// Large-send frames among them, uncut.
    pub large: Counter,
    /// Multicast frames among them, broadcast not included.
    pub multicast: Counter,
    /// Broadcast frames among them.
    pub broadcast: Counter,
    /// Bytes of the large-send frames.
    pub large_bytes: Counter,
    /// Frames whose checksum their sender vouches for.
    pub csum_valid: Counter,
    /// Frames with a partial checksum.
    pub csum_partial: Counter,
    /// Transmit: large-send frames that were cut for a receiver.
    pub cut: Counter,
    /// Their bytes.
    pub cut_bytes: Counter,
    /// Segments that they became.
    pub segments: Counter,
    /// Bytes of those.
    pub segment_bytes: Counter,
    /// Doorbells.
    pub kicks: Counter,
    /// Interrupts sent.
    pub interrupts: Counter,
    drops: [Counter; Drop::ALL.len()],
    alarm: OnceLock<Arc<Alarm>>,
}

impl QueueCounters {
    pub(crate) fn drop(&self, reason: Drop) {
        self.drop_many(reason, 1);
    }

    /// As [`Self::drop`], for `count` frames.
    pub(super) fn drop_many(&self, reason: Drop, count: u64) {
        self.drops[reason as usize].add_shared(count);
        if reason.is_offence()
            && let Some(alarm) = self.alarm.get()
        {
            alarm.raise();
        }
    }

    /// Has offences raise this from here on; the first that is given stays.
    pub(super) fn raises(&self, alarm: &Arc<Alarm>) {
        let _ = self.alarm.set(Arc::clone(alarm));
    }

    /// What a driver is told of all this.
    pub fn report(&self) -> QueueReport {
        QueueReport {
            notifications: self.kicks.get(),
            packets: self.frames.get(),
            bytes: self.bytes.get(),
            interrupts: self.interrupts.get(),
            drops: self.drops.iter().map(Counter::get).sum(),
            overruns: self.dropped(Drop::NoBuffer),
            malformed: self.dropped(Drop::Malformed),
            csum_valid: self.csum_valid.get(),
            csum_partial: self.csum_partial.get(),
            gso_packets: self.large.get(),
            gso_bytes: self.large_bytes.get(),
            cut_packets: self.cut.get(),
            cut_bytes: self.cut_bytes.get(),
            segments: self.segments.get(),
            segment_bytes: self.segment_bytes.get(),
        }
    }

    /// Frames dropped for a reason.
    pub fn dropped(&self, reason: Drop) -> u64 {
        self.drops[reason as usize].get()
    }
}

/// What a burst adds to its queue's counters, written there once.
#[derive(Debug, Default)]
pub(super) struct Tally {
    frames: u64,
    bytes: u64,
    large: u64,
    large_bytes: u64,
    csum_valid: u64,
    csum_partial: u64,
    multicast: u64,
    broadcast: u64,
}

impl Tally {
    /// One frame of `len` bytes.
    #[inline]
    pub(super) fn add(&mut self, to: PackedMac, len: usize) {
        self.add_unicast(len);
        if to.is_multicast() {
            let broadcast = to.is_broadcast();
            self.broadcast += u64::from(broadcast);
            self.multicast += u64::from(!broadcast);
        }
    }

    /// As [`Self::add`], for a frame that begins with `head`.
    #[inline]
    pub(super) fn add_start(&mut self, head: &[u8], len: usize) {
        match head.first_chunk() {
            Some(to) if to[0] & 1 != 0 => self.add(PackedMac::new(*to), len),
            _ => self.add_unicast(len),
        }
    }

    /// As [`Self::add`], for what is known to be unicast.
    #[inline]
    pub(super) const fn add_unicast(&mut self, len: usize) {
        self.frames += 1;
        self.bytes += len as u64;
    }

    /// Frames of `bytes` bytes in all that are known to be unicast.
    #[inline]
    pub(super) const fn add_all(&mut self, frames: u64, bytes: u64) {
        self.frames += frames;
        self.bytes += bytes;
    }

    /// What is said about a frame of `len` bytes that was added.
    #[inline]
    pub(super) const fn add_offloads(&mut self, len: usize, meta: &FrameMeta) {
        if !matches!(meta.gso, Gso::None) {
            self.large += 1;
            self.large_bytes += len as u64;
        }
        match meta.csum {
            Csum::None => {}
            Csum::Valid => self.csum_valid += 1,
            Csum::Partial { .. } => self.csum_partial += 1,
        }
    }

    /// Frames added.
    pub(super) const fn frames(&self) -> u64 {
        self.frames
    }

    /// Adds it all up in `counters`, whose one writer the caller is.
    pub(super) fn record(&self, counters: &QueueCounters) {
        self.record_by(counters, Counter::add);
    }

    /// As [`Self::record`], beside other writers.
    pub(super) fn record_shared(&self, counters: &QueueCounters) {
        self.record_by(counters, Counter::add_shared);
    }

    #[inline]
    fn record_by(&self, counters: &QueueCounters, add: impl Fn(&Counter, u64)) {
        if self.frames == 0 {
            return;
        }
        add(&counters.frames, self.frames);
        add(&counters.bytes, self.bytes);
        if self.large > 0 {
            add(&counters.large, self.large);
            add(&counters.large_bytes, self.large_bytes);
        }
        if self.csum_valid + self.csum_partial > 0 {
            add(&counters.csum_valid, self.csum_valid);
            add(&counters.csum_partial, self.csum_partial);
        }
        if self.multicast + self.broadcast > 0 {
            add(&counters.multicast, self.multicast);
            add(&counters.broadcast, self.broadcast);
        }
    }
}

/// Large-send frames of a burst that had to be cut.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cut {
    pub frames: u64,
    pub bytes: u64,
    pub segments: u64,
    pub segment_bytes: u64,
}

impl Cut {
    /// Adds it up in the sender's counters, whose one writer the caller is.
    pub(super) fn record(self, counters: &QueueCounters) {
        if self.frames > 0 {
            counters.cut.add(self.frames);
            counters.cut_bytes.add(self.bytes);
            counters.segments.add(self.segments);
            counters.segment_bytes.add(self.segment_bytes);
        }
    }
}

#[cfg(all(test, loom))]
mod models;
