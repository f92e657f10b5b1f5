//! One mapping of a client's memory file.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use nix::errno::Errno;
use nix::sys::statfs::{FsType, HUGETLBFS_MAGIC, TMPFS_MAGIC, fstatfs};
use vm_memory::FileOffset;
use vm_memory::mmap::{MmapRegion, MmapRegionError};

use super::fault::Guarded;
use super::space::Reserved;
use crate::limits::{MAX_DEVICE_FILE_SPACE, MAX_DEVICE_FILES, MAX_WHOLE_FILE_MAP};

/// Why a file cannot back guest memory here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// The file could block a worker or vanish: a disk file, FUSE, a device.
    #[error(
        "its file is not a memfd, tmpfs or hugetlbfs file (file system type {0:#x}): \
         use a memory-backend-memfd with share=on"
    )]
    Kind(i64),
    /// The range lies beyond the file's end.
    #[error("bytes {offset:#x}+{size:#x} lie beyond the end of its file of {len:#x} bytes")]
    PastEnd {
        /// Offset of the map in the file.
        offset: u64,
        /// Size of the map.
        size: u64,
        /// Length of the file.
        len: u64,
    },
    /// A system call failed.
    #[error("{call} failed: {errno}")]
    System {
        /// Its name.
        call: &'static str,
        /// What it returned.
        errno: nix::errno::Errno,
    },
    /// The process-wide table of mappings is full.
    #[error(
        "this daemon holds its limit of {} memory files",
        crate::limits::MAX_FILE_MAPPINGS
    )]
    TooMany,
    /// The device's share of mappings is used up.
    #[error(
        "the device holds its limit of {MAX_DEVICE_FILES} memory files: unmap what lies in others, \
         or use fewer and larger files"
    )]
    DeviceFiles,
    /// The device's share of address space is used up.
    #[error(
        "its memory files would take more than {MAX_DEVICE_FILE_SPACE:#x} bytes of address space: \
         use smaller ones"
    )]
    DeviceSpace,
    /// The address space that all devices share is used up.
    #[error(
        "the memory files of all devices take {:#x} bytes of address space, the limit",
        crate::limits::MAX_FILE_SPACE
    )]
    Space,
}

/// Identity of a file's memory: maps of the same file share one mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileId {
    dev: u64,
    ino: u64,
    writable: bool,
}

/// A shared mapping of (usually all of) a client's memory file; unmapped when dropped.
#[derive(Debug)]
pub struct MappedFile {
    // In this order: a fault must never find an entry whose range is somebody else's.
    guard: Guarded,
    region: MmapRegion,
    /// Given back once nothing is mapped there.
    space: Reserved,
    /// File offset of the mapping's first byte.
    offset: u64,
    id: FileId,
}

impl MappedFile {
    /// Maps `size` bytes at `offset` of `fd`: the whole file where its size is sane, so that the
    /// many small maps of a guest behind a virtual IOMMU cost one mapping; the aligned superset
    /// else (hugetlbfs refuses offsets that are not multiples of its page size).
    ///
    /// `known` are all mappings that the device holds.
    ///
    /// # Errors
    /// [`FileError`], when the file is of the wrong kind or too short, a share is used up, or the
    /// kernel refuses.
    pub(super) fn map(
        fd: OwnedFd,
        offset: u64,
        size: u64,
        writable: bool,
        known: &[Arc<Self>],
    ) -> Result<Arc<Self>, FileError> {
        let stat = nix::sys::stat::fstat(&fd).map_err(|errno| FileError::System {
            call: "fstat",
            errno,
        })?;
        let id = FileId {
            dev: stat.st_dev,
            ino: stat.st_ino,
            writable,
        };
        let past_end = |len| FileError::PastEnd { offset, size, len };
        let end = offset.checked_add(size).ok_or_else(|| past_end(0))?;
        // A mapping whose file was truncated shows zeroes for good, so it is never shared anew.
        let same = |f: &&Arc<Self>| f.id == id && f.covers(offset, end) && !f.faulted();
        if let Some(file) = known.iter().find(same) {
            return Ok(Arc::clone(file));
        }
        let kind = fstatfs(&fd).map_err(|errno| FileError::System {
            call: "fstatfs",
            errno,
        })?;
        let page = match kind.filesystem_type() {
            TMPFS_MAGIC => 4096,
            HUGETLBFS_MAGIC => u64::try_from(kind.block_size()).unwrap_or(4096).max(4096),
            FsType(other) => return Err(FileError::Kind(other)),
        };
        let file_len = u64::try_from(stat.st_size).unwrap_or(0);
        if end > file_len {
            return Err(past_end(file_len));
        }
        let (first, last) = if file_len <= MAX_WHOLE_FILE_MAP {
            (0, file_len)
        } else {
            (
                offset - offset % page,
                end.next_multiple_of(page).min(file_len),
            )
        };
        if known.len() >= MAX_DEVICE_FILES {
            return Err(FileError::DeviceFiles);
        }
        let held: u64 = known.iter().map(|f| f.space.bytes()).sum();
        if last - first > MAX_DEVICE_FILE_SPACE.saturating_sub(held) {
            return Err(FileError::DeviceSpace);
        }
        let space = Reserved::take(last - first).ok_or(FileError::Space)?;
        let region = Self::mmap(fd, first, last - first, writable)?;
        let start = region.as_ptr() as usize;
        // What the kernel maps is whole pages, and what replaces them after a fault must be too.
        let len = region.size().next_multiple_of(page as usize);
        let guard = Guarded::enter(start, len).ok_or(FileError::TooMany)?;
        Ok(Arc::new(Self {
            guard,
            region,
            space,
            offset: first,
            id,
        }))
    }

    fn mmap(fd: OwnedFd, offset: u64, len: u64, writable: bool) -> Result<MmapRegion, FileError> {
        let failed = |errno| FileError::System {
            call: "mmap",
            errno,
        };
        let len = usize::try_from(len).map_err(|_| failed(Errno::ENOMEM))?;
        let prot = libc::PROT_READ | if writable { libc::PROT_WRITE } else { 0 };
        let flags = libc::MAP_SHARED | libc::MAP_NORESERVE;
        let file = FileOffset::new(File::from(fd), offset);
        MmapRegion::build(Some(file), len, prot, flags).map_err(|error| match error {
            MmapRegionError::Mmap(error) => {
                failed(Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO)))
            }
            _ => failed(Errno::EINVAL),
        })
    }

    fn covers(&self, start: u64, end: u64) -> bool {
        start >= self.offset && end <= self.offset + self.region.size() as u64
    }

    /// Host address of a byte of the file. The caller has checked that it is covered.
    pub(super) fn host(&self, file_offset: u64) -> usize {
        debug_assert!(file_offset >= self.offset);
        self.region.as_ptr() as usize + (file_offset - self.offset) as usize
    }

    /// True once the file was truncated under this mapping.
    pub fn faulted(&self) -> bool {
        self.guard.faulted()
    }
}
