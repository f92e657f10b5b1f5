//! Hardware as a port sees it: queues that send and fill when they are told to, by DMA that finds what is within reach
//! and nothing else. Guest memory is read and written through its file, so that what DMA does is there whoever maps it.

#![allow(dead_code, reason = "each test uses its part")]

use std::collections::VecDeque;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Weak};

use libcvf::dataplane::{
    Ask, Endpoint, Fabric, FillLane, Filled, HardwareFill, HardwareLine, HardwareSend, Hold,
    LaneParts, Piece, Port, QueueCounters, Reaching, SendLane, Slots, Uplink,
};
use libcvf::ledger::{Ledger, Request, Slice};
use libcvf::mem::OwnMemory;
use libcvf::offload::{Accepts, FrameMeta};
use libcvf::pf::{Capabilities, PhysicalFunction};
use libcvf::ring::Payload;
use libcvf::switch::{PortConfig, PortId};

/// Descriptors of each queue, and bytes of a slot.
const RING: usize = 2048;
const SLOT: u32 = 2048;
/// Where slots and guest memory of device `n` are for DMA.
const SLOTS: u64 = 1 << 30;
const WINDOW: u64 = 1 << 36;

/// One device's hardware.
#[derive(Default)]
struct State {
    /// Guest memory, by guest address, and what of it is within reach: first guest address and bytes.
    ram: Option<File>,
    reach: Vec<(u64, u64)>,
    slots: Vec<(u64, Arc<OwnMemory>)>,
    /// Frames that were queued and not sent, and those that were sent and not reaped.
    queued: VecDeque<Vec<Piece>>,
    unreaped: usize,
    /// Buffers that are posted, and those that are filled.
    posted: VecDeque<u64>,
    filled: VecDeque<Filled>,
    /// What has left.
    sent: Vec<Vec<u8>>,
    /// Nothing is sent for now.
    paused: bool,
    /// DMA that found nothing.
    faults: usize,
}

impl State {
    fn read(&mut self, piece: &Piece) -> Vec<u8> {
        let mut bytes = vec![0; piece.len as usize];
        let len = u64::from(piece.len);
        for (first, memory) in &self.slots {
            if piece.iova >= *first && piece.iova + len <= first + memory.len() as u64 {
                let at = (piece.iova - first) as usize;
                memory.read(at, bytes.len()).read(&mut bytes);
                return bytes;
            }
        }
        match self.guest(piece.iova, len) {
            Some((ram, at)) => ram.read_exact_at(&mut bytes, at).expect("ram"),
            None => self.faults += 1,
        }
        bytes
    }

    fn write(&mut self, iova: u64, bytes: &[u8]) {
        let len = bytes.len() as u64;
        for (first, memory) in &self.slots {
            if iova >= *first && iova + len <= first + memory.len() as u64 {
                memory
                    .write((iova - first) as usize, bytes.len())
                    .write(bytes);
                return;
            }
        }
        match self.guest(iova, len) {
            Some((ram, at)) => ram.write_all_at(bytes, at).expect("ram"),
            None => self.faults += 1,
        }
    }

    /// Guest memory at a DMA address, if all of it is within reach.
    fn guest(&self, iova: u64, len: u64) -> Option<(&File, u64)> {
        let at = iova.checked_sub(WINDOW)?;
        let whole = |(first, size): &(u64, u64)| at >= *first && at + len <= first + size;
        self.reach.iter().any(whole).then_some(())?;
        Some((self.ram.as_ref()?, at))
    }

    fn run(&mut self) {
        while !self.paused
            && let Some(pieces) = self.queued.pop_front()
        {
            let frame = pieces.iter().flat_map(|piece| self.read(piece)).collect();
            self.sent.push(frame);
            self.unreaped += 1;
        }
    }
}

/// One device's hardware, shared with its queues.
#[derive(Clone, Default)]
pub struct Hardware {
    /// It gives its device nothing that is not for it.
    pub exact: Arc<AtomicBool>,
    state: Arc<Mutex<State>>,
    line: Arc<Line>,
}

#[derive(Default)]
struct Line {
    armed: AtomicBool,
    /// 82576: causes stay until told; telling masks (EIAC).
    cause: AtomicBool,
    wakes: Mutex<Option<(Weak<Fabric>, Weak<Port>)>>,
}

