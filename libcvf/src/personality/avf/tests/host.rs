//! A host that records what the device asks for and refuses to be called out of order.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::control::{Coalescing, ControlReply, ControlRequest, Denial, QueueReport};
use crate::limits::MAX_MAILBOX_MESSAGE;
use crate::personality::{Host, QueueRole, RingConfig};
use crate::ring::{AvfRing, MailboxPlace, MailboxReply, MailboxSide};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    Mailbox(MailboxSide, Option<MailboxPlace>),
    MailboxTail(MailboxSide, u16),
    Enable(u16),
    Disable(u16),
    Tail(u16, u32),
    QueueVector(u16, Option<u16>),
    VectorEnable(u16, bool),
    VectorTrigger(u16),
    Throttle(u16, u16),
    Start,
    Stop,
    Control(ControlRequest),
    Settle(ControlRequest),
}

#[derive(Default)]
pub struct FakeHost {
    pub calls: Vec<Call>,
    /// Messages for the driver, in order.
    pub posted: VecDeque<MailboxReply>,
    pub placed: [Option<MailboxPlace>; 2],
    pub heads: [u16; 2],
    /// Messages that wait for room: they go out with the next tail of the receive queue.
    pub waiting: u16,
    pub rings: BTreeMap<u16, AvfRing>,
    pub vectors: u16,
    pub armed: BTreeSet<u16>,
    /// Vectors whose interrupts wait until they are enabled.
    pub kept: BTreeSet<u16>,
    pub started: bool,
    /// Queues whose rings are refused.
    pub unplaceable: Vec<u16>,
    /// What is answered to the next control requests; `Done` when empty.
    pub replies: VecDeque<ControlReply>,
    /// Requests of its own that the device is denied.
    pub unsettled: Vec<ControlRequest>,
    pub refusals: Vec<String>,
    pub needs_reset: bool,
    /// Resets that were the device's own doing.
    pub own_resets: u32,
    /// Messages that were counted, and whether more may be.
    pub heard: u32,
    pub deaf: bool,
}

fn nth(which: MailboxSide) -> usize {
    match which {
        MailboxSide::Send => 0,
        MailboxSide::Receive => 1,
    }
}

pub fn denied() -> ControlReply {
    ControlReply::Denied(crate::control::Denial {
        rule: "test",
        reason: "the test says so".into(),
    })
}

impl FakeHost {
    /// Calls since the last look.
    pub fn take(&mut self) -> Vec<Call> {
        std::mem::take(&mut self.calls)
    }

    /// Control requests since the last look.
    pub fn requests(&mut self) -> Vec<ControlRequest> {
        let calls = self.take().into_iter();
        let asked = calls.filter_map(|call| match call {
            Call::Control(request) => Some(request),
            _ => None,
        });
        asked.collect()
    }
}

impl Host for FakeHost {
    fn queue_enable(&mut self, queue: u16, _: RingConfig) -> Result<(), String> {
        panic!("queue {queue} enabled as virtio's are");
    }

    fn queue_disable(&mut self, queue: u16) {
        assert!(
            self.rings.remove(&queue).is_some(),
            "queue {queue} disabled but not enabled"
        );
        self.calls.push(Call::Disable(queue));
    }

    fn doorbell(&mut self, queue: u16) {
        panic!("queue {queue} rung without a value");
    }

    fn queue_vector(&mut self, queue: u16, vector: Option<u16>) {
        assert!(
            vector.is_none_or(|vector| (1..self.vectors).contains(&vector)),
            "queue {queue} on vector {vector:?}"
        );
        self.calls.push(Call::QueueVector(queue, vector));
    }

    fn config_vector(&mut self, vector: Option<u16>) {
        panic!("a configuration vector: {vector:?}");
    }

    fn start(&mut self, features: u64) {
        assert!(!self.started, "started twice");
        assert_eq!(features, 0, "virtio's features");
        self.started = true;
        self.calls.push(Call::Start);
    }

    fn stop(&mut self) {
        self.started = false;
        self.needs_reset = false;
        self.rings.clear();
        self.calls.push(Call::Stop);
    }

    fn config_changed(&mut self) {
        panic!("a configuration interrupt");
    }

    fn take_isr(&mut self) -> u8 {
        0
    }

    fn needs_reset(&self) -> bool {
        self.needs_reset
    }

    fn resets_itself(&mut self) {
        self.own_resets += 1;
    }

