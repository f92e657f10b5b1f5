//! The function as it is used while its hardware works the rings of one device's driver.
//!
//! Owns the device's status, features, queues and interrupts on that driver's behalf; nothing of our own memory is within
//! the function's reach meanwhile, for a descriptor could name it. The device's control queue stays out of use: it filters
//! nothing then, and has one queue pair.

use std::os::fd::BorrowedFd;
use std::sync::{Arc, OnceLock, Weak};

use parking_lot::Mutex;

use super::Joint;
use super::features::Features;
use super::transport::{Doorbell, QueuePlace, Transport, TransportError};
use super::uplink::VECTOR_CONFIG;
use super::way::{check_vectors, open};
use crate::dataplane::{Port, Reaching};
use crate::pf::carrier::LinkState;
use crate::pf::direct::{DirectQueues, DirectRing, DmaFaults, DoorbellPages};
use crate::pf::dma::Identity;
use crate::pf::events::{Hearing, Listener};
use crate::pf::loss::Sentry;
use crate::pf::vfio::{FaultLog, FaultWatch, Function, PciAddress, VectorEvents, VfioError};

/// Queues of the one pair.
const QUEUES: u16 = 2;
/// The vector of configuration changes, and one for each queue.
const VECTORS: u16 = 1 + QUEUES;
/// Bytes between doorbells, which a client maps one by one.
const PAGE: u64 = 4096;

/// The vector of a queue.
const fn vector(queue: u16) -> u16 {
    VECTOR_CONFIG + 1 + queue
}

/// What interrupts are wired to, and where doorbells are mapped from.
pub(super) trait Wires: Send + Sync {
    /// Wires a vector to an event, or to none.
    fn wire(&self, vector: u16, event: Option<BorrowedFd<'_>>) -> Result<(), VfioError>;
    /// A descriptor that doorbells can be mapped from.
    fn share(&self) -> Result<std::os::fd::OwnedFd, VfioError>;
}

impl Wires for Function {
    fn wire(&self, vector: u16, event: Option<BorrowedFd<'_>>) -> Result<(), VfioError> {
        self.set_vector(vector, event)
    }

    fn share(&self) -> Result<std::os::fd::OwnedFd, VfioError> {
        Self::share(self)
    }
}

/// What is let go of when the device leaves.
struct Held {
    // Before what they hear of.
    _listener: Option<Listener>,
    _faults: Option<FaultWatch>,
    transport: Arc<Transport>,
    wires: Arc<dyn Wires>,
    /// Nothing, of a model.
    function: Option<(Arc<Function>, VectorEvents, Arc<Sentry>)>,
}

/// The function in the hands of a device.
pub(super) struct Direct {
    address: PciAddress,
    held: Mutex<Option<Held>>,
    offered: Features,
    ring_size: u16,
    mtu: Option<u16>,
    reaching: Arc<dyn Reaching>,
    faults: Arc<FaultLog>,
    link: Arc<LinkState>,
    port: Arc<OnceLock<Weak<Port>>>,
}

impl Direct {
    /// Takes a function that was just opened.
    pub(super) fn begin(function: Arc<Function>, joint: &Joint) -> Result<Self, VfioError> {
        check_vectors(&function, VECTORS)?;
        let address = function.address();
        let lacks = |what: String| VfioError::Lacks { address, what };
        let transport = open(&joint.name, &function)?;
        let vectors = VectorEvents::ours(VECTORS)
            .map_err(|errno| lacks(format!("its interrupts get no events: {errno}")))?;
        let faults = FaultLog::open("/dev/kmsg".as_ref(), address);
        let reaching = Identity::new(Arc::clone(function.container()));
        let direct = Self::of(
            (transport, Arc::clone(&function) as _),
            Arc::new(reaching),
            (faults, Arc::clone(&joint.link)),
        )
        .map_err(|error| lacks(error.to_string()))?;
        let hearing = direct.hearing();
        if let Some(held) = &mut *direct.held.lock() {
            let sentry = joint.sentry(&function);
            let make = sentry.beside(1, move || hearing);
            let listener = Listener::start(&joint.name, &vectors, 1, make)
                .map_err(|error| lacks(format!("its interrupts get no thread: {error}")))?;
            held._listener = Some(listener);
            let port = Arc::clone(&direct.port);
            let transport = Arc::clone(&held.transport);
            let told = move |faults: &DmaFaults| {
                if let Some(port) = port.get().and_then(Weak::upgrade)
                    && port.running()
                {
                    end(&transport);
                    port.stop_for_ring(stray(faults));
                }
            };
            held._faults = FaultWatch::start(&joint.name, &direct.faults, told)
                .map_err(|error| lacks(format!("nobody can follow the kernel's log: {error}")))?;
            held.function = Some((function, vectors, sentry));
        }
        direct.listen()?;
        Ok(direct)
    }

