//! A port's way out: frames on their way into a transmit queue of hardware.

use std::collections::VecDeque;

use arrayvec::ArrayVec;

use super::{Ask, HardwareSend, Piece, Reach, Slots};
use crate::limits::MAX_LANE_PIECES;
use crate::mem::ReadSlice;
use crate::offload::{Accepts, Csum, FrameMeta, Gso, Headers};
use crate::ring::{Frames, Payload, Pushed, Token};

/// Bytes of the shortest frame that any hardware takes (82576, 7.2.2.2); it pads what is below 60 itself.
const SHORTEST: usize = 17;
/// Bytes of the smallest page that an IOMMU maps.
const PAGE: u64 = 4096;

/// A frame that hardware has not sent yet.
#[derive(Clone, Copy, Debug)]
struct Flight {
    /// Slots that it takes.
    slots: u16,
    /// What of its sender's is read until then.
    lent: Lent,
}

/// What of a frame's sender hardware reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lent {
    /// Nothing.
    Nothing,
    /// This frame of the burst in hand.
    Index(usize),
    /// What its driver gets back afterwards.
    Token(Token),
}

/// A transmit queue of hardware, and what is under way there. Under its transmit queue's lock.
pub struct SendLane {
    queue: Box<dyn HardwareSend>,
    slots: Slots,
    /// The slot that comes next, and how many from there on are free.
    next: u32,
    free: u32,
    flights: VecDeque<Flight>,
    /// Of these, of the burst in hand.
    fresh: usize,
    /// Of these, those with something of their sender's that its driver gets back.
    lent: usize,
    /// What hardware has sent and its driver gets back.
    sent: Vec<Token>,
    /// Something was queued since the last kick.
    queued: bool,
    /// It is full, and hardware sends nothing.
    stalled: bool,
    running: bool,
}

impl SendLane {
    /// A lane over a queue of hardware and slots for what is copied.
    pub fn new(queue: Box<dyn HardwareSend>, slots: Slots) -> Self {
        Self {
            flights: VecDeque::with_capacity(queue.room()),
            sent: Vec::with_capacity(queue.room()),
            fresh: 0,
            lent: 0,
            next: 0,
            free: slots.count(),
            queue,
            slots,
            queued: false,
            stalled: false,
            running: false,
        }
    }

    /// Offloads that the hardware does.
    pub fn accepts(&self) -> Accepts {
        self.queue.accepts()
    }

    /// What of these it does for a frame like this: hardware finds the checksum's place itself.
    pub(crate) fn accepts_of(&self, meta: &FrameMeta, head: &[u8], total: usize) -> Accepts {
        let Csum::Partial { start, offset } = meta.csum else {
            return self.accepts();
        };
        let usual = Headers::parse(head, total).is_ok_and(|headers| {
            headers.checksum_place() == Some((start, offset)) && headers.end as usize <= head.len()
        });
        if usual {
            self.accepts()
        } else {
            Accepts::default()
        }
    }

    /// Frames that there is room for, whatever they are made of.
    pub fn room(&self) -> usize {
        self.queue.room().min(self.free as usize) / MAX_LANE_PIECES
    }

    /// Hardware reads memory of the sender's, or its driver has to be given something back.
    pub(crate) fn lends(&self) -> bool {
        self.lent > 0 || !self.sent.is_empty()
    }

    /// Hardware sends nothing, and what is for it is lost.
    pub(crate) const fn stalled(&self) -> bool {
        self.stalled
    }

    /// Says so, until it has sent something.
    pub(crate) const fn stall(&mut self) {
        self.stalled = true;
    }

    /// Frames under way.
    #[cfg(test)]
    pub(crate) fn under_way(&self) -> usize {
        self.flights.len()
    }

    /// Takes it into use, if it is not.
    pub fn start(&mut self) {
        if !self.running {
            self.queue.start();
            self.running = true;
        }
    }

    /// Ends it: on return hardware reads nothing any more, and nothing is under way.
    pub fn stop(&mut self) {
        if self.running {
            self.queue.stop();
            self.running = false;
        }
        self.flights.clear();
        self.sent.clear();
        self.free = self.slots.count();
        (self.next, self.fresh, self.lent, self.queued) = (0, 0, 0, false);
        self.stalled = false;
    }

