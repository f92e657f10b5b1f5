//! The public face of a device.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};

use super::device::Device;
use super::direct::UNENFORCED;
use super::health::{HardwarePath, Health, Memory};
use super::host::DeviceHost;
use super::irq::{self, IrqError, IrqRequest};
use super::policy::{PolicyError, PortPolicy};
use super::regions::{CONFIG, RegionInfo};
use super::spec::CvfSpec;
use super::stats::{CvfStats, Misbehaviour};
use crate::control::ControlRequest;
use crate::dataplane::{Alarm, LineKind, Quiescing, Tap, TapError, Wanted};
use crate::limits::{MAILBOX_TURN, MAX_MAILBOX_QUEUE, QUIESCE_DEADLINE};
use crate::mem::{MapError, MapRequest, fault_count};
use crate::pci::AccessError;
use crate::personality::virtio_net::bits;
use crate::personality::{DoorbellRegister, Personality, Status};
use crate::pf::PhysicalFunction;
use crate::ring::RingFeatures;

/// A composed virtual function. All methods may be called from any thread; none is async. Calls of
/// one client come from one session, so the locks inside are never contended for long.
pub struct Cvf {
    pub(super) device: Device,
    pub(super) personality: Mutex<Box<dyn Personality>>,
    pub(super) regions: Vec<RegionInfo>,
}

