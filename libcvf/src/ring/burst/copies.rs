//! Frames of a burst that are copied as they are, each into one buffer.

use super::super::header;
use super::{Burst, Frames};
use crate::mem::{WriteRow, WriteSlice};
use crate::offload::FrameMeta;

impl Burst<'_> {
    /// [`Self::copy_behind`] a header of `FRONT` bytes that says nothing but the frame's hash.
    #[inline]
    pub(in crate::ring) fn copy_plain<const FRONT: usize>(
        &self,
        frames: Frames,
        row: &mut WriteRow<'_>,
    ) -> (Frames, u64) {
        let mut said = [0; FRONT];
        said[..header::LEN].copy_from_slice(&header::build(&FrameMeta::default(), 1));
        self.copy_behind(frames, row, |index| {
            let mut front = said;
            if FRONT == header::HASH_LEN {
                front[header::LEN..].copy_from_slice(&header::hash_bytes(self.hash(index)));
            }
            front
        })
    }

    /// Copies frames about which nothing is said and that are in one piece, each behind what `front` has for
    /// it, each into one buffer of `row`, until one does not fit. `row` then says how long each has become.
    /// Returns those that are done and their bytes.
    #[inline]
    pub(in crate::ring) fn copy_behind<const FRONT: usize>(
        &self,
        frames: Frames,
        row: &mut WriteRow<'_>,
        front: impl Fn(usize) -> [u8; FRONT],
    ) -> (Frames, u64) {
        let (mut left, mut bytes, mut nth) = (frames, 0, 0);
        while let Some(first) = left.first() {
            let wanted = left.and(self.usual).row_at(first);
            if wanted > 0 {
                let starts = &self.room.starts;
                let run = (first, wanted);
                let (count, more) = self
                    .row
                    .copy_to(run, self.front, starts, (row, nth), &front);
                bytes += more;
                nth += count;
                left.remove(Frames::row(first, count));
                if count < wanted {
                    break;
                }
            } else {
                let Some(len) = self.copy_odd(first, row.get(nth), &front(first)) else {
                    break;
                };
                row.shorten(nth, FRONT + len);
                bytes += len as u64;
                nth += 1;
                left.remove(Frames::one(first));
            }
        }
        (frames.without(left), bytes)
    }

    /// As [`Self::copy_plain`], for one that is not usual; its bytes, `None` if that is not possible.
    fn copy_odd(&self, index: usize, to: Option<WriteSlice<'_>>, front: &[u8]) -> Option<usize> {
        let (frame, to) = (self.frame(index)?, to?);
        let len = frame.len();
        if frame.more > 0 || !frame.meta.is_plain() || to.len() < front.len() + len {
            return None;
        }
        let body = to.skip(front.len());
        // All of it as it is now, and over that what was decided about, with what was put in.
        frame.start.copy_to(body.skip(frame.lead.into()));
        body.write(self.head(index, &frame));
        to.write(front);
        Some(len)
    }
}
