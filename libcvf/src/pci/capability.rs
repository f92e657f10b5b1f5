//! Capability structures as bytes with masks.

/// Capability ids (PCI code and id assignment specification).
pub mod cap_id {
    /// Power management.
    pub const POWER_MANAGEMENT: u8 = 0x01;
    /// Vendor-specific.
    pub const VENDOR: u8 = 0x09;
    /// PCI Express.
    pub const PCI_EXPRESS: u8 = 0x10;
    /// MSI-X.
    pub const MSIX: u8 = 0x11;
}

/// One capability structure before it has a place.
///
/// All bytes count from the structure's start, header (id, next) included.
#[derive(Clone, Debug)]
pub struct Capability {
    pub(super) id: u8,
    pub(super) bytes: Vec<u8>,
    pub(super) writable: Vec<u8>,
    pub(super) write_1_to_clear: Vec<u8>,
}

/// Where a capability structure ended up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlacedCapability {
    /// Capability id.
    pub id: u8,
    /// Offset in configuration space.
    pub offset: u8,
    /// Length in bytes.
    pub len: u8,
}

/// Where MSI-X table and pending bit array lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MsixLayout {
    /// Vectors, 1 to 2048.
    pub vectors: u16,
    /// BAR of the table.
    pub table_bar: u8,
    /// Offset of the table, a multiple of 8.
    pub table_offset: u32,
    /// BAR of the pending bit array.
    pub pba_bar: u8,
    /// Offset of the pending bit array, a multiple of 8.
    pub pba_offset: u32,
}

/// PMCSR within the power management capability.
pub(super) const PMCSR: usize = 4;
/// PMCSR: `No_Soft_Reset`.
pub(super) const PMCSR_NO_SOFT_RESET: u8 = 1 << 3;
/// Message control within the MSI-X capability.
pub(super) const MSIX_CONTROL: usize = 2;
/// Device control within the PCI Express capability.
pub(super) const DEVICE_CONTROL: usize = 8;
/// Device control, high byte: Initiate Function Level Reset.
pub(super) const DEVICE_CONTROL_FLR_HIGH: u8 = 1 << 7;

impl Capability {
    /// `len` bytes, all zero and read-only, with the id filled in.
    fn new(id: u8, len: usize) -> Self {
        let mut bytes = vec![0; len.max(2)];
        bytes[0] = id;
        let len = bytes.len();
        Self {
            id,
            bytes,
            writable: vec![0; len],
            write_1_to_clear: vec![0; len],
        }
    }

    fn put(mut self, at: usize, value: &[u8]) -> Self {
        self.bytes[at..at + value.len()].copy_from_slice(value);
        self
    }

    fn mask(mut self, at: usize, writable: &[u8]) -> Self {
        self.writable[at..at + writable.len()].copy_from_slice(writable);
        self
    }

    /// PCI Express capability version 2 of an endpoint with function level reset
    /// (PCIe base specification 7.5.3): 128 byte payloads, a link of 2.5 GT/s x1, no ASPM.
    pub fn pcie_endpoint() -> Self {
        const FLR: u32 = 1 << 28;
        const ROLE_BASED_ERRORS: u32 = 1 << 15;
        const LINK_2_5GT_X1: u16 = 1 | 1 << 4;
        /// Error reporting enables, relaxed ordering, no snoop, maximum read request.
        const CONTROL: u16 = 0x000f | 1 << 4 | 1 << 11 | 0x7000;
        /// As after reset: relaxed ordering, no snoop, 512 byte read requests.
        const CONTROL_RESET: u16 = 1 << 4 | 1 << 11 | 2 << 12;
        let mut cap = Self::new(cap_id::PCI_EXPRESS, 0x3c)
            .put(0x02, &2u16.to_le_bytes())
            .put(0x04, &(FLR | ROLE_BASED_ERRORS).to_le_bytes())
            .put(DEVICE_CONTROL, &CONTROL_RESET.to_le_bytes())
            .mask(DEVICE_CONTROL, &CONTROL.to_le_bytes())
            .put(0x0c, &u32::from(LINK_2_5GT_X1).to_le_bytes())
            .put(0x12, &LINK_2_5GT_X1.to_le_bytes());
        // Device status: correctable, non-fatal, fatal, unsupported request detected.
        cap.write_1_to_clear[0x0a] = 0x0f;
        cap
    }

    /// Power management capability version 3 with D0 and D3hot (PCI power management 1.2, 3.2).
    /// `keeps_state`: the function keeps its state from D3hot to D0 (`No_Soft_Reset`).
    pub fn power_management(keeps_state: bool) -> Self {
        Self::new(cap_id::POWER_MANAGEMENT, 8)
            .put(2, &3u16.to_le_bytes())
            .put(PMCSR, &[if keeps_state { PMCSR_NO_SOFT_RESET } else { 0 }])
            .mask(PMCSR, &[0b11])
    }

    /// MSI-X capability (PCIe base specification 7.7.2). The driver may write Function Mask and
    /// Enable. `vectors` is taken as 1 to 2048; anything else is refused at build.
    pub fn msix(layout: MsixLayout) -> Self {
        let table = layout.table_offset | u32::from(layout.table_bar & 7);
        let pba = layout.pba_offset | u32::from(layout.pba_bar & 7);
        Self::new(cap_id::MSIX, 12)
            .put(MSIX_CONTROL, &layout.vectors.wrapping_sub(1).to_le_bytes())
            .mask(MSIX_CONTROL, &0xc000u16.to_le_bytes())
            .put(4, &table.to_le_bytes())
            .put(8, &pba.to_le_bytes())
    }

    /// Vendor-specific capability: id, next and length are put before `body`. The whole structure
    /// must not exceed 255 bytes; that is refused at build.
    pub fn vendor(body: &[u8]) -> Self {
        let len = body.len().saturating_add(3);
        Self::new(cap_id::VENDOR, len)
            .put(2, &[len.min(255) as u8])
            .put(3, body)
    }

    /// Lets the driver write `len` bytes from `at` (bytes from the structure's start).
    ///
    /// # Panics
    /// When the range leaves the structure or touches its header.
    #[must_use]
    pub fn writable(mut self, at: usize, len: usize) -> Self {
        assert!(at >= 2, "the header of a capability is read-only");
        self.writable[at..at + len].fill(0xff);
        self
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Never true: a capability has at least its header.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}
