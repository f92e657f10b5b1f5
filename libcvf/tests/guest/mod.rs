//! A small virtio-net driver over a device's own interface: no socket, no `unsafe` (guest memory is
//! read and written through its file).

#![allow(dead_code, reason = "each test uses its part")]

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use libcvf::control::{MacAddr, Permit};
use libcvf::cvf::{
    Cvf, CvfSpec, Doorbells, Interrupts, MapRequest, PortPolicy, RingFormats, TagStyle,
};
use libcvf::pf::{PhysicalFunction, SoftPf, SoftPfConfig};
use nix::sys::memfd::{MFdFlags, memfd_create};

pub const SIZE: u16 = 64;
const RAM: u64 = 8 << 20;
const QUEUE_BYTES: u64 = 0x10000;
const BUFFERS: u64 = 1 << 20;
const BUFFER: u64 = 2048;

pub fn pf(pairs: u32) -> Arc<SoftPf> {
    let config = SoftPfConfig {
        queue_pairs: pairs,
        ..SoftPfConfig::new("test")
    };
    SoftPf::start(config).expect("a soft PF starts")
}

pub fn spec(last: u8) -> CvfSpec {
    CvfSpec {
        name: format!("cvf{last}"),
        uuid: [last; 16],
        model: Default::default(),
        mac: MacAddr([2, 0, 0, 0, 0, last]),
        mtu: 1500,
        vlan: None,
        vlan_tag: TagStyle::default(),
        queue_pairs: 1,
        doorbells: Doorbells::Trapped,
        interrupts: Interrupts::Msix,
        ring_formats: RingFormats::Split,
        data_path: libcvf::cvf::DataPath::Auto,
        policy: PortPolicy::default(),
    }
}

pub fn compose<P: PhysicalFunction + 'static>(pf: &Arc<P>, spec: CvfSpec) -> Arc<Cvf> {
    let pf: Arc<dyn PhysicalFunction> = Arc::clone(pf) as _;
    Cvf::compose(pf, spec, Arc::new(Permit)).expect("the device is composed")
}

/// Waits for a condition that some worker brings about; event-driven tests have no better means
/// than looking, as a guest that polls does.
pub fn eventually<T>(mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        if let Some(found) = look() {
            return Some(found);
        }
        if Instant::now() > deadline {
            return None;
        }
        std::thread::yield_now();
    }
}

#[derive(Clone, Copy, Default)]
pub struct Capability {
    pub bar: u32,
    pub offset: u64,
    pub multiplier: u64,
}

pub struct Guest {
    pub cvf: Arc<Cvf>,
    pub ram: std::fs::File,
    common: Capability,
    pub notify: Capability,
    pub device: (u32, u64),
    doorbells: Vec<u64>,
    available: Vec<u16>,
    used: Vec<u16>,
    merge: bool,
    /// Bytes of receive buffers that are not of the usual size.
    pub small: Option<u32>,
}

pub fn memory(size: u64) -> OwnedFd {
    let fd = memfd_create(c"guest", MFdFlags::MFD_CLOEXEC).expect("memfd");
    nix::unistd::ftruncate(&fd, size as i64).expect("ftruncate");
    fd
}

pub fn map(cvf: &Cvf, fd: Option<OwnedFd>, iova: u64, size: u64) {
    let request = MapRequest {
        iova,
        size,
        fd,
        fd_offset: 0,
        read: true,
        write: true,
    };
    cvf.map(request).expect("the map is taken");
}

impl Guest {
    /// Maps memory and finds the structures; no driver yet.
    pub fn new(cvf: &Arc<Cvf>) -> Self {
        let fd = memory(RAM);
        map(cvf, Some(fd.try_clone().expect("dup")), 0, RAM);
        cvf.connected();
        let mut guest = Self {
            cvf: Arc::clone(cvf),
            ram: fd.into(),
            common: Capability::default(),
            notify: Capability::default(),
            device: (0, 0),
            doorbells: Vec::new(),
            available: Vec::new(),
            used: Vec::new(),
            merge: false,
            small: None,
        };
        guest.find();
        guest
    }

    fn config<const N: usize>(&self, at: u64) -> [u8; N] {
        let mut data = [0; N];
        self.cvf.read(7, at, &mut data).expect("config space");
        data
    }

    fn find(&mut self) {
        let mut at = u64::from(self.config::<1>(0x34)[0]);
        while at != 0 {
            let head: [u8; 16] = self.config(at);
            if head[0] == 9 {
                let word = |i: usize| u32::from_le_bytes(head[i..i + 4].try_into().expect("4"));
                let found = Capability {
                    bar: head[4].into(),
                    offset: word(8).into(),
                    multiplier: u32::from_le_bytes(self.config(at + 16)).into(),
                };
                match head[3] {
                    1 => self.common = found,
                    2 => self.notify = found,
                    4 => self.device = (found.bar, found.offset),
                    _ => {}
                }
            }
            at = head[1].into();
        }
        assert_eq!(self.notify.multiplier, 4096);
    }

