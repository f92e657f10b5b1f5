//! The device as its personality sees it.

use super::device::Device;
use super::health::Memory;
use super::placed::Placed;
use crate::control::{
    Coalescing, CoalescingScope, ControlReply, ControlRequest, Denial, Identity, QueueReport,
};
use crate::dataplane::QueueCounters;
use crate::personality::{Host, QueueRole, RingConfig};
use crate::ring::{AvfRing, MailboxPlace, MailboxReply, MailboxSide};

/// A [`Host`] for the length of one call into the personality. What may only be done after that
/// call is noted here.
pub(super) struct DeviceHost<'d> {
    device: &'d Device,
    /// The driver became ready with these features.
    pub started: Option<u64>,
    /// The control queue was rung.
    pub commands: bool,
    /// The transmit queue of this pair was rung.
    pub rung: Option<u16>,
    /// The client has left: a reset is nobody's doing.
    pub leaving: bool,
    /// The personality resets itself.
    own: bool,
    /// The message in hand counts as a request.
    heard: bool,
}

impl<'d> DeviceHost<'d> {
    pub(super) const fn new(device: &'d Device) -> Self {
        Self {
            device,
            started: None,
            commands: false,
            rung: None,
            leaving: false,
            own: false,
            heard: false,
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
        self.device.place(queue, Placed::Virtio(ring))
    }

    fn queue_disable(&mut self, queue: u16) {
        self.device.displace(queue);
    }

    fn doorbell(&mut self, queue: u16) {
        let Some(role) = self.role(queue) else { return };
        let port = &self.device.port;
        if role != QueueRole::Control
            && let Some(direct) = self.device.hardware()
        {
            direct.ring(queue);
            return;
        }
        match role {
            QueueRole::Transmit(pair) => {
                port.transmit[usize::from(pair)]
                    .counters
                    .kicks
                    .add_shared(1);
                // One write may be about two tails. Only the last of them is heard by the caller's thread.
                let before = self.rung.replace(pair).filter(|before| *before != pair);
                if let Some(before) = before {
                    self.device.fabric().schedule(port, before);
                }
            }
            QueueRole::Receive(pair) => {
                port.receive[usize::from(pair)].counters.kicks.add_shared(1);
                // Its hardware may wait for buffers.
                self.device.fabric().wake(port, pair);
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
        if let Some(direct) = self.device.hardware() {
            direct.rewire(&self.device.port);
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
        self.rung = None;
        self.device.halt();
        if !std::mem::take(&mut self.own) && !self.leaving {
            self.device.gate.was_reset();
        }
    }

    fn resets_itself(&mut self) {
        self.own = true;
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
        let heard = std::mem::take(&mut self.heard);
        self.device.request(&request, heard)
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

    fn mailbox(&mut self, which: MailboxSide, place: Option<MailboxPlace>) {
        self.device.place_mailbox(which, place);
    }

    fn set_mailbox_head(&mut self, which: MailboxSide, head: u16) {
        self.device.move_head(which, head);
    }

    fn keeps_interrupt(&self, vector: u16) -> bool {
        self.device.port.interrupts.keeps(vector)
    }

    fn mailbox_tail(&mut self, which: MailboxSide, tail: u16) {
        self.device.move_tail(which, tail);
        self.commands |= which == MailboxSide::Send;
    }

    fn mailbox_head(&self, which: MailboxSide) -> u16 {
        self.device.mailbox_head(which)
    }

    fn heard(&mut self) -> Result<(), Denial> {
        let heard = self.device.gate.asked();
        if let Err(denial) = &heard {
            self.device.refused(format!(
                "a message of the guest was denied: {}",
                denial.reason
            ));
        }
        self.heard = heard.is_ok();
        heard
    }

    fn post(&mut self, message: MailboxReply) {
        self.device.write_letters(Some(message));
    }

    fn avf_enable(&mut self, queue: u16, ring: AvfRing) -> Result<(), String> {
        self.device.place(queue, Placed::Avf(ring))
    }

    fn tail(&mut self, queue: u16, _: u32) {
        self.doorbell(queue);
    }

    fn torn(&mut self, why: String) {
        self.device.port.stop_for_ring(why);
    }

    fn vector_enable(&mut self, vector: u16, on: bool) {
        self.device.port.interrupts.arm(vector, on);
    }

    fn vector_trigger(&mut self, vector: u16) {
        self.device.port.interrupts.queue(Some(vector));
    }

    /// An interval is a wish like any other that interrupts be held back, though nobody waits for an answer: drivers
    /// change it as they go.
    fn throttle(&mut self, queue: u16, usecs: u16) {
        let port = &self.device.port;
        let pair = queue / 2;
        let (scope, is) = if queue.is_multiple_of(2) {
            let is = port.receive_coalescing(pair);
            (CoalescingScope::ReceiveQueue(pair), is)
        } else {
            let is = port.transmit_coalescing(pair);
            (CoalescingScope::TransmitQueue(pair), is)
        };
        let at_once = Coalescing::default();
        let to = match usecs {
            0 => at_once,
            // However many there are.
            _ => Coalescing {
                max_usecs: usecs.into(),
                max_packets: u32::MAX,
            },
        };
        if is.is_none_or(|is| is == to) {
            return;
        }
        let settled = self
            .device
            .settle(&ControlRequest::SetCoalescing(scope, to));
        if !settled.is_done() && is != Some(at_once) {
            port.set_coalescing(scope, at_once);
        }
    }

    fn refused(&mut self, what: String) {
        self.device.refused(what);
    }
}
