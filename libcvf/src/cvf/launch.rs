//! Rings taken into use and out of use.

use std::collections::BTreeMap;
use std::sync::{Arc, mpsc};
use std::time::Instant;

use super::device::{Device, Rings};
use super::direct::{Begun, Direct};
use super::health::Memory;
use super::placed::Placed;
use crate::control::UuidText;
use crate::dataplane::{Fabric, Port};
use crate::limits::{PIN_PATIENCE, QUIESCE_DEADLINE};
use crate::mem::{PlaceError, Regions, TranslateError};
use crate::personality::QueueRole;

/// Why a device stands still that would work on memory of ours.
pub(super) const TRUNCATED: &str =
    "the client truncated the file behind the guest's memory: it has to map it anew";

impl Device {
    /// Why a ring cannot be where the driver put it, for driver and operator.
    pub(super) fn misplaced(&self, queue: u16, error: &PlaceError) -> String {
        let mut what = format!("queue {queue}: {error}");
        if let PlaceError::Translate {
            source: TranslateError::NoFile(_),
            ..
        } = error
        {
            *self.memory.lock() = Memory::WithoutFd;
            what.push_str("; start the VM with shared memory (memory-backend-memfd,share=on)");
        }
        self.refused(what.clone());
        what
    }

    /// Checks that a ring can be used where it is, and keeps its place.
    pub(super) fn place(&self, queue: u16, placed: Placed) -> Result<(), String> {
        let mut rings = self.rings.lock();
        let regions = self.port.memory.load();
        let running = rings.roles.get(usize::from(queue)).copied().flatten();
        if running.is_none() || self.hardware().is_some() {
            // Whoever takes it into use looks at it anyway, but hardware.
            placed
                .check(queue, &regions)
                .map_err(|error| self.misplaced(queue, &error))?;
        }
        if let Some(role) = running {
            self.enable(&mut rings, queue, role, &placed, &regions)
                .map_err(|error| self.misplaced(queue, &error))?;
        }
        if let Some(slot) = rings.placed.get_mut(usize::from(queue)) {
            *slot = Some(placed);
        }
        Ok(())
    }

    /// The driver is ready: every placed ring is taken into use.
    pub(super) fn launch(&self, features: u64, mut roles: impl FnMut(u16) -> Option<QueueRole>) {
        if self.port.stopped() {
            // Its gatekeeper stopped it at the reset before.
            return;
        }
        if self.stop_if_lost() {
            return;
        }
        let mut rings = self.rings.lock();
        let queues = rings.placed.len() as u16;
        rings.roles = (0..queues).map(&mut roles).collect();
        let regions = self.port.memory.load();
        if regions.faulted() {
            // What replaces a truncated file is ours: the device must not fill it.
            self.port.stop(TRUNCATED.into());
            return;
        }
        let mut hardware = BTreeMap::new();
        for queue in 0..queues {
            let index = usize::from(queue);
            let (Some(placed), Some(role)) = (rings.placed[index].clone(), rings.roles[index])
            else {
                continue;
            };
            if role == QueueRole::Control {
                // Its index may be one that a data queue has with other features.
                rings.control_vector = rings.vectors.get(index).copied().flatten();
            } else if self.hardware().is_some() {
                // Nothing looks at it again before hardware does.
                if let Err(error) = placed.check(queue, &regions) {
                    self.port.stop(self.misplaced(queue, &error));
                    return;
                }
                hardware.extend(placed.virtio().map(|place| (queue, place)));
                continue;
            }
            if let Err(error) = self.enable(&mut rings, queue, role, &placed, &regions) {
                self.port.stop(self.misplaced(queue, &error));
                return;
            }
        }
        self.port.set_running(true);
        self.retune();
        if let Some(direct) = self.hardware() {
            direct.want(features, hardware);
            self.begin_direct(direct);
            self.stop_if_lost();
            return;
        }
        self.open_lanes();
        for queue in 0..self.port.transmit.len() as u16 {
            self.fabric().schedule(&self.port, queue);
        }
        // Who lost the function before the device ran may not have stopped it.
        self.stop_if_lost();
    }

    /// Stops the device where its hardware is not to be had any more; true if so.
    fn stop_if_lost(&self) -> bool {
        let lost = self.port.is_on_hardware().then(|| self.pf.lost()).flatten();
        let is_lost = lost.is_some();
        if let Some(why) = lost {
            self.port.stop(why);
        }
        is_lost
    }

    /// Takes hardware queues into use, if the device has some. The guest's memory is brought within their reach by a
    /// thread of its own: for a large guest that takes longer than its client would wait. Until it is done frames are
    /// copied; for a small one it is before they begin.
    fn open_lanes(&self) {
        if self.direct.is_some() {
            // A worker has taken its rings over, and copies: its memory stays out of hardware's reach beside ours.
            return;
        }
        let wake = |fabric: &Fabric, port: &Arc<Port>| {
            (0..port.lane_count()).for_each(|lane| fabric.wake(port, lane));
        };
        if self.port.begin_pinning() {
            let fabric = Arc::downgrade(self.fabric());
            let pinned = self.pin(move |port| {
                port.bring_within_reach();
                port.end_pinning();
                if let Some(fabric) = fabric.upgrade() {
                    wake(&fabric, port);
                }
            });
            if let Err(error) = pinned {
                tracing::warn!(device = self.spec.name, uuid = %UuidText(self.spec.uuid), %error, "frames are copied: no thread to pin memory");
            }
        }
        self.port.open_lanes();
        wake(self.fabric(), &self.port);
    }

