//! A virtio-net function (virtio 1.3 5.1, modern) as PF, over VFIO: here we are the driver of such a device.
//!
//! The device has queue pairs, but nothing that says which pair a frame from outside goes to: all of them receive what
//! any receives, by the device's own hash. So pairs are no slices. The function is an *uplink* of the switch: its first pair
//! is the PF's own. A thread feeds what comes in there into the switch; what goes out is put into the transmit queue
//! by whichever worker has it, under a lock taken once for a burst. The switch decides which device gets what, so the
//! function is promiscuous, and devices on it are as many as on a soft PF. Checksums are finished and large frames
//! cut by the device, as far as it offers that, else in software.
//!
//! A device can have the function whole instead ([`PhysicalFunction::direct`]): then its hardware works that driver's
//! rings itself, and there is no uplink until the device leaves. The function is opened anew for each: its descriptor, which
//! such a device's client gets, is then known to be in nobody else's hands.
//!
//! What the device writes is not believed (`ring`). A device that breaks the rules loses its queue, and with
//! it the way out, until the daemon starts again. Frames whose TCP header says CWR are cut in software: `HOST_ECN` is not
//! taken. Has met a model of the device and the one that QEMU emulates, no silicon.

mod capabilities;
mod control;
mod direct;
mod features;
mod fill;
mod line;
mod pair;
mod regs;
mod ring;
mod send;
mod transport;
mod uplink;
mod way;

pub use capabilities::LayoutError;
pub use control::ControlError;
pub use transport::TransportError;

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use self::direct::Direct;
use self::uplink::Outside;
use self::way::Way;
use super::carrier::{CarrierWatcher, LinkState};
use super::direct::DirectQueues;
use super::error::{check_known, check_workers};
use super::loss::Sentry;
use super::vfio::{Function, HostTree, PciAddress, VfioError};
use super::{Capabilities, PfError, PhysicalFunction, SoftPfConfig, UplinkState};
use crate::dataplane::{Endpoint, Fabric, Port, QueueCounters, QueueStats, Uplink};
use crate::ledger::{Ledger, Slice, SliceId};
use crate::limits::MAX_PF_QUEUE_PAIRS;
use crate::switch::{PortConfig, PortId};

/// Identifiers of the functions that this drives: a modern network device.
pub const IDS: [(u16, u16); 1] = [(0x1af4, 0x1041)];

/// A virtio-net function as it is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VirtioPfConfig {
    /// Name.
    pub name: String,
    /// Where it is.
    pub address: PciAddress,
    /// Queue pairs to slice; the other resources follow.
    pub queue_pairs: u32,
    /// Worker threads.
    pub workers: u16,
}

/// How long whoever had the function is given to let go of it: a client that has just been told to.
const LETTING_GO: Duration = Duration::from_millis(500);

/// How often it is asked for afterwards, each time after twice as long: for a minute in all.
const TRIES: u32 = 12;
const FIRST_PAUSE: Duration = Duration::from_millis(15);

/// What stays while the function goes from hand to hand.
struct Joint {
    name: String,
    outside: Arc<Outside>,
    received: Arc<QueueCounters>,
    link: Arc<LinkState>,
    port: PortId,
    fabric: Arc<Fabric>,
}

impl Joint {
    /// Whoever has the function has it watched over.
    fn sentry(&self, function: &Arc<Function>) -> Arc<Sentry> {
        Sentry::new(
            &self.name,
            Arc::clone(function) as _,
            &self.link,
            &self.fabric,
        )
    }
}

/// In whose hands the function is.
enum Hands {
    /// The switch's.
    Switch(Way),
    /// A device's; and the switch's as well while that one's rings are worked by a worker.
    Device(SliceId, Arc<Direct>, Option<Way>),
    /// Nobody's, and where it was lost why it is.
    Nobody(Option<String>),
}

/// Why the function is not to be had any more.
fn lost(hands: &Hands) -> Option<String> {
    match hands {
        Hands::Switch(way) => way.lost(),
        Hands::Device(_, direct, _) => direct.lost(),
        Hands::Nobody(lost) => lost.clone(),
    }
}

