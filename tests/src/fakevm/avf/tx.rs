//! The transmit ring: every descriptor has a buffer of its own.
//!
//! A descriptor that stands there already is not written again, unless the device was asked to write to it.

use std::collections::VecDeque;

use super::config::AvfRingConfig;
use super::desc::{
    DTYPE_DATA, DTYPE_DONE, DTYPE_MASK, EOP, LINUX_PIECE, MAX_PIECES, MIN_FRAME, RS, size_bits,
};
use super::offload::{Offload, PATCHED, Patches};
use crate::fakevm::error::{Error, Result};
use crate::fakevm::limits::BURST;
use crate::fakevm::mem::Shared;
use crate::fakevm::memory::GuestMemory;
use crate::fakevm::net::NetHeader;
use crate::fakevm::net::buffers::Buffers;

/// Bytes of a descriptor.
const DESCRIPTOR: usize = 16;
/// What a descriptor holds when the device may have written to it: nothing that is ever wanted.
const UNKNOWN: [u64; 2] = [u64::MAX; 2];

/// A descriptor on which the device reports.
#[derive(Clone, Copy, Debug)]
struct Report {
    /// Its index.
    at: u16,
    /// Frames that it stands for.
    frames: u16,
}

/// The transmit side of one pair.
#[derive(Debug)]
pub struct AvfTx {
    ring: Shared,
    base: u64,
    size: u16,
    buffers: Buffers,
    /// After so many descriptors the end of a frame is reported.
    reports: u16,
    /// The descriptor that is written next.
    next: u16,
    /// The tail that the device has been shown.
    published: u16,
    /// The first descriptor that the device may still have.
    clean: u16,
    /// Descriptors since the last that is reported, and frames.
    unreported: (u16, u16),
    pending: VecDeque<Report>,
    /// What the descriptors hold.
    held: Vec<[u64; 2]>,
    /// What [`AvfTx::prepare`] has prepared.
    prepared: Offload,
    sent: u64,
}

impl AvfTx {
    /// Takes memory for the ring and one buffer a descriptor.
    ///
    /// # Errors
    /// Fails when memory has no room, or a buffer does not hold the headers of a frame.
    pub fn new(memory: &mut GuestMemory, config: &AvfRingConfig) -> Result<Self> {
        let size = config.tx_size;
        if config.tx_buffer < PATCHED || size < 2 {
            return Err(Error::Unsupported(format!(
                "a ring of {size} buffers of {} bytes",
                config.tx_buffer
            )));
        }
        let bytes = usize::from(size) * DESCRIPTOR;
        let base = memory.alloc(bytes as u64, 4096)?;
        let ring = memory.view(base, bytes)?;
        ring.fill(0, bytes, 0);
        let each = (size, config.buffers_each);
        Ok(AvfTx {
            ring,
            base,
            size,
            buffers: Buffers::new(memory, None, each, config.tx_buffer)?,
            reports: config.reports.clamp(1, (size / 4).max(1)),
            next: 0,
            published: 0,
            clean: 0,
            unreported: (0, 0),
            pending: VecDeque::with_capacity(size.into()),
            held: vec![[0; 2]; size.into()],
            prepared: Offload::default(),
            sent: 0,
        })
    }

    /// Where it lies.
    pub fn base(&self) -> u64 {
        self.base
    }

    /// Its descriptors.
    pub fn size(&self) -> u16 {
        self.size
    }

    /// The tail as the driver has it now.
    pub fn tail(&self) -> u16 {
        self.next
    }

    /// Frames pushed so far.
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// Descriptors that may be written: one less than the device has given back, or the ring would look empty.
    #[inline]
    pub fn free(&self) -> usize {
        usize::from(self.size) - 1 - self.taken()
    }

    /// Descriptors that the device has not given back.
    #[inline]
    pub fn taken(&self) -> usize {
        let (next, clean) = (usize::from(self.next), usize::from(self.clean));
        if next >= clean {
            next - clean
        } else {
            next + usize::from(self.size) - clean
        }
    }

