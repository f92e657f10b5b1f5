//! A line's mask and its pending bit: what is fired while masked goes out when the mask is taken off.

use crate::sync::atomic::{AtomicBool, Ordering};

#[derive(Debug, Default)]
pub(super) struct Mask {
    masked: AtomicBool,
    pending: AtomicBool,
}

impl Mask {
    /// True when an interrupt may go out; else it is pending.
    #[inline]
    pub(super) fn passes(&self) -> bool {
        if !self.masked.load(Ordering::Acquire) {
            return true;
        }
        // A swap: it is seen by whoever takes the mask off behind it, or sees the mask off.
        self.pending.swap(true, Ordering::AcqRel);
        // Unmasked in between: whoever takes the pending bit delivers it.
        !self.masked.load(Ordering::Acquire) && self.pending.swap(false, Ordering::AcqRel)
    }

    /// Nothing goes out.
    pub(super) fn is_set(&self) -> bool {
        self.masked.load(Ordering::Acquire)
    }

    /// Masks or unmasks. True: what was pending has to be fired.
    pub(super) fn set(&self, masked: bool) -> bool {
        self.masked.store(masked, Ordering::Release);
        !masked && self.pending.swap(false, Ordering::AcqRel)
    }

    /// Nothing is masked or pending any more.
    pub(super) fn clear(&self) {
        self.masked.store(false, Ordering::Release);
        self.pending.store(false, Ordering::Release);
    }
}

#[cfg(all(test, loom))]
mod models;
