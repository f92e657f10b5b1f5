//! A model of the device as far as this driver uses it: registers, status, split rings of both directions, commands. It works
//! when it is notified and when a frame is given to it; memory it finds by address, like the IOMMU.

use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::features::Features;
use super::regs;
use crate::mem::OwnMemory;
use crate::pf::vfio::Registers;

/// Where structures are in its BAR, as QEMU has it with `page-per-vq=on`.
const DEVICE: u32 = 0x2000;
const NOTIFY: u32 = 0x3000;
const PAGE: u32 = 0x1000;
/// Bytes of the BAR.
pub(super) const BAR: u64 = 0x40_3000;

/// A frame that left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sent {
    pub queue: u16,
    pub header: [u8; 12],
    pub bytes: Vec<u8>,
}

/// How it behaves.
#[derive(Clone, Debug)]
pub(super) struct Manners {
    pub offered: Features,
    /// Does not keep `FEATURES_OK`.
    pub refuses: bool,
    /// Never reads as reset; never ends a queue; never answers commands.
    pub resets: bool,
    pub ends_queues: bool,
    pub answers: bool,
    /// What it answers.
    pub answer: u8,
    /// Is done with the last first.
    pub backwards: bool,
    /// Takes no vectors.
    pub vectorless: bool,
    pub pairs: u16,
    pub mtu: u16,
    pub size: u16,
    /// Steps between doorbells, instead of each queue's number.
    pub far: Option<u16>,
}

impl Default for Manners {
    fn default() -> Self {
        Self {
            offered: Features::WANTED,
            refuses: false,
            resets: true,
            ends_queues: true,
            answers: true,
            answer: regs::CTRL_OK,
            backwards: false,
            vectorless: false,
            pairs: 2,
            mtu: 1500,
            size: 64,
            far: None,
        }
    }
}

#[derive(Clone, Default)]
struct Queue {
    size: u16,
    vector: u16,
    enabled: bool,
    resetting: bool,
    areas: [u64; 3],
    /// Chains taken, and given back.
    taken: u16,
    used: u16,
}

/// A chain: its head, and its buffers.
type Chain = (u16, Vec<(u64, u32, bool)>);

#[derive(Default)]
struct State {
    manners: Manners,
    status: u8,
    selects: [u32; 2],
    accepted: u64,
    config_vector: u16,
    selected: u16,
    queues: Vec<Queue>,
    link: u16,
    memory: Vec<(u64, Weak<OwnMemory>)>,
    sent: Vec<Sent>,
    commands: Vec<Vec<u8>>,
    interrupts: Vec<u16>,
    early: u32,
    notified: u32,
    faults: u32,
    paused: bool,
}

/// Shared with the driver.
#[derive(Clone, Default)]
pub(super) struct Model(Arc<Mutex<State>>);

impl State {
    fn set_back(&mut self) {
        let queue = Queue {
            size: self.manners.size,
            vector: regs::NO_VECTOR,
            ..Queue::default()
        };
        self.queues = vec![queue; usize::from(self.manners.pairs) * 2 + 1];
        (self.status, self.accepted, self.selected) = (0, 0, 0);
        self.config_vector = regs::NO_VECTOR;
        self.link = regs::NET_LINK_UP;
    }

    fn find(&mut self, iova: u64, len: usize) -> Option<(Arc<OwnMemory>, usize)> {
        let found = self.memory.iter().find_map(|(first, memory)| {
            let memory = memory.upgrade()?;
            let at = usize::try_from(iova.checked_sub(*first)?).ok()?;
            (at.checked_add(len)? <= memory.len()).then_some((memory, at))
        });
        self.faults += u32::from(found.is_none());
        found
    }

