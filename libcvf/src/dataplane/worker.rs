//! A worker: one thread that serves the transmit rings of its ports.
//!
//! Rings with work are in its list. One that stays empty for a while is armed (its driver is asked
//! for a doorbell) and leaves the list; with an empty list the worker sleeps on its eventfd. Rings
//! whose doorbells never come stay in the list as long as they are enabled.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::time::TimeSpec;
use parking_lot::Mutex;
use std::os::fd::AsFd;
use std::thread::JoinHandle;

use super::fabric::Fabric;
use super::mailbox::{Bell, Mailbox};
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
    mailbox: Mailbox<Active, EventFd>,
    /// Turns of the loop, written by the thread alone: stands still while it sleeps.
    turns: AtomicU64,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Bell for EventFd {
    fn ring(&self) {
        let _ = self.write(1);
    }

    fn wait(&self, patience: Duration) {
        let mut fds = [PollFd::new(self.as_fd(), PollFlags::POLLIN)];
        let _ = ppoll(&mut fds, Some(TimeSpec::from_duration(patience)), None);
        let _ = self.read();
    }
}

impl Worker {
    pub(super) fn new() -> std::io::Result<Arc<Self>> {
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        Ok(Arc::new(Self {
            mailbox: Mailbox::new(EventFd::from_value_and_flags(0, flags)?),
            turns: AtomicU64::new(0),
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
        self.mailbox.stop();
        let thread = self.thread.lock().take();
        if let Some(thread) = thread
            && thread.thread().id() != std::thread::current().id()
        {
            let _ = thread.join();
        }
    }

    /// Turns of its loop so far, if it sleeps and nothing waits for it.
    pub(super) fn asleep(&self) -> Option<u64> {
        let asleep = self.mailbox.asleep();
        asleep.then(|| self.turns.load(Ordering::Relaxed))
    }

    /// Takes charge of a queue, whose claim the caller has taken.
    pub(super) fn adopt(&self, port: &Arc<Port>, queue: u16) {
        self.mailbox.post(Active::new(port, queue));
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
            if self.worker.mailbox.stopping() {
                return;
            }
            self.worker.turns.store(turn, Ordering::Relaxed);
            self.worker.mailbox.collect(&mut self.list);
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
        let held = &self.scratch.held;
        let patience = || held.patience().unwrap_or(LONGEST_SLEEP).min(LONGEST_SLEEP);
        self.worker.mailbox.sleep(patience);
    }
}
