//! Registers of a function.

use std::sync::Arc;

use super::sys::mmio::Mapping;

/// Registers as a driver sees them: those of a function, or of a model of one. Accesses happen in the order in which
/// they are made, as far as one thread makes them; a read that must not pass a function's DMA is up to the function.
pub trait Registers: Send + Sync {
    /// Eight bits; all ones where nothing is.
    fn read8(&self, offset: u32) -> u8;
    /// Sixteen bits; all ones where nothing is.
    fn read16(&self, offset: u32) -> u16;
    /// Thirty-two bits; all ones where nothing is.
    fn read32(&self, offset: u32) -> u32;
    /// Eight bits.
    fn write8(&self, offset: u32, value: u8);
    /// Sixteen bits.
    fn write16(&self, offset: u32, value: u16);
    /// Thirty-two bits.
    fn write32(&self, offset: u32, value: u32);

    /// Sixty-four bits, low half first, as virtio 1.3 4.1.3.1 asks of drivers.
    fn write64(&self, offset: u32, value: u64) {
        self.write32(offset, value as u32);
        self.write32(offset + 4, (value >> 32) as u32);
    }
}

/// A BAR of a function, mapped whole.
#[derive(Debug)]
pub struct Bar {
    mapping: Arc<Mapping>,
    /// Where it begins in the function's descriptor.
    file_offset: u64,
}

impl Bar {
    pub(super) const fn new(mapping: Arc<Mapping>, file_offset: u64) -> Self {
        Self {
            mapping,
            file_offset,
        }
    }

    /// Bytes.
    pub fn len(&self) -> usize {
        self.mapping.len()
    }

    /// Never.
    pub const fn is_empty(&self) -> bool {
        false
    }

    /// Where it begins in the function's descriptor, for whoever maps it too.
    pub const fn file_offset(&self) -> u64 {
        self.file_offset
    }
}

impl Registers for Bar {
    #[inline]
    fn read8(&self, offset: u32) -> u8 {
        self.mapping.read8(offset)
    }

    #[inline]
    fn read16(&self, offset: u32) -> u16 {
        u16::from_le(self.mapping.read16(offset))
    }

    #[inline]
    fn read32(&self, offset: u32) -> u32 {
        u32::from_le(self.mapping.read32(offset))
    }

    #[inline]
    fn write8(&self, offset: u32, value: u8) {
        self.mapping.write8(offset, value);
    }

    #[inline]
    fn write16(&self, offset: u32, value: u16) {
        self.mapping.write16(offset, value.to_le());
    }

    #[inline]
    fn write32(&self, offset: u32, value: u32) {
        self.mapping.write32(offset, value.to_le());
    }
}
