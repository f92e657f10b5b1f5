//! A burst's buffers side by side, each in one piece, and the one loop that copies from row to row.
//!
//! Rows are what the usual frame passes through: nothing in here allocates, and what a burst does not use
//! of a row is never touched.

use std::marker::PhantomData;
use std::mem::MaybeUninit;

use super::Regions;
use super::copy::copy;
use super::slice::{ReadSlice, WriteSlice};
use crate::limits::{BURST, FLOW_COPY};

/// Bytes of a frame from which on the next one is asked for in full.
const LONG: usize = 256;

/// A buffer: mapped for `len` bytes from `at` on.
#[derive(Clone, Copy, Debug)]
struct Entry {
    at: usize,
    len: u32,
}

/// Room for a row.
#[derive(Debug)]
pub struct Row {
    /// The first `count` are initialised.
    entries: [MaybeUninit<Entry>; BURST],
    count: usize,
}

impl Default for Row {
    fn default() -> Self {
        Self::new()
    }
}

impl Row {
    /// An empty row.
    #[inline]
    pub const fn new() -> Self {
        Self {
            entries: [const { MaybeUninit::uninit() }; BURST],
            count: 0,
        }
    }

    /// An empty row of buffers to read, that all live for `'m`.
    #[inline]
    pub fn lend<'m>(&'m mut self) -> ReadRow<'m> {
        self.count = 0;
        ReadRow {
            row: self,
            life: PhantomData,
        }
    }

    #[inline]
    fn filled(&self) -> &[Entry] {
        // SAFETY: that many are initialised, and there are never more than entries.
        unsafe { std::slice::from_raw_parts(self.entries.as_ptr().cast(), self.count) }
    }

    #[inline]
    fn filled_mut(&mut self) -> &mut [Entry] {
        // SAFETY: as above.
        unsafe { std::slice::from_raw_parts_mut(self.entries.as_mut_ptr().cast(), self.count) }
    }

    /// Adds the buffer that `find` has for each of `ids`, until it has none or the row is full; returns how
    /// many.
    ///
    /// # Safety
    /// What `find` returns is mapped for as long as the row is lent, writable if it is lent for that.
    #[inline(always)]
    pub(super) unsafe fn extend(
        &mut self,
        ids: impl ExactSizeIterator<Item = u16>,
        mut find: impl FnMut(u16) -> Option<(usize, u32)>,
    ) -> usize {
        // SAFETY: at most `BURST` are ever initialised.
        let spare = unsafe { self.entries.get_unchecked_mut(self.count..) };
        let most = ids.len().min(spare.len());
        let mut added = 0;
        for (slot, id) in spare[..most].iter_mut().zip(ids) {
            let Some((at, len)) = find(id) else { break };
            slot.write(Entry { at, len });
            added += 1;
        }
        self.count += added;
        added
    }

    /// False when the row is full, or the buffer longer than 32 bits can say.
    #[inline]
    fn push(&mut self, at: usize, len: usize) -> bool {
        match (self.entries.get_mut(self.count), u32::try_from(len)) {
            (Some(slot), Ok(len)) => {
                slot.write(Entry { at, len });
                self.count += 1;
                true
            }
            _ => false,
        }
    }

    /// Where the buffer at `index` is, and its bytes.
    #[inline]
    fn get(&self, index: usize) -> Option<(usize, usize)> {
        let Entry { at, len } = *self.filled().get(index)?;
        Some((at, len as usize))
    }
}

/// Buffers to read.
#[derive(Debug)]
pub struct ReadRow<'m> {
    pub(super) row: &'m mut Row,
    life: PhantomData<&'m Regions>,
}

impl<'m> ReadRow<'m> {
    /// Buffers in it.
    #[inline]
    pub fn len(&self) -> usize {
        self.row.count
    }

