//! The receive ring: every descriptor has a buffer of its own, posted whole.
//!
//! The device writes to the descriptors themselves, so each is written anew when its buffer is posted.

use super::check_sequence::CheckSequences;
use super::config::AvfRingConfig;
use super::desc::{MAX_CHAIN, Written, error, ptype};
use super::flex;
use crate::fakevm::error::{Error, Result};
use crate::fakevm::limits::BURST;
use crate::fakevm::mem::Shared;
use crate::fakevm::memory::GuestMemory;
use crate::fakevm::net::Frame;
use crate::fakevm::net::buffers::Buffers;

/// Bytes of a descriptor.
const DESCRIPTOR: usize = 32;
/// Descriptors that are waited for together when there is something to do meanwhile.
const AT_ONCE: usize = 16;
/// Buffers that Linux's driver posts at once.
const POSTED_AT_ONCE: usize = 16;

/// What the device says of a checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Checksum {
    /// Nothing.
    #[default]
    Unknown,
    /// Those of IP and of what is in it are right.
    Good,
    /// One of them is wrong.
    Bad,
}

/// How the device was told to tell of received frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct RxFormat {
    /// Descriptors are written in the flexible format, and not in the legacy one.
    pub flex: bool,
    /// Frames come with their check sequence.
    pub crc: bool,
}

/// What the device says of a received frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Received {
    /// What kind of frame it is, see [`ptype`].
    pub ptype: u8,
    /// Whether its checksums are right, as Linux's driver reads it.
    pub checksum: Checksum,
    /// Its hash.
    pub hash: Option<u32>,
    /// The tag that was taken out of it.
    pub vlan: Option<u16>,
    /// Buffers that it lay in.
    pub buffers: u16,
}

impl Received {
    /// What the last descriptor of a frame says; its tag and hash are in a word of their own, of the same places in both
    /// formats.
    fn of(told: u64, last: Written, buffers: usize) -> Self {
        let wrong = error::IPE | error::L4E | error::EIPE;
        let checksum =
            if !last.is_checked() || !ptype::has_l4(last.ptype()) || last.has_extensions() {
                Checksum::Unknown
            } else if last.errors() & wrong != 0 {
                Checksum::Bad
            } else {
                Checksum::Good
            };
        Received {
            ptype: last.ptype(),
            checksum,
            hash: last.has_hash().then_some((told >> 32) as u32),
            vlan: last.has_tag().then_some((told >> 16) as u16),
            buffers: buffers as u16,
        }
    }
}

/// The receive side of one pair.
#[derive(Debug)]
pub struct AvfRx {
    ring: Shared,
    base: u64,
    size: u16,
    buffers: Buffers,
    /// The descriptor that is looked at next.
    next: u16,
    /// The descriptor that is posted next.
    post: u16,
    /// The tail that the device has been shown.
    published: u16,
    /// What the descriptors from `next` on say, as far as they were seen to be done.
    ahead: Box<[Written; 2 * BURST]>,
    known: usize,
    received: u64,
    /// Descriptors are written in the flexible format.
    flex: bool,
    /// Those behind frames, where the device leaves them.
    sequences: Option<CheckSequences>,
}

impl AvfRx {
    /// Takes memory for the ring and one buffer a descriptor, and posts all but one, not yet shown to the device.
    ///
    /// # Errors
    /// Fails when memory has no room, or buffers cannot be that large.
    pub fn new(memory: &mut GuestMemory, config: &AvfRingConfig, format: RxFormat) -> Result<Self> {
        let (size, len) = (config.rx_size, config.rx_buffer);
        if size < 2 || !(128..=super::config::MAX_RX_BUFFER).contains(&len) || len % 128 != 0 {
            return Err(Error::Unsupported(format!(
                "a ring of {size} receive buffers of {len} bytes"
            )));
        }
        let bytes = usize::from(size) * DESCRIPTOR;
        let base = memory.alloc(bytes as u64, 4096)?;
        let ring = memory.view(base, bytes)?;
        ring.fill(0, bytes, 0);
        let each = (size, config.buffers_each);
        let mut rx = AvfRx {
            ring,
            base,
            size,
            buffers: Buffers::new(memory, config.rx_region, each, len)?,
            next: 0,
            post: 0,
            published: 0,
            ahead: Box::new([Written(0); 2 * BURST]),
            known: 0,
            received: 0,
            flex: format.flex,
            sequences: format.crc.then(CheckSequences::default),
        };
        rx.refill();
        Ok(rx)
    }

