//! A transmit queue of an AVF driver.

use arrayvec::ArrayVec;

use super::ask::{self, Ask, Offered};
use super::gather::{Gather, Gathered};
use super::layout::tx::{self, cmd};
use super::progress::Progress;
use super::{AvfRing, Tail, advanced};
use crate::limits::{AVF_RING_ALIGN, BURST, MIN_AVF_FRAME};
use crate::mem::{DescriptorCache, PlaceError, RegionHint, Regions};
use crate::ring::{Burst, Frames, RingError, Token, TransmitRing, Unread};

/// Device side of a transmit queue.
#[derive(Debug)]
pub struct AvfTransmit {
    cache: DescriptorCache<{ tx::WORDS }>,
    tail: Tail,
    hint: RegionHint,
    progress: Progress,
    /// Where the driver's descriptors ended within a frame: there is nothing to do until they end elsewhere.
    unfinished: Option<u16>,
    /// The frame that was looked at alone is to be reported.
    lone_reports: bool,
    /// An interrupt that was asked for is held back: nothing in memory says whether the driver has seen what it was for.
    held: bool,
    /// What is asked for odd frames of the burst in hand.
    asks: ArrayVec<(usize, Ask), BURST>,
    offered: Offered,
}

impl AvfTransmit {
    /// A ring at its beginning.
    ///
    /// # Errors
    /// [`PlaceError`], also when it is not reachable in `regions`.
    pub fn new(ring: &AvfRing, regions: &Regions) -> Result<Self, PlaceError> {
        let size = ring.checked_size()?;
        let mut cache = DescriptorCache::new(size, ring.base, AVF_RING_ALIGN)?;
        cache.view(regions)?;
        Ok(Self {
            cache,
            tail: ring.tail.clone(),
            hint: RegionHint::default(),
            progress: Progress::new(size),
            unfinished: None,
            lone_reports: false,
            held: false,
            asks: ArrayVec::new(),
            offered: Offered { uso: ring.uso },
        })
    }

    /// There is something to look at, or to say about the tail.
    #[inline]
    fn finds_work(&mut self) -> bool {
        let progress = &mut self.progress;
        let anew = self.unfinished.is_some();
        progress.waiting(&self.tail, anew).map_or(true, |waiting| {
            let end = advanced(progress.next(), waiting, progress.size());
            waiting > 0 && self.unfinished != Some(end)
        })
    }
}

/// Bytes of the buffer of a descriptor with this second word, if that is the only one of a usual frame.
#[inline]
fn plain(word: u64) -> Option<u32> {
    let len = tx::BUF_SIZE.get(word) as u32;
    (ask::is_plain(word) && len >= MIN_AVF_FRAME).then_some(len)
}

/// True if the driver wants to have a data descriptor reported.
#[inline]
const fn reports(word: u64) -> bool {
    word & tx::CMD.put(cmd::RS) != 0
}

