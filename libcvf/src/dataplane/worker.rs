//! A worker: one thread that serves the transmit rings of its ports.
//!
//! Rings with work are in its list. One that stays empty for a while is armed (its driver is asked
//! for a doorbell) and leaves the list; with an empty list the worker sleeps on its eventfd. Rings
//! whose doorbells never come stay in the list as long as they are enabled.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Instant;

use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::time::TimeSpec;
use parking_lot::Mutex;
use std::os::fd::AsFd;
use std::thread::JoinHandle;

use super::fabric::Fabric;
use super::port::Port;
use super::scratch::Scratch;
use super::serve::{Active, round};
use crate::limits::LONGEST_SLEEP;
use crate::ring::BurstBuffers;

/// Turns of the loop for which the fabric is borrowed: it can end at their end.
const BORROW: u64 = 64;
/// Turns of the loop for which one look at the clock does, and rings in the list up to which it does:
/// a turn over more takes long by itself.
const TICK: u64 = 32;
const FEW: usize = 8;

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
        self.inbox.lock().push(Active::new(port, queue));
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
