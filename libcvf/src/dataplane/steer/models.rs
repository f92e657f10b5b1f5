//! A worker that delivers while two of the control side change who gets a frame: a table that names the
//! second queue, and one queue for all. The worker's part is what delivery does once per burst.

use std::sync::Arc;

use loom::thread;

use super::*;
use crate::dataplane::port::Port;
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::check;

const PAIRS: u16 = 2;
const FRAME: [u8; 60] = [2; 60];

fn scaling() -> RssSettings {
    RssSettings {
        unclassified: 1,
        table: vec![PAIRS],
        pairs: PAIRS,
        ..RssSettings::default()
    }
}

fn port() -> Arc<Port> {
    Arc::new(Port::new(PAIRS, 0, false))
}

/// The receive queue of one burst's frames.
fn deliver(port: &Port) -> usize {
    if !port.steers() {
        return 0;
    }
    let (queue, _) = port.steering.load().place(&FRAME);
    assert!(queue < PAIRS, "a queue that is not there");
    queue.into()
}

fn model(scale: fn(&Port), single: fn(&Port)) {
    check(move || {
        let port = port();
        let (one, two) = (Arc::clone(&port), Arc::clone(&port));
        let control = [
            thread::spawn(move || scale(&one)),
            thread::spawn(move || single(&two)),
        ];
        deliver(&port);
        for thread in control {
            thread.join().expect("control");
        }
        let trivial = port.steering.load().is_trivial();
        assert_eq!(port.steers(), !trivial, "flag and table disagree");
        deliver(&port);
    });
}

#[test]
fn flag_and_table_agree_whoever_was_last() {
    model(
        |port| port.set_rss(scaling()),
        |port| port.set_active_pairs(1),
    );
}

#[test]
#[should_panic = "flag and table disagree"]
fn the_model_sees_the_lock_missing() {
    model(
        |port| port.steer(Steering::table(&scaling(), PAIRS)),
        |port| port.steer(Steering::automatic(1, None)),
    );
}

#[test]
#[should_panic = "a queue that is not there"]
fn the_model_sees_a_table_that_was_not_checked() {
    model(
        |port| {
            let mut settings = scaling();
            settings.unclassified = PAIRS;
            let _wishes = port.wishes.lock();
            port.steer(Steering::table(&settings, u16::MAX));
        },
        |_| {},
    );
}

/// The driver is answered, then a frame comes: it goes by what the driver was told is done.
fn told(scale: fn(&Port, &AtomicBool)) {
    check(move || {
        let (port, done) = (port(), Arc::new(AtomicBool::new(false)));
        let (of, by) = (Arc::clone(&port), Arc::clone(&done));
        let control = thread::spawn(move || scale(&of, &by));
        let is_done = done.load(Ordering::Acquire);
        let queue = deliver(&port);
        assert!(!is_done || queue == 1, "it goes the way of before");
        control.join().expect("control");
    });
}

#[test]
fn a_frame_behind_the_answer_goes_by_the_table() {
    told(|port, done| {
        port.set_rss(scaling());
        done.store(true, Ordering::Release);
    });
}

#[test]
#[should_panic = "it goes the way of before"]
fn the_model_sees_an_answer_that_does_not_release() {
    told(|port, done| {
        port.set_rss(scaling());
        done.store(true, Ordering::Relaxed);
    });
}
