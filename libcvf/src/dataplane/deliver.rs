//! From a planned frame into a guest's buffers or an uplink.

use std::ops::Range;

use super::counters::{Drop, Tally};
use super::fabric::Endpoint;
use super::port::Port;
use super::scratch::{Incoming, Planned, Scratch};
use crate::mem::{ReadSlice, Regions, fault_count};
use crate::offload::{
    Accepts, Checksum, Deliver, EthView, FrameMeta, Gso, Headers, Network, PackedMac,
    SEGMENT_SCRATCH, Segmenter, VlanEdit,
};
use crate::ring::{Payload, Pushed, ReceiveRing, RingError};
use crate::switch::{PortId, Reason, Snapshot};

/// Most bytes summed in one go.
const SUM_CHUNK: usize = 2048;

/// How a refusal of the switch is counted.
pub(super) const fn refusal(reason: Reason) -> Drop {
    match reason {
        Reason::SamePort | Reason::Filtered | Reason::NoReceiver => Drop::NoDestination,
        _ => Drop::Refused,
    }
}

/// Frames from one port to one other.
pub(super) struct Batch<'s, F> {
    pub from: PortId,
    pub to: PortId,
    pub incoming: &'s F,
    pub snapshot: &'s Snapshot,
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

impl<'a, F: Fn(usize) -> Option<Incoming<'a>>> Batch<'_, F> {
    /// Delivers those frames of `range` that go to this destination, and marks them as done.
    pub(super) fn deliver(
        &self,
        range: Range<usize>,
        endpoint: Option<&Option<Endpoint>>,
        scratch: &mut Scratch,
    ) {
        match endpoint {
            Some(Some(Endpoint::Device(port))) => self.to_device(range, port, scratch),
            Some(Some(Endpoint::Uplink(uplink))) => {
                for index in range {
                    let Some((frame, planned)) = self.take(index, None, scratch) else {
                        continue;
                    };
                    let Scratch { heads, edit, .. } = &mut *scratch;
                    let mut head = &heads[index][..usize::from(planned.head)];
                    let mut meta = planned.meta;
                    let tail = frame.payload.range(head.len()..usize::MAX);
                    match self.edited(&mut head, &mut meta, edit) {
                        Ok(()) => uplink.send(&meta, head, tail),
                        Err(reason) => uplink.counters().drop(reason),
                    }
                }
            }
            // The port left between the look-up and now.
            _ => {
                for index in range {
                    self.take(index, None, scratch);
                }
            }
        }
    }

    /// The frame at `index`, if it is one of this batch; it is marked as done.
    fn take(
        &self,
        index: usize,
        queue: Option<u16>,
        scratch: &mut Scratch,
    ) -> Option<(Incoming<'a>, Planned)> {
        let planned = scratch.plan[index];
        if planned.to != Some(self.to) || queue.is_some_and(|q| q != planned.queue) {
            return None;
        }
        scratch.plan[index].to = None;
        (self.incoming)(index).map(|frame| (frame, planned))
    }

    fn to_device(&self, range: Range<usize>, port: &Port, scratch: &mut Scratch) {
        let pairs = port.active_pairs();
        if pairs > 1 {
            for index in range.clone() {
                let planned = &mut scratch.plan[index];
                if planned.to == Some(self.to) {
                    let head = &scratch.heads[index][..usize::from(planned.head)];
                    planned.queue = super::steer::queue(head, pairs);
                }
            }
        }
        for index in range.clone() {
            let planned = scratch.plan[index];
            if planned.to == Some(self.to) {
                self.to_queue(index..range.end, port, planned.queue, scratch);
            }
        }
    }

    fn to_queue(&self, range: Range<usize>, port: &Port, number: u16, scratch: &mut Scratch) {
        let queue = &port.receive[usize::from(number)];
        let faults = fault_count();
        let mut state = queue.ring.lock();
        let ring = state.as_mut().filter(|_| port.running());
        let Some(ring) = ring else {
            for index in range {
                if self.take(index, Some(number), scratch).is_some() {
                    queue.counters.drop(Drop::NotReady);
                }
            }
            return;
        };
        let regions = port.memory.load();
        ring.expect(&regions, range.len());
        let (accepts, mtu) = (port.accepts(), port.mtu());
        let mut tally = Tally::default();
        let mut failure = None;
        for index in range {
            let Some((frame, planned)) = self.take(index, Some(number), scratch) else {
                continue;
            };
            if failure.is_some() {
                queue.counters.drop(Drop::NotReady);
                continue;
            }
            let Scratch { heads, edit, .. } = &mut *scratch;
            let head = &heads[index][..usize::from(planned.head)];
            let tail = frame.payload.range(head.len()..usize::MAX);
            let mut target = Target {
                ring: ring.as_mut(),
                regions: &regions,
                accepts,
                mtu,
                tally: &mut tally,
            };
            match self.push(&mut target, head, tail, planned.meta, edit) {
                Ok(()) => {}
                Err(Failed::Drop(reason)) => queue.counters.drop(reason),
                Err(Failed::Ring(error)) => failure = Some(error),
            }
        }
        tally.record(&queue.counters);
        let mut interrupt = false;
        if tally.frames() > 0 && failure.is_none() {
            match ring.publish(&regions) {
                Ok(wanted) => interrupt = wanted,
                Err(error) => failure = Some(error),
            }
        }
        match failure {
            // Its memory may come back: frames until then are dropped.
            None | Some(RingError::Away(_)) => {}
            Some(error) => {
                *state = None;
                port.stop(format!("receive queue {number}: {error}"));
            }
        }
        let under_ring = state.as_ref().is_some_and(|ring| ring.faulted());
        if port.truncated(faults, &regions, under_ring) {
            *state = None;
        }
        // Before the lock goes: whoever waits for it may unmap then, which is not for a worker to do.
        drop(regions);
        drop(state);
        if interrupt && port.interrupts.queue(queue.vector.get()) {
            queue.counters.interrupts.add_shared(1);
        }
    }

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

    fn push<'h>(
        &self,
        target: &mut Target<'_>,
        mut head: &'h [u8],
        tail: Payload<'_>,
        mut meta: FrameMeta,
        scratch: &'h mut [u8; SEGMENT_SCRATCH],
    ) -> Result<(), Failed> {
        self.edited(&mut head, &mut meta, scratch)
            .map_err(Failed::Drop)?;
        // Only for large UDP does the receiver's word differ by IP version; stacked tags count.
        let v6 = meta.gso == Gso::Udp
            && Headers::parse(head, head.len() + tail.len())
                .is_ok_and(|headers| headers.network == Network::V6);
        match target.accepts.takes(&meta, v6) {
            Deliver::Whole => target.push(&meta, head, tail),
            Deliver::FinishChecksum => {
                let mut copy = [0; SEGMENT_SCRATCH];
                let copy = &mut copy[..head.len()];
                copy.copy_from_slice(head);
                finish_checksum(&meta, copy, tail).map_err(Failed::Drop)?;
                target.push(&FrameMeta::default(), copy, tail)
            }
            Deliver::Segment => segment(target, &meta, head, tail),
        }
    }
}

