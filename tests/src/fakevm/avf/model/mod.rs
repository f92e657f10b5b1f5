//! A small model of an AVF device in this process, written from what is known of the hardware and from nothing else
//! here: the counterpart for tests of the driver. It hands every frame back to whoever sent it.

mod mail;
mod rings;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use nix::sys::eventfd::EventFd;

pub use self::rings::{RxModel, Say, TxModel};
use crate::fakevm::bus::Bus;
use crate::fakevm::client::{DeviceInfo, RegionInfo, flags};
use crate::fakevm::error::Result;
use crate::fakevm::interrupts::new_event;
use crate::fakevm::mem::Shared;
use crate::fakevm::memory::GuestMemory;

const CONFIG: u32 = 7;
const MSIX: usize = 0x40;
const BARS: [(usize, u64); 2] = [(0x10, 128 << 10), (0x1c, 16 << 10)];

const ATQH: u64 = 0x6400;
const ATQT: u64 = 0x8400;
const ATQLEN: u64 = 0x6800;
const ARQH: u64 = 0x7400;
const ARQT: u64 = 0x7000;
const ARQLEN: u64 = 0x8000;
const RSTAT: u64 = 0x8800;
const ICR0: u64 = 0x4800;
const ICR0_ENA: u64 = 0x5000;
const DYN_CTL0: u64 = 0x5c00;
const DYN_CTLN: u64 = 0x3800;
const ENABLE: u32 = 1 << 31;

/// Memory of the guest, as the device reaches it.
#[derive(Clone, Debug, Default)]
pub struct Memory(Vec<(u64, Shared)>);

impl Memory {
    pub fn of(memory: &GuestMemory) -> Self {
        let regions = memory.regions().iter();
        Memory(regions.map(|r| (r.gpa, r.bytes().clone())).collect())
    }

    fn at(&self, gpa: u64) -> (&Shared, usize) {
        let holds = |(base, bytes): &&(u64, Shared)| {
            gpa.checked_sub(*base)
                .is_some_and(|at| at < bytes.len() as u64)
        };
        let (base, bytes) = self.0.iter().find(holds).expect("guest memory");
        (bytes, (gpa - base) as usize)
    }

    pub fn read(&self, gpa: u64, to: &mut [u8]) {
        let (bytes, at) = self.at(gpa);
        bytes.read(at, to);
    }

    pub fn write(&self, gpa: u64, from: &[u8]) {
        let (bytes, at) = self.at(gpa);
        bytes.write(at, from);
    }

    pub fn load(&self, gpa: u64) -> u64 {
        let (bytes, at) = self.at(gpa);
        bytes.acquire64(at)
    }

    pub fn store(&self, gpa: u64, value: u64) {
        let (bytes, at) = self.at(gpa);
        bytes.release64(at, value);
    }
}

/// What a test wants of the device.
#[derive(Clone, Debug)]
pub struct Behaviour {
    /// Capabilities that it has.
    pub offers: u32,
    pub queue_pairs: u16,
    pub vectors: u16,
    pub mac: [u8; 6],
    /// Statuses of operations that it refuses.
    pub refuses: BTreeMap<u32, i32>,
    /// It answers this operation with that one.
    pub confuses: Option<(u32, u32)>,
    /// It does nothing about tails of rings.
    pub still_rings: bool,
    /// It does nothing about tails of the mailbox.
    pub still_mail: bool,
    /// This register does not keep what is written.
    pub deaf: Option<u64>,
    /// Capabilities that it grants to everybody.
    pub forces: u32,
    /// Formats of receive descriptors that it says it has.
    pub formats: u64,
    /// How many reads of RSTAT a reset takes.
    pub slow: usize,
}

impl Default for Behaviour {
    fn default() -> Self {
        Behaviour {
            offers: 1 | 1 << 5 | 1 << 6 | 1 << 7 | 1 << 10 | 1 << 15 | 1 << 16 | 1 << 19 | 1 << 26,
            queue_pairs: 4,
            vectors: 5,
            mac: [0x52, 0x54, 0, 0, 0, 7],
            refuses: BTreeMap::new(),
            confuses: None,
            still_rings: false,
            still_mail: false,
            deaf: None,
            forces: 0,
            formats: 0b110,
            slow: 3,
        }
    }
}

/// What the device has seen happen, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// A register was written.
    Write(u64, u32),
    /// An operation of virtchnl came.
    Op(u32),
}

#[derive(Debug, Default)]
struct Vector {
    event: Option<Arc<EventFd>>,
    enabled: bool,
    held: bool,
}

#[derive(Debug, Default)]
struct Pair {
    tx: Option<TxModel>,
    rx: Option<RxModel>,
    /// Receive, transmit.
    on: [bool; 2],
    vector: u16,
    /// Frames for which there is no buffer yet.
    waiting: VecDeque<(Vec<u8>, Say)>,
}

