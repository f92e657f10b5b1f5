//! Two workers move the clock on, one of them a little late, while somebody reads it.

use std::sync::Arc;

use loom::thread;

use super::*;
use crate::sync::check;

fn model(advance: fn(&Clock, u32) -> bool) {
    check(move || {
        let clock = Arc::new(Clock::default());
        let worker = |to| {
            let clock = Arc::clone(&clock);
            thread::spawn(move || u32::from(advance(&clock, to)))
        };
        let workers = [worker(SWEEP + 1), worker(SWEEP)];
        let first = clock.now();
        assert!(clock.now() >= first, "it goes back");
        let sweeps: u32 = workers.map(|w| w.join().expect("worker")).iter().sum();
        assert_eq!(clock.now(), SWEEP + 1, "it goes back");
        assert_eq!(sweeps, 1, "one of them sweeps");
    });
}

#[test]
fn it_never_goes_back_and_one_sweeps() {
    model(Clock::advance);
}

#[test]
#[should_panic = "it goes back"]
fn the_model_sees_a_store_where_a_maximum_is_needed() {
    model(|clock, to| {
        clock.0.store(to, Ordering::Relaxed);
        to == SWEEP
    });
}

#[test]
#[should_panic = "one of them sweeps"]
fn the_model_sees_a_look_beside_the_change() {
    model(|clock, to| {
        let before = clock.now();
        clock.0.fetch_max(to, Ordering::Relaxed);
        before / SWEEP < to / SWEEP
    });
}
