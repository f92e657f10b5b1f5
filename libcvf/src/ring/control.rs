//! A control queue (virtio 1.3 5.1.6.5): a command to read, room for its answer; in either format.

use super::chain::ChainError;
use super::control_packed::PackedControl;
use super::control_split::SplitControl;
use super::{RingError, RingFeatures, RingFormat};
use crate::limits::{MAX_CONTROL_COMMAND, MAX_CONTROL_RESULT};
use crate::mem::{PlaceError, Regions, RingPlace};

/// A command taken from the ring, copied.
#[derive(Debug)]
pub struct Command {
    /// How its ring names the buffer.
    pub(super) id: u16,
    /// Descriptors of a packed ring it takes.
    pub(super) slots: u16,
    /// Guest addresses and lengths that take the answer.
    answer: Vec<(u64, u64)>,
    too_long: bool,
    /// Bytes that the answer may have, at most [`MAX_CONTROL_RESULT`].
    pub room: usize,
    /// The command's bytes; empty when it was longer than
    /// [`MAX_CONTROL_COMMAND`].
    pub bytes: Vec<u8>,
}

impl Command {
    /// Nothing of it was read yet.
    pub(super) const fn empty() -> Self {
        Self {
            id: 0,
            slots: 1,
            answer: Vec::new(),
            too_long: false,
            room: 0,
            bytes: Vec::new(),
        }
    }

    /// Adds an element of its buffer.
    pub(super) fn add(
        &mut self,
        regions: &Regions,
        address: u64,
        len: u32,
        device_writes: bool,
    ) -> Result<(), ChainError> {
        if device_writes {
            let len = (len as usize).min(MAX_CONTROL_RESULT - self.room);
            if len > 0 {
                self.answer.push((address, len as u64));
                self.room += len;
            }
            return Ok(());
        }
        if self.room > 0 {
            return Err(ChainError::Direction);
        }
        if len as usize > MAX_CONTROL_COMMAND - self.bytes.len() {
            self.too_long = true;
            return Ok(());
        }
        regions.readable(address, u64::from(len), |piece| {
            let start = self.bytes.len();
            self.bytes.resize(start + piece.len(), 0);
            piece.read(&mut self.bytes[start..]);
            true
        })?;
        Ok(())
    }

    /// All of its elements were added.
    pub(super) fn finished(mut self, id: u16, slots: u16) -> Self {
        if self.too_long {
            self.bytes.clear();
        }
        Self { id, slots, ..self }
    }

    /// Writes the answer as far as there is room; returns the bytes written.
    pub(super) fn write_answer(&self, regions: &Regions, answer: &[u8]) -> Result<u32, RingError> {
        let mut left = answer;
        for &(address, room) in &self.answer {
            if left.is_empty() {
                break;
            }
            let len = room.min(left.len() as u64);
            regions
                .writable(address, len, |to| {
                    let (part, rest) = left.split_at(to.len().min(left.len()));
                    left = rest;
                    to.write(part) == part.len()
                })
                .map_err(|e| RingError::Chain {
                    head: self.id,
                    source: e.into(),
                })?;
        }
        Ok((answer.len() - left.len()) as u32)
    }
}

#[derive(Debug)]
enum Format {
    Split(Box<SplitControl>),
    Packed(Box<PackedControl>),
}

/// Device side of a control queue.
#[derive(Debug)]
pub struct ControlRing(Format);

impl ControlRing {
    /// A ring at `place`, at its beginning.
    ///
    /// # Errors
    /// [`PlaceError`], also when it is not reachable in `regions`.
    pub fn new(
        format: RingFormat,
        place: RingPlace,
        features: RingFeatures,
        regions: &Regions,
    ) -> Result<Self, PlaceError> {
        Ok(Self(match format {
            RingFormat::Split => {
                Format::Split(Box::new(SplitControl::new(place, features, regions)?))
            }
            RingFormat::Packed => {
                Format::Packed(Box::new(PackedControl::new(place, features, regions)?))
            }
        }))
    }

    /// The next command, or `None` with the doorbell armed.
    ///
    /// # Errors
    /// [`RingError`].
    pub fn take(&mut self, regions: &Regions) -> Result<Option<Command>, RingError> {
        match &mut self.0 {
            Format::Split(ring) => ring.take(regions),
            Format::Packed(ring) => ring.take(regions),
        }
    }

    /// As [`super::TransmitRing::looks_untouched`].
    pub fn looks_untouched(&mut self, regions: &Regions) -> bool {
        match &mut self.0 {
            Format::Split(ring) => ring.looks_untouched(regions),
            Format::Packed(ring) => ring.looks_untouched(regions),
        }
    }

    /// Answers a command with `answer`, as far as there is room. True: the driver wants an interrupt.
    ///
    /// # Errors
    /// [`RingError`], when the answer cannot be written.
    pub fn answer(
        &mut self,
        regions: &Regions,
        command: &Command,
        answer: &[u8],
    ) -> Result<bool, RingError> {
        match &mut self.0 {
            Format::Split(ring) => ring.answer(regions, command, answer),
            Format::Packed(ring) => ring.answer(regions, command, answer),
        }
    }
}