    /// Has interrupts of the device's configuration heard here, and those of queues nowhere.
    pub(super) fn listen(&self) -> Result<(), VfioError> {
        if let Some(held) = &*self.held.lock()
            && let Some((function, vectors, _)) = &held.function
        {
            function.set_vectors(vectors)?;
            for queue in 0..QUEUES {
                function.set_vector(vector(queue), None)?;
            }
        }
        Ok(())
    }

    /// The function, to be used otherwise while the device's driver does without.
    pub(super) fn function(&self) -> Result<Arc<Function>, VfioError> {
        let held = self.held.lock();
        let function = held.as_ref().and_then(|held| held.function.as_ref());
        function
            .map(|(function, ..)| Arc::clone(function))
            .ok_or_else(|| VfioError::Lacks {
                address: self.address,
                what: "the device that had it has left".into(),
            })
    }

    /// The same of a device, or a model of one.
    pub(super) fn of(
        (transport, wires): (Transport, Arc<dyn Wires>),
        reaching: Arc<dyn Reaching>,
        (faults, link): (FaultLog, Arc<LinkState>),
    ) -> Result<Self, TransportError> {
        let mut offered = Features::default();
        transport.negotiate(|all| {
            offered = all;
            Features::of_offer(all)
        })?;
        let (mtu, up) = (transport.mtu(), transport.link());
        let ring_size = (0..QUEUES).map(|queue| transport.most(queue)).min();
        transport.reset()?;
        link.set(up);
        Ok(Self {
            held: Mutex::new(Some(Held {
                _listener: None,
                _faults: None,
                transport: Arc::new(transport),
                wires,
                function: None,
            })),
            address: faults.address(),
            offered,
            ring_size: ring_size.unwrap_or_default(),
            mtu,
            reaching,
            faults: Arc::new(faults),
            link,
            port: Arc::default(),
        })
    }

    /// Why the function is not to be had any more.
    pub(super) fn lost(&self) -> Option<String> {
        let held = self.held.lock();
        let (.., sentry) = held.as_ref()?.function.as_ref()?;
        sentry.lost()
    }

    fn hearing(&self) -> Trouble {
        let held = self.held.lock();
        Trouble {
            transport: held.as_ref().map(|held| Arc::clone(&held.transport)),
            link: Arc::clone(&self.link),
            faults: Arc::clone(&self.faults),
            port: Arc::clone(&self.port),
        }
    }

    /// Whose driver it is.
    pub(super) fn seat(&self, port: &Arc<Port>) {
        let _ = self.port.set(Arc::downgrade(port));
    }

    /// Ends it and lets go of the function.
    pub(super) fn close(&self) {
        self.stop();
        *self.held.lock() = None;
    }

    fn with<T>(&self, act: impl FnOnce(&Held) -> Result<T, String>) -> Result<T, String> {
        match &*self.held.lock() {
            Some(held) => act(held),
            None => Err("the device has left its PF".into()),
        }
    }
}

fn place(ring: &DirectRing) -> QueuePlace {
    QueuePlace {
        size: ring.place.size,
        descriptors: ring.place.descriptors,
        driver: ring.place.available,
        device: ring.place.used,
        vector: vector(ring.queue),
    }
}

/// Doorbells are one page after the other, each at its page's beginning.
fn first_page(doorbells: &[Doorbell]) -> Option<u64> {
    let first = doorbells.first()?.file_offset;
    let regular = first.is_multiple_of(PAGE)
        && doorbells
            .iter()
            .zip(0..)
            .all(|(doorbell, page)| doorbell.file_offset == first + page * PAGE);
    regular.then_some(first)
}

impl DirectQueues for Direct {
    fn features(&self) -> u64 {
        (self.offered.0 & Features::RINGS.0) | Features::OURS.0
    }

    fn ring_size(&self) -> u16 {
        self.ring_size
    }

    fn most_mtu(&self) -> Option<u16> {
        self.mtu
    }

    fn doorbells(&self) -> Result<DoorbellPages, String> {
        self.with(|held| {
            let of = |queue| held.transport.doorbell(queue);
            let all: Result<Vec<_>, _> = (0..QUEUES).map(of).collect();
            let all = all.map_err(|error| error.to_string())?;
            let offset = first_page(&all).ok_or(
                "its doorbells are not one to a page, which takes a device with a page for each (QEMU: page-per-vq=on)",
            )?;
            let fd = held.wires.share().map_err(|error| error.to_string())?;
            Ok(DoorbellPages { fd, offset })
        })
    }

