//! A burst of frames on its way through the device, still in their sender's memory.

use arrayvec::ArrayVec;

use super::frames::Frames;
use super::header;
use super::payload::{Payload, Rest};
use crate::limits::{BURST, FLOW_COPY, MAX_FRAME_PIECES, MAX_SEGMENT_HEADERS};
use crate::mem::{ReadSlice, SliceList, SlicePool};
use crate::offload::{FrameHash, PackedMeta};

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
pub struct Frame<'m> {
    /// What travels beside it: as its sender says, or as it was checked.
    pub meta: PackedMeta,
    /// What is wrong with it; such a frame is only given back.
    pub fault: Option<FrameFault>,
    pub(super) id: u16,
    /// Bytes of its beginning that were copied.
    head: u16,
    /// Its first piece.
    pub(super) start: ReadSlice<'m>,
    /// Bytes in further pieces.
    pub(super) more: u32,
    /// Where those are in the burst's list.
    pub(super) next: u32,
}

impl<'m> Frame<'m> {
    /// A frame in one piece.
    #[inline]
    pub(super) const fn new(id: u16, start: ReadSlice<'m>) -> Self {
        Self {
            meta: PackedMeta::PLAIN,
            fault: None,
            id,
            head: 0,
            start,
            more: 0,
            next: 0,
        }
    }

    /// Its bytes.
    #[inline]
    pub const fn len(&self) -> usize {
        self.start.len() + self.more as usize
    }

    /// True without a byte.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Its bytes; `pieces` is its burst's list.
    #[inline]
    pub(super) fn bytes<'a>(&self, pieces: &'a SliceList<'m>) -> Payload<'a>
    where
        'm: 'a,
    {
        let rest = Rest {
            list: Some(pieces),
            next: self.next as usize,
        };
        Payload::new(self.start, self.more as usize, rest)
    }

    /// Leaves out the first `len` bytes.
    #[inline]
    pub(super) fn skip(&mut self, pieces: &SliceList<'m>, len: usize) {
        if self.more == 0 {
            self.start = self.start.skip(len);
            return;
        }
        let mut skip = len;
        while skip >= self.start.len()
            && self.more > 0
            && let Some(piece) = pieces.read(self.next as usize)
        {
            skip -= self.start.len();
            self.start = piece.first(self.more as usize);
            self.more -= self.start.len() as u32;
            self.next += 1;
        }
        self.start = self.start.skip(skip);
    }
}

/// Skips `front` bytes of a frame in one piece and copies the first bytes behind them; false, and nothing
/// done, when there are not so many.
#[inline]
fn open(frame: &mut Frame<'_>, head: &mut [u8; MAX_SEGMENT_HEADERS], front: usize) -> bool {
    let Some(flow) = frame.start.get128(front) else {
        return false;
    };
    frame.start = frame.start.skip(front);
    head[..FLOW_COPY].copy_from_slice(&flow);
    frame.head = FLOW_COPY as u16;
    true
}

/// As [`Burst::read_headers`], for one frame, whatever is said about it.
#[cold]
fn read_header<'m>(pieces: &SliceList<'m>, frame: &mut Frame<'m>, front: usize) {
    let meta = match (frame.start.get64(0), frame.start.get32(8)) {
        (Some(low), Some(high)) => header::parse_words(low, high),
        _ => {
            let mut bytes = [0; header::LEN];
            frame.bytes(pieces).read(&mut bytes);
            header::parse(&bytes).map(PackedMeta::from)
        }
    };
    frame.skip(pieces, front);
    match meta {
        Some(meta) => frame.meta = meta,
        None => frame.fault = Some(FrameFault::Short),
    }
}

/// The copied beginnings of a burst's frames.
type Heads = [[u8; MAX_SEGMENT_HEADERS]; BURST];

/// Room for a burst, kept by a worker.
#[derive(Debug)]
pub struct BurstBuffers {
    pieces: SlicePool,
    heads: Box<Heads>,
    hashes: [FrameHash; BURST],
}

impl Default for BurstBuffers {
    fn default() -> Self {
        Self {
            pieces: SlicePool::new(MAX_FRAME_PIECES + BURST),
            heads: Box::new([[0; MAX_SEGMENT_HEADERS]; BURST]),
            hashes: [FrameHash::default(); BURST],
        }
    }
}

impl BurstBuffers {
    /// An empty burst.
    #[inline]
    pub fn lend(&mut self) -> Burst<'_> {
        Burst {
            pieces: self.pieces.lend(),
            frames: ArrayVec::new(),
            heads: &mut self.heads,
            hashes: &mut self.hashes,
            hashed: Frames::default(),
            usual: Frames::default(),
        }
    }
}

/// Frames taken from one ring, or read from somewhere else.
#[derive(Debug)]
pub struct Burst<'m> {
    /// Pieces of frames that have more than one.
    pub(super) pieces: SliceList<'m>,
    pub(super) frames: ArrayVec<Frame<'m>, BURST>,
    heads: &'m mut Heads,
    /// What the receiver in hand is told of those frames that are `hashed`.
    hashes: &'m mut [FrameHash; BURST],
    hashed: Frames,
    /// Frames in one piece about which nothing is said and whose first bytes were copied.
    usual: Frames,
}

