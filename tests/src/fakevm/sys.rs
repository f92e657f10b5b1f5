//! System calls that need care: maps of files and descriptors that come with messages.

use std::io::{self, IoSlice, IoSliceMut};
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::ptr::NonNull;
use std::sync::Arc;

use nix::libc::off_t;
use nix::sys::mman::{self, MapFlags, ProtFlags};
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, UnixAddr, recvmsg, sendmsg};

use super::limits::MAX_MESSAGE_FDS;

/// Memory mapped into this process; unmapped when its last user lets go.
#[derive(Debug)]
pub struct Mapping {
    addr: NonNull<u8>,
    len: usize,
}

// SAFETY: a `Mapping` owns address space, not data of a thread; all access to the bytes goes
// through `mem::Shared`, which uses atomics and raw copies and never makes references.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps `len` bytes of `fd` from `offset`, shared with everybody who maps the file.
    pub fn shared(fd: impl AsFd, offset: u64, len: usize) -> io::Result<Arc<Self>> {
        Self::file(fd, offset, len, MapFlags::MAP_SHARED)
    }

    /// Maps `len` bytes of `fd` copy-on-write: what is written here, no other map sees.
    pub fn private(fd: impl AsFd, offset: u64, len: usize) -> io::Result<Arc<Self>> {
        Self::file(fd, offset, len, MapFlags::MAP_PRIVATE)
    }

    /// Maps anonymous memory, which no other process can reach.
    pub fn anonymous(len: usize) -> io::Result<Arc<Self>> {
        let size = NonZeroUsize::new(len).ok_or(io::ErrorKind::InvalidInput)?;
        let prot = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: the kernel chooses the place (no MAP_FIXED), so no existing map is replaced.
        let addr = unsafe { mman::mmap_anonymous(None, size, prot, MapFlags::MAP_PRIVATE) }?;
        Ok(Arc::new(Mapping {
            addr: addr.cast(),
            len,
        }))
    }

    fn file(fd: impl AsFd, offset: u64, len: usize, flags: MapFlags) -> io::Result<Arc<Self>> {
        let size = NonZeroUsize::new(len).ok_or(io::ErrorKind::InvalidInput)?;
        let offset = off_t::try_from(offset).map_err(|_| io::ErrorKind::InvalidInput)?;
        let prot = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: the kernel chooses the place (no MAP_FIXED), so no existing map is replaced.
        let addr = unsafe { mman::mmap(None, size, prot, flags, fd, offset) }?;
        Ok(Arc::new(Mapping {
            addr: addr.cast(),
            len,
        }))
    }

    /// First byte of the map.
    pub fn as_ptr(&self) -> *mut u8 {
        self.addr.as_ptr()
    }

    /// Bytes of the map.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Never true: empty maps cannot be made.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: address and length are what mmap returned, and nobody else unmaps them. Every
        // `mem::Shared` into the map holds an `Arc` of it, so none is left.
        let _ = unsafe { mman::munmap(self.addr.cast(), self.len) };
    }
}

/// Sends bytes, and descriptors with the first of them. Returns how many bytes were taken.
pub fn send_with_fds(
    socket: &UnixStream,
    data: &[IoSlice<'_>],
    fds: &[RawFd],
    flags: MsgFlags,
) -> io::Result<usize> {
    let rights = [ControlMessage::ScmRights(fds)];
    let rights = if fds.is_empty() {
        &rights[..0]
    } else {
        &rights[..]
    };
    let flags = flags | MsgFlags::MSG_NOSIGNAL;
    Ok(sendmsg::<UnixAddr>(
        socket.as_raw_fd(),
        data,
        rights,
        flags,
        None,
    )?)
}

/// Receives bytes, and the descriptors that came with them. 0 bytes mean the peer has closed.
pub fn recv_with_fds(
    socket: &UnixStream,
    data: &mut [u8],
    flags: MsgFlags,
) -> io::Result<(usize, Vec<OwnedFd>)> {
    let mut space = nix::cmsg_space!([RawFd; MAX_MESSAGE_FDS]);
    let mut iov = [IoSliceMut::new(data)];
    let flags = flags | MsgFlags::MSG_CMSG_CLOEXEC;
    let message = recvmsg::<UnixAddr>(socket.as_raw_fd(), &mut iov, Some(&mut space), flags)?;
    let mut fds = Vec::new();
    for control in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(raw) = control {
            for fd in raw {
                // SAFETY: the kernel has just installed this descriptor for us and nobody else
                // in this process knows of it.
                fds.push(unsafe { OwnedFd::from_raw_fd(fd) });
            }
        }
    }
    Ok((message.bytes, fds))
}
