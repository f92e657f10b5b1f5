//! What is done with one transmit queue, whose state the caller has: a burst, a look at an empty ring, letting it go.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::coalesce::Side;
use super::fabric::Fabric;
use super::forward::Route;
use super::inward;
use super::lane::SendLane;
use super::outward::Outward;
use super::port::Port;
use super::queue::{TransmitQueue, TransmitState};
use super::scratch::Scratch;
use crate::limits::BURST;
use crate::mem::{Regions, fault_count};
use crate::ring::{BurstBuffers, Frames, RingError, TransmitRing};

/// What serving a queue came to.
pub(super) enum Served {
    /// Frames were taken.
    Some,
    /// One was, that was alone.
    Lone,
    /// None were there.
    Nothing,
    /// There is no room where they might have to go, until hardware has sent some.
    Waiting,
    /// None were there, and hardware has not sent all that it was given.
    Sending,
    /// There is no ring (any more), or its memory is away.
    Gone,
    /// What is there was left, for there is nothing to take it with.
    Unusual,
}

/// True while the ring's memory is not mapped; whoever maps it schedules the queue again.
fn away(port: &Port, state: &mut TransmitState) -> bool {
    state.suppressed = false;
    let regions = port.memory.keep(&mut state.memory);
    let ring = state.ring.as_mut();
    ring.is_some_and(|ring| ring.arm(regions).is_err())
}

/// Lets go of a queue that cannot be served. False when that has changed meanwhile.
pub(super) fn end(port: &Port, number: u16, state: &mut TransmitState) -> bool {
    let queue = &port.transmit[usize::from(number)];
    // What was mapped just now, by somebody who found us still here, is seen once the claim is gone.
    queue
        .claim
        .leave(|| state.ring.is_some() && !port.stopped() && !away(port, state))
}

/// Arms a queue and lets it go. False when it turned out to have work.
pub(super) fn release(port: &Port, number: u16, state: &mut TransmitState) -> bool {
    let queue = &port.transmit[usize::from(number)];
    let faults = fault_count();
    state.suppressed = false;
    let regions = port.memory.keep(&mut state.memory);
    // What is gone or turns out to be is served as such in the next round.
    let Some(ring) = state.ring.as_mut() else {
        return false;
    };
    let lane = port.lanes().get(usize::from(number));
    let mut send = state.lane.as_deref_mut();
    if let Some(send) = &mut send
        && send.room() < BURST
        && !send.stalled()
    {
        // Hardware has not sent anything for a while. Frames for other devices do not wait for it: what is for the
        // outside is lost from here on, until it has.
        send.stall();
        return false;
    }
    let armed = matches!(ring.arm(regions), Ok(false));
    if port.truncated(faults, regions, || ring.faulted()) || !armed {
        return false;
    }
    queue.claim.leave(|| {
        let sent = match (lane, send) {
            (Some(lane), Some(send)) if send.lends() => {
                lane.sending.store(true, Ordering::Release);
                lane.line.arm();
                send.reap() > 0
            }
            _ => false,
        };
        sent || !matches!(ring.arm(regions), Ok(false))
    })
}

/// What one turn at a queue is about.
#[derive(Clone, Copy)]
struct Job<'j> {
    port: &'j Arc<Port>,
    queue: &'j TransmitQueue,
    regions: &'j Regions,
    fabric: &'j Fabric,
}

/// What became of the frames of a turn.
#[derive(Default)]
struct Came {
    /// How many were taken.
    taken: u64,
    /// How many are given back now, whenever they were taken.
    given: u64,
    /// Hardware has some that it has not sent.
    under_way: bool,
    /// There are some that were left.
    left: bool,
}

impl Job<'_> {
    /// Takes what is there, forwards it, and gives back what need not be kept. True: the driver wants an interrupt.
    #[inline]
    fn forward(
        self,
        ring: &mut dyn TransmitRing,
        way: Option<&mut Outward<'_>>,
        route: &mut Route,
        buffers: Option<&mut BurstBuffers>,
        scratch: &mut Scratch,
        came: &mut Came,
    ) -> Result<bool, RingError> {
        if let Some(lone) = ring.lone(self.regions)
            && self
                .fabric
                .forward_lone(self.port, &lone, &self.queue.counters, route, scratch)
        {
            came.taken = 1;
            came.given += 1;
            return ring.give_lone(self.regions, &lone);
        }
        let Some(buffers) = buffers else {
            came.left = true;
            return Ok(false);
        };
        self.forward_burst(ring, way, route, buffers, scratch, came)
    }

    fn forward_burst(
        self,
        ring: &mut dyn TransmitRing,
        mut way: Option<&mut Outward<'_>>,
        route: &mut Route,
        buffers: &mut BurstBuffers,
        scratch: &mut Scratch,
        came: &mut Came,
    ) -> Result<bool, RingError> {
        route.fetch();
        let mut burst = buffers.lend();
        ring.take(self.regions, &mut burst)?;
        came.taken = burst.len() as u64;
        let lent = way.as_mut().map(|way| way.reborrow());
        let counters = &self.queue.counters;
        self.fabric
            .forward_from((self.port, lent), &mut burst, counters, route, scratch);
        let kept = way.map_or(Frames::default(), |way| {
            way.lane.settle(|index| ring.token(&burst, index))
        });
        came.given += came.taken - kept.count() as u64;
        ring.give_back(self.regions, &burst, kept)
    }

    /// The same for a queue with a way into hardware, of which that has sent is given back, too. `None`: there is no room
    /// where frames might have to go.
    #[inline(never)]
    fn forward_with_lane(
        self,
        ring: &mut dyn TransmitRing,
        mut outward: Outward<'_>,
        route: &mut Route,
        buffers: Option<&mut BurstBuffers>,
        scratch: &mut Scratch,
        came: &mut Came,
    ) -> Option<Result<bool, RingError>> {
        let (sent, done) = give_sent(ring, self.regions, outward.lane);
        let full = outward.lane.room() < BURST && !outward.lane.stalled();
        if full && done == Ok(false) && sent == 0 {
            // What it has under way goes out by itself, or is given up when the queue is reset.
            return None;
        }
        came.given = sent;
        let done = match done {
            Ok(before) if !full && ring.has_work(self.regions) => self
                .forward(ring, Some(&mut outward), route, buffers, scratch, came)
                .map(|wanted| wanted || before),
            done => done,
        };
        came.under_way = outward.lane.lends();
        Some(done)
    }
}

