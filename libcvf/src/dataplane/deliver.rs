//! From a planned frame into a guest's buffers or an uplink.

use std::ops::Range;
use std::sync::Arc;

use super::counters::{Cut, Drop, QueueCounters, Tally};
use super::fabric::{Endpoint, Fabric, Uplink};
use super::policed::Policed;
use super::port::Port;
use super::queue::{ReceiveQueue, ReceiveState};
use super::receiver::Receiver;
use super::scratch::Desk;
use super::tap;
use super::watch::Taps;
use crate::limits::{BURST, HEADER_COPY, MAX_SEGMENT_HEADERS};
use crate::mem::{Ahead, ReadSlice, Regions, fault_count};
use crate::offload::{
    Accepts, Checksum, Deliver, EthView, FrameMeta, Gso, Headers, Network, SEGMENT_SCRATCH,
    Segmenter, VlanEdit,
};
use crate::ring::{Burst, Frames, Payload, Pushed, ReceiveRing, RingError};
use crate::switch::{PortId, Reason, Snapshot};

/// Bytes of a link header without tag.
const ETHERNET: usize = 14;
/// Most bytes summed in one go.
const SUM_CHUNK: usize = 2048;

/// Bytes of the longest frame that is surely within an MTU: that counts what is behind the link header, and
/// the shortest of those has no tag.
#[inline]
pub(super) const fn longest_within(mtu: u32) -> usize {
    (mtu as usize).saturating_add(ETHERNET)
}

/// How a refusal of the switch is counted.
pub(super) const fn refusal(reason: Reason) -> Drop {
    match reason {
        Reason::SamePort | Reason::Filtered | Reason::NoReceiver => Drop::NoDestination,
        Reason::Spoofed => Drop::Spoofed,
        Reason::TaggedOnAccessPort | Reason::ReservedVlan | Reason::ForeignVlan => Drop::Vlan,
        Reason::UnknownPort | Reason::BadSource | Reason::LinkLocal => Drop::Refused,
    }
}

/// A burst that came in at one port, on its way to others.
pub(super) struct Batch<'s, 'm> {
    pub fabric: &'s Fabric,
    pub from: PortId,
    /// The device that it comes from, if it does.
    pub sender: Option<&'s Port>,
    pub snapshot: &'s Snapshot,
    pub burst: &'s mut Burst<'m>,
    pub desk: &'s mut Desk,
    /// Frames about which nothing is said.
    pub plain: Frames,
    /// Bytes of the longest of those.
    pub longest: usize,
    /// What is delivered now are frames for one port each.
    pub unicast: bool,
    /// All frames go to one port, and where the next one for it will be written is asked for.
    pub looks_ahead: bool,
    /// That, as far as it is known.
    pub ahead: Ahead,
}

/// Why a frame was not pushed.
enum Failed {
    Drop(Drop),
    Ring(RingError),
}

impl From<RingError> for Failed {
    fn from(error: RingError) -> Self {
        Self::Ring(error)
    }
}

impl Batch<'_, '_> {
    /// Delivers `frames` to one destination.
    pub(super) fn deliver(
        &mut self,
        to: PortId,
        frames: Frames,
        endpoint: Option<&Option<Endpoint>>,
    ) {
        match endpoint {
            Some(Some(Endpoint::Device(port))) => self.give_device(to, frames, port),
            Some(Some(Endpoint::Uplink(uplink))) => {
                for index in frames {
                    self.give_uplink(to, index, uplink.as_ref());
                }
            }
            // The port left between the look-up and now.
            _ => {}
        }
    }

    /// Copies as much of a frame's beginning as anybody looks at.
    pub(super) fn full_head(&mut self, index: usize) -> &[u8] {
        let large = self
            .burst
            .frame(index)
            .is_some_and(|frame| frame.meta.is_large());
        let len = if large {
            MAX_SEGMENT_HEADERS
        } else {
            HEADER_COPY
        };
        self.burst.copy_head(index, len)
    }

