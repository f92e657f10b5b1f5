//! An IOMMU domain: what a function's DMA can reach.

use std::any::Any;
use std::fs::{File, OpenOptions};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::errno::Errno;
use nix::libc;
use parking_lot::Mutex;
use vfio_bindings::bindings::vfio::{
    VFIO_API_VERSION, VFIO_DMA_MAP_FLAG_READ, VFIO_DMA_MAP_FLAG_WRITE, VFIO_TYPE1v2_IOMMU,
};

use super::info::{self, IommuInfo};
use super::iova::IovaSpace;
use super::sys;
use crate::mem::{Block, OwnMemory, Regions};

/// Why there is no container, or memory cannot be reached by DMA.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DmaError {
    /// A call of the kernel's failed.
    #[error("{attempt}: {errno}{}", hint(*.errno))]
    Kernel {
        /// What was attempted.
        attempt: String,
        /// What the kernel said.
        errno: Errno,
    },
    /// The kernel's VFIO is another.
    #[error("the kernel's VFIO has version {0}, and {VFIO_API_VERSION} is needed")]
    Version(i32),
    /// There is no IOMMU, or one of another kind.
    #[error(
        "the kernel's VFIO has no IOMMU of type 1 (version 2): enable the IOMMU in firmware and kernel \
         (intel_iommu=on on Intel)"
    )]
    NoIommu,
    /// Not a whole number of pages.
    #[error("DMA range {iova:#x}+{size:#x} is not made of whole pages of {page:#x} bytes")]
    Unaligned {
        /// First address.
        iova: u64,
        /// Bytes.
        size: u64,
        /// The IOMMU's smallest page.
        page: u64,
    },
    /// The IOMMU does not know such addresses.
    #[error("DMA range {iova:#x}+{size:#x} lies outside of what the IOMMU can address")]
    Outside {
        /// First address.
        iova: u64,
        /// Bytes.
        size: u64,
    },
    /// No hole is large enough.
    #[error("no {size:#x} bytes of DMA addresses are free in the function's IOMMU domain")]
    NoWindow {
        /// Bytes asked for.
        size: u64,
    },
    /// The kernel's table is full.
    #[error(
        "the function's IOMMU domain holds its limit of {0} DMA maps: give guests memory in few pieces, \
         without a virtual IOMMU, or raise vfio_iommu_type1.dma_entry_limit"
    )]
    Entries(u32),
}

fn hint(errno: Errno) -> &'static str {
    match errno {
        Errno::ENOENT => " (is the module vfio-pci loaded?)",
        Errno::EACCES | Errno::EPERM => {
            " (its group's file in /dev/vfio has to be readable and writable)"
        }
        Errno::ENOMEM => " (pinned memory counts against RLIMIT_MEMLOCK: raise LimitMEMLOCK)",
        Errno::EBUSY => " (somebody else uses the group)",
        _ => "",
    }
}

/// What of a domain is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DmaAccount {
    /// Maps in force.
    pub maps: u32,
    /// Bytes that they pin.
    pub pinned: u64,
    /// Most maps, where the kernel says so.
    pub most_maps: Option<u32>,
}

/// A VFIO container of type 1 with its groups.
#[derive(Debug)]
pub struct Container {
    file: File,
    info: IommuInfo,
    space: IovaSpace,
    account: Mutex<DmaAccount>,
    /// Its group was given up, and with the last group the kernel forgets what was mapped.
    over: AtomicBool,
}

