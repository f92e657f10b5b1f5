use std::sync::Arc;

use loom::sync::atomic::AtomicU32;
use loom::thread;

use super::*;
use crate::sync::check;

/// A worker makes something visible and tells of it while the driver looks, finds nothing, and arms the line.
fn model(passes: fn(&Rearm) -> bool) {
    check(move || {
        let line = Arc::new(Rearm::spent());
        let made = Arc::new(AtomicU32::new(0));
        let worker = {
            let (line, made) = (Arc::clone(&line), Arc::clone(&made));
            thread::spawn(move || {
                made.store(1, Ordering::Relaxed);
                passes(&line)
            })
        };
        let mut told = line.arm(true);
        let mut seen = made.load(Ordering::Relaxed) == 1;
        if told && !seen {
            // The handler ran too early: it arms once more.
            told = line.arm(true);
            seen = made.load(Ordering::Relaxed) == 1;
        }
        let fired = worker.join().expect("worker");
        assert!(seen || told || fired, "a lost interrupt");
    });
}

#[test]
fn what_happens_while_the_line_is_armed_is_told() {
    model(Rearm::passes);
}

#[test]
#[should_panic = "a lost interrupt"]
fn the_model_sees_an_event_that_is_not_kept() {
    model(|line| line.state.load(Ordering::Acquire) == ARMED && line.passes());
}