    fn give_uplink(&mut self, to: PortId, index: usize, uplink: &dyn Uplink) {
        self.full_head(index);
        let Some(frame) = self.burst.frame(index) else {
            return;
        };
        let mut meta = FrameMeta::from(frame.meta);
        let (mut head, tail) = self.burst.parts(index);
        let way = Way {
            from: self.from,
            to,
            snapshot: self.snapshot,
        };
        match way.edited(&mut head, &mut meta, &mut self.desk.edit) {
            Ok(()) => uplink.send(&meta, head, tail),
            Err(reason) => uplink.counters().drop(reason),
        }
    }

    fn give_device(&mut self, to: PortId, mut frames: Frames, port: &Arc<Port>) {
        if port.policed().any(Policed::BEHIND) && port.running() {
            frames = self.within_rate(frames, port);
            if frames.is_empty() {
                return;
            }
        }
        if !port.steers() {
            self.burst.forget_hashes();
            return self.give_queue(to, frames, port, 0);
        }
        let mut queues = [0; BURST];
        let steering = port.steering.load();
        for index in frames {
            // As much of every frame: one that is longer or larger must not go another way.
            let head = self.full_head(index);
            let (queue, hash) = steering.place(&head[..head.len().min(HEADER_COPY)]);
            queues[index] = queue;
            self.burst.set_hash(index, hash);
        }
        drop(steering);
        while let Some(first) = frames.next() {
            let mut mine = Frames::one(first);
            for index in frames.filter(|index| queues[*index] == queues[first]) {
                mine.add(Frames::one(index));
            }
            frames.remove(mine);
            self.give_queue(to, mine, port, queues[first]);
        }
    }

    fn give_queue(&mut self, to: PortId, frames: Frames, port: &Arc<Port>, number: u16) {
        let queue = &port.receive[usize::from(number)];
        let faults = fault_count();
        let mut guard = queue.state.lock();
        let ReceiveState { ring: slot, memory } = &mut *guard;
        let Some(ring) = slot.as_mut().filter(|_| port.running()) else {
            self.lose(frames, Drop::NotReady, (port, &queue.counters));
            return;
        };
        let regions = port.memory.keep(memory);
        let mut usual = self.usual(port.mtu(), frames);
        let mut left = frames;
        let mut tally = Tally::default();
        let mut filled = Ok(false);
        if usual == frames && self.unicast {
            match ring.push_plain(regions, self.burst, frames) {
                Ok((done, bytes)) => {
                    tally.add_all(done.count() as u64, bytes);
                    left.remove(done);
                    if done.is_empty() {
                        // A ring without plain buffers is not asked for every frame.
                        usual = Frames::default();
                    } else if let Some(first) = left.first() {
                        // It stopped at a buffer that is not plain.
                        usual.remove(Frames::one(first));
                    }
                }
                Err(error) => filled = Err(error),
            }
        }
        if !left.is_empty() {
            filled = filled.and_then(|_| {
                let receiver = (port.as_ref(), regions, queue);
                self.fill(ring.as_mut(), receiver, to, (&mut left, usual), &mut tally)
            });
            if filled.is_err() {
                self.lose(left, Drop::NotReady, (port, &queue.counters));
            }
        }
        let receiver = Receiver {
            port,
            number,
            queue,
            regions,
            faults,
        };
        let ahead = self.looks_ahead.then_some(&mut self.ahead);
        let interrupt = receiver.conclude(slot, filled, &tally, self.desk, ahead);
        drop(guard);
        if interrupt {
            port.interrupt(&queue.vector, &queue.counters);
        }
    }

