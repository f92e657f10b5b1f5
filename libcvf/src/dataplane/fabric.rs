//! What the ports of one PF have in common: the switch, the table of endpoints, the workers.

use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;

use super::clock::Clock;
use super::counters::QueueCounters;
use super::lane::SendLane;
use super::port::Port;
use super::scratch::View;
use super::seat::{Active, Work};
use super::worker::Worker;
use crate::kept::Versioned;
use crate::offload::FrameMeta;
use crate::ring::Payload;
use crate::switch::{PortConfig, PortId, Snapshot, Switch, SwitchError};
use crate::sync::atomic::{AtomicU16, AtomicU32, Ordering};

/// A way north-south that takes frames from workers.
pub trait Uplink: Send + Sync {
    /// Sends one frame, `head` followed by `tail`; counts it, or why it was dropped. Never blocks.
    fn send(&self, meta: &FrameMeta, head: &[u8], tail: Payload<'_>);

    /// Counters of frames that leave through it.
    fn counters(&self) -> &QueueCounters;

    /// The queue of hardware that its frames take. Where there is one they are put into it, finished or cut as far as
    /// that does not do it itself, under one lock for a burst, and [`Self::send`] is not asked. It may lead nowhere for
    /// a while: then they are lost, and counted.
    fn queue(&self) -> Option<&Mutex<Option<SendLane>>> {
        None
    }
}

/// What is at a port of the switch.
#[derive(Clone)]
pub enum Endpoint {
    /// A device.
    Device(Arc<Port>),
    /// A way out.
    Uplink(Arc<dyn Uplink>),
}

/// Endpoints by port number.
pub(super) type Ports = Vec<Option<Endpoint>>;

/// Switch, endpoints, workers.
pub struct Fabric {
    switch: Switch,
    ports: Versioned<Ports>,
    change: Mutex<()>,
    workers: Box<[Arc<Worker>]>,
    started: Instant,
    /// Seconds since `started`.
    clock: Clock,
    /// The worker that gets the first queue of the next port, modulo their number.
    next_home: AtomicU32,
}

impl Fabric {
    /// A fabric with `workers` threads (at least one), named after `name`.
    ///
    /// # Errors
    /// A thread or its eventfd could not be made.
    pub fn start(name: &str, workers: u16) -> std::io::Result<Arc<Self>> {
        let workers = (0..workers.max(1))
            .map(Worker::new)
            .collect::<Result<_, _>>()?;
        let fabric = Arc::new(Self {
            switch: Switch::default(),
            ports: Versioned::default(),
            change: Mutex::new(()),
            workers,
            started: Instant::now(),
            clock: Clock::default(),
            next_home: AtomicU32::new(0),
        });
        for (index, worker) in fabric.workers.iter().enumerate() {
            worker.start(&format!("{name}/{index}"), Arc::downgrade(&fabric))?;
        }
        Ok(fabric)
    }

    /// The switch.
    pub const fn switch(&self) -> &Switch {
        &self.switch
    }

    /// Switch and endpoints of this moment, for a burst, and the snapshot's version.
    #[inline]
    pub(super) fn view<'v>(&self, view: &'v mut View) -> (&'v Snapshot, &'v Ports, u64) {
        let (snapshot, version) = self.switch.keep(&mut view.snapshot);
        (snapshot, self.ports.keep(&mut view.ports), version)
    }

    /// Lets go of what a thread keeps and is no longer so.
    #[inline]
    pub(super) fn release(&self, view: &mut View) {
        self.switch.release(&mut view.snapshot);
        view.ports.forget_if_old(&self.ports);
    }

    /// When it was started.
    #[inline]
    pub(super) const fn started(&self) -> Instant {
        self.started
    }

    /// The forwarding table's clock, in seconds.
    pub(super) fn now(&self) -> u32 {
        self.clock.now()
    }

    /// Sets the clock; a thread that forwards calls it before each round. What was learned is swept
    /// once in a while.
    pub fn tick(&self, now: Instant) {
        let seconds = now.duration_since(self.started).as_secs() as u32;
        if self.clock.advance(seconds) {
            self.switch.age_learned(seconds);
        }
    }

    /// Puts an endpoint at the switch.
    ///
    /// # Errors
    /// [`SwitchError`]: an address is taken, no port number is free.
    pub fn attach(&self, endpoint: Endpoint, config: PortConfig) -> Result<PortId, SwitchError> {
        let _change = self.change.lock();
        let id = self.switch.add_port(config)?;
        if let Endpoint::Device(port) = &endpoint {
            port.set_id(id);
            self.settle(port);
        }
        let mut ports = Vec::clone(&self.ports.load());
        if ports.len() <= id.index() {
            ports.resize(id.index() + 1, None);
        }
        ports[id.index()] = Some(endpoint);
        self.ports.swap(Arc::new(ports));
        Ok(id)
    }

