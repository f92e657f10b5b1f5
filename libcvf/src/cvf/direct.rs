//! When hardware works a device's rings itself, and when not.
//!
//! Owns what the driver wants of hardware and whether that has begun. Hardware begins when the driver is ready *and* all
//! of the guest's memory is within its reach; the driver's doorbells from before then are made up for.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use parking_lot::Mutex;

use super::spec::{ComposeError, CvfSpec};
use crate::dataplane::{Port, VectorCell};
use crate::mem::RingPlace;
use crate::personality::{Interrupts, RingFormats};
use crate::pf::direct::{DirectQueues, DirectRing, DmaFaults};

/// Which way frames take between a device's rings and its PF.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DataPath {
    /// The one that its PF gives every device: a worker works the rings.
    #[default]
    Auto,
    /// Hardware works the rings.
    Direct,
}

/// What nobody enforces where hardware works the rings, in words for the operator.
pub(super) const UNENFORCED: &[&str] = &[
    "checks of source addresses, VLANs and neighbours",
    "rates",
    "receive filters",
    "captures",
    "frame counters",
];

/// What a driver that is ready wants.
struct Wanted {
    features: u64,
    rings: BTreeMap<u16, RingPlace>,
}

#[derive(Default)]
struct State {
    /// `None`: no driver is ready.
    wanted: Option<Wanted>,
    /// Hardware works the rings.
    running: bool,
    /// A worker works them meanwhile.
    aside: bool,
    /// What each queue's interrupt is wired to.
    wired: [Option<Arc<OwnedFd>>; QUEUES],
}

/// Queues of the one pair.
const QUEUES: usize = 2;

/// Rings of one device that hardware works.
pub(super) struct Direct {
    queues: Arc<dyn DirectQueues>,
    state: Mutex<State>,
}

/// What is to be done by whoever has tried to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Begun {
    /// It runs, or nobody wants it to.
    Settled,
    /// Memory was mapped meanwhile: it has to be brought within reach first.
    Early,
}

impl Direct {
    pub(super) fn new(queues: Arc<dyn DirectQueues>) -> Self {
        Self {
            queues,
            state: Mutex::default(),
        }
    }

    /// Features that a driver can be offered.
    pub(super) fn features(&self) -> u64 {
        self.queues.features()
    }

    /// A worker works the rings meanwhile.
    pub(super) fn aside(&self) -> bool {
        self.state.lock().aside
    }

    /// Has hardware end what it does for rings in order, which a worker goes on with where each then is. What hardware had
    /// fetched and not used is done once more.
    ///
    /// # Errors
    /// Hardware does not run, or a ring did not end in time: the device then needs a reset.
    pub(super) fn stand_aside(&self) -> Result<BTreeMap<u16, RingPlace>, String> {
        let mut state = self.state.lock();
        if !state.running {
            return Err("hardware does not work its rings now".into());
        }
        let rings = state
            .wanted
            .take()
            .map_or_else(BTreeMap::new, |wanted| wanted.rings);
        state.running = false;
        state.wired = Default::default();
        let ended: Result<(), String> = rings
            .keys()
            .try_for_each(|&queue| self.queues.disable(queue));
        self.queues.stop();
        ended?;
        state.aside = true;
        Ok(rings)
    }

    /// No worker works them any more. True: one did.
    pub(super) fn come_back(&self) -> bool {
        std::mem::take(&mut self.state.lock().aside)
    }

    /// Hardware works the rings.
    pub(super) fn running(&self) -> bool {
        self.state.lock().running
    }

    pub(super) fn dma_faults(&self) -> DmaFaults {
        self.queues.dma_faults()
    }

    /// The driver is ready, with rings at these places.
    pub(super) fn want(&self, features: u64, rings: BTreeMap<u16, RingPlace>) {
        self.state.lock().wanted = Some(Wanted { features, rings });
    }