    /// Where it lies.
    pub fn base(&self) -> u64 {
        self.base
    }

    /// Its descriptors.
    pub fn size(&self) -> u16 {
        self.size
    }

    /// Bytes of each buffer.
    pub fn buffer_len(&self) -> usize {
        self.buffers.len
    }

    /// The tail as the driver has it now.
    pub fn tail(&self) -> u16 {
        self.post
    }

    /// The descriptor that is looked at next.
    pub fn head(&self) -> u16 {
        self.next
    }

    /// Frames taken so far.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// How the device was told to tell of frames.
    pub fn format(&self) -> RxFormat {
        RxFormat {
            flex: self.flex,
            crc: self.sequences.is_some(),
        }
    }

    /// Frames whose check sequence was not theirs, of those that came with one.
    pub fn wrong_sequences(&self) -> u64 {
        self.sequences.as_ref().map_or(0, CheckSequences::wrong)
    }

    /// Guest physical address of the buffer of descriptor `index`.
    pub fn buffer_gpa(&self, index: u16) -> u64 {
        self.buffers.gpa(index)
    }

    /// The ring itself.
    pub fn ring(&self) -> &Shared {
        &self.ring
    }

    /// Writes what the device reads of a descriptor exactly as it is, for rings that are broken on purpose.
    pub fn write_raw(&mut self, index: u16, words: [u64; 2]) {
        let at = usize::from(index) * DESCRIPTOR;
        self.ring.store64(at, words[0]);
        self.ring.store64(at + 8, words[1]);
    }

    /// Descriptors that can be posted: one less than the device does not have.
    #[inline]
    fn free(&self) -> usize {
        usize::from(self.size) - 1 - distance(self.next, self.post, self.size)
    }

    /// Posts every free buffer again.
    #[inline]
    pub fn refill(&mut self) {
        let (count, size) = (self.free(), self.size);
        let mut index = self.post;
        for _ in 0..count {
            self.buffers.advance(index);
            index = after(index, size);
        }
        // Kept in registers meanwhile.
        let (places, ring) = (self.buffers.places(), self.ring.span());
        let mut index = self.post;
        for _ in 0..count {
            let at = usize::from(index) * DESCRIPTOR;
            ring.store64(at, places.gpa(index));
            ring.store64(at + 8, 0);
            index = after(index, size);
        }
        self.post = index;
    }

    /// True when there is anything to tell the device, which on AVF always wants to be told.
    #[inline]
    pub fn publish(&mut self) -> bool {
        std::mem::replace(&mut self.published, self.post) != self.post
    }

    /// Looks which descriptors are done, two bursts ahead, and asks for their buffers.
    ///
    /// # Errors
    /// Fails when a descriptor is of another format than was agreed on.
    #[inline]
    fn look(&mut self) -> Result<()> {
        let (bytes, places) = (self.buffers.bytes.span(), self.buffers.places());
        let mut known = self.known;
        let mut index = self.next as usize + known;
        if index >= usize::from(self.size) {
            index -= usize::from(self.size);
        }
        let most = distance(self.next, self.post, self.size).min(2 * BURST);
        // With a burst in hand there is no hurry: a line that the device is writing is not taken from its processor.
        if known >= BURST && known + AT_ONCE <= most {
            let last = (index + AT_ONCE - 1) % usize::from(self.size);
            if !Written(self.ring.acquire64(last * DESCRIPTOR + 8)).is_done() {
                return Ok(());
            }
        }
        while known < most {
            let mut written = Written(self.ring.acquire64(index * DESCRIPTOR + 8));
            if !written.is_done() {
                break;
            }
            if self.flex {
                let at = index * DESCRIPTOR;
                let others = [self.ring.load64(at), self.ring.load64(at + 16)];
                written = flex::written(others[0], written.0, others[1])?;
            }
            self.ahead[known] = written;
            bytes.prefetch(places.at(index as u16));
            known += 1;
            index += 1;
            if index == usize::from(self.size) {
                index = 0;
            }
        }
        self.known = known;
        Ok(())
    }

