//! Guest memory: files at guest physical addresses, in all the kinds that a server may meet.

mod huge;
mod layout;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};

pub use self::huge::HugePages;
pub use self::layout::{Backing, MemoryPlan, RegionPlan};
use super::error::{Error, Result};
use super::mem::Shared;
use super::sys::Mapping;

/// Page size of the guests and of every plain map.
pub const PAGE: u64 = 4096;
/// Huge page size that [`Backing::Hugetlb`] uses.
pub const HUGE_PAGE: u64 = 2 << 20;

/// One region of guest memory as it exists in this process.
#[derive(Debug)]
pub struct Region {
    /// Guest physical address of the first byte.
    pub gpa: u64,
    /// Bytes that are announced to the server.
    pub size: u64,
    /// Where the region starts in its file.
    pub file_offset: u64,
    /// Whether the server may write to it.
    pub writable: bool,
    file: Option<Arc<File>>,
    bytes: Shared,
}

impl Region {
    /// The file to send with the map; none for memory that the server cannot map.
    pub fn file(&self) -> Option<BorrowedFd<'_>> {
        self.file.as_ref().map(|file| file.as_fd())
    }

    /// The region's bytes in this process.
    pub fn bytes(&self) -> &Shared {
        &self.bytes
    }
}

/// All memory of one guest, with a simple allocator for rings and buffers.
#[derive(Debug)]
pub struct GuestMemory {
    regions: Vec<Region>,
    /// First free byte of each region, relative to its start.
    used: Vec<u64>,
}

impl GuestMemory {
    /// Makes the files and maps of `plan`.
    ///
    /// # Errors
    /// Fails when a file cannot be made or mapped, for example without free huge pages.
    pub fn new(plan: &MemoryPlan) -> Result<Self> {
        let mut regions = Vec::with_capacity(plan.regions.len());
        let mut shared_file: Option<(Arc<File>, u64)> = None;
        for region in &plan.regions {
            regions.push(build(region, &mut shared_file)?);
        }
        let used = vec![0; regions.len()];
        Ok(GuestMemory { regions, used })
    }

    /// The regions, in the order in which they are announced.
    pub fn regions(&self) -> &[Region] {
        &self.regions
    }

    /// Takes `size` bytes aligned to `align` from the first region that has them.
    ///
    /// # Errors
    /// Fails when no region has so much room left.
    pub fn alloc(&mut self, size: u64, align: u64) -> Result<u64> {
        for index in 0..self.regions.len() {
            if self.regions[index].writable
                && let Ok(gpa) = self.alloc_in(index, size, align)
            {
                return Ok(gpa);
            }
        }
        Err(Error::Memory(format!("no region has {size} bytes left")))
    }

    /// Takes `size` bytes aligned to `align` from region `index`.
    ///
    /// # Errors
    /// Fails when that region has not so much room left.
    pub fn alloc_in(&mut self, index: usize, size: u64, align: u64) -> Result<u64> {
        let region = &self.regions[index];
        let start = (region.gpa + self.used[index]).next_multiple_of(align);
        let end = start
            .checked_add(size)
            .filter(|end| *end <= region.gpa + region.size);
        let Some(end) = end else {
            return Err(Error::Memory(format!(
                "region {index} at {:#x} has no {size} bytes left",
                region.gpa
            )));
        };
        self.used[index] = end - region.gpa;
        Ok(start)
    }

    /// Remembers what is allocated now; see [`GuestMemory::release`].
    pub fn mark(&self) -> Vec<u64> {
        self.used.clone()
    }

    /// Frees everything allocated since `mark`.
    pub fn release(&mut self, mark: &[u64]) {
        self.used.copy_from_slice(mark);
    }

    /// The bytes at a guest physical address.
    ///
    /// # Errors
    /// Fails when the range does not lie within one region.
    pub fn view(&self, gpa: u64, len: usize) -> Result<Shared> {
        self.regions
            .iter()
            .find_map(|region| {
                let at = gpa.checked_sub(region.gpa).filter(|at| *at < region.size)?;
                region.bytes.window(usize::try_from(at).ok()?, len)
            })
            .ok_or_else(|| Error::Memory(format!("{gpa:#x}+{len:#x} is not in one region")))
    }

    /// Cuts the file of region `index` to `len` bytes after the region's start, below whatever
    /// maps it: a later access by anybody beyond that is a bus error.
    ///
    /// # Errors
    /// Fails for memory without a file, and for sealed files.
    pub fn truncate(&self, index: usize, len: u64) -> Result<()> {
        let region = &self.regions[index];
        let file = region
            .file
            .as_ref()
            .ok_or_else(|| Error::Memory(format!("region {index} has no file to truncate")))?;
        file.set_len(region.file_offset + len)
            .map_err(Error::io("truncating a memory file"))
    }
}

fn build(plan: &RegionPlan, last: &mut Option<(Arc<File>, u64)>) -> Result<Region> {
    let size = usize::try_from(plan.size)
        .map_err(|_| Error::Memory(format!("{:#x} bytes do not fit this machine", plan.size)))?;
    let make = |kind| new_file(plan, kind).map_err(Error::io("making a memory file"));
    let map_failed = Error::io("mapping guest memory");
    let (file, file_offset, map) = match plan.backing {
        Backing::Anonymous => (None, 0, Mapping::anonymous(size)),
        Backing::SameFile => {
            let (file, end) = last.take().ok_or_else(|| {
                Error::Memory("the first region has no file before it to continue".into())
            })?;
            file.set_len(end + plan.size)
                .map_err(Error::io("growing a memory file"))?;
            let map = Mapping::shared(&*file, end, size);
            (Some(file), end, map)
        }
        kind => {
            let file = Arc::new(make(kind)?);
            let map = match kind {
                Backing::Private => Mapping::private(&*file, 0, size),
                _ => Mapping::shared(&*file, 0, size),
            };
            (Some(file), 0, map)
        }
    };
    let map = map.map_err(map_failed)?;
    if let Some(file) = &file {
        *last = Some((Arc::clone(file), file_offset + plan.size));
    }
    let bytes = Shared::new(&map);
    let (gpa, size, writable) = (plan.gpa, plan.size, plan.writable);
    Ok(Region {
        gpa,
        size,
        file_offset,
        writable,
        file,
        bytes,
    })
}

fn new_file(plan: &RegionPlan, kind: Backing) -> io::Result<File> {
    let mut flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    let mut length = plan.size;
    match kind {
        Backing::Hugetlb => {
            flags |= MFdFlags::MFD_HUGETLB;
            length = length.next_multiple_of(HUGE_PAGE);
        }
        Backing::Short { missing } => length = length.saturating_sub(missing),
        Backing::Disk => {
            let file = tempfile::tempfile_in("/var/tmp")?;
            file.set_len(length)?;
            return Ok(file);
        }
        _ => {}
    }
    let file = File::from(memfd_create(c"guest-memory", flags)?);
    file.set_len(length)?;
    if kind == Backing::Sealed {
        let seals = SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SEAL;
        fcntl(&file, FcntlArg::F_ADD_SEALS(seals))?;
    }
    Ok(file)
}
