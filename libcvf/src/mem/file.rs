//! One mapping of a client's memory file.

use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::Arc;

use super::fault::Guarded;
use crate::limits::MAX_WHOLE_FILE_MAP;

const TMPFS_MAGIC: i64 = 0x0102_1994;
const HUGETLBFS_MAGIC: i64 = 0x9584_58f6;

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
    base: usize,
    /// File offset of `base`.
    offset: u64,
    len: usize,
    id: FileId,
    guard: Option<Guarded>,
}

impl MappedFile {
    /// Maps `size` bytes at `offset` of `fd`: the whole file where its size is sane, so that the
    /// many small maps of a guest behind a virtual IOMMU cost one mapping; the aligned superset
    /// else (hugetlbfs refuses offsets that are not multiples of its page size).
    ///
    /// # Errors
    /// [`FileError`], when the file is of the wrong kind or too short, or the kernel refuses.
    pub(super) fn map(
        fd: BorrowedFd<'_>,
        offset: u64,
        size: u64,
        writable: bool,
        known: &[Arc<Self>],
    ) -> Result<Arc<Self>, FileError> {
        let stat = nix::sys::stat::fstat(fd).map_err(|errno| FileError::System {
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
        if let Some(file) = known.iter().find(|f| f.id == id && f.covers(offset, end)) {
            return Ok(Arc::clone(file));
        }
        let (kind, block) = file_system(fd)?;
        if kind != TMPFS_MAGIC && kind != HUGETLBFS_MAGIC {
            return Err(FileError::Kind(kind));
        }
        let file_len = u64::try_from(stat.st_size).unwrap_or(0);
        if end > file_len {
            return Err(past_end(file_len));
        }
        let page = if kind == HUGETLBFS_MAGIC { block } else { 4096 };
        let (first, last) = if file_len <= MAX_WHOLE_FILE_MAP {
            (0, file_len.next_multiple_of(page))
        } else {
            (offset - offset % page, end.next_multiple_of(page))
        };
        Self::mmap(fd, first, last - first, id).map(Arc::new)
    }

    fn mmap(fd: BorrowedFd<'_>, offset: u64, len: u64, id: FileId) -> Result<Self, FileError> {
        let out_of_range = |_| FileError::System {
            call: "mmap",
            errno: nix::errno::Errno::ENOMEM,
        };
        let len = usize::try_from(len).map_err(out_of_range)?;
        let file_offset = libc::off_t::try_from(offset).map_err(out_of_range)?;
        let prot = libc::PROT_READ | if id.writable { libc::PROT_WRITE } else { 0 };
        // SAFETY: a new mapping at an address of the kernel's choice aliases no Rust object; it is
        // only ever reached through raw pointers of this module.
        let base = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                len,
                prot,
                libc::MAP_SHARED | libc::MAP_NORESERVE,
                fd.as_raw_fd(),
                file_offset,
            )
        };
        if base == libc::MAP_FAILED {
            return Err(FileError::System {
                call: "mmap",
                errno: nix::errno::Errno::last(),
            });
        }
        let mut file = Self {
            base: base as usize,
            offset,
            len,
            id,
            guard: None,
        };
        file.guard = Some(Guarded::enter(file.base, len).ok_or(FileError::TooMany)?);
        Ok(file)
    }

    fn covers(&self, start: u64, end: u64) -> bool {
        start >= self.offset && end <= self.offset + self.len as u64
    }

    /// Host address of a byte of the file. The caller has checked that it is covered.
    pub(super) fn host(&self, file_offset: u64) -> usize {
        debug_assert!(file_offset >= self.offset);
        self.base + (file_offset - self.offset) as usize
    }

    /// True once the file was truncated under this mapping.
    pub fn faulted(&self) -> bool {
        self.guard.as_ref().is_some_and(Guarded::faulted)
    }
}

impl Drop for MappedFile {
    fn drop(&mut self) {
        // The guard goes first: a fault must never find an entry whose range is somebody else's.
        self.guard = None;
        // SAFETY: `base` and `len` are what mmap returned; every pointer into the mapping is bounded
        // by a `Regions` that holds an `Arc` of this file.
        unsafe { libc::munmap(self.base as *mut libc::c_void, self.len) };
    }
}

fn file_system(fd: BorrowedFd<'_>) -> Result<(i64, u64), FileError> {
    // SAFETY: statfs is plain data; the kernel fills it in.
    let mut stat: libc::statfs = unsafe { std::mem::zeroed() };
    // SAFETY: the descriptor is borrowed for the call and the pointer is to a live local.
    if unsafe { libc::fstatfs(fd.as_raw_fd(), &raw mut stat) } != 0 {
        return Err(FileError::System {
            call: "fstatfs",
            errno: nix::errno::Errno::last(),
        });
    }
    let block = u64::try_from(stat.f_bsize).unwrap_or(4096).max(4096);
    Ok((
        stat.f_type,
        if block.is_power_of_two() { block } else { 4096 },
    ))
}
