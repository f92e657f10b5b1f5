//! Driver and device of one split ring, by its indexes and wishes alone. What stands in for guest memory
//! has the ring view's orders: indexes are published with `Release`, wishes are `Relaxed`. The driver is
//! Linux's: `vring_need_event` behind a full barrier.

use std::sync::Arc;

use loom::sync::atomic::{AtomicU16, fence as driver_fence};
use loom::thread;

use super::*;
use crate::sync::{check, without_fences};

#[derive(Default)]
struct Ring {
    available: AtomicU16,
    available_flags: AtomicU16,
    used_event: AtomicU16,
    used: AtomicU16,
    used_flags: AtomicU16,
    available_event: AtomicU16,
}

impl SplitWishes for &Ring {
    fn used_event(&self) -> u16 {
        self.used_event.load(Ordering::Relaxed)
    }

    fn available_flags(&self) -> u16 {
        self.available_flags.load(Ordering::Relaxed)
    }

    fn set_used_flags(&self, flags: u16) {
        self.used_flags.store(flags, Ordering::Relaxed);
    }

    fn set_available_event(&self, index: u16) {
        self.available_event.store(index, Ordering::Relaxed);
    }
}

/// The device polled, found nothing and arms; the driver makes one entry available. Either the device's
/// second look sees it or the driver rings.
fn doorbell(event_idx: bool) {
    let ring = Arc::new(Ring::default());
    let mut notify = Notify::new(event_idx);
    notify.suppress(&*ring, 0);
    let by = Arc::clone(&ring);
    let driver = thread::spawn(move || {
        by.available.store(1, Ordering::Release);
        driver_fence(Ordering::SeqCst);
        if event_idx {
            passes(by.available_event.load(Ordering::Relaxed), 1, 0)
        } else {
            by.used_flags.load(Ordering::Relaxed) & NO_NOTIFY == 0
        }
    });
    notify.arm(&*ring, 0);
    let seen = ring.available.load(Ordering::Acquire) == 1;
    let rung = driver.join().expect("driver");
    assert!(seen || rung, "a lost doorbell");
}

/// The device publishes used entry 1; the driver, which had interrupts off, asks for them and looks.
/// Either it sees the entry or is interrupted.
fn interrupt(event_idx: bool) {
    let ring = Arc::new(Ring::default());
    ring.available_flags.store(NO_INTERRUPT, Ordering::Relaxed);
    ring.used_event.store(FAR, Ordering::Relaxed);
    let mut notify = Notify::new(event_idx);
    let by = Arc::clone(&ring);
    let driver = thread::spawn(move || {
        if event_idx {
            by.used_event.store(0, Ordering::Relaxed);
        } else {
            by.available_flags.store(0, Ordering::Relaxed);
        }
        driver_fence(Ordering::SeqCst);
        by.used.load(Ordering::Acquire) == 1
    });
    ring.used.store(1, Ordering::Release);
    let fired = notify.wants_interrupt(&*ring, 1);
    let seen = driver.join().expect("driver");
    assert!(seen || fired, "a lost interrupt");
}

#[test]
fn no_doorbell_is_lost() {
    check(|| doorbell(false));
    check(|| doorbell(true));
}

#[test]
fn no_interrupt_is_lost() {
    check(|| interrupt(false));
    check(|| interrupt(true));
}

#[test]
#[should_panic = "a lost doorbell"]
fn the_model_sees_the_fence_missing_with_flags() {
    without_fences(|| check(|| doorbell(false)));
}

#[test]
#[should_panic = "a lost doorbell"]
fn the_model_sees_the_fence_missing_with_indexes() {
    without_fences(|| check(|| doorbell(true)));
}

#[test]
#[should_panic = "a lost interrupt"]
fn the_model_sees_the_interrupts_fence_missing_with_flags() {
    without_fences(|| check(|| interrupt(false)));
}

#[test]
#[should_panic = "a lost interrupt"]
fn the_model_sees_the_interrupts_fence_missing_with_indexes() {
    without_fences(|| check(|| interrupt(true)));
}
