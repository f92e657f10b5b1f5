//! Interrupts of the function: who hears them, and whom they wake.

use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::nic::Nic;
use super::regs::{self, POOLS};
use crate::dataplane::{Fabric, HardwareLine, Port, QueueStats};
use crate::pf::carrier::LinkState;
use crate::pf::events::{Hearing, Listener};
use crate::pf::loss::Sentry;
use crate::pf::vfio::VectorEvents;

/// A pool's interrupt.
pub(super) struct Line {
    nic: Arc<Nic>,
    vector: u32,
}

impl Line {
    /// The interrupt that a vector of a function is.
    pub(super) const fn new(nic: Arc<Nic>, vector: u32) -> Self {
        Self { nic, vector }
    }
}

impl HardwareLine for Line {
    fn arm(&self) {
        self.nic.write(regs::EIMS, 1 << self.vector);
    }

    fn disarm(&self) {
        self.nic.write(regs::EIMC, 1 << self.vector);
    }
}

/// Ports by pool.
type Seats = Arc<Mutex<[Weak<Port>; POOLS as usize]>>;

/// Who hears interrupts, until dropped. What is done for one is to put the port's lane into its worker's hands.
pub(super) struct PoolEvents {
    seats: Seats,
    _listener: Listener,
}

impl PoolEvents {
    pub(super) fn start(
        name: &str,
        vectors: &VectorEvents,
        (nic, link): (Arc<Nic>, Arc<LinkState>),
        fabric: &Arc<Fabric>,
        sentry: &Arc<Sentry>,
    ) -> std::io::Result<Self> {
        let seats = Seats::default();
        let ears = Ears {
            seats: Arc::clone(&seats),
            fabric: Arc::downgrade(fabric),
            nic,
            link,
            name: name.to_owned(),
        };
        let hearing = sentry.beside(regs::VECTORS, move || ears);
        Ok(Self {
            seats,
            _listener: Listener::start(name, vectors, regs::VECTORS, hearing)?,
        })
    }

    /// Sets whose a pool is.
    pub(super) fn seat(&self, pool: u32, port: Weak<Port>) {
        if let Some(seat) = self.seats.lock().get_mut(pool as usize) {
            *seat = port;
        }
    }

    /// What came in from outside for all pools that are in use.
    pub(super) fn received(&self) -> QueueStats {
        let seats = self.seats.lock();
        let ports = seats.iter().filter_map(Weak::upgrade);
        let mut all = QueueStats::default();
        for port in ports {
            all.add(&port.outside_received());
        }
        all
    }
}

/// The thread's side.
struct Ears {
    seats: Seats,
    fabric: Weak<Fabric>,
    nic: Arc<Nic>,
    link: Arc<LinkState>,
    name: String,
}

impl Hearing for Ears {
    fn heard(&mut self, vector: usize) {
        if vector == usize::from(regs::VECTORS - 1) {
            self.nic.heard();
            let up = self.nic.link();
            tracing::debug!(pf = self.name, up, "interrupt of other causes");
            self.link.set(up);
            return;
        }
        let seat = self.seats.lock().get(vector).and_then(Weak::upgrade);
        if let (Some(port), Some(fabric)) = (seat, self.fabric.upgrade()) {
            fabric.wake(&port, 0);
        }
    }
}
