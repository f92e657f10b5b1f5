//! Interrupts held back (virtio 1.3 5.1.6.5.9, notifications coalescing).
//!
//! A queue's [`Coalesce`] counts under the queue's lock. The thread that holds an interrupt back keeps
//! a deadline for it in its own [`Held`] list, asks that list how long it may sleep, and decides anew
//! when the time has come. So nobody is woken to hold something back, and no interrupt is held by a
//! thread that sleeps without a deadline.
//!
//! At the deadline the driver's own suppression state is asked again: one that has meanwhile seen the
//! frames on its own is left alone, one that waits is interrupted. Only that makes holding back
//! adaptive, and only within the limits that the driver set: without them, an interrupt that a driver
//! waits for is sent at once, because a driver that sleeps and one that is about to look look the same.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::port::Port;
use crate::control::Coalescing;
use crate::limits::{MAX_COALESCE_FRAMES, MAX_HELD_QUEUES};

/// What to do about an interrupt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// Send it.
    Fire,
    /// Nobody wants one.
    Nothing,
    /// Hold it back; a deadline for it is already kept.
    Hold,
    /// Hold it back until this deadline.
    HoldUntil(Instant),
}

/// What one queue holds back. Limits may change at any time; the rest belongs to the holder of the
/// queue's lock.
#[derive(Debug)]
pub(super) struct Coalesce {
    /// Microseconds in the high half, frames in the low one; 0 where either is 0.
    limits: AtomicU64,
    /// As set.
    set: AtomicU64,
    /// Frames since the first one held back.
    frames: AtomicU32,
    /// Nanoseconds from `origin` to the deadline; 0: nothing is held back.
    deadline: AtomicU64,
    origin: Instant,
}

impl Default for Coalesce {
    fn default() -> Self {
        Self {
            limits: AtomicU64::new(0),
            set: AtomicU64::new(0),
            frames: AtomicU32::new(0),
            deadline: AtomicU64::new(0),
            origin: Instant::now(),
        }
    }
}

impl Coalesce {
    /// Sets the limits; what is held back is the caller's to release.
    pub(super) fn set(&self, to: Coalescing) {
        let word = |usecs: u32, packets: u32| u64::from(usecs) << 32 | u64::from(packets);
        let on = to.max_usecs > 0 && to.max_packets > 0;
        let limits = word(to.max_usecs, to.max_packets.min(MAX_COALESCE_FRAMES));
        self.set
            .store(word(to.max_usecs, to.max_packets), Ordering::Relaxed);
        self.limits
            .store(if on { limits } else { 0 }, Ordering::Relaxed);
    }

    /// The limits as set.
    pub(super) fn get(&self) -> Coalescing {
        let word = self.set.load(Ordering::Relaxed);
        Coalescing {
            max_usecs: (word >> 32) as u32,
            max_packets: word as u32,
        }
    }

    /// Decides after `frames` were made visible: `wanted` is what the driver's suppression state says
    /// of all that was not decided before, `starved` that the driver has to act for more to follow.
    /// With [`Decision::Hold`] and [`Decision::HoldUntil`] the ring has to take its decision back.
    #[inline]
    pub(super) fn decide(&self, wanted: bool, frames: u64, starved: bool) -> Decision {
        let limits = self.limits.load(Ordering::Relaxed);
        let held = self.deadline.load(Ordering::Relaxed);
        if limits == 0 && held == 0 {
            return if wanted {
                Decision::Fire
            } else {
                Decision::Nothing
            };
        }
        self.decide_held(wanted, frames, starved, limits, held)
    }

    #[cold]
    fn decide_held(
        &self,
        wanted: bool,
        frames: u64,
        starved: bool,
        limits: u64,
        held: u64,
    ) -> Decision {
        if !wanted {
            self.release();
            return Decision::Nothing;
        }
        let frames = u64::from(self.frames.load(Ordering::Relaxed)).saturating_add(frames);
        let (usecs, packets) = (limits >> 32, limits & u64::from(u32::MAX));
        let now = Instant::now();
        if starved || frames >= packets || (held != 0 && self.nanos(now) >= held) {
            self.release();
            return Decision::Fire;
        }
        self.frames.store(frames as u32, Ordering::Relaxed);
        if held != 0 {
            return Decision::Hold;
        }
        let until = now + Duration::from_micros(usecs);
        self.deadline
            .store(self.nanos(until).max(1), Ordering::Relaxed);
        Decision::HoldUntil(until)
    }

    fn nanos(&self, at: Instant) -> u64 {
        at.saturating_duration_since(self.origin).as_nanos() as u64
    }

