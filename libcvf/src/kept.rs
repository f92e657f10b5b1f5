//! Shared state that its readers keep from one look to the next.
//!
//! A reader of [`Versioned`] compares one number and, most of the time, goes on with what it has: no
//! reference is counted. What it keeps stays alive for that long, so whoever keeps something says when it
//! lets go.

use std::sync::Arc;

use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::{ArcSwap, Guard};

/// What a state is called while it is being replaced: what is there then has no name yet.
const CHANGING: u64 = 0;

/// Never given out twice, so that what is kept of one state is not taken for another's.
fn next_version() -> u64 {
    static VERSION: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
    VERSION.fetch_add(1, Ordering::Relaxed)
}

/// State that is replaced as a whole. Writers take turns among themselves.
#[derive(Debug)]
pub(crate) struct Versioned<T> {
    current: ArcSwap<T>,
    version: AtomicU64,
}

impl<T: Default> Default for Versioned<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> Versioned<T> {
    pub(crate) fn new(value: T) -> Self {
        Self {
            current: ArcSwap::from_pointee(value),
            version: AtomicU64::new(next_version()),
        }
    }

    /// What there is at this moment.
    #[inline]
    pub(crate) fn load(&self) -> Guard<Arc<T>> {
        self.current.load()
    }

    /// The same, to be held for long.
    pub(crate) fn load_full(&self) -> Arc<T> {
        self.current.load_full()
    }

    /// Replaces it; returns what there was.
    pub(crate) fn swap(&self, value: Arc<T>) -> Arc<T> {
        // Whoever finds the new state sees from here on that the old name is not its.
        self.version.store(CHANGING, Ordering::Relaxed);
        let before = self.current.swap(value);
        // Whoever sees this number finds the new state.
        self.version.store(next_version(), Ordering::Release);
        before
    }

    /// What there is, or was when `kept` was filled and nothing has replaced it since. Whoever is told
    /// of a replacement by other means, a lock for instance, sees it.
    #[inline(always)]
    pub(crate) fn keep<'k>(&self, kept: &'k mut Kept<T>) -> &'k Arc<T> {
        self.keep_named(kept).0
    }

    /// The same, with a number that no other state ever has; 0 for what is being replaced right now.
    #[inline(always)]
    pub(crate) fn keep_named<'k>(&self, kept: &'k mut Kept<T>) -> (&'k Arc<T>, u64) {
        let version = self.version.load(Ordering::Acquire);
        if kept.version != version || version == CHANGING {
            self.renew(kept, version);
        }
        let value = kept.value.get_or_insert_with(|| self.load_full());
        (value, kept.version)
    }

    #[cold]
    fn renew(&self, kept: &mut Kept<T>, version: u64) {
        kept.value = Some(self.load_full());
        // Replaced in between: it may be the one or the other.
        let same = self.version.load(Ordering::Relaxed) == version;
        kept.version = if same { version } else { CHANGING };
    }
}

/// What a reader keeps.
#[derive(Debug)]
pub(crate) struct Kept<T> {
    version: u64,
    value: Option<Arc<T>>,
}

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self {
            version: CHANGING,
            value: None,
        }
    }
}

impl<T> Kept<T> {
    /// Lets go of it if it is no longer what `of` has.
    #[inline]
    pub(crate) fn forget_if_old(&mut self, of: &Versioned<T>) {
        if self.version != of.version.load(Ordering::Acquire) {
            *self = Self::default();
        }
    }
}

#[cfg(all(test, loom))]
mod models;
#[cfg(test)]
mod tests;
