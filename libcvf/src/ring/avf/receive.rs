//! A receive queue of an AVF driver: descriptors of 32 bytes, and frames over several buffers.

use std::sync::Arc;

use arrayvec::ArrayVec;

use super::error::DescriptorError;
use super::layout::rx;
use super::writeback::{ReceiveFormat, Told};
use super::{AvfRing, Tail, advanced, checked_tail, distance, ptype};
use crate::limits::{AVF_RING_ALIGN, BURST, MAX_AVF_BUFFER, MAX_AVF_CHAIN, MIN_AVF_BUFFER};
use crate::mem::{
    Ahead, DescriptorCache, DescriptorView, PlaceError, ReadSlice, RegionHint, Regions, SlicePool,
    WriteRow,
};
use crate::offload::{FrameHash, FrameMeta, ethertype};
use crate::ring::payload::Payload;
use crate::ring::split_rx::Scatter;
use crate::ring::{Burst, Frames, Lone, Pushed, ReceiveRing, RingError};
use crate::sync::atomic::{AtomicBool, Ordering};

/// Descriptors that are held back at most: a burst, and buffers of a long frame.
const STAGED: usize = 2 * BURST + MAX_AVF_CHAIN;
/// Pieces that a frame's buffers may have: each crosses a few pages of a guest behind a virtual IOMMU.
const PIECES: usize = 8 * MAX_AVF_CHAIN;
/// Bytes of a frame's check sequence.
const CRC: usize = 4;
/// Where a tag stands, and where what is behind it begins.
const ADDRESSES: usize = 12;
const TAGGED: usize = 16;

/// A ring's descriptors.
type View<'m> = DescriptorView<'m, { rx::WORDS }>;

/// Device side of a receive queue.
#[derive(Debug)]
pub struct AvfReceive {
    cache: DescriptorCache<{ rx::WORDS }>,
    tail: Tail,
    strip: Arc<AtomicBool>,
    format: ReceiveFormat,
    keep_crc: bool,
    /// Bytes of a buffer, and of the longest frame.
    buffer: u32,
    longest: u32,
    hint: RegionHint,
    /// Next descriptor to look at.
    next: u16,
    /// The tail as it was looked at last: its line is the driver's processor's.
    seen: u16,
    pieces: SlicePool,
    done: Done,
}

/// Descriptors before they are shown. They are written in one go: the driver is reading the lines they are in.
#[derive(Debug)]
struct Done {
    size: u16,
    /// The first of them.
    first: u16,
    /// What the first two words of each become.
    words: ArrayVec<[u64; 2], STAGED>,
    /// Some were shown since that was last told, or what was told is held back.
    shown: bool,
}

impl Done {
    /// Makes room for `count`, each of a whole frame or with all others of its own.
    #[inline]
    fn reserve(&mut self, view: View<'_>, count: usize) {
        if self.words.remaining_capacity() < count {
            self.show(view);
        }
    }

    /// Shows all of them, in order.
    #[inline]
    fn show(&mut self, view: View<'_>) {
        let mut at = self.first;
        for [first, second] in self.words.drain(..) {
            view.store(at, 0, first);
            view.store(at, 2, 0);
            view.release(at, 1, second);
            at = advanced(at, 1, self.size);
            self.shown = true;
        }
        self.first = at;
    }
}

impl AvfReceive {
    /// A ring at its beginning.
    ///
    /// # Errors
    /// [`PlaceError`], also when it is not reachable in `regions`.
    pub fn new(ring: &AvfRing, regions: &Regions) -> Result<Self, PlaceError> {
        let size = ring.checked_size()?;
        if !(MIN_AVF_BUFFER..=MAX_AVF_BUFFER).contains(&ring.buffer) {
            return Err(PlaceError::Buffer(ring.buffer));
        }
        let mut cache = DescriptorCache::new(size, ring.base, AVF_RING_ALIGN)?;
        cache.view(regions)?;
        Ok(Self {
            cache,
            tail: ring.tail.clone(),
            strip: Arc::clone(&ring.strip),
            format: ring.format,
            keep_crc: ring.keep_crc,
            buffer: ring.buffer,
            longest: ring.longest,
            hint: RegionHint::default(),
            next: 0,
            seen: 0,
            pieces: SlicePool::new(PIECES),
            done: Done {
                size,
                first: 0,
                words: ArrayVec::new(),
                shown: false,
            },
        })
    }