/// The device.
#[derive(Debug)]
pub struct Model {
    pub behaviour: Behaviour,
    pub seen: Vec<Seen>,
    /// Addresses that the driver has added.
    pub macs: Vec<[u8; 6]>,
    pub vlans: Vec<u16>,
    pub rss: [Vec<u8>; 2],
    pub promiscuous: u16,
    /// Frames that were sent, as they left.
    pub sent: Vec<Vec<u8>>,
    pub interrupts: u64,
    config: Vec<u8>,
    regs: BTreeMap<u64, u32>,
    memory: Memory,
    vectors: Vec<Vector>,
    pairs: Vec<Pair>,
    backlog: VecDeque<(u32, i32, Vec<u8>)>,
    granted: u32,
    strip: bool,
    /// Reads of ARQLEN before a reset that was announced begins.
    impending: Option<u32>,
    /// Reads of RSTAT before a reset ends.
    resetting: usize,
}

impl Model {
    pub fn new(behaviour: Behaviour) -> Self {
        let mut config = vec![0; 256];
        config[..4].copy_from_slice(&[0x86, 0x80, 0x89, 0x18]);
        config[6] = 0x10;
        config[0x34] = MSIX as u8;
        config[MSIX] = 0x11;
        config[MSIX + 2] = (behaviour.vectors - 1) as u8;
        let vectors = (0..behaviour.vectors).map(|_| Vector::default());
        let mut model = Model {
            seen: Vec::new(),
            macs: Vec::new(),
            vlans: Vec::new(),
            rss: Default::default(),
            promiscuous: 0,
            sent: Vec::new(),
            interrupts: 0,
            config,
            regs: BTreeMap::new(),
            memory: Memory::default(),
            vectors: vectors.collect(),
            pairs: Vec::new(),
            backlog: VecDeque::new(),
            granted: 0,
            strip: false,
            impending: None,
            resetting: 0,
            behaviour,
        };
        model.begin_reset();
        model
    }

    /// Operations that came, in order.
    pub fn ops(&self) -> Vec<u32> {
        let op = |seen: &Seen| match seen {
            Seen::Op(op) => Some(*op),
            Seen::Write(..) => None,
        };
        self.seen.iter().filter_map(op).collect()
    }

    /// Announces a reset, which comes a little later.
    pub fn reset_soon(&mut self) {
        self.impending = Some(3);
        self.event(2, 0, 0);
    }

    /// Says that the link is up or down.
    pub fn say_link(&mut self, up: bool) {
        self.event(1, 25_000, up.into());
    }

    /// Says something that nobody has asked for.
    pub fn say(&mut self, op: u32, status: i32, body: &[u8]) {
        self.reply(op, status, body);
    }

    /// Makes a register read as something.
    pub fn set(&mut self, at: u64, value: u32) {
        self.regs.insert(at, value);
    }

    /// Gives a pair's driver a frame.
    pub fn deliver(&mut self, pair: usize, frame: &[u8], say: Say) {
        self.pairs[pair].waiting.push_back((frame.to_vec(), say));
        self.work(pair);
    }

    fn reg(&self, at: u64) -> u32 {
        self.regs.get(&at).copied().unwrap_or(0)
    }

    /// Everything is as after power-on, and RSTAT says so for a while.
    fn begin_reset(&mut self) {
        self.regs.clear();
        self.pairs.clear();
        self.backlog.clear();
        self.macs.clear();
        self.vlans.clear();
        for vector in &mut self.vectors {
            (vector.enabled, vector.held) = (false, false);
        }
        self.pairs = (0..self.behaviour.queue_pairs)
            .map(|_| Pair::default())
            .collect();
        self.granted = 0;
        self.strip = false;
        self.impending = None;
        self.resetting = self.behaviour.slow;
    }

    fn read_reg(&mut self, at: u64) -> u32 {
        match at {
            RSTAT if self.resetting > 0 => {
                self.resetting -= 1;
                0
            }
            RSTAT => 2,
            ICR0 => self.regs.remove(&ICR0).unwrap_or(0),
            ARQLEN => {
                match &mut self.impending {
                    Some(0) => self.begin_reset(),
                    Some(reads) => *reads -= 1,
                    None => {}
                }
                self.reg(ARQLEN)
            }
            _ => self.reg(at),
        }
    }

    fn write_reg(&mut self, at: u64, value: u32) {
        self.seen.push(Seen::Write(at, value));
        if self.behaviour.deaf != Some(at) {
            self.regs.insert(at, value);
        }
        match at {
            ATQT | ARQT if self.behaviour.still_mail => {}
            ATQT => self.work_mail(),
            ARQT => self.flush_mail(),
            DYN_CTL0 => self.control(0, value),
            0x3800..0x3900 => self.control((at - DYN_CTLN) as usize / 4 + 1, value),
            0x0000..0x0040 | 0x2000..0x2040 => self.work((at & 0x3f) as usize / 4),
            _ => {}
        }
    }

