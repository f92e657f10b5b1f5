//! The driver's side of a mailbox, over a device's own interface.

#![allow(dead_code, reason = "each test uses its part")]

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use libcvf::control::{ControlRequest, Denial, DeviceFacts, Gatekeeper};
use libcvf::cvf::{Cvf, CvfSpec, Model};
use parking_lot::Mutex;

use crate::guest::{map, memory, pf, spec};

const RAM: u64 = 1 << 20;
const SEND: u64 = 0x1000;
const RECEIVE: u64 = 0x2000;
const ENTRIES: u16 = 64;
/// Those of messages; those of the device's come after them.
pub const BUFFERS: u64 = 0x1_0000;
const POSTED: u64 = BUFFERS + 0x1000 * ENTRIES as u64;
/// Rings: 64 KiB each.
pub const RINGS: u64 = 0xa_0000;

/// `VIRTCHNL_STATUS_ERR_ADMIN_QUEUE_ERROR`.
pub const FAILED: i32 = -53;

/// Numbers of operations.
pub mod op {
    pub const VERSION: u32 = 1;
    pub const RESET_VF: u32 = 2;
    pub const GET_VF_RESOURCES: u32 = 3;
    pub const CONFIG_VSI_QUEUES: u32 = 6;
    pub const CONFIG_IRQ_MAP: u32 = 7;
    pub const ENABLE_QUEUES: u32 = 8;
    pub const ADD_ETH_ADDR: u32 = 10;
    pub const GET_STATS: u32 = 15;
    pub const EVENT: u32 = 17;
    pub const CONFIG_RSS_KEY: u32 = 23;
    pub const ENABLE_VLAN_STRIPPING_V2: u32 = 54;
}

/// Whether a request is denied.
pub type Denies = fn(&ControlRequest) -> bool;

/// Denies what it is told to; keeps record.
#[derive(Default)]
pub struct Keeper {
    pub asked: Mutex<u32>,
    /// How often may be asked.
    pub most: Mutex<Option<u32>>,
    pub resets: Mutex<u32>,
    /// Decisions about held-back interrupts.
    pub held: Mutex<u32>,
    pub denies: Mutex<Option<Denies>>,
    pub features: Mutex<Option<u64>>,
}

impl Gatekeeper for Keeper {
    fn decide(&self, _: &DeviceFacts, request: &ControlRequest) -> Result<(), Denial> {
        let holds = matches!(request, ControlRequest::SetCoalescing(..));
        *self.held.lock() += u32::from(holds);
        match *self.denies.lock() {
            Some(denies) if denies(request) => Err(denial()),
            _ => Ok(()),
        }
    }

    fn asked(&self) -> Result<(), Denial> {
        let mut asked = self.asked.lock();
        *asked += 1;
        match *self.most.lock() {
            Some(most) if *asked > most => Err(denial()),
            _ => Ok(()),
        }
    }

    fn was_reset(&self) {
        *self.resets.lock() += 1;
    }

    fn features(&self) -> u64 {
        self.features.lock().unwrap_or(u64::MAX)
    }
}

fn denial() -> Denial {
    Denial {
        rule: "test",
        reason: "it is a test".to_owned(),
    }
}

pub struct Driver {
    pub cvf: Arc<Cvf>,
    pub ram: File,
    sent: u16,
    seen: u16,
}

impl Driver {
    /// A device whose driver has enabled the mailbox.
    pub fn new(pairs: u16) -> (Self, Arc<Keeper>) {
        let keeper = Arc::new(Keeper::default());
        let spec = CvfSpec {
            model: Model::Avf,
            queue_pairs: pairs,
            ..spec(1)
        };
        let cvf = Cvf::compose(pf(8) as _, spec, keeper.clone()).expect("composed");
        (Self::of(cvf), keeper)
    }

    /// The same of a device that is there, with memory of its mailbox at 0.
    pub fn of(cvf: Arc<Cvf>) -> Self {
        let fd = memory(RAM);
        map(&cvf, Some(fd.try_clone().expect("dup")), 0, RAM);
        cvf.connected();
        let mut driver = Self {
            cvf,
            ram: fd.into(),
            sent: 0,
            seen: 0,
        };
        driver.enable_mailbox();
        driver
    }

    pub fn write(&self, register: u64, value: u32) {
        self.cvf
            .write(0, register, &value.to_le_bytes())
            .expect("a register");
    }

    pub fn read(&self, register: u64) -> u32 {
        let mut value = [0; 4];
        self.cvf.read(0, register, &mut value).expect("a register");
        u32::from_le_bytes(value)
    }

