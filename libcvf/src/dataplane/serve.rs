//! A worker's turn at one transmit queue: a burst, or a look at an empty ring, or its end.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::coalesce::Side;
use super::fabric::Fabric;
use super::port::Port;
use super::queue::{TransmitQueue, TransmitState};
use super::scratch::Scratch;
use crate::mem::fault_count;
use crate::ring::{BurstBuffers, RingError};

/// How long an empty ring is polled before it is armed.
const SPIN: Duration = Duration::from_micros(20);

/// A transmit queue in the worker's list.
pub(super) struct Active {
    port: Arc<Port>,
    queue: u16,
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
enum Served {
    /// Frames were taken.
    Some,
    /// None were there.
    Nothing,
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
    let stays = match serve(&entry.port, entry.queue, fabric, buffers, scratch) {
        Served::Some => {
            entry.empty_since = None;
            return Turn::Busy;
        }
        Served::Nothing if entry.port.polled => true,
        Served::Nothing => {
            // Between two looks at the clock nothing is known of how long.
            let Some(now) = clock else {
                return Turn::Idle;
            };
            let since = *entry.empty_since.get_or_insert(now);
            now.duration_since(since) < SPIN || !release(&entry.port, entry.queue)
        }
        Served::Gone => {
            let queue = entry.transmit();
            // A ring that was put in place just now found us still here: look once more.
            let back = || queue.state.lock().ring.is_some() && !entry.port.stopped();
            !queue.claim.leave(|| back() && !entry.away())
        }
    };
    if stays { Turn::Idle } else { Turn::Over }
}

impl Active {
    pub(super) fn new(port: &Arc<Port>, queue: u16) -> Self {
        Self {
            port: Arc::clone(port),
            queue,
            empty_since: None,
            cost: Duration::ZERO,
        }
    }

    /// The queue itself. There is one: entries are made for queues that are.
    #[inline]
    fn transmit(&self) -> &TransmitQueue {
        &self.port.transmit[usize::from(self.queue)]
    }

    /// The worker that should serve it.
    #[inline]
    pub(super) fn home(&self, fabric: &Fabric) -> usize {
        fabric.home(&self.transmit().home)
    }

    /// Names the worker that should serve it.
    pub(super) fn give_to(&self, worker: usize) {
        let home = &self.transmit().home;
        home.store(worker as u16, Ordering::Relaxed);
    }

    /// Adds the time of a turn that was measured.
    pub(super) fn took(&mut self, time: Duration) {
        self.cost += time;
    }

    /// The time that it took in measured turns since the last call, in nanoseconds.
    pub(super) fn cost(&mut self) -> u64 {
        u64::try_from(std::mem::take(&mut self.cost).as_nanos()).unwrap_or(u64::MAX)
    }

    /// True while the ring's memory is not mapped; whoever maps it schedules the queue again.
    fn away(&self) -> bool {
        let mut guard = self.transmit().state.lock();
        let state = &mut *guard;
        state.suppressed = false;
        let regions = self.port.memory.keep(&mut state.memory);
        let ring = state.ring.as_mut();
        ring.is_some_and(|ring| ring.arm(regions).is_err())
    }
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
    let armed = matches!(ring.arm(regions), Ok(false));
    if port.truncated(faults, regions, || ring.faulted()) || !armed {
        return false;
    }
    // A doorbell from here on finds the queue free or, if it came before, left work behind that the
    // second look sees.
    queue
        .claim
        .leave(|| !matches!(ring.arm(regions), Ok(false)))
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
    } = &mut *guard;
    let Some(ring) = slot.as_mut().filter(|_| !port.stopped()) else {
        return Served::Gone;
    };
    let regions = port.memory.keep(memory);
    if !*suppressed {
        ring.suppress(regions);
        *suppressed = true;
    }
    let (frames, done) = if ring.has_work(regions) {
        route.fetch();
        if let Some(lone) = ring.lone(regions)
            && fabric.forward_lone(port, &lone, &queue.counters, route, scratch)
        {
            (1, ring.give_lone(regions, &lone))
        } else {
            let mut burst = buffers.lend();
            let mut frames = 0;
            let done = ring.take(regions, &mut burst).and_then(|()| {
                frames = burst.len() as u64;
                fabric.forward_from(port, &mut burst, &queue.counters, route, scratch);
                ring.give_back(regions, &burst)
            });
            (frames, done)
        }
    } else {
        (0, Ok(false))
    };
    if frames > 0 {
        ring.suppress(regions);
    }
    if frames == 0 && done.is_ok() {
        let truncated = port.truncated(faults, regions, || ring.faulted());
        return if truncated {
            Served::Gone
        } else {
            Served::Nothing
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
        let decision = queue.coalesce.decide(wanted, frames, now);
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
}
