//! What of a device's memory its hardware reaches, and who changes that.
//!
//! Owns the snapshot that is in force and the thread's turn to change it. Never knows what hardware does there.

use std::sync::Arc;

use super::lane::{Entry, Reach, Reaching};
use crate::kept::Versioned;
use crate::limits::MAX_REACH;
use crate::mem::GuestMemory;
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicBool, Ordering};

/// A device's memory as its hardware has it.
#[derive(Default)]
pub(super) struct Pinned {
    /// Brings memory within reach; `None`: none ever is.
    by: Option<Arc<dyn Reaching>>,
    /// What is.
    reach: Versioned<Reach>,
    /// Held while that is changed.
    changing: Mutex<()>,
    /// Somebody brings more within reach.
    busy: AtomicBool,
    /// Nothing is brought any more: the device has left its PF.
    closed: AtomicBool,
    /// Why not more.
    unreached: Mutex<Option<String>>,
}

impl Pinned {
    pub(super) fn set_reaching(&mut self, by: Option<Arc<dyn Reaching>>) {
        self.by = by;
    }

    /// Memory can be brought within reach.
    pub(super) const fn is_there(&self) -> bool {
        self.by.is_some()
    }

    /// What is within reach.
    pub(super) const fn reach(&self) -> &Versioned<Reach> {
        &self.reach
    }

    /// Brings the memory that there is now within reach, piece by piece.
    pub(super) fn bring(&self, memory: &GuestMemory) {
        let Some(by) = &self.by else { return };
        let mut why = None;
        // Whoever maps more meanwhile finds somebody at it already; it is looked for as long as some is brought.
        let mut brought = true;
        while std::mem::take(&mut brought) {
            let missing = self.reach.load().missing(&memory.load());
            for block in missing {
                if self.reach.load().count() == MAX_REACH {
                    why.get_or_insert_with(|| {
                        format!("the guest's memory is in more than {MAX_REACH} pieces")
                    });
                    break;
                }
                match Entry::new(block, by.as_ref()) {
                    Ok(entry) => brought |= self.add(entry, memory),
                    Err(error) => {
                        why.get_or_insert(error);
                    }
                }
            }
        }
        *self.unreached.lock() = why;
    }

    /// Has hardware use what was brought within its reach, unless it was unmapped meanwhile: then nobody was told of it,
    /// and it goes.
    fn add(&self, entry: Entry, memory: &GuestMemory) -> bool {
        let _alone = self.changing.lock();
        let mapped = !self.is_closed() && memory.load().blocks().any(|block| entry.is_of(&block));
        if mapped {
            let next = self.reach.load().with(entry);
            self.reach.swap(Arc::new(next));
        }
        mapped
    }

    /// Takes out of reach what is not mapped any more. What was there is returned: to be kept until nobody uses it,
    /// and let go before the client is told.
    pub(super) fn narrow(&self, memory: &GuestMemory) -> Option<Arc<Reach>> {
        self.by.as_ref()?;
        let _alone = self.changing.lock();
        if self.reach.load().is_empty() {
            return None;
        }
        let next = self.reach.load().within(&memory.load());
        Some(self.reach.swap(Arc::new(next)))
    }

    /// Takes everything out of reach, of which nobody but hardware that has ended knows.
    pub(super) fn release(&self) {
        let _alone = self.changing.lock();
        self.reach.swap(Arc::new(Reach::default()));
    }

    /// Whether all memory that there is now is within reach; why not all of it can be, when that was tried.
    ///
    /// # Errors
    /// Why some cannot be.
    pub(super) fn covers(&self, memory: &GuestMemory) -> Result<bool, String> {
        if let Some(why) = self.unreached.lock().clone() {
            return Err(why);
        }
        Ok(self.reach.load().missing(&memory.load()).is_empty())
    }

    /// Bytes within reach, and why not more.
    pub(super) fn account(&self) -> (u64, Option<String>) {
        (self.reach.load().bytes(), self.unreached.lock().clone())
    }

    /// Nothing is brought from here on. True for the first who says so.
    pub(super) fn close(&self) -> bool {
        !self.closed.swap(true, Ordering::AcqRel)
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Somebody is at it now.
    pub(super) fn is_busy(&self) -> bool {
        self.busy.load(Ordering::Acquire)
    }

    /// Says that somebody is; false where somebody is already, or nothing can be brought.
    pub(super) fn begin(&self) -> bool {
        self.by.is_some() && !self.is_closed() && !self.busy.swap(true, Ordering::AcqRel)
    }

    /// It is done.
    pub(super) fn end(&self) {
        self.busy.store(false, Ordering::Release);
    }
}
