//! Configuration space of a simple PCI function (PCIe base specification 7.5.1): identity, memory BARs
//! and INTx. It owns the bytes and which of them a client may change; capabilities it has none.

use vfio_bindings::bindings::vfio;

use crate::describe::DescriptionError;
use crate::device::{Answer, RegionRange};
use crate::limits::CONFIG_SPACE;

const COMMAND: usize = 0x04;
const BARS: usize = 0x10;
const INTERRUPT_LINE: usize = 0x3c;
const INTERRUPT_PIN: usize = 0x3d;
/// Command: memory space, bus master, interrupt disable.
const COMMAND_WRITABLE: u16 = 1 << 1 | 1 << 2 | 1 << 10;
/// Command: interrupt disable.
const COMMAND_INTX_DISABLE: u16 = 1 << 10;
/// A memory BAR is at least this long: its low four bits say what it is.
const LEAST_BAR: u32 = 16;

/// The configuration space of a function that needs no more than this. Serve it as region
/// `VFIO_PCI_CONFIG_REGION_INDEX` of [`ConfigSpace::SIZE`] bytes.
#[derive(Clone, Debug)]
pub struct ConfigSpace {
    bytes: [u8; CONFIG_SPACE],
    writable: [u8; CONFIG_SPACE],
    /// What reset goes back to.
    initial: [u8; CONFIG_SPACE],
}

impl ConfigSpace {
    /// Bytes of it.
    pub const SIZE: u64 = CONFIG_SPACE as u64;

    /// A function without BARs and interrupts; `class` is base class, subclass and interface, as in
    /// `0x02_00_00`.
    pub fn new(vendor: u16, device: u16, class: u32) -> Self {
        let mut space = Self {
            bytes: [0; CONFIG_SPACE],
            writable: [0; CONFIG_SPACE],
            initial: [0; CONFIG_SPACE],
        };
        space.initial[..2].copy_from_slice(&vendor.to_le_bytes());
        space.initial[2..4].copy_from_slice(&device.to_le_bytes());
        space.initial[0x09..0x0c].copy_from_slice(&class.to_le_bytes()[..3]);
        space.writable[COMMAND..COMMAND + 2].copy_from_slice(&COMMAND_WRITABLE.to_le_bytes());
        space.reset();
        space
    }

    /// Makes BAR `index` a 32-bit memory BAR of `size` bytes.
    ///
    /// # Errors
    /// [`DescriptionError::BadBar`]: no such BAR, or not a power of two from 16 on.
    pub fn memory_bar(mut self, index: u32, size: u32) -> Result<Self, DescriptionError> {
        if index > vfio::VFIO_PCI_BAR5_REGION_INDEX || size < LEAST_BAR || !size.is_power_of_two() {
            return Err(DescriptionError::BadBar { index, size });
        }
        let at = BARS + 4 * index as usize;
        self.writable[at..at + 4].copy_from_slice(&(!(size - 1)).to_le_bytes());
        Ok(self)
    }

    /// Gives it the interrupt pin INTA.
    pub fn with_intx(mut self) -> Self {
        self.initial[INTERRUPT_PIN] = 1;
        self.writable[INTERRUPT_LINE] = 0xff;
        self.reset();
        self
    }

    /// True while the driver wants no INTx (7.5.1.1.3, Interrupt Disable).
    pub fn intx_disabled(&self) -> bool {
        let command = u16::from_le_bytes([self.bytes[COMMAND], self.bytes[COMMAND + 1]]);
        command & COMMAND_INTX_DISABLE != 0
    }

    /// Answers a REGION_READ.
    pub fn read(&self, at: RegionRange) -> Answer<Vec<u8>> {
        at.read(&self.bytes)
    }

    /// Answers a REGION_WRITE: bits that are not the client's stay as they are (7.4, read-only).
    pub fn write(&mut self, at: RegionRange, data: &[u8]) -> Answer<()> {
        let mut written = self.bytes;
        let answer = at.write(&mut written, data);
        let old = self.bytes.iter_mut().zip(written).zip(self.writable);
        for ((byte, new), writable) in old {
            *byte = *byte & !writable | new & writable;
        }
        answer
    }

    /// Back to the values after power-on.
    pub fn reset(&mut self) {
        self.bytes = self.initial;
    }
}

#[cfg(test)]
mod tests;
