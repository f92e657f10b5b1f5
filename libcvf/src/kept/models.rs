use loom::thread;
use std::sync::Arc;

use super::*;

/// One writer, one reader that looks three times: a name belongs to one state, and whoever hears of a
/// replacement by other means sees it.
#[test]
fn a_name_belongs_to_one_state() {
    crate::sync::check(|| {
        let source = Arc::new(Versioned::new(0_u64));
        let told = Arc::new(AtomicU64::new(0));
        let (to, by) = (Arc::clone(&source), Arc::clone(&told));
        let writer = thread::spawn(move || {
            to.swap(Arc::new(1));
            by.store(1, Ordering::Release);
            to.swap(Arc::new(2));
        });
        let mut kept = Kept::default();
        let mut named: Vec<(u64, u64)> = Vec::new();
        let mut last = 0;
        for _ in 0..3 {
            let heard = told.load(Ordering::Acquire);
            let (value, name) = source.keep_named(&mut kept);
            assert!(**value >= heard, "{value} after {heard}");
            assert!(**value >= last, "{value} after {last}");
            last = **value;
            if name != CHANGING {
                let same = named.iter().find(|(known, _)| *known == name);
                assert_eq!(same.map_or(last, |(_, value)| *value), last);
                named.push((name, last));
            }
        }
        writer.join().expect("writer");
        assert_eq!(**source.keep(&mut kept), 2);
    });
}

/// What quiescence rests on: after the change was published and the lock was passed, no burst, which
/// holds the lock, uses the state before it, and nobody keeps it.
#[test]
fn whoever_passes_the_lock_ends_the_use_of_the_state_before() {
    crate::sync::check(|| {
        let source = Arc::new(Versioned::new(0_u64));
        let queue = Arc::new(crate::sync::Mutex::new(Kept::default()));
        let gone = Arc::new(AtomicU64::new(0));
        let (of, at, unmapped) = (Arc::clone(&source), Arc::clone(&queue), Arc::clone(&gone));
        let worker = thread::spawn(move || {
            for _ in 0..2 {
                let mut kept = at.lock();
                let used = **of.keep(&mut kept);
                // `Relaxed`: the promise must not rest on this look.
                let gone = unmapped.load(Ordering::Relaxed);
                assert!(used >= gone, "memory {used} is used after it went");
            }
        });
        let before = source.swap(Arc::new(1));
        queue.lock().forget_if_old(&source);
        // The source's stand-in, `before`, nobody else.
        assert_eq!(Arc::strong_count(&before), 2, "kept");
        gone.store(1, Ordering::Relaxed);
        worker.join().expect("worker");
    });
}

/// The same without passing the lock is seen to fail.
#[test]
#[should_panic = "is used after it went"]
fn the_model_sees_a_lock_that_is_not_passed() {
    crate::sync::check(|| {
        let source = Arc::new(Versioned::new(0_u64));
        let gone = Arc::new(AtomicU64::new(0));
        let (of, unmapped) = (Arc::clone(&source), Arc::clone(&gone));
        let worker = thread::spawn(move || {
            let mut kept = Kept::default();
            let used = **of.keep(&mut kept);
            let gone = unmapped.load(Ordering::Relaxed);
            assert!(used >= gone, "memory {used} is used after it went");
        });
        source.swap(Arc::new(1));
        gone.store(1, Ordering::Relaxed);
        worker.join().expect("worker");
    });
}