impl<'m> Burst<'m> {
    /// Adds a frame that lies in local memory; false when the burst is full.
    pub fn push(&mut self, meta: PackedMeta, bytes: &'m [u8]) -> bool {
        let mut frame = Frame::new(0, bytes.into());
        frame.meta = meta;
        let index = self.frames.len();
        if let Some(head) = self.heads.get_mut(index)
            && meta.is_plain()
            && open(&mut frame, head, 0)
        {
            self.usual.add(Frames::one(index));
        }
        self.frames.try_push(frame).is_ok()
    }

    /// Reads and skips the header, of `front` bytes, of every frame that has a sane length. A hash in it
    /// is not looked at: it is for receivers (virtio 1.3 5.1.6.4).
    pub(super) fn read_headers(&mut self, front: usize) {
        let mut usual = Frames::default();
        let heads = self.heads.iter_mut();
        for (index, (frame, head)) in self.frames.iter_mut().zip(heads).enumerate() {
            if frame.fault.is_some() {
                continue;
            }
            if frame.more == 0
                && frame.start.get64(0).is_some_and(header::is_plain)
                && open(frame, head, front)
            {
                usual.add(Frames::one(index));
            } else {
                read_header(&self.pieces, frame, front);
            }
        }
        self.usual = usual;
    }

    /// Frames in one piece about which nothing is said and whose first bytes were copied: what
    /// [`Self::usual`] is for.
    #[inline]
    pub fn usuals(&self) -> Frames {
        self.usual
    }

    /// Of each usual frame from `first` on, up to the first that is none: its bytes, and a copy of the
    /// first of those.
    #[inline]
    pub fn usual(&self, first: usize) -> impl Iterator<Item = (usize, &[u8; FLOW_COPY])> {
        let count = self.usual.row_at(first);
        let frames = self.frames.get(first..).unwrap_or_default().iter();
        let heads = self.heads.get(first..).unwrap_or_default().iter();
        let both = frames.zip(heads).take(count);
        both.filter_map(|(frame, head)| Some((frame.start.len(), head.first_chunk()?)))
    }

    /// The frames, in the order the driver made them available.
    #[inline]
    pub fn frames(&self) -> &[Frame<'m>] {
        &self.frames
    }

    /// A frame to be changed: what travels beside it.
    #[inline]
    pub fn frame_mut(&mut self, index: usize) -> Option<&mut Frame<'m>> {
        self.frames.get_mut(index)
    }

    /// The hash that a frame's receiver is told; no hash, if none was set.
    #[inline]
    pub fn hash(&self, index: usize) -> FrameHash {
        match self.hashes.get(index) {
            Some(hash) if !self.hashed.and(Frames::one(index)).is_empty() => *hash,
            _ => FrameHash::default(),
        }
    }

    /// Sets the hash of a frame for the receiver that it goes to next.
    #[inline]
    pub fn set_hash(&mut self, index: usize, hash: FrameHash) {
        if let Some(place) = self.hashes.get_mut(index) {
            *place = hash;
            self.hashed.add(Frames::one(index));
        }
    }

    /// The next receiver is told no hash.
    #[inline]
    pub fn forget_hashes(&mut self) {
        self.hashed = Frames::default();
    }

    /// The bytes of frame `index` as its sender may still change them.
    #[inline]
    pub fn payload(&self, index: usize) -> Option<Payload<'_>> {
        self.frames
            .get(index)
            .map(|frame| frame.bytes(&self.pieces))
    }

    /// Copies the beginning of a frame, up to `len` bytes in all, or what there is of it; bytes that
    /// were copied before stay as they are. Returns what is copied now.
    pub fn copy_head(&mut self, index: usize, len: usize) -> &[u8] {
        let (Some(frame), Some(head)) = (self.frames.get_mut(index), self.heads.get_mut(index))
        else {
            return &[];
        };
        let from = usize::from(frame.head);
        let to = len.min(frame.len()).min(head.len()).max(from);
        if from == 0 && to <= frame.start.len() {
            frame.start.read(&mut head[..to]);
        } else {
            frame
                .bytes(&self.pieces)
                .range(from..to)
                .read(&mut head[from..to]);
        }
        frame.head = to as u16;
        &head[..to]
    }

    /// The copied beginning of a frame, and what follows it in its sender's memory.
    #[inline]
    pub fn parts(&self, index: usize) -> (&[u8], Payload<'_>) {
        match (self.frames.get(index), self.heads.get(index)) {
            (Some(frame), Some(head)) => {
                let head = &head[..usize::from(frame.head)];
                (
                    head,
                    frame.bytes(&self.pieces).range(head.len()..usize::MAX),
                )
            }
            _ => (&[], Payload::from(&[][..])),
        }
    }

    /// A frame that lies in one piece, all of it as its sender may still change it, and the copy of its
    /// beginning that counts.
    #[inline]
    pub(super) fn plain(&self, index: usize) -> Option<(ReadSlice<'m>, &[u8])> {
        let (frame, head) = (self.frames.get(index)?, self.heads.get(index)?);
        let head = head.get(..usize::from(frame.head))?;
        (frame.more == 0).then_some((frame.start, head))
    }
}