    /// Nothing is held back any more. True if something was.
    pub(super) fn release(&self) -> bool {
        self.frames.store(0, Ordering::Relaxed);
        self.deadline.swap(0, Ordering::Relaxed) != 0
    }

    /// True while something is held back.
    #[inline]
    pub(super) fn holds(&self) -> bool {
        self.deadline.load(Ordering::Relaxed) != 0
    }

    /// True when something is held back and its time has come.
    fn due(&self, now: Instant) -> bool {
        let deadline = self.deadline.load(Ordering::Relaxed);
        deadline != 0 && self.nanos(now) >= deadline
    }
}

/// A queue of a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Receive(u16),
    Transmit(u16),
}

struct Timer {
    at: Instant,
    port: Arc<Port>,
    side: Side,
}

impl PartialEq for Timer {
    fn eq(&self, other: &Self) -> bool {
        self.at == other.at
    }
}

impl Eq for Timer {}

impl PartialOrd for Timer {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Timer {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.at.cmp(&other.at)
    }
}

/// The deadlines of one thread that forwards. Never grows.
pub struct Held {
    timers: BinaryHeap<Reverse<Timer>>,
}

impl Default for Held {
    fn default() -> Self {
        Self {
            timers: BinaryHeap::with_capacity(MAX_HELD_QUEUES),
        }
    }
}

impl Held {
    /// True while there is room for one more.
    pub(super) fn has_room(&self) -> bool {
        self.timers.len() < MAX_HELD_QUEUES
    }

    /// Does what was decided about a queue of `port`. True: the interrupt goes out now; where it is
    /// held back, `hold` has the ring take its decision back.
    #[inline]
    pub(super) fn settle(
        &mut self,
        decision: Decision,
        port: &Arc<Port>,
        side: Side,
        hold: impl FnOnce(),
    ) -> bool {
        match decision {
            Decision::Fire => return true,
            Decision::Nothing => return false,
            Decision::Hold => {}
            Decision::HoldUntil(at) => self.keep(at, port, side),
        }
        hold();
        false
    }

    fn keep(&mut self, at: Instant, port: &Arc<Port>, side: Side) {
        let port = Arc::clone(port);
        self.timers.push(Reverse(Timer { at, port, side }));
    }

    /// When the next decision is due.
    pub fn next(&self) -> Option<Instant> {
        self.timers.peek().map(|Reverse(timer)| timer.at)
    }

    /// Decides what is due. Holds no queue's lock before or after.
    pub fn expire(&mut self, now: Instant) {
        while let Some(Reverse(first)) = self.timers.peek()
            && first.at <= now
        {
            let Some(Reverse(timer)) = self.timers.pop() else {
                return;
            };
            timer.port.release_held(timer.side, Some(now));
        }
    }

    /// How long the thread may sleep; `None`: for ever.
    pub fn patience(&self) -> Option<Duration> {
        let next = self.next()?;
        Some(next.saturating_duration_since(Instant::now()))
    }
}

impl Port {
    /// Decides anew about what a queue holds back; with `now`, only if its time has come. Whoever
    /// else held something back since has a deadline of its own.
    pub(super) fn release_held(&self, side: Side, now: Option<Instant>) {
        let due = |coalesce: &Coalesce| {
            let due = now.is_none_or(|now| coalesce.due(now));
            due && coalesce.release()
        };
        match side {
            Side::Receive(number) => {
                let Some(queue) = self.receive.get(usize::from(number)) else {
                    return;
                };
                let mut state = queue.ring.lock();
                let Some(ring) = state.as_mut().filter(|_| due(&queue.coalesce)) else {
                    return;
                };
                let faults = crate::mem::fault_count();
                let regions = self.memory.load();
                let wanted = ring.wants_interrupt(&regions);
                if self.truncated(faults, &regions, ring.faulted()) {
                    *state = None;
                }
                drop(regions);
                drop(state);
                if !matches!(wanted, Ok(false)) && self.interrupts.queue(queue.vector.get()) {
                    queue.counters.interrupts.add_shared(1);
                }
            }
            Side::Transmit(number) => {
                let Some(queue) = self.transmit.get(usize::from(number)) else {
                    return;
                };
                let mut state = queue.state.lock();
                let Some(ring) = state.ring.as_mut().filter(|_| due(&queue.coalesce)) else {
                    return;
                };
                let faults = crate::mem::fault_count();
                let regions = self.memory.load();
                let wanted = ring.wants_interrupt(&regions);
                if self.truncated(faults, &regions, ring.faulted()) {
                    state.ring = None;
                }
                drop(regions);
                drop(state);
                if !matches!(wanted, Ok(false)) && self.interrupts.queue(queue.vector.get()) {
                    queue.counters.interrupts.add_shared(1);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
