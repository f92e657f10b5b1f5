//! Buffers of our own that hardware reads or writes.

use std::sync::Arc;

use crate::mem::{OwnMemory, ReadSlice, WriteSlice};

/// Equal buffers in one piece of memory.
#[derive(Clone, Debug)]
pub struct Slots {
    memory: Arc<OwnMemory>,
    /// The first's place in it.
    at: usize,
    /// The first's address for the function's DMA.
    iova: u64,
    count: u32,
    size: u32,
}

impl Slots {
    /// `count` buffers of `size` bytes from `at` on; the first is at `iova` for the function's DMA. Fewer, where
    /// the memory does not hold so many.
    pub fn new(memory: Arc<OwnMemory>, at: usize, iova: u64, (count, size): (u32, u32)) -> Self {
        let room = memory.len().saturating_sub(at) / size.max(1) as usize;
        let count = count.min(u32::try_from(room).unwrap_or(u32::MAX));
        Self {
            memory,
            at,
            iova,
            count,
            size,
        }
    }

    /// How many.
    pub const fn count(&self) -> u32 {
        self.count
    }

    /// Bytes of each.
    pub const fn size(&self) -> u32 {
        self.size
    }

    fn place(&self, index: u32) -> usize {
        // Both are below what the memory holds.
        self.at + (index % self.count.max(1)) as usize * self.size as usize
    }

    /// A buffer's address for the function's DMA.
    #[inline]
    pub fn iova(&self, index: u32) -> u64 {
        self.iova + (self.place(index) - self.at) as u64
    }

    /// The first `len` bytes of a buffer.
    #[inline]
    pub fn read(&self, index: u32, len: u32) -> ReadSlice<'_> {
        self.memory
            .read(self.place(index), len.min(self.size) as usize)
    }

    /// A buffer, to write.
    #[inline]
    pub fn write(&self, index: u32) -> WriteSlice<'_> {
        self.memory.write(self.place(index), self.size as usize)
    }
}
