//! A receive queue in packed format, with or without mergeable buffers (virtio 1.3 5.1.6.3).
//!
//! Buffers are given back one by one also with `VIRTIO_F_IN_ORDER`: those that a batch leaves out
//! count as written to their ends (2.8.9), which they are not.

use arrayvec::ArrayVec;

use super::header;
use super::packed_chain::{Extent, PackedWalk};
use super::packed_notify::PackedNotify;
use super::packed_used::UsedBurst;
use super::payload::Payload;
use super::split_rx::Scatter;
use super::{Burst, CACHE_LINE, Frames, Lone, Pushed, ReceiveRing, RingError, RingFeatures};
use crate::limits::{BURST, MAX_FRAME_PIECES, MAX_MERGED_BUFFERS};
use crate::mem::{
    Access, PackedCache, PackedDescriptor, PlaceError, Position, ReadSlice, RegionHint, Regions,
    RingPlace, SlicePool, WriteRow,
};
use crate::offload::FrameMeta;

/// Descriptors in a cache line.
const PER_LINE: usize = CACHE_LINE / PackedDescriptor::SIZE;
/// Flags that tell a plain buffer from others.
const KIND: u16 = PackedDescriptor::NEXT | PackedDescriptor::WRITE | PackedDescriptor::INDIRECT;

/// Device side of a receive queue.
#[derive(Debug)]
pub struct PackedReceive {
    cache: PackedCache,
    features: RingFeatures,
    notify: PackedNotify,
    hint: RegionHint,
    /// Next descriptor to look at.
    next: Position,
    used: UsedBurst,
    pieces: SlicePool,
    /// Buffers of the frame in hand, and their bytes.
    buffers: Vec<(Extent, u64)>,
}

impl PackedReceive {
    /// A ring at `place`, at its beginning (virtio 1.3 2.8.1: wrap counters 1).
    ///
    /// # Errors
    /// [`PlaceError`], also when it is not reachable in `regions`.
    pub fn new(
        place: RingPlace,
        features: RingFeatures,
        regions: &Regions,
    ) -> Result<Self, PlaceError> {
        let mut cache = PackedCache::new(place)?;
        let mut notify = PackedNotify::new(features.event_idx);
        // Buffers are looked for when a frame comes; nobody needs to ring for them.
        notify.suppress(cache.view(regions)?);
        Ok(Self {
            cache,
            features,
            notify,
            hint: RegionHint::default(),
            next: Position::START,
            used: UsedBurst::new(),
            pieces: SlicePool::new(MAX_FRAME_PIECES),
            buffers: Vec::with_capacity(MAX_MERGED_BUFFERS),
        })
    }
}

impl ReceiveRing for PackedReceive {
    fn push_plain(
        &mut self,
        regions: &Regions,
        burst: &Burst<'_>,
        frames: Frames,
    ) -> Result<(Frames, u64), RingError> {
        let view = self.cache.view(regions)?;
        let size = view.size();
        // Everything is asked for before any of it is waited for. The descriptors will be written.
        let most = frames.count().min((size - self.used.slots()).into());
        for ahead in (0..most).step_by(PER_LINE) {
            view.prefetch(self.next.advanced(ahead as u16, size));
        }
        let mut ids: ArrayVec<u16, BURST> = ArrayVec::new();
        let mut row = WriteRow::new();
        let mut cursor = regions.writable_cursor(&mut self.hint);
        let mut at = self.next;
        for _ in 0..most {
            let plain = view
                .available(at)
                .filter(|found| found.flags & KIND == PackedDescriptor::WRITE);
            let Some(PackedDescriptor {
                address, len, id, ..
            }) = plain
            else {
                break;
            };
            let Some(buffer) = cursor.buffer(address, len) else {
                break;
            };
            buffer.prefetch();
            ids.push(id);
            row.push(buffer);
            at = at.advanced(1, size);
        }
        let (done, bytes) = if self.features.hash_report {
            burst.copy_plain::<{ header::HASH_LEN }>(frames, &mut row)
        } else {
            burst.copy_plain::<{ header::LEN }>(frames, &mut row)
        };
        let count = done.count();
        let used = ids.into_iter().zip(row.lens()).take(count);
        let used = used.map(|(id, len)| (Extent { id, slots: 1 }, len));
        self.used.add(view, used);
        self.next = self.next.advanced(count as u16, size);
        Ok((done, bytes))
    }

