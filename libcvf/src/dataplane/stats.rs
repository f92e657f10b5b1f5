//! A queue's counters as numbers.

use super::counters::{Drop, QueueCounters};

/// One queue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueueStats {
    /// Frames.
    pub frames: u64,
    /// Bytes.
    pub bytes: u64,
    /// Large-send frames, uncut.
    pub large: u64,
    /// Multicast frames.
    pub multicast: u64,
    /// Broadcast frames.
    pub broadcast: u64,
    /// Doorbells.
    pub kicks: u64,
    /// Interrupts.
    pub interrupts: u64,
    /// Drops by reason; only those that happened.
    pub drops: Vec<(&'static str, u64)>,
}

impl QueueStats {
    /// The values of this moment.
    pub fn of(counters: &QueueCounters) -> Self {
        Self {
            frames: counters.frames.get(),
            bytes: counters.bytes.get(),
            large: counters.large.get(),
            multicast: counters.multicast.get(),
            broadcast: counters.broadcast.get(),
            kicks: counters.kicks.get(),
            interrupts: counters.interrupts.get(),
            drops: Drop::ALL
                .iter()
                .map(|reason| (reason.name(), counters.dropped(*reason)))
                .filter(|(_, count)| *count > 0)
                .collect(),
        }
    }

    /// Adds another queue's numbers.
    pub fn add(&mut self, other: &Self) {
        self.frames += other.frames;
        self.bytes += other.bytes;
        self.large += other.large;
        self.multicast += other.multicast;
        self.broadcast += other.broadcast;
        self.kicks += other.kicks;
        self.interrupts += other.interrupts;
        for (name, count) in &other.drops {
            match self.drops.iter_mut().find(|(known, _)| known == name) {
                Some((_, sum)) => *sum += count,
                None => self.drops.push((name, *count)),
            }
        }
    }
}
