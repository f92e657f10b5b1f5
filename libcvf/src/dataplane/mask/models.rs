use std::sync::Arc;

use loom::sync::atomic::AtomicU32;
use loom::thread;

use super::*;
use crate::sync::check;

/// Two workers fire while the client takes the mask off.
fn model(passes: fn(&Mask) -> bool) {
    check(move || {
        let mask = Arc::new(Mask::default());
        let sent = Arc::new(AtomicU32::new(0));
        mask.set(true);
        let workers: Vec<_> = (0..2)
            .map(|_| {
                let (mask, sent) = (Arc::clone(&mask), Arc::clone(&sent));
                thread::spawn(move || {
                    if passes(&mask) {
                        sent.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        if mask.set(false) && passes(&mask) {
            sent.fetch_add(1, Ordering::Relaxed);
        }
        for worker in workers {
            worker.join().expect("worker");
        }
        let sent = sent.load(Ordering::Relaxed);
        assert!(sent >= 1, "a lost interrupt");
        assert!(sent <= 2, "more interrupts than were fired");
        assert!(!mask.set(false), "nothing is left pending");
    });
}

#[test]
fn what_is_fired_while_the_mask_goes_is_sent() {
    model(Mask::passes);
}

#[test]
#[should_panic = "a lost interrupt"]
fn the_model_sees_a_second_look_left_out() {
    model(|mask| {
        !mask.masked.load(Ordering::Acquire) || {
            mask.pending.swap(true, Ordering::AcqRel);
            false
        }
    });
}
