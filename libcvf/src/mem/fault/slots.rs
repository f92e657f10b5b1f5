//! The table of mappings that the signal handler reads.
//!
//! It owns the entries and says which of them a faulting address belongs to. It maps nothing itself. What a
//! handler calls takes no lock and does not allocate.

use std::ops::Deref;

use crate::sync::Mutex;
use crate::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, AtomicUsize, Ordering, fence};
use crate::sync::constant;

pub(super) struct Slot {
    /// Odd while the range changes, so that the handler never takes one slot's start with the length
    /// of its next owner: it would put zero pages over somebody else's memory.
    version: AtomicUsize,
    start: AtomicUsize,
    len: AtomicUsize,
    /// Set before what faulted is replaced: whoever reads the replacement finds it.
    faulted: AtomicBool,
    /// One more than the descriptor of an event that is told of the first fault; 0: none, so that a table that nobody
    /// uses is all zeroes and takes no room.
    alarm: AtomicI32,
}

impl Slot {
    constant! {
        pub(super) fn new() -> Self {
            Self {
                version: AtomicUsize::new(0),
                start: AtomicUsize::new(0),
                len: AtomicUsize::new(0),
                faulted: AtomicBool::new(false),
                alarm: AtomicI32::new(0),
            }
        }
    }

    fn set(&self, start: usize, len: usize) {
        self.version.fetch_add(1, Ordering::Relaxed);
        fence(Ordering::Release);
        self.start.store(start, Ordering::Relaxed);
        self.len.store(len, Ordering::Relaxed);
        self.version.fetch_add(1, Ordering::Release);
    }

    /// Start and length that belong together; `None` while they change. Safe in a signal handler.
    fn get(&self) -> Option<(usize, usize)> {
        let before = self.version.load(Ordering::Acquire);
        let range = (
            self.start.load(Ordering::Relaxed),
            self.len.load(Ordering::Relaxed),
        );
        fence(Ordering::Acquire);
        let after = self.version.load(Ordering::Relaxed);
        (before == after && before.is_multiple_of(2)).then_some(range)
    }
}

/// Slots, and which of them are free.
pub(super) struct Table<S = &'static [Slot]> {
    slots: S,
    /// Slots below this index may be in use; keeps the handler's scan and the page footprint short.
    high_water: AtomicUsize,
    faults: AtomicU64,
    free: Mutex<Free>,
}

struct Free {
    returned: Vec<usize>,
    installed: bool,
}

impl<S> Table<S> {
    constant! {
        /// A table of `slots`, which are empty.
        pub(super) fn new(slots: S) -> Self {
            Self {
                slots,
                high_water: AtomicUsize::new(0),
                faults: AtomicU64::new(0),
                free: Mutex::new(Free {
                    returned: Vec::new(),
                    installed: false,
                }),
            }
        }
    }

    /// Faults contained so far.
    pub(super) fn faults(&self) -> u64 {
        self.faults.load(Ordering::Relaxed)
    }
}

impl<S: Deref<Target = [Slot]>> Table<S> {
    /// Enters `[start, start + len)`, of whose first fault `alarm` is told; `install` is called before the first entry.
    /// `None` when the table is full.
    pub(super) fn enter(
        &self,
        (start, len): (usize, usize),
        alarm: Option<i32>,
        install: fn(),
    ) -> Option<usize> {
        let mut free = self.free.lock();
        if !free.installed {
            install();
            free.installed = true;
        }
        let slot = match free.returned.pop() {
            Some(slot) => slot,
            None => {
                let next = self.high_water.load(Ordering::Relaxed);
                if next == self.slots.len() {
                    return None;
                }
                self.high_water.store(next + 1, Ordering::Release);
                next
            }
        };
        let entry = &self.slots[slot];
        entry.faulted.store(false, Ordering::Relaxed);
        let alarm = alarm.map_or(0, |descriptor| descriptor + 1);
        entry.alarm.store(alarm, Ordering::Relaxed);
        entry.set(start, len);
        Some(slot)
    }

    /// Takes an entry out; its range is still mapped.
    pub(super) fn leave(&self, slot: usize) {
        self.slots[slot].set(0, 0);
        self.free.lock().returned.push(slot);
    }

    /// True once a fault was contained in this slot's mapping.
    pub(super) fn faulted(&self, slot: usize) -> bool {
        self.slots[slot].faulted.load(Ordering::Relaxed)
    }

    /// Replaces a slot's mapping as a fault would, without one; false when `replace` fails. By who has the entry.
    pub(super) fn withdraw(&self, slot: usize, replace: impl Fn(usize, usize) -> bool) -> bool {
        let slot = &self.slots[slot];
        let Some((start, len)) = slot.get() else {
            return false;
        };
        slot.faulted.store(true, Ordering::Release);
        replace(start, len)
    }

    /// The handler's part: has the mapping in which `address` lies replaced, and of the first fault in it its alarm told.
    /// False when there is none, or `replace` fails.
    pub(super) fn contain(
        &self,
        address: usize,
        replace: impl Fn(usize, usize) -> bool,
        tell: impl Fn(i32),
    ) -> bool {
        for slot in &self.slots[..self.high_water.load(Ordering::Acquire)] {
            // The slot of the mapping that faulted does not change: whoever touches it keeps it.
            let Some((start, len)) = slot.get() else {
                continue;
            };
            if len == 0 || address < start || address - start >= len {
                continue;
            }
            let first = !slot.faulted.swap(true, Ordering::Release);
            if replace(start, len) {
                self.faults.fetch_add(1, Ordering::Relaxed);
                let alarm = slot.alarm.load(Ordering::Relaxed);
                if first && alarm > 0 {
                    tell(alarm - 1);
                }
                return true;
            }
        }
        false
    }
}

#[cfg(all(test, loom))]
mod models;
