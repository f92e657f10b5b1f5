//! A device's side of a split queue, as plain as can be: the counterpart for tests of the driver
//! and for measuring what the driver alone costs. It trusts its driver and validates nothing.

use super::{DESC_NEXT, DESC_WRITE, QueueLayout, Segment};
use crate::fakevm::error::Result;
use crate::fakevm::mem::{Shared, full_fence};
use crate::fakevm::memory::GuestMemory;

/// A device that works one queue.
#[derive(Debug)]
pub struct ModelDevice {
    layout: QueueLayout,
    desc: Shared,
    avail: Shared,
    used: Shared,
    event_idx: bool,
    taken: u16,
    given: u16,
    signalled: u16,
}

impl ModelDevice {
    /// Works the queue at `layout` of `memory`.
    ///
    /// # Errors
    /// Fails when the queue does not lie in `memory`.
    pub fn new(memory: &GuestMemory, layout: QueueLayout, event_idx: bool) -> Result<Self> {
        Ok(ModelDevice {
            desc: memory.view(layout.desc, layout.desc_len())?,
            avail: memory.view(layout.avail, layout.avail_len())?,
            used: memory.view(layout.used, layout.used_len())?,
            layout,
            event_idx,
            taken: 0,
            given: 0,
            signalled: 0,
        })
    }

    /// Takes the next available chain.
    #[inline]
    pub fn pop(&mut self) -> Option<u16> {
        if self.avail.acquire16(2) == self.taken {
            return None;
        }
        let slot = usize::from(self.taken & (self.layout.size - 1));
        self.taken = self.taken.wrapping_add(1);
        Some(self.avail.load16(4 + 2 * slot))
    }

    /// How many chains are available and not taken.
    pub fn available(&self) -> u16 {
        self.avail.acquire16(2).wrapping_sub(self.taken)
    }

    /// The pieces of a chain.
    pub fn chain(&self, head: u16) -> Vec<Segment> {
        let mut segments = Vec::new();
        let mut index = head;
        loop {
            let (segment, next) = self.descriptor(index);
            segments.push(segment);
            match next {
                Some(next) => index = next,
                None => return segments,
            }
        }
    }

    /// One descriptor, and its successor.
    #[inline]
    pub fn descriptor(&self, index: u16) -> (Segment, Option<u16>) {
        let at = usize::from(index) * 16;
        let word = self.desc.load64(at + 8);
        let flags = (word >> 32) as u16;
        let segment = Segment {
            gpa: self.desc.load64(at),
            len: word as u32,
            device_writes: flags & DESC_WRITE != 0,
        };
        (
            segment,
            (flags & DESC_NEXT != 0).then_some((word >> 48) as u16),
        )
    }

    /// Raw flags of a descriptor.
    pub fn flags(&self, index: u16) -> u16 {
        (self.desc.load64(usize::from(index) * 16 + 8) >> 32) as u16
    }

    /// Gives a chain back; the driver does not see it before [`ModelDevice::publish`].
    #[inline]
    pub fn give(&mut self, head: u16, len: u32) {
        let at = 4 + 8 * usize::from(self.given & (self.layout.size - 1));
        self.used.store32(at, head.into());
        self.used.store32(at + 4, len);
        self.given = self.given.wrapping_add(1);
    }

    /// Shows the driver what was given back. True when it wants an interrupt.
    #[inline]
    pub fn publish(&mut self) -> bool {
        self.used.release16(2, self.given);
        full_fence();
        let old = std::mem::replace(&mut self.signalled, self.given);
        if self.event_idx {
            let event = self.avail.load16(4 + 2 * usize::from(self.layout.size));
            let fresh = self.given.wrapping_sub(old);
            self.given.wrapping_sub(event).wrapping_sub(1) < fresh
        } else {
            self.given != old && self.avail.load16(0) & 1 == 0
        }
    }

    /// Says from which available index on a notification is wanted, or by flag whether at all.
    pub fn want_notification(&self, on: bool) {
        if self.event_idx {
            let event = if on {
                self.taken
            } else {
                self.taken.wrapping_sub(1)
            };
            self.used
                .store16(4 + 8 * usize::from(self.layout.size), event);
        } else {
            self.used.store16(0, u16::from(!on));
        }
    }
}