    fn push_lone(&mut self, regions: &Regions, lone: &Lone<'_>) -> Result<bool, RingError> {
        let view = self.cache.view(regions)?;
        let size = view.size();
        if self.used.slots() == size {
            return Ok(false);
        }
        let plain = view
            .available(self.next)
            .filter(|found| found.flags & KIND == PackedDescriptor::WRITE);
        let mut cursor = regions.writable_cursor(&mut self.hint);
        let written = plain.and_then(|found| {
            let to = cursor.buffer(found.address, found.len)?;
            let len = lone.copy_behind(to, self.features.hash_report)?;
            Some((found.id, len))
        });
        let Some((id, len)) = written else {
            return Ok(false);
        };
        self.used.add(view, [(Extent { id, slots: 1 }, len)]);
        self.next = self.next.advanced(1, size);
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
        let walk = PackedWalk {
            view,
            regions,
            indirect: self.features.indirect,
        };
        let mut list = self.pieces.lend();
        self.buffers.clear();
        // What is used and not published cannot have been made available again.
        let mut left = size - self.used.slots();
        let (mut room, mut at) = (0, self.next);
        while room < need {
            let descriptor = match view.available(at) {
                Some(descriptor) if left > 0 => descriptor,
                _ => return Ok(Pushed::NoBuffer),
            };
            if self.buffers.len() == MAX_MERGED_BUFFERS
                || (!self.features.merge && !self.buffers.is_empty())
            {
                return Ok(Pushed::TooSmall);
            }
            let pieces = walk
                .pieces(at, descriptor, left, Access::Write, &mut list)
                .map_err(|source| RingError::Chain {
                    head: at.index(),
                    source,
                })?;
            if !pieces.whole {
                return Ok(Pushed::TooSmall);
            }
            self.buffers.push((pieces.extent, pieces.bytes));
            room += pieces.bytes;
            left -= pieces.extent.slots;
            at = at.advanced(pieces.extent.slots, size);
        }
        let header = header::build_hash(meta, self.buffers.len() as u16);
        let mut scatter = Scatter::new(&list);
        scatter.put(ReadSlice::from(&header[..front]));
        scatter.put(ReadSlice::from(head));
        for piece in tail.pieces() {
            scatter.put(piece);
        }
        let mut missing = need;
        for &(extent, bytes) in &self.buffers {
            let len = bytes.min(missing);
            missing -= len;
            self.used.add(view, [(extent, len as u32)]);
        }
        self.next = at;
        Ok(Pushed::Done)
    }

    fn publish(&mut self, regions: &Regions) -> Result<bool, RingError> {
        let view = self.cache.view(regions)?;
        self.used.publish(view);
        Ok(self.notify.wants_interrupt(view, self.used.next()))
    }

    fn hold(&mut self) {
        self.notify.hold();
    }

    fn wants_interrupt(&mut self, regions: &Regions) -> Result<bool, RingError> {
        let view = self.cache.view(regions)?;
        Ok(self.notify.wants_interrupt(view, self.used.next()))
    }

    fn is_spent(&mut self, regions: &Regions) -> bool {
        let next = self.next;
        // A ring that cannot be looked at gives no reason to hurry.
        let view = self.cache.view(regions);
        view.is_ok_and(|view| view.available(next).is_none())
    }

    fn looks_untouched(&mut self, regions: &Regions) -> bool {
        self.next == Position::START && self.cache.view(regions).is_ok_and(|view| view.untouched())
    }

    fn faulted(&self) -> bool {
        self.cache.faulted()
    }
}
