//! A transmit queue of the 82576, with advanced descriptors (datasheet 7.2.2).

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};

use super::nic::Nic;
use super::regs;
use crate::dataplane::{Ask, HardwareSend, Piece};
use crate::offload::{Accepts, Headers, Network, Transport};
use crate::pf::dma::DmaBlock;

/// End of packet, check sequence, report status, advanced.
const EOP: u64 = 1 << 24;
const IFCS: u64 = 1 << 25;
const RS: u64 = 1 << 27;
const DEXT: u64 = 1 << 29;
const TSE: u64 = 1 << 31;
const TYPE_DATA: u64 = 3 << 20;
const TYPE_CONTEXT: u64 = 2 << 20;
/// Checksum of IPv4, and of TCP or UDP.
const IXSM: u64 = 1 << 40;
const TXSM: u64 = 1 << 41;
const PAYLEN: u32 = 46;
/// Descriptor done, in what hardware writes back.
const DONE: u32 = 1;
/// Of a context descriptor: IPv4, and TCP.
const CONTEXT_IPV4: u64 = 1 << 10;
const CONTEXT_TCP: u64 = 1 << 11;

/// Queue `queue`, and its descriptors in memory of ours.
pub(super) struct Send {
    nic: Arc<Nic>,
    queue: u32,
    ring: DmaBlock,
    size: u32,
    /// The next descriptor to write, and the oldest that is not done.
    next: u32,
    oldest: u32,
    /// Of each frame under way: its descriptors.
    frames: VecDeque<u32>,
}

impl Send {
    /// A queue of `size` descriptors, a multiple of 8, which `ring` holds.
    pub(super) fn new(nic: Arc<Nic>, queue: u32, ring: DmaBlock, size: u32) -> Self {
        let frames = VecDeque::with_capacity(size as usize);
        Self {
            nic,
            queue,
            ring,
            size,
            next: 0,
            oldest: 0,
            frames,
        }
    }

    fn register(&self, register: u32) -> u32 {
        regs::transmit(self.queue) + register
    }

    fn used(&self) -> u32 {
        (self.next + self.size - self.oldest) % self.size
    }

    fn write(&mut self, low: u64, high: u64) {
        let at = self.next as usize * regs::DESCRIPTOR;
        self.ring.memory().store64(at, low);
        self.ring.memory().store64(at + 8, high);
        self.next = (self.next + 1) % self.size;
    }

    /// What the descriptors behind it are to be done with.
    fn context(&mut self, headers: &Headers, segment: u16) {
        let link = u64::from(headers.l3_offset);
        let network = u64::from(headers.l4_offset - headers.l3_offset);
        let transport = u64::from(headers.end - headers.l4_offset);
        let mut kind = 0;
        if headers.network == Network::V4 {
            kind |= CONTEXT_IPV4;
        }
        if headers.transport == Transport::Tcp {
            kind |= CONTEXT_TCP;
        }
        let high = kind | TYPE_CONTEXT | DEXT | transport << 40 | u64::from(segment) << 48;
        self.write(link << 9 | network, high);
    }
}

impl HardwareSend for Send {
    fn room(&self) -> usize {
        // One stays free: a full ring would look like an empty one.
        (self.size - 1 - self.used()) as usize
    }

    fn accepts(&self) -> Accepts {
        Accepts::CSUM
            .with(Accepts::TSO4)
            .with(Accepts::TSO6)
            .with(Accepts::ECN)
    }

    fn put(&mut self, pieces: &[Piece], ask: &Ask) {
        let first = self.next;
        let total: u64 = pieces.iter().map(|piece| u64::from(piece.len)).sum();
        let (mut command, mut length) = (0, total);
        match ask {
            Ask::Nothing => {}
            Ask::Checksum(headers) => {
                self.context(headers, 0);
                command = TXSM;
            }
            Ask::Cut(headers, segment) => {
                self.context(headers, *segment);
                length = total.saturating_sub(headers.end.into());
                command = TSE | TXSM;
                if headers.network == Network::V4 {
                    command |= IXSM;
                }
            }
        }
        for (index, piece) in pieces.iter().enumerate() {
            let mut high =
                u64::from(piece.len) | TYPE_DATA | IFCS | DEXT | command | length << PAYLEN;
            if index + 1 == pieces.len() {
                high |= EOP | RS;
            }
            self.write(piece.iova, high);
        }
        self.frames
            .push_back((self.next + self.size - first) % self.size);
    }

    fn kick(&mut self) {
        // What was written is there before hardware hears of it.
        fence(Ordering::SeqCst);
        self.nic.write(self.register(regs::TDT), self.next);
    }

    fn reap(&mut self) -> usize {
        let mut done = 0;
        while let Some(count) = self.frames.front() {
            let last = (self.oldest + count - 1) % self.size;
            let status = self
                .ring
                .memory()
                .load32(last as usize * regs::DESCRIPTOR + 12);
            if status & DONE == 0 {
                break;
            }
            self.oldest = (last + 1) % self.size;
            self.frames.pop_front();
            done += 1;
        }
        done
    }

    fn stop(&mut self) {
        self.nic.stop_queue(
            self.register(regs::TXDCTL),
            (self.register(regs::TDH), self.register(regs::TDT)),
        );
        self.frames.clear();
        (self.next, self.oldest) = (0, 0);
    }

    fn start(&mut self) {
        for at in (0..self.size as usize * regs::DESCRIPTOR).step_by(8) {
            self.ring.memory().store64(at, 0);
        }
        let iova = self.ring.iova();
        self.nic.write(self.register(regs::TDBAL), iova as u32);
        self.nic
            .write(self.register(regs::TDBAH), (iova >> 32) as u32);
        self.nic.write(
            self.register(regs::TDLEN),
            self.size * regs::DESCRIPTOR as u32,
        );
        self.nic.write(self.register(regs::TDH), 0);
        self.nic.write(self.register(regs::TDT), 0);
        self.nic.start_queue(self.register(regs::TXDCTL));
    }
}
