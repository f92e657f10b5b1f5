//! What the ports of one PF have in common: the switch, the table of endpoints, the workers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use parking_lot::Mutex;

use super::counters::QueueCounters;
use super::port::Port;
use super::scratch::View;
use super::worker::Worker;
use crate::kept::Versioned;
use crate::offload::FrameMeta;
use crate::ring::Payload;
use crate::switch::{PortConfig, PortId, Snapshot, Switch, SwitchError};

/// A way north-south that takes frames from workers.
pub trait Uplink: Send + Sync {
    /// Sends one frame, `head` followed by `tail`; counts it, or why it was dropped. Never blocks.
    fn send(&self, meta: &FrameMeta, head: &[u8], tail: Payload<'_>);

    /// Counters of frames that leave through it.
    fn counters(&self) -> &QueueCounters;
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
    /// Seconds since `started`: the clock of the forwarding table.
    clock: AtomicU32,
}

impl Fabric {
    /// A fabric with `workers` threads (at least one), named after `name`.
    ///
    /// # Errors
    /// A thread or its eventfd could not be made.
    pub fn start(name: &str, workers: u16) -> std::io::Result<Arc<Self>> {
        let workers = (0..workers.max(1))
            .map(|_| Worker::new())
            .collect::<Result<_, _>>()?;
        let fabric = Arc::new(Self {
            switch: Switch::default(),
            ports: Versioned::default(),
            change: Mutex::new(()),
            workers,
            started: Instant::now(),
            clock: AtomicU32::new(0),
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

    /// The forwarding table's clock, in seconds.
    pub(super) fn now(&self) -> u32 {
        self.clock.load(Ordering::Relaxed)
    }

    /// Sets the clock; a thread that forwards calls it before each round. What was learned is swept
    /// once in a while.
    pub fn tick(&self, now: Instant) {
        const SWEEP: u32 = 64;
        let clock = now.duration_since(self.started).as_secs() as u32;
        let before = self.clock.load(Ordering::Relaxed);
        if clock > before {
            self.clock.store(clock, Ordering::Relaxed);
            if before / SWEEP != clock / SWEEP {
                self.switch.age_learned(clock);
            }
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
            let worker = port.id().index() % self.workers.len();
            self.workers[worker].adopt(port, queue);
        }
    }
}

impl std::ops::Drop for Fabric {
    fn drop(&mut self) {
        for worker in &self.workers {
            worker.stop();
        }
    }
}
