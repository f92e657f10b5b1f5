//! A line that masks itself when it fires, until its driver asks for the next interrupt.
//!
//! Intel's `VFINT_DYN_CTL` registers: `INTENA` is cleared by an interrupt, and what happens meanwhile is kept for whoever
//! sets it again. Lines of other devices never do that.

use crate::sync::atomic::{AtomicU8, Ordering};

/// Never masks itself.
const ALWAYS: u8 = 0;
/// The next event goes out.
const ARMED: u8 = 1;
/// The driver wants none, and there was none.
const SPENT: u8 = 2;
/// The driver wants none, and there was one.
const PENDING: u8 = 3;

#[derive(Debug)]
pub(super) struct Rearm {
    state: AtomicU8,
}

impl Default for Rearm {
    fn default() -> Self {
        Self {
            state: AtomicU8::new(ALWAYS),
        }
    }
}

impl Rearm {
    /// One that masks itself, and has.
    pub(super) fn spent() -> Self {
        Self {
            state: AtomicU8::new(SPENT),
        }
    }

    /// True when an event goes out; else whoever arms it sends one.
    #[inline]
    pub(super) fn passes(&self) -> bool {
        let mut state = self.state.load(Ordering::Acquire);
        loop {
            let next = match state {
                ALWAYS => return true,
                ARMED => SPENT,
                // Written in any case: who arms it behind that sees what the event is about, and who has armed it before is
                // seen here.
                _ => PENDING,
            };
            match self.swap(state, next) {
                Ok(_) => return state == ARMED,
                Err(now) => state = now,
            }
        }
    }

    /// The driver wants an interrupt, or none. True: one goes out now for what was kept.
    pub(super) fn arm(&self, on: bool) -> bool {
        let mut state = self.state.load(Ordering::Acquire);
        loop {
            let next = match (state, on) {
                (ALWAYS, _) => return false,
                (PENDING, true) => SPENT,
                (_, true) => ARMED,
                (ARMED, false) => SPENT,
                (same, false) => same,
            };
            match self.swap(state, next) {
                Ok(_) => return on && state == PENDING,
                Err(now) => state = now,
            }
        }
    }

    /// Something is kept.
    pub(super) fn keeps(&self) -> bool {
        self.state.load(Ordering::Acquire) == PENDING
    }

    /// The driver wants none, and nothing is kept.
    pub(super) fn clear(&self) {
        if self.state.load(Ordering::Relaxed) != ALWAYS {
            self.state.store(SPENT, Ordering::Release);
        }
    }

    fn swap(&self, from: u8, to: u8) -> Result<u8, u8> {
        self.state
            .compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire)
    }
}

#[cfg(all(test, loom))]
mod models;
#[cfg(test)]
mod tests;