    /// Frames that were pushed and of which the device will not say when it is done, before others come.
    pub fn unreported(&self) -> u16 {
        self.unreported.1
    }

    /// Whether the device has said all that it was asked to say.
    pub fn is_reported(&self) -> bool {
        self.pending.is_empty()
    }

    /// Guest physical address of the buffer of descriptor `index`.
    pub fn buffer_gpa(&self, index: u16) -> u64 {
        self.buffers.gpa(index)
    }

    /// Writes bytes into the buffer of descriptor `index`.
    pub fn write_buffer(&self, index: u16, bytes: &[u8]) {
        self.buffers.bytes.write(self.buffers.at(index), bytes);
    }

    /// The ring itself.
    pub fn ring(&self) -> &Shared {
        &self.ring
    }

    /// Writes a descriptor exactly as it is, for rings that are broken on purpose. Nothing else changes.
    pub fn write_raw(&mut self, index: u16, words: [u64; 2]) {
        self.held[usize::from(index)] = UNKNOWN;
        let at = usize::from(index) * DESCRIPTOR;
        self.ring.store64(at, words[0]);
        self.ring.store64(at + 8, words[1]);
    }

    /// Writes the next descriptor exactly as it is, and goes on to the one behind it, whether the device has that or
    /// not. It is never given back.
    pub fn push_raw(&mut self, words: [u64; 2]) {
        self.write_raw(self.next, words);
        self.next = self.after(self.next);
    }

    /// Writes a frame into every buffer, as its header wants it, for frames that change little.
    ///
    /// # Errors
    /// Fails when no descriptor can say what the header asks for, or a buffer does not hold the frame.
    pub fn prepare(&mut self, header: &NetHeader, frame: &[u8]) -> Result<()> {
        let (offload, patches) = Offload::of(header, frame)?;
        self.check(&offload, frame.len())?;
        if frame.len() > self.buffers.len {
            let (len, room) = (frame.len(), self.buffers.len);
            return Err(Error::Unsupported(format!("{len} bytes in {room}")));
        }
        for at in self.buffers.all() {
            self.buffers.bytes.write(at, frame);
            for (offset, bytes) in patches.iter().flatten() {
                self.buffers.bytes.write(at + offset, bytes);
            }
        }
        self.prepared = offload;
        Ok(())
    }

    /// Pushes up to `count` frames that [`AvfTx::prepare`] has written, `frame_len` bytes each, each with a number at
    /// `stamp_at` bytes into the frame, rising from `stamp`. Returns how many had room. Allocates nothing.
    #[inline]
    pub fn push_prepared(
        &mut self,
        count: usize,
        frame_len: usize,
        stamp_at: usize,
        stamp: u64,
    ) -> usize {
        debug_assert!(frame_len <= self.buffers.len);
        if frame_len > LINUX_PIECE || self.prepared.context(frame_len).is_some() {
            return self.push_prepared_large(count, frame_len, stamp_at, stamp);
        }
        let mut room = [0; BURST];
        let row = &mut room[..count.min(BURST).min(self.free())];
        let mut index = self.next;
        for slot in &mut *row {
            *slot = index;
            index = self.after(index);
        }
        self.buffers.advance_row(row);
        let word = self.prepared.word() | EOP | size_bits(frame_len.max(MIN_FRAME));
        // Kept in registers meanwhile.
        let (places, bytes, ring) = (
            self.buffers.places(),
            self.buffers.bytes.span(),
            self.ring.span(),
        );
        let (held, reports) = (&mut self.held[..], self.reports);
        let (mut descriptors, mut frames) = self.unreported;
        for (&index, stamp) in row.iter().zip(stamp..) {
            bytes.write(places.at(index) + stamp_at, &stamp.to_le_bytes());
            (descriptors, frames) = (descriptors + 1, frames + 1);
            let at = usize::from(index) * DESCRIPTOR;
            if descriptors >= reports {
                self.pending.push_back(Report { at: index, frames });
                (descriptors, frames) = (0, 0);
                held[usize::from(index)] = UNKNOWN;
                ring.store64(at, places.gpa(index));
                ring.store64(at + 8, word | RS);
                continue;
            }
            let wanted = [places.gpa(index), word];
            let held = &mut held[usize::from(index)];
            if *held != wanted {
                *held = wanted;
                ring.store64(at, wanted[0]);
                ring.store64(at + 8, wanted[1]);
            }
        }
        self.unreported = (descriptors, frames);
        // Those of the next call: the device's processor has read them last.
        let mut ahead = index;
        for _ in 0..row.len() {
            bytes.prefetch_write(places.next_at(ahead) + stamp_at);
            ahead = after(ahead, self.size);
        }
        self.next = index;
        self.sent += row.len() as u64;
        row.len()
    }

