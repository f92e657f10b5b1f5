//! A driver of an adaptive virtual function that sends and receives: its rings, written after the data sheets and not
//! after the code under test.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use libcvf::cvf::Cvf;

use super::frames::{Frame, SCTP, TCP, UDP, put};
use super::{Arrived, Ask, Layout, Told, hash};
use crate::driver::{self, Driver, op};
use crate::guest::{eventually, map, memory};

const SIZE: u16 = 1024;
const BASE: u64 = 1 << 32;
const RAM: u64 = 32 << 20;
const TRANSMIT: u64 = 0;
const RECEIVE: u64 = 0x1_0000;
const SENDING: u64 = 1 << 20;
const BUFFERS: u64 = 8 << 20;
const STRIDE: u64 = 16 << 10;
/// Between frames that are sent at once.
const AWAY: u64 = 128 << 10;
/// Most bytes of one descriptor, and most of them for a frame that is not cut.
const LONGEST: usize = 16_383;
const MOST: usize = 8;

/// How a driver runs.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Bytes of a receive buffer.
    pub buffer: u32,
    /// Tags are taken out of frames.
    pub strip: bool,
    /// Frames are hashed with it.
    pub key: Option<[u8; 40]>,
    /// Descriptors are given back in the flexible format.
    pub flex: bool,
    /// Frames come with their check sequence; no tags are taken out then.
    pub crc: bool,
}

/// What is asked for a frame beside what [`Ask`] says.
#[derive(Clone, Copy, Debug)]
pub struct Extra {
    /// The first tag is put in by the device, if it is a customer's.
    pub insert: bool,
    /// By the context descriptor.
    pub outer: bool,
    /// IPv4's checksum is left to the device.
    pub ip: bool,
    /// SCTP's is.
    pub crc: bool,
}

/// What a descriptor says that was given back.
#[derive(Debug, Default, PartialEq, Eq)]
struct Back {
    len: usize,
    ends: bool,
    tag: Option<u16>,
    hash: Option<u32>,
    valid: bool,
    ptype: u8,
}

impl Back {
    /// Of the legacy format.
    fn legacy(first: u64, second: u64) -> Self {
        let bit = |at: u32| second >> at & 1 != 0;
        assert_eq!(second >> 19 & 0xff, 0, "error bits of a good frame");
        let hashed = second >> 12 & 3;
        assert!(matches!(hashed, 0 | 3));
        assert!(bit(2) || first >> 16 & 0xffff == 0, "a tag is there or not");
        assert!(hashed == 3 || first >> 32 == 0, "a hash is there or not");
        Self {
            len: (second >> 38 & 0x3fff) as usize,
            ends: bit(1),
            tag: bit(2).then_some((first >> 16) as u16),
            hash: (hashed == 3).then_some((first >> 32) as u32),
            valid: bit(3),
            ptype: (second >> 30) as u8,
        }
    }

    /// Of the flexible one.
    fn flex(first: u64, second: u64) -> Self {
        let bit = |at: u32| second >> at & 1 != 0;
        assert_eq!(first & 0xffff, 2, "the format, and no mirror");
        assert_eq!(first >> 46, 0, "no length of headers");
        // HBO, the checksums' errors but IPv4's, loopback, RXE and others: nothing of that is said.
        assert_eq!(second & 0xcff4, 0, "error bits of a good frame");
        assert!(
            bit(13) || second >> 16 & 0xffff == 0,
            "a tag is there or not"
        );
        assert!(bit(12) || second >> 32 == 0, "a hash is there or not");
        Self {
            len: (first >> 32 & 0x3fff) as usize,
            ends: bit(1),
            tag: bit(13).then_some((second >> 16) as u16),
            hash: bit(12).then_some((second >> 32) as u32),
            valid: bit(3),
            ptype: u8::try_from(first >> 16 & 0x3ff).expect("a small type"),
        }
    }
}

