//! Volatile access to a split ring (virtio 1.3 2.7).
//!
//! [`RingCache`] keeps where the ring lies, [`RingView`] is what a burst works with. Indexes are
//! masked or checked here, so no value a guest writes can move an access out of the areas.

use std::marker::PhantomData;
use std::sync::atomic::{AtomicU16, AtomicU32, AtomicU64, Ordering};

use super::areas::{AreaPlan, Areas, PlaceError};
use super::prefetch;
use super::regions::{Access, Cursor, ReadCursor, Regions, WriteCursor};
use super::row::{ReadRow, WriteRow};
use super::slice::{ReadSlice, WriteSlice};

/// Bytes of a used entry.
const USED_SIZE: usize = 8;
/// Used entries in a cache line.
const USED_PER_LINE: usize = prefetch::LINE / USED_SIZE;

/// Where a driver placed a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RingPlace {
    /// Entries; of a split ring a power of two.
    pub size: u16,
    /// Guest address of the descriptor table or, packed, descriptor ring; 16-byte aligned.
    pub descriptors: u64,
    /// Guest address of the available ring (2-byte aligned) or, packed, of the driver's event
    /// suppression (4-byte aligned).
    pub available: u64,
    /// Guest address of the used ring or, packed, of the device's event suppression; 4-byte aligned.
    pub used: u64,
}

/// A descriptor, loaded once (virtio 1.3 2.7.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// Guest address of the buffer.
    pub address: u64,
    /// Its bytes.
    pub len: u32,
    /// `NEXT` 1, `WRITE` 2, `INDIRECT` 4.
    pub flags: u16,
    /// Next descriptor with `NEXT`.
    pub next: u16,
}

impl Descriptor {
    /// Bytes of one descriptor in memory.
    pub const SIZE: usize = 16;
    /// Another descriptor follows.
    pub const NEXT: u16 = 1;
    /// The device writes (else reads).
    pub const WRITE: u16 = 2;
    /// The buffer is a table of descriptors.
    pub const INDIRECT: u16 = 4;

    fn from_words(address: u64, rest: u64) -> Self {
        let rest = u64::from_le(rest);
        Self {
            address: u64::from_le(address),
            len: rest as u32,
            flags: (rest >> 32) as u16,
            next: (rest >> 48) as u16,
        }
    }

    /// From a copy of its 16 bytes.
    pub fn from_bytes(bytes: &[u8; Self::SIZE]) -> Self {
        let word = |at: usize| {
            let mut word = [0; 8];
            word.copy_from_slice(&bytes[at..at + 8]);
            u64::from_ne_bytes(word)
        };
        Self::from_words(word(0), word(8))
    }
}

/// Where a split ring lies, translated while the device's memory stays as it is.
#[derive(Debug)]
pub struct RingCache {
    size: u16,
    areas: Areas,
}

impl RingCache {
    /// A cache for a ring at `place`; nothing is translated yet.
    ///
    /// # Errors
    /// Size or alignment.
    pub fn new(place: RingPlace) -> Result<Self, PlaceError> {
        let size = place.size;
        if !size.is_power_of_two() {
            return Err(PlaceError::Size(size));
        }
        let n = u64::from(size);
        let plan = |name, address, len, align, access| AreaPlan {
            name,
            address,
            len,
            align,
            access,
        };
        let areas = Areas::new([
            plan(
                "descriptor table",
                place.descriptors,
                16 * n,
                16,
                &[Access::Read],
            ),
            plan(
                "available ring",
                place.available,
                6 + 2 * n,
                2,
                &[Access::Read],
            ),
            plan("used ring", place.used, 6 + 8 * n, 4, &[Access::Write]),
        ])?;
        Ok(Self { size, areas })
    }

    /// Entries of the ring.
    pub const fn size(&self) -> u16 {
        self.size
    }

    /// The ring in this state of the device's memory.
    ///
    /// # Errors
    /// [`PlaceError`] when an area is not (any more) reachable.
    #[inline]
    pub fn view<'m>(&'m mut self, regions: &'m Regions) -> Result<RingView<'m>, PlaceError> {
        let [descriptors, available, used] = self.areas.bases(regions)?;
        Ok(RingView {
            descriptors,
            available,
            used,
            size: self.size,
            life: PhantomData,
        })
    }

    /// True once the memory under a joined area was truncated.
    pub fn faulted(&self) -> bool {
        self.areas.faulted()
    }
}

/// A ring, ready for a burst.
#[derive(Clone, Copy, Debug)]
pub struct RingView<'m> {
    descriptors: usize,
    available: usize,
    used: usize,
    size: u16,
    life: PhantomData<&'m Regions>,
}

