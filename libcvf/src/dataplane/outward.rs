//! Frames on their way outside: into hardware, or to an uplink.

use super::counters::{Counter, Drop, QueueCounters, Tally};
use super::deliver::Batch;
use super::fabric::Uplink;
use super::lane::{Reach, SendLane};
use super::target::{Failed, Sink, Target, Way};
use crate::limits::MAX_WIRE_MTU;
use crate::offload::FrameMeta;
use crate::ring::{Frames, Payload, Pushed, RingError};
use crate::switch::PortId;

/// A device's way into hardware.
pub(super) struct Outward<'o> {
    pub lane: &'o mut SendLane,
    /// What that reaches of its memory.
    pub reach: &'o Reach,
    /// Bytes that had to be copied.
    pub copied: &'o Counter,
}

impl<'o> Outward<'o> {
    /// The same, for a while.
    pub(super) fn reborrow(&mut self) -> Outward<'_> {
        Outward {
            lane: self.lane,
            reach: self.reach,
            copied: self.copied,
        }
    }
}

impl Batch<'_, '_> {
    /// Sends a frame, tagged as it leaves.
    pub(super) fn give_uplink(&mut self, to: PortId, index: usize, uplink: &dyn Uplink) {
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

    /// Queues `frames` for hardware. All frames are pushed one by one: each takes descriptors there.
    pub(super) fn give_lane(
        &mut self,
        to: PortId,
        frames: Frames,
        (outward, counters): (&mut Outward<'_>, &QueueCounters),
    ) {
        let mut tally = Tally::default();
        for index in frames {
            self.full_head(index);
            let Some(frame) = self.burst.frame(index) else {
                continue;
            };
            let (head, tail) = self.burst.parts(index);
            let mut target = Target {
                way: Way {
                    from: self.from,
                    to,
                    snapshot: self.snapshot,
                },
                accepts: outward
                    .lane
                    .accepts_of(&frame.meta.into(), head, head.len() + tail.len()),
                mtu: MAX_WIRE_MTU,
                taps: None,
                tally: &mut tally,
                cut: &mut self.desk.cut,
                sink: &mut LaneSink {
                    lane: outward.lane,
                    reach: outward.reach,
                    copied: outward.copied,
                    index,
                },
            };
            match target.deliver(head, tail, frame.meta.into(), &mut self.desk.edit) {
                Ok(()) => {}
                Err(Failed::Drop(reason)) => counters.drop(reason),
                Err(Failed::Ring(_)) => counters.drop(Drop::Uplink),
            }
        }
        outward.lane.kick();
        tally.record_shared(counters);
    }
}

/// A frame's way into hardware.
struct LaneSink<'t> {
    lane: &'t mut SendLane,
    reach: &'t Reach,
    copied: &'t Counter,
    /// Its place in the burst.
    index: usize,
}

impl Sink for LaneSink<'_> {
    fn put(
        &mut self,
        meta: &FrameMeta,
        head: &[u8],
        tail: Payload<'_>,
    ) -> Result<Pushed, RingError> {
        let (pushed, copied) = self.lane.push(self.index, meta, (head, tail), self.reach);
        self.copied.add(copied as u64);
        Ok(pushed)
    }
}
