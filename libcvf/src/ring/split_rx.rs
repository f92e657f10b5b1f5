//! A receive queue in split format, with or without mergeable buffers (virtio 1.3 5.1.6.3).

use arrayvec::ArrayVec;

use super::chain::{Stop, Walk};
use super::header;
use super::notify::Notify;
use super::payload::Payload;
use super::{
    Borrowed, Burst, Frames, Lender, Lone, Pushed, ReceiveRing, RingError, RingFeatures, Token,
};
use crate::limits::{BURST, MAX_FRAME_PIECES, MAX_MERGED_BUFFERS};
use crate::mem::{
    Access, Ahead, PlaceError, ReadSlice, RegionHint, Regions, RingCache, RingPlace, RingView,
    SliceList, SlicePool, TranslateError, WriteRow,
};
use crate::offload::FrameMeta;

/// Used entries that are held back at most: a burst, and buffers that were merged.
const DONE: usize = 2 * BURST;

/// Device side of a receive queue.
#[derive(Debug)]
pub struct SplitReceive {
    cache: RingCache,
    features: RingFeatures,
    notify: Notify,
    hint: RegionHint,
    next: u16,
    /// The available index when it was last looked at.
    seen: u16,
    /// The driver was asked to ring when it posts buffers.
    awaited: bool,
    pieces: SlicePool,
    /// Buffers of the frame in hand: descriptor number and bytes.
    buffers: Vec<(u16, u64)>,
    done: Done,
}

/// Used entries before they are shown. They are written in one go: the driver is reading the lines
/// they are in.
#[derive(Debug)]
struct Done {
    /// Next used entry to write.
    used: u16,
    /// Descriptor number and bytes.
    entries: ArrayVec<(u16, u32), DONE>,
}

impl SplitReceive {
    /// A ring at `place`, at its beginning.
    ///
    /// # Errors
    /// [`PlaceError`], also when it is not reachable in `regions`.
    pub fn new(
        place: RingPlace,
        features: RingFeatures,
        regions: &Regions,
    ) -> Result<Self, PlaceError> {
        let mut cache = RingCache::new(place)?;
        let mut notify = Notify::new(features.event_idx);
        // Buffers are looked for when a frame comes; nobody needs to ring for them.
        notify.suppress(cache.view(regions)?, 0);
        Ok(Self {
            cache,
            features,
            notify,
            hint: RegionHint::default(),
            next: 0,
            seen: 0,
            awaited: false,
            pieces: SlicePool::new(MAX_FRAME_PIECES),
            buffers: Vec::with_capacity(MAX_MERGED_BUFFERS),
            done: Done {
                used: 0,
                entries: ArrayVec::new(),
            },
        })
    }

    /// A ring at `place` where somebody else has used its entries in order, up to the used index that stands there.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn resume(
        place: RingPlace,
        features: RingFeatures,
        regions: &Regions,
    ) -> Result<Self, PlaceError> {
        let mut ring = Self::new(place, features, regions)?;
        let view = ring.cache.view(regions)?;
        let at = view.used_index();
        ring.notify = Notify::resumed(features.event_idx, at);
        ring.notify.suppress(view, at);
        (ring.next, ring.seen, ring.done.used) = (at, at, at);
        Ok(ring)
    }
}

/// Writes into one slice after the other.
pub(super) struct Scatter<'a, 'm> {
    list: &'a SliceList<'m>,
    index: usize,
    offset: usize,
}

impl<'a, 'm> Scatter<'a, 'm> {
    pub(super) const fn new(list: &'a SliceList<'m>) -> Self {
        Self {
            list,
            index: 0,
            offset: 0,
        }
    }

    #[inline]
    pub(super) fn put(&mut self, mut from: ReadSlice<'_>) {
        while !from.is_empty() {
            let Some(to) = self.list.write(self.index).map(|to| to.skip(self.offset)) else {
                return;
            };
            let done = from.copy_to(to);
            from = from.skip(done);
            if done == to.len() {
                self.index += 1;
                self.offset = 0;
            } else {
                self.offset += done;
            }
        }
    }
}

impl Done {
    #[inline]
    fn stage(&mut self, view: RingView<'_>, id: u16, len: u32) {
        if self.entries.is_full() {
            self.write(view);
        }
        self.entries.push((id, len));
    }

    #[inline]
    fn write(&mut self, view: RingView<'_>) {
        self.used = view.set_used_all(self.used, self.entries.iter().copied());
        self.entries.clear();
    }
}