pub struct Avf {
    mailbox: Driver,
    ram: File,
    settings: Settings,
    /// Next transmit descriptor, next receive descriptor to look at.
    sending: u16,
    seen: u16,
    /// The last transmit descriptor, which is reported.
    last: u64,
}

impl Avf {
    pub fn start(cvf: &Arc<Cvf>, settings: Settings) -> Self {
        let mut mailbox = Driver::of(Arc::clone(cvf));
        let fd = memory(RAM);
        map(cvf, Some(fd.try_clone().expect("dup")), BASE, RAM);
        mailbox.resources();
        let mut queues = vec![1, 0, 1, 0, 0, 0, 0, 0];
        let u16s = |words: &[u16]| {
            words
                .iter()
                .flat_map(|w| w.to_le_bytes())
                .collect::<Vec<_>>()
        };
        queues.extend(u16s(&[1, 0, SIZE, 0]));
        queues.extend((BASE + TRANSMIT).to_le_bytes());
        queues.extend([0; 8]);
        queues.extend(u16s(&[1, 0, SIZE, 0, 0, 0]));
        queues.extend(settings.buffer.to_le_bytes());
        queues.extend(9728u32.to_le_bytes());
        queues.extend([settings.crc.into(), 1 + u8::from(settings.flex), 0, 0]);
        queues.extend((BASE + RECEIVE).to_le_bytes());
        queues.extend([0; 8]);
        let mut ask = |operation, bytes: &[u8]| {
            assert_eq!(mailbox.ask(operation, bytes).0, 0, "operation {operation}");
        };
        ask(op::CONFIG_VSI_QUEUES, &queues);
        ask(
            op::CONFIG_IRQ_MAP,
            &[1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 0, 0, 1, 0],
        );
        if let Some(key) = &settings.key {
            let mut bytes = vec![1, 0, 52, 0];
            bytes.extend(key);
            bytes.extend([0; 12]);
            ask(op::CONFIG_RSS_KEY, &bytes);
        }
        if settings.strip {
            let mut bytes = vec![0, 0, 0, 0, 1, 0, 0, 0, 1, 0];
            bytes.extend([0; 6]);
            ask(op::ENABLE_VLAN_STRIPPING_V2, &bytes);
        }
        let mut driver = Self {
            mailbox,
            ram: fd.into(),
            settings,
            sending: 0,
            seen: 0,
            last: 0,
        };
        for slot in 0..SIZE {
            driver.post(slot);
        }
        driver.mailbox.write(0x2000, u32::from(SIZE) - 1);
        let (status, _) = driver.mailbox.ask(op::ENABLE_QUEUES, &driver::select(1, 1));
        assert_eq!(status, 0);
        driver
    }

    fn write(&self, at: u64, bytes: &[u8]) {
        self.ram.write_all_at(bytes, at).expect("ram");
    }

    fn read(&self, at: u64, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.ram.read_exact_at(&mut bytes, at).expect("ram");
        bytes
    }

    fn word(&self, at: u64) -> u64 {
        u64::from_le_bytes(self.read(at, 8).try_into().expect("8"))
    }

    fn post(&self, slot: u16) {
        let address = BASE + BUFFERS + STRIDE * u64::from(slot);
        let mut bytes = address.to_le_bytes().to_vec();
        bytes.extend([0; 24]);
        self.write(RECEIVE + 32 * u64::from(slot), &bytes);
    }

    /// Puts a descriptor into the ring; where it lies.
    fn put(&mut self, words: [u64; 2]) -> u64 {
        let at = TRANSMIT + 16 * u64::from(self.sending);
        self.write(at, &words.map(u64::to_le_bytes).concat());
        self.sending = (self.sending + 1) % SIZE;
        at
    }

    /// Sends a frame and waits until it was given back.
    pub fn send(&mut self, frame: &Frame, ask: Ask, extra: Extra, layout: &Layout) {
        self.place(0, frame, ask, extra, layout);
        self.kick();
    }

