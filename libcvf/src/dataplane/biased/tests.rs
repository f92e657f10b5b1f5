use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use super::*;

#[test]
fn who_wants_it_gets_it_and_the_grip_comes_back() {
    let (biased, mut grip) = (Biased::<Vec<u8>>::default(), Grip::default());
    thread::scope(|scope| {
        biased.hold(&mut grip).expect("nobody has it").push(1);
        let other = scope.spawn(|| biased.lock().push(2));
        // As a worker does: look after look, without waiting once.
        while biased.hold(&mut grip).is_none_or(|list| list.len() < 2) {
            thread::yield_now();
        }
        other.join().expect("the other");
        biased.hold(&mut grip).expect("it is back").push(3);
    });
    grip.let_go();
    assert_eq!(*biased.lock(), [1, 2, 3]);
}

#[test]
fn nobody_else_has_it_while_it_is_gripped() {
    let (biased, mut grip) = (Biased::<u8>::default(), Grip::default());
    assert!(biased.hold(&mut grip).is_some());
    assert!(biased.pass().is_none());
    assert!(biased.try_lock().is_none());
    let soon = Instant::now() + Duration::from_millis(1);
    assert!(biased.try_lock_until(soon).is_none());
    assert!(
        biased.hold(&mut grip).is_some(),
        "a wish that was given up keeps nobody away"
    );
    grip.let_go();
    assert!(biased.pass().is_some());
}

#[test]
fn a_worker_passes_by_while_somebody_has_it() {
    let (biased, mut grip) = (Biased::<u8>::default(), Grip::default());
    let access = biased.lock();
    assert!(biased.hold(&mut grip).is_none());
    assert!(biased.pass().is_none());
    drop(access);
    let access = biased.try_lock().expect("nobody has it");
    assert!(biased.hold(&mut grip).is_none());
    drop(access);
    assert!(biased.hold(&mut grip).is_some());
}

#[test]
fn a_worker_passes_by_while_somebody_waits() {
    let biased = Biased::<u8>::default();
    let (locked, ready) = channel();
    thread::scope(|scope| {
        let first = biased.lock();
        scope.spawn(|| {
            locked.send(()).expect("the test waits");
            drop(biased.lock());
        });
        ready.recv().expect("it is about to wait");
        let mut grip = Grip::default();
        assert!(biased.hold(&mut grip).is_none());
        drop(first);
        while biased.hold(&mut grip).is_none() {
            thread::yield_now();
        }
    });
}

#[test]
fn a_grip_outlives_what_it_grips() {
    let (biased, mut grip) = (Biased::<Vec<u8>>::default(), Grip::default());
    biased.hold(&mut grip).expect("nobody has it").push(1);
    drop(biased);
    grip.let_go();
}

/// Two workers, of which one has it at a time, and those who want it now and then: every one adds one.
#[test]
fn nothing_is_lost_among_many() {
    const EACH: u32 = 2_000;
    let biased = Biased::<u32>::default();
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let (mut grip, mut added) = (Grip::default(), 0);
                while added < EACH {
                    match biased.hold(&mut grip) {
                        Some(sum) => {
                            *sum += 1;
                            added += 1;
                        }
                        None => thread::yield_now(),
                    }
                    if added % 100 == 0 {
                        grip.let_go();
                    }
                }
            });
            scope.spawn(|| {
                for _ in 0..EACH {
                    *biased.lock() += 1;
                }
            });
        }
    });
    assert_eq!(*biased.lock(), 4 * EACH);
}
