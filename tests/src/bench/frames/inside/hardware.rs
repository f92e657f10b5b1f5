//! What stands for hardware below a port: two rings of descriptors in memory, as a NIC has them, and nobody at their
//! other end but [`Hardware`], which works between bursts and in the lab's own time.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::{Context, Result, ensure};
use libcvf::dataplane::{
    Ask, FillLane, Filled, HardwareFill, HardwareLine, HardwareSend, Hold, LaneParts, Piece,
    QueueCounters, Reaching, SendLane, Slots, Uplink,
};
use libcvf::mem::OwnMemory;
use libcvf::offload::{Accepts, FrameMeta};
use libcvf::ring::Payload;
use libcvf::switch::PortId;

use crate::fakevm::mem::Shared;
use crate::fakevm::memory::GuestMemory;

/// Descriptors of a ring.
const RING: usize = 2048;
/// Bytes of a descriptor: an address, and a word with the length.
const DESCRIPTOR: usize = 16;
/// Of that word: its frame ends here; it is done.
const END: u64 = 1 << 32;
const DONE: u64 = 1 << 33;

/// Bytes of a slot, and what is written into a buffer at most.
const SLOT: u32 = 2048;
/// Where DMA finds slots and guest memory.
const SEND_SLOTS: u64 = 1 << 32;
const FILL_SLOTS: u64 = 2 << 32;
const GUEST: u64 = 1 << 36;

/// Descriptors that a driver and its hardware share, and behind them how far the driver has come.
#[derive(Clone)]
struct Ring(Arc<OwnMemory>);

impl Ring {
    const TAIL: usize = RING * DESCRIPTOR;

    fn new() -> Result<Self> {
        let memory = OwnMemory::new(Self::TAIL + 8).context("take memory for a ring")?;
        Ok(Self(Arc::new(memory)))
    }

    fn write(&self, index: usize, iova: u64, word: u64) {
        self.0.store64(index * DESCRIPTOR, iova);
        self.set_word(index, word);
    }

    fn iova(&self, index: usize) -> u64 {
        self.0.load64(index * DESCRIPTOR)
    }

    fn word(&self, index: usize) -> u64 {
        self.0.load64(index * DESCRIPTOR + 8)
    }

    fn set_word(&self, index: usize, word: u64) {
        self.0.store64(index * DESCRIPTOR + 8, word);
    }

    fn tail(&self) -> usize {
        self.0.load64(Self::TAIL) as usize
    }

    fn set_tail(&self, index: usize) {
        self.0.store64(Self::TAIL, index as u64);
    }
}

/// Descriptors that are free; one stays so, for a full ring would look like an empty one.
const fn room(next: usize, oldest: usize) -> usize {
    RING - 1 - (next + RING - oldest) % RING
}

/// A transmit queue as its driver knows it.
struct Sender {
    ring: Ring,
    next: usize,
    oldest: usize,
    /// Of each frame under way: its descriptors.
    frames: VecDeque<usize>,
}

impl HardwareSend for Sender {
    fn room(&self) -> usize {
        room(self.next, self.oldest)
    }

    fn accepts(&self) -> Accepts {
        Accepts::default()
    }

    fn put(&mut self, pieces: &[Piece], _: &Ask) {
        for (index, piece) in pieces.iter().enumerate() {
            let end = if index + 1 == pieces.len() { END } else { 0 };
            let word = u64::from(piece.len) | end;
            self.ring.write(self.next, piece.iova, word);
            self.next = (self.next + 1) % RING;
        }
        self.frames.push_back(pieces.len());
    }

    fn kick(&mut self) {
        self.ring.set_tail(self.next);
    }

    fn reap(&mut self) -> usize {
        let mut done = 0;
        while let Some(count) = self.frames.front() {
            let last = (self.oldest + count - 1) % RING;
            if self.ring.word(last) & DONE == 0 {
                break;
            }
            self.oldest = (last + 1) % RING;
            self.frames.pop_front();
            done += 1;
        }
        done
    }

    fn stop(&mut self) {}

    fn start(&mut self) {}
}

/// A receive queue as its driver knows it.
struct Filler {
    ring: Ring,
    next: usize,
    oldest: usize,
}

impl HardwareFill for Filler {
    fn room(&self) -> usize {
        room(self.next, self.oldest)
    }

    fn buffer(&self) -> u32 {
        SLOT
    }

    fn post(&mut self, iova: u64) {
        self.ring.write(self.next, iova, 0);
        self.next = (self.next + 1) % RING;
    }

    fn kick(&mut self) {
        self.ring.set_tail(self.next);
    }

    fn pending(&self) -> bool {
        self.next != self.oldest && self.ring.word(self.oldest) & DONE != 0
    }

    fn next(&mut self) -> Option<Filled> {
        if !self.pending() {
            return None;
        }
        let len = self.ring.word(self.oldest) as u32;
        self.oldest = (self.oldest + 1) % RING;
        Some(Filled {
            len,
            good: true,
            checksum: false,
        })
    }

