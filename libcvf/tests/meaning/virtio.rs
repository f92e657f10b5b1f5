//! A virtio-net driver that sends and receives what large-send frames need: rings and buffers of its own size.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use libcvf::cvf::Cvf;

use super::frames::{Frame, put, sum};
use super::{Arrived, Ask, Layout, Told};
use crate::guest::{Guest, eventually, map, memory};

const SIZE: u16 = 256;
const BASE: u64 = 1 << 32;
const RAM: u64 = 64 << 20;
/// Receive buffers, 128 KiB apart.
const BUFFERS: u64 = 8 << 20;
const STRIDE: u64 = 128 << 10;
/// What is sent, and indirect tables in front of it.
const SENDING: u64 = 1 << 20;
const TABLES: u64 = 0x8_0000;
/// Descriptors of one frame.
const CHAIN: u16 = 16;
const HEADER: usize = 12;

pub mod bits {
    pub const CSUM: u64 = 1;
    pub const GUEST_CSUM: u64 = 1 << 1;
    pub const GUEST_TSO4: u64 = 1 << 7;
    pub const GUEST_TSO6: u64 = 1 << 8;
    pub const GUEST_ECN: u64 = 1 << 9;
    pub const GUEST_UFO: u64 = 1 << 10;
    pub const HOST_TSO4: u64 = 1 << 11;
    pub const HOST_TSO6: u64 = 1 << 12;
    pub const HOST_ECN: u64 = 1 << 13;
    pub const HOST_UFO: u64 = 1 << 14;
    pub const MRG_RXBUF: u64 = 1 << 15;
    pub const INDIRECT: u64 = 1 << 28;
    pub const GUEST_USO4: u64 = 1 << 54;
    pub const GUEST_USO6: u64 = 1 << 55;
    pub const HOST_USO: u64 = 1 << 56;
    /// All that a sender may use.
    pub const SENDS: u64 =
        CSUM | HOST_TSO4 | HOST_TSO6 | HOST_ECN | HOST_UFO | HOST_USO | INDIRECT | MRG_RXBUF;
}

pub struct Virtio {
    guest: Guest,
    ram: File,
    pub features: u64,
    doorbell: u64,
    available: [u16; 2],
    used: [u16; 2],
    /// Bytes of a receive buffer.
    buffer: u32,
}

fn area(queue: u16) -> u64 {
    0x1_0000 * (1 + u64::from(queue))
}