impl Line {
    fn tell(&self) {
        if self.cause.load(Ordering::SeqCst) && self.armed.swap(false, Ordering::SeqCst) {
            self.cause.store(false, Ordering::SeqCst);
            if let Some((fabric, port)) = &*self.wakes.lock().expect("line")
                && let (Some(fabric), Some(port)) = (fabric.upgrade(), port.upgrade())
            {
                fabric.wake(&port, 0);
            }
        }
    }
    fn raise(&self) {
        self.cause.store(true, Ordering::SeqCst);
        self.tell();
    }
}

impl HardwareLine for Line {
    fn arm(&self) {
        self.armed.store(true, Ordering::SeqCst);
        self.tell();
    }

    fn disarm(&self) {
        self.armed.store(false, Ordering::SeqCst);
    }
}

impl Hardware {
    fn exact() -> Self {
        Self {
            exact: Arc::new(AtomicBool::new(true)),
            ..Self::default()
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("hardware")
    }

    /// Has it find guest memory in this file.
    pub fn plug(&self, ram: &File) {
        self.state().ram = Some(ram.try_clone().expect("dup"));
    }

    /// A frame from outside; false where no buffer is posted.
    pub fn receive(&self, frame: &[u8]) -> bool {
        let mut state = self.state();
        let Some(iova) = state.posted.pop_front() else {
            return false;
        };
        state.write(iova, frame);
        state.filled.push_back(Filled {
            len: frame.len() as u32,
            good: true,
            checksum: false,
        });
        drop(state);
        self.line.raise();
        true
    }

    /// Says that it has filled the next buffer, in any way.
    pub fn claim(&self, filled: Filled) {
        let mut state = self.state();
        assert!(state.posted.pop_front().is_some(), "a buffer is posted");
        state.filled.push_back(filled);
        drop(state);
        self.line.raise();
    }

    /// Frames from outside that went no further, by reason.
    pub fn drops(&self) -> Vec<(&'static str, u64)> {
        let wakes = self.line.wakes.lock().expect("line");
        let port = wakes.as_ref().and_then(|(_, port)| port.upgrade());
        port.expect("a seat").outside_received().drops
    }

    /// What has left since the last call.
    pub fn sent(&self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.state().sent)
    }

    /// Sends nothing from here on, or goes on.
    pub fn pause(&self, paused: bool) {
        let mut state = self.state();
        state.paused = paused;
        state.run();
        drop(state);
        self.line.raise();
    }

    /// Frames that are queued and have not left.
    pub fn queued(&self) -> usize {
        self.state().queued.len()
    }

    /// Buffers that are posted, and those of them that are the guest's.
    pub fn posted(&self) -> (usize, usize) {
        let state = self.state();
        let guest = state.posted.iter().filter(|iova| **iova >= WINDOW).count();
        (state.posted.len(), guest)
    }

    /// DMA that found nothing.
    pub fn faults(&self) -> usize {
        self.state().faults
    }

    /// Bytes of guest memory within reach.
    pub fn reached(&self) -> u64 {
        self.state().reach.iter().map(|(_, size)| size).sum()
    }
}

struct Sender(Hardware, usize);

impl HardwareSend for Sender {
    fn room(&self) -> usize {
        RING - self.1
    }

    fn accepts(&self) -> Accepts {
        Accepts::default()
    }

    fn put(&mut self, pieces: &[Piece], ask: &Ask) {
        assert!(matches!(ask, Ask::Nothing), "it does nothing to frames");
        self.1 += pieces.len();
        self.0.state().queued.push_back(pieces.to_vec());
    }

    fn kick(&mut self) {
        self.0.state().run();
        self.0.line.raise();
    }

    fn reap(&mut self) -> usize {
        let mut state = self.0.state();
        if state.queued.is_empty() {
            self.1 = 0;
        }
        std::mem::take(&mut state.unreaped)
    }

    fn stop(&mut self) {
        let mut state = self.0.state();
        state.queued.clear();
        state.unreaped = 0;
        self.1 = 0;
    }

    fn start(&mut self) {}
}

struct Filler(Hardware);

impl HardwareFill for Filler {
    fn room(&self) -> usize {
        let state = self.0.state();
        RING - state.posted.len() - state.filled.len()
    }

    fn buffer(&self) -> u32 {
        SLOT
    }

    fn post(&mut self, iova: u64) {
        self.0.state().posted.push_back(iova);
    }

    fn kick(&mut self) {}

    fn pending(&self) -> bool {
        !self.0.state().filled.is_empty()
    }

    fn next(&mut self) -> Option<Filled> {
        self.0.state().filled.pop_front()
    }

    fn stop(&mut self) {
        let mut state = self.0.state();
        state.posted.clear();
        state.filled.clear();
    }

