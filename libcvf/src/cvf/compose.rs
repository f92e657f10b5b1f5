//! A device put together: slice, personality and place at the switch, all or nothing.

use std::sync::Arc;

use parking_lot::Mutex;

use super::device::Device;
use super::direct::{DataPath, Direct};
use super::policy::{PolicyError, Seat};
use super::regions;
use super::spec::{ComposeError, CvfSpec};
use super::whole::Cvf;
use crate::control::Gatekeeper;
use crate::dataplane::{Endpoint, LaneParts, Port};
use crate::ledger::Slice;
use crate::offload::PackedMac;
use crate::personality::virtio_net::bits;
use crate::pf::PhysicalFunction;
use crate::pf::direct::DirectQueues;
use crate::switch::{PortConfig, PortKind, Vid};

/// What a device of so many queue pairs may offer.
///
/// Linux asks by command while it probes where it sees hash reports, statistics or several queue
/// pairs, and waits for the answer for ever: a guest whose memory is not shared with us hangs there.
/// A device with one pair offers nothing that Linux asks about, so that such a guest comes up, and
/// only its network does not work.
///
/// With hardware queues of its own it gives buffers back as hardware is done with them, and not in order; where hardware
/// works its rings, that has to keep to what is agreed on.
pub(super) const fn offered(pairs: u16, lanes: u16, hardware: Option<u64>) -> u64 {
    let asked = if pairs > 1 {
        u64::MAX
    } else {
        !(bits::HASH_REPORT | bits::DEVICE_STATS)
    };
    let asked = if lanes > 0 {
        asked & !bits::IN_ORDER
    } else {
        asked
    };
    match hardware {
        Some(features) => asked & features,
        None => asked,
    }
}

/// Hardware queues: those that a worker works, and those that work a driver's rings.
type Hardware = (Vec<LaneParts>, Option<Arc<dyn DirectQueues>>);

/// A slice whose PF is told when nothing comes of it.
struct Given<'p> {
    pf: &'p Arc<dyn PhysicalFunction>,
    slice: Option<Slice>,
}

impl<'p> Given<'p> {
    const fn new(pf: &'p Arc<dyn PhysicalFunction>, slice: Slice) -> Self {
        let slice = Some(slice);
        Self { pf, slice }
    }

    /// What hardware the PF has for it.
    fn hardware(&self, path: DataPath) -> Result<Hardware, ComposeError> {
        let pf = || self.pf.name().to_owned();
        let Some(slice) = &self.slice else {
            return Ok((Vec::new(), None));
        };
        match path {
            DataPath::Auto => match self.pf.equip(slice) {
                Ok(lanes) => Ok((lanes, None)),
                Err(why) => Err(ComposeError::Hardware { pf: pf(), why }),
            },
            DataPath::Direct => match self.pf.direct(slice) {
                Ok(queues) => Ok((Vec::new(), Some(queues))),
                Err(why) => Err(ComposeError::Hardware { pf: pf(), why }),
            },
        }
    }

    /// The device has its place, and gives the slice back itself.
    fn seat(mut self, port: &Arc<Port>) -> Option<Slice> {
        if let Some(slice) = &self.slice {
            self.pf.seat(slice, port);
        }
        self.slice.take()
    }
}

impl std::ops::Drop for Given<'_> {
    fn drop(&mut self) {
        if let Some(slice) = self.slice.take() {
            self.pf.leave(&slice);
        }
    }
}

impl Cvf {
    /// Cuts the slice, builds the personality, takes the place at the switch: all or nothing.
    ///
    /// # Errors
    /// [`ComposeError`].
    pub fn compose(
        pf: Arc<dyn PhysicalFunction>,
        spec: CvfSpec,
        gate: Arc<dyn Gatekeeper>,
    ) -> Result<Arc<Self>, ComposeError> {
        spec.check()?;
        let capabilities = pf.capabilities();
        spec.suits(pf.name(), &capabilities)?;
        let (ledger, request) = (pf.ledger(), spec.request(&capabilities));
        let slice = match spec.data_path {
            DataPath::Auto => ledger.cut(&spec.name, &request)?,
            DataPath::Direct => ledger.cut_whole(&spec.name, &request)?,
        };
        let policy = spec.policy.clone();
        let seat = Seat::take(&policy, spec.uuid).map_err(PolicyError::from)?;
        let given = Given::new(&pf, slice);
        let (lanes, queues) = given.hardware(spec.data_path)?;
        let most_mtu = queues.as_ref().and_then(|queues| queues.most_mtu());
        if let Some(most) = most_mtu.filter(|most| *most < spec.mtu) {
            return Err(ComposeError::MostMtu {
                pf: pf.name().to_owned(),
                asked: spec.mtu,
                most,
            });
        }
        let let_through = gate.features() & !spec.policy.masked();
        let features = spec.model.features(
            spec.policy.queues.allowed(spec.queue_pairs),
            lanes.len() as u16,
            queues.as_ref().map(|queues| queues.features()),
            let_through,
        );
        let personality = spec.model.build(&spec, features, queues.as_deref())?;
        let pages = queues.as_ref().map(|queues| queues.doorbells());
        let pages = pages.transpose().map_err(|why| ComposeError::NoDirect {
            pf: pf.name().to_owned(),
            why,
        })?;
        let regions = regions::describe(personality.as_ref(), pages)?;
        // Without a mappable region every doorbell is a message, whatever was asked for.
        let polled = regions.iter().any(|region| region.map.is_some());
        let mut port = Port::new(spec.queue_pairs, personality.vectors(), polled);
        port.interrupts = spec.model.lines(personality.vectors());
        port.equip(lanes);
        if let Some(queues) = &queues {
            port.equip_reaching(queues.reaching());
        }
        let port = Arc::new(port);
        spec.policy.apply(&port);
        let _ = port.identity.set(spec.identity());
        let config = PortConfig {
            kind: PortKind::Cvf,
            access_vlan: spec.vlan.map(Vid),
            tag: spec.vlan_tag,
            reserved: Some(PackedMac::new(spec.mac.0)),
            rules: spec.policy.rules(),
            ..PortConfig::cvf(PackedMac::new(spec.mac.0))
        };
        pf.fabric()
            .attach(Endpoint::Device(Arc::clone(&port)), config)?;
        let slice = given.seat(&port);
        let direct = queues.map(|queues| Arc::new(Direct::new(queues)));
        let device = Device::new(spec, pf, port, gate, (personality.queues(), slice), direct);
        seat.keep();
        let whole = Arc::new(Self {
            device,
            personality: Mutex::new(personality),
            regions,
        });
        // From here on whatever fails takes all of it down again.
        whole.device.measure();
        let tuned = whole.device.tune(&whole.device.wishes.lock().filter());
        tuned.map_err(|why| ComposeError::Hardware {
            pf: whole.device.pf.name().to_owned(),
            why,
        })?;
        Ok(whole)
    }
}
