//! Descriptions of guest memory, before any of it exists.

use super::PAGE;

/// What stands behind a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backing {
    /// A memfd of its own, mapped shared: what every VM should have.
    Memfd,
    /// The file of the region before, continued: as QEMU maps one memfd below and above 4 GiB.
    SameFile,
    /// A memfd that nobody can resize any more.
    Sealed,
    /// A memfd of huge pages.
    Hugetlb,
    /// A memfd of which this process keeps private copies, as QEMU does with `share=off`: its
    /// descriptor is sent, but the server sees other bytes.
    Private,
    /// No file at all; the server may only ask for the bytes by message.
    Anonymous,
    /// A memfd that is `missing` bytes shorter than announced.
    Short {
        /// How many bytes at the end have no file behind them.
        missing: u64,
    },
    /// A file on a disk, whose pages may block whoever touches them.
    Disk,
}

/// One region to make.
#[derive(Clone, Copy, Debug)]
pub struct RegionPlan {
    /// Guest physical address of the first byte.
    pub gpa: u64,
    /// Bytes; a multiple of the page size.
    pub size: u64,
    /// What stands behind it.
    pub backing: Backing,
    /// Whether the server may write to it.
    pub writable: bool,
}

impl RegionPlan {
    /// A writable region.
    pub fn new(gpa: u64, size: u64, backing: Backing) -> Self {
        RegionPlan {
            gpa,
            size: size.next_multiple_of(PAGE),
            backing,
            writable: true,
        }
    }

    /// The same region, announced as read-only.
    pub fn read_only(self) -> Self {
        RegionPlan {
            writable: false,
            ..self
        }
    }
}

/// All regions of a guest.
#[derive(Clone, Debug)]
pub struct MemoryPlan {
    /// The regions, in the order in which they are announced. Rings and buffers are taken from
    /// the first writable one that has room.
    pub regions: Vec<RegionPlan>,
}

impl MemoryPlan {
    /// First address above the hole that PCs leave for devices.
    pub const HIGH: u64 = 4 << 30;

    /// One region at address 0.
    pub fn single(size: u64, backing: Backing) -> Self {
        MemoryPlan {
            regions: vec![RegionPlan::new(0, size, backing)],
        }
    }

    /// One memfd, mapped at 0 and at 4 GiB, as QEMU's `q35` lays out memory. The low part is
    /// kept small, so that most rings and buffers lie at addresses above 32 bits.
    pub fn split(low: u64, high: u64) -> Self {
        MemoryPlan {
            regions: vec![
                RegionPlan::new(0, low, Backing::Memfd),
                RegionPlan::new(Self::HIGH, high, Backing::SameFile),
            ],
        }
    }

    /// Bytes of all regions together.
    pub fn size(&self) -> u64 {
        self.regions.iter().map(|region| region.size).sum()
    }
}
