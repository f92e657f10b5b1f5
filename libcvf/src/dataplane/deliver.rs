//! From a planned frame into a guest's buffers or an uplink.

use std::sync::Arc;

use super::counters::{Counter, Drop, QueueCounters, Tally};
use super::fabric::{Endpoint, Fabric};
use super::lane::Reach;
use super::outward::Outward;
use super::policed::Policed;
use super::port::Port;
use super::queue::{ReceiveQueue, ReceiveState};
use super::receiver::Receiver;
use super::scratch::Desk;
use super::tap;
use super::target::{Failed, Sink, Target, Way};
use super::watch::Taps;
use crate::limits::{BURST, HEADER_COPY, MAX_SEGMENT_HEADERS};
use crate::mem::{Ahead, Regions, fault_count};
use crate::offload::{Accepts, FrameMeta};
use crate::ring::{Burst, Frames, Payload, Pushed, ReceiveRing, RingError};
use crate::switch::{PortId, Reason, Snapshot};

/// Bytes of a link header without tag.
const ETHERNET: usize = 14;

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
    /// The sender's way into hardware, if it has one.
    pub lane: Option<Outward<'s>>,
    /// What comes from outside for one device is for nobody else, whatever the switch says.
    pub only: Option<PortId>,
}

impl Batch<'_, '_> {
    /// Delivers `frames` to one destination.
    pub(super) fn deliver(
        &mut self,
        to: PortId,
        frames: Frames,
        endpoint: Option<&Option<Endpoint>>,
    ) {
        if self.only.is_some_and(|only| only != to) {
            return;
        }
        match endpoint {
            Some(Some(Endpoint::Device(port))) => self.give_device(to, frames, port),
            Some(Some(Endpoint::Uplink(uplink))) => {
                if let Some(mut outward) = self.lane.take() {
                    self.give_lane(to, frames, (&mut outward, uplink.counters()));
                    self.lane = Some(outward);
                } else if let Some(queue) = uplink.queue() {
                    let mut lane = queue.lock();
                    let Some(lane) = lane.as_mut() else {
                        for _ in frames {
                            uplink.counters().drop(Drop::Uplink);
                        }
                        return;
                    };
                    lane.reap();
                    let mut outward = Outward {
                        lane,
                        reach: &Reach::default(),
                        copied: &Counter::default(),
                    };
                    self.give_lane(to, frames, (&mut outward, uplink.counters()));
                    lane.settle(|_| None);
                } else {
                    for index in frames {
                        self.give_uplink(to, index, uplink.as_ref());
                    }
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
        let mut room = [0; HEADER_COPY];
        for index in frames {
            // As much of every frame: one that is longer or larger must not go another way.
            let head = match self.burst.look(index, &mut room) {
                Some(head) => head,
                None => self.full_head(index),
            };
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
        receiver.conclude(slot, filled, &tally, self.desk, ahead);
        drop(guard);
        self.desk.due.make_room();
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
            way: filling.way,
            accepts: filling.accepts,
            mtu: filling.mtu,
            taps: filling.taps,
            tally: &mut *filling.tally,
            cut: &mut self.desk.cut,
            sink: &mut RingSink {
                ring,
                regions: filling.regions,
            },
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

/// A receive ring of a guest.
struct RingSink<'t> {
    ring: &'t mut dyn ReceiveRing,
    regions: &'t Regions,
}

impl Sink for RingSink<'_> {
    fn put(
        &mut self,
        meta: &FrameMeta,
        head: &[u8],
        tail: Payload<'_>,
    ) -> Result<Pushed, RingError> {
        self.ring.push(self.regions, meta, head, tail)
    }
}