    /// Descriptors that the driver has posted and nobody has looked at, as far as they are not among those that
    /// it has not seen again. As many as a burst may need that were there at the last look are not looked for again.
    #[inline]
    fn posted(&mut self) -> Result<u16, RingError> {
        let size = self.cache.size();
        if usize::from(distance(self.next, self.seen, size)) < STAGED {
            self.seen = checked_tail(&self.tail, size)?;
        }
        let staged = self.done.words.len() as u16;
        Ok(distance(self.next, self.seen, size).min((size - 1).saturating_sub(staged)))
    }

    #[inline]
    fn strips(&self) -> bool {
        self.strip.load(Ordering::Relaxed)
    }
}

/// The customer's tag that a frame begins with.
fn tag(head: &[u8]) -> Option<u16> {
    let [kind, tci] = head.get(ADDRESSES..TAGGED)?.as_chunks::<2>().0 else {
        return None;
    };
    // A type follows it.
    let is_tag = u16::from_be_bytes(*kind) == ethertype::VLAN && head.len() > TAGGED + 1;
    is_tag.then_some(u16::from_be_bytes(*tci))
}

/// The frame check sequence of IEEE 802.3 (3.2.9) of a frame as it is: none is filled up to the shortest of a wire. A sender that
/// changes its frame at this moment has it delivered damaged, as wires do.
#[cold]
fn check_sequence(head: [&[u8]; 2], tail: Payload<'_>) -> [u8; CRC] {
    let mut crc = crc32fast::Hasher::new();
    head.into_iter().for_each(|bytes| crc.update(bytes));
    tail.each_chunk(|bytes| crc.update(bytes));
    crc.finalize().to_le_bytes()
}

impl ReceiveRing for AvfReceive {
    fn push_plain(
        &mut self,
        regions: &Regions,
        burst: &Burst<'_>,
        mut frames: Frames,
    ) -> Result<(Frames, u64), RingError> {
        if self.keep_crc {
            // There is more to every frame than its bytes.
            return Ok((Frames::default(), 0));
        }
        // A tail that cannot be is told where one frame is pushed.
        let posted = self.posted().unwrap_or(0);
        let strips = self.strips();
        let view = self.cache.view(regions)?;
        if strips {
            frames = frames.before(burst.tagged(frames));
        }
        // Everything is asked for before any of it is waited for. The descriptors will be written.
        let most = frames.count().min(posted.into());
        self.done.reserve(view, most);
        view.prefetch(self.next, most);
        let mut row = WriteRow::new();
        let mut cursor = regions.writable_cursor(&mut self.hint);
        // A frame that is longer than the driver takes does not fit.
        let lens = (self.buffer, self.longest);
        let here = most.min((view.size() - self.next).into());
        if view.plain_writes((self.next, here), lens, &mut cursor, &mut row) == here {
            view.plain_writes((0, most - here), lens, &mut cursor, &mut row);
        }
        let (done, bytes) = burst.copy_behind(frames, &mut row, |_| []);
        let format = self.format;
        if burst.hashes() {
            for (index, len) in done.zip(row.lens()) {
                let told = ptype::by_hash(burst.hash(index));
                self.done.words.push(format.last(len, told));
            }
        } else {
            let plain = ptype::by_hash(FrameHash::default());
            let lens = row.lens().take(done.count());
            self.done
                .words
                .extend(lens.map(|len| format.last(len, plain)));
        }
        self.next = advanced(self.next, done.count() as u16, view.size());
        Ok((done, bytes))
    }

    #[inline]
    fn push_lone(&mut self, regions: &Regions, lone: &Lone<'_>) -> Result<bool, RingError> {
        let posted = self.posted().unwrap_or(0);
        let tagged = self.strips() && lone.start()[ADDRESSES..ADDRESSES + 2] == [0x81, 0];
        let view = self.cache.view(regions)?;
        if posted == 0 || tagged || self.keep_crc || lone.size() > self.longest as usize {
            return Ok(false);
        }
        let mut cursor = regions.writable_cursor(&mut self.hint);
        let written = cursor
            .buffer(view.load(self.next, 0), self.buffer)
            .and_then(|to| lone.copy_to(to, &[]));
        let Some(len) = written else {
            return Ok(false);
        };
        self.done.reserve(view, 1);
        let told = ptype::by_hash(lone.hash());
        self.done.words.push(self.format.last(len, told));
        self.next = advanced(self.next, 1, view.size());
        Ok(true)
    }

