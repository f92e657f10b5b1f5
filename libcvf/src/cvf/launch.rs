//! Rings taken into use and out of use.

use std::time::Instant;

use super::device::{Device, Rings};
use super::health::Memory;
use crate::limits::QUIESCE_DEADLINE;
use crate::mem::{PlaceError, Regions, RingPlace, TranslateError};
use crate::personality::{QueueRole, RingConfig};
use crate::ring::{ControlRing, check_place, receive_ring, transmit_ring};

fn place(config: &RingConfig) -> RingPlace {
    RingPlace {
        size: config.size,
        descriptors: config.descriptors,
        available: config.driver,
        used: config.device,
    }
}

impl Device {
    /// Why a ring cannot be where the driver put it, for driver and operator.
    fn misplaced(&self, queue: u16, error: &PlaceError) -> String {
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
    pub(super) fn place(&self, queue: u16, config: RingConfig) -> Result<(), String> {
        let mut rings = self.rings.lock();
        let regions = self.port.memory.load();
        check_place(config.format, place(&config), &regions)
            .map_err(|error| self.misplaced(queue, &error))?;
        let running = rings.roles.get(usize::from(queue)).copied().flatten();
        if let Some(role) = running {
            self.enable(&mut rings, queue, role, &config, &regions)
                .map_err(|error| self.misplaced(queue, &error))?;
        }
        if let Some(slot) = rings.placed.get_mut(usize::from(queue)) {
            *slot = Some(config);
        }
        Ok(())
    }

    /// The driver is ready: every placed ring is taken into use.
    pub(super) fn launch(&self, mut roles: impl FnMut(u16) -> Option<QueueRole>) {
        if self.port.stopped() {
            // Its gatekeeper stopped it at the reset before.
            return;
        }
        let mut rings = self.rings.lock();
        let queues = rings.placed.len() as u16;
        rings.roles = (0..queues).map(&mut roles).collect();
        let regions = self.port.memory.load();
        if regions.faulted() {
            // What replaces a truncated file is ours: the device must not fill it.
            self.port.stop(
                "the client truncated the file behind the guest's memory: it has to map it anew"
                    .into(),
            );
            return;
        }
        for queue in 0..queues {
            let index = usize::from(queue);
            let (Some(config), Some(role)) = (rings.placed[index], rings.roles[index]) else {
                continue;
            };
            if role == QueueRole::Control {
                // Its index may be one that a data queue has with other features.
                rings.control_vector = rings.vectors.get(index).copied().flatten();
            }
            if let Err(error) = self.enable(&mut rings, queue, role, &config, &regions) {
                self.port.stop(self.misplaced(queue, &error));
                return;
            }
        }
        self.port.set_running(true);
        for queue in 0..self.port.transmit.len() as u16 {
            self.fabric().schedule(&self.port, queue);
        }
    }

    fn enable(
        &self,
        rings: &mut Rings,
        _queue: u16,
        role: QueueRole,
        config: &RingConfig,
        regions: &Regions,
    ) -> Result<(), PlaceError> {
        let (format, place, features) = (config.format, place(config), rings.features);
        match role {
            QueueRole::Receive(pair) => {
                let ring = receive_ring(format, place, features, regions)?;
                self.port.renew_receive(pair);
                if let Some(queue) = self.port.receive.get(usize::from(pair)) {
                    queue.state.lock().ring = Some(ring);
                }
            }
            QueueRole::Transmit(pair) => {
                let ring = transmit_ring(format, place, features, regions)?;
                self.port.renew_transmit(pair);
                if let Some(queue) = self.port.transmit.get(usize::from(pair)) {
                    let mut state = queue.state.lock();
                    state.ring = Some(ring);
                    drop(state);
                    if self.port.running() {
                        self.fabric().schedule(&self.port, pair);
                    }
                }
            }
            QueueRole::Control => {
                rings.control = Some(ControlRing::new(format, place, features, regions)?);
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
        match rings.roles.get(usize::from(queue)).copied().flatten() {
            Some(QueueRole::Receive(pair)) => {
                self.take_receive(pair.into(), Instant::now() + QUIESCE_DEADLINE);
            }
            Some(QueueRole::Transmit(pair)) => {
                self.take_transmit(pair.into(), Instant::now() + QUIESCE_DEADLINE);
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
        // One deadline for all: a worker that is stuck in one of them costs its device two seconds,
        // and whoever waits for this reset then finds that it is still stuck.
        let until = Instant::now() + QUIESCE_DEADLINE;
        for pair in 0..self.port.transmit.len() {
            self.take_transmit(pair, until);
            self.take_receive(pair, until);
        }
        let mut rings = self.rings.lock();
        rings.placed.fill(None);
        rings.roles.clear();
        rings.control = None;
        rings.control_vector = None;
        rings.commands_wait = false;
        drop(rings);
        self.port.forget_wishes();
        self.port.set_accepts(crate::offload::Accepts::default());
        self.port.revive();
        self.port.interrupts.take_isr();
        self.reset_filter();
    }
}