    /// Has hardware begin, if a driver is ready and its memory within reach. Else the device is stopped, with the reason.
    pub(super) fn begin(&self, port: &Port) -> Begun {
        let mut state = self.state.lock();
        let State {
            wanted: Some(wanted),
            running: false,
            ..
        } = &*state
        else {
            return Begun::Settled;
        };
        if port.stopped() {
            // What stopped it was found while memory was pinned.
            return Begun::Settled;
        }
        let why = match port.all_within_reach() {
            Ok(true) => None,
            Ok(false) => return Begun::Early,
            Err(why) => Some(format!(
                "hardware cannot reach all of the guest's memory: {why}"
            )),
        };
        let ring = |(&queue, &place): (&u16, &RingPlace)| DirectRing { queue, place };
        let rings: Vec<DirectRing> = wanted.rings.iter().map(ring).collect();
        let begun = why.map_or_else(|| self.queues.start(wanted.features, &rings), Err);
        match begun {
            Ok(()) => {
                state.running = true;
                self.wire(&mut state, port);
            }
            Err(why) => {
                state.wanted = None;
                drop(state);
                port.stop(why);
            }
        }
        Begun::Settled
    }

    /// No driver is ready any more: on return hardware accesses nothing.
    pub(super) fn end(&self) {
        let mut state = self.state.lock();
        state.wanted = None;
        if std::mem::take(&mut state.running) {
            self.queues.stop();
        }
        state.wired = Default::default();
    }

    /// The driver has placed another ring while it runs.
    ///
    /// # Errors
    /// Hardware refuses.
    pub(super) fn enable(&self, queue: u16, place: RingPlace) -> Result<(), String> {
        let mut state = self.state.lock();
        if state.running {
            self.queues.enable(&DirectRing { queue, place })?;
        }
        if let Some(wanted) = &mut state.wanted {
            wanted.rings.insert(queue, place);
        }
        Ok(())
    }

    /// The driver has taken a ring away: on return hardware accesses nothing of it.
    ///
    /// # Errors
    /// It did not end in time, and all of it was ended.
    pub(super) fn disable(&self, queue: u16) -> Result<(), String> {
        let mut state = self.state.lock();
        if let Some(wanted) = &mut state.wanted {
            wanted.rings.remove(&queue);
        }
        if !state.running {
            return Ok(());
        }
        let ended = self.queues.disable(queue);
        if ended.is_err() {
            self.queues.stop();
            state.running = false;
            state.wanted = None;
        }
        ended
    }

    /// The driver rang where nothing is mapped.
    pub(super) fn ring(&self, queue: u16) {
        if self.state.lock().running {
            self.queues.ring(queue);
        }
    }

    /// Where interrupts go may have changed.
    pub(super) fn rewire(&self, port: &Port) {
        let mut state = self.state.lock();
        if state.running {
            self.wire(&mut state, port);
        }
    }

    /// Has each queue's interrupt tell the client's event for the vector that the driver chose, or nobody while that is
    /// masked or not there. Who is told anew is told once at least: what came between was told to nobody.
    fn wire(&self, state: &mut State, port: &Port) {
        let cells = [
            port.receive.first().map(|q| &q.vector),
            port.transmit.first().map(|q| &q.vector),
        ];
        for (queue, cell) in (0u16..).zip(cells) {
            let vector = cell.and_then(VectorCell::get);
            let to = port.interrupts.route(vector);
            let wired = &mut state.wired[usize::from(queue)];
            let same = match (&to, &*wired) {
                (Some(to), Some(wired)) => Arc::ptr_eq(to, wired),
                (None, None) => true,
                _ => false,
            };
            if same {
                continue;
            }
            if let Err(why) = self.queues.wire(queue, to.as_ref().map(|fd| fd.as_fd())) {
                port.stop(format!("interrupt of queue {queue}: {why}"));
                return;
            }
            let told = to.is_some();
            *wired = to;
            if told {
                port.interrupts.queue(vector);
            }
        }
    }
}

/// What a device has to be like for hardware to work its rings.
pub(super) fn check(spec: &CvfSpec) -> Result<(), ComposeError> {
    let lacks = |what: &str| {
        Err(ComposeError::DirectNeeds {
            what: what.to_owned(),
        })
    };
    if spec.data_path != DataPath::Direct {
        return Ok(());
    }
    if spec.queue_pairs != 1 {
        return lacks("one queue pair");
    }
    if spec.interrupts != Interrupts::Msix {
        return lacks("MSI-X: the hardware's interrupts go to the VM's own vectors");
    }
    if spec.ring_formats == RingFormats::Packed {
        return lacks("split rings: where hardware is in packed ones cannot be told");
    }
    if spec.vlan.is_some() {
        return lacks("no access VLAN: nobody would tag its frames");
    }
    Ok(())
}