    /// Takes the next chain that is available.
    fn take(&mut self, queue: u16) -> Option<Chain> {
        let it = self.queues.get(usize::from(queue))?.clone();
        if !it.enabled || self.status & regs::DRIVER_OK == 0 {
            return None;
        }
        let (memory, at) = self.find(it.areas[1], 4)?;
        if memory.load16(at + 2) == it.taken {
            return None;
        }
        let slot = u64::from(it.taken % it.size);
        let (memory, at) = self.find(it.areas[1] + 4 + 2 * slot, 2)?;
        let head = memory.load16(at);
        self.queues[usize::from(queue)].taken = it.taken.wrapping_add(1);
        let (mut chain, mut next) = (Vec::new(), head);
        loop {
            assert!(next < it.size && chain.len() < usize::from(it.size));
            let (memory, at) = self.find(it.areas[0] + 16 * u64::from(next), 16)?;
            let (iova, rest) = (memory.load64(at), memory.load64(at + 8));
            let flags = (rest >> 32) as u16;
            chain.push((iova, rest as u32, flags & regs::DESC_WRITE != 0));
            if flags & regs::DESC_NEXT == 0 {
                return Some((head, chain));
            }
            next = (rest >> 48) as u16;
        }
    }

    fn give_back(&mut self, queue: u16, head: u16, len: u32) {
        let it = self.queues[usize::from(queue)].clone();
        let slot = u64::from(it.used % it.size);
        if let Some((memory, at)) = self.find(it.areas[2] + 4 + 8 * slot, 8) {
            memory.store32(at, head.into());
            memory.store32(at + 4, len);
        }
        let used = it.used.wrapping_add(1);
        self.queues[usize::from(queue)].used = used;
        if let Some((memory, at)) = self.find(it.areas[2], 4) {
            memory.store16(at + 2, used);
        }
        if let Some((memory, at)) = self.find(it.areas[1], 2)
            && memory.load16(at) & regs::AVAIL_NO_INTERRUPT == 0
        {
            self.interrupts.push(it.vector);
        }
    }