impl Container {
    /// Opens VFIO and puts a first group, which `join` adds, into a new container.
    ///
    /// # Errors
    /// [`DmaError`].
    pub(super) fn open(vfio: &Path, group: BorrowedFd<'_>) -> Result<Arc<Self>, DmaError> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_CLOEXEC)
            .open(vfio)
            .map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO)))
            .map_err(failed(|| format!("opening {}", vfio.display())))?;
        let version = sys::api_version(file.as_fd())
            .map_err(failed(|| "asking VFIO for its version".into()))?;
        if version != VFIO_API_VERSION as i32 {
            return Err(DmaError::Version(version));
        }
        let ask = sys::has_extension(file.as_fd(), VFIO_TYPE1v2_IOMMU);
        if !ask.map_err(failed(|| "asking VFIO for its IOMMUs".into()))? {
            return Err(DmaError::NoIommu);
        }
        sys::join(group, file.as_fd())
            .map_err(failed(|| "putting the group into a container".into()))?;
        let chosen = sys::choose_iommu(file.as_fd(), VFIO_TYPE1v2_IOMMU);
        chosen.map_err(failed(|| "putting the group behind its IOMMU".into()))?;
        let said = sys::iommu_info(file.as_fd())
            .map_err(failed(|| "asking the IOMMU what it can".into()))?;
        let info = info::read(&said);
        let space = IovaSpace::new(info.usable.clone());
        let account = Mutex::new(DmaAccount {
            most_maps: info.most_maps,
            ..DmaAccount::default()
        });
        Ok(Arc::new(Self {
            file,
            info,
            space,
            account,
            over: AtomicBool::new(false),
        }))
    }

    /// Its group is about to be given up: from here on maps may be gone before they are taken away.
    pub(super) fn end(&self) {
        self.over.store(true, Ordering::Release);
    }

    /// The addresses, and who has which.
    pub const fn space(&self) -> &IovaSpace {
        &self.space
    }

    /// The IOMMU's smallest page, in bytes.
    pub const fn page(&self) -> u64 {
        self.info.page
    }

    /// What is taken.
    pub fn account(&self) -> DmaAccount {
        *self.account.lock()
    }

    /// Has DMA at `iova` reach `size` bytes of this process at `address`, for as long as the result lives; `memory`
    /// is kept as long, and keeps those bytes mapped. What is mapped is pinned, which takes the longer the more it is.
    ///
    /// # Errors
    /// [`DmaError`]; nothing is reachable then.
    pub(crate) fn map(
        self: &Arc<Self>,
        iova: u64,
        (address, size): (usize, u64),
        writable: bool,
        memory: Arc<dyn Any + Send + Sync>,
    ) -> Result<Mapped, DmaError> {
        let page = self.info.page;
        if size == 0
            || [iova, size, address as u64]
                .iter()
                .any(|number| number % page != 0)
        {
            return Err(DmaError::Unaligned { iova, size, page });
        }
        if !self.space.covers(iova, size) {
            return Err(DmaError::Outside { iova, size });
        }
        let flags = VFIO_DMA_MAP_FLAG_READ | if writable { VFIO_DMA_MAP_FLAG_WRITE } else { 0 };
        sys::map_dma(self.file.as_fd(), flags, address, iova, size).map_err(
            |errno| match errno {
                Errno::ENOSPC => DmaError::Entries(self.info.most_maps.unwrap_or_default()),
                errno => failed(|| format!("pinning {size:#x} bytes for DMA at {iova:#x}"))(errno),
            },
        )?;
        let mut account = self.account.lock();
        account.maps += 1;
        account.pinned += size;
        drop(account);
        Ok(Mapped {
            container: Arc::clone(self),
            iova,
            size,
            window: false,
            _memory: memory,
        })
    }

    /// Has DMA find what of a device's memory lies in files, at the addresses that its guest has for it, for as long as
    /// the result lives.
    ///
    /// # Errors
    /// [`DmaError`]; nothing is reachable then.
    pub fn map_regions(self: &Arc<Self>, regions: &Regions) -> Result<Vec<Mapped>, DmaError> {
        let map = |block: Block| {
            let place = (block.address, block.size);
            self.map(block.guest, place, block.writable, block.file)
        };
        regions.blocks().map(map).collect()
    }

    /// Has DMA reach memory of ours, wherever there is room for it, for as long as the result lives.
    ///
    /// # Errors
    /// [`DmaError`].
    pub(crate) fn map_own(
        self: &Arc<Self>,
        memory: OwnMemory,
    ) -> Result<(Arc<OwnMemory>, Mapped), DmaError> {
        let size = memory.len() as u64;
        let memory = Arc::new(memory);
        let iova = self
            .space
            .take(size, self.info.page, OWN_FLOOR)
            .ok_or(DmaError::NoWindow { size })?;
        match self.map(
            iova,
            (memory.address(), size),
            true,
            Arc::clone(&memory) as _,
        ) {
            Ok(mut mapped) => {
                mapped.window = true;
                Ok((memory, mapped))
            }
            Err(error) => {
                self.space.give(iova);
                Err(error)
            }
        }
    }
}

/// Below it nothing of ours lies: address 0 is one that descriptors use for nothing, and mistakes often do.
const OWN_FLOOR: u64 = 1 << 20;

fn failed(attempt: impl FnOnce() -> String) -> impl FnOnce(Errno) -> DmaError {
    |errno| DmaError::Kernel {
        attempt: attempt(),
        errno,
    }
}

/// Memory that DMA reaches. When it is dropped, no DMA to it lands any more.
pub struct Mapped {
    container: Arc<Container>,
    iova: u64,
    size: u64,
    /// Its addresses were taken for it, and go back with it.
    window: bool,
    _memory: Arc<dyn Any + Send + Sync>,
}

impl Mapped {
    /// Its first address for DMA.
    pub const fn iova(&self) -> u64 {
        self.iova
    }

    /// Bytes.
    pub const fn size(&self) -> u64 {
        self.size
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        let Self { iova, size, .. } = *self;
        match sys::unmap_dma(self.container.file.as_fd(), iova, size) {
            Ok(bytes) if bytes == size => {}
            // The kernel has taken all of it away.
            _ if self.container.over.load(Ordering::Acquire) => {}
            other => tracing::error!(
                iova,
                size,
                ?other,
                "memory was not taken out of a function's reach"
            ),
        }
        let mut account = self.container.account.lock();
        account.maps -= 1;
        account.pinned -= size;
        drop(account);
        if self.window {
            self.container.space.give(iova);
        }
    }
}
