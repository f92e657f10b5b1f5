//! The two system calls that carry file descriptors. The crate's only unsafe code.

#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::Arc;

use crate::limits::SCM_MAX_FD;

const FD_BYTES: usize = size_of::<RawFd>();
// Room for as many descriptors as the kernel delivers at once, so that none are cut off for want of
// room: CMSG_SPACE(SCM_MAX_FD * 4) = 16 + 1016 on 64-bit, in units that align a cmsghdr.
const CONTROL_WORDS: usize = (16 + SCM_MAX_FD * FD_BYTES).div_ceil(8) + 4;

/// A buffer aligned for `cmsghdr`.
struct Control([u64; CONTROL_WORDS]);

/// What one `recvmsg` returned.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) bytes: usize,
    pub(crate) fds: Vec<OwnedFd>,
    pub(crate) fds_lost: bool,
}

/// Receives without blocking. Descriptors are close-on-exec from the start.
pub(crate) fn recv(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<Received> {
    let mut control = Control([0; CONTROL_WORDS]);
    let mut iov = libc::iovec {
        iov_base: buffer.as_mut_ptr().cast(),
        iov_len: buffer.len(),
    };
    // SAFETY: all-zero bytes are a valid msghdr: integers and null pointers.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &raw mut iov;
    message.msg_iovlen = 1;
    message.msg_control = control.0.as_mut_ptr().cast();
    message.msg_controllen = size_of_val(&control.0) as _;
    let flags = libc::MSG_DONTWAIT | libc::MSG_CMSG_CLOEXEC;
    // SAFETY: the header points at one iovec over `buffer` and at `control`, both of which we borrow
    // mutably until after the last use of `message`.
    let bytes = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, flags) };
    let bytes = usize::try_from(bytes).map_err(|_| io::Error::last_os_error())?;
    // SAFETY: the kernel has filled `message` and `control`; each descriptor there is new and ours.
    let fds = unsafe { take_fds(&message) };
    Ok(Received {
        bytes,
        fds,
        fds_lost: message.msg_flags & libc::MSG_CTRUNC != 0,
    })
}

/// Collects the descriptors of a received message.
///
/// # Safety
/// `message` was filled by a successful `recvmsg` and its control buffer is alive; called once.
unsafe fn take_fds(message: &libc::msghdr) -> Vec<OwnedFd> {
    let mut fds = Vec::new();
    // SAFETY: the control buffer is alive and was filled by the kernel, so walking it with the CMSG
    // macros stays inside `msg_controllen`.
    let mut header = unsafe { libc::CMSG_FIRSTHDR(message) };
    while !header.is_null() {
        // SAFETY: not null, so it points at a complete cmsghdr in the control buffer, which is
        // aligned for it.
        let (level, kind, length) = unsafe {
            (
                (*header).cmsg_level,
                (*header).cmsg_type,
                (*header).cmsg_len,
            )
        };
        if level == libc::SOL_SOCKET && kind == libc::SCM_RIGHTS {
            // SAFETY: computes a constant from its argument.
            let head = unsafe { libc::CMSG_LEN(0) } as usize;
            // SAFETY: `header` is valid, see above; the data follows it.
            let data = unsafe { libc::CMSG_DATA(header) };
            for index in 0..length.saturating_sub(head) / FD_BYTES {
                // SAFETY: the kernel wrote `length - head` bytes of descriptors here.
                let fd = unsafe { data.add(index * FD_BYTES).cast::<[u8; FD_BYTES]>().read() };
                // SAFETY: the kernel has just installed this descriptor for us and nobody else
                // knows of it.
                fds.push(unsafe { OwnedFd::from_raw_fd(RawFd::from_ne_bytes(fd)) });
            }
        }
        // SAFETY: `header` came from this walk over the same message.
        header = unsafe { libc::CMSG_NXTHDR(message, header) };
    }
    fds
}

/// Sends without blocking; `fds` go with the first byte. Returns how many bytes were taken; if any,
/// all descriptors were.
pub(crate) fn send(
    socket: BorrowedFd<'_>,
    bytes: &[u8],
    fds: &[Arc<OwnedFd>],
) -> io::Result<usize> {
    if fds.len() > SCM_MAX_FD {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut control = Control([0; CONTROL_WORDS]);
    let mut iov = libc::iovec {
        iov_base: bytes.as_ptr().cast_mut().cast(),
        iov_len: bytes.len(),
    };
    // SAFETY: all-zero bytes are a valid msghdr: integers and null pointers.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &raw mut iov;
    message.msg_iovlen = 1;
    if !fds.is_empty() {
        let length = (fds.len() * FD_BYTES) as libc::c_uint;
        message.msg_control = control.0.as_mut_ptr().cast();
        // SAFETY: computes a size from its argument; at most SCM_MAX_FD descriptors fit `control`.
        message.msg_controllen = unsafe { libc::CMSG_SPACE(length) } as _;
        // SAFETY: the control buffer is alive, zeroed, aligned and has room for one header with
        // `length` bytes, so the header is not null and its data lies inside.
        unsafe {
            let header = libc::CMSG_FIRSTHDR(&raw const message);
            (*header).cmsg_level = libc::SOL_SOCKET;
            (*header).cmsg_type = libc::SCM_RIGHTS;
            (*header).cmsg_len = libc::CMSG_LEN(length) as _;
            let data = libc::CMSG_DATA(header);
            for (index, fd) in fds.iter().enumerate() {
                let fd = fd.as_raw_fd().to_ne_bytes();
                data.add(index * FD_BYTES)
                    .cast::<[u8; FD_BYTES]>()
                    .write(fd);
            }
        }
    }
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    // SAFETY: the header points at one iovec over `bytes`, which the kernel only reads, and at
    // `control`; both outlive the call.
    let sent = unsafe { libc::sendmsg(socket.as_raw_fd(), &raw const message, flags) };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

#[cfg(test)]
mod tests;
