//! Where the areas of a queue lie in guest memory.

use crate::fakevm::error::{Error, Result};
use crate::fakevm::limits::MAX_RING_SIZE;
use crate::fakevm::memory::GuestMemory;
use crate::fakevm::net::feature;

/// Size and addresses of one queue (virtio 1.3 2.7 and 2.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueLayout {
    /// Whether it is packed.
    pub packed: bool,
    /// Entries; of a split queue a power of two.
    pub size: u16,
    /// Guest physical address of the descriptor table or ring.
    pub desc: u64,
    /// Guest physical address of the available ring or the driver's event suppression.
    pub avail: u64,
    /// Guest physical address of the used ring or the device's event suppression.
    pub used: u64,
}

impl QueueLayout {
    /// Takes memory for a split queue. The used ring begins on a page of its own.
    ///
    /// # Errors
    /// Fails when `size` is no power of two up to 32768 or memory has no room.
    pub fn alloc(memory: &mut GuestMemory, size: u16) -> Result<Self> {
        if !size.is_power_of_two() {
            return Err(Error::Memory(format!(
                "{size} is no size for a split queue"
            )));
        }
        Self::alloc_as(memory, size, false)
    }

    /// Takes memory for a queue in the format that these features want.
    ///
    /// # Errors
    /// Fails when `size` is none of the format or memory has no room.
    pub fn alloc_for(memory: &mut GuestMemory, size: u16, features: u64) -> Result<Self> {
        if features & feature::RING_PACKED == 0 {
            Self::alloc(memory, size)
        } else {
            Self::alloc_as(memory, size, true)
        }
    }

    fn alloc_as(memory: &mut GuestMemory, size: u16, packed: bool) -> Result<Self> {
        if size == 0 || size > MAX_RING_SIZE {
            return Err(Error::Memory(format!("{size} is no size for a queue")));
        }
        let mut layout = QueueLayout {
            packed,
            size,
            desc: 0,
            avail: 0,
            used: 0,
        };
        layout.desc = memory.alloc(layout.desc_len() as u64, 4096)?;
        layout.avail = memory.alloc(layout.avail_len() as u64, 64)?;
        layout.used = memory.alloc(layout.used_len() as u64, 4096)?;
        Ok(layout)
    }

    /// Bytes of the descriptor table.
    pub fn desc_len(&self) -> usize {
        16 * usize::from(self.size)
    }

    /// Bytes of the available ring, event field included, or of the event suppression.
    pub fn avail_len(&self) -> usize {
        if self.packed {
            return 4;
        }
        6 + 2 * usize::from(self.size)
    }

    /// Bytes of the used ring, event field included, or of the event suppression.
    pub fn used_len(&self) -> usize {
        if self.packed {
            return 4;
        }
        6 + 8 * usize::from(self.size)
    }

    /// Offset of `used_event` in the available ring.
    pub(super) fn used_event_at(&self) -> usize {
        4 + 2 * usize::from(self.size)
    }

    /// Offset of `avail_event` in the used ring.
    pub(super) fn avail_event_at(&self) -> usize {
        4 + 8 * usize::from(self.size)
    }
}
