//! Receive buffers that somebody else fills in place.

use super::{RingError, Token};
use crate::mem::{ReadSlice, Regions, WriteSlice};
use crate::offload::FrameMeta;

/// A receive buffer in one piece that was taken out of its ring to be filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Borrowed {
    pub(super) token: Token,
    /// Its guest address.
    pub(super) address: u64,
    /// Its bytes, and those that stand in front of a frame.
    pub(super) len: u32,
    pub(super) front: u32,
    /// Where a frame begins in this process.
    pub(super) place: usize,
}

impl Borrowed {
    /// Where a frame's first byte goes in this process: to look up where DMA finds it.
    pub(crate) const fn place(&self) -> usize {
        self.place
    }

    /// Its first bytes as it lies in memory now: a header and `len` bytes of a frame, or what there is of them. `None`
    /// when they are not mapped any more, or not in one piece.
    pub(super) fn lent<'m>(&self, regions: &'m Regions, len: u32) -> Option<WriteSlice<'m>> {
        let all = self.front.saturating_add(len).min(self.len);
        let mut whole = None;
        let found = regions.writable(self.address, all.into(), |slice| {
            let first = whole.is_none() && slice.len() == all as usize;
            whole = first.then_some(slice);
            first
        });
        whole.filter(|_| found == Ok(true))
    }

    /// `len` bytes of a frame that lie in it, as its driver may still change them.
    pub(crate) fn frame<'m>(&self, regions: &'m Regions, len: u32) -> Option<ReadSlice<'m>> {
        let lent = self.lent(regions, len)?;
        Some(lent.skip(self.front as usize).to_read())
    }
}

/// A receive ring whose buffers can be filled in place.
pub trait Lender {
    /// Takes the next buffer out, if it is in one piece that holds a frame of `len` bytes, and if the place where that
    /// begins is `wanted`. `None`: there is none, or it is another; [`Self::waiting`] tells which.
    ///
    /// # Errors
    /// [`RingError`].
    fn borrow(
        &mut self,
        regions: &Regions,
        len: u32,
        wanted: &dyn Fn(usize) -> bool,
    ) -> Result<Option<Borrowed>, RingError>;

    /// Buffers that the driver has posted and nobody has taken.
    ///
    /// # Errors
    /// [`RingError`].
    fn waiting(&mut self, regions: &Regions) -> Result<u16, RingError>;

    /// Gives a borrowed buffer back with `len` bytes of a frame in it, and its header in front. Visible with the next
    /// publish.
    ///
    /// # Errors
    /// [`RingError`].
    fn fill(
        &mut self,
        regions: &Regions,
        meta: &FrameMeta,
        borrowed: &Borrowed,
        len: u32,
    ) -> Result<(), RingError>;

    /// Asks the driver to ring when it posts buffers, or no longer to. True: some are there now.
    ///
    /// # Errors
    /// [`RingError::Away`].
    fn await_buffers(&mut self, regions: &Regions, on: bool) -> Result<bool, RingError>;
}