/// Serves one burst of one queue, whose state that is; without `buffers` a frame that is alone and goes where the one before it
/// went, or nothing. Interrupts are left at the desk.
#[inline]
pub(super) fn serve(
    (port, number): (&Arc<Port>, u16),
    state: &mut TransmitState,
    fabric: &Fabric,
    buffers: Option<&mut BurstBuffers>,
    scratch: &mut Scratch,
) -> Served {
    let queue = &port.transmit[usize::from(number)];
    let faults = fault_count();
    let TransmitState {
        ring: slot,
        suppressed,
        route,
        memory,
        lane,
        reach,
    } = state;
    let Some(ring) = slot.as_mut().filter(|_| !port.stopped()) else {
        return Served::Gone;
    };
    let regions = port.memory.keep(memory);
    let takes_all = buffers.is_some();
    if takes_all && !*suppressed {
        ring.suppress(regions);
        *suppressed = true;
    }
    let job = Job {
        port,
        queue,
        regions,
        fabric,
    };
    let mut came = Came::default();
    let done = if let Some(lane) = lane.as_deref_mut()
        && let Some(place) = port.lanes().get(usize::from(number))
    {
        let outward = Outward {
            lane,
            reach: port.reach().keep(reach),
            copied: &place.copied_out,
        };
        let ring = ring.as_mut();
        match job.forward_with_lane(ring, outward, route, buffers, scratch, &mut came) {
            Some(done) => done,
            None => return Served::Waiting,
        }
    } else if ring.has_work(regions) {
        job.forward(ring.as_mut(), None, route, buffers, scratch, &mut came)
    } else {
        Ok(false)
    };
    if takes_all && came.taken > 0 {
        ring.suppress(regions);
    }
    if came.taken + came.given == 0 && done.is_ok() {
        if port.truncated(faults, regions, || ring.faulted()) {
            return Served::Gone;
        }
        return match came {
            Came { left: true, .. } => Served::Unusual,
            Came {
                under_way: true, ..
            } => Served::Sending,
            _ => Served::Nothing,
        };
    }
    if port.truncated(faults, regions, || ring.faulted()) {
        *slot = None;
        return Served::Gone;
    }
    match done {
        Ok(wanted) => {
            let now = !scratch.desk.held.has_room();
            let decision = queue.coalesce.decide(wanted, came.given, now);
            let (side, held) = (Side::Transmit(number), &mut scratch.desk.held);
            if held.settle(decision, port, side, || ring.hold()) {
                scratch.desk.due.add(port, side);
            }
            match came.taken {
                1 => Served::Lone,
                _ => Served::Some,
            }
        }
        Err(RingError::Away(_)) => {
            port.set_away();
            Served::Gone
        }
        Err(error) => {
            *slot = None;
            port.stop_for_ring(format!("transmit queue {number}: {error}"));
            Served::Gone
        }
    }
}

/// Gives a driver back what hardware has sent: how many frames, and whether it wants an interrupt.
fn give_sent(
    ring: &mut dyn TransmitRing,
    regions: &Regions,
    lane: &mut SendLane,
) -> (u64, Result<bool, RingError>) {
    lane.reap();
    let sent = lane.sent().len() as u64;
    if sent == 0 {
        return (0, Ok(false));
    }
    let done = ring.complete(regions, lane.sent());
    if done.is_ok() {
        lane.forget_sent();
    }
    (sent, done)
}

impl Fabric {
    /// Serves one burst of a transmit queue in the caller's thread, as a worker would; false when there was
    /// nothing to do. For whoever drives the data plane without workers: to count what it does, or to
    /// try it step by step. The queue must not be scheduled meanwhile.
    pub fn serve(
        &self,
        port: &Arc<Port>,
        queue: u16,
        buffers: &mut BurstBuffers,
        scratch: &mut Scratch,
    ) -> bool {
        let Some(found) = port.transmit.get(usize::from(queue)) else {
            return false;
        };
        let mut state = found.state.lock();
        let served = serve((port, queue), &mut state, self, Some(buffers), scratch);
        drop(state);
        scratch.desk.due.fire();
        matches!(served, Served::Some | Served::Lone)
    }

    /// The same for one of a port's lanes: what hardware has filled goes to the driver, and buffers are posted.
    pub fn serve_lane(
        &self,
        port: &Arc<Port>,
        lane: u16,
        buffers: &mut BurstBuffers,
        scratch: &mut Scratch,
    ) -> bool {
        let served = inward::serve(port, lane, self, buffers, scratch);
        scratch.desk.due.fire();
        matches!(served, Served::Some | Served::Lone)
    }
}
