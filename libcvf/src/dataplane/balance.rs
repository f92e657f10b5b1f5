//! Which worker serves which queue: a busy worker gives a queue to one that has time.
//!
//! Every worker looks at itself about once a period and decides about its own queues alone. What is in
//! here are the account that it keeps and the decision; the hand-over is the worker's.

use std::time::{Duration, Instant};

use crate::limits::{BALANCE_PERIOD, SATURATED};

/// How busy a worker was since the last period ended.
#[derive(Debug)]
pub(super) struct Account {
    began: Instant,
    turns: u64,
    busy: u64,
    slept: Duration,
}

impl Account {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            began: now,
            turns: 0,
            busy: 0,
            slept: Duration::ZERO,
        }
    }

    /// A turn of the loop has ended; `busy`: frames were taken in it.
    #[inline]
    pub(super) const fn turn(&mut self, busy: bool) {
        self.turns += 1;
        self.busy += busy as u64;
    }

    pub(super) fn slept(&mut self, time: Duration) {
        self.slept += time;
    }

    /// At the end of a period: the share of its time in which there was something to do, in thousandths.
    pub(super) fn end(&mut self, now: Instant) -> Option<u32> {
        let period = now.saturating_duration_since(self.began);
        if period < BALANCE_PERIOD {
            return None;
        }
        let awake = period.saturating_sub(self.slept).as_micros() as u64;
        let busy = awake.saturating_mul(self.busy) / self.turns.max(1);
        let load = busy.saturating_mul(1000) / (period.as_micros() as u64).max(1);
        *self = Self::new(now);
        Some(load.min(1000) as u32)
    }
}

/// Which of its queues a worker gives away, and to whom. `load` is its own, `weights` the time that its queues
/// have taken; `others` are the workers and their loads. `None` unless it has no time left, and either the
/// busier of the two will have a tenth less to do than it has now, or the other will have half at most:
/// beside one queue that takes all the time, the others are better off elsewhere.
pub(super) fn choose(
    load: u32,
    weights: &[u64],
    others: impl Iterator<Item = (usize, u32)>,
) -> Option<(usize, usize)> {
    if load < SATURATED {
        return None;
    }
    let (to, theirs) = others.min_by_key(|(_, load)| *load)?;
    let mine: u128 = weights.iter().copied().map(u128::from).sum();
    let theirs = mine * u128::from(theirs) / u128::from(load);
    let busier = |weight: u64| (mine - u128::from(weight)).max(theirs + u128::from(weight));
    let (queue, weight) = weights
        .iter()
        .enumerate()
        .filter(|(_, weight)| **weight > 0)
        .min_by_key(|(_, weight)| (busier(**weight), **weight))?;
    let relieves = busier(*weight) * 10 <= mine * 9;
    let escapes = (theirs + u128::from(*weight)) * 2 <= mine;
    (relieves || escapes).then_some((queue, to))
}

#[cfg(test)]
mod tests;