    /// Forgets the first descriptors that were seen to be done: they have been taken.
    #[inline]
    fn forget(&mut self, count: usize) {
        self.ahead.copy_within(count..self.known, 0);
        self.known -= count;
        let next = usize::from(self.next) + count;
        let size = usize::from(self.size);
        self.next = if next >= size { next - size } else { next } as u16;
    }

    /// Hands up to `max` frames to `each`, in order. Their buffers are posted again once a whole burst of them is
    /// free, as DPDK's driver does; the caller publishes. Frames must fit one buffer. Allocates nothing. Returns how
    /// many there were.
    ///
    /// # Errors
    /// Fails when the device spreads a frame over buffers, says that a frame is broken or of an impossible length, or
    /// writes descriptors of another format.
    #[inline]
    pub fn poll_burst(&mut self, max: usize, mut each: impl FnMut(Frame<'_>)) -> Result<usize> {
        self.look()?;
        let count = self.known.min(max).min(BURST);
        let (places, bytes) = (self.buffers.places(), self.buffers.bytes.span());
        let (room, size) = (self.buffers.len, self.size);
        let mut index = self.next;
        for written in &self.ahead[..count] {
            let mut len = check(*written, room)?;
            if !written.is_last() {
                return Err(Error::Device("several buffers for one frame".into()));
            }
            let at = places.at(index);
            if let Some(sequences) = &mut self.sequences {
                len = sequences.take_at(bytes, at, len)?;
            }
            each(Frame::new(bytes, at, len));
            index = after(index, size);
        }
        self.forget(count);
        self.received += count as u64;
        if self.free() >= BURST.min(usize::from(self.size) / 2) {
            self.refill();
        }
        Ok(count)
    }

    /// Takes one frame into `frame`, put together from all its buffers, and posts those again, some at once as Linux's
    /// driver does; the caller publishes. None when there is none, or not all of it.
    ///
    /// # Errors
    /// Fails when the device says that a frame is broken or of an impossible length, spreads it over too many buffers, or
    /// writes descriptors of another format.
    pub fn poll(&mut self, frame: &mut Vec<u8>) -> Result<Option<Received>> {
        frame.clear();
        self.look()?;
        let done = &self.ahead[..self.known];
        let Some(end) = done.iter().position(|written| written.is_last()) else {
            if self.known >= MAX_CHAIN {
                return Err(Error::Device(format!("no end in {} buffers", self.known)));
            }
            return Ok(None);
        };
        let count = end + 1;
        if count > MAX_CHAIN {
            return Err(Error::Device(format!("{count} buffers for one frame")));
        }
        let mut index = self.next;
        let mut last = index;
        for nth in 0..count {
            let len = check(self.ahead[nth], self.buffers.len)?;
            if nth < end && len != self.buffers.len {
                return Err(Error::Device(format!("{len} bytes amidst a frame")));
            }
            let start = frame.len();
            frame.resize(start + len, 0);
            let at = self.buffers.at(index);
            self.buffers.bytes.read(at, &mut frame[start..]);
            last = index;
            index = after(index, self.size);
        }
        let told = usize::from(last) * DESCRIPTOR + if self.flex { 8 } else { 0 };
        let received = Received::of(self.ring.load64(told), self.ahead[end], count);
        if let Some(sequences) = &mut self.sequences {
            sequences.take(frame)?;
        }
        self.forget(count);
        self.received += 1;
        if self.free() >= POSTED_AT_ONCE.min(usize::from(self.size) / 2) {
            self.refill();
        }
        Ok(Some(received))
    }
}

/// Bytes of what is in a buffer of `room`.
#[inline]
fn check(written: Written, room: usize) -> Result<usize> {
    let len = written.len();
    if len == 0 || len > room || written.errors() & error::RXE != 0 {
        return Err(Error::Device(format!(
            "{len} bytes in a buffer of {room}, errors {:#x}",
            written.errors()
        )));
    }
    Ok(len)
}

#[inline]
fn distance(from: u16, to: u16, size: u16) -> usize {
    let (from, to) = (usize::from(from), usize::from(to));
    if to >= from {
        to - from
    } else {
        to + usize::from(size) - from
    }
}

#[inline]
fn after(index: u16, size: u16) -> u16 {
    if index + 1 == size { 0 } else { index + 1 }
}
