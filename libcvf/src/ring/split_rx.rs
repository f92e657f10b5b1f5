//! A receive queue in split format, with or without mergeable buffers (virtio 1.3 5.1.6.3).

use super::burst::Payload;
use super::chain::{Stop, Walk};
use super::header;
use super::notify::Notify;
use super::{Pushed, ReceiveRing, RingError, RingFeatures};
use crate::limits::{BURST, MAX_FRAME_PIECES, MAX_MERGED_BUFFERS};
use crate::mem::{
    Access, Ahead, Descriptor, PlaceError, ReadSlice, Regions, RingCache, RingPlace, RingView,
    SliceList, SlicePool,
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
    next: u16,
    /// The available index when it was last looked at.
    seen: u16,
    suppressed: bool,
    /// The buffers from `next` on, as far as they were looked up.
    ahead: Ahead,
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
    entries: Vec<(u16, u32)>,
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
        cache.view(regions)?;
        Ok(Self {
            cache,
            features,
            notify: Notify::new(features.event_idx),
            next: 0,
            seen: 0,
            suppressed: false,
            ahead: Ahead::default(),
            pieces: SlicePool::new(MAX_FRAME_PIECES),
            buffers: Vec::with_capacity(MAX_MERGED_BUFFERS),
            done: Done {
                used: 0,
                entries: Vec::with_capacity(DONE),
            },
        })
    }

    /// [`ReceiveRing::push`] for any chain: every descriptor is followed, several buffers are merged.
    fn push_walked(
        &mut self,
        regions: &Regions,
        meta: &FrameMeta,
        head: &[u8],
        tail: Payload<'_>,
    ) -> Result<Pushed, RingError> {
        let view = self.cache.view(regions)?;
        let size = view.size();
        let need = (header::LEN + head.len() + tail.len()) as u64;
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
        let header = header::build(meta, self.buffers.len() as u16);
        let mut scatter = Scatter {
            list: &list,
            index: 0,
            offset: 0,
        };
        scatter.put(ReadSlice::from(&header[..]));
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
        self.ahead.skip(self.buffers.len());
        self.next = at;
        Ok(Pushed::Done)
    }
}

impl Done {
    #[inline]
    fn stage(&mut self, view: RingView<'_>, id: u16, len: u32) {
        if self.entries.len() == DONE {
            self.write(view);
        }
        self.entries.push((id, len));
    }

    #[inline]
    fn write(&mut self, view: RingView<'_>) {
        for &(id, len) in &self.entries {
            view.set_used(self.used, id, len);
            self.used = self.used.wrapping_add(1);
        }
        self.entries.clear();
    }
}

/// Writes into one slice after the other.
struct Scatter<'a, 'm> {
    list: &'a SliceList<'m>,
    index: usize,
    offset: usize,
}

impl Scatter<'_, '_> {
    #[inline]
    fn put(&mut self, mut from: ReadSlice<'_>) {
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

impl ReceiveRing for SplitReceive {
    #[inline]
    fn expect(&mut self, regions: &Regions, frames: usize) {
        let Ok(view) = self.cache.view(regions) else {
            return;
        };
        let have = self.ahead.len(regions);
        let frames = frames.min(Ahead::ROOM);
        if have >= frames {
            return;
        }
        // How far the driver is, if that is sane; what is not shows when it is used.
        let to = view.available_index();
        let waiting = to.wrapping_sub(self.next);
        if waiting > view.size() {
            return;
        }
        self.seen = to;
        let wanted = have..frames.min(usize::from(waiting)).max(have);
        for at in wanted.clone() {
            let id = view.available_entry(self.next.wrapping_add(at as u16));
            view.prefetch_descriptor(id);
        }
        let mut cursor = regions.cursor();
        for at in wanted {
            let id = view.available_entry(self.next.wrapping_add(at as u16));
            let plain = view
                .descriptor(id)
                .filter(|descriptor| descriptor.flags == Descriptor::WRITE)
                .map(|descriptor| (descriptor.address, descriptor.len));
            self.ahead.add(&mut cursor, id, plain);
        }
    }

    fn push(
        &mut self,
        regions: &Regions,
        meta: &FrameMeta,
        head: &[u8],
        tail: Payload<'_>,
    ) -> Result<Pushed, RingError> {
        let view = self.cache.view(regions)?;
        if !self.suppressed {
            // Buffers are looked for when a frame comes; nobody needs to ring for them.
            self.notify.suppress(view, self.next);
            self.suppressed = true;
        }
        let need = header::LEN + head.len() + tail.len();
        if let Some((id, buffer)) = self.ahead.front(regions, need) {
            self.ahead.skip(1);
            buffer.write(&header::build(meta, 1));
            let rest = buffer.skip(header::LEN);
            let mut rest = rest.skip(rest.write(head));
            for piece in tail.pieces() {
                rest = rest.skip(piece.copy_to(rest));
            }
            self.done.stage(view, id, need as u32);
            self.next = self.next.wrapping_add(1);
            return Ok(Pushed::Done);
        }
        self.push_walked(regions, meta, head, tail)
    }

    fn publish(&mut self, regions: &Regions) -> Result<bool, RingError> {
        let view = self.cache.view(regions)?;
        self.done.write(view);
        view.publish_used(self.done.used);
        if self.features.event_idx {
            self.notify.suppress(view, self.next);
        }
        Ok(self.notify.wants_interrupt(view, self.done.used))
    }

    fn looks_untouched(&mut self, regions: &Regions) -> bool {
        self.next == 0 && self.cache.view(regions).is_ok_and(|view| view.untouched())
    }

    fn faulted(&self) -> bool {
        self.cache.faulted()
    }
}