    /// Puts the nth frame of those that are sent at once into the ring, with what is asked for it, in parts.
    pub fn place(&mut self, nth: usize, frame: &Frame, ask: Ask, extra: Extra, layout: &Layout) {
        let mut bytes = frame.bytes.clone();
        let large = match ask {
            Ask::Nothing | Ask::Checksum => None,
            Ask::Tcp(size) | Ask::Udp(size) => Some(size),
            other => panic!("{other:?} is nothing that the function does"),
        };
        let (ip, l4) = (frame.l4 - frame.l3, frame.end - frame.l4);
        let is_ip = frame.protocol != 0;
        let mut cmd = 0;
        let mut lens = (0, 0, 0);
        if is_ip && (ask != Ask::Nothing || extra.ip || extra.crc) {
            let sums = !frame.v6 && (extra.ip || large.is_some());
            cmd = match (frame.v6, sums) {
                (true, _) => 0x20,
                (false, false) => 0x40,
                (false, true) => 0x60,
            };
            lens = (frame.l3, ip, 0);
            if sums {
                put(&mut bytes, frame.l3 + 10, 0);
            }
        }
        if ask != Ask::Nothing {
            let field = frame.field().expect("a checksum to be left");
            put(&mut bytes, field, frame.pseudo(large.is_none()));
            cmd |= if frame.protocol == TCP { 0x100 } else { 0x300 };
            lens.2 = l4;
            if large.is_some() {
                put(&mut bytes, frame.l3 + if frame.v6 { 4 } else { 2 }, 0);
                if frame.protocol == UDP {
                    put(&mut bytes, frame.l4 + 4, 0xdead);
                }
            }
        } else if extra.crc && frame.protocol == SCTP && frame.fragment.is_none() {
            bytes[frame.l4 + 8..frame.l4 + 12].fill(0);
            cmd |= 0x200;
            lens.2 = 12;
        }
        let mut context = large.map(|size| {
            let len = frame.bytes.len() - frame.end;
            [0, 1 | 1 << 4 | (len as u64) << 30 | u64::from(size) << 50]
        });
        let mut tag = 0;
        if extra.insert && frame.bytes[12..14] == [0x81, 0] {
            let tci = u64::from(super::frames::get(&bytes, 14));
            bytes.drain(12..16);
            if lens.0 > 0 {
                lens.0 -= 4;
            }
            if extra.outer {
                let words = context.get_or_insert([0, 1]);
                words[0] |= tci << 32;
                words[1] |= 4 << 4;
            } else {
                (cmd, tag) = (cmd | 8, tci);
            }
        }
        if let Some(words) = context {
            self.put(words);
        }
        let said = cmd << 4
            | (lens.0 as u64 / 2) << 16
            | (lens.1 as u64 / 4) << 23
            | (lens.2 as u64 / 4) << 30
            | tag << 48;
        let most = if large.is_some() { 64 } else { MOST };
        let mut parts = layout.cut(bytes.len(), most);
        while let Some(at) = parts.iter().position(|len| *len > LONGEST) {
            let len = parts[at];
            parts.splice(at..=at, [LONGEST, len - LONGEST]);
        }
        let mut at = 0;
        let first = SENDING + AWAY * nth as u64;
        for (nth, len) in parts.iter().enumerate() {
            let place = first + (at + 64 * nth) as u64;
            self.write(place, &bytes[at..at + len]);
            at += len;
            // EOP and RS.
            let ends = if nth + 1 == parts.len() { 3 } else { 0 };
            self.last = self.put([BASE + place, said | ends << 4 | (*len as u64) << 34]);
        }
    }

    /// Tells of what was put into the ring, and waits until all of it was given back.
    pub fn kick(&self) {
        self.mailbox.write(0, self.sending.into());
        let done = eventually(|| (self.word(self.last + 8) & 0xf == 0xf).then_some(()));
        done.expect("the frame is given back");
    }

