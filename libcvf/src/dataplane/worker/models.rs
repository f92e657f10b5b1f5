//! A queue moves from one worker to another while its driver rings. Mailboxes and claim are the real ones; the
//! ring is a number behind a lock, as in the claim's models, and a turn of the loop is what [`Loop::run`] does
//! with its list.

use loom::thread;

use super::*;
use crate::dataplane::claim::Claim;
use crate::dataplane::mailbox::models::Event;
use crate::sync::atomic::AtomicU16;
use crate::sync::check;

/// Doorbells that the driver rings.
const RUNG: u32 = 2;

struct House {
    workers: [Mailbox<(), Event>; 2],
    claim: Claim,
    home: AtomicU16,
    published: crate::sync::atomic::AtomicU32,
    taken: crate::sync::Mutex<u32>,
    /// Entries that exist.
    entries: crate::sync::atomic::AtomicU32,
}

/// Gives the one entry of a list to its new home.
type HandOver = fn(&House, &mut Vec<()>, usize);

impl House {
    fn new() -> Self {
        Self {
            workers: std::array::from_fn(|_| Mailbox::new(Event::default())),
            claim: Claim::default(),
            home: AtomicU16::new(0),
            published: crate::sync::atomic::AtomicU32::new(0),
            taken: crate::sync::Mutex::new(0),
            entries: crate::sync::atomic::AtomicU32::new(0),
        }
    }

    fn home(&self) -> usize {
        self.home.load(Ordering::Relaxed).into()
    }

    fn doorbell(&self) {
        self.published.fetch_add(1, Ordering::Release);
        if self.claim.take() {
            let before = self.entries.fetch_add(1, Ordering::Relaxed);
            assert_eq!(before, 0, "the queue is in two lists");
            self.workers[self.home()].post(());
        }
    }

    /// One turn at the queue. True: it leaves the list.
    fn turn(&self) -> bool {
        let mut taken = self.taken.lock();
        let available = || self.published.load(Ordering::Acquire);
        *taken = available();
        if *taken == RUNG {
            self.workers.iter().for_each(Mailbox::stop);
        }
        let before = self.entries.fetch_sub(1, Ordering::Relaxed);
        assert_eq!(before, 1, "the queue is in two lists");
        let over = self.claim.leave(|| available() > *taken);
        if !over {
            self.entries.fetch_add(1, Ordering::Relaxed);
        }
        over
    }

    fn run(&self, index: usize, hand_over: HandOver) {
        let mailbox = &self.workers[index];
        let mut list = Vec::new();
        while !mailbox.stopping() {
            mailbox.collect(&mut list);
            assert!(list.len() <= 1, "the queue is in two lists");
            if list.is_empty() {
                mailbox.sleep(|| Duration::MAX);
                thread::yield_now();
                continue;
            }
            let home = self.home();
            if home != index {
                hand_over(self, &mut list, home);
            } else if self.turn() {
                list.clear();
            }
        }
    }
}

fn model(hand_over: HandOver) {
    check(move || {
        let house = Arc::new(House::new());
        let worker = |index| {
            let house = Arc::clone(&house);
            thread::spawn(move || house.run(index, hand_over))
        };
        let workers = [worker(0), worker(1)];
        house.doorbell();
        house.home.store(1, Ordering::Relaxed);
        house.doorbell();
        for worker in workers {
            worker.join().expect("worker");
        }
        assert_eq!(*house.taken.lock(), RUNG);
    });
}

#[test]
fn a_queue_that_moves_is_in_one_list_and_loses_no_doorbell() {
    model(|house, list, home| house.workers[home].post(list.swap_remove(0)));
}

/// Whoever rings next would find the new home; but who rang before does not ring again.
#[test]
#[should_panic = "deadlock"]
fn the_model_sees_a_queue_that_is_let_go_instead() {
    model(|house, list, _| {
        house.entries.fetch_sub(1, Ordering::Relaxed);
        house.claim.leave(|| false);
        list.clear();
    });
}

#[test]
#[should_panic = "the queue is in two lists"]
fn the_model_sees_a_queue_that_is_given_and_kept() {
    model(|house, list, home| {
        house.workers[home].post(());
        if house.turn() {
            list.clear();
        }
    });
}
