//! A transmit queue in packed format.

use arrayvec::ArrayVec;

use super::burst::{Burst, Frame, FrameFault};
use super::packed_chain::{Extent, PackedWalk};
use super::packed_notify::PackedNotify;
use super::packed_used::UsedBurst;
use super::split_tx::{fault, lengths};
use super::{Frames, RingError, RingFeatures, Token, TransmitRing, Unread};
use crate::limits::BURST;
use crate::mem::{
    Access, PackedCache, PackedDescriptor, PlaceError, Position, ReadSlice, RegionHint, Regions,
    RingPlace,
};

/// Flags of anything but a plain readable buffer.
const SPECIAL: u16 = PackedDescriptor::NEXT | PackedDescriptor::WRITE | PackedDescriptor::INDIRECT;

/// Device side of a transmit queue.
#[derive(Debug)]
pub struct PackedTransmit {
    cache: PackedCache,
    features: RingFeatures,
    notify: PackedNotify,
    hint: RegionHint,
    /// Next descriptor to look at.
    next: Position,
    used: UsedBurst,
    /// Buffers taken and not given back.
    taken: ArrayVec<Extent, BURST>,
}

impl PackedTransmit {
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
        cache.view(regions)?;
        Ok(Self {
            cache,
            features,
            notify: PackedNotify::new(features.event_idx),
            hint: RegionHint::default(),
            next: Position::START,
            used: UsedBurst::new(),
            taken: ArrayVec::new(),
        })
    }
}

/// Adds the buffer that starts at `at` with `first`, whatever it looks like; `None` when the burst has no
/// room for it. It may take `left` descriptors of the ring; `front` bytes are header.
#[cold]
fn walked<'m>(
    walk: PackedWalk<'_, 'm>,
    (at, first): (Position, PackedDescriptor),
    left: u16,
    burst: &mut Burst<'m>,
    front: usize,
) -> Result<Option<Extent>, RingError> {
    let start = burst.pieces.len();
    let pieces = walk
        .pieces(at, first, left, Access::Read, &mut burst.pieces)
        .map_err(|source| RingError::Chain {
            head: at.index(),
            source,
        })?;
    let mut frame = Frame::new(ReadSlice::from(&[][..]));
    frame.next = start as u32;
    if pieces.whole {
        frame.fault = fault(pieces.bytes, front);
        if frame.fault.is_none() {
            frame.more = pieces.bytes as u32;
            frame.skip(&burst.pieces, 0);
        }
    } else {
        burst.pieces.truncate(start);
        if !burst.is_empty() {
            return Ok(None);
        }
        frame.fault = Some(FrameFault::Scattered);
    }
    frame.start.prefetch();
    Ok(burst.add(frame).then_some(pieces.extent))
}

