//! The device as its driver sees it over PCI (virtio 1.3 4.1): status, features, queues, doorbells.
//!
//! Owns the registers. Never knows what queues are for. What another needs that has the device work its own
//! queues is here, too: [`Transport::enable_queue`] takes any addresses, [`Transport::doorbell`] says where a doorbell is.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::capabilities::{CONFIG_SPACE, Layout, LayoutError, Structure};
use super::features::Features;
use super::regs;
use crate::pf::vfio::Registers;

/// How long the device is given to end or begin something.
const PATIENCE: Duration = Duration::from_millis(500);
/// How often device configuration is read until it stands still (2.5.1).
const GENERATIONS: u32 = 16;

/// Why the device cannot be driven.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    /// Its structures.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// A structure is not inside of its BAR.
    #[error("its {part} structure ends behind BAR {bar}")]
    Beyond {
        /// Which.
        part: &'static str,
        /// Where.
        bar: u8,
    },
    /// A BAR cannot be had.
    #[error("{0}")]
    Bar(String),
    /// It is not there any more.
    #[error("it has gone: its registers do not answer")]
    Gone,
    /// It takes too long.
    #[error("it does not answer in time: {0}")]
    Slow(&'static str),
    /// It lacks what is needed.
    #[error("it does not offer {0} (QEMU: disable-legacy=on,iommu_platform=on,queue_reset=on)")]
    Lacks(String),
    /// It refuses what it has offered.
    #[error("it refuses a part of the features that it offers ({0})")]
    Refuses(String),
    /// A queue cannot be as it is wanted.
    #[error("queue {queue}: {why}")]
    Queue {
        /// Which.
        queue: u16,
        /// Why.
        why: &'static str,
    },
    /// A vector is not given.
    #[error("it gives no interrupt vector {0}")]
    Vector(u16),
}

/// A BAR of the function.
#[derive(Clone)]
pub(super) struct BarView {
    pub registers: Arc<dyn Registers>,
    /// Bytes.
    pub len: u64,
    /// Where it begins in the function's descriptor.
    pub file_offset: u64,
}

/// A structure in its BAR, whole inside.
struct Window {
    bar: BarView,
    part: Structure,
}

impl Window {
    fn new(name: &'static str, bar: BarView, part: Structure) -> Result<Self, TransportError> {
        if u64::from(part.offset) + u64::from(part.length) > bar.len {
            let bar = part.bar;
            return Err(TransportError::Beyond { part: name, bar });
        }
        Ok(Self { bar, part })
    }

    // Offsets are within `part`, whose end an offset can say.
    fn read8(&self, at: u32) -> u8 {
        self.bar.registers.read8(self.part.offset + at)
    }

    fn read16(&self, at: u32) -> u16 {
        self.bar.registers.read16(self.part.offset + at)
    }

    fn read32(&self, at: u32) -> u32 {
        self.bar.registers.read32(self.part.offset + at)
    }

    fn write8(&self, at: u32, value: u8) {
        self.bar.registers.write8(self.part.offset + at, value);
    }

    fn write16(&self, at: u32, value: u16) {
        self.bar.registers.write16(self.part.offset + at, value);
    }

    fn write32(&self, at: u32, value: u32) {
        self.bar.registers.write32(self.part.offset + at, value);
    }

    fn write64(&self, at: u32, value: u64) {
        self.bar.registers.write64(self.part.offset + at, value);
    }
}

/// A queue as it is to be: addresses are those that the device's DMA uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct QueuePlace {
    /// Descriptors, a power of two.
    pub size: u16,
    /// Descriptor table.
    pub descriptors: u64,
    /// Driver area: the available ring.
    pub driver: u64,
    /// Device area: the used ring.
    pub device: u64,
    /// Its interrupt; [`regs::NO_VECTOR`] for none.
    pub vector: u16,
}

/// Where a queue's doorbell is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Doorbell {
    /// The BAR.
    pub bar: u8,
    /// The place in it.
    pub offset: u32,
    /// The place in the function's descriptor, for whoever maps it.
    pub file_offset: u64,
    /// Its queue, which is what is written there.
    pub queue: u16,
}

