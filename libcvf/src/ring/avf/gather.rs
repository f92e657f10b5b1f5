//! One frame's descriptors, whatever they look like: every one is loaded once, validated, then used.

use super::ask::Ask;
use super::error::DescriptorError;
use super::layout::tx::{self, cmd};
use super::marks::Marks;
use super::{RingError, advanced, runs};
use crate::limits::{MAX_AVF_FRAME_BUFFERS, MAX_FRAME, MAX_FRAME_PIECES, MIN_AVF_FRAME};
use crate::mem::{DescriptorView, ReadSlice, Regions};
use crate::ring::burst::{Burst, Frame, FrameFault};

/// What became of a frame.
pub(super) enum Gathered {
    /// It is the burst's last, takes this many descriptors, and this is asked for it.
    Frame(u16, Option<Ask>),
    /// It does not end where the driver's descriptors do.
    Unfinished,
    /// The burst has no room for it.
    Full,
}

/// Where a frame begins.
pub(super) struct Gather<'v, 'm> {
    pub view: DescriptorView<'v, { tx::WORDS }>,
    pub regions: &'m Regions,
    /// Its first descriptor, and how many there are from that on.
    pub first: u16,
    pub left: u16,
}

impl<'m> Gather<'_, 'm> {
    /// Adds the frame to a burst; those of its descriptors that the driver wants to have reported are noted in
    /// `reports`.
    ///
    /// # Errors
    /// The descriptor that cannot be.
    #[inline(never)]
    pub(super) fn frame(
        &self,
        burst: &mut Burst<'m>,
        reports: &mut Marks,
    ) -> Result<Gathered, RingError> {
        let start = burst.pieces.len();
        let size = self.view.size();
        let (mut context, mut data) = (None, None);
        let (mut buffers, mut bytes, mut whole) = (0, 0u32, true);
        for nth in 0..self.left {
            let index = advanced(self.first, nth, size);
            let fail = |source: DescriptorError| RingError::Descriptor { index, source };
            let words = [self.view.load(index, 0), self.view.load(index, 1)];
            match tx::DTYPE.get(words[1]) {
                tx::CONTEXT if nth == 0 => {
                    context = Some(words);
                    continue;
                }
                tx::DATA => {}
                other => return Err(fail(DescriptorError::Type(other as u8))),
            }
            let len = tx::BUF_SIZE.get(words[1]);
            if len == 0 {
                return Err(fail(DescriptorError::Empty));
            }
            let large = context.is_some_and(|[_, word]| Ask::is_large(word));
            let most = if large {
                MAX_FRAME_PIECES
            } else {
                MAX_AVF_FRAME_BUFFERS
            };
            if buffers == most {
                return Err(fail(DescriptorError::Buffers));
            }
            buffers += 1;
            bytes += len as u32;
            data = data.or(Some(words[1]));
            let mut add = |piece| burst.pieces.push_read(piece);
            let fits = self.regions.readable(words[0], len, &mut add);
            whole &= fits.map_err(|error| fail(error.into()))?;
            let cmd = tx::CMD.get(words[1]);
            if cmd & cmd::RS != 0 {
                reports.add(index);
            }
            if cmd & cmd::EOP == 0 {
                continue;
            }
            if bytes < MIN_AVF_FRAME {
                return Err(fail(DescriptorError::Short(bytes)));
            }
            if !whole && !burst.is_empty() {
                self.take_back(nth + 1, burst, start, reports);
                return Ok(Gathered::Full);
            }
            let mut frame = Frame::new(ReadSlice::from(&[][..]));
            frame.next = start as u32;
            let mut ask = Ask::of(data.unwrap_or_default(), context);
            if !whole {
                burst.pieces.truncate(start);
                frame.fault = Some(FrameFault::Scattered);
            } else if bytes as usize > MAX_FRAME {
                frame.fault = Some(FrameFault::Long);
            } else {
                frame.more = bytes;
                frame.skip(&burst.pieces, 0);
            }
            if frame.fault.is_some() {
                ask = None;
            }
            frame.start.prefetch();
            let added = burst.add(frame);
            debug_assert!(added, "there is room for a frame at least");
            return Ok(Gathered::Frame(nth + 1, ask));
        }
        self.take_back(self.left, burst, start, reports);
        Ok(Gathered::Unfinished)
    }

    /// Forgets `count` descriptors: they are looked at again later, as if they never had been.
    fn take_back(&self, count: u16, burst: &mut Burst<'m>, start: usize, reports: &mut Marks) {
        burst.pieces.truncate(start);
        let size = self.view.size();
        for run in runs(self.first, advanced(self.first, count, size), size) {
            reports.drain(run, |_| {});
        }
    }
}
