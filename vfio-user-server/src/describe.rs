//! What a device is made of: the answers to GET_INFO, GET_REGION_INFO and GET_IRQ_INFO.
//!
//! A description is checked when it is built and does not change while a client is connected.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use thiserror::Error;
use vfio_bindings::bindings::vfio;

use crate::limits;

/// One mappable part of a region. Offsets and sizes are whole pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MmapArea {
    /// Where the area begins, in bytes from the region's start.
    pub offset: u64,
    /// Bytes.
    pub size: u64,
}

/// How a client may map a region instead of sending messages.
#[derive(Clone, Debug)]
pub struct Mapping {
    /// The file to map. Sent with each full GET_REGION_INFO reply.
    pub fd: Arc<OwnedFd>,
    /// Where the region begins in that file; an area's offset is added to it.
    pub offset: u64,
    /// The mappable parts (`VFIO_REGION_INFO_CAP_SPARSE_MMAP`); empty means all of the region.
    pub areas: Vec<MmapArea>,
}

/// One region. A default region has no bytes and refuses every access.
#[derive(Clone, Debug, Default)]
pub struct Region {
    /// Bytes.
    pub size: u64,
    /// `VFIO_REGION_INFO_FLAG_READ`.
    pub readable: bool,
    /// `VFIO_REGION_INFO_FLAG_WRITE`.
    pub writable: bool,
    /// Refuse accesses that are not 1, 2, 4 or 8 bytes, naturally aligned.
    pub registers_only: bool,
    /// `VFIO_REGION_INFO_FLAG_MMAP` with what the client needs for it.
    pub mapping: Option<Mapping>,
}

impl Region {
    /// A region that is read and written by messages.
    pub fn read_write(size: u64) -> Self {
        Self {
            size,
            readable: true,
            writable: true,
            ..Self::default()
        }
    }

    /// A region of registers: accesses have 1, 2, 4 or 8 bytes and are naturally aligned.
    pub fn registers(size: u64) -> Self {
        Self {
            registers_only: true,
            ..Self::read_write(size)
        }
    }

    /// A region that is only read, such as an expansion ROM.
    pub fn read_only(size: u64) -> Self {
        Self {
            size,
            readable: true,
            ..Self::default()
        }
    }

    /// The same region with a mapping.
    pub fn mapped(self, mapping: Mapping) -> Self {
        Self {
            mapping: Some(mapping),
            ..self
        }
    }

    pub(crate) fn flags(&self) -> u32 {
        if self.size == 0 {
            return 0;
        }
        let mut flags = 0;
        if self.readable {
            flags |= vfio::VFIO_REGION_INFO_FLAG_READ;
        }
        if self.writable {
            flags |= vfio::VFIO_REGION_INFO_FLAG_WRITE;
        }
        if self.mapping.is_some() {
            flags |= vfio::VFIO_REGION_INFO_FLAG_MMAP;
        }
        flags
    }
}

/// One interrupt type. A default one has no interrupts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Irq {
    /// How many interrupts (vectors) there are.
    pub count: u32,
    /// `VFIO_IRQ_INFO_MASKABLE`: MASK and UNMASK are accepted.
    pub maskable: bool,
    /// `VFIO_IRQ_INFO_AUTOMASKED`: masks itself when triggered.
    pub automasked: bool,
    /// `VFIO_IRQ_INFO_NORESIZE`: vectors are enabled as one set.
    pub noresize: bool,
}

impl Irq {
    /// The INTx line of a PCI function: one interrupt, maskable, masking itself.
    pub fn intx() -> Self {
        Self {
            count: 1,
            maskable: true,
            automasked: true,
            noresize: false,
        }
    }

    /// MSI or MSI-X with `count` vectors that may be enabled one by one.
    pub fn message_signalled(count: u32) -> Self {
        Self {
            count,
            ..Self::default()
        }
    }

    pub(crate) fn flags(self) -> u32 {
        let mut flags = vfio::VFIO_IRQ_INFO_EVENTFD;
        if self.maskable {
            flags |= vfio::VFIO_IRQ_INFO_MASKABLE;
        }
        if self.automasked {
            flags |= vfio::VFIO_IRQ_INFO_AUTOMASKED;
        }
        if self.noresize {
            flags |= vfio::VFIO_IRQ_INFO_NORESIZE;
        }
        flags
    }
}

/// Why a description was refused.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum DescriptionError {
    /// More regions than clients accept.
    #[error("{0} regions, but clients accept at most {max}: merge some", max = limits::MAX_REGIONS)]
    TooManyRegions(usize),
    /// More interrupt types than clients accept.
    #[error("{0} interrupt types, but clients accept at most {max}", max = limits::MAX_IRQ_TYPES)]
    TooManyIrqTypes(usize),
    /// More interrupts of one type than a SET_IRQS can name.
    #[error("interrupt type {index} has {count} interrupts, at most {max} are possible", max = limits::MAX_IRQ_COUNT)]
    TooManyIrqs {
        /// Which type.
        index: usize,
        /// How many it has.
        count: u32,
    },
    /// More areas than a reply should hold.
    #[error("region {region} has {count} mappable areas, at most {max} are possible", max = limits::MAX_MMAP_AREAS)]
    TooManyAreas {
        /// Which region.
        region: usize,
        /// How many areas.
        count: usize,
    },
    /// An area that no client could map.
    #[error(
        "region {region}: mappable area at {offset:#x} of {size:#x} bytes must be whole pages inside the region, in order and apart"
    )]
    BadArea {
        /// Which region.
        region: usize,
        /// Where the area begins.
        offset: u64,
        /// Its bytes.
        size: u64,
    },
    /// A base address register that PCI does not have.
    #[error(
        "BAR {index} of {size} bytes: there are BARs 0 to 5, of a power of two from 16 bytes on"
    )]
    BadBar {
        /// Which one.
        index: u32,
        /// Its bytes.
        size: u32,
    },
    /// A mapping whose file offsets do not fit.
    #[error("region {region}: file offset {offset:#x} is not page-aligned or too large to map")]
    BadOffset {
        /// Which region.
        region: usize,
        /// The offset.
        offset: u64,
    },
}

