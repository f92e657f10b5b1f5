//! Registration of a descriptor with the runtime.

use std::io;
use std::os::fd::OwnedFd;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// `fd`, watched for becoming readable. Needs a tokio runtime around it.
///
/// # Errors
/// It cannot be watched.
pub(super) fn watch(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` is an open descriptor that stays the same and open until it is dropped,
    // and the `AsyncFd` owns it from here on; nothing in this crate replaces it in there.
    let watched = unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) };
    watched.map_err(io::Error::from)
}