/// What is decided under `queue_select`.
#[derive(Default)]
struct Selected {
    /// Queues that are enabled.
    enabled: Vec<Doorbell>,
}

/// A device, or a model of one.
pub(super) struct Transport {
    common: Window,
    notify: Window,
    multiplier: u32,
    device: Window,
    /// What was negotiated.
    features: AtomicU64,
    selected: Mutex<Selected>,
    /// `DRIVER_OK` was set: before that nothing may be notified (3.1.1).
    live: AtomicBool,
    name: String,
}

impl Transport {
    /// The device whose configuration space this is; `bar` gives its BARs.
    pub(super) fn open(
        name: &str,
        config: &[u8; CONFIG_SPACE],
        bar: impl Fn(u8) -> Result<BarView, String>,
    ) -> Result<Self, TransportError> {
        let layout = Layout::find(config)?;
        let mut bars: Vec<(u8, BarView)> = Vec::new();
        let mut window = |name, part: Structure| {
            let known = bars.iter().find(|(index, _)| *index == part.bar);
            let view = match known {
                Some((_, view)) => view.clone(),
                None => {
                    let view = bar(part.bar).map_err(TransportError::Bar)?;
                    bars.push((part.bar, view.clone()));
                    view
                }
            };
            Window::new(name, view, part)
        };
        // With MSI-X nobody asks for the ISR status (4.1.4.5).
        window("ISR status", layout.isr)?;
        Ok(Self {
            common: window("common configuration", layout.common)?,
            notify: window("notification", layout.notify)?,
            multiplier: layout.multiplier,
            device: window("device configuration", layout.device)?,
            features: AtomicU64::default(),
            selected: Mutex::default(),
            live: AtomicBool::new(false),
            name: name.to_owned(),
        })
    }

    /// Waits until something is so.
    fn wait(&self, what: &'static str, done: impl Fn() -> bool) -> Result<(), TransportError> {
        let until = Instant::now() + PATIENCE;
        while !done() {
            if Instant::now() >= until {
                tracing::warn!(pf = self.name, what, "the device takes too long");
                return Err(TransportError::Slow(what));
            }
            std::thread::yield_now();
        }
        Ok(())
    }

    fn status(&self) -> u8 {
        self.common.read8(regs::DEVICE_STATUS)
    }

    /// Nobody answers: a status of all ones is none (2.1).
    pub(super) fn is_gone(&self) -> bool {
        self.status() == u8::MAX
    }

    fn add_status(&self, bits: u8) {
        self.common
            .write8(regs::DEVICE_STATUS, self.status() | bits);
    }

    /// Ends everything that the device does. Done when it says so (4.1.4.3.2), or has gone, which is an error.
    pub(super) fn reset(&self) -> Result<(), TransportError> {
        let mut selected = self.selected.lock();
        self.live.store(false, Ordering::Release);
        *selected = Selected::default();
        if self.is_gone() {
            return Err(TransportError::Gone);
        }
        self.common.write8(regs::DEVICE_STATUS, 0);
        self.wait("reset", || self.status() == 0)
    }

    /// Resets it and comes to terms with it (3.1.1 steps 1 to 6): then queues can be set up. `choose` takes of what it
    /// offers, or says what that lacks.
    pub(super) fn negotiate(
        &self,
        choose: impl FnOnce(Features) -> Result<Features, Features>,
    ) -> Result<Features, TransportError> {
        self.reset()?;
        self.add_status(regs::ACKNOWLEDGE);
        self.add_status(regs::DRIVER);
        let offered = Features((0..2).fold(0, |all, half| {
            self.common.write32(regs::DEVICE_FEATURE_SELECT, half);
            all | u64::from(self.common.read32(regs::DEVICE_FEATURE)) << (32 * half)
        }));
        let taken = choose(offered).map_err(|lacking| {
            self.add_status(regs::FAILED);
            TransportError::Lacks(lacking.to_string())
        })?;
        for half in 0..2 {
            self.common.write32(regs::DRIVER_FEATURE_SELECT, half);
            let bits = (taken.0 >> (32 * half)) as u32;
            self.common.write32(regs::DRIVER_FEATURE, bits);
        }
        self.add_status(regs::FEATURES_OK);
        if self.status() & regs::FEATURES_OK == 0 {
            self.add_status(regs::FAILED);
            return Err(TransportError::Refuses(taken.to_string()));
        }
        self.features.store(taken.0, Ordering::Release);
        Ok(taken)
    }

