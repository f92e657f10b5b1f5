//! The memory of one device: changes on one side, snapshots on the other.

use std::os::fd::OwnedFd;
use std::sync::{Arc, Weak};

use arc_swap::Guard;
use parking_lot::Mutex;

use super::file::{FileError, MappedFile};
use super::regions::{Region, Regions};
use crate::kept::{Kept, Versioned};
use crate::limits::{MAX_DMA_MAPS, MAX_MAPPED_BYTES};

/// A client's wish to make guest memory reachable.
#[derive(Debug)]
pub struct MapRequest {
    /// First guest physical (or I/O virtual) address.
    pub iova: u64,
    /// Bytes.
    pub size: u64,
    /// The file behind it; `None`: only reachable by messages, so no ring or buffer may lie there.
    pub fd: Option<OwnedFd>,
    /// Where in the file.
    pub fd_offset: u64,
    /// The device may read.
    pub read: bool,
    /// The device may write.
    pub write: bool,
}

/// Why a map or unmap is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MapError {
    /// Empty, or beyond the address space.
    #[error("guest range {iova:#x}+{size:#x} is empty or wraps around the address space")]
    Range {
        /// First address.
        iova: u64,
        /// Bytes.
        size: u64,
    },
    /// Something is mapped there.
    #[error(
        "guest range {iova:#x}+{size:#x} overlaps the map {other_iova:#x}+{other_size:#x}: \
         unmap that first"
    )]
    Overlap {
        /// First address asked for.
        iova: u64,
        /// Bytes asked for.
        size: u64,
        /// First address of what is there.
        other_iova: u64,
        /// Its bytes.
        other_size: u64,
    },
    /// The device's table is full.
    #[error("the device has its limit of {MAX_DMA_MAPS} maps or {MAX_MAPPED_BYTES:#x} bytes")]
    Full,
    /// No such map.
    #[error("no map is exactly {iova:#x}+{size:#x}")]
    NotFound {
        /// First address.
        iova: u64,
        /// Bytes.
        size: u64,
    },
    /// The file cannot back it.
    #[error("guest range {iova:#x}+{size:#x} cannot be mapped: {source}")]
    File {
        /// First address.
        iova: u64,
        /// Bytes.
        size: u64,
        /// Why.
        source: FileError,
    },
}

impl MapError {
    /// The errno that tells a client.
    pub const fn errno(&self) -> nix::errno::Errno {
        use nix::errno::Errno;
        match self {
            Self::Range { .. } => Errno::EINVAL,
            Self::Overlap { .. } => Errno::EEXIST,
            Self::Full => Errno::ENOSPC,
            Self::NotFound { .. } => Errno::ENOENT,
            Self::File {
                source: FileError::System { errno, .. },
                ..
            } => *errno,
            Self::File {
                source: FileError::DeviceFiles | FileError::DeviceSpace,
                ..
            } => Errno::ENOSPC,
            Self::File {
                source: FileError::TooMany | FileError::Space,
                ..
            } => Errno::ENOMEM,
            Self::File { .. } => Errno::EINVAL,
        }
    }
}

/// A device's memory. Changes are serialised; [`Self::load`] never waits.
#[derive(Debug, Default)]
pub struct GuestMemory {
    current: Versioned<Regions>,
    /// Held while changing; every mapping of a file that is alive, those of unmapped regions that
    /// somebody still looks at included.
    change: Mutex<Vec<Weak<MappedFile>>>,
}

impl GuestMemory {
    /// The state of this moment. Hold it for a burst, not longer: an unmapped file stays mapped
    /// until the last holder lets go.
    #[inline]
    pub fn load(&self) -> Guard<Arc<Regions>> {
        self.current.load()
    }

    /// The state of this moment for whoever keeps it under a queue's lock: until the lock is passed after
    /// a change ([`Self::release`]).
    #[inline]
    pub(crate) fn keep<'k>(&self, kept: &'k mut Kept<Regions>) -> &'k Regions {
        self.current.keep(kept)
    }

    /// Lets go of what is kept if it is no longer the state of this moment.
    pub(crate) fn release(&self, kept: &mut Kept<Regions>) {
        kept.forget_if_old(&self.current);
    }

    /// Adds a region; one without a file is remembered, so that the reason can be told when a ring
    /// or buffer is placed there.
    ///
    /// # Errors
    /// [`MapError`]; nothing has changed then.
    pub fn map(&self, request: MapRequest) -> Result<(), MapError> {
        let MapRequest {
            iova,
            size,
            fd,
            fd_offset,
            read,
            write,
        } = request;
        let range = MapError::Range { iova, size };
        let last = size
            .checked_sub(1)
            .and_then(|n| iova.checked_add(n))
            .ok_or(range)?;
        let mut files = self.change.lock();
        let now = self.current.load();
        if let Some(other) = now.overlap(iova, last) {
            let (other_iova, other_size) = (other.iova, other.size);
            return Err(MapError::Overlap {
                iova,
                size,
                other_iova,
                other_size,
            });
        }
        if now.count() == MAX_DMA_MAPS || size > MAX_MAPPED_BYTES.saturating_sub(now.bytes()) {
            return Err(MapError::Full);
        }
        let mut region = Region {
            iova,
            size,
            host: 0,
            read,
            write,
            file: None,
        };
        if let Some(fd) = fd {
            files.retain(|f| f.strong_count() > 0);
            let known: Vec<_> = files.iter().rev().filter_map(Weak::upgrade).collect();
            let file = MappedFile::map(fd, fd_offset, size, write, &known)
                .map_err(|source| MapError::File { iova, size, source })?;
            if !known.iter().any(|f| Arc::ptr_eq(f, &file)) {
                files.push(Arc::downgrade(&file));
            }
            region.host = file.host(fd_offset);
            region.file = Some(file);
        }
        self.current.swap(Arc::new(now.with(region)));
        Ok(())
    }

    /// Takes out the region that is exactly this range. The old state is returned: keep it until no
    /// worker can be using it, then drop it.
    ///
    /// # Errors
    /// [`MapError::NotFound`].
    pub fn unmap(&self, iova: u64, size: u64) -> Result<Arc<Regions>, MapError> {
        let _change = self.change.lock();
        let next = self.current.load().without(iova, size);
        let next = next.ok_or(MapError::NotFound { iova, size })?;
        Ok(self.current.swap(Arc::new(next)))
    }

    /// Takes out every region.
    pub fn clear(&self) -> Arc<Regions> {
        let _change = self.change.lock();
        self.current.swap(Arc::default())
    }
}