    /// Pushes `frames`, of which some are `usual`, into a ring, as many as it takes, takes them out and
    /// adds them up in `tally`. True: the driver has to post buffers for more to follow.
    ///
    /// # Errors
    /// The ring cannot go on; the frame at which it stopped was counted as dropped, those behind it are
    /// left.
    #[inline(never)]
    fn fill(
        &mut self,
        ring: &mut dyn ReceiveRing,
        (port, regions, queue): (&Port, &Regions, &ReceiveQueue),
        to: PortId,
        (frames, mut usual): (&mut Frames, Frames),
        tally: &mut Tally,
    ) -> Result<bool, RingError> {
        let taps = port.policed().any(Policed::TAPPED).then_some(&port.taps);
        let mut filling = Filling {
            way: Way {
                from: self.from,
                to,
                snapshot: self.snapshot,
            },
            taps,
            accepts: port.accepts(),
            mtu: port.mtu(),
            regions,
            counters: &queue.counters,
            tally,
            unicast: self.unicast,
            starved: false,
        };
        while !frames.is_empty() {
            let run = frames.before(frames.without(usual));
            if !run.is_empty() {
                let (done, bytes) = ring.push_plain(regions, self.burst, run)?;
                filling.count(self.burst, done, bytes);
                frames.remove(done);
                if done.is_empty() {
                    usual = Frames::default();
                }
            }
            if let Some(index) = frames.next() {
                self.push(&mut filling, ring, index)?;
            }
        }
        Ok(filling.starved)
    }

    /// Those of `frames` to which nothing is done on the way.
    #[inline]
    fn usual(&self, mtu: u32, frames: Frames) -> Frames {
        if self.snapshot.edits() {
            return Frames::default();
        }
        let limit = longest_within(mtu);
        let mut usual = frames.and(self.plain);
        if self.longest > limit {
            for index in usual {
                if self
                    .burst
                    .frame(index)
                    .is_none_or(|frame| frame.len() > limit)
                {
                    usual.remove(Frames::one(index));
                }
            }
        }
        usual
    }

    /// Pushes one frame, with whatever has to be done to it.
    ///
    /// # Errors
    /// The ring cannot go on; the frame was counted as dropped, as it is where it is not pushed for
    /// another reason.
    fn push(
        &mut self,
        filling: &mut Filling<'_>,
        ring: &mut dyn ReceiveRing,
        index: usize,
    ) -> Result<(), RingError> {
        self.full_head(index);
        let Some(frame) = self.burst.frame(index) else {
            return Ok(());
        };
        let mut meta = FrameMeta::from(frame.meta);
        meta.hash = self.burst.hash(index);
        let (head, tail) = self.burst.parts(index);
        let lost = |taps: Option<&Taps>, reason| {
            if let Some(taps) = taps {
                taps.show(tap::Way::In, Some(reason), head, tail);
            }
        };
        let mut target = Target {
            ring,
            filling,
            cut: &mut self.desk.cut,
        };
        match target.deliver(head, tail, meta, &mut self.desk.edit) {
            Ok(()) => Ok(()),
            Err(Failed::Drop(reason)) => {
                filling.starved |= reason == Drop::NoBuffer;
                filling.counters.drop(reason);
                lost(filling.taps, reason);
                Ok(())
            }
            Err(Failed::Ring(error)) => {
                filling.counters.drop(Drop::NotReady);
                lost(filling.taps, Drop::NotReady);
                Err(error)
            }
        }
    }
}

/// From port to port.
#[derive(Clone, Copy)]
struct Way<'s> {
    from: PortId,
    to: PortId,
    snapshot: &'s Snapshot,
}

impl Way<'_> {
    /// Applies the VLAN edit on the way from port to port to a copied head.
    fn edited<'h>(
        &self,
        head: &mut &'h [u8],
        meta: &mut FrameMeta,
        scratch: &'h mut [u8; SEGMENT_SCRATCH],
    ) -> Result<(), Drop> {
        if !self.snapshot.edits() {
            return Ok(());
        }
        let view = EthView::parse(head).map_err(|_| Drop::Malformed)?;
        let edit = self.snapshot.egress(self.from, &view, self.to);
        if edit != VlanEdit::Keep {
            let len = head.len();
            scratch[..len].copy_from_slice(head);
            let len = edit
                .apply(&mut scratch[..], len)
                .map_err(|_| Drop::Malformed)?;
            *head = &scratch[..len];
            *meta = edit.shift(*meta);
        }
        Ok(())
    }
}

