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
use std::time::{Duration, Instant};

use super::port::Port;
use crate::control::Coalescing;
use crate::limits::{HELD_RETRY, MAX_COALESCE_FRAMES, MAX_HELD_QUEUES, QUIESCE_DEADLINE};
use crate::mem::{Regions, fault_count};
use crate::ring::RingError;
use crate::sync::atomic::{AtomicU32, AtomicU64, Ordering};

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
    /// When some thread will look at this queue, likewise; 0: none will. One thread's word is enough for
    /// all, so that a queue that is held and released again and again has one timer.
    timer: AtomicU64,
    origin: Instant,
}

impl Default for Coalesce {
    fn default() -> Self {
        Self {
            limits: AtomicU64::new(0),
            set: AtomicU64::new(0),
            frames: AtomicU32::new(0),
            deadline: AtomicU64::new(0),
            timer: AtomicU64::new(0),
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
        let deadline = self.nanos(until);
        self.deadline.store(deadline, Ordering::Relaxed);
        let timer = self.timer.load(Ordering::Relaxed);
        if timer != 0 && timer <= deadline {
            return Decision::Hold;
        }
        self.timer.store(deadline, Ordering::Relaxed);
        Decision::HoldUntil(until)
    }

    /// Never 0.
    fn nanos(&self, at: Instant) -> u64 {
        (at.saturating_duration_since(self.origin).as_nanos() as u64).max(1)
    }

    /// A thread looks that said it would at `timer`. Returns whether something was held back until now,
    /// and when to look again.
    fn expire(&self, now: Instant, timer: u64) -> (bool, Option<Instant>) {
        if self.timer.load(Ordering::Relaxed) != timer {
            // Somebody looks, or has looked, before.
            return (false, None);
        }
        self.timer.store(0, Ordering::Relaxed);
        if self.due(now) {
            return (self.release(), None);
        }
        match self.deadline.load(Ordering::Relaxed) {
            0 => (false, None),
            deadline => {
                self.timer.store(deadline, Ordering::Relaxed);
                let at = self.origin + Duration::from_nanos(deadline);
                (false, Some(at))
            }
        }
    }

    /// The driver set limits.
    #[inline]
    pub(super) fn is_limited(&self) -> bool {
        self.limits.load(Ordering::Relaxed) != 0
    }

    /// Something is held back or may be, or some thread has said that it will look.
    #[inline]
    pub(super) fn is_watched(&self) -> bool {
        self.is_limited() || self.holds() || self.timer.load(Ordering::Relaxed) != 0
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

/// How long a queue's lock is waited for.
#[derive(Clone, Copy)]
pub(super) enum Patience {
    /// Not at all.
    None,
    Until(Instant),
}

impl Patience {
    /// What is to be had in the one way or the other.
    fn take<T>(
        self,
        now: impl FnOnce() -> Option<T>,
        until: impl FnOnce(Instant) -> Option<T>,
    ) -> Option<T> {
        match self {
            Patience::None => now(),
            Patience::Until(deadline) => until(deadline),
        }
    }
}

struct Timer {
    at: Instant,
    /// What the queue knows it by.
    name: u64,
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
    most: usize,
}

impl Default for Held {
    fn default() -> Self {
        Self {
            timers: BinaryHeap::with_capacity(MAX_HELD_QUEUES),
            most: MAX_HELD_QUEUES,
        }
    }
}

impl Held {
    /// Of a thread that watches no deadlines: it leaves to others what is held back.
    pub(super) const fn nothing() -> Self {
        Self {
            timers: BinaryHeap::new(),
            most: 0,
        }
    }

    /// False: see [`Self::nothing`].
    #[inline]
    pub(super) const fn watches(&self) -> bool {
        self.most > 0
    }

    /// True while there is room for one more.
    pub(super) fn has_room(&self) -> bool {
        self.timers.len() < self.most
    }

    /// True when something is due, so that [`Self::expire`] will pass queues.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.next().is_some_and(|next| next <= now)
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
        let name = port.coalesce(side).map_or(0, |queue| queue.nanos(at));
        self.timers.push(Reverse(Timer {
            at,
            name,
            port,
            side,
        }));
    }

    /// When the next decision is due.
    pub fn next(&self) -> Option<Instant> {
        self.timers.peek().map(|Reverse(timer)| timer.at)
    }

    /// Decides what is due. Waits for nobody: a queue that is in use is looked at again a little later.
    pub fn expire(&mut self, now: Instant) {
        while let Some(Reverse(first)) = self.timers.peek()
            && first.at <= now
        {
            let Some(Reverse(mut timer)) = self.timers.pop() else {
                return;
            };
            let mut again = None;
            let looked = timer
                .port
                .release_held(timer.side, Patience::None, |queue| {
                    let (due, next) = queue.expire(now, timer.name);
                    again = next;
                    due
                });
            if !looked {
                timer.at = now + HELD_RETRY;
                self.timers.push(Reverse(timer));
            } else if let Some(at) = again {
                self.keep(at, &timer.port, timer.side);
            }
        }
    }

    /// How long the thread may sleep; `None`: for ever.
    pub fn patience(&self) -> Option<Duration> {
        let next = self.next()?;
        Some(next.saturating_duration_since(Instant::now()))
    }
}

impl std::ops::Drop for Held {
    /// The thread ends; what it holds back goes out now, for nobody else has the deadline.
    fn drop(&mut self) {
        let patience = Patience::Until(Instant::now() + QUIESCE_DEADLINE);
        for Reverse(timer) in self.timers.drain() {
            timer.port.release_held(timer.side, patience, |queue| {
                queue.timer.store(0, Ordering::Relaxed);
                queue.release()
            });
        }
    }
}

impl Port {
    fn coalesce(&self, side: Side) -> Option<&Coalesce> {
        match side {
            Side::Receive(pair) => Some(&self.receive.get(usize::from(pair))?.coalesce),
            Side::Transmit(pair) => Some(&self.transmit.get(usize::from(pair))?.coalesce),
        }
    }

    /// Decides anew about what a queue holds back, if `due` says under its lock that it is time. False
    /// when the lock was not to be had.
    pub(super) fn release_held(
        &self,
        side: Side,
        patience: Patience,
        due: impl FnOnce(&Coalesce) -> bool,
    ) -> bool {
        let interrupt = match side {
            Side::Receive(number) => {
                let Some(queue) = self.receive.get(usize::from(number)) else {
                    return true;
                };
                let lock = &queue.state;
                let state = patience.take(|| lock.try_lock(), |until| lock.try_lock_until(until));
                let Some(mut state) = state else {
                    return false;
                };
                let due = due(&queue.coalesce);
                let (wanted, gone) = match state.ring.as_mut().filter(|_| due) {
                    Some(ring) => self.ask(|r| (ring.wants_interrupt(r), ring.faulted())),
                    None => (false, false),
                };
                if gone {
                    state.ring = None;
                }
                wanted
            }
            Side::Transmit(number) => {
                let Some(queue) = self.transmit.get(usize::from(number)) else {
                    return true;
                };
                let lock = &queue.state;
                let state = patience.take(|| lock.try_lock(), |until| lock.try_lock_until(until));
                let Some(mut state) = state else {
                    return false;
                };
                let due = due(&queue.coalesce);
                let (wanted, gone) = match state.ring.as_mut().filter(|_| due) {
                    Some(ring) => self.ask(|r| (ring.wants_interrupt(r), ring.faulted())),
                    None => (false, false),
                };
                if gone {
                    state.ring = None;
                }
                wanted
            }
        };
        if interrupt {
            self.interrupt(side);
        }
        true
    }

    /// Asks a ring whose lock is held whether its driver waits for an interrupt; a ring whose memory is
    /// away cannot say. The second answer: its memory is gone for good.
    fn ask(&self, ring: impl FnOnce(&Regions) -> (Result<bool, RingError>, bool)) -> (bool, bool) {
        let faults = fault_count();
        let regions = self.memory.load();
        let (wanted, faulted) = ring(&regions);
        let gone = self.truncated(faults, &regions, || faulted);
        (!matches!(wanted, Ok(false)), gone)
    }
}

#[cfg(all(test, loom))]
mod models;
#[cfg(test)]
mod tests;
