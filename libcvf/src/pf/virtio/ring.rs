//! A split virtqueue that we are the driver of (virtio 1.3 2.7), in memory of ours.
//!
//! What the device writes there is not believed: an index, an id or a length that cannot be ends the use of the queue
//! until it is taken into use again. Chains are the caller's; each is named by its first descriptor.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering, fence};

use super::regs;
use super::transport::{Doorbell, QueuePlace, Transport, TransportError};
use crate::mem::OwnMemory;
use crate::pf::dma::DmaBlock;

/// Bytes of a descriptor, and of an entry of the used ring.
const DESCRIPTOR: usize = 16;
const USED: usize = 8;
/// Where rings begin behind flags and index.
const RING: usize = 4;
/// Areas begin at lines of their own, which is more than 2.7 asks for.
const LINE: usize = 64;

/// Where the areas of a queue are in its block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Areas {
    driver: usize,
    device: usize,
    /// First byte behind them, for whatever else the queue needs.
    pub end: usize,
}

impl Areas {
    /// Of a queue of `size` descriptors, a power of two.
    pub(super) const fn of(size: u16) -> Self {
        let size = size as usize;
        let driver = (size * DESCRIPTOR).next_multiple_of(LINE);
        let device = (driver + RING + 2 * size + 2).next_multiple_of(LINE);
        let end = (device + RING + USED * size + 2).next_multiple_of(LINE);
        Self {
            driver,
            device,
            end,
        }
    }
}

/// What whoever asks for a queue's interrupts has to know of it.
pub(super) struct Signal {
    memory: Arc<OwnMemory>,
    areas: Areas,
    /// The used index up to which was looked.
    seen: AtomicU16,
}

impl Signal {
    fn used(&self) -> u16 {
        self.memory.load16(self.areas.device + 2)
    }

    /// Asks for interrupts (2.7.7); true when something was used before, of which none will tell.
    pub(super) fn arm(&self) -> bool {
        self.memory.store16(self.areas.driver, 0);
        // The device sees the flag before its index is looked at.
        fence(Ordering::SeqCst);
        self.pending()
    }

    /// Asks for none.
    pub(super) fn disarm(&self) {
        let flags = regs::AVAIL_NO_INTERRUPT;
        self.memory.store16(self.areas.driver, flags);
    }

    fn pending(&self) -> bool {
        self.used() != self.seen.load(Ordering::Relaxed)
    }
}

/// Whose a chain is, by its first descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    Driver,
    Device,
    /// The device is done with it, and says that it wrote so many bytes.
    Used(u32),
}

/// A queue, and what is under way there.
pub(super) struct Ring {
    transport: Arc<Transport>,
    queue: u16,
    vector: u16,
    block: DmaBlock,
    size: u16,
    areas: Areas,
    signal: Arc<Signal>,
    owners: Box<[Owner]>,
    /// Chains made available since the start, and those of them that are the device's.
    available: u16,
    outstanding: u16,
    /// None: it is not in use.
    doorbell: Option<Doorbell>,
    broken: bool,
}

impl Ring {
    /// Queue `queue` of `size` descriptors, a power of two, whose areas `block` holds.
    pub(super) fn new(
        transport: Arc<Transport>,
        (queue, vector): (u16, u16),
        block: DmaBlock,
        size: u16,
    ) -> Self {
        let areas = Areas::of(size);
        let signal = Arc::new(Signal {
            memory: Arc::clone(block.memory()),
            areas,
            seen: AtomicU16::new(0),
        });
        Self {
            transport,
            queue,
            vector,
            block,
            size,
            areas,
            signal,
            owners: vec![Owner::Driver; usize::from(size)].into(),
            available: 0,
            outstanding: 0,
            doorbell: None,
            broken: false,
        }
    }

    /// Descriptors.
    pub(super) const fn size(&self) -> u16 {
        self.size
    }

    /// Its memory: behind its areas it is the caller's.
    pub(super) const fn block(&self) -> &DmaBlock {
        &self.block
    }

    pub(super) const fn areas(&self) -> Areas {
        self.areas
    }

    pub(super) const fn signal(&self) -> &Arc<Signal> {
        &self.signal
    }

    /// Something is to be had of it: it could be taken into use, and the device has kept to the rules.
    pub(super) const fn is_sound(&self) -> bool {
        !self.broken
    }

    fn works(&self) -> bool {
        self.doorbell.is_some() && !self.broken
    }

