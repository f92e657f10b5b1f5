//! A transmit queue in split format.

use super::burst::{Burst, Frame, FrameFault};
use super::chain::{Stop, Walk};
use super::header;
use super::notify::Notify;
use super::{RingError, RingFeatures, TransmitRing};
use crate::limits::{BURST, MAX_FRAME};
use crate::mem::{
    Access, Cursor, Descriptor, PlaceError, ReadSlice, Regions, RingCache, RingPlace, RingView,
};
use crate::offload::FrameMeta;

/// Shortest frame: the two addresses and a type.
const MIN_FRAME: u64 = 14;
const CACHE_LINE: usize = 64;

/// Device side of a transmit queue.
#[derive(Debug)]
pub struct SplitTransmit {
    cache: RingCache,
    features: RingFeatures,
    notify: Notify,
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
            next: 0,
            used: 0,
        })
    }
}

/// The usual chain: one readable descriptor in one piece of memory. What is found here is used as it
/// was loaded; anything else is walked from its beginning.
#[inline]
fn plain<'m>(view: RingView<'_>, cursor: &mut Cursor<'m>, id: u16) -> Option<ReadSlice<'m>> {
    let Descriptor {
        address,
        len,
        flags,
        ..
    } = view.descriptor(id)?;
    if flags != 0 || len == 0 {
        return None;
    }
    cursor.read(address, len)
}

/// Settles from its length whether a chain of `bytes` is a frame.
#[inline]
fn frame<'m>(burst: &Burst<'m>, id: u16, first: usize, bytes: u64) -> Frame {
    let mut frame = Frame {
        meta: FrameMeta::default(),
        len: 0,
        fault: None,
        id,
        skip: header::LEN as u16,
        first: first as u32,
        count: (burst.pieces.len() - first) as u32,
    };
    let Some(len) = bytes
        .checked_sub(header::LEN as u64)
        .filter(|len| *len >= MIN_FRAME)
    else {
        frame.fault = Some(FrameFault::Short);
        return frame;
    };
    if len > MAX_FRAME as u64 {
        frame.fault = Some(FrameFault::Long);
        return frame;
    }
    frame.len = len as u32;
    // The sender's processor wrote these lines last: ask for them now, read them once the whole
    // burst has been asked for.
    if let Some(start) = burst.pieces.read(first) {
        start.prefetch();
        start.skip(CACHE_LINE).prefetch();
    }
    frame
}

/// Reads the header of a frame that has a sane length.
#[inline]
fn read_header(burst: &Burst<'_>, frame: &mut Frame) {
    let mut bytes = [0; header::LEN];
    let whole = Frame {
        skip: 0,
        len: header::LEN as u32,
        ..*frame
    };
    burst.payload(&whole).read(&mut bytes);
    match header::parse(&bytes) {
        Some(meta) => frame.meta = meta,
        None => frame.fault = Some(FrameFault::Short),
    }
}

impl TransmitRing for SplitTransmit {
    fn take<'m>(&mut self, regions: &'m Regions, burst: &mut Burst<'m>) -> Result<(), RingError> {
        let view = self.cache.view(regions)?;
        let size = view.size();
        let to = view.available_index();
        let waiting = to.wrapping_sub(self.next);
        if waiting > size {
            return Err(RingError::IndexJump {
                from: self.next,
                to,
                size,
            });
        }
        let walk = Walk {
            view,
            regions,
            indirect: self.features.indirect,
        };
        // Everything is asked for before any of it is waited for.
        let mut heads = [0; BURST];
        let heads = &mut heads[..usize::from(waiting).min(BURST)];
        for (ahead, head) in (0..).zip(&mut *heads) {
            *head = view.available_entry(self.next.wrapping_add(ahead));
            view.prefetch_descriptor(*head);
        }
        let mut cursor = regions.cursor();
        for &id in &*heads {
            let first = burst.pieces.len();
            if let Some(piece) = plain(view, &mut cursor, id)
                && burst.pieces.push_read(piece)
            {
                let taken = frame(burst, id, first, piece.len() as u64);
                burst.frames.push(taken);
                self.next = self.next.wrapping_add(1);
                continue;
            }
            let taken = match walk.pieces(id, Access::Read, &mut burst.pieces) {
                Ok(bytes) => frame(burst, id, first, bytes),
                Err(Stop::Full) => {
                    burst.pieces.truncate(first);
                    if !burst.frames.is_empty() {
                        break;
                    }
                    let mut frame = frame(burst, id, first, 0);
                    frame.fault = Some(FrameFault::Scattered);
                    frame
                }
                Err(Stop::Bad(source)) => return Err(RingError::Chain { head: id, source }),
            };
            burst.frames.push(taken);
            self.next = self.next.wrapping_add(1);
        }
        for index in 0..burst.frames.len() {
            let mut frame = burst.frames[index];
            if frame.fault.is_none() {
                read_header(burst, &mut frame);
                burst.frames[index] = frame;
            }
        }
        Ok(())
    }

    fn give_back(&mut self, regions: &Regions, burst: &Burst<'_>) -> Result<bool, RingError> {
        let view = self.cache.view(regions)?;
        for frame in burst.frames() {
            view.set_used(self.used, frame.id, 0);
            self.used = self.used.wrapping_add(1);
        }
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

    fn looks_untouched(&mut self, regions: &Regions) -> bool {
        self.next == 0 && self.cache.view(regions).is_ok_and(|view| view.untouched())
    }

    fn faulted(&self) -> bool {
        self.cache.faulted()
    }
}