impl Virtio {
    /// A driver that takes `wanted` of what is offered, and posts buffers of so many bytes.
    pub fn start(cvf: &Arc<Cvf>, wanted: u64, buffer: u32) -> Self {
        let mut guest = Guest::new(cvf);
        let fd = memory(RAM);
        map(cvf, Some(fd.try_clone().expect("dup")), BASE, RAM);
        let features = guest.negotiate(wanted);
        for queue in 0..2u16 {
            guest.set(22, &queue.to_le_bytes());
            guest.set(24, &SIZE.to_le_bytes());
            let base = BASE + area(queue);
            guest.set(32, &base.to_le_bytes());
            guest.set(40, &(base + 0x4000).to_le_bytes());
            guest.set(48, &(base + 0x8000).to_le_bytes());
            guest.set(28, &1u16.to_le_bytes());
        }
        guest.set(22, &1u16.to_le_bytes());
        let off = u64::from(u16::from_le_bytes(guest.get(30)));
        guest.set(20, &[15]);
        let mut driver = Self {
            doorbell: guest.notify.offset + off * guest.notify.multiplier,
            guest,
            ram: fd.into(),
            features,
            available: [0; 2],
            used: [0; 2],
            buffer,
        };
        for slot in 0..SIZE {
            driver.post(slot);
        }
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

    fn word(&self, at: u64) -> u16 {
        u16::from_le_bytes(self.read(at, 2).try_into().expect("2"))
    }

    fn descriptor(at: u64, len: usize, flags: u16, next: u16) -> Vec<u8> {
        let mut bytes = (BASE + at).to_le_bytes().to_vec();
        bytes.extend((len as u32).to_le_bytes());
        bytes.extend(flags.to_le_bytes());
        bytes.extend(next.to_le_bytes());
        bytes
    }

    fn offer(&mut self, queue: u16, head: u16) {
        let index = self.available[usize::from(queue)];
        let ring = area(queue) + 0x4000;
        self.write(ring + 4 + 2 * u64::from(index % SIZE), &head.to_le_bytes());
        self.available[usize::from(queue)] = index.wrapping_add(1);
        self.write(ring + 2, &index.wrapping_add(1).to_le_bytes());
    }

    fn post(&mut self, slot: u16) {
        let at = BUFFERS + STRIDE * u64::from(slot);
        let bytes = Self::descriptor(at, self.buffer as usize, 2, 0);
        self.write(area(0) + 16 * u64::from(slot), &bytes);
        self.offer(0, slot);
    }

    /// Sends a frame and waits until it was given back.
    pub fn send(&mut self, frame: &Frame, ask: Ask, layout: &Layout) {
        self.place(0, frame, ask, layout);
        self.kick();
    }

    /// Puts the nth frame of those that are sent at once into the ring, with what is asked for it, in parts.
    pub fn place(&mut self, nth: usize, frame: &Frame, ask: Ask, layout: &Layout) {
        let head = CHAIN * nth as u16;
        let mut bytes = frame.bytes.clone();
        let mut header = vec![0; HEADER];
        let (kind, size) = match (ask, frame.v6) {
            (Ask::Nothing | Ask::Checksum, _) => (0, 0),
            (Ask::Tcp(size), false) => (1, size),
            (Ask::Tcp(size), true) => (4, size),
            (Ask::Fragments(size), _) => (3, size),
            (Ask::Udp(size), _) => (5, size),
        };
        if ask != Ask::Nothing {
            let field = frame.field().expect("a checksum to be left");
            put(&mut bytes, field, frame.pseudo(true));
            header[0] = 1;
            header[6..8].copy_from_slice(&(frame.l4 as u16).to_le_bytes());
            header[8..10].copy_from_slice(&((field - frame.l4) as u16).to_le_bytes());
        }
        if kind != 0 {
            let congested = matches!(ask, Ask::Tcp(_)) && frame.bytes[frame.l4 + 13] & 0x80 != 0;
            header[1] = kind | if congested { 0x80 } else { 0 };
            header[2..4].copy_from_slice(&(frame.end as u16).to_le_bytes());
            header[4..6].copy_from_slice(&size.to_le_bytes());
        }
        // The header is a part of its own, or the first's beginning.
        let mut parts = layout.cut(bytes.len(), usize::from(CHAIN) - 1);
        header.extend(&bytes);
        if layout.header_alone {
            parts.insert(0, HEADER);
        } else {
            parts[0] += HEADER;
        }
        let (mut at, mut chain) = (0, Vec::new());
        let first = SENDING + STRIDE * nth as u64;
        for (nth, len) in parts.iter().enumerate() {
            // With gaps between them.
            let place = first + (at + 64 * nth) as u64;
            self.write(place, &header[at..at + len]);
            let last = nth + 1 == parts.len();
            let flags = u16::from(!last);
            let next = nth as u16 + 1 + if layout.indirect { 0 } else { head };
            chain.extend(Self::descriptor(place, *len, flags, next));
            at += len;
        }
        if layout.indirect {
            let table = TABLES + 0x1000 * nth as u64;
            self.write(table, &chain);
            chain = Self::descriptor(table, chain.len(), 4, 0);
        }
        self.write(area(1) + 16 * u64::from(head), &chain);
        self.offer(1, head);
    }

    /// Tells of what was put into the ring, and waits until all of it was given back.
    pub fn kick(&self) {
        let (bar, at) = (self.guest.notify.bar, self.doorbell);
        self.guest
            .cvf
            .write(bar, at, &1u16.to_le_bytes())
            .expect("doorbell");
        let wanted = self.available[1];
        let done = eventually(|| (self.word(area(1) + 0x8002) == wanted).then_some(()));
        done.expect("the frame is given back");
    }

    /// What arrived, as the driver's header says it is.
    pub fn take(&mut self) -> Vec<Arrived> {
        std::iter::from_fn(|| self.poll()).collect()
    }

    fn poll(&mut self) -> Option<Arrived> {
        let ring = area(0) + 0x8000;
        let (mut whole, mut left) = (Vec::new(), 1);
        while left > 0 {
            let used = self.used[0];
            if self.word(ring + 2) == used {
                assert!(whole.is_empty(), "a frame is published whole");
                return None;
            }
            let entry = self.read(ring + 4 + 8 * u64::from(used % SIZE), 8);
            let slot = u16::from_le_bytes([entry[0], entry[1]]);
            let len = u32::from_le_bytes(entry[4..].try_into().expect("4")) as usize;
            assert!(len <= self.buffer as usize);
            let first = whole.is_empty();
            whole.extend(self.read(BUFFERS + STRIDE * u64::from(slot), len));
            if first {
                left = u16::from_le_bytes([whole[10], whole[11]]);
                assert!(left == 1 || self.features & bits::MRG_RXBUF != 0);
            } else {
                assert!(len > 0, "no buffer is empty");
            }
            left -= 1;
            self.used[0] = used.wrapping_add(1);
            self.post(slot);
        }
        let bytes = whole.split_off(HEADER);
        Some(self.understand(&whole, bytes))
    }

    fn understand(&self, header: &[u8], mut bytes: Vec<u8>) -> Arrived {
        let word = |at: usize| u16::from_le_bytes([header[at], header[at + 1]]);
        let has = |bit: u64| self.features & bit != 0;
        let told = match header[0] {
            0 => Told::Nothing,
            1 => Told::Partial,
            2 => Told::Valid,
            other => panic!("flags {other:#x}"),
        };
        // virtio 1.3 5.1.6.4.1.
        assert!(
            told == Told::Nothing || has(bits::GUEST_CSUM),
            "flags without GUEST_CSUM"
        );
        if told == Told::Partial {
            let (start, at) = (usize::from(word(6)), usize::from(word(6) + word(8)));
            let done = match !sum(&bytes[start..]) {
                0 => 0xffff,
                sum => sum,
            };
            put(&mut bytes, at, done);
        } else {
            assert_eq!((word(6), word(8)), (0, 0));
        }
        let frame = Frame::read(&bytes);
        if told == Told::Partial {
            let at = usize::from(word(6) + word(8));
            assert_eq!(Some(at), frame.field(), "where the checksum is");
            assert_eq!(usize::from(word(6)), frame.l4);
        }
        let (kind, feature) = match (header[1] & 0x7f, frame.v6) {
            (0, _) => (Ask::Nothing, 0),
            (1, false) => (Ask::Tcp(word(4)), bits::GUEST_TSO4),
            (4, true) => (Ask::Tcp(word(4)), bits::GUEST_TSO6),
            (3, _) => (Ask::Fragments(word(4)), bits::GUEST_UFO),
            (5, false) => (Ask::Udp(word(4)), bits::GUEST_USO4),
            (5, true) => (Ask::Udp(word(4)), bits::GUEST_USO6),
            (other, _) => panic!("gso_type {other}"),
        };
        assert!(
            feature == 0 || has(feature),
            "a kind that was not negotiated"
        );
        if header[1] & 0x80 != 0 {
            assert!(has(bits::GUEST_ECN));
        }
        if kind == Ask::Nothing {
            assert_eq!((header[1], word(4)), (0, 0));
        } else {
            assert_eq!(told, Told::Partial, "a large frame is unfinished");
            assert_eq!(usize::from(word(2)), frame.end, "hdr_len");
        }
        Arrived {
            frame,
            large: kind,
            told,
        }
    }
}
