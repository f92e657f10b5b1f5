//! Volatile access to a ring of descriptors that are given back in their places, as NICs have them.
//!
//! [`DescriptorCache`] keeps where the ring lies, [`DescriptorView`] is what a burst works with. A
//! descriptor is a few 64-bit words; what they mean is the ring format's business. Numbers are held
//! within the ring here, so no value a guest writes can move an access out of the area.

use std::marker::PhantomData;
use std::sync::atomic::{AtomicU64, Ordering};

use super::areas::{AreaPlan, Areas, PlaceError};
use super::prefetch;
use super::regions::{Access, ReadCursor, Regions, WriteCursor};
use super::row::{ReadRow, WriteRow};

/// Bytes of a word.
const WORD: usize = 8;

/// Where a ring of descriptors of `WORDS` words lies, translated while the device's memory stays as it is.
#[derive(Debug)]
pub struct DescriptorCache<const WORDS: usize> {
    size: u16,
    areas: Areas<1>,
}

impl<const WORDS: usize> DescriptorCache<WORDS> {
    /// A cache for a ring of `size` descriptors at `base`, which is a multiple of `align`, itself a multiple of a
    /// word; nothing is translated yet.
    ///
    /// # Errors
    /// Size (there is none without a descriptor) or alignment.
    pub fn new(size: u16, base: u64, align: u64) -> Result<Self, PlaceError> {
        if size == 0 {
            return Err(PlaceError::Size(size));
        }
        let areas = Areas::new([AreaPlan {
            name: "descriptor ring",
            address: base,
            len: (WORD * WORDS) as u64 * u64::from(size),
            align: align.next_multiple_of(WORD as u64).max(WORD as u64),
            access: &[Access::Read, Access::Write],
        }])?;
        Ok(Self { size, areas })
    }

    /// Descriptors of the ring.
    pub const fn size(&self) -> u16 {
        self.size
    }

    /// The ring in this state of the device's memory.
    ///
    /// # Errors
    /// [`PlaceError`] when it is not (any more) reachable.
    #[inline]
    pub fn view<'m>(
        &'m mut self,
        regions: &'m Regions,
    ) -> Result<DescriptorView<'m, WORDS>, PlaceError> {
        let [base] = self.areas.bases(regions)?;
        Ok(DescriptorView {
            base,
            size: self.size,
            life: PhantomData,
        })
    }

    /// True once the memory under a joined area was truncated.
    pub fn faulted(&self) -> bool {
        self.areas.faulted()
    }
}

/// A ring of descriptors, ready for a burst.
#[derive(Clone, Copy, Debug)]
pub struct DescriptorView<'m, const WORDS: usize> {
    base: usize,
    size: u16,
    life: PhantomData<&'m Regions>,
}

impl<const WORDS: usize> DescriptorView<'_, WORDS> {
    /// Descriptors.
    pub const fn size(&self) -> u16 {
        self.size
    }

    /// Where a descriptor is; of the last one when `index` is beyond the ring.
    #[inline]
    pub(super) fn address(&self, index: u16) -> usize {
        self.base + WORD * WORDS * usize::from(index.min(self.size - 1))
    }

    /// A word of a descriptor; of the last one when `index` is beyond the ring.
    #[inline]
    fn word(&self, index: u16, nth: usize) -> &AtomicU64 {
        let at = self.address(index) + WORD * nth.min(WORDS - 1);
        // SAFETY: inside the ring (the size is not 0), whose start is aligned to words; atomics may be shared
        // with a writer outside of this process.
        unsafe { AtomicU64::from_ptr(at as *mut u64) }
    }

    /// Word `nth` of descriptor `index`. What the driver wrote before it told of the descriptor is seen by whoever
    /// acquired that.
    #[inline]
    pub fn load(&self, index: u16, nth: usize) -> u64 {
        u64::from_le(self.word(index, nth).load(Ordering::Relaxed))
    }

    /// Sets a word that the driver does not look at before another.
    #[inline]
    pub fn store(&self, index: u16, nth: usize, value: u64) {
        self.word(index, nth)
            .store(value.to_le(), Ordering::Relaxed);
    }

    /// Sets the word by which the driver knows that the descriptor is its own again: all that was read and written
    /// before was so before the driver sees it.
    #[inline]
    pub fn release(&self, index: u16, nth: usize, value: u64) {
        self.word(index, nth)
            .store(value.to_le(), Ordering::Release);
    }

    /// Asks the processor to fetch the lines of `count` descriptors from `first` on, which will be written: of those
    /// before the ring's end, and as many as are left from its beginning.
    #[inline]
    pub fn prefetch(&self, first: u16, count: usize) {
        let start = self.address(first);
        let end = self.base + WORD * WORDS * usize::from(self.size);
        let bytes = WORD * WORDS * count.min(self.size.into());
        let here = bytes.min(end - start);
        for (at, len) in [(start, here), (self.base, bytes - here)] {
            for line in (0..len).step_by(prefetch::LINE) {
                prefetch::to_write((at + line) as *const u8);
            }
        }
    }

    /// Adds the buffers of usual descriptors to a row: of up to `count` from `first` on, as far as the ring goes on
    /// without a turn, up to the first that is another. The first word is the buffer's address; `plain` is asked
    /// for the bytes of one whose second word is this, if it is usual. Returns how many were added; each descriptor was
    /// loaded once.
    #[inline]
    pub fn plain_reads<'m>(
        &self,
        (first, count): (u16, usize),
        cursor: &mut ReadCursor<'m, '_>,
        row: &mut ReadRow<'m>,
        mut plain: impl FnMut(u64) -> Option<u32>,
    ) -> usize {
        let cursor = &mut cursor.0;
        let find = |index| {
            let len = plain(self.load(index, 1))?;
            let at = cursor.whole(self.load(index, 0), len)?;
            prefetch::start_to_read(at as *const u8, len);
            Some((at, len))
        };
        // SAFETY: the cursor's regions are mapped for `'m`, and it was made to read.
        unsafe { row.row.extend(self.run(first, count), find) }
    }

    /// As [`Self::plain_reads`], buffers to write: all have `buffer` bytes, of which the first `len` go into the row.
    #[inline]
    pub fn plain_writes<'m>(
        &self,
        (first, count): (u16, usize),
        (buffer, len): (u32, u32),
        cursor: &mut WriteCursor<'m, '_>,
        row: &mut WriteRow<'m>,
    ) -> usize {
        let cursor = &mut cursor.0;
        let len = len.min(buffer);
        let find = |index| {
            let at = cursor.whole(self.load(index, 0), buffer)?;
            prefetch::two_to_write(at as *const u8);
            Some((at, len))
        };
        // SAFETY: the cursor's regions are mapped for `'m`, and it was made to write; `len` is no more than what
        // was looked up.
        unsafe { row.row.extend(self.run(first, count), find) }
    }

    /// Descriptors from `first` on, as far as there are any without a turn.
    #[inline]
    fn run(&self, first: u16, count: usize) -> std::ops::Range<u16> {
        let first = first.min(self.size);
        first..first + count.min(usize::from(self.size - first)) as u16
    }

    /// True while the ring reads as zeroes: after a doorbell, a sign that the client's memory is not the memory
    /// that it gave us.
    pub fn untouched(&self) -> bool {
        (0..self.size).all(|index| (0..WORDS).all(|nth| self.load(index, nth) == 0))
    }
}
