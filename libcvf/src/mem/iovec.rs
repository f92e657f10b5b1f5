//! Gathering a frame into one system call.

use std::os::fd::{AsRawFd, BorrowedFd};

use nix::errno::Errno;

use super::slice::ReadSlice;
use crate::limits::MAX_WRITE_PIECES;

/// Writes `header`, `head` and the pieces of `tail` as one frame.
///
/// # Errors
/// What the kernel says; `EMSGSIZE` when the frame has more than 126 pieces. A file that shrinks
/// under a piece gives `EFAULT`, not a signal.
pub fn write_frame<'m>(
    fd: BorrowedFd<'_>,
    header: &'m [u8],
    head: &'m [u8],
    tail: impl Iterator<Item = ReadSlice<'m>>,
) -> Result<usize, Errno> {
    let mut pieces = [libc::iovec {
        iov_base: std::ptr::null_mut(),
        iov_len: 0,
    }; MAX_WRITE_PIECES];
    let mut used = 0;
    let fixed = [ReadSlice::from(header), ReadSlice::from(head)];
    for slice in fixed.into_iter().chain(tail).filter(|s| !s.is_empty()) {
        let (base, len) = slice.as_raw();
        *pieces.get_mut(used).ok_or(Errno::EMSGSIZE)? = libc::iovec {
            iov_base: base.cast_mut().cast(),
            iov_len: len,
        };
        used += 1;
    }
    // SAFETY: the first `used` entries describe memory that is mapped for the lives of the slices,
    // which outlast this call; writev only reads it.
    let wrote = unsafe { libc::writev(fd.as_raw_fd(), pieces.as_ptr(), used as libc::c_int) };
    Errno::result(wrote).map(|n| n as usize)
}
