//! SIGBUS containment: a client that truncates its memory file costs only its own device.
//!
//! Every mapping of a client's file is entered in a table that the signal handler can read. On a
//! fault inside one the handler replaces the rest of that mapping by private zero pages, marks it
//! and returns; the interrupted copy then goes on over zeroes and the data plane, which compares
//! [`fault_count`] after each burst, stops the device. A fault anywhere else is given back to the
//! default action: it is a bug of ours.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering, fence};

use parking_lot::Mutex;

use crate::limits::MAX_FILE_MAPPINGS;

struct Slot {
    /// Odd while the range changes, so that the handler never takes one slot's start with the length
    /// of its next owner: it would put zero pages over somebody else's memory.
    version: AtomicUsize,
    start: AtomicUsize,
    len: AtomicUsize,
    faulted: AtomicBool,
}

static SLOTS: [Slot; MAX_FILE_MAPPINGS] = [const {
    Slot {
        version: AtomicUsize::new(0),
        start: AtomicUsize::new(0),
        len: AtomicUsize::new(0),
        faulted: AtomicBool::new(false),
    }
}; MAX_FILE_MAPPINGS];
/// Slots below this index may be in use; keeps the handler's scan and the page footprint short.
static HIGH_WATER: AtomicUsize = AtomicUsize::new(0);
static FAULTS: AtomicU64 = AtomicU64::new(0);
static FREE: Mutex<Free> = Mutex::new(Free {
    returned: Vec::new(),
    installed: false,
});

impl Slot {
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

struct Free {
    returned: Vec<usize>,
    installed: bool,
}

/// How many faults were contained since the process started. Monotone; cheap enough for every burst.
pub fn fault_count() -> u64 {
    FAULTS.load(Ordering::Relaxed)
}

/// An entry of the table; the mapping it describes must outlive it.
#[derive(Debug)]
pub(super) struct Guarded {
    slot: usize,
}

impl Guarded {
    /// Enters `[start, start + len)`. `None` when the table is full.
    pub(super) fn enter(start: usize, len: usize) -> Option<Self> {
        let mut free = FREE.lock();
        if !free.installed {
            install();
            free.installed = true;
        }
        let slot = match free.returned.pop() {
            Some(slot) => slot,
            None => {
                let next = HIGH_WATER.load(Ordering::Relaxed);
                if next == MAX_FILE_MAPPINGS {
                    return None;
                }
                HIGH_WATER.store(next + 1, Ordering::Release);
                next
            }
        };
        let entry = &SLOTS[slot];
        entry.faulted.store(false, Ordering::Relaxed);
        entry.set(start, len);
        Some(Self { slot })
    }

    /// True once a fault was contained in this mapping.
    pub(super) fn faulted(&self) -> bool {
        SLOTS[self.slot].faulted.load(Ordering::Relaxed)
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        SLOTS[self.slot].set(0, 0);
        FREE.lock().returned.push(self.slot);
    }
}

fn install() {
    // SAFETY: `on_sigbus` only touches atomics of static life and calls mmap and sigaction, both
    // plain system calls; the action is fully initialised before it is handed over.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = on_sigbus as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_NODEFER;
        libc::sigemptyset(&raw mut action.sa_mask);
        libc::sigaction(libc::SIGBUS, &raw const action, std::ptr::null_mut());
    }
}

extern "C" fn on_sigbus(_: libc::c_int, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    // SAFETY: with SA_SIGINFO the kernel passes a valid siginfo.
    let address = unsafe { (*info).si_addr() } as usize;
    for slot in &SLOTS[..HIGH_WATER.load(Ordering::Acquire)] {
        // The slot of the mapping that faulted does not change: whoever touches it keeps it.
        let Some((start, len)) = slot.get() else {
            continue;
        };
        if len == 0 || address < start || address - start >= len {
            continue;
        }
        // Huge pages: MAP_FIXED must begin at a huge page boundary of the mapping, so replace all
        // of it; the device is lost anyway.
        // SAFETY: the range is exactly one mapping that `MappedFile` made and still owns, so
        // replacing it touches no memory of anybody else; raw pointers into it stay mapped.
        let replaced = unsafe {
            libc::mmap(
                start as *mut libc::c_void,
                len,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED | libc::MAP_NORESERVE,
                -1,
                0,
            )
        };
        if replaced != libc::MAP_FAILED {
            slot.faulted.store(true, Ordering::Relaxed);
            FAULTS.fetch_add(1, Ordering::Relaxed);
            return;
        }
    }
    // SAFETY: restoring the default action; the faulting access runs again and ends the process.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = libc::SIG_DFL;
        libc::sigaction(libc::SIGBUS, &raw const action, std::ptr::null_mut());
    }
}