/// A receive ring with what belongs to it for the length of a burst.
struct Target<'t> {
    ring: &'t mut dyn ReceiveRing,
    regions: &'t Regions,
    accepts: Accepts,
    mtu: u32,
    tally: &'t mut Tally,
}

impl Target<'_> {
    #[inline]
    fn push(&mut self, meta: &FrameMeta, head: &[u8], tail: Payload<'_>) -> Result<(), Failed> {
        let len = head.len() + tail.len();
        if len > self.mtu as usize && meta.gso == Gso::None && self.exceeds_mtu(head, len) {
            return Err(Failed::Drop(Drop::ExceedsMtu));
        }
        match self.ring.push(self.regions, meta, head, tail)? {
            Pushed::Done => {}
            Pushed::NoBuffer => return Err(Failed::Drop(Drop::NoBuffer)),
            Pushed::TooSmall => return Err(Failed::Drop(Drop::BufferTooSmall)),
        }
        let to = head
            .first_chunk()
            .map_or(PackedMac::ZERO, |to| PackedMac::new(*to));
        self.tally.add(to, len, meta);
        Ok(())
    }
}

impl Target<'_> {
    /// virtio 1.3 5.1.4.1: nothing whose payload is longer than the MTU is passed to the driver,
    /// large-send frames aside. Link header and tags do not count.
    fn exceeds_mtu(&self, head: &[u8], len: usize) -> bool {
        let link = match Headers::parse(head, len) {
            Ok(headers) => usize::from(headers.l3_offset),
            Err(_) => EthView::parse(head).map_or(0, |view| usize::from(view.offset)),
        };
        len - link.min(len) > self.mtu as usize
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
    target: &mut Target<'_>,
    meta: &FrameMeta,
    head: &[u8],
    tail: Payload<'_>,
) -> Result<(), Failed> {
    let unsegmentable = |_| Failed::Drop(Drop::Unsegmentable);
    let total = head.len() + tail.len();
    let mut cutter = Segmenter::new(meta, head, total).map_err(unsegmentable)?;
    let mut scratch = [0; SEGMENT_SCRATCH];
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
        target.push(&FrameMeta::default(), &front[..len], rest)?;
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
