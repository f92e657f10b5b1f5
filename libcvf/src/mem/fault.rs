//! SIGBUS containment: a client that truncates its memory file costs only its own device.
//!
//! Every mapping of a client's file is entered in a table that the signal handler can read. On a
//! fault inside one the handler replaces the rest of that mapping by private zero pages, marks it
//! and returns; the interrupted copy then goes on over zeroes and the data plane, which compares
//! [`fault_count`] after each burst, stops the device. A fault anywhere else is given back to the
//! default action: it is a bug of ours.
//!
//! Registers of a function are entered, too: the kernel takes them away when the function is reset by somebody else,
//! sleeps or vanishes. An event of theirs is told then ([`Guarded::enter_with_alarm`]).

use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;

use nix::sys::eventfd::EventFd;

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
pub(crate) struct Guarded {
    slot: usize,
    /// Closed once the handler does not find the entry any more.
    _alarm: Option<Arc<EventFd>>,
}

impl Guarded {
    /// Enters `[start, start + len)`, whole pages that are one mapping which only this entry's owner unmaps. `None` when
    /// the table is full.
    pub(crate) fn enter(start: usize, len: usize) -> Option<Self> {
        Self::enter_as(start, len, None)
    }

    /// The same; `alarm` is written to at the first fault.
    pub(crate) fn enter_with_alarm(start: usize, len: usize, alarm: Arc<EventFd>) -> Option<Self> {
        Self::enter_as(start, len, Some(alarm))
    }

    fn enter_as(start: usize, len: usize, alarm: Option<Arc<EventFd>>) -> Option<Self> {
        let event = alarm.as_ref().map(|alarm| alarm.as_fd().as_raw_fd());
        let slot = TABLE.enter((start, len), event, install)?;
        Some(Self {
            slot,
            _alarm: alarm,
        })
    }

    /// True once a fault was contained in this mapping, or it was withdrawn.
    #[inline]
    pub(crate) fn faulted(&self) -> bool {
        TABLE.faulted(self.slot)
    }

    /// Replaces the mapping as a fault would, so that nothing of what was mapped is held or touched any more. False where
    /// the kernel refuses.
    pub(crate) fn withdraw(&self) -> bool {
        TABLE.withdraw(self.slot, replace)
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        TABLE.leave(self.slot);
    }
}

fn install() {
    // SAFETY: `on_sigbus` only touches atomics of static life and calls mmap, write and sigaction, all
    // plain system calls; the action is fully initialised before it is handed over.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = on_sigbus as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_NODEFER;
        libc::sigemptyset(&raw mut action.sa_mask);
        libc::sigaction(libc::SIGBUS, &raw const action, std::ptr::null_mut());
    }
}

/// Puts private zero pages where a mapping is.
fn replace(start: usize, len: usize) -> bool {
    // Huge pages: MAP_FIXED must begin at a huge page boundary of the mapping, so replace all
    // of it; the device is lost anyway.
    // SAFETY: the range is exactly one mapping that an entry's owner made and still owns, so
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
}

/// Tells an event. Safe in a signal handler.
fn tell(alarm: i32) {
    let one = 1u64.to_ne_bytes();
    // SAFETY: the entry's owner keeps the descriptor open for as long as the handler finds the entry, and the bytes are a
    // live local. `write` may be called in a handler, and an event that does not block takes it or is full: told already.
    // What it says in errno is put back: the interrupted thread may be about to read its own.
    unsafe {
        let errno = *libc::__errno_location();
        libc::write(alarm, one.as_ptr().cast(), one.len());
        *libc::__errno_location() = errno;
    }
}

extern "C" fn on_sigbus(_: libc::c_int, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    // SAFETY: with SA_SIGINFO the kernel passes a valid siginfo.
    let address = unsafe { (*info).si_addr() } as usize;
    let contained = TABLE.contain(address, replace, tell);
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