    /// The same for frames of several descriptors.
    fn push_prepared_large(
        &mut self,
        count: usize,
        len: usize,
        stamp_at: usize,
        stamp: u64,
    ) -> usize {
        let offload = self.prepared;
        let need = self.descriptors(&offload, len);
        for nth in 0..count.min(BURST) {
            if self.free() < need {
                return nth;
            }
            let first = self.first_data(&offload, len);
            self.buffers.advance(first);
            let stamp = (stamp + nth as u64).to_le_bytes();
            self.buffers
                .bytes
                .write(self.buffers.at(first) + stamp_at, &stamp);
            self.describe(&offload, len, None);
        }
        count.min(BURST)
    }

    /// Pushes one frame as its header wants it. False when the ring has not enough room now.
    ///
    /// # Errors
    /// Fails when no descriptor can say what the header asks for, or the frame can never fit the ring.
    pub fn push_header(&mut self, header: &NetHeader, frame: &[u8]) -> Result<bool> {
        let (offload, patches) = Offload::of(header, frame)?;
        self.push_patched(&offload, frame, &patches)
    }

    /// Pushes one frame. False when the ring has not enough room now.
    ///
    /// # Errors
    /// Fails when the frame can never fit the ring, or takes more descriptors than the device allows.
    pub fn push(&mut self, offload: &Offload, frame: &[u8]) -> Result<bool> {
        self.push_patched(offload, frame, &Patches::default())
    }

    fn push_patched(&mut self, offload: &Offload, frame: &[u8], patches: &Patches) -> Result<bool> {
        self.check(offload, frame.len())?;
        if self.free() < self.descriptors(offload, frame.len()) {
            return Ok(false);
        }
        let first = self.first_data(offload, frame.len());
        self.buffers.advance(first);
        let at = self.buffers.at(first);
        self.describe(offload, frame.len().max(MIN_FRAME), Some(frame));
        for (offset, bytes) in patches.iter().flatten() {
            self.buffers.bytes.write(at + offset, bytes);
        }
        Ok(true)
    }

    /// Takes back what the device has sent. Returns how many frames.
    ///
    /// # Errors
    /// Fails when a descriptor holds what nobody writes.
    #[inline]
    pub fn reap(&mut self) -> Result<usize> {
        let mut frames = 0;
        while let Some(report) = self.pending.front() {
            let word = self.ring.acquire64(usize::from(report.at) * DESCRIPTOR + 8);
            match word & DTYPE_MASK {
                DTYPE_DONE => {}
                DTYPE_DATA => break,
                other => {
                    let at = report.at;
                    return Err(Error::Device(format!(
                        "descriptor {at} came back as type {other:#x}"
                    )));
                }
            }
            frames += usize::from(report.frames);
            self.clean = self.after(report.at);
            self.pending.pop_front();
        }
        Ok(frames)
    }

    /// The same, but only when room gets scarce, as DPDK's driver does: looking at a descriptor takes its line from
    /// the device.
    ///
    /// # Errors
    /// As [`AvfTx::reap`].
    #[inline]
    pub fn reap_if_scarce(&mut self) -> Result<usize> {
        if self.free() < usize::from(self.size) / 2 {
            self.reap()
        } else {
            Ok(0)
        }
    }