    /// What was negotiated.
    pub(super) fn features(&self) -> Features {
        Features(self.features.load(Ordering::Acquire))
    }

    /// Has it begin (3.1.1 step 8), and tells it of all queues that are enabled: what was made available there before
    /// was told to nobody.
    pub(super) fn drive(&self) {
        let selected = self.selected.lock();
        self.add_status(regs::DRIVER_OK);
        self.live.store(true, Ordering::Release);
        for doorbell in &selected.enabled {
            self.write_doorbell(doorbell);
        }
    }

    /// It cannot go on (2.1.1).
    pub(super) fn needs_reset(&self) -> bool {
        self.status() & regs::DEVICE_NEEDS_RESET != 0
    }

    /// The vector of configuration changes.
    pub(super) fn set_config_vector(&self, vector: u16) -> Result<(), TransportError> {
        self.common.write16(regs::CONFIG_MSIX_VECTOR, vector);
        // 4.1.5.1.2.2: success is what reads back.
        let given = self.common.read16(regs::CONFIG_MSIX_VECTOR) == vector;
        given.then_some(()).ok_or(TransportError::Vector(vector))
    }

    /// Queues that the device has.
    pub(super) fn queues(&self) -> u16 {
        self.common.read16(regs::NUM_QUEUES)
    }

    /// Descriptors that a queue may have, a power of two; 0 where there is none.
    pub(super) fn most(&self, queue: u16) -> u16 {
        let _selected = self.selected.lock();
        self.common.write16(regs::QUEUE_SELECT, queue);
        let most = self.common.read16(regs::QUEUE_SIZE);
        // A device that says anything else is taken at the next power of two below.
        most.checked_ilog2().map_or(0, |exponent| 1 << exponent)
    }

    /// Where the doorbell of the selected queue is (4.1.4.4).
    fn selected_doorbell(&self, queue: u16) -> Result<Doorbell, TransportError> {
        let refuse = TransportError::Queue {
            queue,
            why: "its doorbell lies outside of the notification structure",
        };
        let steps = u64::from(self.common.read16(regs::QUEUE_NOTIFY_OFF));
        let at = steps * u64::from(self.multiplier);
        let part = &self.notify.part;
        if !at.is_multiple_of(2) || at + 2 > u64::from(part.length) {
            return Err(refuse);
        }
        // Below the structure's end, which an offset can say.
        let offset = part.offset + at as u32;
        Ok(Doorbell {
            bar: part.bar,
            offset,
            file_offset: self.notify.bar.file_offset + u64::from(offset),
            queue,
        })
    }

    /// Where a queue's doorbell is.
    pub(super) fn doorbell(&self, queue: u16) -> Result<Doorbell, TransportError> {
        let _selected = self.selected.lock();
        self.common.write16(regs::QUEUE_SELECT, queue);
        self.selected_doorbell(queue)
    }

    /// Takes a queue into use (4.1.5.1.3); it is not before [`Self::drive`] that the device works it.
    pub(super) fn enable_queue(
        &self,
        queue: u16,
        place: &QueuePlace,
    ) -> Result<Doorbell, TransportError> {
        let refuse = |why| TransportError::Queue { queue, why };
        let mut selected = self.selected.lock();
        self.common.write16(regs::QUEUE_SELECT, queue);
        if self.common.read16(regs::QUEUE_ENABLE) != 0 {
            return Err(refuse("it is in use"));
        }
        if place.size == 0 || place.size > self.common.read16(regs::QUEUE_SIZE) {
            return Err(refuse("it does not have so many descriptors"));
        }
        let doorbell = self.selected_doorbell(queue)?;
        self.common.write16(regs::QUEUE_SIZE, place.size);
        self.common.write16(regs::QUEUE_MSIX_VECTOR, place.vector);
        if self.common.read16(regs::QUEUE_MSIX_VECTOR) != place.vector {
            return Err(TransportError::Vector(place.vector));
        }
        self.common.write64(regs::QUEUE_DESC, place.descriptors);
        self.common.write64(regs::QUEUE_DRIVER, place.driver);
        self.common.write64(regs::QUEUE_DEVICE, place.device);
        self.common.write16(regs::QUEUE_ENABLE, 1);
        selected.enabled.push(doorbell);
        Ok(doorbell)
    }