    fn start(&mut self) {}
}

struct Held(
    Hardware,
    (u64, u64),
    #[expect(dead_code, reason = "kept")] Hold,
);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.state().reach.retain(|reach| *reach != self.1);
    }
}

impl Reaching for Hardware {
    fn reach(
        &self,
        guest: u64,
        (_, size): (usize, u64),
        _writable: bool,
        memory: Hold,
    ) -> Result<(u64, Hold), String> {
        self.state().reach.push((guest, size));
        let held = Held(self.clone(), (guest, size), memory);
        Ok((WINDOW + guest, Arc::new(held)))
    }
}

#[derive(Default)]
struct Outside(QueueCounters);

impl Uplink for Outside {
    fn send(&self, _: &FrameMeta, _: &[u8], _: Payload<'_>) {}

    fn counters(&self) -> &QueueCounters {
        &self.0
    }
}

/// A PF whose devices have hardware of their own, in the order of their queue pairs.
pub struct HardwarePf {
    ledger: Arc<Ledger>,
    fabric: Arc<Fabric>,
    outside: PortId,
    pub hardware: Vec<Hardware>,
    pub tuned: Mutex<Vec<(u32, libcvf::pf::Station)>>,
    /// Why its function is not to be had any more.
    pub lost: Mutex<Option<String>>,
}

impl HardwarePf {
    pub fn start(devices: usize) -> Arc<Self> {
        let fabric = Fabric::start("test", 1).expect("workers");
        let endpoint = Endpoint::Uplink(Arc::new(Outside::default()));
        let outside = fabric
            .attach(endpoint, PortConfig::uplink())
            .expect("a port");
        let many = 100 * devices as u32;
        let totals = Request {
            queue_pairs: devices as u32,
            rss_domains: many,
            vectors: many,
            doorbell_pages: many,
            filters: many,
        };
        Arc::new(Self {
            ledger: Ledger::new("test", &totals),
            fabric,
            outside,
            hardware: (0..devices).map(|_| Hardware::exact()).collect(),
            tuned: Mutex::default(),
            lost: Mutex::default(),
        })
    }

    fn of(&self, slice: &Slice) -> &Hardware {
        let pair = slice.queue_pairs().first().expect("a queue pair");
        &self.hardware[u32::from(pair) as usize]
    }
}

impl PhysicalFunction for HardwarePf {
    fn name(&self) -> &str {
        "test"
    }

    fn kind(&self) -> &'static str {
        "test"
    }

    fn ledger(&self) -> &Arc<Ledger> {
        &self.ledger
    }

    fn fabric(&self) -> &Arc<Fabric> {
        &self.fabric
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            most_pairs: Some(1),
            filters: Some(3),
            ..Capabilities::default()
        }
    }

    fn lost(&self) -> Option<String> {
        self.lost.lock().expect("lost").clone()
    }

    fn uplink(&self) -> Option<libcvf::pf::UplinkState> {
        None
    }

    fn workers(&self) -> u16 {
        1
    }

    fn equip(&self, slice: &Slice) -> Result<Vec<LaneParts>, String> {
        let hardware = self.of(slice);
        let slots = |iova: u64| {
            let memory = OwnMemory::new(RING * SLOT as usize).map_err(|error| error.to_string())?;
            let memory = Arc::new(memory);
            hardware.state().slots.push((iova, Arc::clone(&memory)));
            Ok::<_, String>(Slots::new(memory, 0, iova, (RING as u32, SLOT)))
        };
        let (out, into) = (slots(SLOTS)?, slots(2 * SLOTS)?);
        Ok(vec![LaneParts {
            send: SendLane::new(Box::new(Sender(hardware.clone(), 0)), out),
            fill: FillLane::new(Box::new(Filler(hardware.clone())), into),
            line: Arc::clone(&hardware.line) as _,
            outside: self.outside,
            reaching: Some(Arc::new(hardware.clone())),
            exact: Arc::clone(&hardware.exact),
        }])
    }

    fn tune(&self, slice: &Slice, station: &libcvf::pf::Station) -> Result<(), String> {
        let pair = slice.queue_pairs().first().map(u32::from).unwrap_or(99);
        self.tuned
            .lock()
            .expect("tuned")
            .push((pair, station.clone()));
        Ok(())
    }

    fn seat(&self, slice: &Slice, port: &Arc<Port>) {
        let wakes = (Arc::downgrade(&self.fabric), Arc::downgrade(port));
        *self.of(slice).line.wakes.lock().expect("line") = Some(wakes);
    }
}
