//! A worker's turn at something in its list: a burst, or a look at an empty ring, or its end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::biased::Grip;
use super::fabric::Fabric;
use super::inward;
use super::port::Port;
use super::queue::TransmitState;
use super::scratch::Scratch;
use super::serve::{Served, end, release, serve};
use crate::ring::BurstBuffers;
use crate::sync::atomic::{AtomicU16, Ordering};

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

/// What a worker has in hand, or is given.
pub(super) struct Active {
    port: Arc<Port>,
    work: Work,
    empty_since: Option<Instant>,
    /// Time that its turns have taken, of those that were measured.
    cost: Duration,
}

/// Something in a worker's list, with its grip on the queue.
pub(super) struct Seat {
    pub active: Active,
    grip: Grip<TransmitState>,
    /// Nobody loses by it that the grip is kept from turn to turn.
    keeps: bool,
}

impl From<Active> for Seat {
    fn from(active: Active) -> Self {
        Self {
            active,
            grip: Grip::default(),
            keeps: false,
        }
    }
}

impl Seat {
    /// Lets others have the queue until the next turn.
    #[inline]
    pub(super) fn let_go(&mut self) {
        self.grip.let_go();
    }

    /// Keeps the queue no more from turn to turn.
    pub(super) fn give_up(&mut self) {
        self.keeps = false;
        self.let_go();
    }

    /// Decides whether the queue is kept from turn to turn: where all is `calm`, and no other thread may have
    /// promised to look at an interrupt that is held back, which it does only if nobody has the queue.
    fn settle(&mut self, calm: bool) {
        let watched = match self.active.work {
            Work::Transmit(number) => {
                let queue = &self.active.port.transmit[usize::from(number)];
                queue.coalesce.is_watched()
            }
            Work::Lane(_) => true,
        };
        if calm && !watched {
            self.keeps = true;
        } else {
            self.give_up();
        }
    }
}

/// What a turn at a queue came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Frames were taken.
    Busy,
    /// One was, that was alone.
    Lone,
    /// There were none.
    Idle,
    /// The queue leaves the list.
    Over,
}

/// Serves one queue of the list. `clock`: the time, in turns that look; `calm`: locks may be kept. Interrupts are left at
/// the desk.
#[inline]
pub(super) fn round(
    seat: &mut Seat,
    (clock, calm): (Option<Instant>, bool),
    fabric: &Fabric,
    buffers: &mut BurstBuffers,
    scratch: &mut Scratch,
) -> Turn {
    if clock.is_some() {
        seat.settle(calm);
    }
    let Seat {
        active,
        grip,
        keeps,
    } = seat;
    let port = &active.port;
    let mut passing;
    let mut state = None;
    let served = match active.work {
        Work::Transmit(number) => {
            let queue = &port.transmit[usize::from(number)];
            let found = if *keeps {
                queue.state.hold(grip)
            } else {
                passing = queue.state.pass();
                passing.as_deref_mut()
            };
            // Whoever has it does not take long.
            let Some(found) = found else {
                return Turn::Idle;
            };
            let found = state.insert(found);
            serve((port, number), found, fabric, Some(buffers), scratch)
        }
        Work::Lane(lane) => inward::serve(port, lane, fabric, buffers, scratch),
    };
    let stays = match served {
        Served::Some => {
            active.empty_since = None;
            return Turn::Busy;
        }
        Served::Lone => {
            active.empty_since = None;
            return Turn::Lone;
        }
        Served::Nothing | Served::Sending | Served::Waiting if port.polled => true,
        Served::Nothing | Served::Sending | Served::Waiting => {
            // Between two looks at the clock nothing is known of how long.
            let Some(now) = clock else {
                return Turn::Idle;
            };
            let since = *active.empty_since.get_or_insert(now);
            now.duration_since(since) < SPIN || !active.release(state)
        }
        Served::Gone | Served::Unusual => !active.end(state),
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
    fn release(&self, state: Option<&mut TransmitState>) -> bool {
        match (self.work, state) {
            (Work::Transmit(queue), Some(state)) => release(&self.port, queue, state),
            (Work::Transmit(_), None) => false,
            (Work::Lane(lane), _) => inward::release(&self.port, lane),
        }
    }

    /// Lets go of what cannot be served. False when that has changed meanwhile.
    fn end(&self, state: Option<&mut TransmitState>) -> bool {
        match (self.work, state) {
            (Work::Transmit(queue), Some(state)) => end(&self.port, queue, state),
            (Work::Transmit(_), None) => false,
            (Work::Lane(lane), _) => inward::release(&self.port, lane),
        }
    }
}
