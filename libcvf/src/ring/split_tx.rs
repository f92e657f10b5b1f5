//! A transmit queue in split format.

use std::ops::RangeInclusive;

use super::burst::{Burst, Frame, FrameFault};
use super::chain::{Stop, Walk};
use super::notify::Notify;
use super::{Frames, RingError, RingFeatures, Token, TransmitRing, Unread};
use crate::limits::{BURST, MAX_FRAME};
use crate::mem::{Access, PlaceError, ReadSlice, RegionHint, Regions, RingCache, RingPlace};

/// Shortest frame: the two addresses and a type.
const MIN_FRAME: u64 = 14;

/// Device side of a transmit queue.
#[derive(Debug)]
pub struct SplitTransmit {
    cache: RingCache,
    features: RingFeatures,
    notify: Notify,
    hint: RegionHint,
    /// Next available entry to take.
    next: u16,
    /// Next used entry to write.
    used: u16,
}

impl SplitTransmit {
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
            hint: RegionHint::default(),
            next: 0,
            used: 0,
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
        let at = ring.cache.view(regions)?.used_index();
        ring.notify = Notify::resumed(features.event_idx, at);
        (ring.next, ring.used) = (at, at);
        Ok(ring)
    }
}

/// Adds the chain at `id`, whatever it looks like; false when the burst has no room for it.
#[cold]
fn walked<'m>(
    walk: Walk<'_, 'm>,
    id: u16,
    burst: &mut Burst<'m>,
    front: usize,
) -> Result<bool, RingError> {
    let first = burst.pieces.len();
    let mut frame = Frame::new(ReadSlice::from(&[][..]));
    frame.next = first as u32;
    match walk.pieces(id, Access::Read, &mut burst.pieces) {
        Ok(bytes) => {
            frame.fault = fault(bytes, front);
            if frame.fault.is_none() {
                frame.more = bytes as u32;
                frame.skip(&burst.pieces, 0);
            }
        }
        Err(Stop::Full) => {
            burst.pieces.truncate(first);
            if !burst.is_empty() {
                return Ok(false);
            }
            frame.fault = Some(FrameFault::Scattered);
        }
        Err(Stop::Bad(source)) => return Err(RingError::Chain { head: id, source }),
    }
    frame.start.prefetch();
    Ok(burst.add(frame))
}

/// Bytes of a chain that is a frame with a header of `front` bytes.
pub(super) const fn lengths(front: usize) -> RangeInclusive<u32> {
    front as u32 + MIN_FRAME as u32..=(front + MAX_FRAME) as u32
}

/// What is wrong with a chain of `bytes` that should be a frame behind `front` bytes of header.
pub(super) fn fault(bytes: u64, front: usize) -> Option<FrameFault> {
    match bytes.checked_sub(front as u64) {
        None | Some(0..MIN_FRAME) => Some(FrameFault::Short),
        Some(len) if len > MAX_FRAME as u64 => Some(FrameFault::Long),
        Some(_) => None,
    }
}

impl TransmitRing for SplitTransmit {
    fn take<'m>(&mut self, regions: &'m Regions, burst: &mut Burst<'m>) -> Result<(), RingError> {
        debug_assert!(burst.is_empty(), "what is in it is not of this ring");
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
        // Everything is asked for before any of it is waited for: first the descriptors, then the
        // lines that the sender's processor wrote last, header and first bytes of each frame.
        let count = usize::from(waiting).min(burst.row.room());
        view.prefetch_used(self.used, count);
        view.available_row(self.next, &mut burst.room.ids[..count]);
        let front = self.features.header_len();
        let lengths = lengths(front);
        let lengths = (*lengths.start(), *lengths.end());
        let mut cursor = regions.readable_cursor(&mut self.hint);
        let mut done = 0;
        loop {
            let ids = burst.room.ids.get(done..count).unwrap_or_default();
            done += view.plain_reads(ids, lengths, &mut cursor, &mut burst.row);
            if done >= count {
                break;
            }
            let walk = Walk {
                view,
                regions,
                indirect: self.features.indirect,
            };
            if !walked(walk, burst.room.ids[done % BURST], burst, front)? {
                break;
            }
            done += 1;
        }
        self.next = self.next.wrapping_add(burst.len() as u16);
        burst.read_headers(front);
        Ok(())
    }

    fn give_back(
        &mut self,
        regions: &Regions,
        burst: &Burst<'_>,
        kept: Frames,
    ) -> Result<bool, RingError> {
        let view = self.cache.view(regions)?;
        let ids = burst.room.ids.iter().take(burst.len());
        self.used = if kept.is_empty() {
            view.set_used_all(self.used, ids.map(|id| (*id, 0)))
        } else {
            let given = ids.enumerate().filter(|(index, _)| !kept.has(*index));
            view.set_used_all(self.used, given.map(|(_, id)| (*id, 0)))
        };
        view.publish_used(self.used);
        Ok(self.notify.wants_interrupt(view, self.used))
    }

    fn token(&self, burst: &Burst<'_>, index: usize) -> Option<Token> {
        let id = burst.room.ids[..burst.len()].get(index)?;
        Some(Token { id: *id, slots: 1 })
    }

    fn complete(&mut self, regions: &Regions, tokens: &[Token]) -> Result<bool, RingError> {
        let view = self.cache.view(regions)?;
        self.used = view.set_used_all(self.used, tokens.iter().map(|token| (token.id, 0)));
        view.publish_used(self.used);
        Ok(self.notify.wants_interrupt(view, self.used))
    }

    #[inline]
    fn lone<'m>(&mut self, regions: &'m Regions) -> Option<Unread<'m>> {
        let view = self.cache.view(regions).ok()?;
        if view.available_index().wrapping_sub(self.next) != 1 {
            return None;
        }
        let front = self.features.header_len();
        let lengths = lengths(front);
        let mut cursor = regions.readable_cursor(&mut self.hint);
        let id = view.available_entry(self.next);
        let buffer = view.plain_read(id, (*lengths.start(), *lengths.end()), &mut cursor)?;
        Some(Unread::new(id, buffer, front))
    }

    fn give_lone(&mut self, regions: &Regions, unread: &Unread<'_>) -> Result<bool, RingError> {
        let view = self.cache.view(regions)?;
        self.next = self.next.wrapping_add(1);
        self.used = view.set_used(self.used, unread.id, 0);
        view.publish_used(self.used);
        Ok(self.notify.wants_interrupt(view, self.used))
    }

    fn suppress(&mut self, regions: &Regions) {
        if let Ok(view) = self.cache.view(regions) {
            self.notify.suppress(view, self.next);
        }
    }

    fn arm(&mut self, regions: &Regions) -> Result<bool, RingError> {
        let view = self.cache.view(regions)?;
        self.notify.arm(view, self.next);
        Ok(view.available_index() != self.next)
    }

    fn hold(&mut self) {
        self.notify.hold();
    }

    fn wants_interrupt(&mut self, regions: &Regions) -> Result<bool, RingError> {
        let view = self.cache.view(regions)?;
        Ok(self.notify.wants_interrupt(view, self.used))
    }

    #[inline]
    fn has_work(&mut self, regions: &Regions) -> bool {
        let view = self.cache.view(regions);
        // What is wrong is said by whoever takes.
        view.map_or(true, |view| view.available_index() != self.next)
    }

    fn looks_untouched(&mut self, regions: &Regions) -> bool {
        self.next == 0 && self.cache.view(regions).is_ok_and(|view| view.untouched())
    }

    fn faulted(&self) -> bool {
        self.cache.faulted()
    }
}
