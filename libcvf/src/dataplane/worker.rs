//! A worker: one thread that serves the transmit rings of its ports.
//!
//! Rings with work are in its list. One that stays empty for a while is armed (its driver is asked
//! for a doorbell) and leaves the list; with an empty list the worker sleeps on its eventfd. Rings
//! whose doorbells never come stay in the list as long as they are enabled.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::time::TimeSpec;
use parking_lot::Mutex;
use std::os::fd::AsFd;
use std::thread::JoinHandle;

use super::coalesce::Side;
use super::fabric::Fabric;
use super::port::Port;
use super::scratch::Scratch;
use crate::limits::LONGEST_SLEEP;
use crate::mem::fault_count;
use crate::ring::{BurstBuffers, RingError};

/// How long an empty ring is polled before it is armed.
const SPIN: Duration = Duration::from_micros(20);
/// Turns of the loop for which the fabric is borrowed: it can end at their end.
const BORROW: u64 = 64;
/// Turns of the loop for which one look at the clock does, and rings in the list up to which it does:
/// a turn over more takes long by itself.
const TICK: u64 = 32;
const FEW: usize = 8;

/// A transmit queue in the worker's list.
struct Active {
    port: Arc<Port>,
    queue: u16,
    empty_since: Option<Instant>,
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

/// The shared side of a worker.
pub(super) struct Worker {
    inbox: Mutex<Vec<Active>>,
    /// Something was put into the inbox; tells without its lock.
    mail: AtomicBool,
    asleep: AtomicBool,
    stopping: AtomicBool,
    /// Turns of the loop, written by the thread alone: stands still while it sleeps.
    turns: AtomicU64,
    wake: EventFd,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Worker {
    pub(super) fn new() -> std::io::Result<Arc<Self>> {
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        Ok(Arc::new(Self {
            inbox: Mutex::new(Vec::new()),
            mail: AtomicBool::new(false),
            asleep: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            turns: AtomicU64::new(0),
            wake: EventFd::from_value_and_flags(0, flags)?,
            thread: Mutex::new(None),
        }))
    }

    pub(super) fn start(self: &Arc<Self>, name: &str, fabric: Weak<Fabric>) -> std::io::Result<()> {
        let worker = Arc::clone(self);
        let run = move || Loop::new(worker, fabric).run();
        let thread = std::thread::Builder::new().name(name.into()).spawn(run)?;
        *self.thread.lock() = Some(thread);
        Ok(())
    }

    /// Ends the thread and waits for it, unless it is the caller.
    pub(super) fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        let _ = self.wake.write(1);
        let thread = self.thread.lock().take();
        if let Some(thread) = thread
            && thread.thread().id() != std::thread::current().id()
        {
            let _ = thread.join();
        }
    }

    /// Turns of its loop so far, if it sleeps and nothing waits for it.
    pub(super) fn asleep(&self) -> Option<u64> {
        let asleep = self.asleep.load(Ordering::SeqCst) && self.inbox.lock().is_empty();
        asleep.then(|| self.turns.load(Ordering::Relaxed))
    }

    pub(super) fn schedule(&self, port: &Arc<Port>, queue: u16) {
        let Some(state) = port.transmit.get(usize::from(queue)) else {
            return;
        };
        if state.scheduled.swap(true, Ordering::SeqCst) {
            return;
        }
        self.inbox.lock().push(Active {
            port: Arc::clone(port),
            queue,
            empty_since: None,
        });
        self.mail.store(true, Ordering::Release);
        if self.asleep.swap(false, Ordering::SeqCst) {
            let _ = self.wake.write(1);
        }
    }

    /// Takes what was scheduled.
    #[inline]
    fn collect(&self, list: &mut Vec<Active>) {
        if self.mail.load(Ordering::Relaxed) {
            // What comes behind the lock raises the flag again.
            self.mail.store(false, Ordering::Relaxed);
            list.append(&mut self.inbox.lock());
        }
    }
}

/// The thread's side.
struct Loop {
    worker: Arc<Worker>,
    fabric: Weak<Fabric>,
    list: Vec<Active>,
    buffers: BurstBuffers,
    scratch: Scratch,
}

impl Loop {
    fn new(worker: Arc<Worker>, fabric: Weak<Fabric>) -> Self {
        Self {
            worker,
            fabric,
            list: Vec::new(),
            buffers: BurstBuffers::default(),
            scratch: Scratch::default(),
        }
    }