/// What belongs to a receive ring for the length of a burst.
struct Filling<'t> {
    way: Way<'t>,
    /// Who looks at what arrives.
    taps: Option<&'t Taps>,
    accepts: Accepts,
    mtu: u32,
    regions: &'t Regions,
    counters: &'t QueueCounters,
    tally: &'t mut Tally,
    /// None of the frames is multicast or broadcast.
    unicast: bool,
    /// Its driver has to post buffers for more to follow.
    starved: bool,
}

impl Filling<'_> {
    /// Counts frames of `bytes` bytes in all that were pushed as they are.
    #[inline]
    fn count(&mut self, burst: &Burst<'_>, done: Frames, bytes: u64) {
        if self.unicast {
            self.tally.add_all(done.count() as u64, bytes);
            return;
        }
        for index in done {
            let (head, tail) = burst.parts(index);
            self.tally.add_start(head, head.len() + tail.len());
        }
    }
}

/// A receive ring that is being filled.
struct Target<'t, 'f> {
    ring: &'t mut dyn ReceiveRing,
    filling: &'t mut Filling<'f>,
    cut: &'t mut Cut,
}

/// What is left of a frame's metadata once its offloads are done.
fn plain(meta: &FrameMeta) -> FrameMeta {
    FrameMeta {
        hash: meta.hash,
        ..FrameMeta::default()
    }
}

impl Target<'_, '_> {
    /// Pushes a frame in the form that its receiver takes.
    fn deliver<'h>(
        &mut self,
        mut head: &'h [u8],
        tail: Payload<'_>,
        mut meta: FrameMeta,
        scratch: &'h mut [u8; SEGMENT_SCRATCH],
    ) -> Result<(), Failed> {
        self.filling
            .way
            .edited(&mut head, &mut meta, scratch)
            .map_err(Failed::Drop)?;
        // Only for large UDP does the receiver's word differ by IP version; stacked tags count.
        let v6 = meta.gso == Gso::Udp
            && Headers::parse(head, head.len() + tail.len())
                .is_ok_and(|headers| headers.network == Network::V6);
        match self.filling.accepts.takes(&meta, v6) {
            Deliver::Whole => self.push(&meta, head, tail),
            Deliver::FinishChecksum => {
                let mut copy = [0; SEGMENT_SCRATCH];
                let copy = &mut copy[..head.len()];
                copy.copy_from_slice(head);
                finish_checksum(&meta, copy, tail).map_err(Failed::Drop)?;
                self.push(&plain(&meta), copy, tail)
            }
            Deliver::Segment => segment(self, &meta, head, tail),
        }
    }

    fn push(&mut self, meta: &FrameMeta, head: &[u8], tail: Payload<'_>) -> Result<(), Failed> {
        let len = head.len() + tail.len();
        if len > self.filling.mtu as usize && meta.gso == Gso::None && self.exceeds_mtu(head, len) {
            return Err(Failed::Drop(Drop::ExceedsMtu));
        }
        match self.ring.push(self.filling.regions, meta, head, tail)? {
            Pushed::Done => {}
            Pushed::NoBuffer => return Err(Failed::Drop(Drop::NoBuffer)),
            Pushed::TooSmall => return Err(Failed::Drop(Drop::BufferTooSmall)),
        }
        if let Some(taps) = self.filling.taps {
            taps.show(tap::Way::In, None, head, tail);
        }
        self.filling.tally.add_start(head, len);
        self.filling.tally.add_offloads(len, meta);
        Ok(())
    }

    /// virtio 1.3 5.1.4.1: nothing whose payload is longer than the MTU is passed to the driver,
    /// large-send frames aside. Link header and tags do not count.
    fn exceeds_mtu(&self, head: &[u8], len: usize) -> bool {
        let link = match Headers::parse(head, len) {
            Ok(headers) => usize::from(headers.l3_offset),
            Err(_) => EthView::parse(head).map_or(0, |view| usize::from(view.offset)),
        };
        len - link.min(len) > self.filling.mtu as usize
    }
}

