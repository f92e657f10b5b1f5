//! The public face of a device.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use parking_lot::Mutex;

use super::device::Device;
use super::health::{Health, Memory};
use super::host::DeviceHost;
use super::irq::{self, IrqError, IrqRequest};
use super::policy::{PolicyError, PortPolicy, Seat};
use super::regions::{self, CONFIG, RegionInfo};
use super::spec::{ComposeError, CvfSpec};
use super::stats::{CvfStats, Misbehaviour};
use crate::control::Gatekeeper;
use crate::dataplane::{Endpoint, LineKind, Port, Quiescing, Tap, TapError, Wanted};
use crate::ledger::Slice;
use crate::limits::QUIESCE_DEADLINE;
use crate::mem::{MapError, MapRequest, fault_count};
use crate::offload::PackedMac;
use crate::pci::AccessError;
use crate::personality::virtio_net::{VirtioNet, VirtioNetConfig, bits, receive_offloads};
use crate::personality::{DoorbellRegister, Personality, Status};
use crate::pf::PhysicalFunction;
use crate::ring::RingFeatures;
use crate::switch::{PortConfig, PortKind, Vid};

/// A composed virtual function. All methods may be called from any thread; none is async. Calls of
/// one client come from one session, so the locks inside are never contended for long.
pub struct Cvf {
    pub(super) device: Device,
    personality: Mutex<Box<dyn Personality>>,
    regions: Vec<RegionInfo>,
    /// What it has from its PF; `None` once dismantled.
    slice: Mutex<Option<Slice>>,
}

