//! One queue, its worker, and those who bring it work. The ring is a number that producers raise and the
//! worker follows: published with `Release`, as a ring's index, and told of by `take` alone.

use std::sync::Arc;

use loom::sync::atomic::AtomicU32;
use loom::thread;

use super::*;
use crate::dataplane::mailbox::{Mailbox, models::Event};

struct Queue {
    claim: Claim,
    published: AtomicU32,
    /// Entries for it that exist.
    entries: AtomicU32,
}

impl Queue {
    fn new() -> Self {
        Self {
            claim: Claim::default(),
            published: AtomicU32::new(0),
            entries: AtomicU32::new(0),
        }
    }

    /// A driver's part, then the doorbell's. True: an entry was made.
    fn produce(&self) -> bool {
        self.published.fetch_add(1, Ordering::Release);
        let made = self.claim.take();
        if made {
            let before = self.entries.fetch_add(1, Ordering::Relaxed);
            assert_eq!(before, 0, "one entry at most");
        }
        made
    }

    fn available(&self) -> u32 {
        self.published.load(Ordering::Acquire)
    }

    /// What the holder of the entry does until it has let go; returns what was taken in all.
    fn serve(&self, mut taken: u32, leave: impl Fn(&dyn Fn() -> bool) -> bool) -> u32 {
        loop {
            taken = taken.max(self.available());
            // The entry ends before the claim, so that the next one is not taken for a second.
            self.entries.fetch_sub(1, Ordering::Relaxed);
            if leave(&|| self.available() > taken) {
                return taken;
            }
            self.entries.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Every entry is served by the thread that made it, as if it were a worker's.
fn check(leave: fn(&Claim, &dyn Fn() -> bool) -> bool) {
    crate::sync::check(move || {
        let queue = Arc::new(Queue::new());
        let most = Arc::new(AtomicU32::new(0));
        let run = move |queue: &Queue, most: &AtomicU32| {
            if queue.produce() {
                let taken = queue.serve(0, |work| leave(&queue.claim, work));
                most.fetch_max(taken, Ordering::Relaxed);
            }
        };
        let (other, seen) = (Arc::clone(&queue), Arc::clone(&most));
        let thread = thread::spawn(move || run(&other, &seen));
        run(&queue, &most);
        thread.join().expect("thread");
        assert_eq!(most.load(Ordering::Relaxed), 2, "work was left behind");
    });
}

#[test]
fn no_work_is_left_behind_and_no_queue_has_two_entries() {
    check(|claim, work| claim.leave(work));
}

/// Letting go by a store: the vain `take` before it is not synchronised with.
#[test]
#[should_panic = "work was left behind"]
fn the_model_sees_a_store_where_a_swap_is_needed() {
    check(|claim, work| {
        claim.0.store(false, Ordering::SeqCst);
        !work() || !claim.take()
    });
}

#[test]
#[should_panic = "work was left behind"]
fn the_model_sees_a_second_look_left_out() {
    check(|claim, _| claim.leave(|| false));
}

/// The whole way: a doorbell claims and posts, the worker serves, lets go and sleeps.
#[test]
fn a_worker_takes_all_and_sleeps() {
    crate::sync::check(|| {
        let queue = Arc::new(Queue::new());
        let mailbox = Arc::new(Mailbox::new(Event::default()));
        let (from, to) = (Arc::clone(&queue), Arc::clone(&mailbox));
        let driver = thread::spawn(move || {
            for _ in 0..2 {
                if from.produce() {
                    to.post(());
                }
            }
        });
        let (mut list, mut taken) = (Vec::new(), 0);
        while taken < 2 {
            mailbox.collect(&mut list);
            assert!(list.len() <= 1, "one entry");
            match list.pop() {
                Some(()) => taken = queue.serve(taken, |work| queue.claim.leave(work)),
                None => {
                    mailbox.sleep(|| std::time::Duration::MAX);
                    thread::yield_now();
                }
            }
        }
        driver.join().expect("driver");
    });
}
