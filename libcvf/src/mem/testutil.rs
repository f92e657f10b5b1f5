//! Guest memory for tests: a file, and the maps of it.

use std::fs::File;

use nix::sys::memfd::{MFdFlags, memfd_create};

use super::{GuestMemory, MapRequest};

/// Memory of `size` bytes from 0 on, in two maps that meet at `seam`: buffers may cross from one to the
/// other.
pub(crate) fn guest(size: u64, seam: u64) -> (GuestMemory, File) {
    let fd = memfd_create(c"guest", MFdFlags::MFD_CLOEXEC).unwrap();
    nix::unistd::ftruncate(&fd, size as i64).unwrap();
    let memory = GuestMemory::default();
    for (iova, size) in [(0, seam), (seam, size - seam)] {
        let map = MapRequest {
            iova,
            size,
            fd: Some(fd.try_clone().unwrap()),
            fd_offset: iova,
            read: true,
            write: true,
        };
        memory.map(map).unwrap();
    }
    (memory, fd.into())
}