    pub fn enable_mailbox(&mut self) {
        (self.sent, self.seen) = (0, 0);
        let at = |ring: u64, slot: u16| ring + 32 * u64::from(slot);
        for slot in 0..ENTRIES {
            let buffer = POSTED + 0x1000 * u64::from(slot);
            self.put(at(RECEIVE, slot), [0x1200, 0, 0x1000, 0], 0, buffer);
        }
        for (length, low, high, head, tail, base) in [
            (0x6800, 0x7c00, 0x7800, 0x6400, 0x8400, SEND),
            (0x8000, 0x6c00, 0x6000, 0x7400, 0x7000, RECEIVE),
        ] {
            self.write(length, 0);
            self.write(head, 0);
            self.write(tail, 0);
            self.write(length, u32::from(ENTRIES) | 1 << 31);
            self.write(low, base as u32);
            self.write(high, 0);
        }
        self.write(0x7000, u32::from(ENTRIES) - 1);
    }

    /// No buffer is posted for the device any more.
    pub fn no_buffers(&self) {
        let head = self.read(0x7400);
        self.write(0x7000, head);
    }

    fn put(&self, at: u64, words: [u16; 4], opcode: u32, address: u64) {
        let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        bytes.extend(opcode.to_le_bytes());
        bytes.extend([0; 12]);
        bytes.extend(((address >> 32) as u32).to_le_bytes());
        bytes.extend((address as u32).to_le_bytes());
        // A truncated file would grow.
        let _ = at < self.ram.metadata().expect("a file").len()
            && self.ram.write_all_at(&bytes, at).is_ok();
    }

    /// Fills the next descriptor that is sent.
    pub fn descriptor(&mut self, opcode: u16, operation: u32, len: u16, address: u64) {
        let flags = if len == 0 { 0x2000 } else { 0x3400 };
        let at = SEND + 32 * u64::from(self.sent);
        self.put(at, [flags, opcode, len, 0], operation, address);
        self.sent = (self.sent + 1) % ENTRIES;
    }

    /// Tells the device of what was filled.
    pub fn kick(&self) {
        self.write(0x8400, self.sent.into());
    }

    /// Fills a descriptor with a message.
    pub fn fill(&mut self, operation: u32, bytes: &[u8]) {
        let at = BUFFERS + 0x1000 * u64::from(self.sent);
        if at < self.ram.metadata().expect("a file").len() {
            self.ram.write_all_at(bytes, at).expect("ram");
        }
        self.descriptor(0x0801, operation, bytes.len() as u16, at);
    }

    /// Sends a message.
    pub fn post(&mut self, operation: u32, bytes: &[u8]) {
        self.fill(operation, bytes);
        self.kick();
    }

    /// The next message of the device: operation, status, content.
    pub fn next(&mut self) -> Option<(u32, i32, Vec<u8>)> {
        if u32::from(self.seen) == self.read(0x7400) {
            return None;
        }
        let mut bytes = [0; 32];
        let at = RECEIVE + 32 * u64::from(self.seen);
        self.ram.read_exact_at(&mut bytes, at).expect("ram");
        let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("4"));
        let mut content = vec![0; (word(4) & 0xffff) as usize];
        let buffer = POSTED + 0x1000 * u64::from(self.seen);
        self.ram.read_exact_at(&mut content, buffer).expect("ram");
        let message = (word(8), word(12) as i32, content);
        self.put(at, [0x1200, 0, 0x1000, 0], 0, buffer);
        self.write(0x7000, self.seen.into());
        self.seen = (self.seen + 1) % ENTRIES;
        Some(message)
    }

    /// Sends a message and takes the answer; events are passed over.
    pub fn ask(&mut self, operation: u32, bytes: &[u8]) -> (i32, Vec<u8>) {
        while self.next().is_some() {}
        self.post(operation, bytes);
        loop {
            match self.next().expect("an answer") {
                (op::EVENT, ..) => {}
                (answered, status, bytes) => {
                    assert_eq!(answered, operation);
                    return (status, bytes);
                }
            }
        }
    }

    /// What is granted of everything.
    pub fn resources(&mut self) -> u32 {
        let (status, bytes) = self.ask(op::GET_VF_RESOURCES, &[0xff; 4]);
        assert_eq!(status, 0);
        u32::from_le_bytes(bytes[8..12].try_into().expect("4"))
    }

    /// Heads of both queues.
    pub fn heads(&self) -> [u32; 2] {
        [self.read(0x6400), self.read(0x7400)]
    }
}

/// `struct virtchnl_queue_select`.
pub fn select(receive: u32, transmit: u32) -> Vec<u8> {
    let words = [1, receive, transmit];
    words
        .iter()
        .flat_map(|word: &u32| word.to_le_bytes())
        .collect()
}