    /// Writes a descriptor; `next` is the one that its chain goes on with.
    pub(super) fn describe(
        &self,
        index: u16,
        (iova, len): (u64, u32),
        writable: bool,
        next: Option<u16>,
    ) {
        let mut flags = 0;
        if writable {
            flags |= regs::DESC_WRITE;
        }
        if next.is_some() {
            flags |= regs::DESC_NEXT;
        }
        let at = usize::from(index & (self.size - 1)) * DESCRIPTOR;
        let rest =
            u64::from(len) | u64::from(flags) << 32 | u64::from(next.unwrap_or_default()) << 48;
        self.block.memory().store64(at, iova);
        self.block.memory().store64(at + 8, rest);
    }

    /// Makes the chain that begins with `head` available; seen with the next [`Self::publish`] (2.7.13).
    pub(super) fn offer(&mut self, head: u16) {
        let Some(owner) = self.owners.get_mut(usize::from(head)) else {
            return;
        };
        *owner = Owner::Device;
        self.outstanding += 1;
        let slot = usize::from(self.available & (self.size - 1));
        let at = self.areas.driver + RING + 2 * slot;
        self.block.memory().store16(at, head);
        self.available = self.available.wrapping_add(1);
    }

    /// Shows the device what was made available, and tells it if it wants to be told (2.7.13.3, 2.7.13.4).
    pub(super) fn publish(&self) {
        let memory = self.block.memory();
        memory.store16(self.areas.driver + 2, self.available);
        // The device sees the index before its flags are looked at.
        fence(Ordering::SeqCst);
        if let Some(doorbell) = &self.doorbell
            && memory.load16(self.areas.device) & regs::USED_NO_NOTIFY == 0
        {
            self.transport.ring(doorbell);
        }
    }

    /// True when [`Self::collect`] would find something.
    pub(super) fn pending(&self) -> bool {
        self.works() && self.signal.pending()
    }

    /// True when the device is done with a chain, as far as was looked.
    pub(super) fn is_used(&self, head: u16) -> bool {
        matches!(self.owners.get(usize::from(head)), Some(Owner::Used(_)))
    }

    /// Looks what the device is done with (2.7.14).
    pub(super) fn collect(&mut self) {
        if !self.works() {
            return;
        }
        let (used, seen) = (self.signal.used(), self.signal.seen.load(Ordering::Relaxed));
        let count = used.wrapping_sub(seen);
        if count > self.outstanding {
            return self.give_up("its used index jumps");
        }
        for nth in 0..count {
            let slot = usize::from(seen.wrapping_add(nth) & (self.size - 1));
            let at = self.areas.device + RING + USED * slot;
            let id = self.block.memory().load32(at);
            let len = self.block.memory().load32(at + 4);
            match self.owners.get_mut(id as usize) {
                Some(owner) if *owner == Owner::Device => *owner = Owner::Used(len),
                _ => return self.give_up("it uses what it does not have"),
            }
            self.outstanding -= 1;
        }
        self.signal.seen.store(used, Ordering::Relaxed);
    }

    /// Takes a chain back that the device is done with; the bytes that it says it wrote.
    pub(super) fn take(&mut self, head: u16) -> Option<u32> {
        match self.owners.get_mut(usize::from(head))? {
            owner @ Owner::Used(_) => match std::mem::replace(owner, Owner::Driver) {
                Owner::Used(len) => Some(len),
                _ => None,
            },
            _ => None,
        }
    }

    /// The device breaks the rules: what stands there means nothing any more.
    fn give_up(&mut self, why: &str) {
        tracing::error!(queue = self.queue, why, "the device's queue is given up");
        self.broken = true;
    }

    /// Takes it into use, empty, without interrupts.
    pub(super) fn start(&mut self) -> Result<(), TransportError> {
        for at in (0..self.areas.end).step_by(8) {
            self.block.memory().store64(at, 0);
        }
        self.forget();
        self.signal.disarm();
        let at = |area: usize| self.block.iova() + area as u64;
        let place = QueuePlace {
            size: self.size,
            descriptors: at(0),
            driver: at(self.areas.driver),
            device: at(self.areas.device),
            vector: self.vector,
        };
        let enabled = self.transport.enable_queue(self.queue, &place);
        self.broken = enabled.is_err();
        self.doorbell = Some(enabled?);
        Ok(())
    }

    /// Ends it: on return the device accesses nothing of it (2.6.1).
    pub(super) fn stop(&mut self) -> Result<(), TransportError> {
        self.doorbell = None;
        let ended = self.transport.reset_queue(self.queue);
        self.forget();
        ended
    }

    fn forget(&mut self) {
        self.owners.fill(Owner::Driver);
        (self.available, self.outstanding, self.broken) = (0, 0, false);
        self.signal.seen.store(0, Ordering::Relaxed);
    }
}
