//! Somebody counts and raises the alarm while somebody else takes it and looks.

use std::sync::Arc;

use loom::sync::atomic::AtomicU32;
use loom::thread;

use super::*;
use crate::sync::{check, without_fences};

/// What was counted is seen by a look that the alarm brought about, or the alarm is up.
fn model() {
    check(|| {
        let (alarm, count) = (Arc::new(Alarm::default()), Arc::new(AtomicU32::new(0)));
        // An offence before, of which nobody has heard yet.
        alarm.raise();
        let worker = {
            let (alarm, count) = (Arc::clone(&alarm), Arc::clone(&count));
            thread::spawn(move || {
                count.fetch_add(1, Ordering::Relaxed);
                alarm.raise();
            })
        };
        let seen = alarm.take() && count.load(Ordering::Relaxed) == 1;
        worker.join().expect("worker");
        assert!(seen || alarm.take(), "an offence that nobody looks at");
    });
}

#[test]
fn what_was_counted_is_looked_at() {
    model();
}

#[test]
#[should_panic = "an offence that nobody looks at"]
fn the_model_sees_what_the_fences_are_for() {
    without_fences(model);
}
