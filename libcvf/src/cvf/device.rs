//! The device without its personality: what a [`Host`](crate::personality::Host) works on.

use std::sync::Arc;

use parking_lot::Mutex;

use super::control::Wishes;
use super::health::{Memory, Refusal};
use super::policy::PortPolicy;
use super::spec::CvfSpec;
use crate::control::Gatekeeper;
use crate::dataplane::{Fabric, Port};
use crate::personality::{QueueRole, RingConfig};
use crate::pf::PhysicalFunction;
use crate::ring::{ControlRing, RingFeatures};

/// Rings as the driver placed them, and what became of them.
#[derive(Default)]
pub(super) struct Rings {
    /// By queue index.
    pub placed: Vec<Option<RingConfig>>,
    /// Roles with the negotiated features; empty while no driver runs.
    pub roles: Vec<Option<QueueRole>>,
    /// What was negotiated for rings.
    pub features: RingFeatures,
    pub control: Option<ControlRing>,
    pub control_vector: Option<u16>,
    /// The control queue was rung while its memory was not mapped.
    pub commands_wait: bool,
}

pub(super) struct Device {
    pub spec: CvfSpec,
    pub pf: Arc<dyn PhysicalFunction>,
    pub port: Arc<Port>,
    pub gate: Arc<dyn Gatekeeper>,
    pub rings: Mutex<Rings>,
    pub wishes: Mutex<Wishes>,
    pub memory: Mutex<Memory>,
    /// What is in force.
    pub policy: Mutex<PortPolicy>,
    refusal: Mutex<Option<Refusal>>,
}

impl Device {
    pub(super) fn new(
        spec: CvfSpec,
        pf: Arc<dyn PhysicalFunction>,
        port: Arc<Port>,
        gate: Arc<dyn Gatekeeper>,
        queues: u16,
    ) -> Self {
        let wishes = Mutex::new(Wishes::new(spec.mac));
        let policy = Mutex::new(spec.policy.clone());
        let rings = Rings {
            placed: vec![None; queues.into()],
            ..Rings::default()
        };
        Self {
            spec,
            pf,
            port,
            gate,
            rings: Mutex::new(rings),
            wishes,
            memory: Mutex::default(),
            policy,
            refusal: Mutex::default(),
        }
    }

    pub(super) fn fabric(&self) -> &Arc<Fabric> {
        self.pf.fabric()
    }

    /// Notes a refusal for the operator.
    pub(super) fn refused(&self, what: String) {
        let mut last = self.refusal.lock();
        let count = last.as_ref().map_or(0, |r| r.count) + 1;
        *last = Some(Refusal { what, count });
    }

    pub(super) fn last_refusal(&self) -> Option<Refusal> {
        self.refusal.lock().clone()
    }

    pub(super) fn forget_refusals(&self) {
        *self.refusal.lock() = None;
    }
}
