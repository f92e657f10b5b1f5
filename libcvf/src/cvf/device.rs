//! The device without its personality: what a [`Host`](crate::personality::Host) works on.

use std::sync::Arc;

use parking_lot::{Mutex, RwLock};

use super::control::Wishes;
use super::direct::Direct;
use super::health::{Memory, Refusal};
use super::mailbox::Letters;
use super::placed::Placed;
use super::policy::PortPolicy;
use super::spec::CvfSpec;
use crate::control::{Gatekeeper, MacAddr};
use crate::dataplane::{Fabric, Port};
use crate::ledger::Slice;
use crate::offload::TagStyle;
use crate::personality::QueueRole;
use crate::pf::PhysicalFunction;
use crate::ring::{ControlRing, RingFeatures};

/// Rings as the driver placed them, and what became of them.
#[derive(Default)]
pub(super) struct Rings {
    /// By queue index.
    pub placed: Vec<Option<Placed>>,
    /// Roles with the negotiated features; empty while no driver runs.
    pub roles: Vec<Option<QueueRole>>,
    /// What was negotiated for rings.
    pub features: RingFeatures,
    pub control: Option<ControlRing>,
    /// A function's mailbox, where it has one.
    pub letters: Letters,
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
    /// Hardware that works its rings itself.
    pub direct: Option<Arc<Direct>>,
    pub rings: Mutex<Rings>,
    /// Read while a request is decided and applied, written while all are decided anew: what was allowed
    /// by rules that no longer hold is seen by whoever decides anew.
    pub deciding: RwLock<()>,
    pub wishes: Mutex<Wishes>,
    pub memory: Mutex<Memory>,
    /// What it has from its PF; `None` once dismantled.
    pub slice: Mutex<Option<Slice>>,
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
        (queues, slice): (u16, Option<Slice>),
        direct: Option<Arc<Direct>>,
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
            direct,
            rings: Mutex::new(rings),
            deciding: RwLock::new(()),
            wishes,
            memory: Mutex::default(),
            slice: Mutex::new(slice),
            policy,
            refusal: Mutex::default(),
        }
    }

    /// Hardware that works its rings, unless a worker does so meanwhile.
    pub(super) fn hardware(&self) -> Option<&Arc<Direct>> {
        self.direct.as_ref().filter(|direct| !direct.aside())
    }

    /// The way of its frames, and why it is that one.
    pub(super) fn path(&self) -> (&'static str, String) {
        let pf = self.pf.name();
        if let Some(direct) = &self.direct {
            return if direct.aside() {
                let back = "its hardware works them again from its driver's next reset on";
                (
                    "copied",
                    format!("a worker has taken the driver's rings over; {back}"),
                )
            } else {
                let why = format!("asked for; the hardware of {pf} works the driver's rings");
                ("direct", why)
            };
        }
        if self.port.lane_count() == 0 {
            let why = format!("PF {pf} has no hardware queues for single devices");
            return ("copied", why);
        }
        match self.port.reached() {
            (0, Some(why)) => ("copied", why),
            (0, None) => (
                "copied",
                "no memory of a driver's is within reach of hardware yet".into(),
            ),
            (_, why) => {
                let all = || format!("PF {pf} gives each device hardware queues of its own");
                let part = |why| format!("in part: {why}");
                ("translated", why.map_or_else(all, part))
            }
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