/// What a device of so many queue pairs may offer.
///
/// Linux asks by command while it probes where it sees hash reports, statistics or several queue
/// pairs, and waits for the answer for ever: a guest whose memory is not shared with us hangs there.
/// A device with one pair offers nothing that Linux asks about, so that such a guest comes up, and
/// only its network does not work.
pub(super) const fn offered(pairs: u16) -> u64 {
    if pairs > 1 {
        u64::MAX
    } else {
        !(bits::HASH_REPORT | bits::DEVICE_STATS)
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
        let slice = pf.ledger().cut(&spec.name, &spec.request())?;
        let policy = spec.policy.clone();
        let seat = Seat::take(&policy, spec.uuid).map_err(PolicyError::from)?;
        let settings = VirtioNetConfig {
            mtu: spec.mtu,
            queue_pairs: spec.queue_pairs,
            interrupts: spec.interrupts,
            doorbells: spec.doorbells,
            shown_pairs: spec.policy.queues.pairs,
            features: offered(spec.policy.queues.allowed(spec.queue_pairs))
                & gate.features()
                & !spec.policy.masked(),
            ring_formats: spec.ring_formats,
            ..VirtioNetConfig::new(spec.mac)
        };
        let personality: Box<dyn Personality> = Box::new(VirtioNet::new(settings)?);
        let regions = regions::describe(personality.as_ref())?;
        // Without a mappable region every doorbell is a message, whatever was asked for.
        let polled = regions.iter().any(|region| region.map.is_some());
        let port = Arc::new(Port::new(spec.queue_pairs, personality.vectors(), polled));
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
        let device = Device::new(spec, pf, port, gate, personality.queues());
        seat.keep();
        Ok(Arc::new(Self {
            device,
            personality: Mutex::new(personality),
            regions,
            slice: Mutex::new(Some(slice)),
        }))
    }

    /// What it was composed from; address, MTU and VLAN may be others since.
    pub const fn spec(&self) -> &CvfSpec {
        &self.device.spec
    }

    /// Its PF.
    pub fn pf(&self) -> &Arc<dyn PhysicalFunction> {
        &self.device.pf
    }

    /// Its VFIO regions, by index.
    pub fn regions(&self) -> &[RegionInfo] {
        &self.regions
    }

    /// Interrupt lines by VFIO index: INTx, MSI, MSI-X, error, request.
    pub fn irq_counts(&self) -> [u32; 5] {
        let lines = &self.device.port.interrupts;
        [
            lines.count(LineKind::Intx),
            0,
            lines.count(LineKind::Msix),
            0,
            0,
        ]
    }

    /// Calls into the personality, then does what it asked to be done afterwards.
    pub(super) fn act<T>(
        &self,
        call: impl FnOnce(&mut dyn Personality, &mut DeviceHost<'_>) -> T,
    ) -> T {
        let mut personality = self.personality.lock();
        let mut host = DeviceHost::new(&self.device);
        let faults = fault_count();
        let result = call(personality.as_mut(), &mut host);
        if let Some(features) = host.started.take() {
            let has = |bit: u64| features & bit != 0;
            self.device.rings.lock().features = RingFeatures {
                event_idx: has(bits::EVENT_IDX),
                indirect: has(bits::INDIRECT_DESC),
                merge: has(bits::MRG_RXBUF),
                hash_report: has(bits::HASH_REPORT),
                in_order: has(bits::IN_ORDER),
            };
            self.device.port.set_accepts(receive_offloads(features));
            let mtu = has(bits::MTU).then(|| personality.status().mtu);
            self.device.port.set_mtu(mtu);
            self.device.launch(|queue| personality.role(queue));
            host.commands = true;
        }
        if host.commands {
            self.commands(personality.as_mut());
        }
        if fault_count() != faults {
            self.device
                .port
                .truncated(faults, &self.device.port.memory.load(), || false);
        }
        result
    }

    /// Executes what waits in the control queue.
    fn commands(&self, personality: &mut dyn Personality) {
        let device = &self.device;
        let mut host = DeviceHost::new(device);
        let fail = |error: crate::ring::RingError| {
            if matches!(error, crate::ring::RingError::Away(_)) {
                // A driver waits for its answer and does not ring twice: whoever maps goes on.
                device.rings.lock().commands_wait = true;
            } else {
                device.refused(format!("control queue: {error}"));
                device.port.stop_for_ring(format!("control queue: {error}"));
            }
        };
        // At most what a ring holds: a guest that refills while we work has to ring again.
        for _ in 0..crate::limits::MAX_RING_SIZE {
            if device.port.stopped() {
                return;
            }
            let regions = device.port.memory.load();
            let Some(mut control) = device.rings.lock().control.take() else {
                return;
            };
            let command = match control.take(&regions) {
                Ok(Some(command)) => command,
                Ok(None) => {
                    device.rings.lock().control = Some(control);
                    return;
                }
                Err(error) => {
                    device.rings.lock().control = Some(control);
                    return fail(error);
                }
            };
            let answer = personality.command(&mut host, &command.bytes, command.room);
            let answered = control.answer(&regions, &command, &answer);
            let mut rings = device.rings.lock();
            rings.control = Some(control);
            let vector = rings.control_vector;
            drop(rings);
            match answered {
                Ok(true) => {
                    device.port.interrupts.queue(vector);
                }
                Ok(false) => {}
                Err(error) => return fail(error),
            }
        }
    }

    fn no_region(region: u32, offset: u64, len: usize) -> AccessError {
        let region = if region == 6 {
            "ROM"
        } else {
            "region without content"
        };
        AccessError {
            region,
            offset,
            len,
            size: 0,
        }
    }

    /// Reads a region.
    ///
    /// # Errors
    /// [`AccessError`]: no such region, or beyond its end.
    pub fn read(&self, region: u32, offset: u64, data: &mut [u8]) -> Result<(), AccessError> {
        match region {
            CONFIG => self.act(|p, host| p.config_read(host, offset, data)),
            bar @ 0..=5 => self.act(|p, host| p.read(host, bar as u8, offset, data)),
            _ => Err(Self::no_region(region, offset, data.len())),
        }
    }

    /// Writes a region.
    ///
    /// # Errors
    /// [`AccessError`]: no such region, or beyond its end.
    pub fn write(&self, region: u32, offset: u64, data: &[u8]) -> Result<(), AccessError> {
        match region {
            CONFIG => self
                .act(|p, host| p.config_write(host, offset, data))
                .map(drop),
            bar @ 0..=5 => self.act(|p, host| p.write(host, bar as u8, offset, data)),
            _ => Err(Self::no_region(region, offset, data.len())),
        }
    }

    /// Registers that ring data queues, whose writes a client may signal by an event instead.
    pub fn doorbell_registers(&self) -> Vec<DoorbellRegister> {
        self.personality.lock().doorbell_registers()
    }

    /// Does what a driver's write to that register does; nothing where no driver runs.
    pub fn ring(&self, register: &DoorbellRegister) {
        let (bar, offset) = (register.bar, register.offset);
        // A notification with or without data (virtio 1.3 4.1.5.2) says that much. It is inside the
        // BAR: the personality named it.
        let value = u32::from(register.queue).to_le_bytes();
        let _ = self.act(|p, host| p.write(host, bar, offset, &value));
    }

    /// Makes guest memory reachable.
    ///
    /// # Errors
    /// [`MapError`]; it is remembered as the last refusal.
    pub fn map(&self, request: MapRequest) -> Result<(), MapError> {
        let device = &self.device;
        let mapped = device.port.memory.map(request);
        if let Err(error) = &mapped {
            device.refused(error.to_string());
            return mapped;
        }
        if device.port.take_away() {
            for queue in 0..device.port.transmit.len() as u16 {
                device.fabric().schedule(&device.port, queue);
            }
        }
        if std::mem::take(&mut device.rings.lock().commands_wait) {
            self.act(|_, host| host.commands = true);
        }
        mapped
    }

    /// Takes guest memory away. It counts once the result is waited for.
    ///
    /// # Errors
    /// [`MapError::NotFound`].
    pub fn unmap(&self, iova: u64, size: u64) -> Result<Quiescing, MapError> {
        let before = self.device.port.memory.unmap(iova, size);
        let before = before.inspect_err(|error| self.device.refused(error.to_string()))?;
        Ok(Quiescing::new(Arc::clone(&self.device.port), Some(before)))
    }

    /// Takes all guest memory away.
    pub fn unmap_all(&self) -> Quiescing {
        let before = self.device.port.memory.clear();
        Quiescing::new(Arc::clone(&self.device.port), Some(before))
    }

    /// Changes interrupt lines. A returned descriptor is to be watched: each time it becomes
    /// readable, read it and call [`Self::unmask_intx`].
    ///
    /// # Errors
    /// [`IrqError`].
    pub fn set_irqs(&self, request: IrqRequest) -> Result<Option<OwnedFd>, IrqError> {
        irq::apply(&self.device.port.interrupts, request)
            .inspect_err(|error| self.device.refused(error.to_string()))
    }

    /// The client has seen INTx and lets the next one through.
    pub fn unmask_intx(&self) {
        let _ = self
            .device
            .port
            .interrupts
            .mask(LineKind::Intx, 0, 1, false);
    }

    /// Resets device and configuration space.
    pub fn reset(&self) -> Quiescing {
        self.act(|personality, host| personality.reset(host));
        Quiescing::new(Arc::clone(&self.device.port), None)
    }

    /// A client arrived.
    pub fn connected(&self) {
        self.device.forget_refusals();
        *self.device.memory.lock() = Memory::Unknown;
    }

    /// The client is gone: reset, no maps, no interrupt lines.
    pub fn disconnected(&self) -> Quiescing {
        self.act(|personality, host| {
            host.leaving = true;
            personality.reset(host);
        });
        self.device.port.interrupts.disable(LineKind::Intx);
        self.device.port.interrupts.disable(LineKind::Msix);
        self.unmap_all()
    }

    /// Sets the link the driver sees. True if it changed.
    pub fn set_link(&self, up: bool) -> bool {
        self.act(|personality, host| personality.set_link(host, up))
    }

    /// Asks the driver to announce itself. True if it will.
    pub fn announce(&self) -> bool {
        self.act(|personality, host| personality.announce(host))
    }

    pub(super) fn status(&self) -> Status {
        self.personality.lock().status()
    }

    /// The driver runs and the device was not stopped under it. Costs two loads.
    pub fn driver_runs(&self) -> bool {
        let port = &self.device.port;
        port.running() && !port.stopped()
    }

    /// Changes what its frames may claim and how many there may be. The next burst of frames keeps to it. A rate that
    /// is changed is not granted anew what was used up of it.
    ///
    /// # Errors
    /// [`PolicyError`]: a policy that cannot be, or the device was dismantled.
    pub fn set_policy(&self, policy: PortPolicy) -> Result<(), PolicyError> {
        self.device.set_policy(policy)
    }

    /// The policy in force.
    pub fn policy(&self) -> PortPolicy {
        self.device.policy.lock().clone()
    }

    /// How it is.
    pub fn health(&self) -> Health {
        let status = self.status();
        let (device, port) = (&self.device, &self.device.port);
        let regions = port.memory.load();
        let fault = port.fault();
        Health {
            driver: if fault.is_some() {
                "needs reset"
            } else {
                status.state.as_str()
            },
            reason: fault.or(status.reason),
            features: status.features,
            feature_names: status.feature_names,
            memory: *device.memory.lock(),
            last_refusal: device.last_refusal(),
            maps: regions.count(),
            mapped_bytes: regions.bytes(),
            active_pairs: port.active_pairs(),
            steering: port.steering(),
            queue_pairs: device.spec.queue_pairs,
            pending_features: {
                let masked = device.policy.lock().masked();
                crate::personality::virtio_net::feature_names(status.features & masked)
            },
            mac: device.wishes.lock().mac,
            link_up: status.link_up,
            worker_polls: port.polled && port.running(),
        }
    }

    /// What it counted.
    pub fn stats(&self) -> CvfStats {
        CvfStats::of(&self.device.port)
    }

    /// How many of its guest's frames claimed or were what they must not: a few numbers, to be asked for often.
    pub fn misbehaviour(&self) -> Misbehaviour {
        Misbehaviour::of(&self.device.port)
    }

    /// Has what its guest sends and receives copied from the next burst on, until [`Self::untap`].
    ///
    /// # Errors
    /// [`TapError`].
    pub fn tap(&self, wanted: Wanted) -> Result<Arc<Tap>, TapError> {
        self.device.port.tap(wanted)
    }

    /// Ends that.
    pub fn untap(&self, tap: &Arc<Tap>) {
        self.device.port.untap(tap);
    }

    /// How many look at what passes.
    pub fn taps(&self) -> usize {
        self.device.port.taps()
    }

    /// Leaves the switch and gives the slice back. Idempotent; the device does nothing afterwards.
    pub fn dismantle(&self) -> Quiescing {
        let slice = self.slice.lock().take();
        if let Some(slice) = slice {
            self.device.fabric().detach(self.device.port.id());
            self.device.port.end_taps();
            drop(self.disconnected());
            self.device.leave_group();
            slice.release();
        }
        Quiescing::new(Arc::clone(&self.device.port), None)
    }
}

impl Drop for Cvf {
    fn drop(&mut self) {
        // Nobody waits any more; without this the last to let go of the memory may be a worker.
        let _ = self.dismantle().wait(QUIESCE_DEADLINE);
    }
}
