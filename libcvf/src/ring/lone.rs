//! A frame that is alone in its ring.
//!
//! At light load most bursts are one frame, and a third of what it takes then goes into a burst's tables. This is what
//! is needed of a usual one.

use super::header;
use crate::limits::{FLOW_COPY, HEADER_COPY};
use crate::mem::{ReadSlice, WriteSlice};
use crate::offload::{FrameHash, FrameMeta};

/// The only frame in its ring, in one piece. It was not looked at: its lines are still on their way from its sender's
/// processor, and whatever need not wait for them is done first.
#[derive(Clone, Copy, Debug)]
pub struct Unread<'m> {
    /// What its driver calls its buffer.
    pub(super) id: u16,
    buffer: ReadSlice<'m>,
    /// Bytes of the header in front of it.
    front: usize,
}

impl<'m> Unread<'m> {
    /// The frame behind a header of `front` bytes, if that is not 0, in `buffer`, of which the first lines are asked for.
    #[inline]
    pub(super) fn new(id: u16, buffer: ReadSlice<'m>, front: usize) -> Self {
        buffer.prefetch();
        Self { id, buffer, front }
    }

    /// How many bytes it has; 0 if it is none.
    #[inline]
    pub const fn size(&self) -> usize {
        self.buffer.len().saturating_sub(self.front)
    }

    /// Looks at it; `None` if it is not a usual one. Every look is a new copy of what its sender may change.
    #[inline]
    pub fn look(&self) -> Option<Lone<'m>> {
        if self.front > 0 && !header::is_plain(self.buffer.get64(0)?) {
            return None;
        }
        let bytes = self.buffer.skip(self.front);
        Some(Lone::with(bytes, bytes.start()?))
    }
}

/// A usual frame that was looked at and not taken: in one piece, with nothing said about it.
#[derive(Clone, Copy, Debug)]
pub struct Lone<'m> {
    /// The frame, as its sender may still change it.
    bytes: ReadSlice<'m>,
    /// A copy of its first bytes, which counts.
    start: [u8; FLOW_COPY],
    /// What its receiver is told; nothing, before that is known.
    hash: FrameHash,
}

impl<'m> Lone<'m> {
    #[inline]
    const fn with(bytes: ReadSlice<'m>, start: [u8; FLOW_COPY]) -> Self {
        Self {
            bytes,
            start,
            hash: FrameHash {
                value: 0,
                report: 0,
            },
        }
    }

    /// A frame in local memory, to try a receive ring with; `None` if it is shorter than usual ones.
    pub fn of(bytes: &'m [u8]) -> Option<Self> {
        let bytes = ReadSlice::from(bytes);
        Some(Self::with(bytes, bytes.start()?))
    }

    /// The same frame, of whose hash its receiver is told.
    #[inline]
    #[must_use]
    pub fn hashed(self, hash: FrameHash) -> Self {
        Self { hash, ..self }
    }

    /// What its receiver is told.
    #[inline]
    pub(super) const fn hash(&self) -> FrameHash {
        self.hash
    }

    /// Reads its beginning, as far as there is room for it. Nothing but its first [`FLOW_COPY`] bytes is sure to be what its
    /// receiver gets.
    #[inline]
    pub fn beginning<'a>(&self, room: &'a mut [u8; HEADER_COPY]) -> &'a [u8] {
        let Some((known, rest)) = room.split_first_chunk_mut() else {
            return &[];
        };
        *known = self.start;
        let read = self.bytes.skip(FLOW_COPY).read(rest);
        room.get(..FLOW_COPY + read).unwrap_or_default()
    }

    /// How many bytes it has.
    #[inline]
    pub const fn size(&self) -> usize {
        self.bytes.len()
    }

    /// The copied first bytes.
    #[inline]
    pub const fn start(&self) -> &[u8; FLOW_COPY] {
        &self.start
    }

    /// Copies it into a buffer behind a header that says nothing but the frame's hash, if that is a part of headers; as
    /// [`Self::copy_to`].
    #[inline]
    pub(super) fn copy_behind(&self, to: WriteSlice<'_>, hash_report: bool) -> Option<u32> {
        if !hash_report {
            return self.copy_to(to, &header::build(&FrameMeta::default(), 1));
        }
        let meta = FrameMeta {
            hash: self.hash,
            ..FrameMeta::default()
        };
        self.copy_to(to, &header::build_hash(&meta, 1))
    }

    /// Copies it into a buffer behind `front`; bytes in all, `None` where there is not so much room.
    #[inline]
    pub(super) fn copy_to(&self, to: WriteSlice<'_>, front: &[u8]) -> Option<u32> {
        let all = front.len() + self.size();
        if to.len() < all {
            return None;
        }
        let body = to.skip(front.len());
        self.bytes.skip(FLOW_COPY).copy_to(body.skip(FLOW_COPY));
        body.write(&self.start);
        to.write(front);
        u32::try_from(all).ok()
    }
}
