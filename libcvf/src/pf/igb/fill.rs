//! A receive queue of the 82576, with advanced descriptors of one buffer (datasheet 7.1.5).

use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};

use super::nic::Nic;
use super::regs;
use crate::dataplane::{Filled, HardwareFill};
use crate::pf::dma::DmaBlock;

/// Of what hardware writes back: done, the frame's end, checksum of TCP or UDP looked at, and wrong, and errors that
/// leave no frame.
const DONE: u64 = 1;
const END: u64 = 1 << 1;
const CHECKED: u64 = 1 << 5;
const CHECKSUM_WRONG: u64 = 1 << 29;
const BROKEN: u64 = 1 << 31;

/// Queue `queue`, and its descriptors in memory of ours.
pub(super) struct Fill {
    nic: Arc<Nic>,
    queue: u32,
    ring: DmaBlock,
    size: u32,
    /// Bytes of a buffer, a multiple of 1024.
    buffer: u32,
    /// The next descriptor to post, and the oldest that is posted.
    next: u32,
    oldest: u32,
    /// A frame's beginning was seen, and it goes on.
    inside: bool,
}

impl Fill {
    /// A queue of `size` descriptors, a multiple of 8, which `ring` holds.
    pub(super) fn new(
        nic: Arc<Nic>,
        queue: u32,
        ring: DmaBlock,
        (size, buffer): (u32, u32),
    ) -> Self {
        Self {
            nic,
            queue,
            ring,
            size,
            buffer,
            next: 0,
            oldest: 0,
            inside: false,
        }
    }

    fn register(&self, register: u32) -> u32 {
        regs::receive(self.queue) + register
    }

    fn posted(&self) -> u32 {
        (self.next + self.size - self.oldest) % self.size
    }

    fn word(&self) -> u64 {
        self.ring
            .memory()
            .load64(self.oldest as usize * regs::DESCRIPTOR + 8)
    }
}

impl HardwareFill for Fill {
    fn room(&self) -> usize {
        (self.size - 1 - self.posted()) as usize
    }

    fn buffer(&self) -> u32 {
        self.buffer
    }

    fn post(&mut self, iova: u64) {
        let at = self.next as usize * regs::DESCRIPTOR;
        // Where hardware will say that it is done nothing must stand.
        self.ring.memory().store64(at + 8, 0);
        self.ring.memory().store64(at, iova);
        self.next = (self.next + 1) % self.size;
    }

    fn kick(&mut self) {
        fence(Ordering::SeqCst);
        self.nic.write(self.register(regs::RDT), self.next);
    }

    fn pending(&self) -> bool {
        self.posted() > 0 && self.word() & DONE != 0
    }

    fn next(&mut self) -> Option<Filled> {
        if self.posted() == 0 {
            return None;
        }
        let word = self.word();
        if word & DONE == 0 {
            return None;
        }
        self.oldest = (self.oldest + 1) % self.size;
        // Longer frames than a buffer are kept away by the pool's filter; if one comes, no part of it is one.
        let whole = word & END != 0 && !self.inside;
        self.inside = word & END == 0;
        let len = (word >> 32) as u32 & 0xffff;
        Some(Filled {
            len: len.min(self.buffer),
            good: whole && word & BROKEN == 0 && len <= self.buffer,
            checksum: word & (CHECKED | CHECKSUM_WRONG) == CHECKED,
        })
    }

    fn stop(&mut self) {
        self.nic.stop_queue(
            self.register(regs::RXDCTL),
            (self.register(regs::RDH), self.register(regs::RDT)),
        );
        (self.next, self.oldest, self.inside) = (0, 0, false);
    }

    fn start(&mut self) {
        for at in (0..self.size as usize * regs::DESCRIPTOR).step_by(8) {
            self.ring.memory().store64(at, 0);
        }
        let iova = self.ring.iova();
        self.nic.write(self.register(regs::RDBAL), iova as u32);
        self.nic
            .write(self.register(regs::RDBAH), (iova >> 32) as u32);
        self.nic.write(
            self.register(regs::RDLEN),
            self.size * regs::DESCRIPTOR as u32,
        );
        let kinds = self.buffer >> 10 | regs::SRRCTL_ADVANCED_ONE | regs::SRRCTL_DROP;
        self.nic.write(self.register(regs::SRRCTL), kinds);
        self.nic.write(self.register(regs::RDH), 0);
        self.nic.write(self.register(regs::RDT), 0);
        self.nic.start_queue(self.register(regs::RXDCTL));
    }
}