/// A device as its client sees it.
#[derive(Clone, Debug)]
pub struct Description {
    pci: bool,
    reset: bool,
    migration: bool,
    regions: Vec<Region>,
    irqs: Vec<Irq>,
}

const PAGE: u64 = 4096;

impl Description {
    /// A PCI function: the nine regions and five interrupt types of VFIO, all empty, with reset.
    ///
    /// Fill them with [`Description::region`] and [`Description::irq`], using the
    /// `VFIO_PCI_*_REGION_INDEX` and `VFIO_PCI_*_IRQ_INDEX` numbers of [`crate::vfio`].
    pub fn pci() -> Self {
        Self {
            pci: true,
            reset: true,
            migration: false,
            regions: vec![Region::default(); vfio::VFIO_PCI_NUM_REGIONS as usize],
            irqs: vec![Irq::default(); vfio::VFIO_PCI_NUM_IRQS as usize],
        }
    }

    /// Sets region `index`, growing the table with empty regions if needed.
    ///
    /// # Errors
    /// If the index is too large or the mapping is one that no client could map.
    pub fn region(mut self, index: u32, region: Region) -> Result<Self, DescriptionError> {
        let index = index as usize;
        if index >= limits::MAX_REGIONS {
            return Err(DescriptionError::TooManyRegions(index.saturating_add(1)));
        }
        check_mapping(index, &region)?;
        if index >= self.regions.len() {
            self.regions.resize(index + 1, Region::default());
        }
        self.regions[index] = region;
        Ok(self)
    }

    /// Sets interrupt type `index`, growing the table with empty types if needed.
    ///
    /// # Errors
    /// If the index or the count is too large.
    pub fn irq(mut self, index: u32, irq: Irq) -> Result<Self, DescriptionError> {
        let index = index as usize;
        if index >= limits::MAX_IRQ_TYPES {
            return Err(DescriptionError::TooManyIrqTypes(index.saturating_add(1)));
        }
        if irq.count > limits::MAX_IRQ_COUNT {
            return Err(DescriptionError::TooManyIrqs {
                index,
                count: irq.count,
            });
        }
        if index >= self.irqs.len() {
            self.irqs.resize(index + 1, Irq::default());
        }
        self.irqs[index] = irq;
        Ok(self)
    }

    /// Sets or clears `VFIO_DEVICE_FLAGS_RESET`. RESET is dispatched either way: rust-vmm's client
    /// sends it only where the flag is absent.
    pub fn with_reset(self, reset: bool) -> Self {
        Self { reset, ..self }
    }

    /// Announces migration in the VERSION reply to clients that ask for it.
    pub fn with_migration(self, migration: bool) -> Self {
        Self { migration, ..self }
    }

    /// The regions, by index.
    pub fn regions(&self) -> &[Region] {
        &self.regions
    }

    /// The interrupt types, by index.
    pub fn irqs(&self) -> &[Irq] {
        &self.irqs
    }

    /// Whether migration is announced.
    pub fn migration(&self) -> bool {
        self.migration
    }

    pub(crate) fn flags(&self) -> u32 {
        let mut flags = 0;
        if self.pci {
            flags |= vfio::VFIO_DEVICE_FLAGS_PCI;
        }
        if self.reset {
            flags |= vfio::VFIO_DEVICE_FLAGS_RESET;
        }
        flags
    }
}

fn check_mapping(index: usize, region: &Region) -> Result<(), DescriptionError> {
    let Some(mapping) = &region.mapping else {
        return Ok(());
    };
    let fits = mapping
        .offset
        .checked_add(region.size)
        .is_some_and(|end| i64::try_from(end).is_ok());
    if !fits || !mapping.offset.is_multiple_of(PAGE) {
        return Err(DescriptionError::BadOffset {
            region: index,
            offset: mapping.offset,
        });
    }
    if mapping.areas.len() > limits::MAX_MMAP_AREAS {
        return Err(DescriptionError::TooManyAreas {
            region: index,
            count: mapping.areas.len(),
        });
    }
    let mut free_from = 0;
    for area in &mapping.areas {
        let end = area
            .offset
            .checked_add(area.size)
            .filter(|&end| end <= region.size);
        let whole = area.offset.is_multiple_of(PAGE) && area.size.is_multiple_of(PAGE);
        match end {
            Some(end) if whole && area.size > 0 && area.offset >= free_from => free_from = end,
            _ => {
                return Err(DescriptionError::BadArea {
                    region: index,
                    offset: area.offset,
                    size: area.size,
                });
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
