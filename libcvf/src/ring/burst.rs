//! A burst of frames on its way through the device, still in their sender's memory.

use super::frames::Frames;
use super::header;
use super::payload::{Payload, Rest};
use crate::limits::{BURST, FLOW_COPY, HEADER_COPY, MAX_FRAME_PIECES, MAX_SEGMENT_HEADERS};
use crate::mem::{ReadRow, ReadSlice, Row, SliceList, SlicePool};
use crate::offload::{FrameHash, PackedMeta, ethertype};

mod copies;

/// Why a frame is not one, although its ring is fine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameFault {
    /// Shorter than its headers.
    Short,
    /// Longer than any frame.
    Long,
    /// Scattered over more pieces than a burst holds.
    Scattered,
    /// What its sender asks for contradicts its headers.
    Contradicted,
    /// None: it was dropped, and counted, before anybody looked at it.
    Refused,
}

/// One frame of a burst, as it is at this moment.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'m> {
    /// What travels beside it: as its sender says, or as it was checked.
    pub meta: PackedMeta,
    /// What is wrong with it; such a frame is only given back.
    pub fault: Option<FrameFault>,
    /// Its first piece.
    pub(super) start: ReadSlice<'m>,
    /// Bytes in further pieces.
    pub(super) more: u32,
    /// Where those are in the burst's list.
    pub(super) next: u32,
    /// Bytes of its beginning that were copied.
    head: u16,
    /// Of these, bytes that were put in: its sender's memory does not have them.
    lead: u16,
}

impl<'m> Frame<'m> {
    /// A frame in one piece.
    #[inline]
    pub(super) const fn new(start: ReadSlice<'m>) -> Self {
        Self {
            meta: PackedMeta::PLAIN,
            fault: None,
            start,
            more: 0,
            next: 0,
            head: 0,
            lead: 0,
        }
    }

    /// Its bytes.
    #[inline]
    pub const fn len(&self) -> usize {
        self.lead as usize + self.start.len() + self.more as usize
    }

    /// True without a byte.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Its bytes, as its sender has them; `pieces` is its burst's list.
    #[inline]
    fn bytes<'a>(&self, pieces: &'a SliceList<'m>) -> Payload<'a>
    where
        'm: 'a,
    {
        let rest = Rest {
            list: Some(pieces),
            next: self.next as usize,
        };
        Payload::new(self.start, self.more as usize, rest)
    }

    /// What of its bytes follows the first `len`, among which are all that were put in.
    #[inline]
    fn rest<'a>(&self, pieces: &'a SliceList<'m>, len: usize) -> Payload<'a>
    where
        'm: 'a,
    {
        let skip = len - usize::from(self.lead).min(len);
        self.bytes(pieces).range(skip..usize::MAX)
    }

    /// Leaves out the first `len` bytes.
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

/// Reads and skips the header, of `front` bytes, of one frame, whatever is said about it.
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

/// What is known of a frame that is not a usual one, beside its first piece.
#[derive(Clone, Copy, Debug, Default)]
struct Odd {
    meta: PackedMeta,
    more: u32,
    next: u32,
    head: u16,
    lead: u16,
    fault: Option<FrameFault>,
}

/// The copied beginnings of a burst's odd frames.
type Heads = [[u8; MAX_SEGMENT_HEADERS]; BURST];

/// What a burst knows of its frames, beside where they are.
#[derive(Debug)]
pub(super) struct Room {
    /// What their driver calls their buffers, if that is one number.
    pub(super) ids: [u16; BURST],
    /// First bytes of usual frames.
    starts: [[u8; FLOW_COPY]; BURST],
    odd: [Odd; BURST],
    heads: Box<Heads>,
    /// What the receiver in hand is told of those frames that are hashed.
    hashes: [FrameHash; BURST],
}

/// Room for a burst, kept by a worker.
#[derive(Debug)]
pub struct BurstBuffers {
    pieces: SlicePool,
    row: Row,
    room: Room,
}

impl Default for BurstBuffers {
    fn default() -> Self {
        Self {
            pieces: SlicePool::new(MAX_FRAME_PIECES + BURST),
            row: Row::new(),
            room: Room {
                ids: [0; BURST],
                starts: [[0; FLOW_COPY]; BURST],
                odd: [Odd::default(); BURST],
                heads: Box::new([[0; MAX_SEGMENT_HEADERS]; BURST]),
                hashes: [FrameHash::default(); BURST],
            },
        }
    }
}

impl BurstBuffers {
    /// An empty burst.
    #[inline]
    pub fn lend(&mut self) -> Burst<'_> {
        Burst {
            pieces: self.pieces.lend(),
            row: self.row.lend(),
            room: &mut self.room,
            front: 0,
            walked: Frames::default(),
            hashed: Frames::default(),
            usual: Frames::default(),
        }
    }
}

