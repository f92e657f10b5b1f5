//! A port's way in: buffers that a receive queue of hardware fills.

use std::collections::VecDeque;

use super::{Filled, HardwareFill, Slots};
use crate::ring::Borrowed;

/// A buffer that hardware has, or has filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Buffer {
    /// One of ours.
    Slot(u32),
    /// One of the guest's.
    Guest(Borrowed),
}

/// A receive queue of hardware, with slots for what cannot go into buffers of the guest.
pub struct FillLane {
    queue: Box<dyn HardwareFill>,
    slots: Slots,
    /// Slots that nobody has.
    free: VecDeque<u32>,
    /// Slots that [`Self::take_slot`] has handed out.
    taken: Vec<u32>,
    /// What hardware has, in the order in which it fills.
    posted: VecDeque<Buffer>,
    /// Of these, the guest's.
    lent: usize,
    queued: bool,
    running: bool,
}

impl FillLane {
    /// A lane over a queue of hardware and slots for its buffers.
    pub fn new(queue: Box<dyn HardwareFill>, slots: Slots) -> Self {
        Self {
            posted: VecDeque::with_capacity(queue.room()),
            free: (0..slots.count()).collect(),
            taken: Vec::with_capacity(slots.count() as usize),
            queue,
            slots,
            lent: 0,
            queued: false,
            running: false,
        }
    }

    /// Takes it into use, if it is not, without a buffer.
    pub fn start(&mut self) {
        if !self.running {
            self.queue.start();
            self.running = true;
        }
    }

    /// Ends it: on return hardware writes nothing any more, and every buffer is forgotten.
    pub fn stop(&mut self) {
        if self.running {
            self.queue.stop();
            self.running = false;
        }
        self.posted.clear();
        self.free.clear();
        self.free.extend(0..self.slots.count());
        self.taken.clear();
        (self.lent, self.queued) = (0, false);
    }

    /// In use.
    pub const fn running(&self) -> bool {
        self.running
    }

    /// True when something was filled.
    pub fn pending(&self) -> bool {
        self.running && self.queue.pending()
    }

    /// Bytes that hardware writes at most into one buffer, whatever its filters let pass: all of them must be within reach.
    pub fn buffer(&self) -> u32 {
        self.queue.buffer()
    }

    /// Buffers of the guest's that hardware has.
    pub(crate) const fn lent(&self) -> usize {
        self.lent
    }

    /// Buffers that hardware has.
    pub(crate) fn posted(&self) -> usize {
        self.posted.len()
    }

    /// Takes the next buffer that is filled. A slot has to be given back.
    pub(crate) fn take(&mut self) -> Option<(Buffer, Filled)> {
        if !self.running || self.posted.is_empty() {
            return None;
        }
        let filled = self.queue.next()?;
        let buffer = self.posted.pop_front()?;
        if matches!(buffer, Buffer::Guest(_)) {
            self.lent -= 1;
        }
        Some((buffer, filled))
    }

    /// The same where all buffers are slots: they are given back by [`Self::restock`].
    pub(crate) fn take_slot(&mut self) -> Option<(u32, Filled)> {
        let (buffer, filled) = self.take()?;
        let Buffer::Slot(slot) = buffer else {
            return None;
        };
        self.taken.push(slot);
        Some((slot, filled))
    }

    /// Nobody looks at slots any more that [`Self::take_slot`] has handed out: all that are free are posted.
    pub(crate) fn restock(&mut self) {
        self.free.extend(self.taken.drain(..));
        while self.post_slot() {}
        self.kick();
    }

    /// The slots.
    pub const fn slots(&self) -> &Slots {
        &self.slots
    }

    /// Nobody looks at a slot any more.
    pub(crate) fn give_back(&mut self, slot: u32) {
        self.free.push_back(slot);
    }

    /// There is room for another buffer.
    pub(crate) fn has_room(&self) -> bool {
        self.running && self.queue.room() > 0
    }

    /// Posts a slot, if one is free and there is room.
    pub(crate) fn post_slot(&mut self) -> bool {
        if !self.has_room() {
            return false;
        }
        let Some(slot) = self.free.pop_front() else {
            return false;
        };
        self.post(self.slots.iova(slot), Buffer::Slot(slot));
        true
    }

    /// Posts a buffer of the guest's, for which there is room: where DMA finds its frame's first byte.
    pub(crate) fn post_lent(&mut self, iova: u64, borrowed: Borrowed) {
        self.post(iova, Buffer::Guest(borrowed));
        self.lent += 1;
    }

    fn post(&mut self, iova: u64, buffer: Buffer) {
        self.queue.post(iova);
        self.posted.push_back(buffer);
        self.queued = true;
    }

    /// Shows hardware what was posted.
    pub(crate) fn kick(&mut self) {
        if std::mem::take(&mut self.queued) {
            self.queue.kick();
        }
    }
}
