//! Address space as a resource of the whole process: sparse files cost their maker nothing, mapping
//! them costs everybody.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::limits::MAX_FILE_SPACE;

static TAKEN: AtomicU64 = AtomicU64::new(0);

/// A share of the process's address space, given back when dropped.
#[derive(Debug)]
pub(super) struct Reserved(u64);

impl Reserved {
    /// Takes `bytes`; `None` when that many are not left.
    pub(super) fn take(bytes: u64) -> Option<Self> {
        let more = |taken: u64| {
            taken
                .checked_add(bytes)
                .filter(|sum| *sum <= MAX_FILE_SPACE)
        };
        TAKEN
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more)
            .ok()
            .map(|_| Self(bytes))
    }

    /// Its size.
    pub(super) const fn bytes(&self) -> u64 {
        self.0
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        TAKEN.fetch_sub(self.0, Ordering::Relaxed);
    }
}