    fn run(mut self) {
        let mut borrowed = None;
        for turn in 1.. {
            if self.worker.stopping.load(Ordering::Relaxed) {
                return;
            }
            self.worker.turns.store(turn, Ordering::Relaxed);
            self.worker.collect(&mut self.list);
            if self.list.is_empty() {
                borrowed = None;
                self.scratch.rest();
                self.sleep();
                let now = Instant::now();
                // Its clock stood still while nobody looked.
                if let Some(fabric) = self.fabric.upgrade() {
                    fabric.tick(now);
                }
                self.scratch.held.expire(now);
                continue;
            }
            // The fabric is only borrowed while there is work, so that dropping it ends us.
            if turn % BORROW == 0 {
                borrowed = None;
            }
            let fabric = match &borrowed {
                Some(fabric) => fabric,
                None => match self.fabric.upgrade() {
                    Some(fabric) => borrowed.insert(fabric),
                    None => return,
                },
            };
            fabric.release(&mut self.scratch.view);
            let looks =
                turn % TICK == 0 || self.list.len() > FEW || self.scratch.held.next().is_some();
            let clock = looks.then(Instant::now);
            if let Some(now) = clock {
                fabric.tick(now);
                self.scratch.held.expire(now);
            }
            let mut index = 0;
            while index < self.list.len() {
                if round(
                    &mut self.list[index],
                    clock,
                    fabric,
                    &mut self.buffers,
                    &mut self.scratch,
                ) {
                    index += 1;
                } else {
                    self.list.swap_remove(index);
                }
            }
        }
    }

    fn sleep(&self) {
        self.worker.asleep.store(true, Ordering::SeqCst);
        if self.worker.inbox.lock().is_empty() && !self.worker.stopping.load(Ordering::SeqCst) {
            let mut fds = [PollFd::new(self.worker.wake.as_fd(), PollFlags::POLLIN)];
            let held = self.scratch.held.patience();
            let patience = held.map_or(LONGEST_SLEEP, |held| held.min(LONGEST_SLEEP));
            let _ = ppoll(&mut fds, Some(TimeSpec::from_duration(patience)), None);
            let _ = self.worker.wake.read();
        }
        self.worker.asleep.store(false, Ordering::SeqCst);
    }
}

/// Serves one queue of the list; false when it leaves the list. `clock`: the time, in turns that look.
fn round(
    entry: &mut Active,
    clock: Option<Instant>,
    fabric: &Fabric,
    buffers: &mut BurstBuffers,
    scratch: &mut Scratch,
) -> bool {
    match serve(&entry.port, entry.queue, fabric, buffers, scratch) {
        Served::Some => {
            entry.empty_since = None;
            true
        }
        Served::Nothing if entry.port.polled => true,
        Served::Nothing => {
            // Between two looks at the clock nothing is known of how long.
            let Some(now) = clock else { return true };
            let since = *entry.empty_since.get_or_insert(now);
            now.duration_since(since) < SPIN || !release(&entry.port, entry.queue)
        }
        Served::Gone => {
            let queue = &entry.port.transmit[usize::from(entry.queue)];
            queue.scheduled.store(false, Ordering::SeqCst);
            // A ring that was put in place just now found us still scheduled: look once more.
            let back = queue.state.lock().ring.is_some() && !entry.port.stopped();
            if back && !entry.away() {
                return !queue.scheduled.swap(true, Ordering::SeqCst);
            }
            false
        }
    }
}

impl Active {
    /// True while the ring's memory is not mapped; whoever maps it schedules the queue again.
    fn away(&self) -> bool {
        let mut guard = self.port.transmit[usize::from(self.queue)].state.lock();
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
    // A doorbell from here on finds the flag cleared or, if it came before, left work behind that
    // the second look sees.
    queue.scheduled.store(false, Ordering::SeqCst);
    let work = !matches!(ring.arm(regions), Ok(false));
    !work || queue.scheduled.swap(true, Ordering::SeqCst)
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
    let state = &mut *guard;
    let Some(ring) = state.ring.as_mut().filter(|_| !port.stopped()) else {
        return Served::Gone;
    };
    let regions = port.memory.keep(&mut state.memory);
    let mut burst = buffers.lend();
    let taken = if ring.has_work(regions) {
        ring.take(regions, &mut burst)
    } else {
        Ok(())
    };
    if taken.is_ok() && burst.frames().is_empty() {
        if !state.suppressed {
            ring.suppress(regions);
            state.suppressed = true;
        }
        let truncated = port.truncated(faults, regions, || ring.faulted());
        return if truncated {
            Served::Gone
        } else {
            Served::Nothing
        };
    }
    let done = taken.and_then(|()| {
        ring.suppress(regions);
        state.suppressed = true;
        let route = &mut state.route;
        fabric.forward(port.id(), &mut burst, &queue.counters, route, scratch);
        ring.give_back(regions, &burst)
    });
    if port.truncated(faults, regions, || ring.faulted()) {
        state.ring = None;
        return Served::Gone;
    }
    if let Err(error) = &done
        && !matches!(error, RingError::Away(_))
    {
        state.ring = None;
        port.stop(format!("transmit queue {number}: {error}"));
        return Served::Gone;
    }
    let done = done.map(|wanted| {
        let now = !scratch.held.has_room();
        let frames = burst.frames().len() as u64;
        let decision = queue.coalesce.decide(wanted, frames, now);
        let side = Side::Transmit(number);
        scratch.held.settle(decision, port, side, || ring.hold())
    });
    drop(burst);
    drop(guard);
    match done {
        Ok(true) if port.interrupts.queue(queue.vector.get()) => {
            queue.counters.interrupts.add_shared(1);
            Served::Some
        }
        Ok(_) => Served::Some,
        Err(_) => {
            port.set_away();
            Served::Gone
        }
    }
}
