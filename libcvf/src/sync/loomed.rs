//! The model checker's types behind the names and signatures of the real ones.

use std::cell::Cell;
use std::sync::Arc;

pub(crate) use arc_swap::Guard;

pub(crate) mod atomic {
    pub(crate) use super::fence;
    pub(crate) use loom::sync::atomic::{
        AtomicBool, AtomicI32, AtomicU8, AtomicU16, AtomicU32, AtomicU64, AtomicUsize, Ordering,
    };
}

/// Threads change in so many places where they need not, at most: every mistake that was
/// made on purpose is found with it, in seconds. `LOOM_MAX_PREEMPTIONS` asks for another bound.
const PREEMPTIONS: usize = 3;

/// Runs a model through every order of its steps, within that bound.
#[cfg(test)]
pub(crate) fn check(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(Some(PREEMPTIONS));
    builder.check(model);
}

thread_local! {
    /// The model checker's threads are coroutines of one thread, so this is one model's.
    static FENCED: Cell<bool> = const { Cell::new(true) };
}

/// `std::sync::atomic::fence`, unless a model leaves fences out.
pub(crate) fn fence(order: atomic::Ordering) {
    if FENCED.get() {
        loom::sync::atomic::fence(order);
    }
}

/// Checks a model whose fences do nothing. It has to fail, or the model does not see what they are for.
#[cfg(test)]
pub(crate) fn without_fences(model: impl FnOnce()) {
    struct Again;
    impl Drop for Again {
        fn drop(&mut self) {
            FENCED.set(true);
        }
    }
    FENCED.set(false);
    let _again = Again;
    model();
}

/// A lock with `parking_lot`'s signatures.
#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

pub(crate) type MutexGuard<'a, T> = loom::sync::MutexGuard<'a, T>;

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(loom::sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().expect("no model poisons a lock")
    }
}

/// Stands in for `arc-swap`: assumed of it is only that a swap releases, that a load acquires, and that
/// what was loaded stays alive. States are kept until the end of the model.
#[derive(Debug)]
pub(crate) struct ArcSwap<T> {
    current: atomic::AtomicUsize,
    /// Never contended: nobody waits for another thread of the model while it is locked.
    states: std::sync::Mutex<Vec<Arc<T>>>,
}

impl<T> ArcSwap<T> {
    pub(crate) fn from_pointee(value: T) -> Self {
        Self {
            current: atomic::AtomicUsize::new(0),
            states: std::sync::Mutex::new(vec![Arc::new(value)]),
        }
    }

    fn state(&self, at: usize) -> Arc<T> {
        Arc::clone(&self.states.lock().expect("not poisoned")[at])
    }

    pub(crate) fn load(&self) -> Guard<Arc<T>> {
        Guard::from_inner(self.load_full())
    }

    pub(crate) fn load_full(&self) -> Arc<T> {
        self.state(self.current.load(atomic::Ordering::Acquire))
    }

    pub(crate) fn store(&self, value: Arc<T>) {
        drop(self.swap(value));
    }

    pub(crate) fn swap(&self, value: Arc<T>) -> Arc<T> {
        let new = {
            let mut states = self.states.lock().expect("not poisoned");
            states.push(value);
            states.len() - 1
        };
        self.state(self.current.swap(new, atomic::Ordering::AcqRel))
    }
}

impl<T: Default> Default for ArcSwap<T> {
    fn default() -> Self {
        Self::from_pointee(T::default())
    }
}
