//! A host that records what the device asks for and refuses to be called out of order.

use crate::control::{Coalescing, ControlReply, ControlRequest, QueueReport};
use crate::personality::{Host, QueueRole, RingConfig};
use crate::ring::RingFormat;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    Enable(u16, RingConfig),
    Disable(u16),
    Doorbell(u16),
    QueueVector(u16, Option<u16>),
    ConfigVector(Option<u16>),
    Start(u64),
    Stop,
    ConfigChanged,
    Control(ControlRequest),
    Settle(ControlRequest),
}

#[derive(Default)]
pub struct FakeHost {
    pub calls: Vec<Call>,
    pub enabled: std::collections::BTreeSet<u16>,
    pub started: Option<u64>,
    pub isr: u8,
    pub needs_reset: bool,
    /// Queues whose rings are refused.
    pub refuse: Vec<u16>,
    /// What is answered to the next control requests; `Done` when empty.
    pub replies: std::collections::VecDeque<ControlReply>,
}

impl FakeHost {
    /// Calls since the last look.
    pub fn take(&mut self) -> Vec<Call> {
        std::mem::take(&mut self.calls)
    }

    pub fn config_changes(&mut self) -> usize {
        self.take()
            .iter()
            .filter(|call| **call == Call::ConfigChanged)
            .count()
    }
}

impl Host for FakeHost {
    fn queue_enable(&mut self, queue: u16, ring: RingConfig) -> Result<(), String> {
        assert!(
            !self.enabled.contains(&queue),
            "queue {queue} enabled twice"
        );
        let packed = ring.format == RingFormat::Packed;
        assert!(packed || ring.size.is_power_of_two(), "{ring:?}");
        assert!((1..=1024).contains(&ring.size), "{ring:?}");
        assert!(ring.descriptors.is_multiple_of(16), "{ring:?}");
        assert!(
            ring.driver.is_multiple_of(2) && ring.device.is_multiple_of(4),
            "{ring:?}"
        );
        self.calls.push(Call::Enable(queue, ring));
        if self.refuse.contains(&queue) {
            return Err("its memory is not mapped".into());
        }
        self.enabled.insert(queue);
        Ok(())
    }

    fn queue_disable(&mut self, queue: u16) {
        assert!(
            self.enabled.remove(&queue),
            "queue {queue} disabled but not enabled"
        );
        self.calls.push(Call::Disable(queue));
    }

    fn doorbell(&mut self, queue: u16) {
        assert!(
            self.started.is_some(),
            "a doorbell before the driver was ready"
        );
        assert!(
            self.enabled.contains(&queue),
            "a doorbell of queue {queue}, not enabled"
        );
        self.calls.push(Call::Doorbell(queue));
    }

    fn queue_vector(&mut self, queue: u16, vector: Option<u16>) {
        self.calls.push(Call::QueueVector(queue, vector));
    }

    fn config_vector(&mut self, vector: Option<u16>) {
        self.calls.push(Call::ConfigVector(vector));
    }

    fn start(&mut self, features: u64) {
        assert_eq!(self.started, None, "started twice");
        self.started = Some(features);
        self.calls.push(Call::Start(features));
    }

    fn stop(&mut self) {
        self.started = None;
        self.enabled.clear();
        self.isr = 0;
        self.needs_reset = false;
        self.calls.push(Call::Stop);
    }

    fn config_changed(&mut self) {
        assert!(
            self.started.is_some(),
            "a configuration interrupt before the driver was ready"
        );
        self.isr |= 2;
        self.calls.push(Call::ConfigChanged);
    }

    fn take_isr(&mut self) -> u8 {
        std::mem::take(&mut self.isr)
    }

    fn isr(&self) -> u8 {
        self.isr
    }

    fn needs_reset(&self) -> bool {
        self.needs_reset
    }

    fn settle(&mut self, request: ControlRequest) -> ControlReply {
        self.calls.push(Call::Settle(request));
        ControlReply::Done
    }

    fn control(&mut self, request: ControlRequest) -> ControlReply {
        assert!(
            self.started.is_some(),
            "a control request before the driver was ready"
        );
        self.calls.push(Call::Control(request));
        self.replies.pop_front().unwrap_or(ControlReply::Done)
    }

    /// Numbers that tell queues apart.
    fn coalescing(&self, role: QueueRole) -> Coalescing {
        match role {
            QueueRole::Receive(pair) => Coalescing {
                max_usecs: 100 + u32::from(pair),
                max_packets: 10,
            },
            QueueRole::Transmit(pair) => Coalescing {
                max_usecs: 200 + u32::from(pair),
                max_packets: 20,
            },
            QueueRole::Control => panic!("the control queue holds nothing back"),
        }
    }

    fn queue_report(&self, role: QueueRole) -> QueueReport {
        let base = match role {
            QueueRole::Receive(pair) => 1000 * (u64::from(pair) + 1),
            QueueRole::Transmit(pair) => 100_000 * (u64::from(pair) + 1),
            QueueRole::Control => 0,
        };
        QueueReport {
            notifications: base + 1,
            packets: base + 2,
            bytes: base + 3,
            interrupts: base + 4,
            drops: base + 5,
            overruns: base + 6,
            malformed: base + 7,
            csum_valid: 8,
            csum_partial: 9,
            gso_packets: base + 10,
            gso_bytes: base + 11,
            cut_packets: 12,
            cut_bytes: 13,
            segments: 14,
            segment_bytes: 15,
        }
    }
}
