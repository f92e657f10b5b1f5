//! A worker that keeps a lock and one that wants it. The lock is the model checker's, which is assumed to be one; what is
//! tried is that a wish is seen, and that it ends.

use std::sync::Arc;

use loom::sync::Mutex;
use loom::thread;

use super::*;

/// How a worker looks before a turn whether somebody wants the lock that it has.
type Look = fn(&Wanted) -> bool;

fn model(look: Look) {
    crate::sync::check(move || {
        let shared = Arc::new((Wanted::default(), Mutex::new(0)));
        let other = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let (wanted, state) = &*shared;
                let _wish = wanted.ask();
                *state.lock().expect("state") += 1;
            })
        };
        let (wanted, state) = &*shared;
        let mut grip = None;
        // As `hold`: a worker is told by nothing but the state, and never waits.
        loop {
            if look(wanted) {
                grip = None;
            } else if grip.is_none() {
                grip = state.try_lock().ok();
            }
            if grip.as_deref() == Some(&1) {
                break;
            }
            thread::yield_now();
        }
        drop(grip);
        other.join().expect("the other");
    });
}

#[test]
fn who_wants_a_lock_gets_it_and_the_worker_after_it() {
    model(Wanted::by_somebody);
}

/// It would turn for ever, and the other wait.
#[test]
#[should_panic = "exceeded maximum number of branches"]
fn the_model_sees_a_worker_that_does_not_look() {
    model(|_| false);
}