impl TransmitRing for PackedTransmit {
    fn take<'m>(&mut self, regions: &'m Regions, burst: &mut Burst<'m>) -> Result<(), RingError> {
        debug_assert!(burst.is_empty(), "what is in it is not of this ring");
        let view = self.cache.view(regions)?;
        let size = view.size();
        let walk = PackedWalk {
            view,
            regions,
            indirect: self.features.indirect,
        };
        let front = self.features.header_len();
        let lengths = lengths(front);
        let mut cursor = regions.readable_cursor(&mut self.hint);
        // What was taken before and never given back went with its burst.
        self.taken.clear();
        let (mut at, mut left) = (self.next, size);
        while burst.row.room() > 0 && left > 0 {
            let Some(descriptor) = view.available(at) else {
                break;
            };
            let plain = descriptor.flags & SPECIAL == 0 && lengths.contains(&descriptor.len);
            let plain = plain
                .then(|| cursor.buffer(descriptor.address, descriptor.len))
                .flatten();
            let extent = match plain {
                Some(start) => {
                    // The lines that the sender's processor wrote last: header and first bytes.
                    start.prefetch();
                    burst.row.push(start);
                    let id = descriptor.id;
                    Extent { id, slots: 1 }
                }
                None => match walked(walk, (at, descriptor), left, burst, front)? {
                    Some(found) => found,
                    None => break,
                },
            };
            self.taken.push(extent);
            at = at.advanced(extent.slots, size);
            left -= extent.slots;
        }
        self.next = at;
        burst.read_headers(front);
        Ok(())
    }

    fn give_back(
        &mut self,
        regions: &Regions,
        _: &Burst<'_>,
        kept: Frames,
    ) -> Result<bool, RingError> {
        let view = self.cache.view(regions)?;
        match self.taken.last() {
            // A driver of a device that keeps some was not offered to have them in order.
            _ if !kept.is_empty() => {
                let given = self.taken.iter().enumerate();
                let given = given.filter(|(index, _)| !kept.has(*index));
                self.used.add(view, given.map(|(_, extent)| (*extent, 0)));
            }
            // 2.8.9: one descriptor with the last buffer's id stands for the whole batch.
            Some(last) if self.features.in_order => {
                let slots = self.taken.iter().map(|extent| extent.slots).sum();
                self.used.add(view, [(Extent { slots, ..*last }, 0)]);
            }
            _ => self
                .used
                .add(view, self.taken.iter().map(|extent| (*extent, 0))),
        }
        self.taken.clear();
        self.used.publish(view);
        Ok(self.notify.wants_interrupt(view, self.used.next()))
    }

    fn token(&self, _: &Burst<'_>, index: usize) -> Option<Token> {
        let Extent { id, slots } = *self.taken.get(index)?;
        Some(Token { id, slots })
    }

    fn complete(&mut self, regions: &Regions, tokens: &[Token]) -> Result<bool, RingError> {
        let view = self.cache.view(regions)?;
        let extents = tokens
            .iter()
            .map(|&Token { id, slots }| (Extent { id, slots }, 0));
        self.used.add(view, extents);
        self.used.publish(view);
        Ok(self.notify.wants_interrupt(view, self.used.next()))
    }

    #[inline]
    fn lone<'m>(&mut self, regions: &'m Regions) -> Option<Unread<'m>> {
        let view = self.cache.view(regions).ok()?;
        let size = view.size();
        let descriptor = view.available(self.next)?;
        let front = self.features.header_len();
        if descriptor.flags & SPECIAL != 0
            || !lengths(front).contains(&descriptor.len)
            || view.available(self.next.advanced(1, size)).is_some()
        {
            return None;
        }
        let mut cursor = regions.readable_cursor(&mut self.hint);
        let buffer = cursor.buffer(descriptor.address, descriptor.len)?;
        Some(Unread::new(descriptor.id, buffer, front))
    }

    fn give_lone(&mut self, regions: &Regions, unread: &Unread<'_>) -> Result<bool, RingError> {
        let view = self.cache.view(regions)?;
        self.next = self.next.advanced(1, view.size());
        let extent = Extent {
            id: unread.id,
            slots: 1,
        };
        self.used.add(view, [(extent, 0)]);
        self.used.publish(view);
        Ok(self.notify.wants_interrupt(view, self.used.next()))
    }

    fn suppress(&mut self, regions: &Regions) {
        if let Ok(view) = self.cache.view(regions) {
            self.notify.suppress(view);
        }
    }

    fn arm(&mut self, regions: &Regions) -> Result<bool, RingError> {
        let view = self.cache.view(regions)?;
        self.notify.arm(view, self.next);
        Ok(view.available(self.next).is_some())
    }

    fn hold(&mut self) {
        self.notify.hold();
    }

    fn wants_interrupt(&mut self, regions: &Regions) -> Result<bool, RingError> {
        let view = self.cache.view(regions)?;
        Ok(self.notify.wants_interrupt(view, self.used.next()))
    }

    #[inline]
    fn has_work(&mut self, regions: &Regions) -> bool {
        let next = self.next;
        let view = self.cache.view(regions);
        // What is wrong is said by whoever takes.
        view.map_or(true, |view| view.available(next).is_some())
    }

    fn looks_untouched(&mut self, regions: &Regions) -> bool {
        self.next == Position::START && self.cache.view(regions).is_ok_and(|view| view.untouched())
    }

    fn faulted(&self) -> bool {
        self.cache.faulted()
    }
}
