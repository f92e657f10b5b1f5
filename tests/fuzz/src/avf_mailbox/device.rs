//! The function with the device around it, as far as the mailbox goes.

use std::collections::BTreeSet;

use libcvf::control::{Coalescing, ControlReply, ControlRequest, Denial, MacAddr, QueueReport};
use libcvf::mem::GuestMemory;
use libcvf::personality::avf::{Avf, AvfConfig};
use libcvf::personality::{Given, Host, Personality, QueueRole, RingConfig};
use libcvf::ring::{AvfRing, Mailbox, MailboxMessage, MailboxPlace, MailboxReply, MailboxSide};

/// Messages that are taken at a time: as many as a queue holds.
const MOST_MESSAGES: usize = 1024;

struct Around<'m> {
    memory: &'m GuestMemory,
    mailbox: Mailbox,
    tails: [u16; 2],
    /// Messages for the driver since the last look.
    posted: Vec<MailboxReply>,
    rings: BTreeSet<u16>,
    started: bool,
    /// Requests until one is denied.
    deny: Option<usize>,
    pairs: u16,
}

pub struct Device<'m> {
    function: Avf,
    around: Around<'m>,
}

const fn nth(which: MailboxSide) -> usize {
    match which {
        MailboxSide::Send => 0,
        MailboxSide::Receive => 1,
    }
}

impl<'m> Device<'m> {
    pub fn new(pairs: u16, memory: &'m GuestMemory) -> Self {
        let config = AvfConfig {
            queue_pairs: pairs,
            ..AvfConfig::new(MacAddr([0x52, 0x54, 0, 0, 0, 1]))
        };
        Self {
            function: Avf::new(config).expect("a function"),
            around: Around {
                memory,
                mailbox: Mailbox::new(),
                tails: [0; 2],
                posted: Vec::new(),
                rings: BTreeSet::new(),
                started: false,
                deny: None,
                pairs,
            },
        }
    }

    /// As drivers do.
    pub fn enable_mailbox(&mut self, send: u64, receive: u64) {
        let writes = [
            (0x6400, 0),
            (0x8400, 0),
            (0x6800, 1 << 31 | 32),
            (0x7c00, send as u32),
            (0x7800, 0),
            (0x7400, 0),
            (0x7000, 0),
            (0x8000, 1 << 31 | 32),
            (0x6c00, receive as u32),
            (0x6000, 0),
            (0x7000, 31),
        ];
        for (register, value) in writes {
            self.write(register, &u32::to_le_bytes(value));
        }
    }

    pub fn write(&mut self, offset: u64, data: &[u8]) {
        let _ = self.function.write(&mut self.around, 0, offset, data);
        self.work();
    }

    pub fn read(&mut self, offset: u64, len: usize) {
        let mut data = vec![0; len];
        let _ = self.function.read(&mut self.around, 0, offset, &mut data);
    }

    /// Carries out what waits in the mailbox.
    fn work(&mut self) {
        for _ in 0..MOST_MESSAGES {
            let around = &mut self.around;
            let regions = around.memory.load();
            match around.mailbox.take(&regions, around.tails[0]) {
                Ok(Some(MailboxMessage { opcode, bytes })) => self.message(opcode, bytes),
                Ok(None) | Err(_) => break,
            }
        }
        let around = &mut self.around;
        let _ = around.mailbox.flush(&around.memory.load(), around.tails[1]);
    }

    pub fn message(&mut self, opcode: u32, bytes: Vec<u8>) {
        self.around.posted.clear();
        let message = MailboxMessage { opcode, bytes };
        self.function.message(&mut self.around, message);
        let posted = &self.around.posted;
        assert!(posted.len() <= 2, "{posted:?}");
        match posted.first() {
            None => assert_eq!(opcode, 2, "an answer is missing"),
            Some(event) if event.opcode == 17 && opcode == 29 => {}
            Some(reply) => assert_eq!(reply.opcode, opcode),
        }
    }

    pub fn set_link(&mut self, up: bool) {
        self.function.set_link(&mut self.around, up);
    }