impl ReceiveRing for SplitReceive {
    fn push_plain(
        &mut self,
        regions: &Regions,
        burst: &Burst<'_>,
        frames: Frames,
    ) -> Result<(Frames, u64), RingError> {
        let view = self.cache.view(regions)?;
        // The driver's index is looked at when what is known of it would not do.
        if usize::from(self.seen.wrapping_sub(self.next)) < frames.count() {
            let to = view.available_index();
            if to.wrapping_sub(self.next) > view.size() {
                // Said where one frame is pushed.
                return Ok((Frames::default(), 0));
            }
            self.seen = to;
        }
        // Everything is asked for before any of it is waited for.
        view.prefetch_used(self.done.used, frames.count());
        view.prefetch_interest(self.features.event_idx);
        let mut heads = [0; BURST];
        let waiting = usize::from(self.seen.wrapping_sub(self.next));
        let heads = &mut heads[..frames.count().min(waiting)];
        view.available_row(self.next, heads);
        let mut row = WriteRow::new();
        let mut cursor = regions.writable_cursor(&mut self.hint);
        view.plain_writes(heads, &mut cursor, &mut row);
        let (done, bytes) = if self.features.hash_report {
            burst.copy_plain::<{ header::HASH_LEN }>(frames, &mut row)
        } else {
            burst.copy_plain::<{ header::LEN }>(frames, &mut row)
        };
        self.done.write(view);
        let count = done.count();
        let entries = heads.iter().copied().zip(row.lens()).take(count);
        self.done.used = view.set_used_all(self.done.used, entries);
        self.next = self.next.wrapping_add(count as u16);
        Ok((done, bytes))
    }

    #[inline]
    fn push_lone(&mut self, regions: &Regions, lone: &Lone<'_>) -> Result<bool, RingError> {
        let view = self.cache.view(regions)?;
        if self.seen == self.next {
            return Ok(false);
        }
        let id = view.available_entry(self.next);
        let mut cursor = regions.writable_cursor(&mut self.hint);
        let written = view
            .plain_write(id, &mut cursor)
            .and_then(|to| lone.copy_behind(to, self.features.hash_report));
        let Some(len) = written else {
            return Ok(false);
        };
        self.done.write(view);
        self.done.used = view.set_used(self.done.used, id, len);
        self.next = self.next.wrapping_add(1);
        Ok(true)
    }

    fn push(
        &mut self,
        regions: &Regions,
        meta: &FrameMeta,
        head: &[u8],
        tail: Payload<'_>,
    ) -> Result<Pushed, RingError> {
        let view = self.cache.view(regions)?;
        let size = view.size();
        let front = self.features.header_len();
        let need = (front + head.len() + tail.len()) as u64;
        let walk = Walk {
            view,
            regions,
            indirect: self.features.indirect,
        };
        let mut list = self.pieces.lend();
        self.buffers.clear();
        let (mut room, mut at) = (0, self.next);
        while room < need {
            if at == self.seen {
                self.seen = view.available_index();
                if self.seen.wrapping_sub(self.next) > size {
                    let (from, to) = (self.next, self.seen);
                    return Err(RingError::IndexJump { from, to, size });
                }
                if at == self.seen {
                    return Ok(Pushed::NoBuffer);
                }
            }
            if self.buffers.len() == MAX_MERGED_BUFFERS
                || (!self.features.merge && !self.buffers.is_empty())
            {
                return Ok(Pushed::TooSmall);
            }
            let id = view.available_entry(at);
            let bytes = match walk.pieces(id, Access::Write, &mut list) {
                Ok(bytes) => bytes,
                Err(Stop::Full) => return Ok(Pushed::TooSmall),
                Err(Stop::Bad(source)) => return Err(RingError::Chain { head: id, source }),
            };
            self.buffers.push((id, bytes));
            room += bytes;
            at = at.wrapping_add(1);
        }
        let header = header::build_hash(meta, self.buffers.len() as u16);
        let mut scatter = Scatter::new(&list);
        scatter.put(ReadSlice::from(&header[..front]));
        scatter.put(ReadSlice::from(head));
        for piece in tail.pieces() {
            scatter.put(piece);
        }
        let mut left = need;
        for &(id, bytes) in &self.buffers {
            let len = bytes.min(left);
            left -= len;
            self.done.stage(view, id, len as u32);
        }
        self.next = at;
        Ok(Pushed::Done)
    }