    /// Takes an endpoint away. Frames on their way to it may still arrive until its queues are
    /// quiet.
    pub fn detach(&self, id: PortId) {
        let _change = self.change.lock();
        if let Err(error) = self.switch.remove_port(id) {
            tracing::debug!(%error, "the port was not at the switch");
        }
        let mut ports = Vec::clone(&self.ports.load());
        if let Some(slot) = ports.get_mut(id.index()) {
            *slot = None;
        }
        self.ports.swap(Arc::new(ports));
    }

    /// The devices that are at the switch.
    pub fn devices(&self) -> Vec<Arc<Port>> {
        let ports = self.ports.load();
        let device = |endpoint: &Option<Endpoint>| match endpoint {
            Some(Endpoint::Device(port)) => Some(Arc::clone(port)),
            _ => None,
        };
        ports.iter().filter_map(device).collect()
    }

    /// For each worker that sleeps, the turns its loop has made so far: the number stands still for as
    /// long as nobody wakes it. `None` for a worker that is awake.
    pub fn sleepers(&self) -> Vec<Option<u64>> {
        self.workers.iter().map(|worker| worker.asleep()).collect()
    }

    /// Puts a transmit queue into its worker's hands, if it is not there already.
    pub fn schedule(&self, port: &Arc<Port>, queue: u16) {
        let Some(state) = port.transmit.get(usize::from(queue)) else {
            return;
        };
        if state.claim.take() {
            let home = self.home(&state.home);
            self.workers[home].adopt(Active::new(port, Work::Transmit(queue)));
        }
    }

    /// Puts a port's lane into its worker's hands, if it is not there already: its hardware has interrupted, or it
    /// was taken into use.
    pub fn wake(&self, port: &Arc<Port>, lane: u16) {
        let Some(state) = port.lanes().get(usize::from(lane)) else {
            return;
        };
        if state.claim.take() {
            let home = self.home(&state.home);
            self.workers[home].adopt(Active::new(port, Work::Lane(lane)));
        }
        if state.sending.swap(false, Ordering::AcqRel) {
            self.schedule(port, lane);
        }
    }

    /// Workers, in the order of their numbers.
    pub(super) fn workers(&self) -> &[Arc<Worker>] {
        &self.workers
    }

    /// The number of the worker that a queue's `home` names.
    #[inline]
    pub(super) fn home(&self, home: &AtomicU16) -> usize {
        // One worker at least there is.
        usize::from(home.load(Ordering::Relaxed)).min(self.workers.len() - 1)
    }

    /// Spreads a port's queues over the workers, and first queues, which may be the only ones in use, over
    /// them, too. A worker that polls never sleeps, so a port that is polled has one.
    fn settle(&self, port: &Port) {
        let first = self.next_home.fetch_add(1, Ordering::Relaxed) as usize;
        for (index, queue) in port.transmit.iter().enumerate() {
            let further = if port.polled { 0 } else { index };
            let home = (first + further) % self.workers.len();
            queue.home.store(home as u16, Ordering::Relaxed);
        }
        for (lane, queue) in port.lanes().iter().zip(&port.transmit) {
            let home = queue.home.load(Ordering::Relaxed);
            lane.home.store(home, Ordering::Relaxed);
        }
    }

    /// Has a transmit queue served by another worker, from its next turn on. False when there is no such
    /// queue or worker. A worker that has too much to do moves queues by itself.
    pub fn move_queue(&self, port: PortId, queue: u16, worker: u16) -> bool {
        let ports = self.ports.load();
        let Some(Some(Endpoint::Device(port))) = ports.get(port.index()) else {
            return false;
        };
        let queue = port.transmit.get(usize::from(queue));
        let queue = queue.filter(|_| usize::from(worker) < self.workers.len());
        queue.is_some_and(|queue| {
            queue.home.store(worker, Ordering::Relaxed);
            true
        })
    }

    /// What share of its time each worker had something to do, in thousandths, when it last looked.
    pub fn loads(&self) -> Vec<u32> {
        let now = Instant::now();
        self.workers.iter().map(|worker| worker.load(now)).collect()
    }
}

impl std::ops::Drop for Fabric {
    fn drop(&mut self) {
        for worker in &self.workers {
            worker.stop();
        }
    }
}
