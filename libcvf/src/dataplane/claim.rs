//! In whose hands a transmit queue is.
//!
//! A queue is claimed while an entry for it is in a worker's inbox or list, or a thread that heard its doorbell serves it; there is one
//! of these at most. Whoever finds it free claims it, and makes the entry or serves it. Whoever holds the claim lets go of the claim, then
//! looks once more: what came while the queue was claimed found nobody else to tell.

use crate::sync::atomic::{AtomicBool, Ordering};

#[derive(Debug, Default)]
pub(super) struct Claim(AtomicBool);

impl Claim {
    /// True for the one who finds it free: from here on it is claimed.
    pub(super) fn take(&self) -> bool {
        !self.0.swap(true, Ordering::AcqRel)
    }

    /// Lets go, and keeps the claim after all when `work` finds something that nobody else has claimed the
    /// queue for. True: it is gone.
    ///
    /// Letting go is a swap, not a store: so what was made before somebody's vain [`Self::take`] is seen by
    /// `work`, whatever the processor.
    pub(super) fn leave(&self, work: impl FnOnce() -> bool) -> bool {
        self.0.swap(false, Ordering::AcqRel);
        !work() || !self.take()
    }
}

#[cfg(all(test, loom))]
mod models;
