//! A descriptor that was inherited.

use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};

static TAKEN: AtomicBool = AtomicBool::new(false);

/// Takes over the descriptors `first..first + count` that this process was started with. Once in a
/// process; afterwards there are none.
pub(super) fn take(first: RawFd, count: usize) -> Vec<OwnedFd> {
    if TAKEN.swap(true, Ordering::AcqRel) {
        return Vec::new();
    }
    let open = |fd: &RawFd| nix::fcntl::fcntl(borrow(fd), nix::fcntl::FcntlArg::F_GETFD).is_ok();
    (first..)
        .take(count)
        .filter(open)
        // SAFETY: `TAKEN` makes this the only time that these numbers are taken; the caller says that
        // whoever started this process left them to it, so nothing else in it owns them; `open` holds.
        .map(|fd| unsafe { OwnedFd::from_raw_fd(fd) })
        .collect()
}

fn borrow(fd: &RawFd) -> std::os::fd::BorrowedFd<'_> {
    // SAFETY: it is only asked whether it is open; a number that is not gets EBADF. It is not -1: numbers
    // start at 3 here.
    unsafe { std::os::fd::BorrowedFd::borrow_raw(*fd) }
}
