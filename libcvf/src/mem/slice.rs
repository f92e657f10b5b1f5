//! Bounded pieces of memory that somebody else may be writing.
//!
//! A slice stays valid for `'m`, the borrow of the [`Regions`](super::Regions) (or local buffer) it
//! came from, because regions keep their mapping alive. Content may change at any time: copy it,
//! validate the copy, use the copy.

use std::marker::PhantomData;

use super::Regions;
use super::copy::copy;
use super::prefetch::{self, LINE};
use crate::limits::FLOW_COPY;

/// Bytes at the start of a buffer that [`ReadSlice::prefetch`] asks for.
const FIRST_LINES: usize = 2 * LINE;
/// Bytes asked for in one go: more would push out what was asked for first.
const MOST_AHEAD: usize = 2048;

/// Memory that may be read.
#[derive(Clone, Copy, Debug)]
pub struct ReadSlice<'m> {
    base: *const u8,
    len: usize,
    life: PhantomData<&'m [u8]>,
}

/// Memory that may be written (and never aliases a Rust object).
#[derive(Clone, Copy, Debug)]
pub struct WriteSlice<'m> {
    base: *mut u8,
    len: usize,
    life: PhantomData<&'m Regions>,
}

impl<'m> From<&'m [u8]> for ReadSlice<'m> {
    fn from(bytes: &'m [u8]) -> Self {
        Self {
            base: bytes.as_ptr(),
            len: bytes.len(),
            life: PhantomData,
        }
    }
}

impl<'m> ReadSlice<'m> {
    /// `base..base + len` must be mapped readable for `'m`.
    pub(super) const fn new(base: usize, len: usize) -> Self {
        Self {
            base: base as *const u8,
            len,
            life: PhantomData,
        }
    }

    /// Bytes.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// True without a byte.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// What follows the first `skip` bytes; empty when there is nothing.
    #[inline]
    #[must_use]
    pub fn skip(self, skip: usize) -> Self {
        let skip = skip.min(self.len);
        Self {
            base: self.base.wrapping_add(skip),
            len: self.len - skip,
            life: PhantomData,
        }
    }

    /// The first `len` bytes, or all there are.
    #[inline]
    #[must_use]
    pub fn first(self, len: usize) -> Self {
        Self {
            len: len.min(self.len),
            ..self
        }
    }

    /// Copies the first bytes into `into`; returns how many.
    #[inline]
    pub fn read(&self, into: &mut [u8]) -> usize {
        let len = self.len.min(into.len());
        // SAFETY: `len` bytes are mapped at `base` for `'m`; `into` is an exclusive local buffer, and
        // exclusive borrows never point into guest memory, so the two do not overlap.
        unsafe { copy(self.base, into.as_mut_ptr(), len) };
        len
    }

    /// Eight bytes at `at`, as they stand; `None` when there are not so many.
    #[inline]
    pub fn get64(&self, at: usize) -> Option<u64> {
        // SAFETY: the bytes are mapped at `base` for `'m`; no alignment is assumed.
        (at.checked_add(8)? <= self.len)
            .then(|| unsafe { self.base.add(at).cast::<u64>().read_unaligned() })
    }

    /// The first bytes, as they stand; `None` when there are not so many.
    #[inline]
    pub fn start(&self) -> Option<[u8; FLOW_COPY]> {
        // SAFETY: the bytes are mapped at `base` for `'m`; no alignment is assumed.
        (FLOW_COPY <= self.len)
            .then(|| unsafe { self.base.cast::<[u8; FLOW_COPY]>().read_unaligned() })
    }

    /// As [`Self::get64`], four bytes.
    #[inline]
    pub fn get32(&self, at: usize) -> Option<u32> {
        // SAFETY: as there.
        (at.checked_add(4)? <= self.len)
            .then(|| unsafe { self.base.add(at).cast::<u32>().read_unaligned() })
    }

    /// Asks the processor to fetch what `to` will be copied from and to, but for the first lines, which
    /// were asked for before. Does nothing for what is short.
    #[inline]
    pub fn prefetch_copy(&self, to: WriteSlice<'_>) {
        let len = self.len.min(to.len).min(MOST_AHEAD);
        let mut at = FIRST_LINES;
        while at < len {
            prefetch::to_read(self.base.wrapping_add(at));
            prefetch::to_write(to.base.wrapping_add(at));
            at += LINE;
        }
    }

    /// Copies the first bytes to `to`; returns how many. The two may overlap (two devices of one
    /// client can share a file).
    #[inline]
    pub fn copy_to(&self, to: WriteSlice<'_>) -> usize {
        let len = self.len.min(to.len);
        // SAFETY: both ends are mapped for `len` bytes, and `copy` allows overlap.
        unsafe { copy(self.base, to.base, len) };
        len
    }

    /// Asks the processor to fetch the first two lines.
    #[inline]
    pub fn prefetch(&self) {
        // What lies behind a short one is fetched in vain, and does no harm.
        prefetch::two_to_read(self.base);
    }

