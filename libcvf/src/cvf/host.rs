//! The device as its personality sees it.

use super::device::Device;
use super::health::Memory;
use crate::control::{Coalescing, ControlReply, ControlRequest, Identity, QueueReport};
use crate::dataplane::QueueCounters;
use crate::personality::{Host, QueueRole, RingConfig};

/// A [`Host`] for the length of one call into the personality. What may only be done after that
/// call is noted here.
pub(super) struct DeviceHost<'d> {
    device: &'d Device,
    /// The driver became ready with these features.
    pub started: Option<u64>,
    /// The control queue was rung.
    pub commands: bool,
    /// The client has left: a reset is nobody's doing.
    pub leaving: bool,
}

impl<'d> DeviceHost<'d> {
    pub(super) const fn new(device: &'d Device) -> Self {
        Self {
            device,
            started: None,
            commands: false,
            leaving: false,
        }
    }

    fn role(&self, queue: u16) -> Option<QueueRole> {
        self.device
            .rings
            .lock()
            .roles
            .get(usize::from(queue))
            .copied()
            .flatten()
    }

    /// After a doorbell the ring must show something, or the guest writes to other memory than ours.
    fn look(&self, role: QueueRole) {
        let device = self.device;
        // Under the queue's lock: whoever unmaps passes it.
        let memory = &device.port.memory;
        let untouched = match role {
            QueueRole::Transmit(pair) => {
                let mut state = device.port.transmit[usize::from(pair)].state.lock();
                let regions = memory.load();
                state
                    .ring
                    .as_mut()
                    .map(|ring| ring.looks_untouched(&regions))
            }
            QueueRole::Receive(pair) => {
                let mut state = device.port.receive[usize::from(pair)].state.lock();
                let regions = memory.load();
                state
                    .ring
                    .as_mut()
                    .map(|ring| ring.looks_untouched(&regions))
            }
            QueueRole::Control => {
                let mut rings = device.rings.lock();
                let regions = memory.load();
                let control = rings.control.as_mut();
                control.map(|ring| ring.looks_untouched(&regions))
            }
        };
        // Only a ring in place is evidence, either way.
        let Some(untouched) = untouched else { return };
        let mut memory = device.memory.lock();
        if !untouched {
            *memory = Memory::Shared;
        } else if *memory != Memory::NotShared {
            *memory = Memory::NotShared;
            drop(memory);
            device.refused(
                "a doorbell was rung for a ring that reads as untouched: the guest's memory is not \
                 shared with this daemon; start the VM with share=on on its memory backend"
                    .into(),
            );
        }
    }
}

impl Host for DeviceHost<'_> {
    fn queue_enable(&mut self, queue: u16, ring: RingConfig) -> Result<(), String> {
        self.device.place(queue, ring)
    }

    fn queue_disable(&mut self, queue: u16) {
        self.device.displace(queue);
    }

    fn doorbell(&mut self, queue: u16) {
        let Some(role) = self.role(queue) else { return };
        let port = &self.device.port;
        match role {
            QueueRole::Transmit(pair) => {
                port.transmit[usize::from(pair)]
                    .counters
                    .kicks
                    .add_shared(1);
                self.device.fabric().schedule(port, pair);
            }
            QueueRole::Receive(pair) => {
                port.receive[usize::from(pair)].counters.kicks.add_shared(1);
            }
            QueueRole::Control => self.commands = true,
        }
        if *self.device.memory.lock() != Memory::Shared {
            self.look(role);
        }
    }

    fn queue_vector(&mut self, queue: u16, vector: Option<u16>) {
        // Data queues have their places whatever is negotiated; the control queue has none of them
        // with the features its driver chose.
        let role = self.role(queue);
        if let Some(slot) = self.device.rings.lock().vectors.get_mut(usize::from(queue)) {
            *slot = vector;
        }
        let pair = usize::from(queue / 2);
        let port = &self.device.port;
        match (role, queue % 2) {
            (Some(QueueRole::Control), _) => self.device.rings.lock().control_vector = vector,
            (_, 0) if pair < port.receive.len() => port.receive[pair].vector.set(vector),
            (_, 1) if pair < port.transmit.len() => port.transmit[pair].vector.set(vector),
            _ => self.device.rings.lock().control_vector = vector,
        }
    }

    fn config_vector(&mut self, vector: Option<u16>) {
        self.device.port.config_vector.set(vector);
    }

    fn start(&mut self, features: u64) {
        self.started = Some(features);
    }

    fn stop(&mut self) {
        self.started = None;
        self.commands = false;
        self.device.halt();
        if !self.leaving {
            self.device.gate.was_reset();
        }
    }

    fn config_changed(&mut self) {
        let port = &self.device.port;
        port.interrupts.config(port.config_vector.get());
    }

    fn isr(&self) -> u8 {
        self.device.port.interrupts.isr()
    }

    fn take_isr(&mut self) -> u8 {
        self.device.port.interrupts.take_isr()
    }

    fn needs_reset(&self) -> bool {
        self.device.port.stopped()
    }

    fn identity(&self) -> Identity {
        self.device.spec.identity()
    }

    fn control(&mut self, request: ControlRequest) -> ControlReply {
        self.device.request(&request)
    }

    fn settle(&mut self, request: ControlRequest) -> ControlReply {
        self.device.settle(&request)
    }

    fn coalescing(&self, role: QueueRole) -> Coalescing {
        let port = &self.device.port;
        let found = match role {
            QueueRole::Receive(pair) => port.receive_coalescing(pair),
            QueueRole::Transmit(pair) => port.transmit_coalescing(pair),
            QueueRole::Control => None,
        };
        found.unwrap_or_default()
    }

    fn queue_report(&self, role: QueueRole) -> QueueReport {
        let port = &self.device.port;
        let counters = match role {
            QueueRole::Receive(pair) => port.receive.get(usize::from(pair)).map(|q| &q.counters),
            QueueRole::Transmit(pair) => port.transmit.get(usize::from(pair)).map(|q| &q.counters),
            QueueRole::Control => None,
        };
        counters.map(QueueCounters::report).unwrap_or_default()
    }
}