    pub fn give(&mut self, given: Given) {
        self.function.give(&mut self.around, given);
    }

    pub fn deny(&mut self, after: usize) {
        self.around.deny = Some(after);
    }

    pub fn reset(&mut self) {
        self.function.reset(&mut self.around);
        assert!(self.around.rings.is_empty() && !self.around.started);
    }

    /// Resets the function and asks for its resources.
    pub fn comes_up(&mut self) {
        self.reset();
        self.around.deny = None;
        self.message(3, vec![0xff; 4]);
        let reply = self.around.posted.first().expect("an answer");
        assert_eq!((reply.status, reply.bytes.len()), (0, 36));
    }
}

impl Host for Around<'_> {
    fn queue_enable(&mut self, _: u16, _: RingConfig) -> Result<(), String> {
        panic!("a ring of virtio's");
    }

    fn queue_disable(&mut self, queue: u16) {
        assert!(self.rings.remove(&queue), "queue {queue} was not enabled");
    }

    fn doorbell(&mut self, _: u16) {
        panic!("a doorbell without a value");
    }

    fn queue_vector(&mut self, queue: u16, vector: Option<u16>) {
        assert!(queue < 2 * self.pairs);
        assert!(vector.is_none_or(|vector| (1..=self.pairs).contains(&vector)));
    }

    fn config_vector(&mut self, _: Option<u16>) {}

    fn start(&mut self, _: u64) {
        assert!(!self.started);
        self.started = true;
    }

    fn stop(&mut self) {
        self.started = false;
        self.rings.clear();
    }

    fn config_changed(&mut self) {}

    fn take_isr(&mut self) -> u8 {
        0
    }

    fn needs_reset(&self) -> bool {
        false
    }

    fn control(&mut self, _: ControlRequest) -> ControlReply {
        match &mut self.deny {
            Some(0) => {
                self.deny = None;
                ControlReply::Denied(Denial {
                    rule: "fuzz",
                    reason: "the fuzzer says so".into(),
                })
            }
            Some(left) => {
                *left -= 1;
                ControlReply::Done
            }
            None => ControlReply::Done,
        }
    }

    fn settle(&mut self, request: ControlRequest) -> ControlReply {
        self.control(request)
    }

    fn coalescing(&self, _: QueueRole) -> Coalescing {
        Coalescing::default()
    }

    fn queue_report(&self, _: QueueRole) -> QueueReport {
        QueueReport::default()
    }

    fn mailbox(&mut self, which: MailboxSide, place: Option<MailboxPlace>) {
        if place.is_none() {
            self.tails[nth(which)] = 0;
        }
        self.mailbox.place(which, place);
    }

    fn set_mailbox_head(&mut self, which: MailboxSide, head: u16) {
        self.mailbox.set_head(which, head);
    }

    fn mailbox_tail(&mut self, which: MailboxSide, tail: u16) {
        self.tails[nth(which)] = tail;
    }

    fn mailbox_head(&self, which: MailboxSide) -> u16 {
        self.mailbox.head(which)
    }

    fn post(&mut self, message: MailboxReply) {
        let regions = self.memory.load();
        let _ = self.mailbox.post(&regions, self.tails[1], &message);
        self.posted.truncate(8);
        self.posted.push(message);
    }

    fn avf_enable(&mut self, queue: u16, ring: AvfRing) -> Result<(), String> {
        assert!((64..=4096).contains(&ring.size) && ring.size.is_multiple_of(32));
        assert!(ring.base.is_multiple_of(128));
        assert!(queue < 2 * self.pairs && self.rings.insert(queue));
        Ok(())
    }

    fn tail(&mut self, queue: u16, _: u32) {
        assert!(self.started && self.rings.contains(&queue));
    }

    fn vector_enable(&mut self, vector: u16, _: bool) {
        assert!(vector <= self.pairs);
    }

    fn vector_trigger(&mut self, vector: u16) {
        assert!(vector <= self.pairs);
    }

    fn throttle(&mut self, queue: u16, usecs: u16) {
        assert!(queue < 2 * self.pairs && usecs <= 8190);
    }
}
