//! Tells one thread that something was counted that it should look at, without it looking at all that counts.

use crate::sync::atomic::{AtomicBool, Ordering, fence};

/// Raised by whoever counts, taken by the one that looks. It is in a cache line that is only read as long as nobody
/// takes it.
#[derive(Debug, Default)]
#[repr(align(64))]
pub struct Alarm(AtomicBool);

impl Alarm {
    /// Something was counted, before this call. Any thread; no system call.
    pub fn raise(&self) {
        // What was counted and who looks at it: one of the two sees the other.
        fence(Ordering::SeqCst);
        if !self.0.load(Ordering::Relaxed) {
            self.0.store(true, Ordering::Release);
        }
    }

    /// Whether it was raised since the last call. What was counted before is seen behind this, or raises it again.
    pub fn take(&self) -> bool {
        let raised = self.0.swap(false, Ordering::AcqRel);
        fence(Ordering::SeqCst);
        raised
    }
}

#[cfg(all(test, loom))]
mod models;

#[cfg(all(test, not(loom)))]
mod tests;