    fn control(&mut self, vector: usize, value: u32) {
        let Some(state) = self.vectors.get_mut(vector) else {
            return;
        };
        state.enabled = value & 1 != 0;
        if state.enabled && (std::mem::take(&mut state.held) || value & 4 != 0) {
            self.fire(vector);
        }
    }

    fn fire(&mut self, vector: usize) {
        let Some(state) = self.vectors.get_mut(vector) else {
            return;
        };
        if !state.enabled {
            state.held = true;
            return;
        }
        state.enabled = false;
        self.interrupts += 1;
        if let Some(event) = &state.event {
            event.write(1).expect("an event");
        }
    }

    /// Works both rings of a pair as far as their tails allow.
    fn work(&mut self, number: usize) {
        if self.behaviour.still_rings {
            return;
        }
        let tails = [0x2000, 0].map(|base| self.reg(base + 4 * number as u64) as u16);
        let strip = self.strip;
        let Some(pair) = self.pairs.get_mut(number) else {
            return;
        };
        let [rx_on, tx_on] = pair.on;
        let mut busy = false;
        if let (true, Some(tx)) = (tx_on, &mut pair.tx) {
            while let Some(taken) = tx.take(&self.memory, tails[1]) {
                for frame in taken.leave() {
                    let mut frame = frame;
                    self.sent.push(frame.clone());
                    let say = Say::about(&mut frame, strip);
                    pair.waiting.push_back((frame, say));
                }
                if let Some(index) = taken.report {
                    tx.report(&self.memory, index);
                    busy = true;
                }
            }
        }
        if let (true, Some(rx)) = (rx_on, &mut pair.rx) {
            while let Some((frame, say)) = pair.waiting.front() {
                if !rx.put(&self.memory, tails[0], frame, *say) {
                    break;
                }
                pair.waiting.pop_front();
                busy = true;
            }
        }
        let vector = pair.vector.into();
        if busy {
            self.fire(vector);
        }
    }
}

impl Bus for Model {
    fn map_memory(&mut self, memory: &GuestMemory) -> Result<()> {
        self.memory = Memory::of(memory);
        Ok(())
    }

    fn device_info(&mut self) -> Result<DeviceInfo> {
        Ok(DeviceInfo {
            flags: flags::DEVICE_PCI | flags::DEVICE_RESET,
            regions: 9,
            irqs: 5,
        })
    }

    fn reset(&mut self) -> Result<()> {
        self.begin_reset();
        Ok(())
    }

    fn region_info(&mut self, index: u32) -> Result<RegionInfo> {
        let size = match index {
            0 => BARS[0].1,
            3 => BARS[1].1,
            CONFIG => 256,
            _ => 0,
        };
        Ok(RegionInfo {
            index,
            flags: flags::REGION_READ | flags::REGION_WRITE,
            size,
            offset: 0,
            areas: Vec::new(),
            file: None,
        })
    }

    fn region_read(&mut self, region: u32, offset: u64, to: &mut [u8]) -> Result<()> {
        match region {
            CONFIG => {
                let at = offset as usize;
                to.copy_from_slice(&self.config[at..at + to.len()]);
            }
            _ => {
                let word = self.read_reg(offset).to_le_bytes();
                to.copy_from_slice(&word);
            }
        }
        Ok(())
    }

    fn region_write(&mut self, region: u32, offset: u64, data: &[u8]) -> Result<()> {
        if region == 0 {
            let word = u32::from_le_bytes(data.try_into().expect("a register"));
            self.write_reg(offset, word);
            return Ok(());
        }
        let at = offset as usize;
        let mut data = data.to_vec();
        for (bar, size) in BARS {
            if at == bar {
                let mask = !(size as u32 - 1);
                let word = u32::from_le_bytes(data[..].try_into().expect("a BAR"));
                data = (word & mask | 0xc).to_le_bytes().to_vec();
            }
        }
        // No other BAR is there.
        if at == 0x18 || at == 0x24 {
            data.fill(0);
        }
        self.config[at..at + data.len()].copy_from_slice(&data);
        Ok(())
    }

    fn vectors(&mut self) -> Result<u16> {
        Ok(self.vectors.len() as u16)
    }

    fn wire_vectors(&mut self, count: u16) -> Result<Vec<Arc<EventFd>>> {
        let mut events = Vec::new();
        for vector in &mut self.vectors[..count.into()] {
            let event = Arc::new(new_event()?);
            vector.event = Some(Arc::clone(&event));
            events.push(event);
        }
        Ok(events)
    }

    fn cut_vectors(&mut self) -> Result<()> {
        for vector in &mut self.vectors {
            vector.event = None;
        }
        Ok(())
    }
}
