//! Rates: what counters gained between two looks, by the time between them.

use std::collections::HashMap;
use std::ops::AddAssign;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::engine::{Counters, DirectionStats, Stats};

/// One direction, per second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Flow {
    pub(super) frames: f64,
    pub(super) bytes: f64,
    pub(super) drops: f64,
}

impl AddAssign for Flow {
    fn add_assign(&mut self, other: Self) {
        self.frames += other.frames;
        self.bytes += other.bytes;
        self.drops += other.drops;
    }
}

/// Both directions, from the guest's point of view.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Rates {
    pub(super) rx: Flow,
    pub(super) tx: Flow,
}

/// What a device's counters were, and when.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    pub(super) at: Instant,
    pub(super) stats: Stats,
}

/// Rates of a device; `None` where there is nothing yet to compare with.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct DeviceRates {
    pub(super) name: String,
    pub(super) rates: Option<Rates>,
    /// By queue pair, if that was asked for.
    pub(super) pairs: Vec<(u16, Option<Rates>)>,
}

#[derive(Clone, Copy)]
struct Count {
    frames: u64,
    bytes: u64,
    drops: u64,
}

impl Count {
    fn of(stats: &DirectionStats) -> Self {
        Self {
            frames: stats.frames,
            bytes: stats.bytes,
            drops: stats.drops.values().sum(),
        }
    }

    /// `None`: a counter went back, so this is not what was counted before.
    fn since(self, before: Self, seconds: f64) -> Option<Flow> {
        let rate = |now: u64, before: u64| Some(now.checked_sub(before)? as f64 / seconds);
        Some(Flow {
            frames: rate(self.frames, before.frames)?,
            bytes: rate(self.bytes, before.bytes)?,
            drops: rate(self.drops, before.drops)?,
        })
    }
}

/// Counts of both directions.
#[derive(Clone, Copy)]
struct Both(Count, Count);

impl Both {
    fn of(counters: &Counters) -> Self {
        Self(Count::of(&counters.rx), Count::of(&counters.tx))
    }

    fn since(self, before: Self, seconds: f64) -> Option<Rates> {
        Some(Rates {
            rx: self.0.since(before.0, seconds)?,
            tx: self.1.since(before.1, seconds)?,
        })
    }
}

struct Seen {
    at: Instant,
    sequence: u64,
    total: Both,
    pairs: HashMap<u16, Both>,
}

impl Seen {
    fn of(sample: &Sample) -> Self {
        let pairs = sample.stats.pairs.iter();
        Self {
            at: sample.at,
            sequence: sample.stats.sequence,
            total: Both::of(&sample.stats.total),
            pairs: pairs
                .map(|pair| (pair.pair, Both::of(&pair.counters)))
                .collect(),
        }
    }
}

/// Remembers the last look.
#[derive(Default)]
pub(super) struct Meter {
    seen: HashMap<String, Seen>,
}

impl Meter {
    /// Compares a look with the one before. A device that was made anew under its name, or whose counters went
    /// back, has no rates until the next.
    pub(super) fn take(&mut self, samples: &[Sample]) -> Vec<DeviceRates> {
        let mut now = HashMap::with_capacity(samples.len());
        let mut all = Vec::with_capacity(samples.len());
        for sample in samples {
            let seen = Seen::of(sample);
            all.push(self.compare(sample, &seen));
            now.insert(sample.stats.name.clone(), seen);
        }
        self.seen = now;
        all
    }

    /// Forgets the last look: another daemon counts.
    pub(super) fn forget(&mut self) {
        self.seen.clear();
    }

    fn compare(&self, sample: &Sample, now: &Seen) -> DeviceRates {
        let before = self.seen.get(&sample.stats.name);
        let before = before.filter(|before| before.sequence == now.sequence);
        let seconds = |before: &Seen| now.at.saturating_duration_since(before.at).as_secs_f64();
        let before = before.filter(|before| seconds(before) > 0.0);
        let rates = before.and_then(|before| now.total.since(before.total, seconds(before)));
        // A device that began anew began anew in all its queues.
        let before = before.filter(|_| rates.is_some());
        let pair = |counted: &crate::engine::PairCounters| {
            let number = counted.pair;
            let rates = before.and_then(|before| {
                let (was, is) = (before.pairs.get(&number)?, now.pairs.get(&number)?);
                is.since(*was, seconds(before))
            });
            (number, rates)
        };
        DeviceRates {
            name: sample.stats.name.clone(),
            rates,
            pairs: sample.stats.pairs.iter().map(pair).collect(),
        }
    }
}

#[cfg(test)]
mod tests;