    fn heard(&mut self) -> Result<(), Denial> {
        self.heard += 1;
        match denied() {
            ControlReply::Denied(denial) if self.deaf => Err(denial),
            _ => Ok(()),
        }
    }

    fn control(&mut self, request: ControlRequest) -> ControlReply {
        self.calls.push(Call::Control(request));
        self.replies.pop_front().unwrap_or(ControlReply::Done)
    }

    fn settle(&mut self, request: ControlRequest) -> ControlReply {
        let reply = if self.unsettled.contains(&request) {
            denied()
        } else {
            ControlReply::Done
        };
        self.calls.push(Call::Settle(request));
        reply
    }

    fn coalescing(&self, _: QueueRole) -> Coalescing {
        Coalescing::default()
    }

    /// Numbers that tell queues apart.
    fn queue_report(&self, role: QueueRole) -> QueueReport {
        let base = match role {
            QueueRole::Receive(pair) => 1000 * (u64::from(pair) + 1),
            QueueRole::Transmit(pair) => 100_000 * (u64::from(pair) + 1),
            QueueRole::Control => panic!("the mailbox counts nothing"),
        };
        QueueReport {
            packets: base + 1,
            bytes: base + 2,
            drops: base + 30,
            malformed: base + 4,
            ..QueueReport::default()
        }
    }

    fn mailbox(&mut self, which: MailboxSide, place: Option<MailboxPlace>) {
        if let Some(place) = place {
            assert!((1..1024).contains(&place.size));
        }
        assert!(
            place.is_some() || self.placed[nth(which)].is_some(),
            "taken away twice"
        );
        self.placed[nth(which)] = place;
        self.calls.push(Call::Mailbox(which, place));
    }

    fn set_mailbox_head(&mut self, which: MailboxSide, head: u16) {
        assert!(head < 1024);
        self.heads[nth(which)] = head;
    }

    fn keeps_interrupt(&self, vector: u16) -> bool {
        self.kept.contains(&vector)
    }

    fn mailbox_tail(&mut self, which: MailboxSide, tail: u16) {
        assert!(self.placed[nth(which)].is_some(), "a tail of no queue");
        if which == MailboxSide::Receive {
            self.heads[nth(which)] += std::mem::take(&mut self.waiting);
        }
        self.calls.push(Call::MailboxTail(which, tail));
    }

    fn mailbox_head(&self, which: MailboxSide) -> u16 {
        self.heads[nth(which)]
    }

    fn post(&mut self, message: MailboxReply) {
        assert!(message.bytes.len() <= MAX_MAILBOX_MESSAGE);
        self.posted.push_back(message);
    }

    fn avf_enable(&mut self, queue: u16, ring: AvfRing) -> Result<(), String> {
        assert!(!self.rings.contains_key(&queue), "queue {queue} twice");
        assert!((64..=4096).contains(&ring.size) && ring.size.is_multiple_of(32));
        assert!(ring.base.is_multiple_of(128));
        if queue.is_multiple_of(2) {
            assert!((1024..=16_256).contains(&ring.buffer), "{ring:?}");
            assert!((64..=9728).contains(&ring.longest), "{ring:?}");
        }
        self.calls.push(Call::Enable(queue));
        if self.unplaceable.contains(&queue) {
            return Err("its memory is not mapped".into());
        }
        self.rings.insert(queue, ring);
        Ok(())
    }

    fn tail(&mut self, queue: u16, value: u32) {
        assert!(self.started, "a tail before the device ran");
        let ring = self.rings.get(&queue).expect("a ring in use");
        assert_eq!(ring.tail.get(), value, "it is there before it is told");
        self.calls.push(Call::Tail(queue, value));
    }

    fn vector_enable(&mut self, vector: u16, on: bool) {
        assert!(vector < self.vectors, "vector {vector}");
        if on {
            self.armed.insert(vector);
        } else {
            self.armed.remove(&vector);
        }
        self.calls.push(Call::VectorEnable(vector, on));
    }

    fn vector_trigger(&mut self, vector: u16) {
        assert!(vector < self.vectors, "vector {vector}");
        self.calls.push(Call::VectorTrigger(vector));
    }

    fn throttle(&mut self, queue: u16, usecs: u16) {
        assert!(usecs <= 8190 && usecs.is_multiple_of(2));
        self.calls.push(Call::Throttle(queue, usecs));
    }

    fn refused(&mut self, what: String) {
        self.refusals.push(what);
    }
}
