//! A driver fills a descriptor and writes the tail; the worker reads the tail and looks at the descriptor. What becomes of
//! a tail that is written while the worker lets go of the queue is in the model of its claim, whose ring is a number as this
//! one.

use loom::thread;

use super::*;

/// One descriptor, whose word is a driver's `Relaxed` store as any to memory.
fn look(set: fn(&Tail, u32)) {
    crate::sync::check(move || {
        let (tail, descriptor) = (Tail::new(), Arc::new(AtomicU32::new(0)));
        let (there, word) = (tail.clone(), Arc::clone(&descriptor));
        let driver = thread::spawn(move || {
            word.store(7, Ordering::Relaxed);
            set(&there, 1);
        });
        if tail.get() == 1 {
            assert_eq!(
                descriptor.load(Ordering::Relaxed),
                7,
                "a descriptor of before"
            );
        }
        driver.join().expect("driver");
    });
}

#[test]
fn a_descriptor_is_there_when_the_tail_says_so() {
    look(Tail::set);
}

#[test]
#[should_panic = "a descriptor of before"]
fn the_model_sees_a_store_that_does_not_release() {
    look(|tail, value| match &tail.0 {
        Place::Own(cell) => cell.0.store(value, Ordering::Relaxed),
        Place::Shared(..) => unreachable!("memory that the checker does not see"),
    });
}
