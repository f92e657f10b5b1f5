//! Which memory the client has mapped: addresses only, never the memory itself.

use std::collections::BTreeMap;

use thiserror::Error;

use crate::errno::Errno;

/// Why a map or unmap was refused.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum DmaTableError {
    /// A map of no bytes.
    #[error("DMA map at {0:#x} has no bytes")]
    Empty(u64),
    /// A map beyond the last address.
    #[error("DMA map at {address:#x} of {size:#x} bytes passes the end of the address space")]
    Overflow {
        /// Where it begins.
        address: u64,
        /// Its bytes.
        size: u64,
    },
    /// A map that is not made of whole pages.
    #[error("DMA map at {address:#x} of {size:#x} bytes is not made of whole {page}-byte pages")]
    Unaligned {
        /// Where it begins.
        address: u64,
        /// Its bytes.
        size: u64,
        /// The smallest page size agreed on.
        page: u64,
    },
    /// A map above the limit.
    #[error("DMA map of {size:#x} bytes is above the limit of {limit:#x}")]
    TooLarge {
        /// Its bytes.
        size: u64,
        /// The limit.
        limit: u64,
    },
    /// More maps than agreed on.
    #[error("{0} DMA maps exist already, which is the limit")]
    TooMany(usize),
    /// A map over another.
    #[error("DMA map at {address:#x} of {size:#x} bytes overlaps the one at {other:#x}")]
    Overlap {
        /// Where it begins.
        address: u64,
        /// Its bytes.
        size: u64,
        /// Where the existing one begins.
        other: u64,
    },
    /// No such map.
    #[error("no DMA map begins at {address:#x} and has exactly {size:#x} bytes")]
    NotFound {
        /// The address asked for.
        address: u64,
        /// The bytes asked for.
        size: u64,
    },
    /// Memory that the device may not reach.
    #[error("address {0:#x} is not mapped for this access")]
    Unmapped(u64),
}

impl DmaTableError {
    /// What a client is told.
    pub fn errno(&self) -> Errno {
        match self {
            Self::Empty(_) | Self::Overflow { .. } | Self::Unaligned { .. } => Errno::EINVAL,
            // libvfio-user's word for too many maps.
            Self::TooMany(_) => Errno::EINVAL,
            Self::TooLarge { .. } => Errno::ENOSPC,
            Self::Overlap { .. } => Errno::EEXIST,
            Self::NotFound { .. } => Errno::ENOENT,
            Self::Unmapped(_) => Errno::EFAULT,
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    size: u64,
    readable: bool,
    writable: bool,
    // Being unmapped: still overlaps, can no longer be found or reached.
    leaving: bool,
}

/// Limits of a table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DmaTableLimits {
    pub(crate) maps: usize,
    pub(crate) size: u64,
    pub(crate) page: u64,
}

/// The client's DMA maps. Entries never overlap.
#[derive(Debug, Default)]
pub struct DmaTable {
    maps: BTreeMap<u64, Entry>,
}

impl DmaTable {
    /// How many maps there are.
    pub fn len(&self) -> usize {
        self.maps.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.maps.is_empty()
    }

    /// The maps as (address, size), by address.
    pub fn iter(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.maps
            .iter()
            .map(|(&address, entry)| (address, entry.size))
    }

    pub(crate) fn insert(
        &mut self,
        (address, size): (u64, u64),
        readable: bool,
        writable: bool,
        limits: DmaTableLimits,
    ) -> Result<(), DmaTableError> {
        if size == 0 {
            return Err(DmaTableError::Empty(address));
        }
        let last = address
            .checked_add(size - 1)
            .ok_or(DmaTableError::Overflow { address, size })?;
        if !address.is_multiple_of(limits.page) || !size.is_multiple_of(limits.page) {
            return Err(DmaTableError::Unaligned {
                address,
                size,
                page: limits.page,
            });
        }
        if size > limits.size {
            return Err(DmaTableError::TooLarge {
                size,
                limit: limits.size,
            });
        }
        if let Some((&other, entry)) = self.maps.range(..=last).next_back()
            && other + (entry.size - 1) >= address
        {
            return Err(DmaTableError::Overlap {
                address,
                size,
                other,
            });
        }
        if self.maps.len() >= limits.maps {
            return Err(DmaTableError::TooMany(self.maps.len()));
        }
        self.maps.insert(
            address,
            Entry {
                size,
                readable,
                writable,
                leaving: false,
            },
        );
        Ok(())
    }

    /// Marks a map as being unmapped.
    pub(crate) fn leave(&mut self, address: u64, size: u64) -> Result<(), DmaTableError> {
        match self.maps.get_mut(&address) {
            Some(entry) if entry.size == size && !entry.leaving => {
                entry.leaving = true;
                Ok(())
            }
            _ => Err(DmaTableError::NotFound { address, size }),
        }
    }

    /// Takes back [`DmaTable::leave`].
    pub(crate) fn stay(&mut self, address: u64) {
        if let Some(entry) = self.maps.get_mut(&address) {
            entry.leaving = false;
        }
    }

    pub(crate) fn remove(&mut self, address: u64) {
        self.maps.remove(&address);
    }

    pub(crate) fn clear(&mut self) {
        self.maps.clear();
    }

    /// How many of `length` bytes at `address` lie in the map there and may be read or written.
    pub(crate) fn extent(&self, address: u64, length: usize, write: bool) -> usize {
        let Some((&start, entry)) = self.maps.range(..=address).next_back() else {
            return 0;
        };
        let allowed = if write {
            entry.writable
        } else {
            entry.readable
        };
        if !allowed || entry.leaving {
            return 0;
        }
        let left = entry.size.saturating_sub(address - start);
        usize::try_from(left).map_or(length, |left| left.min(length))
    }

    /// Checks that all of a transfer lies in maps that allow it.
    pub(crate) fn check(
        &self,
        mut address: u64,
        mut length: usize,
        write: bool,
    ) -> Result<(), DmaTableError> {
        while length > 0 {
            let extent = self.extent(address, length, write);
            if extent == 0 {
                return Err(DmaTableError::Unmapped(address));
            }
            length -= extent;
            if length > 0 {
                address = address
                    .checked_add(extent as u64)
                    .ok_or(DmaTableError::Unmapped(address))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
