//! A control queue in split format (virtio 1.3 5.1.6.5): a command to read, room for its answer.

use super::chain::{ChainError, Stop, Walk};
use super::notify::Notify;
use super::{RingError, RingFeatures};
use crate::limits::{MAX_CONTROL_COMMAND, MAX_CONTROL_RESULT};
use crate::mem::{Descriptor, PlaceError, Regions, RingCache, RingPlace};

/// A command taken from the ring, copied.
#[derive(Debug)]
pub struct Command {
    id: u16,
    /// Guest addresses and lengths that take the answer.
    answer: Vec<(u64, u64)>,
    /// Bytes that the answer may have, at most [`MAX_CONTROL_RESULT`].
    pub room: usize,
    /// The command's bytes; empty when it was longer than
    /// [`MAX_CONTROL_COMMAND`].
    pub bytes: Vec<u8>,
}

/// Device side of a control queue.
#[derive(Debug)]
pub struct ControlRing {
    cache: RingCache,
    features: RingFeatures,
    notify: Notify,
    next: u16,
    used: u16,
}

impl ControlRing {
    /// A ring at `place`, at its beginning.
    ///
    /// # Errors
    /// [`PlaceError`], also when it is not reachable in `regions`.
    pub fn new(
        place: RingPlace,
        features: RingFeatures,
        regions: &Regions,
    ) -> Result<Self, PlaceError> {
        let mut cache = RingCache::new(place)?;
        cache.view(regions)?;
        Ok(Self {
            cache,
            features,
            notify: Notify::new(features.event_idx),
            next: 0,
            used: 0,
        })
    }

    /// The next command, or `None` with the doorbell armed.
    ///
    /// # Errors
    /// [`RingError`].
    pub fn take(&mut self, regions: &Regions) -> Result<Option<Command>, RingError> {
        let view = self.cache.view(regions)?;
        let to = view.available_index();
        let (from, size) = (self.next, view.size());
        if to.wrapping_sub(from) > size {
            return Err(RingError::IndexJump { from, to, size });
        }
        if to == from {
            self.notify.arm(view, from);
            if view.available_index() == from {
                return Ok(None);
            }
        }
        let id = view.available_entry(from);
        let mut command = Command {
            id,
            answer: Vec::new(),
            room: 0,
            bytes: Vec::new(),
        };
        let mut too_long = false;
        let walk = Walk {
            view,
            regions,
            indirect: self.features.indirect,
        };
        let walked = walk.descriptors(id, |descriptor| {
            if descriptor.flags & Descriptor::WRITE != 0 {
                let len = (descriptor.len as usize).min(MAX_CONTROL_RESULT - command.room);
                if len > 0 {
                    command.answer.push((descriptor.address, len as u64));
                    command.room += len;
                }
                return Ok(());
            }
            if command.room > 0 {
                return Err(ChainError::Direction.into());
            }
            let len = descriptor.len as usize;
            if len > MAX_CONTROL_COMMAND - command.bytes.len() {
                too_long = true;
                return Ok(());
            }
            regions.readable(descriptor.address, u64::from(descriptor.len), |piece| {
                let start = command.bytes.len();
                command.bytes.resize(start + piece.len(), 0);
                piece.read(&mut command.bytes[start..]);
                true
            })?;
            Ok(())
        });
        match walked {
            Ok(()) => {}
            Err(Stop::Bad(source)) => return Err(RingError::Chain { head: id, source }),
            Err(Stop::Full) => too_long = true,
        }
        if too_long {
            command.bytes.clear();
        }
        self.next = from.wrapping_add(1);
        Ok(Some(command))
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
        let view = self.cache.view(regions)?;
        let mut left = answer;
        for &(address, room) in &command.answer {
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
                    head: command.id,
                    source: e.into(),
                })?;
        }
        view.set_used(self.used, command.id, (answer.len() - left.len()) as u32);
        self.used = self.used.wrapping_add(1);
        view.publish_used(self.used);
        Ok(self.notify.wants_interrupt(view, self.used))
    }
}
