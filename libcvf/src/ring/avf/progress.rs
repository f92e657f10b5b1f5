//! How far a transmit ring has come: what was taken, what is kept, what the driver was told of.

use super::layout::tx;
use super::marks::Marks;
use super::{Tail, checked_tail, distance, runs};
use crate::limits::BURST;
use crate::mem::DescriptorView;
use crate::ring::RingError;

/// Positions in a ring of descriptors that are given back in order.
///
/// From `done` on the driver has not got its descriptors back; from `open` on they are those of the burst in hand; from
/// `next` on nobody has looked at them.
#[derive(Debug)]
pub(super) struct Progress {
    size: u16,
    done: u16,
    open: u16,
    next: u16,
    /// Descriptors that the driver wants to have reported when they are done.
    pub(super) reports: Marks,
    /// The tail as it was looked at last: its line is the driver's processor's.
    tail: u16,
    /// First descriptors of frames that are kept, and how many there are.
    kept: Marks,
    held: u16,
}

impl Progress {
    /// The beginning of a ring of `size`.
    pub(super) fn new(size: u16) -> Self {
        Self {
            size,
            done: 0,
            open: 0,
            next: 0,
            tail: 0,
            reports: Marks::new(size),
            kept: Marks::new(size),
            held: 0,
        }
    }

    /// Descriptors.
    #[inline]
    pub(super) const fn size(&self) -> u16 {
        self.size
    }

    /// The first descriptor that nobody has looked at.
    #[inline]
    pub(super) const fn next(&self) -> u16 {
        self.next
    }

    /// How many there are from that on: of a driver that does not wait for what it sent, only as many as do not run into
    /// that. A burst at least that was there at the last look is not looked for again, unless `anew`.
    ///
    /// # Errors
    /// [`RingError::Tail`].
    #[inline]
    pub(super) fn waiting(&mut self, tail: &Tail, anew: bool) -> Result<u16, RingError> {
        if anew || usize::from(distance(self.next, self.tail, self.size)) < BURST {
            self.tail = checked_tail(tail, self.size)?;
        }
        let taken = distance(self.done, self.next, self.size);
        Ok(distance(self.next, self.tail, self.size).min(self.size - 1 - taken))
    }

    /// Those before `next` are in the burst in hand.
    #[inline]
    pub(super) const fn take(&mut self, next: u16) {
        self.next = next;
    }

    /// The frame that begins at this descriptor is kept when its burst is given back.
    pub(super) fn keep(&mut self, first: u16) {
        self.kept.add(first);
        self.held += 1;
    }

    /// It is no longer.
    pub(super) fn let_go(&mut self, first: u16) {
        if self.kept.remove(first) {
            self.held = self.held.saturating_sub(1);
        }
    }

    /// The burst in hand is given back.
    #[inline]
    pub(super) const fn close(&mut self) {
        self.open = self.next;
    }

    /// Gives descriptors back up to the first frame that is kept. True: the driver is told of one at least.
    #[inline]
    pub(super) fn report(&mut self, view: DescriptorView<'_, { tx::WORDS }>) -> bool {
        let mut to = self.open;
        if self.held > 0 {
            let kept = runs(self.done, self.open, self.size).map(|run| self.kept.first(run));
            to = kept.into_iter().flatten().next().unwrap_or(to);
        }
        let mut told = false;
        for run in runs(self.done, to, self.size) {
            self.reports.drain(run, |index| {
                // Behind all that was read of the frames before it.
                view.release(index, 1, tx::DTYPE.put(tx::DESC_DONE));
                told = true;
            });
        }
        self.done = to;
        told
    }
}
