//! Eventfds that came from a client.

use std::os::fd::{AsRawFd, BorrowedFd};

use nix::fcntl::{FcntlArg, OFlag, fcntl, readlink};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::errno::Errno;

/// Whether `fd` is an eventfd, as far as the kernel tells. False where `/proc` cannot be read.
pub fn is_eventfd(fd: BorrowedFd<'_>) -> bool {
    readlink(format!("/proc/self/fd/{}", fd.as_raw_fd()).as_str())
        .is_ok_and(|target| target == "anon_inode:[eventfd]")
}

/// Makes writes to `fd` fail rather than block.
pub(crate) fn set_nonblocking(fd: BorrowedFd<'_>) -> Result<(), Errno> {
    let flags = OFlag::from_bits_retain(fcntl(fd, FcntlArg::F_GETFL)?);
    if !flags.contains(OFlag::O_NONBLOCK) {
        fcntl(fd, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
    }
    Ok(())
}

/// Adds 1 to an eventfd. One that is full is signalled already, so that is success.
///
/// The file is shared with the client, which may fill it at any time: a full one is not written.
///
/// # Errors
/// What writing says.
pub fn signal(fd: BorrowedFd<'_>) -> Result<(), Errno> {
    let mut fds = [PollFd::new(fd, PollFlags::POLLOUT)];
    if poll(&mut fds, PollTimeout::ZERO)? == 0 {
        return Ok(());
    }
    match nix::unistd::write(fd, &1u64.to_ne_bytes()) {
        Ok(_) | Err(nix::errno::Errno::EAGAIN) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}
