//! A receive queue in split format, with or without mergeable buffers (virtio 1.3 5.1.6.3).

use arrayvec::ArrayVec;

use super::chain::{Stop, Walk};
use super::header;
use super::notify::Notify;
use super::payload::Payload;
use super::{Burst, Frames, Pushed, ReceiveRing, RingError, RingFeatures};
use crate::limits::{BURST, FLOW_COPY, MAX_FRAME_PIECES, MAX_MERGED_BUFFERS};
use crate::mem::{
    Access, Descriptor, PlaceError, ReadSlice, RegionHint, Regions, RingCache, RingPlace, RingView,
    SliceList, SlicePool, WriteSlice,
};
use crate::offload::FrameMeta;

/// Bytes of a frame from which on the next one is asked for in full.
const LONG: usize = 256;
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
            pieces: SlicePool::new(MAX_FRAME_PIECES),
            buffers: Vec::with_capacity(MAX_MERGED_BUFFERS),
            done: Done {
                used: 0,
                entries: ArrayVec::new(),
            },
        })
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

/// Copies frames in one piece behind a header of `FRONT` bytes that says nothing but their hash, each
/// into one of `buffers`, until one does not fit. Returns those that are done and their bytes; `lens`
/// takes the bytes of each with its header.
#[inline]
pub(super) fn fill<const FRONT: usize>(
    burst: &Burst<'_>,
    frames: Frames,
    buffers: &[WriteSlice<'_>],
    lens: &mut [u32; BURST],
) -> (Frames, u64) {
    let mut done = Frames::default();
    let mut bytes = 0;
    let mut front = [0; FRONT];
    front[..header::LEN].copy_from_slice(&header::build(&FrameMeta::default(), 1));
    for (nth, (index, buffer)) in frames.zip(buffers).enumerate() {
        let Some((frame, head)) = burst.plain(index) else {
            break;
        };
        // The next one is on its way while this one is copied.
        if frame.len() > LONG
            && let Some(next) = buffers.get(nth + 1)
            && let Some((from, _)) = burst.plain(index + 1)
        {
            from.prefetch_copy(*next);
        }
        if FRONT == header::HASH_LEN {
            front[header::LEN..].copy_from_slice(&header::hash_bytes(burst.hash(index)));
        }
        // All of it as it is now, and over that what was decided about.
        let fits = match head.first_chunk::<FLOW_COPY>() {
            Some(flow) if head.len() == FLOW_COPY => buffer.put_frame(&front, flow, frame),
            _ => buffer.put_frame(&front, &[], frame) && buffer.skip(FRONT).write(head) > 0,
        };
        if !fits {
            break;
        }
        lens[nth % BURST] = (FRONT + frame.len()) as u32;
        bytes += frame.len() as u64;
        done.add(Frames::one(index));
    }
    (done, bytes)
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
        let mut heads = [0; BURST];
        let waiting = usize::from(self.seen.wrapping_sub(self.next));
        let heads = &mut heads[..frames.count().min(waiting)];
        for (ahead, head) in (0..).zip(&mut *heads) {
            *head = view.available_entry(self.next.wrapping_add(ahead));
            view.prefetch_descriptor(*head);
        }
        let mut buffers: ArrayVec<_, BURST> = ArrayVec::new();
        let mut cursor = regions.writable_cursor(&mut self.hint);
        for &id in &*heads {
            let plain = view
                .plain(id, Descriptor::WRITE)
                .and_then(|(address, len)| cursor.buffer(address, len));
            let Some(buffer) = plain else { break };
            buffer.prefetch();
            buffers.push(buffer);
        }
        let mut lens = [0; BURST];
        let (done, bytes) = if self.features.hash_report {
            fill::<{ header::HASH_LEN }>(burst, frames, &buffers, &mut lens)
        } else {
            fill::<{ header::LEN }>(burst, frames, &buffers, &mut lens)
        };
        self.done.write(view);
        let count = done.count();
        let entries = heads.iter().copied().zip(lens).take(count);
        self.done.used = view.set_used_all(self.done.used, entries);
        self.next = self.next.wrapping_add(count as u16);
        Ok((done, bytes))
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
        if self.features.event_idx {
            self.notify.suppress(view, self.next);
        }
        Ok(self.notify.wants_interrupt(view, self.done.used))
    }

    fn hold(&mut self) {
        self.notify.hold();
    }

    fn wants_interrupt(&mut self, regions: &Regions) -> Result<bool, RingError> {
        let view = self.cache.view(regions)?;
        Ok(self.notify.wants_interrupt(view, self.done.used))
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
