//! The device without its personality: what a [`Host`](crate::personality::Host) works on.

use std::sync::Arc;

use parking_lot::{Mutex, RwLock};

use super::control::Wishes;
use super::health::{Memory, Refusal};
use super::policy::PortPolicy;
use super::spec::CvfSpec;
use crate::control::{Gatekeeper, MacAddr};
use crate::dataplane::{Fabric, Port};
use crate::offload::TagStyle;
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
    /// As the driver set them, by queue index: roles are known when it is ready.
    pub vectors: Vec<Option<u16>>,
    /// The control queue was rung while its memory was not mapped.
    pub commands_wait: bool,
}

/// What the operator may change while the device lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Assigned {
    pub mac: MacAddr,
    pub mtu: u16,
    pub vlan: Option<u16>,
    pub vlan_tag: TagStyle,
}

pub(super) struct Device {
    /// As composed; of what may change, [`Device::assigned`] says how it is now.
    pub spec: CvfSpec,
    pub assigned: Mutex<Assigned>,
    pub pf: Arc<dyn PhysicalFunction>,
    pub port: Arc<Port>,
    pub gate: Arc<dyn Gatekeeper>,
    pub rings: Mutex<Rings>,
    /// Read while a request is decided and applied, written while all are decided anew: what was allowed
    /// by rules that no longer hold is seen by whoever decides anew.
    pub deciding: RwLock<()>,
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
        let assigned = Mutex::new(Assigned {
            mac: spec.mac,
            mtu: spec.mtu,
            vlan: spec.vlan,
            vlan_tag: spec.vlan_tag,
        });
        let policy = Mutex::new(spec.policy.clone());
        let rings = Rings {
            placed: vec![None; queues.into()],
            vectors: vec![None; queues.into()],
            ..Rings::default()
        };
        Self {
            spec,
            assigned,
            pf,
            port,
            gate,
            rings: Mutex::new(rings),
            deciding: RwLock::new(()),
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