    /// The bytes of a chain's readable buffers.
    fn gather(&mut self, chain: &Chain) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (iova, len, writable) in &chain.1 {
            if *writable {
                continue;
            }
            if let Some((memory, at)) = self.find(*iova, *len as usize) {
                let before = bytes.len();
                bytes.resize(before + *len as usize, 0);
                memory.read(at, *len as usize).read(&mut bytes[before..]);
            }
        }
        bytes
    }

    /// Writes into a chain's writable buffers; how much of it fitted.
    fn scatter(&mut self, chain: &Chain, mut bytes: &[u8]) -> u32 {
        let all = bytes.len();
        for (iova, len, writable) in &chain.1 {
            if !*writable {
                continue;
            }
            let (now, rest) = bytes.split_at(bytes.len().min(*len as usize));
            if let Some((memory, at)) = self.find(*iova, now.len()) {
                memory.write(at, now.len()).write(now);
            }
            bytes = rest;
        }
        (all - bytes.len()) as u32
    }

    fn control(&self) -> u16 {
        self.queues.len() as u16 - 1
    }

    fn work(&mut self, queue: u16) {
        if self.paused {
            return;
        }
        let mut done = Vec::new();
        while (queue == self.control() || !queue.is_multiple_of(2))
            && let Some(chain) = self.take(queue)
        {
            let bytes = self.gather(&chain);
            if queue == self.control() {
                self.commands.push(bytes);
                if !self.manners.answers {
                    continue;
                }
                let answer = [self.manners.answer];
                self.scatter(&chain, &answer);
                done.push((chain.0, 1));
            } else {
                let (header, bytes) = bytes.split_first_chunk::<12>().expect("a header");
                self.sent.push(Sent {
                    queue,
                    header: *header,
                    bytes: bytes.to_vec(),
                });
                done.push((chain.0, 0));
            }
        }
        if self.manners.backwards {
            done.reverse();
        }
        for (head, len) in done {
            self.give_back(queue, head, len);
        }
    }

    fn queue(&mut self) -> Option<&mut Queue> {
        self.queues.get_mut(usize::from(self.selected))
    }

    fn write(&mut self, offset: u32, value: u32) {
        if offset >= NOTIFY {
            assert_eq!((offset - NOTIFY) / PAGE, value, "its own doorbell");
            self.notified += 1;
            if self.status & regs::DRIVER_OK == 0 {
                self.early += 1;
            } else {
                self.work(value as u16);
            }
            return;
        }
        let vectorless = self.manners.vectorless;
        let vector = if vectorless {
            regs::NO_VECTOR
        } else {
            value as u16
        };
        let live = self.manners.ends_queues;
        let half = |old: u64, high: bool| {
            let shift = 32 * u32::from(high);
            old & !(0xffff_ffff << shift) | u64::from(value) << shift
        };
        match offset {
            regs::DEVICE_FEATURE_SELECT => self.selects[0] = value,
            regs::DRIVER_FEATURE_SELECT => self.selects[1] = value,
            regs::DRIVER_FEATURE => self.accepted = half(self.accepted, self.selects[1] == 1),
            regs::CONFIG_MSIX_VECTOR => self.config_vector = vector,
            regs::DEVICE_STATUS if value == 0 && self.manners.resets => self.set_back(),
            regs::DEVICE_STATUS if value == 0 => {}
            regs::DEVICE_STATUS => {
                self.status = value as u8;
                if self.manners.refuses {
                    self.status &= !regs::FEATURES_OK;
                }
            }
            regs::QUEUE_SELECT => self.selected = value as u16,
            _ => {
                let Some(queue) = self.queue() else { return };
                match offset {
                    regs::QUEUE_SIZE => queue.size = value as u16,
                    regs::QUEUE_MSIX_VECTOR => queue.vector = vector,
                    regs::QUEUE_ENABLE => queue.enabled = value == 1,
                    regs::QUEUE_RESET if live => {
                        *queue = Queue {
                            size: queue.size,
                            vector: regs::NO_VECTOR,
                            ..Queue::default()
                        };
                    }
                    regs::QUEUE_RESET => queue.resetting = true,
                    regs::QUEUE_DESC..=0x37 => {
                        let index = (offset - regs::QUEUE_DESC) as usize / 8;
                        queue.areas[index] = half(queue.areas[index], offset % 8 == 4);
                    }
                    _ => panic!("nothing is written at {offset:#x}"),
                }
            }
        }
    }

    fn read(&mut self, offset: u32) -> u32 {
        let half = |value: u64, high: u32| (value >> (32 * high.min(1))) as u32;
        let (manners, queues) = (self.manners.clone(), self.queues.len() as u32);
        match offset {
            regs::DEVICE_FEATURE => half(manners.offered.0, self.selects[0]),
            regs::CONFIG_MSIX_VECTOR => self.config_vector.into(),
            regs::NUM_QUEUES => queues,
            regs::DEVICE_STATUS => self.status.into(),
            regs::CONFIG_GENERATION => 0,
            mac @ DEVICE..0x2006 => [2, 0, 0, 0, 0, 0x17][(mac - DEVICE) as usize],
            0x2006 => self.link.into(),
            0x2008 => manners.pairs.into(),
            0x200a => manners.mtu.into(),
            _ => {
                let number = self.selected;
                let Some(queue) = self.queue() else { return 0 };
                match offset {
                    regs::QUEUE_SIZE => queue.size.into(),
                    regs::QUEUE_MSIX_VECTOR => queue.vector.into(),
                    regs::QUEUE_ENABLE => queue.enabled.into(),
                    regs::QUEUE_NOTIFY_OFF => manners.far.unwrap_or(number).into(),
                    regs::QUEUE_RESET => queue.resetting.into(),
                    _ => panic!("nothing is read at {offset:#x}"),
                }
            }
        }
    }
}

impl Model {
    pub(super) fn new(manners: Manners) -> Self {
        let model = Self::default();
        let mut state = model.0.lock();
        state.manners = manners;
        state.set_back();
        // It was in use before.
        state.status = regs::ACKNOWLEDGE;
        drop(state);
        model
    }

    /// Has it find memory at an address, while that lives.
    pub(super) fn add(&self, iova: u64, memory: &Arc<OwnMemory>) {
        self.0.lock().memory.push((iova, Arc::downgrade(memory)));
    }

    /// Changes its manners.
    pub(super) fn behave(&self, change: impl FnOnce(&mut Manners)) {
        change(&mut self.0.lock().manners);
    }

    /// Frames that it has sent since the last call.
    pub(super) fn sent(&self) -> Vec<Sent> {
        std::mem::take(&mut self.0.lock().sent)
    }

