//! The receive ring: every descriptor has a buffer of its own, posted whole.

use std::ops::RangeInclusive;

use super::header::{HASH_HEADER_LEN, HEADER_LEN, NUM_BUFFERS, NetHeader, header_len};
use crate::fakevm::error::{Error, Result};
use crate::fakevm::limits::{BURST, MAX_FRAME};
use crate::fakevm::mem::Span;
use crate::fakevm::memory::GuestMemory;
use crate::fakevm::net::buffers::Buffers;
use crate::fakevm::net::{NetRingConfig, feature};
use crate::fakevm::ring::{DESC_WRITE, Entry, Queue, QueueLayout};

/// A frame that fits one buffer, still in the ring's memory.
#[derive(Debug)]
pub struct Frame<'a> {
    bytes: Span<'a>,
    /// Where it begins, behind its header.
    at: usize,
    /// Bytes of the frame, without its header.
    pub len: usize,
}

impl<'a> Frame<'a> {
    /// `len` bytes at `at`.
    #[inline]
    pub(in crate::fakevm) fn new(bytes: Span<'a>, at: usize, len: usize) -> Self {
        Frame { bytes, at, len }
    }

    /// Eight bytes of the frame, as a little-endian number. Zero past its end.
    #[inline]
    pub fn stamp(&self, at: usize) -> u64 {
        let mut bytes = [0; 8];
        if at + 8 <= self.len {
            self.bytes.read(self.at + at, &mut bytes);
        }
        u64::from_le_bytes(bytes)
    }

    /// Copies the frame's first bytes out.
    pub fn copy_to(&self, to: &mut [u8]) {
        let len = to.len().min(self.len);
        self.bytes.read(self.at, &mut to[..len]);
    }
}

/// The receive side of one pair.
#[derive(Debug)]
pub struct RxRing {
    queue: Queue,
    buffers: Buffers,
    mergeable: bool,
    header_len: usize,
    received: u64,
    /// Frames at the head of the ring that were asked for.
    asked: usize,
    /// Room for what the device has returned.
    entries: Box<[Entry; 2 * BURST]>,
}

impl RxRing {
    /// Takes memory for one buffer a descriptor and posts them all, not yet shown to the device.
    ///
    /// # Errors
    /// Fails when memory has no room.
    pub fn new(
        memory: &mut GuestMemory,
        at: QueueLayout,
        config: &NetRingConfig,
        features: u64,
    ) -> Result<Self> {
        let buffers = Buffers::new(
            memory,
            config.rx_region,
            (at.size, config.buffers_each),
            config.rx_buffer,
        )?;
        let queue = Queue::new(memory, at, features)?;
        let mergeable = features & feature::MRG_RXBUF != 0;
        let mut ring = RxRing {
            queue,
            buffers,
            mergeable,
            header_len: header_len(features),
            received: 0,
            asked: 0,
            entries: Box::new([Entry::default(); 2 * BURST]),
        };
        ring.refill();
        Ok(ring)
    }

    /// Starts again with a full ring in the same place, after a reset of the queue.
    ///
    /// # Errors
    /// Fails when the ring's memory is gone.
    pub fn renew(&mut self, memory: &GuestMemory) -> Result<()> {
        self.queue = self.queue.renewed(memory)?;
        self.asked = 0;
        self.refill();
        Ok(())
    }

    /// The queue below, for rings that are broken on purpose.
    pub fn queue(&mut self) -> &mut Queue {
        &mut self.queue
    }

    /// Frames taken so far.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Guest physical address of the buffer of descriptor `index`.
    pub fn buffer_gpa(&self, index: u16) -> u64 {
        self.buffers.gpa(index)
    }

    /// Posts every free buffer again.
    #[inline]
    pub fn refill(&mut self) {
        let mut room = [0; BURST];
        loop {
            let row = self.queue.take_row(&mut room);
            self.buffers.advance_row(row);
            let (len, places) = (self.buffers.len as u32, self.buffers.places());
            self.queue
                .push_row(row, len, DESC_WRITE, |index| places.gpa(index));
            if row.len() < BURST {
                return;
            }
        }
    }

    /// Shows posted buffers to the device. True when the device wants a notification.
    #[inline]
    pub fn publish(&mut self) -> bool {
        self.queue.publish()
    }

