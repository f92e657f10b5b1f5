//! The forwarding table's clock, in seconds: read for every burst, moved on by whoever looks at the time.

use crate::sync::atomic::{AtomicU32, Ordering};

/// Seconds after which what was learned is swept.
const SWEEP: u32 = 64;

/// Never goes back.
#[derive(Debug, Default)]
pub(super) struct Clock(AtomicU32);

impl Clock {
    pub(super) fn now(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }

    /// Moves it on to `to`, where that is ahead. True once a sweep is due, for one of all who are here.
    pub(super) fn advance(&self, to: u32) -> bool {
        if to <= self.now() {
            return false;
        }
        let before = self.0.fetch_max(to, Ordering::Relaxed);
        before / SWEEP < to / SWEEP
    }
}

#[cfg(all(test, loom))]
mod models;
