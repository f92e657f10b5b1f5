//! Memory of our own that hardware works in: descriptor rings and buffers.

use std::sync::atomic::Ordering;

use vm_memory::bitmap::BitmapSlice;
use vm_memory::mmap::{MmapRegion, MmapRegionError};
use vm_memory::{Bytes, VolatileMemory, VolatileSlice};

use super::slice::{ReadSlice, WriteSlice};

/// Pages of memory, all zero at first, that a function's DMA may read and write at any time. Any thread may access it;
/// who may when is up to the driver of that function.
#[derive(Debug)]
pub struct OwnMemory {
    region: MmapRegion,
}

impl OwnMemory {
    /// At least `len` bytes, in whole pages of 4 KiB.
    ///
    /// # Errors
    /// The kernel has none.
    pub fn new(len: usize) -> Result<Self, nix::errno::Errno> {
        let failed = |error| match error {
            MmapRegionError::Mmap(error) => {
                nix::errno::Errno::from_raw(error.raw_os_error().unwrap_or(libc::ENOMEM))
            }
            _ => nix::errno::Errno::ENOMEM,
        };
        let len = len.next_multiple_of(4096);
        MmapRegion::new(len)
            .map(|region| Self { region })
            .map_err(failed)
    }

    /// Bytes.
    pub fn len(&self) -> usize {
        self.region.size()
    }

    /// Never: there is a page at least.
    pub fn is_empty(&self) -> bool {
        self.region.size() == 0
    }

    /// Where it is in this process.
    pub fn address(&self) -> usize {
        self.region.as_ptr() as usize
    }

    fn volatile(&self) -> VolatileSlice<'_, impl BitmapSlice> {
        self.region.as_volatile_slice()
    }

    /// Eight bytes at `at`, a multiple of eight, as they stand; what hardware wrote before them is seen behind
    /// this. Zero beyond the end.
    #[inline]
    pub fn load64(&self, at: usize) -> u64 {
        self.volatile()
            .load(at, Ordering::Acquire)
            .unwrap_or_default()
    }

    /// Four bytes at `at`, as [`Self::load64`].
    #[inline]
    pub fn load32(&self, at: usize) -> u32 {
        self.volatile()
            .load(at, Ordering::Acquire)
            .unwrap_or_default()
    }

    /// Two bytes at `at`, as [`Self::load64`].
    #[inline]
    pub fn load16(&self, at: usize) -> u16 {
        self.volatile()
            .load(at, Ordering::Acquire)
            .unwrap_or_default()
    }

    /// Sets eight bytes at `at`, a multiple of eight, behind whatever was written before. Nothing beyond the end.
    #[inline]
    pub fn store64(&self, at: usize, value: u64) {
        let _ = self.volatile().store(value, at, Ordering::Release);
    }

    /// Sets four bytes, as [`Self::store64`].
    #[inline]
    pub fn store32(&self, at: usize, value: u32) {
        let _ = self.volatile().store(value, at, Ordering::Release);
    }

    /// Sets two bytes, as [`Self::store64`].
    #[inline]
    pub fn store16(&self, at: usize, value: u16) {
        let _ = self.volatile().store(value, at, Ordering::Release);
    }

    /// `len` bytes at `at`, or as many as there are.
    #[inline]
    pub fn read(&self, at: usize, len: usize) -> ReadSlice<'_> {
        let at = at.min(self.len());
        ReadSlice::new(self.address() + at, len.min(self.len() - at))
    }

    /// As [`Self::read`], to write.
    #[inline]
    pub fn write(&self, at: usize, len: usize) -> WriteSlice<'_> {
        let at = at.min(self.len());
        WriteSlice::new(self.address() + at, len.min(self.len() - at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_is_there_and_nothing_lies_beyond_the_end() {
        let memory = OwnMemory::new(5000).expect("memory");
        assert_eq!(memory.len(), 8192);
        assert_eq!(memory.address() % 4096, 0);
        memory.store64(8, 0x1122_3344_5566_7788);
        assert_eq!(memory.load64(8), 0x1122_3344_5566_7788);
        assert_eq!((memory.load32(12), memory.load16(8)), (0x1122_3344, 0x7788));
        memory.store32(8192, 1);
        memory.store64(8188, 1);
        assert_eq!((memory.load32(8192), memory.load64(usize::MAX - 3)), (0, 0));
        assert_eq!(memory.write(8190, 100).write(b"abcd"), 2);
        let mut bytes = [0; 4];
        assert_eq!(memory.read(8190, 4).read(&mut bytes), 2);
        assert_eq!(&bytes[..2], b"ab");
        assert!(memory.read(9000, 1).is_empty());
    }
}