    /// True without a buffer.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.row.count == 0
    }

    /// Buffers that still fit.
    #[inline]
    pub fn room(&self) -> usize {
        BURST - self.row.count
    }

    /// Adds a buffer; false when the row is full, or the buffer longer than 32 bits can say.
    #[inline]
    pub fn push(&mut self, slice: ReadSlice<'m>) -> bool {
        let (base, len) = slice.as_raw();
        self.row.push(base as usize, len)
    }

    /// The buffer at `index`.
    #[inline]
    pub fn get(&self, index: usize) -> Option<ReadSlice<'m>> {
        let (at, len) = self.row.get(index)?;
        Some(ReadSlice::new(at, len))
    }

    /// Puts another buffer, no longer than 32 bits can say, in the place of the one at `index`.
    pub fn set(&mut self, index: usize, slice: ReadSlice<'m>) {
        let (base, len) = slice.as_raw();
        if let (Some(entry), Ok(len)) = (self.row.filled_mut().get_mut(index), u32::try_from(len)) {
            *entry = Entry {
                at: base as usize,
                len,
            };
        }
    }

    /// The bytes of each buffer from `first` on.
    #[inline]
    pub fn lens(&self, first: usize) -> impl Iterator<Item = usize> {
        let entries = self.row.filled().get(first..).unwrap_or_default();
        entries.iter().map(|entry| entry.len as usize)
    }

    /// Of each buffer the first eight bytes, and those that follow the first `skip` of it, as they stand;
    /// `None` for one that has not so many.
    #[inline]
    pub fn starts(
        &self,
        skip: usize,
    ) -> impl Iterator<Item = Option<(u64, [u8; FLOW_COPY])>> + use<'_, 'm> {
        // Which is at least eight.
        let least = skip.saturating_add(FLOW_COPY);
        self.row.filled().iter().map(move |entry| {
            if (entry.len as usize) < least {
                return None;
            }
            let base = entry.at as *const u8;
            // SAFETY: the bytes are mapped at `base` for `'m`; no alignment is assumed.
            Some(unsafe {
                (
                    base.cast::<u64>().read_unaligned(),
                    base.add(skip).cast::<[u8; FLOW_COPY]>().read_unaligned(),
                )
            })
        })
    }

    /// Copies `count` buffers from `index` on, each without its first `skip` bytes, into those of `to` from the
    /// one at `first` on, behind what `front` has for it, and says in `to` how long each has become. The first bytes that
    /// are copied are not the buffer's own, but the copy of them in `starts`. Ends at the first that
    /// does not fit, or is shorter than that. Returns how many were copied, and their bytes without
    /// the front.
    ///
    /// As with [`ReadSlice::copy_to`], buffers may overlap.
    #[inline]
    pub fn copy_to<const FRONT: usize>(
        &self,
        (index, count): (usize, usize),
        skip: usize,
        starts: &[[u8; FLOW_COPY]; BURST],
        (to, first): (&mut WriteRow<'_>, usize),
        front: impl Fn(usize) -> [u8; FRONT],
    ) -> (usize, u64) {
        let (mut done, mut bytes) = (0, 0);
        let from = self.row.filled().get(index..).unwrap_or_default();
        let starts = starts.get(index..).unwrap_or_default();
        let slots = to.row.filled_mut().get_mut(first..).unwrap_or_default();
        let count = count.min(from.len()).min(starts.len()).min(slots.len());
        let (from, starts, slots) = (&from[..count], &starts[..count], &mut slots[..count]);
        let least = skip.saturating_add(FLOW_COPY);
        for nth in 0..count {
            let (entry, slot) = (from[nth], slots[nth]);
            // No buffer has the whole address space.
            if (entry.len as usize) < least
                || (slot.len as usize) + skip < FRONT + entry.len as usize
            {
                break;
            }
            let (base, len) = (entry.at + skip, entry.len as usize - skip);
            if len > LONG
                && let (Some(next), Some(slot)) = (from.get(nth + 1), slots.get(nth + 1))
            {
                // On its way while this one is copied.
                ReadSlice::new(next.at, next.len as usize)
                    .prefetch_copy(WriteSlice::new(slot.at, slot.len as usize));
            }
            // SAFETY: `len` bytes, at least `FLOW_COPY`, are mapped at `base`, and `FRONT + len` at the
            // slot, writable; the local arrays are none of those; `copy` allows overlap.
            unsafe {
                let (base, to) = (base as *const u8, (slot.at as *mut u8).add(FRONT));
                copy(base.add(FLOW_COPY), to.add(FLOW_COPY), len - FLOW_COPY);
                copy(front(index + nth).as_ptr(), slot.at as *mut u8, FRONT);
                copy(starts[nth].as_ptr(), to, FLOW_COPY);
            }
            slots[nth].len = (FRONT + len) as u32;
            bytes += len as u64;
            done += 1;
        }
        (done, bytes)
    }
}

/// Buffers to write.
#[derive(Debug)]
pub struct WriteRow<'m> {
    pub(super) row: Row,
    life: PhantomData<&'m Regions>,
}

impl Default for WriteRow<'_> {
    fn default() -> Self {
        Self::new()
    }
}

impl<'m> WriteRow<'m> {
    /// An empty row.
    #[inline]
    pub const fn new() -> Self {
        Self {
            row: Row::new(),
            life: PhantomData,
        }
    }

    /// Adds a buffer; false when the row is full, or the buffer longer than 32 bits can say.
    #[inline]
    pub fn push(&mut self, slice: WriteSlice<'m>) -> bool {
        let (base, len) = slice.as_raw();
        self.row.push(base as usize, len)
    }

    /// The buffer at `index`; after a copy only as much of it as was written.
    #[inline]
    pub fn get(&self, index: usize) -> Option<WriteSlice<'m>> {
        let (at, len) = self.row.get(index)?;
        Some(WriteSlice::new(at, len))
    }

    /// Notes that only the first `len` bytes of the buffer at `index` were written.
    #[inline]
    pub fn shorten(&mut self, index: usize, len: usize) {
        if let Some(entry) = self.row.filled_mut().get_mut(index) {
            entry.len = entry.len.min(u32::try_from(len).unwrap_or(u32::MAX));
        }
    }

    /// The bytes of each buffer; after a copy those that were written.
    #[inline]
    pub fn lens(&self) -> impl Iterator<Item = u32> {
        self.row.filled().iter().map(|entry| entry.len)
    }
}

#[cfg(test)]
mod tests;
