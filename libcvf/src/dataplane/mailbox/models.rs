//! Assumed of an eventfd: a write before or within the wait ends it, and what was written before is seen
//! after it. Waits have no deadline here, so that a lost wake-up is a deadlock that the model reports.

use std::sync::Arc;

use loom::sync::{Condvar, Mutex};
use loom::thread;

use super::*;
use crate::sync::check;

#[derive(Default)]
pub(crate) struct Event {
    count: Mutex<u64>,
    rung: Condvar,
}

impl Bell for Event {
    fn ring(&self) {
        *self.count.lock().expect("count") += 1;
        self.rung.notify_one();
    }

    fn wait(&self, _: Duration) {
        let mut count = self.count.lock().expect("count");
        while *count == 0 {
            count = self.rung.wait(count).expect("count");
        }
        *count = 0;
    }
}

fn serve(mailbox: &Mailbox<u32, Event>, until: usize) -> Vec<u32> {
    let mut list = Vec::new();
    while list.len() < until {
        let had = list.len();
        mailbox.collect(&mut list);
        if list.len() == had {
            mailbox.sleep(|| Duration::MAX);
            thread::yield_now();
        }
    }
    list
}

#[test]
fn nothing_posted_is_lost_or_slept_through() {
    check(|| {
        let mailbox = Arc::new(Mailbox::new(Event::default()));
        let posters: Vec<_> = (0..2)
            .map(|n| {
                let mailbox = Arc::clone(&mailbox);
                thread::spawn(move || mailbox.post(n))
            })
            .collect();
        let mut list = serve(&mailbox, 2);
        list.sort_unstable();
        assert_eq!(list, [0, 1], "each once");
        for poster in posters {
            poster.join().expect("poster");
        }
        assert!(!mailbox.asleep());
    });
}

#[test]
fn one_who_posts_twice_is_heard_twice_in_order() {
    check(|| {
        let mailbox = Arc::new(Mailbox::new(Event::default()));
        let by = Arc::clone(&mailbox);
        let poster = thread::spawn(move || {
            by.post(0);
            by.post(1);
        });
        assert_eq!(serve(&mailbox, 2), [0, 1]);
        poster.join().expect("poster");
    });
}

#[test]
fn a_sleeper_that_is_stopped_ends() {
    check(|| {
        let mailbox = Arc::new(Mailbox::<u32, _>::new(Event::default()));
        let by = Arc::clone(&mailbox);
        let stopper = thread::spawn(move || by.stop());
        while !mailbox.stopping() {
            mailbox.sleep(|| Duration::MAX);
            thread::yield_now();
        }
        stopper.join().expect("stopper");
    });
}

/// The same with the flag raised behind the look at the inbox: the model has to see the deadlock.
#[test]
#[should_panic = "deadlock"]
fn the_model_sees_a_sleeper_that_looks_too_early() {
    check(|| {
        let mailbox = Arc::new(Mailbox::new(Event::default()));
        let by = Arc::clone(&mailbox);
        let poster = thread::spawn(move || by.post(0));
        let mut list: Vec<i32> = Vec::new();
        while list.is_empty() {
            mailbox.collect(&mut list);
            if list.is_empty() {
                let empty = mailbox.inbox.lock().is_empty();
                mailbox.asleep.swap(true, Ordering::AcqRel);
                if empty {
                    mailbox.bell.wait(Duration::MAX);
                }
                mailbox.asleep.swap(false, Ordering::AcqRel);
                thread::yield_now();
            }
        }
        poster.join().expect("poster");
    });
}