/// Frames taken from one ring, or read from somewhere else.
///
/// Most are *usual*: in one piece, with nothing said about them, and only their first bytes were
/// copied. What is known of the others, the odd ones, lies in a place of its own that usual frames never
/// touch.
#[derive(Debug)]
pub struct Burst<'m> {
    /// Pieces of frames that have more than one.
    pub(super) pieces: SliceList<'m>,
    /// First pieces; of usual frames the only one, with the header in front.
    pub(super) row: ReadRow<'m>,
    pub(super) room: &'m mut Room,
    /// Bytes of header in front of usual frames.
    front: usize,
    /// Frames whose chains were walked: odd from the beginning.
    walked: Frames,
    hashed: Frames,
    usual: Frames,
}

impl<'m> Burst<'m> {
    /// Frames in it.
    #[inline]
    pub fn len(&self) -> usize {
        self.row.len()
    }

    /// True without a frame.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.row.is_empty()
    }

    /// Adds a frame that lies in local memory; false when the burst is full.
    pub fn push(&mut self, meta: PackedMeta, bytes: &'m [u8]) -> bool {
        let mut frame = Frame::new(bytes.into());
        frame.meta = meta;
        let index = self.len();
        if !self.add(frame) {
            return false;
        }
        if let Some(start) = bytes.first_chunk().filter(|_| meta.is_plain()) {
            self.room.starts[index % BURST] = *start;
            self.usual.add(Frames::one(index));
        }
        true
    }

    /// Adds a frame that lies in memory of ours which hardware has filled; false when the burst is full.
    pub fn push_slice(&mut self, meta: PackedMeta, bytes: ReadSlice<'m>) -> bool {
        let mut frame = Frame::new(bytes);
        frame.meta = meta;
        let index = self.len();
        if !self.add(frame) {
            return false;
        }
        if let Some(start) = bytes.start().filter(|_| meta.is_plain()) {
            self.room.starts[index % BURST] = start;
            self.usual.add(Frames::one(index));
        }
        true
    }

    /// Adds a frame of a chain that was walked, header included.
    pub(super) fn add(&mut self, frame: Frame<'m>) -> bool {
        let index = self.len();
        if !self.row.push(frame.start) {
            return false;
        }
        self.walked.add(Frames::one(index));
        self.set_odd(index, frame);
        true
    }

    /// Makes a frame an odd one.
    fn set_odd(&mut self, index: usize, frame: Frame<'m>) {
        self.usual.remove(Frames::one(index));
        self.row.set(index, frame.start);
        if let Some(odd) = self.room.odd.get_mut(index) {
            *odd = Odd {
                meta: frame.meta,
                more: frame.more,
                next: frame.next,
                head: frame.head,
                lead: frame.lead,
                fault: frame.fault,
            };
        }
    }

    /// Copies the first bytes of every frame that nothing was found out about yet: none has a header in front, and all
    /// have so many bytes.
    pub(super) fn read_starts(&mut self) {
        self.front = 0;
        let mut usual = Frames::default();
        let starts = self.row.starts(0).zip(&mut self.room.starts);
        for (index, (start, copy)) in starts.enumerate() {
            if let Some((_, start)) = start {
                *copy = start;
                usual.add(Frames::one(index));
            }
        }
        self.usual = usual.without(self.walked);
    }

    /// Reads and skips the header, of `front` bytes, of every frame that has a sane length. A hash in it
    /// is not looked at: it is for receivers (virtio 1.3 5.1.6.4).
    pub(super) fn read_headers(&mut self, front: usize) {
        self.front = front;
        let mut usual = Frames::default();
        let starts = self.row.starts(front).zip(&mut self.room.starts);
        for (index, (start, copy)) in starts.enumerate() {
            if let Some((word, start)) = start
                && header::is_plain(word)
            {
                *copy = start;
                usual.add(Frames::one(index));
            }
        }
        self.usual = usual.without(self.walked);
        for index in Frames::row(0, self.len()).without(self.usual) {
            self.read_header(index);
        }
    }

    #[cold]
    fn read_header(&mut self, index: usize) {
        let frame = if self.walked.has(index) {
            self.frame(index)
        } else {
            self.row.get(index).map(Frame::new)
        };
        if let Some(mut frame) = frame {
            if frame.fault.is_none() {
                read_header(&self.pieces, &mut frame, self.front);
            }
            self.set_odd(index, frame);
        }
    }

    /// Frames in one piece about which nothing is said and of which only the first bytes were copied.
    #[inline]
    pub fn usuals(&self) -> Frames {
        self.usual
    }

    /// Of each usual frame from `first` on, up to the first that is none: its bytes, and a copy of the
    /// first of those.
    #[inline]
    pub fn usual(&self, first: usize) -> impl Iterator<Item = (usize, &[u8; FLOW_COPY])> {
        let count = self.usual.row_at(first);
        let lens = self.row.lens(first).map(|len| len - self.front);
        let starts = self.room.starts.get(first..).unwrap_or_default();
        lens.zip(starts).take(count)
    }

    /// Frame `index`.
    #[inline]
    pub fn frame(&self, index: usize) -> Option<Frame<'m>> {
        let start = self.row.get(index)?;
        if self.usual.has(index) {
            let mut frame = Frame::new(start.skip(self.front));
            frame.head = FLOW_COPY as u16;
            return Some(frame);
        }
        let odd = self.room.odd.get(index)?;
        Some(Frame {
            meta: odd.meta,
            fault: odd.fault,
            start,
            more: odd.more,
            next: odd.next,
            head: odd.head,
            lead: odd.lead,
        })
    }

    /// Bytes of frame `index`.
    #[inline]
    pub fn size(&self, index: usize) -> usize {
        self.frame(index).map_or(0, |frame| frame.len())
    }

    /// Leaves frames out: they are only given back.
    pub fn refuse(&mut self, frames: Frames) {
        for index in frames {
            if let Some(mut frame) = self.frame(index) {
                frame.fault = Some(FrameFault::Refused);
                // What was copied of a usual one is not where an odd one's is.
                frame.head = if self.usual.has(index) { 0 } else { frame.head };
                self.set_odd(index, frame);
            }
        }
    }

    /// Copies the beginning of an odd frame, up to `len` bytes, and lets `edit` change it: it is given the copy with
    /// room behind it, its bytes, and what follows them, and returns how many it has now, never fewer, and what
    /// travels beside the frame. What is copied then is what counts.
    pub(super) fn edit<E>(
        &mut self,
        index: usize,
        len: usize,
        edit: impl FnOnce(
            &mut [u8; MAX_SEGMENT_HEADERS],
            usize,
            Payload<'_>,
        ) -> Result<(usize, PackedMeta), E>,
    ) -> Result<(), E> {
        let copied = self.copy_head(index, len).len();
        let Some(mut frame) = self.frame(index).filter(|_| self.walked.has(index)) else {
            return Ok(());
        };
        let Some(head) = self.room.heads.get_mut(index) else {
            return Ok(());
        };
        let rest = frame.rest(&self.pieces, copied);
        let edited = edit(head, copied, rest).map(|(now, meta)| {
            frame.lead += now.saturating_sub(copied) as u16;
            frame.head = now.max(copied) as u16;
            frame.meta = meta;
        });
        if edited.is_err() {
            frame.fault = Some(FrameFault::Contradicted);
        }
        self.set_odd(index, frame);
        edited
    }

    /// The frames, in the order the driver made them available.
    pub fn frames(&self) -> impl Iterator<Item = Frame<'m>> {
        (0..self.len()).filter_map(|index| self.frame(index))
    }

    /// Sets what travels beside an odd frame: what was said about it was checked.
    #[inline]
    pub fn set_meta(&mut self, index: usize, meta: PackedMeta) {
        if let Some(odd) = self.room.odd.get_mut(index)
            && !self.usual.has(index)
        {
            odd.meta = meta;
        }
    }

    /// The hash that a frame's receiver is told; no hash, if none was set.
    #[inline]
    pub fn hash(&self, index: usize) -> FrameHash {
        match self.room.hashes.get(index) {
            Some(hash) if self.hashed.has(index) => *hash,
            _ => FrameHash::default(),
        }
    }

    /// Sets the hash of a frame for the receiver that it goes to next.
    #[inline]
    pub fn set_hash(&mut self, index: usize, hash: FrameHash) {
        if let Some(place) = self.room.hashes.get_mut(index) {
            *place = hash;
            self.hashed.add(Frames::one(index));
        }
    }

    /// The next receiver is told no hash.
    #[inline]
    pub fn forget_hashes(&mut self) {
        self.hashed = Frames::default();
    }

    /// The bytes of frame `index` as its sender has them and may still change them.
    #[inline]
    pub fn payload(&self, index: usize) -> Option<Payload<'_>> {
        self.frame(index).map(|frame| frame.bytes(&self.pieces))
    }

    /// Copies the beginning of a frame, up to `len` bytes in all, or what there is of it; bytes that
    /// were copied before stay as they are. Returns what is copied now.
    pub fn copy_head(&mut self, index: usize, len: usize) -> &[u8] {
        if self.usual.has(index) && len <= FLOW_COPY {
            return self.room.starts.get(index).map_or(&[], |start| start);
        }
        let Some(mut frame) = self.frame(index) else {
            return &[];
        };
        let Room { starts, heads, .. } = &mut *self.room;
        let (Some(start), Some(head)) = (starts.get(index), heads.get_mut(index)) else {
            return &[];
        };
        if self.usual.has(index) {
            head[..FLOW_COPY].copy_from_slice(start);
        }
        let from = usize::from(frame.head);
        let to = len.min(frame.len()).min(head.len()).max(from);
        frame.rest(&self.pieces, from).read(&mut head[from..to]);
        frame.head = to as u16;
        self.set_odd(index, frame);
        self.room.heads.get(index).map_or(&[], |head| &head[..to])
    }

    /// Reads the beginning of a usual frame, as far as there is room for it: it stays usual, so that nothing but its first
    /// [`FLOW_COPY`] bytes is sure to be what its receiver gets. `None` for an odd one.
    #[inline]
    pub fn look<'a>(&self, index: usize, room: &'a mut [u8; HEADER_COPY]) -> Option<&'a [u8]> {
        let start = self.room.starts.get(index)?;
        let frame = self.row.get(index).filter(|_| self.usual.has(index))?;
        let (known, rest) = room.split_first_chunk_mut()?;
        *known = *start;
        let read = frame.skip(self.front + FLOW_COPY).read(rest);
        room.get(..FLOW_COPY + read)
    }

    /// Those of `frames` that have a VLAN tag of a customer's, or may have: of which too little was copied.
    #[inline]
    pub(super) fn tagged(&self, frames: Frames) -> Frames {
        let mut tagged = Frames::default();
        for index in frames {
            let kind = self.frame(index).and_then(|frame| {
                let kind = self.head(index, &frame).get(12..14)?;
                Some(u16::from_be_bytes([kind[0], kind[1]]))
            });
            if kind.is_none_or(|kind| kind == ethertype::VLAN) {
                tagged.add(Frames::one(index));
            }
        }
        tagged
    }

    /// True if a hash was set for any frame since they were forgotten.
    #[inline]
    pub(super) const fn hashes(&self) -> bool {
        !self.hashed.is_empty()
    }

    /// The copied beginning of a frame.
    #[inline]
    fn head(&self, index: usize, frame: &Frame<'_>) -> &[u8] {
        let head = if self.usual.has(index) {
            self.room.starts.get(index).map(|start| &start[..])
        } else {
            self.room.heads.get(index).map(|head| &head[..])
        };
        head.and_then(|head| head.get(..usize::from(frame.head)))
            .unwrap_or_default()
    }

    /// The copied beginning of a frame, and what follows it in its sender's memory.
    #[inline]
    pub fn parts(&self, index: usize) -> (&[u8], Payload<'_>) {
        match self.frame(index) {
            Some(frame) => {
                let head = self.head(index, &frame);
                (head, frame.rest(&self.pieces, head.len()))
            }
            None => (&[], Payload::from(&[][..])),
        }
    }
}