    pub fn set(&self, register: u64, data: &[u8]) {
        self.cvf
            .write(self.common.bar, self.common.offset + register, data)
            .expect("register");
    }

    pub fn get<const N: usize>(&self, register: u64) -> [u8; N] {
        let mut data = [0; N];
        self.cvf
            .read(self.common.bar, self.common.offset + register, &mut data)
            .expect("register");
        data
    }

    pub fn status(&self) -> u8 {
        self.get::<1>(20)[0]
    }

    fn area(queue: u16) -> u64 {
        0x1000 + u64::from(queue) * QUEUE_BYTES
    }

    /// Resets the device and negotiates `wanted` of what is offered.
    pub fn negotiate(&mut self, wanted: u64) -> u64 {
        self.set(20, &[0]);
        assert_eq!(self.status(), 0);
        self.set(20, &[1]);
        self.set(20, &[3]);
        let mut features = 0u64;
        for half in 0..2u32 {
            self.set(0, &half.to_le_bytes());
            features |= u64::from(u32::from_le_bytes(self.get(4))) << (32 * half);
        }
        features &= wanted | 1 << 32;
        for half in 0..2u32 {
            self.set(8, &half.to_le_bytes());
            self.set(12, &((features >> (32 * half)) as u32).to_le_bytes());
        }
        self.set(20, &[11]);
        assert_eq!(self.status(), 11, "features are accepted");
        self.merge = features >> 15 & 1 == 1;
        features
    }

    /// Resets the device and brings the driver up with `wanted` of what is offered.
    pub fn start(&mut self, wanted: u64) -> u64 {
        let features = self.negotiate(wanted);
        let queues = u16::from_le_bytes(self.get(18));
        self.doorbells.clear();
        self.available = vec![0; queues.into()];
        self.used = vec![0; queues.into()];
        for queue in 0..queues {
            self.set(22, &queue.to_le_bytes());
            self.set(24, &SIZE.to_le_bytes());
            let base = Self::area(queue);
            let zeroes = vec![0; QUEUE_BYTES as usize];
            self.ram.write_all_at(&zeroes, base).expect("ram");
            self.set(32, &base.to_le_bytes());
            self.set(40, &(base + 0x4000).to_le_bytes());
            self.set(48, &(base + 0x8000).to_le_bytes());
            let off = u64::from(u16::from_le_bytes(self.get(30)));
            self.doorbells
                .push(self.notify.offset + off * self.notify.multiplier);
            self.set(28, &1u16.to_le_bytes());
        }
        self.set(20, &[15]);
        for slot in 0..SIZE {
            self.post(slot);
        }
        if self.cvf.health().hardware.is_some() && self.used_flags(0) == 0 {
            self.kick(0);
        }
        features
    }

    fn u16_at(&self, at: u64) -> u16 {
        let mut word = [0; 2];
        self.ram.read_exact_at(&mut word, at).expect("ram");
        u16::from_le_bytes(word)
    }

    pub fn buffer(queue: u16, slot: u16) -> u64 {
        BUFFERS + (u64::from(queue) * u64::from(SIZE) + u64::from(slot)) * BUFFER
    }

