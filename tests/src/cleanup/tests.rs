use super::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

#[test]
fn an_undoing_runs_once_when_its_guard_goes() {
    let count = Arc::new(AtomicUsize::new(0));
    let inner = Arc::clone(&count);
    let guard = on_drop(move || {
        inner.fetch_add(1, Ordering::Relaxed);
    });
    assert_eq!(count.load(Ordering::Relaxed), 0);
    drop(guard);
    assert_eq!(count.load(Ordering::Relaxed), 1);
}

#[test]
fn an_undoing_may_register_and_drop_others() {
    let outer = on_drop(|| drop(on_drop(|| {})));
    drop(outer);
}
