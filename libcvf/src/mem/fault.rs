//! SIGBUS containment: a client that truncates its memory file costs only its own device.
//!
//! Every mapping of a client's file is entered in a table that the signal handler can read. On a
//! fault inside one the handler replaces the rest of that mapping by private zero pages, marks it
//! and returns; the interrupted copy then goes on over zeroes and the data plane, which compares
//! [`fault_count`] after each burst, stops the device. A fault anywhere else is given back to the
//! default action: it is a bug of ours.

use self::slots::{Slot, Table};
#[cfg(not(loom))]
use crate::limits::MAX_FILE_MAPPINGS;

mod slots;

#[cfg(not(loom))]
static SLOTS: [Slot; MAX_FILE_MAPPINGS] = [const { Slot::new() }; MAX_FILE_MAPPINGS];
#[cfg(not(loom))]
static TABLE: Table = Table::new(&SLOTS);
/// The model checker's atomics cannot be static: models have tables of their own, this one has no room.
#[cfg(loom)]
static TABLE: std::sync::LazyLock<Table<Vec<Slot>>> =
    std::sync::LazyLock::new(|| Table::new(Vec::new()));

/// How many faults were contained since the process started. Monotone; cheap enough for every burst.
pub fn fault_count() -> u64 {
    TABLE.faults()
}

/// An entry of the table; the mapping it describes must outlive it.
#[derive(Debug)]
pub(super) struct Guarded {
    slot: usize,
}

impl Guarded {
    /// Enters `[start, start + len)`. `None` when the table is full.
    pub(super) fn enter(start: usize, len: usize) -> Option<Self> {
        let slot = TABLE.enter(start, len, install)?;
        Some(Self { slot })
    }

    /// True once a fault was contained in this mapping.
    pub(super) fn faulted(&self) -> bool {
        TABLE.faulted(self.slot)
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        TABLE.leave(self.slot);
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
    let contained = TABLE.contain(address, |start, len| {
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
        replaced != libc::MAP_FAILED
    });
    if contained {
        return;
    }
    // SAFETY: restoring the default action; the faulting access runs again and ends the process.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = libc::SIG_DFL;
        libc::sigaction(libc::SIGBUS, &raw const action, std::ptr::null_mut());
    }
}