    fn publish(&mut self, regions: &Regions) -> Result<bool, RingError> {
        let view = self.cache.view(regions)?;
        self.done.write(view);
        view.publish_used(self.done.used);
        if self.features.event_idx && !self.awaited {
            self.notify.suppress(view, self.next);
        }
        Ok(self.notify.wants_interrupt(view, self.done.used))
    }

    fn lender(&mut self) -> Option<&mut dyn Lender> {
        Some(self)
    }

    fn hold(&mut self) {
        self.notify.hold();
    }

    fn wants_interrupt(&mut self, regions: &Regions) -> Result<bool, RingError> {
        let view = self.cache.view(regions)?;
        Ok(self.notify.wants_interrupt(view, self.done.used))
    }

    fn ahead(&mut self, regions: &Regions) -> Ahead {
        let mut ahead = Ahead::default();
        if let Ok(view) = self.cache.view(regions)
            && self.seen != self.next
        {
            let mut row = WriteRow::new();
            let mut cursor = regions.writable_cursor(&mut self.hint);
            let next = view.available_entry(self.next);
            view.plain_writes(&[next], &mut cursor, &mut row);
            if let Some(buffer) = row.get(0) {
                ahead.buffer(buffer);
            }
            ahead.used(view, self.done.used);
        }
        ahead
    }

    fn is_spent(&mut self, regions: &Regions) -> bool {
        let view = self.cache.view(regions);
        self.seen == self.next && view.is_ok_and(|view| view.available_index() == self.next)
    }

    fn looks_untouched(&mut self, regions: &Regions) -> bool {
        self.next == 0 && self.cache.view(regions).is_ok_and(|view| view.untouched())
    }

    fn faulted(&self) -> bool {
        self.cache.faulted()
    }
}

impl Lender for SplitReceive {
    fn borrow(
        &mut self,
        regions: &Regions,
        len: u32,
        wanted: &dyn Fn(usize) -> bool,
    ) -> Result<Option<Borrowed>, RingError> {
        if self.waiting(regions)? == 0 {
            return Ok(None);
        }
        let view = self.cache.view(regions)?;
        let front = self.features.header_len();
        let id = view.available_entry(self.next);
        let mut cursor = regions.writable_cursor(&mut self.hint);
        let least = front + len as usize;
        let buffer = view.plain_write(id, &mut cursor);
        let Some(buffer) = buffer.filter(|buffer| buffer.len() >= least) else {
            return Ok(None);
        };
        let place = buffer.skip(front).address();
        // Its address is read once more, and whoever uses it looks it up: it is for the header alone.
        let Some(descriptor) = view.descriptor(id).filter(|_| wanted(place)) else {
            return Ok(None);
        };
        self.next = self.next.wrapping_add(1);
        Ok(Some(Borrowed {
            token: Token { id, slots: 1 },
            address: descriptor.address,
            len: buffer.len() as u32,
            front: front as u32,
            place,
        }))
    }

    fn waiting(&mut self, regions: &Regions) -> Result<u16, RingError> {
        let view = self.cache.view(regions)?;
        let to = view.available_index();
        let waiting = to.wrapping_sub(self.next);
        if waiting > view.size() {
            return Err(RingError::IndexJump {
                from: self.next,
                to,
                size: view.size(),
            });
        }
        self.seen = to;
        Ok(waiting)
    }

    fn fill(
        &mut self,
        regions: &Regions,
        meta: &FrameMeta,
        borrowed: &Borrowed,
        len: u32,
    ) -> Result<(), RingError> {
        let lent = borrowed.lent(regions, len).ok_or(RingError::Chain {
            head: borrowed.token.id,
            source: TranslateError::Unmapped(borrowed.address).into(),
        })?;
        let header = header::build_hash(meta, 1);
        lent.write(&header[..self.features.header_len()]);
        let view = self.cache.view(regions)?;
        self.done.stage(view, borrowed.token.id, lent.len() as u32);
        Ok(())
    }

    fn await_buffers(&mut self, regions: &Regions, on: bool) -> Result<bool, RingError> {
        let view = self.cache.view(regions)?;
        self.awaited = on;
        if on {
            self.notify.arm(view, self.next);
        } else {
            self.notify.suppress(view, self.next);
        }
        Ok(view.available_index() != self.next)
    }
}