    /// Queues a frame, `head` followed by `tail`: what `reach` does not have is copied. `index` is its place in the
    /// burst. With it comes how many bytes of `tail` were copied.
    pub(crate) fn push(
        &mut self,
        index: usize,
        meta: &FrameMeta,
        (head, mut tail): (&[u8], Payload<'_>),
        reach: &Reach,
    ) -> (Pushed, usize) {
        let Some(ask) = ask(meta, head, head.len() + tail.len()) else {
            return (Pushed::TooSmall, 0);
        };
        if !self.running {
            return (Pushed::NoBuffer, 0);
        }
        let mut writer = SlotWriter::new(&self.slots, self.next, self.free);
        let mut whole = writer.put(head.into());
        if let Some(short) = SHORTEST.checked_sub(head.len() + tail.len()) {
            whole &= tail.pieces().all(|piece| writer.put(piece))
                && writer.put((&[0; SHORTEST][..short]).into());
            tail = Payload::from(&[][..]);
        }
        let mut lent = whole && !tail.is_empty() && !reach.is_empty();
        lent = lent && tail.pieces().all(|piece| writer.lend(piece, reach));
        if whole && !lent {
            writer.forget_lent();
        }
        let fits = whole && (lent || tail.pieces().all(|piece| writer.put(piece)));
        let SlotWriter { taken, pieces, .. } = writer;
        if !fits || self.queue.room() < pieces.len() + 1 {
            return (Pushed::NoBuffer, 0);
        }
        self.queue.put(&pieces, &ask);
        self.next = (self.next + taken) % self.slots.count().max(1);
        self.free -= taken;
        let lent = if lent {
            Lent::Index(index)
        } else {
            Lent::Nothing
        };
        self.flights.push_back(Flight {
            slots: taken as u16,
            lent,
        });
        self.fresh += 1;
        self.queued = true;
        let copied = if lent == Lent::Nothing { tail.len() } else { 0 };
        (Pushed::Done, copied)
    }

    /// Queues a frame of which all is copied.
    #[cfg(test)]
    pub(crate) fn push_copied(
        &mut self,
        meta: &FrameMeta,
        head: &[u8],
        tail: Payload<'_>,
    ) -> Pushed {
        let (pushed, copied) = self.push(0, meta, (head, tail), &Reach::default());
        assert_eq!(
            copied,
            if pushed == Pushed::Done {
                tail.len()
            } else {
                0
            }
        );
        self.settle(|_| None);
        pushed
    }

    /// Ends a burst: the frames of it that hardware still reads, each with what its driver gets back afterwards.
    pub(crate) fn settle(&mut self, token: impl Fn(usize) -> Option<Token>) -> Frames {
        let mut kept = Frames::default();
        let first = self.flights.len() - self.fresh.min(self.flights.len());
        for flight in self.flights.range_mut(first..).rev() {
            if let Lent::Index(index) = flight.lent {
                // One that was cut goes out in several: its driver gets it back once, with the last.
                let last = !kept.has(index);
                let token = token(index).filter(|_| last);
                self.lent += usize::from(token.is_some());
                flight.lent = token.map_or(Lent::Nothing, Lent::Token);
                kept.add(Frames::one(index));
            }
        }
        self.fresh = 0;
        kept
    }

    /// Shows hardware what was queued.
    pub fn kick(&mut self) {
        if std::mem::take(&mut self.queued) {
            self.queue.kick();
        }
    }

    /// Takes back what hardware has sent; how many frames.
    pub fn reap(&mut self) -> usize {
        let done = self.queue.reap().min(self.flights.len());
        self.stalled &= done == 0;
        for flight in self.flights.drain(..done) {
            self.free += u32::from(flight.slots);
            if let Lent::Token(token) = flight.lent {
                self.lent -= 1;
                self.sent.push(token);
            }
        }
        done
    }

    /// What was sent and its driver gets back.
    pub(crate) fn sent(&self) -> &[Token] {
        &self.sent
    }

    /// It has got it.
    pub(crate) fn forget_sent(&mut self) {
        self.sent.clear();
    }
}

/// What hardware is asked to do to a frame; `None` where it cannot be said.
fn ask(meta: &FrameMeta, head: &[u8], total: usize) -> Option<Ask> {
    if meta.gso == Gso::None && !matches!(meta.csum, Csum::Partial { .. }) {
        return Some(Ask::Nothing);
    }
    let headers = Headers::parse(head, total).ok()?;
    Some(match meta.gso {
        Gso::None => Ask::Checksum(headers),
        _ => Ask::Cut(headers, meta.gso_size),
    })
}

/// Collects the pieces of a frame: copies into slots, one behind the other, and memory of its sender's.
struct SlotWriter<'s> {
    slots: &'s Slots,
    first: u32,
    free: u32,
    /// Slots begun.
    taken: u32,
    /// Bytes in the last of them.
    filled: u32,
    /// Pieces that are slots, before any others.
    own: usize,
    pieces: ArrayVec<Piece, MAX_LANE_PIECES>,
}

impl<'s> SlotWriter<'s> {
    fn new(slots: &'s Slots, first: u32, free: u32) -> Self {
        Self {
            slots,
            first,
            free,
            taken: 0,
            filled: 0,
            own: 0,
            pieces: ArrayVec::new(),
        }
    }

    /// Copies `from`; false when slots or pieces are too few.
    fn put(&mut self, mut from: ReadSlice<'_>) -> bool {
        while !from.is_empty() {
            if self.taken == 0 || self.filled == self.slots.size() {
                // One is left for what is asked.
                if self.taken == self.free || self.pieces.len() + 1 >= MAX_LANE_PIECES {
                    return false;
                }
                let iova = self.slots.iova(self.first + self.taken);
                self.pieces.push(Piece { iova, len: 0 });
                (self.taken, self.filled) = (self.taken + 1, 0);
                self.own += 1;
            }
            let slot = self.slots.write(self.first + self.taken - 1);
            let done = from.copy_to(slot.skip(self.filled as usize));
            if done == 0 {
                return false;
            }
            self.filled += done as u32;
            if let Some(piece) = self.pieces.last_mut() {
                piece.len = self.filled;
            }
            from = from.skip(done);
        }
        true
    }

    /// Names memory of the sender's; false where it is not within reach, or in too many pieces. No piece crosses a
    /// page: QEMU's models send nothing of a frame whose piece lies in two pages that are not neighbours in memory.
    fn lend(&mut self, from: ReadSlice<'_>, reach: &Reach) -> bool {
        let mut left = from.len() as u64;
        let Some(mut iova) = reach.find(from.address(), left, false) else {
            return false;
        };
        while left > 0 {
            if self.pieces.len() + 1 >= MAX_LANE_PIECES {
                return false;
            }
            let len = left.min(PAGE - iova % PAGE);
            self.pieces.push(Piece {
                iova,
                len: len as u32,
            });
            (iova, left) = (iova + len, left - len);
        }
        true
    }

    /// Leaves memory of the sender's out again.
    fn forget_lent(&mut self) {
        self.pieces.truncate(self.own);
    }
}
