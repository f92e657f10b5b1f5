//! A worker's bursts, under the queue's lock, while the driver takes its limits back: they are written
//! beside the lock, which is passed then. The ring is left out: its driver waits for an interrupt all the time.

use loom::thread;

use super::*;
use crate::sync::{Mutex, check};

const OFF: Coalescing = Coalescing {
    max_usecs: 0,
    max_packets: 0,
};
/// None of them is reached in a model.
const ON: Coalescing = Coalescing {
    max_usecs: u32::MAX,
    max_packets: MAX_COALESCE_FRAMES,
};

#[derive(Default)]
struct Queue {
    lock: Mutex<()>,
    coalesce: Coalesce,
}

impl Queue {
    /// True: something was held back, and is decided now.
    fn pass(&self) -> bool {
        let _guard = self.lock.lock();
        self.coalesce.release()
    }
}

/// `take_back` answers as [`Queue::pass`].
fn model(take_back: fn(&Queue) -> bool) {
    check(move || {
        let queue = Arc::new(Queue::default());
        queue.coalesce.set(ON);
        let of = Arc::clone(&queue);
        let worker = thread::spawn(move || {
            let burst = |_| {
                let _guard = of.lock.lock();
                of.coalesce.decide(true, 1, false) == Decision::Fire
            };
            // Whether the last of them was interrupted for: that is for all before, too.
            (0..2).map(burst).last() == Some(true)
        });
        let released = take_back(&queue);
        let fired = worker.join().expect("worker");
        assert!(!queue.coalesce.holds(), "held back without limits");
        assert!(fired || released, "a lost interrupt");
    });
}

#[test]
fn nothing_is_held_back_once_the_limits_are_gone() {
    model(|queue| {
        queue.coalesce.set(OFF);
        queue.pass()
    });
}

#[test]
#[should_panic = "held back without limits"]
fn the_model_sees_a_lock_that_is_passed_too_early() {
    model(|queue| {
        let released = queue.pass();
        queue.coalesce.set(OFF);
        released
    });
}

#[test]
#[should_panic = "held back without limits"]
fn the_model_sees_a_lock_that_is_not_passed() {
    model(|queue| {
        queue.coalesce.set(OFF);
        queue.coalesce.release()
    });
}
