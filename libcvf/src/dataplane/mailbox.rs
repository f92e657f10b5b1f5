//! How entries get into the hands of a thread that may be asleep.
//!
//! Whoever posts wakes the thread at most once per sleep; the thread looks for mail without a lock. The
//! mailbox owns what was posted until it is collected, and never drops or doubles an entry.

use std::time::Duration;

use crate::sync::Mutex;
use crate::sync::atomic::{AtomicBool, Ordering};

/// Ends a wait. Rung before the wait or within it, it ends it; a wait may end without.
pub(super) trait Bell {
    fn ring(&self);

    /// Waits for the bell, at most `patience`, and quiets it.
    fn wait(&self, patience: Duration);
}

pub(super) struct Mailbox<T, B> {
    inbox: Mutex<Vec<T>>,
    /// Something was put into the inbox; tells without its lock.
    mail: AtomicBool,
    asleep: AtomicBool,
    stopping: AtomicBool,
    bell: B,
}

impl<T, B: Bell> Mailbox<T, B> {
    pub(super) fn new(bell: B) -> Self {
        Self {
            inbox: Mutex::new(Vec::new()),
            mail: AtomicBool::new(false),
            asleep: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            bell,
        }
    }

    /// Puts an entry in, and wakes the thread if it sleeps.
    pub(super) fn post(&self, entry: T) {
        let mut inbox = self.inbox.lock();
        inbox.push(entry);
        // Under the lock: who finds an entry finds the flag, too, and need not look again and again.
        self.mail.store(true, Ordering::Release);
        drop(inbox);
        // The sleeper raises the flag before it passes the lock: it saw the entry, or is seen here.
        if self.asleep.swap(false, Ordering::AcqRel) {
            self.bell.ring();
        }
    }

    /// Takes what was posted.
    #[inline]
    pub(super) fn collect<E: From<T>>(&self, list: &mut Vec<E>) {
        if self.mail.load(Ordering::Relaxed) {
            // What comes behind the lock raises the flag again.
            self.mail.store(false, Ordering::Relaxed);
            list.extend(self.inbox.lock().drain(..).map(E::from));
        }
    }

    /// Sleeps until something is posted, the thread is stopped or `patience` is over; it may return for
    /// nothing.
    pub(super) fn sleep(&self, patience: impl FnOnce() -> Duration) {
        self.asleep.swap(true, Ordering::AcqRel);
        if self.inbox.lock().is_empty() && !self.stopping() {
            self.bell.wait(patience());
        }
        self.asleep.swap(false, Ordering::AcqRel);
    }

    /// Asks the thread to end.
    pub(super) fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        self.bell.ring();
    }

    #[inline]
    pub(super) fn stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// True while the thread sleeps, as far as one look tells.
    pub(super) fn sleeps(&self) -> bool {
        self.asleep.load(Ordering::Relaxed)
    }

    /// True while the thread sleeps and nothing waits for it.
    pub(super) fn asleep(&self) -> bool {
        self.asleep.load(Ordering::Acquire) && self.inbox.lock().is_empty()
    }
}

#[cfg(all(test, loom))]
pub(super) mod models;