    /// Hands up to `max` frames to `each`, in order. Their buffers are posted again once a whole
    /// burst of them is free, as DPDK's driver does; the caller publishes. Frames must fit one buffer. Allocates nothing. Returns how many there were.
    ///
    /// # Errors
    /// Fails when the device returns what it was not given, or spreads a frame over buffers.
    #[inline]
    pub fn poll_burst(&mut self, max: usize, mut each: impl FnMut(Frame<'_>)) -> Result<usize> {
        let returned = usize::from(self.queue.returned()?);
        let count = returned.min(max).min(BURST);
        // Frames of this burst and of the next are on their way while this one is looked at.
        let ahead = &mut self.entries[..returned.min(2 * BURST)];
        self.queue.peek_row(ahead);
        let (places, bytes) = (self.buffers.places(), self.buffers.bytes.span());
        let size = u32::from(self.queue.size());
        for entry in ahead.iter().skip(self.asked) {
            // What is no descriptor is told when it is taken.
            if entry.id < size {
                bytes.prefetch(places.at(entry.id as u16));
            }
        }
        self.asked = ahead.len() - count;
        self.queue.retire_row(&mut self.entries[..count])?;
        let (front, mergeable, most) = (self.header_len, self.mergeable, self.buffers.len);
        for entry in &self.entries[..count] {
            let at = places.at(entry.id as u16);
            let len = check_len(entry.len, front..=most)?;
            if mergeable {
                check_alone(bytes, at)?;
            }
            each(Frame::new(bytes, at + front, len));
        }
        self.received += count as u64;
        if self.queue.free() >= BURST.min(usize::from(self.queue.size()) / 2) {
            self.refill();
        }
        Ok(count)
    }

    /// Takes one frame into `frame`, put together from all its buffers, and posts those again;
    /// the caller publishes. None when there is none.
    ///
    /// # Errors
    /// Fails when the device returns what it was not given, or a frame without its header or
    /// without all its buffers.
    pub fn poll(&mut self, frame: &mut Vec<u8>) -> Result<Option<NetHeader>> {
        frame.clear();
        let Some(first) = self.queue.pop()? else {
            return Ok(None);
        };
        let at = self.buffers.at(first.id);
        let header = self.header(at);
        let len = check_len(first.len, self.header_len..=self.buffers.len)?;
        self.append(frame, at + self.header_len, len);
        let buffers = if self.mergeable {
            header.num_buffers
        } else {
            1
        };
        if buffers == 0 {
            return Err(Error::Device("num_buffers is 0".into()));
        }
        for nth in 1..buffers {
            let Some(used) = self.queue.pop()? else {
                return Err(Error::Device(format!(
                    "buffer {nth} of {buffers} is missing"
                )));
            };
            if used.len as usize > self.buffers.len || frame.len() > MAX_FRAME {
                return Err(Error::Device(format!("{} bytes in one buffer", used.len)));
            }
            self.append(frame, self.buffers.at(used.id), used.len as usize);
        }
        self.received += 1;
        self.refill();
        Ok(Some(header))
    }

    #[inline]
    fn header(&self, at: usize) -> NetHeader {
        if self.header_len == HEADER_LEN {
            let mut bytes = [0; HEADER_LEN];
            self.buffers.bytes.read(at, &mut bytes);
            return NetHeader::decode(&bytes);
        }
        let mut bytes = [0; HASH_HEADER_LEN];
        self.buffers.bytes.read(at, &mut bytes);
        NetHeader::decode_long(&bytes)
    }

    fn append(&self, frame: &mut Vec<u8>, at: usize, len: usize) {
        let start = frame.len();
        frame.resize(start + len, 0);
        self.buffers.bytes.read(at, &mut frame[start..]);
    }
}

/// The frame at `at` lies in one buffer.
#[inline]
fn check_alone(bytes: Span<'_>, at: usize) -> Result<()> {
    let mut buffers = [0; 2];
    bytes.read(at + NUM_BUFFERS, &mut buffers);
    match u16::from_le_bytes(buffers) {
        1 => Ok(()),
        count => Err(Error::Device(format!("{count} buffers for one frame"))),
    }
}

/// Bytes of a frame that was returned with `len`, which with its header may be `allowed`.
#[inline]
fn check_len(len: u32, allowed: RangeInclusive<usize>) -> Result<usize> {
    let len = len as usize;
    if !allowed.contains(&len) {
        let most = allowed.end();
        return Err(Error::Device(format!("{len} bytes in a buffer of {most}")));
    }
    Ok(len - allowed.start())
}
