//! A worker's turn at one transmit queue: a burst, or a look at an empty ring, or its end.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::coalesce::Side;
use super::fabric::Fabric;
use super::inward;
use super::lane::SendLane;
use super::outward::Outward;
use super::port::Port;
use super::queue::{TransmitQueue, TransmitState};
use super::scratch::Scratch;
use crate::limits::BURST;
use crate::mem::{Regions, fault_count};
use crate::ring::{BurstBuffers, Frames, RingError, TransmitRing};
use crate::sync::atomic::AtomicU16;

/// How long an empty ring is polled before it is armed.
const SPIN: Duration = Duration::from_micros(20);

/// What of a port a worker serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Work {
    /// A transmit queue.
    Transmit(u16),
    /// What hardware has filled for a lane.
    Lane(u16),
}

/// Something in the worker's list.
pub(super) struct Active {
    port: Arc<Port>,
    work: Work,
    empty_since: Option<Instant>,
    /// Time that its turns have taken, of those that were measured.
    cost: Duration,
}

/// What a turn at a queue came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Frames were taken.
    Busy,
    /// There were none.
    Idle,
    /// The queue leaves the list.
    Over,
}

/// What serving a queue came to.
pub(super) enum Served {
    /// Frames were taken.
    Some,
    /// None were there.
    Nothing,
    /// There is no room where they might have to go, until hardware has sent some.
    Waiting,
    /// None were there, and hardware has not sent all that it was given.
    Sending,
    /// There is no ring (any more), or its memory is away.
    Gone,
}

/// Serves one queue of the list. `clock`: the time, in turns that look.
pub(super) fn round(
    entry: &mut Active,
    clock: Option<Instant>,
    fabric: &Fabric,
    buffers: &mut BurstBuffers,
    scratch: &mut Scratch,
) -> Turn {
    let served = match entry.work {
        Work::Transmit(queue) => serve(&entry.port, queue, fabric, buffers, scratch),
        Work::Lane(lane) => inward::serve(&entry.port, lane, fabric, buffers, scratch),
    };
    let stays = match served {
        Served::Some => {
            entry.empty_since = None;
            return Turn::Busy;
        }
        Served::Nothing | Served::Sending | Served::Waiting if entry.port.polled => true,
        Served::Nothing | Served::Sending | Served::Waiting => {
            // Between two looks at the clock nothing is known of how long.
            let Some(now) = clock else {
                return Turn::Idle;
            };
            let since = *entry.empty_since.get_or_insert(now);
            now.duration_since(since) < SPIN || !entry.release()
        }
        Served::Gone => !entry.end(),
    };
    if stays { Turn::Idle } else { Turn::Over }
}

impl Active {
    pub(super) fn new(port: &Arc<Port>, work: Work) -> Self {
        Self {
            port: Arc::clone(port),
            work,
            empty_since: None,
            cost: Duration::ZERO,
        }
    }

    /// The number of the worker that serves it, where others may change it. There is one: entries are made for
    /// what is.
    #[inline]
    fn home_cell(&self) -> &AtomicU16 {
        match self.work {
            Work::Transmit(queue) => &self.port.transmit[usize::from(queue)].home,
            Work::Lane(lane) => &self.port.lanes()[usize::from(lane)].home,
        }
    }

    /// The worker that should serve it.
    #[inline]
    pub(super) fn home(&self, fabric: &Fabric) -> usize {
        fabric.home(self.home_cell())
    }

    /// Names the worker that should serve it.
    pub(super) fn give_to(&self, worker: usize) {
        self.home_cell().store(worker as u16, Ordering::Relaxed);
    }

    /// Adds the time of a turn that was measured.
    pub(super) fn took(&mut self, time: Duration) {
        self.cost += time;
    }

    /// The time that it took in measured turns since the last call, in nanoseconds.
    pub(super) fn cost(&mut self) -> u64 {
        u64::try_from(std::mem::take(&mut self.cost).as_nanos()).unwrap_or(u64::MAX)
    }

    /// Asks to be told of more and lets go of it. False when there turned out to be work.
    fn release(&self) -> bool {
        match self.work {
            Work::Transmit(queue) => release(&self.port, queue),
            Work::Lane(lane) => inward::release(&self.port, lane),
        }
    }

    /// Lets go of what cannot be served. False when that has changed meanwhile.
    fn end(&self) -> bool {
        match self.work {
            Work::Transmit(queue) => {
                let queue = &self.port.transmit[usize::from(queue)];
                // A ring that was put in place just now found us still here: look once more.
                let back = || queue.state.lock().ring.is_some() && !self.port.stopped();
                queue.claim.leave(|| back() && !away(&self.port, queue))
            }
            Work::Lane(lane) => inward::release(&self.port, lane),
        }
    }
}