    /// Has hardware begin once it reaches the guest's memory.
    fn begin_direct(&self, direct: &Arc<Direct>) {
        if !self.port.begin_pinning() {
            // Who is at it begins when it is done.
            return;
        }
        let direct = Arc::clone(direct);
        let pinned = self.pin(move |port| {
            loop {
                port.bring_within_reach();
                port.end_pinning();
                if direct.begin(port) == Begun::Settled || !port.begin_pinning() {
                    break;
                }
            }
        });
        if let Err(error) = pinned {
            self.port.stop(format!("no thread to pin memory: {error}"));
        }
    }

    /// Has a thread of its own pin memory, and waits for it as long as a client may be kept waiting.
    fn pin(&self, work: impl FnOnce(&Arc<Port>) + Send + 'static) -> std::io::Result<()> {
        let port = Arc::clone(&self.port);
        let (done, pinned) = mpsc::channel();
        let work = move || {
            work(&port);
            let _ = done.send(());
        };
        match std::thread::Builder::new().name("pin".into()).spawn(work) {
            Ok(_) => {
                let _ = pinned.recv_timeout(PIN_PATIENCE);
                Ok(())
            }
            Err(error) => {
                self.port.end_pinning();
                Err(error)
            }
        }
    }

    fn enable(
        &self,
        rings: &mut Rings,
        queue: u16,
        role: QueueRole,
        placed: &Placed,
        regions: &Regions,
    ) -> Result<(), PlaceError> {
        let features = rings.features;
        if role != QueueRole::Control
            && let Some(direct) = self.hardware()
            && let Some(place) = placed.virtio()
        {
            if let Err(why) = direct.enable(queue, place) {
                self.port.stop(format!("queue {queue}: {why}"));
            }
            return Ok(());
        }
        match role {
            QueueRole::Receive(pair) => {
                let ring = placed.receive(features, regions)?;
                match placed {
                    Placed::Virtio(_) => self.port.renew_receive(pair),
                    Placed::Avf(_) => self.port.keep_receive(pair),
                }
                if let Some(queue) = self.port.receive.get(usize::from(pair)) {
                    queue.state.lock().ring = Some(ring);
                }
                if self.port.running() {
                    self.open_lanes();
                }
            }
            QueueRole::Transmit(pair) => {
                let ring = placed.transmit(features, regions)?;
                match placed {
                    Placed::Virtio(_) => self.port.renew_transmit(pair),
                    Placed::Avf(_) => self.port.keep_transmit(pair),
                }
                if let Some(queue) = self.port.transmit.get(usize::from(pair)) {
                    let mut state = queue.state.lock();
                    state.ring = Some(ring);
                    drop(state);
                    if self.port.running() {
                        self.open_lanes();
                        self.fabric().schedule(&self.port, pair);
                    }
                }
            }
            QueueRole::Control => {
                rings.control = placed.control(features, regions)?;
            }
        }
        Ok(())
    }

    /// Takes one ring out of use; on return nobody touches it.
    pub(super) fn displace(&self, queue: u16) {
        let mut rings = self.rings.lock();
        if let Some(slot) = rings.placed.get_mut(usize::from(queue)) {
            *slot = None;
        }
        let role = rings.roles.get(usize::from(queue)).copied().flatten();
        if role.is_some_and(|role| role != QueueRole::Control)
            && let Some(direct) = self.hardware()
        {
            drop(rings);
            if let Err(why) = direct.disable(queue) {
                self.port.stop(format!("queue {queue}: {why}"));
            }
            return;
        }
        match role {
            Some(QueueRole::Receive(pair)) => {
                let until = Instant::now() + QUIESCE_DEADLINE;
                self.port.close_inward(pair.into(), until);
                self.take_receive(pair.into(), until);
            }
            Some(QueueRole::Transmit(pair)) => {
                let until = Instant::now() + QUIESCE_DEADLINE;
                self.port.close_outward(pair.into(), until);
                self.take_transmit(pair.into(), until);
            }
            Some(QueueRole::Control) => rings.control = None,
            None => {}
        }
    }

    fn take_receive(&self, pair: usize, until: Instant) {
        let queue = self.port.receive.get(pair);
        if let Some(mut state) = queue.and_then(|q| q.state.try_lock_until(until)) {
            state.ring = None;
        }
    }

    fn take_transmit(&self, pair: usize, until: Instant) {
        let queue = self.port.transmit.get(pair);
        if let Some(mut state) = queue.and_then(|q| q.state.try_lock_until(until)) {
            state.ring = None;
        }
    }

    /// The driver reset the device, or its client is gone: no ring, no filter of its own.
    pub(super) fn halt(&self) {
        self.port.set_running(false);
        if let Some(direct) = &self.direct {
            direct.end();
        }
        // One deadline for all: a worker that is stuck in one of them costs its device two seconds,
        // and whoever waits for this reset then finds that it is still stuck.
        let until = Instant::now() + QUIESCE_DEADLINE;
        self.port.close_lanes(until);
        for pair in 0..self.port.transmit.len() {
            self.take_transmit(pair, until);
            self.take_receive(pair, until);
        }
        let mut rings = self.rings.lock();
        rings.placed.fill_with(|| None);
        rings.roles.clear();
        rings.control = None;
        rings.control_vector = None;
        rings.commands_wait = false;
        drop(rings);
        self.come_back();
        self.port.forget_wishes();
        self.port.set_accepts(crate::offload::Accepts::default());
        self.port.revive();
        self.port.interrupts.take_isr();
        self.port.interrupts.disarm();
        self.reset_filter();
    }
}
