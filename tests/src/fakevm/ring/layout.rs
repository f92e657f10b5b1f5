//! Where the areas of a split queue lie in guest memory.

use crate::fakevm::error::{Error, Result};
use crate::fakevm::limits::MAX_RING_SIZE;
use crate::fakevm::memory::GuestMemory;

/// Size and addresses of one queue (virtio 1.3 2.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueLayout {
    /// Entries, a power of two.
    pub size: u16,
    /// Guest physical address of the descriptor table.
    pub desc: u64,
    /// Guest physical address of the available ring.
    pub avail: u64,
    /// Guest physical address of the used ring.
    pub used: u64,
}

impl QueueLayout {
    /// Takes memory for a queue. The used ring begins on a page of its own.
    ///
    /// # Errors
    /// Fails when `size` is no power of two up to 32768 or memory has no room.
    pub fn alloc(memory: &mut GuestMemory, size: u16) -> Result<Self> {
        if !size.is_power_of_two() || size > MAX_RING_SIZE {
            return Err(Error::Memory(format!(
                "{size} is no size for a split queue"
            )));
        }
        let mut layout = QueueLayout {
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

    /// Bytes of the available ring, event field included.
    pub fn avail_len(&self) -> usize {
        6 + 2 * usize::from(self.size)
    }

    /// Bytes of the used ring, event field included.
    pub fn used_len(&self) -> usize {
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