impl RingView<'_> {
    /// Entries.
    pub const fn size(&self) -> u16 {
        self.size
    }

    fn u16_at(&self, address: usize) -> &AtomicU16 {
        // SAFETY: callers pass addresses inside an area, 2-byte aligned because the area's start is
        // and all offsets are even; atomics may be shared with a writer outside of this process.
        unsafe { AtomicU16::from_ptr(address as *mut u16) }
    }

    fn index(&self, index: u16) -> usize {
        usize::from(index & (self.size - 1))
    }

    /// Where the driver will put its next entry. Acquires what it wrote before.
    #[inline]
    pub fn available_index(&self) -> u16 {
        u16::from_le(self.u16_at(self.available + 2).load(Ordering::Acquire))
    }

    /// Up to where entries were used, by whoever worked the ring last.
    pub fn used_index(&self) -> u16 {
        u16::from_le(self.u16_at(self.used + 2).load(Ordering::Acquire))
    }

    /// Available entry `index` (taken modulo the size): a descriptor number, unchecked.
    #[inline]
    pub fn available_entry(&self, index: u16) -> u16 {
        let at = self.available + 4 + 2 * self.index(index);
        u16::from_le(self.u16_at(at).load(Ordering::Relaxed))
    }

    /// Available entries from `index` on, and asks the processor to fetch their descriptors, which need not
    /// exist. Those beyond the ring's size stay as they are.
    #[inline]
    pub fn available_row(&self, index: u16, ids: &mut [u16]) {
        let first = self.index(index);
        let size = usize::from(self.size);
        let (front, back) = ids.split_at_mut(ids.len().min(size - first));
        let back_len = back.len().min(first);
        for (run, ids) in [(first, front), (0, &mut back[..back_len])] {
            let at = self.available + 4 + 2 * run;
            for (ahead, id) in ids.iter_mut().enumerate() {
                *id = u16::from_le(self.u16_at(at + 2 * ahead).load(Ordering::Relaxed));
                self.prefetch_descriptor(*id);
            }
        }
    }

    /// Flags of the available ring: bit 0 asks for no interrupts.
    #[inline]
    pub fn available_flags(&self) -> u16 {
        u16::from_le(self.u16_at(self.available).load(Ordering::Relaxed))
    }

    /// The driver's interrupt threshold (virtio 1.3 2.7.7).
    #[inline]
    pub fn used_event(&self) -> u16 {
        let at = self.available + 4 + 2 * usize::from(self.size);
        u16::from_le(self.u16_at(at).load(Ordering::Relaxed))
    }

    /// Descriptor `index`; `None` when the table has no such entry.
    #[inline]
    pub fn descriptor(&self, index: u16) -> Option<Descriptor> {
        if index >= self.size {
            return None;
        }
        let at = self.descriptors + Descriptor::SIZE * usize::from(index);
        // SAFETY: inside the table, whose start is 16-byte aligned.
        let words = unsafe { (&*(at as *const AtomicU64), &*((at + 8) as *const AtomicU64)) };
        Some(Descriptor::from_words(
            words.0.load(Ordering::Relaxed),
            words.1.load(Ordering::Relaxed),
        ))
    }

    /// Adds the buffers of usual chains to a row, up to the first that is another: one descriptor, readable,
    /// of `least..=most` bytes in one piece. Returns how many; what was added is to be used as it is,
    /// anything else is walked from its beginning.
    #[inline]
    pub fn plain_reads<'m>(
        &self,
        ids: &[u16],
        lens: (u32, u32),
        cursor: &mut ReadCursor<'m, '_>,
        row: &mut ReadRow<'m>,
    ) -> usize {
        let cursor = &mut cursor.0;
        let find = |id| {
            let (at, len) = self.plain(id, 0, lens, cursor)?;
            prefetch::two_to_read(at as *const u8);
            Some((at, len))
        };
        // SAFETY: the cursor's regions are mapped for `'m`, and it was made to read.
        unsafe { row.row.extend(ids.iter().copied(), find) }
    }

    /// The buffer of a usual chain, as with [`Self::plain_reads`].
    #[inline]
    pub fn plain_read<'m>(
        &self,
        id: u16,
        lens: (u32, u32),
        cursor: &mut ReadCursor<'m, '_>,
    ) -> Option<ReadSlice<'m>> {
        let (at, len) = self.plain(id, 0, lens, &mut cursor.0)?;
        Some(ReadSlice::new(at, len as usize))
    }

    /// The buffer of a usual chain, as with [`Self::plain_writes`].
    #[inline]
    pub fn plain_write<'m>(
        &self,
        id: u16,
        cursor: &mut WriteCursor<'m, '_>,
    ) -> Option<WriteSlice<'m>> {
        let (at, len) = self.plain(id, Descriptor::WRITE, (1, u32::MAX), &mut cursor.0)?;
        Some(WriteSlice::new(at, len as usize))
    }

    /// As [`Self::plain_reads`], buffers to write, of whatever length.
    #[inline]
    pub fn plain_writes<'m>(
        &self,
        ids: &[u16],
        cursor: &mut WriteCursor<'m, '_>,
        row: &mut WriteRow<'m>,
    ) -> usize {
        let cursor = &mut cursor.0;
        let find = |id| {
            let (at, len) = self.plain(id, Descriptor::WRITE, (1, u32::MAX), cursor)?;
            prefetch::two_to_write(at as *const u8);
            Some((at, len))
        };
        // SAFETY: the cursor's regions are mapped for `'m`, and it was made to write.
        unsafe { row.row.extend(ids.iter().copied(), find) }
    }

    /// Where the buffer lies of a chain of one descriptor with exactly these flags.
    #[inline(always)]
    fn plain(
        &self,
        id: u16,
        flags: u16,
        (least, most): (u32, u32),
        cursor: &mut Cursor<'_, '_>,
    ) -> Option<(usize, u32)> {
        let Descriptor {
            address,
            len,
            flags: found,
            ..
        } = self.descriptor(id)?;
        if found != flags || len.wrapping_sub(least) > most - least {
            return None;
        }
        Some((cursor.whole(address, len)?, len))
    }

    /// Asks the processor to fetch the lines that `count` used entries from `index` on will be written
    /// to, and that of their index: a store waits for its line, and those behind it wait in order.
    #[inline]
    pub fn prefetch_used(&self, index: u16, count: usize) {
        prefetch::to_write(self.used as *const u8);
        let mut at = 0;
        while at <= count {
            let index = self.index(index.wrapping_add(at.min(count) as u16));
            prefetch::to_write((self.used + 4 + 8 * index) as *const u8);
            at += USED_PER_LINE;
        }
    }

    /// Where used entry `index` (modulo the size) and the index of the used ring are.
    #[inline]
    pub(super) fn used_lines(&self, index: u16) -> [usize; 2] {
        [self.used + 4 + USED_SIZE * self.index(index), self.used]
    }

    /// Asks the processor to fetch what the driver says about interrupts.
    #[inline]
    pub fn prefetch_interest(&self, event_idx: bool) {
        let event = self.available + 4 + 2 * usize::from(self.size);
        let at = if event_idx { event } else { self.available };
        prefetch::to_read(at as *const u8);
    }

    /// Asks the processor to fetch descriptor `index`, which need not exist.
    #[inline]
    fn prefetch_descriptor(&self, index: u16) {
        let at = self.descriptors + Descriptor::SIZE * usize::from(index);
        prefetch::to_read(at as *const u8);
    }

    /// True while nothing was ever made available and the descriptor table reads as zeroes: after a
    /// doorbell, a sign that the client's memory is not the memory that it gave us.
    pub fn untouched(&self) -> bool {
        let blank = Descriptor {
            address: 0,
            len: 0,
            flags: 0,
            next: 0,
        };
        self.available_index() == 0
            && (0..self.size)
                .filter_map(|i| self.descriptor(i))
                .all(|d| d == blank)
    }

    /// Writes used entries from `index` on (modulo the size), descriptor number and bytes; not yet visible to
    /// a well-behaved driver. Returns the index behind them.
    #[inline]
    pub fn set_used_all(&self, index: u16, entries: impl Iterator<Item = (u16, u32)>) -> u16 {
        // Positions stay in registers: kept in the ring's own memory they would be stored and loaded
        // again for every entry, which takes longer than the entry.
        let first = self.used + 4;
        let end = first + USED_SIZE * usize::from(self.size);
        let start = first + USED_SIZE * self.index(index);
        let (mut at, mut count) = (start, 0u16);
        for (id, len) in entries {
            // SAFETY: inside the used ring, whose start is 4-byte aligned; entries begin at offset 4.
            let words = unsafe { (&*(at as *const AtomicU32), &*((at + 4) as *const AtomicU32)) };
            words.0.store(u32::from(id).to_le(), Ordering::Relaxed);
            words.1.store(len.to_le(), Ordering::Relaxed);
            at += USED_SIZE;
            if at == end {
                at = first;
            }
            count = count.wrapping_add(1);
        }
        index.wrapping_add(count)
    }

    /// [`Self::set_used_all`] for one entry.
    #[inline]
    pub fn set_used(&self, index: u16, id: u16, len: u32) -> u16 {
        self.set_used_all(index, std::iter::once((id, len)))
    }

    /// Publishes all used entries before `index`.
    #[inline]
    pub fn publish_used(&self, index: u16) {
        self.u16_at(self.used + 2)
            .store(index.to_le(), Ordering::Release);
    }

    /// Flags of the used ring: bit 0 asks for no doorbells.
    #[inline]
    pub fn set_used_flags(&self, flags: u16) {
        self.u16_at(self.used)
            .store(flags.to_le(), Ordering::Relaxed);
    }

    /// The device's doorbell threshold (virtio 1.3 2.7.10).
    #[inline]
    pub fn set_available_event(&self, index: u16) {
        let at = self.used + 4 + 8 * usize::from(self.size);
        self.u16_at(at).store(index.to_le(), Ordering::Relaxed);
    }
}