    pub(super) const fn as_raw(&self) -> (*const u8, usize) {
        (self.base, self.len)
    }

    /// Where it is in this process, for whoever looks up where a function's DMA finds it.
    #[inline]
    pub(crate) fn address(&self) -> usize {
        self.base as usize
    }
}

impl<'m> WriteSlice<'m> {
    /// `base..base + len` must be mapped writable for `'m`, by a guest's mapping.
    pub(super) const fn new(base: usize, len: usize) -> Self {
        Self {
            base: base as *mut u8,
            len,
            life: PhantomData,
        }
    }

    /// Bytes.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// True without a byte.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// What follows the first `skip` bytes; empty when there is nothing.
    #[inline]
    #[must_use]
    pub fn skip(self, skip: usize) -> Self {
        let skip = skip.min(self.len);
        Self {
            base: self.base.wrapping_add(skip),
            len: self.len - skip,
            life: PhantomData,
        }
    }

    pub(super) const fn as_raw(&self) -> (*mut u8, usize) {
        (self.base, self.len)
    }

    /// As with [`ReadSlice`].
    #[inline]
    pub(crate) fn address(&self) -> usize {
        self.base as usize
    }

    /// As something to read.
    #[inline]
    pub(crate) fn to_read(self) -> ReadSlice<'m> {
        ReadSlice::new(self.base as usize, self.len)
    }

    /// Asks the processor to fetch the first two lines, to be written.
    #[inline]
    pub fn prefetch(&self) {
        prefetch::two_to_write(self.base);
    }

    /// Copies from `bytes`; returns how many fitted.
    #[inline]
    pub fn write(&self, bytes: &[u8]) -> usize {
        let len = self.len.min(bytes.len());
        // SAFETY: `len` bytes are mapped at `base`; shared borrows never point into guest memory, so
        // the two do not overlap.
        unsafe { copy(bytes.as_ptr(), self.base, len) };
        len
    }
}

#[derive(Clone, Copy, Debug)]
struct Raw {
    base: usize,
    len: usize,
    writable: bool,
}

/// Room for slices that is kept from burst to burst, so that none is allocated for one.
#[derive(Debug)]
pub struct SlicePool {
    raw: Vec<Raw>,
    limit: usize,
}

impl SlicePool {
    /// Room for `limit` slices.
    pub fn new(limit: usize) -> Self {
        Self {
            raw: Vec::with_capacity(limit),
            limit,
        }
    }

    /// An empty list of slices that all live for `'m`.
    pub fn lend<'m>(&'m mut self) -> SliceList<'m> {
        self.raw.clear();
        SliceList {
            raw: &mut self.raw,
            limit: self.limit,
            life: PhantomData,
        }
    }
}

/// A list of slices of one lifetime, with a limit instead of allocation.
#[derive(Debug)]
pub struct SliceList<'m> {
    raw: &'m mut Vec<Raw>,
    limit: usize,
    life: PhantomData<&'m Regions>,
}

impl<'m> SliceList<'m> {
    /// Slices in the list.
    pub fn len(&self) -> usize {
        self.raw.len()
    }

    /// True without a slice.
    pub fn is_empty(&self) -> bool {
        self.raw.is_empty()
    }

    /// Slices that still fit.
    pub fn room(&self) -> usize {
        self.limit - self.raw.len()
    }

    /// Adds a readable slice; false when the list is full.
    #[inline]
    pub fn push_read(&mut self, slice: ReadSlice<'m>) -> bool {
        self.push(Raw {
            base: slice.base as usize,
            len: slice.len,
            writable: false,
        })
    }

    /// Adds a writable slice; false when the list is full.
    #[inline]
    pub fn push_write(&mut self, slice: WriteSlice<'m>) -> bool {
        self.push(Raw {
            base: slice.base as usize,
            len: slice.len,
            writable: true,
        })
    }

    /// Adds a slice without a byte, which takes its place in the list like any other: whoever looks at
    /// many of them is told when it is enough. False when the list is full.
    pub fn push_empty(&mut self) -> bool {
        self.push(Raw {
            base: std::ptr::NonNull::<u8>::dangling().as_ptr() as usize,
            len: 0,
            writable: true,
        })
    }

    #[inline]
    fn push(&mut self, raw: Raw) -> bool {
        if self.raw.len() == self.limit {
            return false;
        }
        self.raw.push(raw);
        true
    }

    /// Takes slices off the end until `len` are left.
    pub fn truncate(&mut self, len: usize) {
        self.raw.truncate(len);
    }

    /// The slice at `index`, for reading.
    #[inline]
    pub fn read(&self, index: usize) -> Option<ReadSlice<'m>> {
        self.raw
            .get(index)
            .map(|raw| ReadSlice::new(raw.base, raw.len))
    }

    /// The slice at `index`, for writing; `None` too when it was pushed for reading.
    #[inline]
    pub fn write(&self, index: usize) -> Option<WriteSlice<'m>> {
        let raw = self.raw.get(index).filter(|raw| raw.writable)?;
        Some(WriteSlice::new(raw.base, raw.len))
    }
}