    pub fn descriptor(&self, queue: u16, slot: u16, at: u64, len: u32, flags: u16, next: u16) {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&at.to_le_bytes());
        bytes[8..12].copy_from_slice(&len.to_le_bytes());
        bytes[12..14].copy_from_slice(&flags.to_le_bytes());
        bytes[14..].copy_from_slice(&next.to_le_bytes());
        let place = Self::area(queue) + 16 * u64::from(slot);
        self.ram.write_all_at(&bytes, place).expect("ram");
    }

    pub fn offer(&mut self, queue: u16, head: u16) {
        let index = &mut self.available[usize::from(queue)];
        let ring = Self::area(queue) + 0x4000;
        let place = ring + 4 + 2 * u64::from(*index % SIZE);
        self.ram
            .write_all_at(&head.to_le_bytes(), place)
            .expect("ram");
        *index = index.wrapping_add(1);
        self.ram
            .write_all_at(&index.to_le_bytes(), ring + 2)
            .expect("ram");
    }

    /// Makes the driver's index anything.
    pub fn set_available(&mut self, queue: u16, index: u16) {
        self.available[usize::from(queue)] = index;
        let ring = Self::area(queue) + 0x4000;
        self.ram
            .write_all_at(&index.to_le_bytes(), ring + 2)
            .expect("ram");
    }

    pub fn kick(&self, queue: u16) {
        let at = self.doorbells[usize::from(queue)];
        self.cvf
            .write(self.notify.bar, at, &queue.to_le_bytes())
            .expect("doorbell");
    }

    fn post(&mut self, slot: u16) {
        let len = self.small.unwrap_or(BUFFER as u32);
        self.descriptor(0, slot, Self::buffer(0, slot), len, 2, 0);
        self.offer(0, slot);
    }

    /// Sends a frame with a header; the ring's slots are used in turn.
    pub fn send_with(&mut self, header: [u8; 12], frame: &[u8]) {
        self.place(header, frame);
        self.kick(1);
    }

    /// Puts a frame into the transmit ring and does not ring.
    pub fn place(&mut self, header: [u8; 12], frame: &[u8]) {
        let slot = self.available[1] % SIZE;
        let at = Self::buffer(1, slot);
        self.ram.write_all_at(&header, at).expect("ram");
        self.ram.write_all_at(frame, at + 12).expect("ram");
        self.descriptor(1, slot, at, 12 + frame.len() as u32, 0, 0);
        self.offer(1, slot);
    }

    pub fn send(&mut self, frame: &[u8]) {
        self.send_with([0; 12], frame);
    }

    /// Flags of the used ring: 1 asks for no doorbells.
    pub fn used_flags(&self, queue: u16) -> u16 {
        self.u16_at(Self::area(queue) + 0x8000)
    }

    /// The entry for which a doorbell is asked, with event indexes.
    pub fn available_event(&self, queue: u16) -> u16 {
        self.u16_at(Self::area(queue) + 0x8004 + 8 * u64::from(SIZE))
    }

    /// Entries offered so far.
    pub fn offered(&self, queue: u16) -> u16 {
        self.available[usize::from(queue)]
    }

    /// Completed transmit buffers so far.
    pub fn sent(&self) -> u16 {
        self.u16_at(Self::area(1) + 0x8002)
    }

    /// Takes a frame out of the receive ring, with its header.
    pub fn poll(&mut self) -> Option<([u8; 12], Vec<u8>)> {
        let ring = Self::area(0) + 0x8000;
        let mut whole = Vec::new();
        let mut buffers = 1;
        while buffers > 0 {
            let used = self.used[0];
            if self.u16_at(ring + 2) == used {
                assert!(whole.is_empty(), "a frame is published whole");
                return None;
            }
            let mut entry = [0; 8];
            self.ram
                .read_exact_at(&mut entry, ring + 4 + 8 * u64::from(used % SIZE))
                .expect("ram");
            let slot = u16::from_le_bytes([entry[0], entry[1]]);
            let len = u32::from_le_bytes(entry[4..].try_into().expect("4"));
            let start = whole.len();
            whole.resize(start + len as usize, 0);
            self.ram
                .read_exact_at(&mut whole[start..], Self::buffer(0, slot))
                .expect("ram");
            if start == 0 {
                buffers = u16::from_le_bytes([whole[10], whole[11]]);
                assert!(buffers == 1 || self.merge);
            }
            buffers -= 1;
            self.used[0] = used.wrapping_add(1);
            self.post(slot);
        }
        let frame = whole.split_off(12);
        Some((whole.try_into().expect("a header"), frame))
    }

    pub fn receive(&mut self) -> Option<Vec<u8>> {
        eventually(|| self.poll()).map(|(_, frame)| frame)
    }

    /// Places a control command and returns its answer.
    pub fn command(&mut self, queue: u16, bytes: &[u8]) -> u8 {
        let at = Self::buffer(2, 0);
        self.ram.write_all_at(bytes, at).expect("ram");
        self.ram.write_all_at(&[0xee], at + 1024).expect("ram");
        self.descriptor(queue, 0, at, bytes.len() as u32, 1, 1);
        self.descriptor(queue, 1, at + 1024, 1, 2, 0);
        self.offer(queue, 0);
        self.kick(queue);
        self.answer()
    }

    /// The answer to the last command; 0xee while there is none.
    pub fn answer(&self) -> u8 {
        let mut answer = [0];
        let at = Self::buffer(2, 0) + 1024;
        self.ram.read_exact_at(&mut answer, at).expect("ram");
        answer[0]
    }

    pub fn fd(&self) -> OwnedFd {
        self.ram.as_fd().try_clone_to_owned().expect("dup")
    }
}

pub fn frame(to: u8, from: u8, len: usize) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, to, 2, 0, 0, 0, 0, from, 0x88, 0xb5];
    frame.extend((frame.len()..len).map(|i| (i * 7 + usize::from(from)) as u8));
    frame
}