/// Sums bytes that may change underneath: each chunk is copied once, then summed.
fn sum(payload: Payload<'_>, into: &mut Checksum) {
    let mut chunk = [0; SUM_CHUNK];
    for piece in payload.pieces() {
        let mut piece: ReadSlice<'_> = piece;
        while !piece.is_empty() {
            let len = piece.read(&mut chunk);
            into.add(&chunk[..len]);
            piece = piece.skip(len);
        }
    }
}

/// Fills the partial checksum into the copied head.
fn finish_checksum(meta: &FrameMeta, head: &mut [u8], tail: Payload<'_>) -> Result<(), Drop> {
    let fix = meta
        .checksum_fix(head.len() + tail.len())
        .map_err(|_| Drop::BadOffload)?;
    let Some(fix) = fix else { return Ok(()) };
    let mut total = Checksum::new();
    total.add(head.get(fix.start..).unwrap_or_default());
    sum(
        tail.range(fix.start.saturating_sub(head.len())..usize::MAX),
        &mut total,
    );
    let field = head
        .get_mut(fix.at..fix.at + 2)
        .ok_or(Drop::Unsegmentable)?;
    field.copy_from_slice(&total.finish_nonzero().to_be_bytes());
    Ok(())
}

/// Cuts a large-send frame and pushes the pieces, all or as many as there are buffers.
fn segment(
    target: &mut Target<'_, '_>,
    meta: &FrameMeta,
    head: &[u8],
    tail: Payload<'_>,
) -> Result<(), Failed> {
    let unsegmentable = |_| Failed::Drop(Drop::Unsegmentable);
    let total = head.len() + tail.len();
    let mut cutter = Segmenter::new(meta, head, total).map_err(unsegmentable)?;
    let mut scratch = [0; SEGMENT_SCRATCH];
    target.cut.frames += 1;
    target.cut.bytes += total as u64;
    while let Some(segment) = cutter.next_into(&mut scratch) {
        if let Some(checksum) = &segment.checksum {
            let mut covered = Checksum::new();
            let range = checksum.covers.clone();
            covered.add(part(head, &range));
            sum(beyond(head, tail, &range), &mut covered);
            let at = checksum.at;
            scratch[at..at + 2].copy_from_slice(&checksum.finish(covered));
        }
        // Payload that was copied with the head goes behind the new headers.
        let copied = part(head, &segment.payload);
        let mut front = [0; 2 * SEGMENT_SCRATCH];
        let len = segment.header_len + copied.len();
        front[..segment.header_len].copy_from_slice(&scratch[..segment.header_len]);
        front[segment.header_len..len].copy_from_slice(copied);
        let rest = beyond(head, tail, &segment.payload);
        target.cut.segments += 1;
        target.cut.segment_bytes += (len + rest.len()) as u64;
        target.push(&plain(meta), &front[..len], rest)?;
    }
    Ok(())
}

/// Bytes of a frame's range that lie in its copied head.
fn part<'h>(head: &'h [u8], range: &Range<usize>) -> &'h [u8] {
    let end = range.end.min(head.len());
    head.get(range.start..end).unwrap_or_default()
}

/// Bytes of a frame's range that lie behind its copied head.
fn beyond<'p>(head: &[u8], tail: Payload<'p>, range: &Range<usize>) -> Payload<'p> {
    tail.range(range.start.saturating_sub(head.len())..range.end.saturating_sub(head.len()))
}