    /// Commands since the last call.
    pub(super) fn commands(&self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.0.lock().commands)
    }

    /// Vectors of its interrupts since the last call.
    pub(super) fn interrupts(&self) -> Vec<u16> {
        std::mem::take(&mut self.0.lock().interrupts)
    }

    /// Frames from outside, in this order; how many found a buffer. The first byte of the header is `flags`.
    pub(super) fn receive(&self, pair: u16, frames: &[Vec<u8>], flags: u8) -> usize {
        let mut state = self.0.lock();
        let mut done = Vec::new();
        for frame in frames {
            let Some(chain) = state.take(2 * pair) else {
                break;
            };
            let mut bytes = vec![0; 12];
            (bytes[0], bytes[10]) = (flags, 1);
            bytes.extend(frame);
            done.push((chain.0, state.scatter(&chain, &bytes)));
        }
        if state.manners.backwards {
            done.reverse();
        }
        for (head, len) in &done {
            state.give_back(2 * pair, *head, *len);
        }
        done.len()
    }

    /// Says that it is done with something, whatever that is.
    pub(super) fn lie(&self, queue: u16, head: u32, len: u32) {
        let mut state = self.0.lock();
        state.give_back(queue, 0, len);
        let it = state.queues[usize::from(queue)].clone();
        let slot = u64::from(it.used.wrapping_sub(1) % it.size);
        if let Some((memory, at)) = state.find(it.areas[2] + 4 + 8 * slot, 8) {
            memory.store32(at, head);
        }
    }

    /// Writes a used index.
    pub(super) fn jump(&self, queue: u16, used: u16) {
        let mut state = self.0.lock();
        let area = state.queues[usize::from(queue)].areas[2];
        if let Some((memory, at)) = state.find(area, 4) {
            memory.store16(at + 2, used);
        }
    }

    /// Wants to be told of what is available, or not.
    pub(super) fn wants_doorbells(&self, queue: u16, wants: bool) {
        let mut state = self.0.lock();
        let area = state.queues[usize::from(queue)].areas[2];
        if let Some((memory, at)) = state.find(area, 4) {
            memory.store16(at, if wants { 0 } else { regs::USED_NO_NOTIFY });
        }
    }

    /// Works no queue until it is let go.
    pub(super) fn pause(&self, paused: bool) {
        let mut state = self.0.lock();
        state.paused = paused;
        for queue in 0..state.queues.len() as u16 {
            state.work(queue);
        }
    }

    pub(super) fn set_link(&self, link: u16) {
        self.0.lock().link = link;
    }

    /// DMA that found nothing, and doorbells before `DRIVER_OK`.
    pub(super) fn complaints(&self) -> (u32, u32) {
        let state = self.0.lock();
        (state.faults, state.early)
    }

    /// Doorbells written.
    pub(super) fn notified(&self) -> u32 {
        self.0.lock().notified
    }

    pub(super) fn status(&self) -> u8 {
        self.0.lock().status
    }

    pub(super) fn set_status(&self, status: u8) {
        self.0.lock().status = status;
    }

    pub(super) fn accepted(&self) -> Features {
        Features(self.0.lock().accepted)
    }

    /// Of a queue: enabled, size, vector.
    pub(super) fn queue(&self, queue: u16) -> (bool, u16, u16) {
        let it = self.0.lock().queues[usize::from(queue)].clone();
        (it.enabled, it.size, it.vector)
    }
}

impl Registers for Model {
    fn read8(&self, offset: u32) -> u8 {
        self.0.lock().read(offset) as u8
    }

    fn read16(&self, offset: u32) -> u16 {
        self.0.lock().read(offset) as u16
    }

    fn read32(&self, offset: u32) -> u32 {
        self.0.lock().read(offset)
    }

    fn write8(&self, offset: u32, value: u8) {
        self.0.lock().write(offset, value.into());
    }

    fn write16(&self, offset: u32, value: u16) {
        self.0.lock().write(offset, value.into());
    }

    fn write32(&self, offset: u32, value: u32) {
        self.0.lock().write(offset, value);
    }
}