    /// True when there is anything to tell the device, which on AVF always wants to be told.
    #[inline]
    pub fn publish(&mut self) -> bool {
        std::mem::replace(&mut self.published, self.next) != self.next
    }

    #[inline]
    fn after(&self, index: u16) -> u16 {
        after(index, self.size)
    }

    /// The first descriptor of the next frame that has data.
    fn first_data(&self, offload: &Offload, len: usize) -> u16 {
        match offload.context(len) {
            Some(_) => self.after(self.next),
            None => self.next,
        }
    }

    /// Data descriptors of a frame.
    fn pieces(&self, len: usize) -> usize {
        let room = self.buffers.len;
        let rest = (len % room).div_ceil(LINUX_PIECE);
        (len / room * room.div_ceil(LINUX_PIECE) + rest).max(1)
    }

    fn descriptors(&self, offload: &Offload, len: usize) -> usize {
        self.pieces(len) + usize::from(offload.context(len).is_some())
    }

    /// Whether the device may be given such a frame at all.
    fn check(&self, offload: &Offload, len: usize) -> Result<()> {
        let need = self.descriptors(offload, len);
        // A segment may begin and end amidst a piece, and its headers are in another one.
        let piece = self.buffers.len.min(LINUX_PIECE);
        let at_once = match offload.mss {
            Some(mss) => usize::from(mss).div_ceil(piece) + 2,
            None => self.pieces(len),
        };
        if need >= usize::from(self.size) || at_once > MAX_PIECES {
            let size = self.size;
            return Err(Error::Unsupported(format!(
                "{len} bytes in {need} descriptors of a ring of {size}"
            )));
        }
        Ok(())
    }

    /// Writes the descriptors of a frame for which there is room; the buffer of the first has been chosen. The data
    /// are written too, unless they are there.
    fn describe(&mut self, offload: &Offload, len: usize, data: Option<&[u8]>) {
        if let Some(words) = offload.context(len) {
            self.put(words);
        }
        let (room, pieces) = (self.buffers.len, self.pieces(len));
        let word = offload.word();
        let (mut owner, mut offset, mut done) = (self.next, 0, 0);
        for nth in 1..=pieces {
            if offset == room {
                (owner, offset) = (self.next, 0);
                self.buffers.advance(owner);
            }
            if offset == 0
                && let Some(data) = data
            {
                let chunk = &data[done.min(data.len())..data.len().min(done + room)];
                let at = self.buffers.at(owner);
                self.buffers.bytes.write(at, chunk);
                // Short frames are filled up.
                if data.len() < len {
                    let missing = len - data.len();
                    self.buffers.bytes.fill(at + chunk.len(), missing, 0);
                }
            }
            let size = (len - done).min(room - offset).min(LINUX_PIECE);
            let gpa = self.buffers.gpa(owner) + offset as u64;
            let words = [gpa, word | size_bits(size)];
            if nth == pieces {
                self.put_last(words);
            } else {
                self.put(words);
            }
            offset += size;
            done += size;
        }
        self.sent += 1;
    }

    fn put_last(&mut self, [first, second]: [u64; 2]) {
        let at = self.next;
        self.unreported.1 += 1;
        if self.unreported.0 + 1 < self.reports {
            self.put([first, second | EOP]);
            return;
        }
        self.put([first, second | EOP | RS]);
        self.held[usize::from(at)] = UNKNOWN;
        let (_, frames) = std::mem::take(&mut self.unreported);
        self.pending.push_back(Report { at, frames });
    }

    #[inline]
    fn put(&mut self, words: [u64; 2]) {
        let index = self.next;
        let held = &mut self.held[usize::from(index)];
        if *held != words {
            *held = words;
            let at = usize::from(index) * DESCRIPTOR;
            self.ring.store64(at, words[0]);
            self.ring.store64(at + 8, words[1]);
        }
        self.unreported.0 += 1;
        self.next = self.after(index);
    }
}

#[inline]
fn after(index: u16, size: u16) -> u16 {
    if index + 1 == size { 0 } else { index + 1 }
}