    fn reaching(&self) -> Arc<dyn Reaching> {
        Arc::clone(&self.reaching)
    }

    fn start(&self, features: u64, rings: &[DirectRing]) -> Result<(), String> {
        self.with(|held| {
            let transport = &held.transport;
            let begin = || -> Result<(), TransportError> {
                transport.negotiate(|offered| Features::for_driver(Features(features), offered))?;
                transport.set_config_vector(VECTOR_CONFIG)?;
                self.link.set(transport.link());
                for ring in rings {
                    transport.enable_queue(ring.queue, &place(ring))?;
                }
                transport.drive();
                Ok(())
            };
            begin().map_err(|error| {
                if let Err(error) = transport.reset() {
                    tracing::error!(%error, "ending a device that could not begin");
                }
                error.to_string()
            })
        })
    }

    fn enable(&self, ring: &DirectRing) -> Result<(), String> {
        self.with(|held| {
            let doorbell = held.transport.enable_queue(ring.queue, &place(ring));
            let doorbell = doorbell.map_err(|error| error.to_string())?;
            // What was made available before was told to nobody.
            held.transport.ring(&doorbell);
            Ok(())
        })
    }

    fn disable(&self, queue: u16) -> Result<(), String> {
        self.with(|held| {
            let ended = held.transport.reset_queue(queue);
            ended.map_err(|error| error.to_string())
        })
    }

    fn stop(&self) {
        let stopped = self.with(|held| {
            for queue in 0..QUEUES {
                if let Err(error) = held.wires.wire(vector(queue), None) {
                    tracing::error!(%error, queue, "an interrupt stays wired");
                }
            }
            let ended = held.transport.reset();
            if ended.is_err()
                && let Some((function, ..)) = &held.function
            {
                // What the device does not end its function's reset does.
                let reset = function.reset().and_then(|()| function.master(true));
                reset.map_err(|error| error.to_string())?;
            }
            ended.map_err(|error| error.to_string())
        });
        if let Err(why) = stopped {
            tracing::error!(why, "ending what hardware does for a device");
        }
    }

    fn ring(&self, queue: u16) {
        let _ = self.with(|held| {
            held.transport.ring_queue(queue);
            Ok(())
        });
    }

    fn wire(&self, queue: u16, event: Option<BorrowedFd<'_>>) -> Result<(), String> {
        self.with(|held| {
            let wired = held.wires.wire(vector(queue), event);
            wired.map_err(|error| error.to_string())
        })
    }

    fn dma_faults(&self) -> DmaFaults {
        self.faults.known()
    }
}

/// Hears what the device says of its configuration.
struct Trouble {
    transport: Option<Arc<Transport>>,
    link: Arc<LinkState>,
    faults: Arc<FaultLog>,
    port: Arc<OnceLock<Weak<Port>>>,
}

impl Hearing for Trouble {
    fn heard(&mut self, _: usize) {
        let Some(transport) = &self.transport else {
            return;
        };
        if transport.is_gone() {
            // Whoever watches over the function tells.
            return;
        }
        if !transport.needs_reset() {
            self.link.set(transport.link());
            return;
        }
        end(transport);
        let Some(port) = self.port.get().and_then(Weak::upgrade) else {
            return;
        };
        port.stop_for_ring(reason(&self.faults.look()));
    }
}

/// Hardware is not left to go on for a driver that does not care that its device was stopped.
fn end(transport: &Transport) {
    if let Err(error) = transport.reset() {
        tracing::error!(%error, "ending hardware of a device that is stopped");
    }
}

/// Why a device was stopped whose driver has named addresses outside of its memory.
fn stray(faults: &DmaFaults) -> String {
    let last = faults.last.as_deref().unwrap_or("a fault");
    format!("a descriptor or ring leads outside of the guest's memory; the kernel says: {last}")
}

/// Why hardware went no further, as far as anybody says.
fn reason(faults: &DmaFaults) -> String {
    let what = "the hardware cannot go on with the driver's rings (DEVICE_NEEDS_RESET)";
    match (&faults.last, &faults.unavailable) {
        (Some(last), _) => format!("{what}; the kernel says: {last}"),
        (None, Some(why)) => format!("{what}; whether it was DMA is not known: {why}"),
        (None, None) => format!("{what}; the kernel reports no DMA outside of the guest's memory"),
    }
}