    fn push(
        &mut self,
        regions: &Regions,
        meta: &FrameMeta,
        head: &[u8],
        tail: Payload<'_>,
    ) -> Result<Pushed, RingError> {
        let posted = self.posted()?;
        let strips = self.strips();
        let view = self.cache.view(regions)?;
        let (size, total) = (view.size(), head.len() + tail.len());
        let more = if self.keep_crc { CRC } else { 0 };
        if total + more > self.longest as usize {
            return Ok(Pushed::TooSmall);
        }
        let tag = tag(head).filter(|_| strips);
        let (front, behind) = match tag {
            Some(_) => (&head[..ADDRESSES], &head[TAGGED..]),
            None => (&[][..], head),
        };
        let need = (front.len() + behind.len() + tail.len() + more) as u32;
        let count = need.div_ceil(self.buffer).max(1) as usize;
        if count > MAX_AVF_CHAIN {
            return Ok(Pushed::TooSmall);
        }
        if count > posted.into() {
            return Ok(Pushed::NoBuffer);
        }
        let mut list = self.pieces.lend();
        for nth in 0..count {
            let index = advanced(self.next, nth as u16, size);
            let address = view.load(index, 0);
            let fits =
                regions.writable(address, self.buffer.into(), |piece| list.push_write(piece));
            let memory = |error| RingError::Descriptor {
                index,
                source: DescriptorError::Memory(error),
            };
            if !fits.map_err(memory)? {
                return Ok(Pushed::TooSmall);
            }
        }
        let mut scatter = Scatter::new(&list);
        scatter.put(ReadSlice::from(front));
        scatter.put(ReadSlice::from(behind));
        for piece in tail.pieces() {
            scatter.put(piece);
        }
        if self.keep_crc {
            let crc = check_sequence([front, behind], tail);
            scatter.put(ReadSlice::from(&crc[..]));
        }
        self.done.reserve(view, count);
        for _ in 1..count {
            self.done.words.push(self.format.full(self.buffer));
        }
        let left = need - (count as u32 - 1) * self.buffer;
        let told = Told {
            tag,
            ..ptype::told(meta, head, total)
        };
        self.done.words.push(self.format.last(left, told));
        self.next = advanced(self.next, count as u16, size);
        Ok(Pushed::Done)
    }

    fn publish(&mut self, regions: &Regions) -> Result<bool, RingError> {
        let posted = usize::from(self.posted().unwrap_or(0));
        let view = self.cache.view(regions)?;
        self.done.show(view);
        // Those of the next burst: its driver's processor has written them last, and will not before they are done.
        view.prefetch(self.next, posted.min(BURST));
        Ok(std::mem::take(&mut self.done.shown))
    }

    /// Nothing in memory says whether the driver has seen what was shown.
    fn hold(&mut self) {
        self.done.shown = true;
    }

    fn wants_interrupt(&mut self, _: &Regions) -> Result<bool, RingError> {
        self.done.shown = false;
        Ok(true)
    }

    fn ahead(&mut self, regions: &Regions) -> Ahead {
        let mut ahead = Ahead::default();
        if !matches!(self.posted(), Ok(0) | Err(_))
            && let Ok(view) = self.cache.view(regions)
        {
            let mut cursor = regions.writable_cursor(&mut self.hint);
            if let Some(buffer) = cursor.buffer(view.load(self.next, 0), self.buffer) {
                ahead.buffer(buffer);
            }
            ahead.descriptor(view, self.next);
        }
        ahead
    }

    fn is_spent(&mut self, _: &Regions) -> bool {
        self.posted() == Ok(0)
    }

    fn looks_untouched(&mut self, regions: &Regions) -> bool {
        self.next == 0 && self.cache.view(regions).is_ok_and(|view| view.untouched())
    }

    fn faulted(&self) -> bool {
        self.cache.faulted()
    }
}