    fn stop(&mut self) {}

    fn start(&mut self) {}
}

/// Nobody asks for interrupts: queues are served whenever there is something.
struct Line;

impl HardwareLine for Line {
    fn arm(&self) {}

    fn disarm(&self) {}
}

/// All of a guest's memory is within reach, where it is for the guest and [`GUEST`] on.
struct All;

impl Reaching for All {
    fn reach(
        &self,
        guest: u64,
        _: (usize, u64),
        _: bool,
        memory: Hold,
    ) -> Result<(u64, Hold), String> {
        Ok((GUEST + guest, memory))
    }
}

/// What is at the switch for the outside: frames go there by their sender's lane.
#[derive(Default)]
pub(super) struct Outside(QueueCounters);

impl Uplink for Outside {
    fn send(&self, _: &FrameMeta, _: &[u8], _: Payload<'_>) {}

    fn counters(&self) -> &QueueCounters {
        &self.0
    }
}

/// The hardware of one port.
pub(super) struct Hardware {
    send: Ring,
    fill: Ring,
    /// The next descriptor of each.
    sent: usize,
    filled: usize,
    /// Memory of ours by its address.
    slots: [(u64, Arc<OwnMemory>); 2],
}

impl Hardware {
    /// Hardware, and what its port gets of it. `outside` is what is at the switch.
    pub(super) fn new(outside: PortId) -> Result<(Self, LaneParts)> {
        let slots = |iova| {
            let memory = OwnMemory::new(RING * SLOT as usize).context("take memory for slots")?;
            let memory = Arc::new(memory);
            let slots = Slots::new(Arc::clone(&memory), 0, iova, (RING as u32, SLOT));
            Ok::<_, anyhow::Error>(((iova, memory), slots))
        };
        let (send_memory, send_slots) = slots(SEND_SLOTS)?;
        let (fill_memory, fill_slots) = slots(FILL_SLOTS)?;
        let (send, fill) = (Ring::new()?, Ring::new()?);
        let sender = Sender {
            ring: send.clone(),
            next: 0,
            oldest: 0,
            frames: VecDeque::with_capacity(RING),
        };
        let filler = Filler {
            ring: fill.clone(),
            next: 0,
            oldest: 0,
        };
        let parts = LaneParts {
            send: SendLane::new(Box::new(sender), send_slots),
            fill: FillLane::new(Box::new(filler), fill_slots),
            line: Arc::new(Line),
            outside,
            reaching: Some(Arc::new(All)),
            exact: Arc::new(AtomicBool::new(true)),
        };
        let hardware = Self {
            send,
            fill,
            sent: 0,
            filled: 0,
            slots: [send_memory, fill_memory],
        };
        Ok((hardware, parts))
    }

    /// Sends the next frame that it was shown, if there is one: into `frame`.
    pub(super) fn send(&mut self, memory: &GuestMemory, frame: &mut Vec<u8>) -> Result<bool> {
        frame.clear();
        while self.sent != self.send.tail() {
            let word = self.send.word(self.sent);
            let (begin, len) = (frame.len(), word as u32 as usize);
            frame.resize(begin + len, 0);
            let piece = &mut frame[begin..];
            match self.place(memory, self.send.iova(self.sent), len)? {
                Place::Own(own, at) => {
                    own.read(at, len).read(piece);
                }
                Place::Guest(bytes) => bytes.read(0, piece),
            }
            self.send.set_word(self.sent, word | DONE);
            self.sent = (self.sent + 1) % RING;
            if word & END != 0 {
                return Ok(true);
            }
        }
        ensure!(frame.is_empty(), "a frame without an end was queued");
        Ok(false)
    }

    /// Puts a frame into the next buffer that was posted.
    pub(super) fn fill(&mut self, memory: &GuestMemory, frame: &[u8]) -> Result<()> {
        ensure!(self.filled != self.fill.tail(), "no buffer is posted");
        let iova = self.fill.iova(self.filled);
        match self.place(memory, iova, frame.len())? {
            Place::Own(own, at) => {
                own.write(at, frame.len()).write(frame);
            }
            Place::Guest(bytes) => bytes.write(0, frame),
        }
        self.fill.set_word(self.filled, frame.len() as u64 | DONE);
        self.filled = (self.filled + 1) % RING;
        Ok(())
    }

    fn place(&self, memory: &GuestMemory, iova: u64, len: usize) -> Result<Place<'_>> {
        if let Some(gpa) = iova.checked_sub(GUEST) {
            return Ok(Place::Guest(memory.view(gpa, len)?));
        }
        let own = self.slots.iter().find_map(|(first, memory)| {
            let at = usize::try_from(iova.checked_sub(*first)?).ok()?;
            (at + len <= memory.len()).then_some(Place::Own(memory, at))
        });
        own.with_context(|| format!("nothing is at {iova:#x}"))
    }
}

/// Where DMA goes.
enum Place<'h> {
    /// Memory of ours, from there on.
    Own(&'h OwnMemory, usize),
    /// The guest's.
    Guest(Shared),
}