/// True while the ring's memory is not mapped; whoever maps it schedules the queue again.
fn away(port: &Port, queue: &TransmitQueue) -> bool {
    let mut guard = queue.state.lock();
    let state = &mut *guard;
    state.suppressed = false;
    let regions = port.memory.keep(&mut state.memory);
    let ring = state.ring.as_mut();
    ring.is_some_and(|ring| ring.arm(regions).is_err())
}

/// Arms a queue and lets it go. False when it turned out to have work.
fn release(port: &Port, number: u16) -> bool {
    let queue = &port.transmit[usize::from(number)];
    let faults = fault_count();
    let mut guard = queue.state.lock();
    let state = &mut *guard;
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

/// Serves one burst of one queue.
fn serve(
    port: &Arc<Port>,
    number: u16,
    fabric: &Fabric,
    buffers: &mut BurstBuffers,
    scratch: &mut Scratch,
) -> Served {
    let queue = &port.transmit[usize::from(number)];
    let faults = fault_count();
    let mut guard = queue.state.lock();
    let TransmitState {
        ring: slot,
        suppressed,
        route,
        memory,
        lane,
        reach,
    } = &mut *guard;
    let Some(ring) = slot.as_mut().filter(|_| !port.stopped()) else {
        return Served::Gone;
    };
    let regions = port.memory.keep(memory);
    if !*suppressed {
        ring.suppress(regions);
        *suppressed = true;
    }
    let (mut outward, mut full, mut sent, mut done) = (None, false, 0, Ok(false));
    if let (Some(send), Some(place)) = (lane.as_deref_mut(), port.lanes().get(usize::from(number)))
    {
        (sent, done) = give_sent(ring.as_mut(), regions, send);
        full = send.room() < BURST && !send.stalled();
        outward = Some(Outward {
            lane: send,
            reach: port.reach().keep(reach),
            copied: &place.copied_out,
        });
        if full && done == Ok(false) && sent == 0 {
            // What it has under way goes out by itself, or is given up when the queue is reset.
            return Served::Waiting;
        }
    }
    // How many were taken, and how many of them are given back at once.
    let (mut taken, mut given) = (0, 0);
    if done.is_ok() && !full && ring.has_work(regions) {
        route.fetch();
        let now = if let Some(lone) = ring.lone(regions)
            && fabric.forward_lone(port, &lone, &queue.counters, route, scratch)
        {
            (taken, given) = (1, 1);
            ring.give_lone(regions, &lone)
        } else {
            let mut burst = buffers.lend();
            ring.take(regions, &mut burst).and_then(|()| {
                taken = burst.len() as u64;
                let way = outward.as_mut().map(Outward::reborrow);
                fabric.forward_from((port, way), &mut burst, &queue.counters, route, scratch);
                let kept = outward.as_mut().map_or(Frames::default(), |outward| {
                    outward.lane.settle(|index| ring.token(&burst, index))
                });
                given = taken - kept.count() as u64;
                ring.give_back(regions, &burst, kept)
            })
        };
        done = done.and_then(|before| now.map(|wanted| wanted || before));
    }
    let under_way = outward.is_some_and(|outward| outward.lane.lends());
    if taken > 0 {
        ring.suppress(regions);
    }
    if taken + sent == 0 && done.is_ok() {
        let truncated = port.truncated(faults, regions, || ring.faulted());
        return match (truncated, under_way) {
            (true, _) => Served::Gone,
            (false, true) => Served::Sending,
            (false, false) => Served::Nothing,
        };
    }
    if port.truncated(faults, regions, || ring.faulted()) {
        *slot = None;
        return Served::Gone;
    }
    if let Err(error) = &done
        && !matches!(error, RingError::Away(_))
    {
        *slot = None;
        port.stop_for_ring(format!("transmit queue {number}: {error}"));
        return Served::Gone;
    }
    let done = done.map(|wanted| {
        let now = !scratch.desk.held.has_room();
        let decision = queue.coalesce.decide(wanted, given + sent, now);
        let side = Side::Transmit(number);
        scratch
            .desk
            .held
            .settle(decision, port, side, || ring.hold())
    });
    drop(guard);
    match done {
        Ok(interrupt) => {
            if interrupt {
                port.interrupt(&queue.vector, &queue.counters);
            }
            Served::Some
        }
        Err(_) => {
            port.set_away();
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
        usize::from(queue) < port.transmit.len()
            && matches!(serve(port, queue, self, buffers, scratch), Served::Some)
    }

    /// The same for one of a port's lanes: what hardware has filled goes to the driver, and buffers are posted.
    pub fn serve_lane(
        &self,
        port: &Arc<Port>,
        lane: u16,
        buffers: &mut BurstBuffers,
        scratch: &mut Scratch,
    ) -> bool {
        matches!(
            inward::serve(port, lane, self, buffers, scratch),
            Served::Some
        )
    }
}
