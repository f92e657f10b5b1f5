//! A burst of frames on its way through the device, still in their sender's memory.

use std::ops::Range;

use crate::limits::{BURST, MAX_FRAME_PIECES};
use crate::mem::{ReadSlice, SliceList, SlicePool};
use crate::offload::FrameMeta;

/// Why a frame is not one, although its ring is fine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameFault {
    /// Shorter than its headers.
    Short,
    /// Longer than any frame.
    Long,
    /// Scattered over more pieces than a burst holds.
    Scattered,
}

/// One frame of a burst.
#[derive(Clone, Copy, Debug)]
pub struct Frame {
    /// What travels beside it.
    pub meta: FrameMeta,
    /// Bytes, without the ring format's own header.
    pub len: u32,
    /// What is wrong with it; such a frame is only given back.
    pub fault: Option<FrameFault>,
    pub(super) id: u16,
    pub(super) skip: u16,
    pub(super) first: u32,
    pub(super) count: u32,
}

/// Room for a burst, kept by a worker.
#[derive(Debug)]
pub struct BurstBuffers {
    pieces: SlicePool,
    frames: Vec<Frame>,
}

impl Default for BurstBuffers {
    fn default() -> Self {
        Self {
            pieces: SlicePool::new(MAX_FRAME_PIECES + BURST),
            frames: Vec::with_capacity(BURST),
        }
    }
}

impl BurstBuffers {
    /// An empty burst.
    pub fn lend(&mut self) -> Burst<'_> {
        self.frames.clear();
        Burst {
            pieces: self.pieces.lend(),
            frames: &mut self.frames,
        }
    }
}

/// Frames taken from one ring.
#[derive(Debug)]
pub struct Burst<'m> {
    pub(super) pieces: SliceList<'m>,
    pub(super) frames: &'m mut Vec<Frame>,
}

impl<'m> Burst<'m> {
    /// The frames, in the order the driver made them available.
    pub fn frames(&self) -> &[Frame] {
        self.frames
    }

    /// The bytes of a frame of this burst.
    #[inline]
    pub fn payload(&self, frame: &Frame) -> Payload<'_> {
        if frame.count == 1
            && let Some(only) = self.pieces.read(frame.first as usize)
        {
            return Payload {
                pieces: Pieces::One(only),
                skip: usize::from(frame.skip),
                len: frame.len as usize,
            };
        }
        Payload {
            pieces: Pieces::List {
                list: &self.pieces,
                first: frame.first as usize,
                count: frame.count as usize,
            },
            skip: usize::from(frame.skip),
            len: frame.len as usize,
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Pieces<'a> {
    List {
        list: &'a SliceList<'a>,
        first: usize,
        count: usize,
    },
    One(ReadSlice<'a>),
}

/// Bytes in pieces, somewhere in somebody's memory.
#[derive(Clone, Copy, Debug)]
pub struct Payload<'a> {
    pieces: Pieces<'a>,
    skip: usize,
    len: usize,
}

impl<'a> From<&'a [u8]> for Payload<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self {
            pieces: Pieces::One(bytes.into()),
            skip: 0,
            len: bytes.len(),
        }
    }
}

impl<'a> Payload<'a> {
    /// Bytes.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// True without a byte.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Part of it; clipped to what there is.
    #[inline]
    #[must_use]
    pub fn range(self, range: Range<usize>) -> Self {
        let start = range.start.min(self.len);
        let end = range.end.clamp(start, self.len);
        Self {
            skip: self.skip + start,
            len: end - start,
            ..self
        }
    }

    /// Its pieces, in order.
    #[inline]
    pub fn pieces(self) -> impl Iterator<Item = ReadSlice<'a>> {
        let (mut skip, mut left, mut at) = (self.skip, self.len, 0);
        std::iter::from_fn(move || {
            while left > 0 {
                let piece = match self.pieces {
                    Pieces::List { list, first, count } if at < count => list.read(first + at)?,
                    Pieces::One(slice) if at == 0 => slice,
                    _ => return None,
                };
                at += 1;
                if skip >= piece.len() {
                    skip -= piece.len();
                    continue;
                }
                let piece = piece.skip(skip).first(left);
                skip = 0;
                left -= piece.len();
                return Some(piece);
            }
            None
        })
    }

    /// Copies the first bytes into `into`; returns how many.
    #[inline]
    pub fn read(self, into: &mut [u8]) -> usize {
        if let Pieces::One(slice) = self.pieces {
            return slice.skip(self.skip).first(self.len).read(into);
        }
        let mut done = 0;
        for piece in self.pieces() {
            done += piece.read(&mut into[done..]);
            if done == into.len() {
                break;
            }
        }
        done
    }
}
