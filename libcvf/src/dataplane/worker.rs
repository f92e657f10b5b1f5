//! A worker: one thread that serves the transmit rings of its ports.
//!
//! Rings with work are in its list. One that stays empty for a while is armed (its driver is asked
//! for a doorbell) and leaves the list; with an empty list the worker sleeps on its eventfd. Rings
//! whose doorbells never come stay in the list as long as they are enabled.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::time::TimeSpec;
use parking_lot::Mutex;
use std::os::fd::AsFd;
use std::thread::JoinHandle;

use super::balance::{Account, choose};
use super::fabric::Fabric;
use super::mailbox::{Bell, Mailbox};
use super::scratch::Scratch;
use super::seat::{Active, Seat, Turn, round};
use crate::limits::{BALANCE_PERIOD, LONGEST_SLEEP};
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
    /// See [`Self::load`].
    load: AtomicU32,
    /// Milliseconds from `origin` to when it last looked at that.
    looked: AtomicU64,
    origin: Instant,
    index: usize,
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
    pub(super) fn new(index: u16) -> std::io::Result<Arc<Self>> {
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        Ok(Arc::new(Self {
            mailbox: Mailbox::new(EventFd::from_value_and_flags(0, flags)?),
            turns: AtomicU64::new(0),
            load: AtomicU32::new(0),
            looked: AtomicU64::new(0),
            origin: Instant::now(),
            index: index.into(),
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

    /// True while it sleeps, as far as one look tells.
    pub(super) fn sleeps(&self) -> bool {
        self.mailbox.sleeps()
    }

    /// Takes charge of a queue, whose claim the caller has taken, or had.
    pub(super) fn adopt(&self, entry: Active) {
        self.mailbox.post(entry);
    }

    fn millis(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.origin).as_millis() as u64
    }

    fn set_load(&self, load: u32, now: Instant) {
        self.load.store(load, Ordering::Relaxed);
        self.looked.store(self.millis(now), Ordering::Relaxed);
    }

    /// The share of its time in which it had something to do, in thousandths, when it last looked; 0 when that
    /// is long ago, for then it sleeps.
    pub(super) fn load(&self, now: Instant) -> u32 {
        let age = self
            .millis(now)
            .saturating_sub(self.looked.load(Ordering::Relaxed));
        if age > 3 * BALANCE_PERIOD.as_millis() as u64 {
            return 0;
        }
        self.load.load(Ordering::Relaxed)
    }
}

/// The thread's side.
struct Loop {
    worker: Arc<Worker>,
    fabric: Weak<Fabric>,
    list: Vec<Seat>,
    /// There are few in the list, and of late no bursts: what is in use is kept from turn to turn.
    calm: bool,
    /// There was a burst since the last look at the clock.
    bursts: bool,
    buffers: BurstBuffers,
    scratch: Scratch,
    account: Account,
}

impl Loop {
    fn new(worker: Arc<Worker>, fabric: Weak<Fabric>) -> Self {
        Self {
            worker,
            fabric,
            list: Vec::new(),
            calm: false,
            bursts: false,
            buffers: BurstBuffers::default(),
            scratch: Scratch::default(),
            account: Account::new(Instant::now()),
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
                let before = Instant::now();
                self.sleep();
                let now = Instant::now();
                self.account.slept(now.saturating_duration_since(before));
                // Its clock stood still while nobody looked.
                if let Some(fabric) = self.fabric.upgrade() {
                    fabric.tick(now);
                }
                self.scratch.desk.held.expire(now);
                continue;
            }
            // The fabric is only borrowed while there is work, so that dropping it ends us.
            if turn % BORROW == 0 {
                // Who ends it waits for its other workers, which may wait for what is kept here.
                if self.calm {
                    let_go(&mut self.list);
                }
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
            let few = self.list.len() <= FEW;
            let looks = turn % TICK == 0 || !few || self.scratch.desk.held.next().is_some();
            let clock = looks.then(Instant::now);
            if let Some(now) = clock {
                let calm = few && !std::mem::take(&mut self.bursts);
                if self.calm && !calm {
                    give_up(&mut self.list);
                }
                self.calm = calm;
                fabric.tick(now);
                if self.scratch.desk.held.is_due(now) {
                    if self.calm {
                        let_go(&mut self.list);
                    }
                    self.scratch.desk.held.expire(now);
                }
                if let Some(load) = self.account.end(now) {
                    balance(&self.worker, &mut self.list, load, now, fabric);
                }
            }
            let (mut index, mut busy) = (0, false);
            while index < self.list.len() {
                let seat = &mut self.list[index];
                let home = seat.active.home(fabric);
                if home != self.worker.index {
                    let mut leaves = self.list.swap_remove(index);
                    leaves.let_go();
                    fabric.workers()[home].adopt(leaves.active);
                    continue;
                }
                let began = (turn % TICK == 0).then(Instant::now);
                let how = (clock, self.calm);
                let came_to = round(seat, how, fabric, &mut self.buffers, &mut self.scratch);
                if came_to == Turn::Busy && !self.bursts {
                    self.bursts = true;
                    if std::mem::take(&mut self.calm) {
                        give_up(&mut self.list);
                    }
                }
                if !self.scratch.desk.due.is_empty() {
                    if self.calm {
                        let_go(&mut self.list);
                    }
                    self.scratch.desk.due.fire();
                }
                match came_to {
                    Turn::Busy | Turn::Lone => {
                        busy = true;
                        if let Some(began) = began {
                            self.list[index].active.took(began.elapsed());
                        }
                    }
                    Turn::Idle => {}
                    Turn::Over => {
                        self.list.swap_remove(index);
                        continue;
                    }
                }
                index += 1;
            }
            self.account.turn(busy);
        }
    }

    fn sleep(&self) {
        let held = &self.scratch.desk.held;
        let patience = || held.patience().unwrap_or(LONGEST_SLEEP).min(LONGEST_SLEEP);
        self.worker.mailbox.sleep(patience);
    }
}

/// Lets others have what is kept, until the next turn.
fn let_go(list: &mut [Seat]) {
    list.iter_mut().for_each(Seat::let_go);
}

/// Nothing is kept from here on, until a look at the clock finds that all is calm.
fn give_up(list: &mut [Seat]) {
    list.iter_mut().for_each(Seat::give_up);
}

/// At the end of a period: tells the load, and gives a queue away if there is too much to do. It goes in the
/// next turn.
fn balance(worker: &Worker, list: &mut [Seat], load: u32, now: Instant, fabric: &Fabric) {
    worker.set_load(load, now);
    if fabric.workers().len() < 2 {
        return;
    }
    let costs: Vec<u64> = list.iter_mut().map(|seat| seat.active.cost()).collect();
    let others = fabric.workers().iter().enumerate();
    let others = others.filter(|(index, _)| *index != worker.index);
    let chosen = choose(
        load,
        &costs,
        others.map(|(index, other)| (index, other.load(now))),
    );
    if let Some((queue, to)) = chosen {
        list[queue].active.give_to(to);
        // Until it looks again, it counts as one that has got this already.
        let total: u64 = costs.iter().sum();
        let part = costs[queue].saturating_mul(load.into()) / total.max(1);
        let other = &fabric.workers()[to];
        other.set_load(other.load(now).saturating_add(part as u32).min(1000), now);
        tracing::debug!(
            from = worker.index,
            to,
            load,
            queues = costs.len(),
            "a queue moves"
        );
    }
}

#[cfg(all(test, loom))]
mod models;
#[cfg(test)]
mod tests;
