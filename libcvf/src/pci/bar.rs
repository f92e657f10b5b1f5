//! Base address registers as a description.

/// Kind of a memory BAR (PCIe base specification 7.5.1.2.1). I/O BARs are not modelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BarKind {
    /// Below 4 GiB.
    Mem32 {
        /// Reads have no side effects and writes may be merged.
        prefetchable: bool,
    },
    /// Anywhere; takes two registers.
    Mem64 {
        /// See [`BarKind::Mem32`].
        prefetchable: bool,
    },
}

impl BarKind {
    /// The read-only type bits in the register's low four bits.
    pub const fn type_bits(self) -> u32 {
        match self {
            Self::Mem32 { prefetchable } => (prefetchable as u32) << 3,
            Self::Mem64 { prefetchable } => (prefetchable as u32) << 3 | 0b100,
        }
    }

    /// Registers the BAR takes.
    pub const fn registers(self) -> u8 {
        match self {
            Self::Mem32 { .. } => 1,
            Self::Mem64 { .. } => 2,
        }
    }
}

/// One BAR.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BarSpec {
    /// Register index, 0 to 5.
    pub index: u8,
    /// Kind.
    pub kind: BarKind,
    /// Size in bytes: a power of two, at least 16.
    pub size: u64,
}