    /// What arrived, as its descriptors say it is.
    pub fn take(&mut self) -> Vec<Arrived> {
        let all = std::iter::from_fn(|| self.poll()).collect();
        let tail = (self.seen + SIZE - 1) % SIZE;
        self.mailbox.write(0x2000, tail.into());
        all
    }

    fn poll(&mut self) -> Option<Arrived> {
        let mut bytes = Vec::new();
        loop {
            let slot = self.seen;
            let at = RECEIVE + 32 * u64::from(slot);
            let (first, second) = (self.word(at), self.word(at + 8));
            if second & 1 == 0 {
                assert!(bytes.is_empty(), "a frame is shown whole");
                return None;
            }
            let back = if self.settings.flex {
                Back::flex(first, second)
            } else {
                Back::legacy(first, second)
            };
            let whole = self.settings.buffer as usize;
            let (len, ends) = (back.len, back.ends);
            assert!(
                if ends {
                    (1..=whole).contains(&len)
                } else {
                    len == whole
                },
                "only the last buffer is not full"
            );
            bytes.extend(self.read(BUFFERS + STRIDE * u64::from(slot), len));
            self.post(slot);
            self.seen = (slot + 1) % SIZE;
            if ends {
                return Some(self.understand(bytes, &back));
            }
            let nothing = Back {
                len,
                ..Back::default()
            };
            assert_eq!(back, nothing, "what is said stands last");
        }
    }

    fn understand(&self, mut bytes: Vec<u8>, back: &Back) -> Arrived {
        if self.settings.crc {
            let crc = bytes.split_off(bytes.len() - 4);
            assert_eq!(crc, crc32fast::hash(&bytes).to_le_bytes());
        }
        let behind = bytes.clone();
        if let Some(tci) = back.tag {
            assert!(self.settings.strip);
            let [a, b] = tci.to_be_bytes();
            bytes.splice(12..12, [0x81, 0, a, b]);
        } else {
            let tagged = bytes[12..14] == [0x81, 0];
            assert!(!(self.settings.strip && tagged), "a tag is left in");
        }
        let frame = Frame::read(&bytes);
        let Back {
            ptype, valid, hash, ..
        } = *back;
        let is = types(&frame);
        // What is said of headers is right; nothing need be.
        assert!(
            ptype == 1 || is.contains(&ptype),
            "ptype {ptype} of {is:?}: {behind:02x?}"
        );
        if valid {
            assert!(matches!(frame.protocol, TCP | UDP) && frame.fragment.is_none());
            assert_eq!(ptype, is[0], "a verdict is about this type");
        }
        match &self.settings.key {
            // Of what was cut into fragments here, the hash would be by ports that they do not have.
            Some(_) if frame.fragment.is_some() && hash.is_none() => assert_eq!(ptype, 1),
            Some(key) if frame.protocol != 0 => {
                let value = hash.expect("every IP packet is hashed");
                assert_ne!(ptype, 1, "a hash without its type is ignored");
                if frame.end <= 128 {
                    assert_eq!(value, hash::of(key, &frame));
                    let ports = matches!(frame.protocol, TCP | UDP) && frame.fragment.is_none();
                    assert!(!ports || ptype == is[0], "a hash of ports is of this type");
                }
            }
            _ => assert_eq!(hash, None),
        }
        Arrived {
            frame,
            large: Ask::Nothing,
            told: if valid { Told::Valid } else { Told::Nothing },
        }
    }
}

/// What a frame is, and what else may be said of it without being wrong.
fn types(frame: &Frame) -> Vec<u8> {
    let base = match (frame.protocol, frame.v6) {
        (0, _) => return vec![1],
        (_, false) => 22,
        (_, true) => 88,
    };
    let icmp = if frame.v6 { 58 } else { 1 };
    let kind = match frame.protocol {
        _ if frame.fragment.is_some() => 0,
        UDP => 2,
        TCP => 4,
        SCTP => 5,
        other if other == icmp => 6,
        _ => 1,
    };
    vec![base + kind, base + 1]
}