/// A virtio-net function in use. When it is dropped, the device is reset.
pub struct VirtioPf {
    config: VirtioPfConfig,
    tree: HostTree,
    ledger: Arc<Ledger>,
    hands: Mutex<Hands>,
    joint: Arc<Joint>,
    me: Weak<Self>,
}

impl VirtioPf {
    /// Opens the function and comes to terms with the device.
    ///
    /// # Errors
    /// [`PfError`]; nothing is left behind then.
    pub fn start(config: VirtioPfConfig, tree: &HostTree) -> Result<Arc<Self>, PfError> {
        let name = || config.name.clone();
        if !(1..=MAX_PF_QUEUE_PAIRS).contains(&config.queue_pairs) {
            return Err(PfError::QueuePairs {
                name: name(),
                count: config.queue_pairs,
            });
        }
        check_workers(&config.name, config.workers)?;
        check_known(&config.name, (tree, config.address), ("virtio-net", &IDS))?;
        let vfio = |source| PfError::Vfio {
            name: name(),
            source: Box::new(source),
        };
        let function = match Function::open(tree, config.address) {
            Err(error) if error.is_busy() => {
                // A VM whose device was direct may have outlived the daemon before this one, and others' devices need none
                // of it. Whose device wants it is told.
                tracing::warn!(pf = config.name, %error, "somebody still has the function: no way out until a device asks again");
                None
            }
            opened => Some(opened.map_err(vfio)?),
        };
        let fabric =
            Fabric::start(&config.name, config.workers).map_err(|source| PfError::Thread {
                name: name(),
                source,
            })?;
        let outside = Arc::new(Outside::default());
        let endpoint = Endpoint::Uplink(Arc::clone(&outside) as _);
        let port = fabric
            .attach(endpoint, PortConfig::uplink())
            .map_err(|source| PfError::Switch {
                name: name(),
                source,
            })?;
        let joint = Arc::new(Joint {
            name: name(),
            outside,
            received: Arc::default(),
            link: Arc::new(LinkState::new(&config.name, false)),
            port,
            fabric,
        });
        let hands = match function {
            Some(function) => Hands::Switch(Way::begin(Arc::new(function), &joint).map_err(vfio)?),
            None => Hands::Nobody(None),
        };
        let totals = SoftPfConfig {
            queue_pairs: config.queue_pairs,
            ..SoftPfConfig::new(&config.name)
        };
        let held = matches!(hands, Hands::Nobody(_));
        let pf = Arc::new_cyclic(|me| Self {
            me: Weak::clone(me),
            ledger: Ledger::new(&config.name, &totals.totals()),
            config,
            tree: tree.clone(),
            hands: Mutex::new(hands),
            joint,
        });
        if held {
            pf.await_function();
        }
        Ok(pf)
    }

    /// The function, once whoever had it has let go; for that they are given a while.
    fn reopen(&self, patience: Duration) -> Result<Arc<Function>, VfioError> {
        let until = Instant::now() + patience;
        let mut pause = Duration::from_millis(1);
        loop {
            match Function::open(&self.tree, self.config.address) {
                Err(error) if error.is_busy() && Instant::now() + pause < until => {
                    std::thread::sleep(pause);
                    pause *= 2;
                }
                opened => return opened.map(Arc::new),
            }
        }
    }

    /// Gives the function to the switch as soon as whoever had it has let go; for a while, then with the next device.
    fn await_function(&self) {
        let (me, name) = (Weak::clone(&self.me), self.config.name.clone());
        let wait = move || {
            let mut pause = FIRST_PAUSE;
            for _ in 0..TRIES {
                let Some(pf) = me.upgrade() else { return };
                let tried = pf.lead_out(&mut pf.hands.lock(), Duration::ZERO);
                drop(pf);
                if tried.is_ok() {
                    return;
                }
                std::thread::sleep(pause);
                pause *= 2;
            }
            tracing::warn!(
                pf = name,
                "somebody still has the function: no way out until a device asks again"
            );
        };
        let thread = std::thread::Builder::new().name(format!("{}/back", self.config.name));
        if let Err(error) = thread.spawn(wait) {
            tracing::warn!(pf = self.config.name, %error, "no way out until a device asks again");
        }
    }