    /// Takes a queue out of use (4.1.4.3.2, `VIRTIO_F_RING_RESET`): on return the device accesses nothing of it.
    /// Where it does not end in time all of the device is ended.
    pub(super) fn reset_queue(&self, queue: u16) -> Result<(), TransportError> {
        let mut selected = self.selected.lock();
        selected.enabled.retain(|doorbell| doorbell.queue != queue);
        if self.is_gone() {
            return Ok(());
        }
        self.common.write16(regs::QUEUE_SELECT, queue);
        if self.common.read16(regs::QUEUE_ENABLE) == 0 {
            return Ok(());
        }
        self.common.write16(regs::QUEUE_RESET, 1);
        let ended = self.wait("queue reset", || {
            self.common.read16(regs::QUEUE_RESET) == 0
                && self.common.read16(regs::QUEUE_ENABLE) == 0
        });
        drop(selected);
        if let Err(error) = ended {
            tracing::error!(pf = self.name, queue, %error, "the device is ended as a whole");
            self.reset()?;
            return Err(error);
        }
        Ok(())
    }

    fn write_doorbell(&self, doorbell: &Doorbell) {
        let registers = &self.notify.bar.registers;
        registers.write16(doorbell.offset, doorbell.queue);
    }

    /// Tells the device that something was made available (4.1.5.2).
    #[inline]
    pub(super) fn ring(&self, doorbell: &Doorbell) {
        if self.live.load(Ordering::Acquire) {
            self.write_doorbell(doorbell);
        }
    }

    /// The same of a queue, if it is in use.
    pub(super) fn ring_queue(&self, queue: u16) {
        let selected = self.selected.lock();
        let doorbell = selected.enabled.iter().find(|one| one.queue == queue);
        if let Some(doorbell) = doorbell {
            self.ring(doorbell);
        }
    }

    /// Device configuration, read until it stood still meanwhile (2.5.1); as it is after so many tries.
    fn stable<T>(&self, read: impl Fn(&Window) -> T) -> T {
        let generation = || self.common.read8(regs::CONFIG_GENERATION);
        let mut tries = 0;
        loop {
            let before = generation();
            let value = read(&self.device);
            tries += 1;
            if generation() == before || tries == GENERATIONS {
                return value;
            }
        }
    }

    /// Its address, if it states one (5.1.4).
    pub(super) fn mac(&self) -> Option<[u8; 6]> {
        let mac = |device: &Window| [0, 1, 2, 3, 4, 5].map(|at| device.read8(regs::NET_MAC + at));
        let stated = self.features().has(Features::MAC);
        stated.then(|| self.stable(mac))
    }

    /// Its link is up; it is where it does not state one (5.1.4.2).
    pub(super) fn link(&self) -> bool {
        !self.features().has(Features::STATUS)
            || self.stable(|device| device.read16(regs::NET_STATUS)) & regs::NET_LINK_UP != 0
    }

    /// Its MTU, if it states one.
    pub(super) fn mtu(&self) -> Option<u16> {
        let stated = self.features().has(Features::MTU);
        stated.then(|| self.stable(|device| device.read16(regs::NET_MTU)))
    }

    /// Queue pairs that it has; 1 where it does not state a number.
    pub(super) fn pairs(&self) -> u16 {
        if !self.features().has(Features::MQ) {
            return 1;
        }
        let stated = self.stable(|device| device.read16(regs::NET_MAX_PAIRS));
        // A queue for each direction, and the control queue.
        stated.clamp(1, (self.queues().saturating_sub(1) / 2).max(1))
    }

    /// The control queue, if there is one (5.1.2).
    pub(super) fn control_queue(&self) -> Option<u16> {
        let there = self.features().has(Features::CTRL_VQ);
        there.then(|| 2 * self.pairs())
    }
}
