//! Two bursts of one queue, which its lock puts in order, while somebody else drops frames and an operator
//! reads.

use std::sync::Arc;

use loom::thread;

use super::*;
use crate::sync::{Mutex, check};

#[derive(Default)]
struct Queue {
    lock: Mutex<()>,
    counters: QueueCounters,
}

impl Queue {
    /// One frame of a burst, and one that was dropped.
    fn burst(&self) {
        let mut tally = Tally::default();
        tally.add_unicast(60);
        let _guard = self.lock.lock();
        tally.record(&self.counters);
        self.counters.drop(Drop::NoBuffer);
    }

    fn counts(&self) -> [u64; 2] {
        let counters = &self.counters;
        [counters.frames.get(), counters.dropped(Drop::NoBuffer)]
    }
}

#[test]
fn nothing_is_lost_and_no_count_goes_back() {
    check(|| {
        let queue = Arc::new(Queue::default());
        let (one, two) = (Arc::clone(&queue), Arc::clone(&queue));
        let workers = [
            thread::spawn(move || one.burst()),
            thread::spawn(move || {
                // Frames for it, from somebody who does not have its lock.
                two.counters.drop(Drop::NoBuffer);
                two.burst();
            }),
        ];
        let mut before = [0, 0];
        for _ in 0..2 {
            let now = queue.counts();
            assert!(
                now[0] >= before[0] && now[1] >= before[1],
                "a count goes back"
            );
            before = now;
        }
        for worker in workers {
            worker.join().expect("worker");
        }
        assert_eq!(queue.counts(), [2, 3], "counts are lost");
        assert_eq!(queue.counters.bytes.get(), 120);
    });
}

#[test]
#[should_panic = "counts are lost"]
fn the_model_sees_the_lock_missing() {
    check(|| {
        let counter = Arc::new(Counter::default());
        let by = Arc::clone(&counter);
        let worker = thread::spawn(move || by.add(1));
        counter.add(1);
        worker.join().expect("worker");
        assert_eq!(counter.get(), 2, "counts are lost");
    });
}

/// The lock does not help one who does not take it.
#[test]
#[should_panic = "a count goes back"]
fn the_model_sees_both_kinds_of_adding_at_one_counter() {
    check(|| {
        let counter = Arc::new(Counter::default());
        let (one, two) = (Arc::clone(&counter), Arc::clone(&counter));
        let workers = [
            thread::spawn(move || one.add(1)),
            thread::spawn(move || {
                two.add_shared(1);
                two.add_shared(1);
            }),
        ];
        let before = counter.get();
        assert!(counter.get() >= before, "a count goes back");
        for worker in workers {
            worker.join().expect("worker");
        }
    });
}