    /// Gives the function to the switch, if nobody has it.
    fn lead_out(&self, hands: &mut Hands, patience: Duration) -> Result<(), String> {
        if !matches!(hands, Hands::Nobody(_)) {
            return Ok(());
        }
        let begun = self
            .reopen(patience)
            .and_then(|function| Way::begin(function, &self.joint));
        match begun {
            Ok(way) => {
                *hands = Hands::Switch(way);
                Ok(())
            }
            Err(error) => Err(refusal(&error)),
        }
    }
}

/// Why the function is not to be had, and what to do.
fn refusal(error: &VfioError) -> String {
    if error.is_busy() {
        format!(
            "{error}; a VM whose device was direct has it until it ends: end that VM, and repeat"
        )
    } else {
        error.to_string()
    }
}

impl PhysicalFunction for VirtioPf {
    fn name(&self) -> &str {
        &self.config.name
    }

    fn kind(&self) -> &'static str {
        "virtio-net"
    }

    fn ledger(&self) -> &Arc<Ledger> {
        &self.ledger
    }

    fn fabric(&self) -> &Arc<Fabric> {
        &self.joint.fabric
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            direct: true,
            ..Capabilities::default()
        }
    }

    fn equip(&self, _: &Slice) -> Result<Vec<crate::dataplane::LaneParts>, String> {
        // Devices get no queues of their own, but want a way out.
        self.lead_out(&mut self.hands.lock(), LETTING_GO)?;
        Ok(Vec::new())
    }

    fn direct(&self, slice: &Slice) -> Result<Arc<dyn DirectQueues>, String> {
        let mut hands = self.hands.lock();
        // Whoever has it lets go first.
        *hands = Hands::Nobody(lost(&hands));
        let taken = self
            .reopen(LETTING_GO)
            .and_then(|function| Direct::begin(function, &self.joint));
        match taken {
            Ok(direct) => {
                let direct = Arc::new(direct);
                *hands = Hands::Device(slice.id(), Arc::clone(&direct), None);
                Ok(direct)
            }
            Err(error) => {
                if let Err(why) = self.lead_out(&mut hands, Duration::ZERO) {
                    tracing::error!(pf = self.config.name, why, "no way out");
                }
                Err(refusal(&error))
            }
        }
    }

    fn stand_aside(&self, slice: &Slice, aside: bool) -> Result<(), String> {
        match &mut *self.hands.lock() {
            Hands::Device(id, direct, way) if *id == slice.id() => {
                // The one before ends first.
                *way = None;
                if aside {
                    let begun = direct
                        .function()
                        .and_then(|function| Way::begin(function, &self.joint));
                    *way = Some(begun.map_err(|error| error.to_string())?);
                    Ok(())
                } else {
                    direct.listen().map_err(|error| error.to_string())
                }
            }
            _ => Err("the function is not this device's".into()),
        }
    }

    fn seat(&self, slice: &Slice, port: &Arc<Port>) {
        if let Hands::Device(id, direct, _) = &*self.hands.lock()
            && *id == slice.id()
        {
            direct.seat(port);
        }
    }

    fn leave(&self, slice: &Slice) {
        let mut hands = self.hands.lock();
        if !matches!(&*hands, Hands::Device(id, ..) if *id == slice.id()) {
            return;
        }
        let nobody = Hands::Nobody(lost(&hands));
        let before = std::mem::replace(&mut *hands, nobody);
        // Threads are waited for, and hardware: nobody else has to.
        drop(hands);
        if let Hands::Device(_, direct, way) = before {
            drop(way);
            direct.close();
        }
        self.joint.link.set(false);
        self.await_function();
    }

    fn lost(&self) -> Option<String> {
        lost(&self.hands.lock())
    }

    fn uplink(&self) -> Option<UplinkState> {
        Some(UplinkState {
            kind: "virtio-net",
            name: self.config.address.to_string(),
            bridge: None,
            carrier: self.joint.link.is_up(),
            receive: QueueStats::of(&self.joint.received),
            transmit: QueueStats::of(self.joint.outside.counters()),
        })
    }

    fn has_carrier(&self) -> bool {
        self.joint.link.is_up()
    }

    fn watch_carrier(&self, watcher: CarrierWatcher) {
        self.joint.link.watch(watcher);
    }

    fn workers(&self) -> u16 {
        self.config.workers
    }
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
