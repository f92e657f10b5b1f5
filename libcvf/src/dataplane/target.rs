//! A frame in the form that its receiver takes: tagged, finished or cut on its way.

use std::ops::Range;

use super::counters::{Cut, Drop, Tally};
use super::tap;
use super::watch::Taps;
use crate::offload::{
    Accepts, Checksum, Csum, Deliver, EthView, FrameMeta, Gso, Headers, Network, SEGMENT_SCRATCH,
    Segmenter, VlanEdit,
};
use crate::ring::{Payload, Pushed, RingError};
use crate::switch::{PortId, Snapshot};

/// Why a frame was not pushed.
pub(super) enum Failed {
    Drop(Drop),
    Ring(RingError),
}

impl From<RingError> for Failed {
    fn from(error: RingError) -> Self {
        Self::Ring(error)
    }
}

/// From port to port.
#[derive(Clone, Copy)]
pub(super) struct Way<'s> {
    pub from: PortId,
    pub to: PortId,
    pub snapshot: &'s Snapshot,
}

impl Way<'_> {
    /// Applies the VLAN edit on the way from port to port to a copied head.
    pub(super) fn edited<'h>(
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

/// Something that takes frames one by one.
pub(super) trait Sink {
    /// Takes a frame, `head` followed by `tail`.
    ///
    /// # Errors
    /// It cannot go on.
    fn put(
        &mut self,
        meta: &FrameMeta,
        head: &[u8],
        tail: Payload<'_>,
    ) -> Result<Pushed, RingError>;
}

/// What frames are given to, in the form that it takes.
pub(super) struct Target<'t> {
    pub way: Way<'t>,
    pub accepts: Accepts,
    pub mtu: u32,
    /// Who looks at what arrives.
    pub taps: Option<&'t Taps>,
    pub tally: &'t mut Tally,
    pub cut: &'t mut Cut,
    pub sink: &'t mut dyn Sink,
}

/// True if a partial checksum is that of the packet that a receiver sees: what is said of its checksum is said of
/// no other.
fn is_outermost(meta: &FrameMeta, head: &[u8], total: usize) -> bool {
    let Csum::Partial { start, offset } = meta.csum else {
        return false;
    };
    Headers::parse(head, total)
        .is_ok_and(|headers| headers.checksum_place() == Some((start, offset)))
}

impl Target<'_> {
    /// Pushes a frame in the form that its receiver takes.
    pub(super) fn deliver<'h>(
        &mut self,
        mut head: &'h [u8],
        tail: Payload<'_>,
        mut meta: FrameMeta,
        scratch: &'h mut [u8; SEGMENT_SCRATCH],
    ) -> Result<(), Failed> {
        self.way
            .edited(&mut head, &mut meta, scratch)
            .map_err(Failed::Drop)?;
        // Only for large UDP does the receiver's word differ by IP version; stacked tags count.
        let v6 = meta.gso == Gso::Udp
            && Headers::parse(head, head.len() + tail.len())
                .is_ok_and(|headers| headers.network == Network::V6);
        match self.accepts.takes(&meta, v6) {
            Deliver::Whole => {
                if meta.csum == Csum::Valid && !self.accepts.hears_valid() {
                    meta.csum = Csum::None;
                }
                self.push(&meta, head, tail)
            }
            Deliver::FinishChecksum => {
                let mut copy = [0; SEGMENT_SCRATCH];
                let copy = &mut copy[..head.len()];
                copy.copy_from_slice(head);
                finish_checksum(&meta, copy, tail).map_err(Failed::Drop)?;
                let right = self.accepts.hears_valid()
                    && is_outermost(&meta, copy, copy.len() + tail.len());
                self.push(&self.done(&meta, right), copy, tail)
            }
            Deliver::Segment => segment(self, &meta, head, tail),
        }
    }

    /// What is left of a frame's metadata once its offloads are done. `right`: its checksum was computed here.
    fn done(&self, meta: &FrameMeta, right: bool) -> FrameMeta {
        FrameMeta {
            csum: if right && self.accepts.hears_valid() {
                Csum::Valid
            } else {
                Csum::None
            },
            hash: meta.hash,
            ..FrameMeta::default()
        }
    }

    fn push(&mut self, meta: &FrameMeta, head: &[u8], tail: Payload<'_>) -> Result<(), Failed> {
        let len = head.len() + tail.len();
        if len > self.mtu as usize && meta.gso == Gso::None && self.exceeds_mtu(head, len) {
            return Err(Failed::Drop(Drop::ExceedsMtu));
        }
        match self.sink.put(meta, head, tail)? {
            Pushed::Done => {}
            Pushed::NoBuffer => return Err(Failed::Drop(Drop::NoBuffer)),
            Pushed::TooSmall => return Err(Failed::Drop(Drop::BufferTooSmall)),
        }
        if let Some(taps) = self.taps {
            taps.show(tap::Way::In, None, head, tail);
        }
        self.tally.add_start(head, len);
        self.tally.add_offloads(len, meta);
        Ok(())
    }

    /// virtio 1.3 5.1.4.1: nothing whose payload is longer than the MTU is passed to the driver,
    /// large-send frames aside. Link header and tags do not count.
    fn exceeds_mtu(&self, head: &[u8], len: usize) -> bool {
        let link = EthView::parse(head).map_or(0, |view| view.link_len());
        len - link.min(len) > self.mtu as usize
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
    let rest = tail.range(fix.start.saturating_sub(head.len())..usize::MAX);
    rest.each_chunk(|bytes| total.add(bytes));
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
    target.cut.frames += 1;
    target.cut.bytes += total as u64;
    while let Some(segment) = cutter.next_into(&mut scratch) {
        if let Some(checksum) = &segment.checksum {
            let mut covered = Checksum::new();
            let range = checksum.covers.clone();
            covered.add(part(head, &range));
            beyond(head, tail, &range).each_chunk(|bytes| covered.add(bytes));
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
        // Of fragments, the first has the checksum of all of them, and none is hashed by its ports.
        let done = match meta.gso {
            Gso::Ufo => FrameMeta::default(),
            _ => target.done(meta, true),
        };
        target.push(&done, &front[..len], rest)?;
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
