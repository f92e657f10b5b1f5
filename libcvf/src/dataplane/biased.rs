//! A lock in favour of the one thread that uses its state all the time.
//!
//! A worker looks at its queues millions of times a second, and nobody else does for seconds. Two locked
//! instructions a look are then half of what a look costs. So a worker keeps the lock from one look to the next in
//! a [`Grip`], and asks before each whether somebody else wants it: a plain load. Who wants it says so and waits
//! as for any lock; until it is done the worker passes by. A worker never waits here, and what it has a grip on it lets go
//! of before it sleeps or sends an interrupt.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Instant;

use parking_lot::{ArcMutexGuard, Mutex, MutexGuard, RawMutex};

use crate::sync::atomic::{AtomicU32, Ordering};

/// How many want a lock, or have it, who give it back at once.
#[derive(Debug, Default)]
struct Wanted(AtomicU32);

impl Wanted {
    fn ask(&self) -> Wish<'_> {
        // Not an order of anything: what the state is is ordered by the lock alone.
        self.0.fetch_add(1, Ordering::Relaxed);
        Wish(self)
    }

    #[inline]
    fn by_somebody(&self) -> bool {
        self.0.load(Ordering::Relaxed) != 0
    }
}

/// One of those.
struct Wish<'w>(&'w Wanted);

impl std::ops::Drop for Wish<'_> {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// State of which one thread at a time has a grip.
#[derive(Default)]
pub struct Biased<T> {
    state: Arc<Mutex<T>>,
    wanted: Wanted,
}

impl<T> Biased<T> {
    /// Waits for the state, at most for a turn of the worker that keeps it, and keeps that worker away until it is given back. Not
    /// for a thread that has a grip on it.
    pub fn lock(&self) -> Access<'_, T> {
        let wish = self.wanted.ask();
        Access {
            state: self.state.lock(),
            _wish: wish,
        }
    }

    /// As [`Self::lock`], but waits at most until then; `None`: it was not to be had.
    pub fn try_lock_until(&self, until: Instant) -> Option<Access<'_, T>> {
        let wish = self.wanted.ask();
        Some(Access {
            state: self.state.try_lock_until(until)?,
            _wish: wish,
        })
    }

    /// The state if nobody has it. Asks nobody to give way: a worker that keeps it goes on keeping it.
    pub fn try_lock(&self) -> Option<Access<'_, T>> {
        let state = self.state.try_lock()?;
        Some(Access {
            state,
            _wish: self.wanted.ask(),
        })
    }

    /// The state for one turn, if nobody else wants or has it.
    #[inline]
    pub(super) fn pass(&self) -> Option<MutexGuard<'_, T>> {
        if self.wanted.by_somebody() {
            return None;
        }
        self.state.try_lock()
    }

    /// The state until the grip lets go of it, if nobody else wants or has it: else the grip is lost, and the caller comes
    /// back later.
    #[inline]
    pub(super) fn hold<'g>(&self, grip: &'g mut Grip<T>) -> Option<&'g mut T> {
        if self.wanted.by_somebody() {
            grip.let_go();
        } else if grip.0.is_none() {
            grip.0 = self.state.try_lock_arc();
        }
        grip.0.as_deref_mut()
    }
}

/// The state of a [`Biased`], for a moment: its worker passes it by meanwhile.
pub struct Access<'a, T> {
    // Given back before the wish ends: who passes by meanwhile would find it locked.
    state: MutexGuard<'a, T>,
    _wish: Wish<'a>,
}

impl<T> Deref for Access<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.state
    }
}

impl<T> DerefMut for Access<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.state
    }
}

/// A thread's hold on the state of one [`Biased`], or none. It keeps the state alive.
pub(super) struct Grip<T>(Option<ArcMutexGuard<RawMutex, T>>);

impl<T> Default for Grip<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T> Grip<T> {
    #[inline]
    pub(super) fn let_go(&mut self) {
        self.0 = None;
    }
}

#[cfg(all(test, loom))]
mod models;
#[cfg(test)]
mod tests;