impl Cvf {
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
        self.begin(personality.as_mut(), &mut host);
        if std::mem::take(&mut host.commands) {
            self.commands(personality.as_mut());
            self.device.write_letters(None);
            // At most what its queue holds: a guest that goes on sending has to move the tail again.
            for _ in 0..MAX_MAILBOX_QUEUE.div_ceil(MAILBOX_TURN) {
                if !self.read_letters(personality.as_mut(), &mut host) {
                    break;
                }
                MutexGuard::bump(&mut personality);
            }
        }
        if fault_count() != faults {
            self.device
                .port
                .truncated(faults, &self.device.port.memory.load(), || false);
        }
        let rung = host.rung;
        drop(personality);
        if let Some(pair) = rung {
            // May forward a frame: whoever else calls into the personality does not wait for that.
            self.device.fabric().heard(&self.device.port, pair);
        }
        result
    }

    /// Takes rings into use, if the driver has become ready.
    pub(super) fn begin(&self, personality: &mut dyn Personality, host: &mut DeviceHost<'_>) {
        let Some(features) = host.started.take() else {
            return;
        };
        let has = |bit: u64| features & bit != 0;
        self.device.rings.lock().features = RingFeatures {
            event_idx: has(bits::EVENT_IDX),
            indirect: has(bits::INDIRECT_DESC),
            merge: has(bits::MRG_RXBUF),
            hash_report: has(bits::HASH_REPORT),
            in_order: has(bits::IN_ORDER),
        };
        let accepts = self.device.spec.model.accepts(features);
        self.device.port.set_accepts(accepts);
        let is_told = self.device.spec.model.tells_mtu(features);
        let mtu = is_told.then(|| personality.status().mtu);
        self.device.port.set_mtu(mtu);
        self.device
            .launch(features, |queue| personality.role(queue));
        host.commands = true;
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
        if let Some(direct) = &device.direct
            && direct.running()
        {
            // Its driver uses it as soon as it is told.
            device.port.bring_within_reach();
            if let (_, Some(why)) = device.port.reached() {
                device.port.stop(format!(
                    "hardware does not reach all of the guest's memory: {why}"
                ));
            }
        }
        if device.port.take_away() {
            for queue in 0..device.port.transmit.len() as u16 {
                device.fabric().schedule(&device.port, queue);
            }
            for lane in 0..device.port.lane_count() {
                device.fabric().wake(&device.port, lane);
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
        self.pass_mailbox();
        Ok(Quiescing::new(Arc::clone(&self.device.port), Some(before)))
    }

    /// Takes all guest memory away.
    pub fn unmap_all(&self) -> Quiescing {
        let before = self.device.port.memory.clear();
        self.pass_mailbox();
        Quiescing::new(Arc::clone(&self.device.port), Some(before))
    }

    /// Waits until nobody writes a letter into memory as it was before.
    fn pass_mailbox(&self) {
        drop(self.device.rings.lock());
    }

    /// Changes interrupt lines. A returned descriptor is to be watched: each time it becomes
    /// readable, read it and call [`Self::unmask_intx`].
    ///
    /// # Errors
    /// [`IrqError`].
    pub fn set_irqs(&self, request: IrqRequest) -> Result<Option<OwnedFd>, IrqError> {
        let applied = irq::apply(&self.device.port.interrupts, request)
            .inspect_err(|error| self.device.refused(error.to_string()));
        if let Some(direct) = self.device.hardware() {
            direct.rewire(&self.device.port);
        }
        applied
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

    /// VLANs that its driver has joined, but for the one that a request is about.
    pub fn joined_vlans(&self, beside: &ControlRequest) -> u16 {
        self.device.joined_vlans(beside)
    }

    /// How it is.
    pub fn health(&self) -> Health {
        let status = self.status();
        let (device, port) = (&self.device, &self.device.port);
        let regions = port.memory.load();
        let fault = port.fault();
        let (data_path, data_path_reason) = device.path();
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
                device.spec.model.pending(status.features, masked)
            },
            mac: device.wishes.lock().mac,
            link_up: status.link_up,
            worker_polls: port.polled && port.running() && device.hardware().is_none(),
            hardware: (port.lane_count() > 0).then(|| {
                let (reached, unreached) = port.reached();
                let [copied_out, copied_in] = port.copied();
                HardwarePath {
                    reached,
                    unreached,
                    copied_out,
                    copied_in,
                }
            }),
            data_path,
            data_path_reason,
            unenforced: device
                .hardware()
                .map_or_else(Vec::new, |_| UNENFORCED.to_vec()),
            dma_faults: device.direct.as_ref().map(|direct| direct.dma_faults()),
        }
    }

    /// Somebody counts its frames: false while hardware works its rings.
    pub fn counts(&self) -> bool {
        self.device.hardware().is_none()
    }

    /// Has a worker go on with rings that hardware works, until the driver's next reset: then they are hardware's again.
    ///
    /// # Errors
    /// Why it cannot be, in words for the operator.
    pub fn stand_aside(&self) -> Result<(), String> {
        // Between two calls of its driver's: who resets the device meanwhile would find its rings again behind it.
        let _personality = self.personality.lock();
        self.device.stand_aside()
    }

    /// What it counted.
    pub fn stats(&self) -> CvfStats {
        CvfStats::of(&self.device.port)
    }

    /// How many of its guest's frames claimed or were what they must not: a few numbers, to be asked for often.
    pub fn misbehaviour(&self) -> Misbehaviour {
        Misbehaviour::of(&self.device.port)
    }

    /// Has a driver start anew whose device was stopped for a ring and for nothing else, if its kind of device can: as if
    /// that had reset it, so that it may take as long as a reset. True if it will.
    pub fn restart(&self) -> bool {
        self.act(|personality, host| {
            self.device.port.stopped_for_ring() && personality.restart(host)
        })
    }

    /// Whether its kind of device can.
    pub fn restarts(&self) -> bool {
        self.device.spec.model.restarts()
    }

    /// Has whatever is counted there raise this from here on; the first that is given stays.
    pub fn raises(&self, alarm: &Arc<Alarm>) {
        self.device.port.raises(alarm);
    }

    /// Has what its guest sends and receives copied from the next burst on, until [`Self::untap`].
    ///
    /// # Errors
    /// [`TapError`].
    pub fn tap(&self, wanted: Wanted) -> Result<Arc<Tap>, TapError> {
        if self.device.hardware().is_some() {
            return Err(TapError::Unseen);
        }
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
        if self.device.port.go() {
            self.device.fabric().detach(self.device.port.id());
            self.device.port.end_taps();
            drop(self.disconnected());
            self.device.leave_group();
        }
        if let Some(slice) = self.device.slice.lock().take() {
            self.device.pf.leave(&slice);
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