impl TransmitRing for AvfTransmit {
    fn take<'m>(&mut self, regions: &'m Regions, burst: &mut Burst<'m>) -> Result<(), RingError> {
        debug_assert!(burst.is_empty(), "what is in it is not of this ring");
        let view = self.cache.view(regions)?;
        let (size, mut at) = (view.size(), self.progress.next());
        let mut left = self
            .progress
            .waiting(&self.tail, self.unfinished.is_some())?;
        // Everything is asked for before any of it is waited for: first the descriptors, then the
        // lines that the sender's processor wrote last, the first bytes of each frame.
        view.prefetch(at, usize::from(left).min(BURST));
        let mut cursor = regions.readable_cursor(&mut self.hint);
        self.unfinished = None;
        self.asks.clear();
        while left > 0 && burst.row.room() > 0 {
            let index = burst.len();
            let run = usize::from(left.min(size - at)).min(burst.row.room());
            let (mut marks, mut bit) = (0u32, 1u32);
            let look = |word| {
                marks |= if reports(word) { bit } else { 0 };
                bit = bit.wrapping_shl(1);
                plain(word)
            };
            let count = view.plain_reads((at, run), &mut cursor, &mut burst.row, look);
            if count > 0 {
                // The last that was looked at may be none of these.
                let marks = marks & (u32::MAX >> (BURST - count));
                self.progress.reports.add_row(at, marks);
                let ids = burst.room.ids.iter_mut().skip(index).take(count);
                ids.zip(at..).for_each(|(id, at)| *id = at);
                at = advanced(at, count as u16, size);
                left -= count as u16;
            }
            if count == run {
                continue;
            }
            let gather = Gather {
                view,
                regions,
                first: at,
                left,
            };
            let index = burst.len();
            match gather.frame(burst, &mut self.progress.reports)? {
                Gathered::Frame(slots, ask) => {
                    burst.room.ids[index % BURST] = at;
                    if let Some(ask) = ask {
                        self.asks.push((index, ask));
                    }
                    at = advanced(at, slots, size);
                    left -= slots;
                }
                Gathered::Unfinished => {
                    self.unfinished = Some(advanced(at, left, size));
                    break;
                }
                Gathered::Full => break,
            }
        }
        self.progress.take(at);
        burst.read_starts();
        for (index, ask) in self.asks.drain(..) {
            // What it contradicts is the frame's fault, and noted there.
            let _ = burst.edit(index, ask.head_len(), |head, len, rest| {
                ask.apply(head, len, rest, self.offered)
            });
        }
        Ok(())
    }

    fn give_back(
        &mut self,
        regions: &Regions,
        burst: &Burst<'_>,
        kept: Frames,
    ) -> Result<bool, RingError> {
        let view = self.cache.view(regions)?;
        for index in kept {
            if let Some(id) = burst.room.ids[..burst.len()].get(index) {
                self.progress.keep(*id);
            }
        }
        self.progress.close();
        Ok(self.progress.report(view) | std::mem::take(&mut self.held))
    }

    fn token(&self, burst: &Burst<'_>, index: usize) -> Option<Token> {
        let id = burst.room.ids[..burst.len()].get(index)?;
        Some(Token { id: *id, slots: 1 })
    }

    fn complete(&mut self, regions: &Regions, tokens: &[Token]) -> Result<bool, RingError> {
        let view = self.cache.view(regions)?;
        for token in tokens {
            self.progress.let_go(token.id);
        }
        Ok(self.progress.report(view) | std::mem::take(&mut self.held))
    }

    #[inline]
    fn lone<'m>(&mut self, regions: &'m Regions) -> Option<Unread<'m>> {
        if self.progress.waiting(&self.tail, false) != Ok(1) {
            return None;
        }
        let view = self.cache.view(regions).ok()?;
        let at = self.progress.next();
        let word = view.load(at, 1);
        let len = plain(word)?;
        let mut cursor = regions.readable_cursor(&mut self.hint);
        let buffer = cursor.buffer(view.load(at, 0), len)?;
        self.lone_reports = reports(word);
        Some(Unread::new(at, buffer, 0))
    }

    fn give_lone(&mut self, regions: &Regions, unread: &Unread<'_>) -> Result<bool, RingError> {
        let view = self.cache.view(regions)?;
        if self.lone_reports {
            self.progress.reports.add(unread.id);
        }
        let next = advanced(self.progress.next(), 1, view.size());
        self.progress.take(next);
        self.progress.close();
        Ok(self.progress.report(view) | std::mem::take(&mut self.held))
    }

    /// A driver tells of every tail, whatever the device would like.
    fn suppress(&mut self, _: &Regions) {}

    fn arm(&mut self, regions: &Regions) -> Result<bool, RingError> {
        self.cache.view(regions)?;
        Ok(self.finds_work())
    }

    fn hold(&mut self) {
        self.held = true;
    }

    fn wants_interrupt(&mut self, _: &Regions) -> Result<bool, RingError> {
        self.held = false;
        Ok(true)
    }

    #[inline]
    fn has_work(&mut self, regions: &Regions) -> bool {
        // What is wrong is said by whoever takes.
        self.finds_work() || self.cache.view(regions).is_err()
    }

    fn looks_untouched(&mut self, regions: &Regions) -> bool {
        self.progress.next() == 0 && self.cache.view(regions).is_ok_and(|view| view.untouched())
    }

    fn faulted(&self) -> bool {
        self.cache.faulted()
    }
}
