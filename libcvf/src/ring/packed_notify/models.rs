//! As with split rings; what is published is the flags of one descriptor, stored with `Release`.

use std::sync::Arc;

use loom::sync::atomic::{AtomicU32, fence as driver_fence};
use loom::thread;

use super::*;
use crate::sync::{check, without_fences};

const SIZE: u16 = 4;

struct Ring {
    descriptor: AtomicU32,
    driver: AtomicU32,
    device: AtomicU32,
}

impl Ring {
    fn new(driver: u16) -> Self {
        Self {
            descriptor: AtomicU32::new(0),
            driver: AtomicU32::new(u32::from(driver) << 16),
            device: AtomicU32::new(0),
        }
    }
}

fn event(word: u32) -> Event {
    Event {
        off_wrap: word as u16,
        flags: (word >> 16) as u16,
    }
}

fn word(event: Event) -> u32 {
    u32::from(event.off_wrap) | u32::from(event.flags) << 16
}

impl PackedWishes for &Ring {
    fn size(&self) -> u16 {
        SIZE
    }

    fn driver_event(&self) -> Event {
        event(self.driver.load(Ordering::Relaxed))
    }

    fn set_device_event(&self, event: Event) {
        self.device.store(word(event), Ordering::Relaxed);
    }
}

/// The device arms at the first descriptor while the driver makes it available.
fn doorbell(event_idx: bool) {
    let ring = Arc::new(Ring::new(Event::ENABLE));
    let mut notify = PackedNotify::new(event_idx);
    notify.suppress(&*ring);
    let by = Arc::clone(&ring);
    let driver = thread::spawn(move || {
        by.descriptor.store(1, Ordering::Release);
        driver_fence(Ordering::SeqCst);
        let event = event(by.device.load(Ordering::Relaxed));
        match event.flags {
            Event::DISABLE => false,
            Event::DESC => event.off_wrap == Position::START.off_wrap(),
            _ => true,
        }
    });
    notify.arm(&*ring, Position::START);
    let seen = ring.descriptor.load(Ordering::Acquire) == 1;
    let rung = driver.join().expect("driver");
    assert!(seen || rung, "a lost doorbell");
}

/// The device publishes the first descriptor as used while the driver asks for an interrupt about it.
fn interrupt(event_idx: bool) {
    let ring = Arc::new(Ring::new(Event::DISABLE));
    let mut notify = PackedNotify::new(event_idx);
    let by = Arc::clone(&ring);
    let driver = thread::spawn(move || {
        let flags = if event_idx {
            Event::DESC
        } else {
            Event::ENABLE
        };
        let off_wrap = Position::START.off_wrap();
        by.driver
            .store(word(Event { off_wrap, flags }), Ordering::Relaxed);
        driver_fence(Ordering::SeqCst);
        by.descriptor.load(Ordering::Acquire) == 1
    });
    ring.descriptor.store(1, Ordering::Release);
    let used = Position::START.advanced(1, SIZE);
    let fired = notify.wants_interrupt(&*ring, used);
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
fn the_model_sees_the_fence_missing_with_positions() {
    without_fences(|| check(|| doorbell(true)));
}

#[test]
#[should_panic = "a lost interrupt"]
fn the_model_sees_the_interrupts_fence_missing_with_flags() {
    without_fences(|| check(|| interrupt(false)));
}

#[test]
#[should_panic = "a lost interrupt"]
fn the_model_sees_the_interrupts_fence_missing_with_positions() {
    without_fences(|| check(|| interrupt(true)));
}
