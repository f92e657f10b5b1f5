//! The driver's side of a packed virtqueue (virtio 1.3 2.8).
//!
//! Descriptors are named as in a split queue, by what the buffers of a ring belong to; which slots of
//! the ring a chain takes follows from the order in which chains are pushed. A chain's id is the name
//! of its first descriptor.

use std::collections::VecDeque;

use super::{DESC_INDIRECT, DESC_NEXT, Entry, QueueLayout, Used};
use crate::fakevm::error::{Error, Result};
use crate::fakevm::limits::BURST;
use crate::fakevm::mem::{Shared, full_fence};
use crate::fakevm::memory::GuestMemory;

/// Descriptor flag: equal to the driver's wrap counter when available.
pub const DESC_AVAIL: u16 = 1 << 7;
/// Descriptor flag: equal to `DESC_AVAIL` when used.
pub const DESC_USED: u16 = 1 << 15;
/// Event suppression: always.
pub const EVENT_ENABLE: u16 = 0;
/// Event suppression: never.
pub const EVENT_DISABLE: u16 = 1;
/// Event suppression: at a descriptor.
pub const EVENT_DESC: u16 = 2;

/// A slot of the ring and the wrap counter of its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Slot.
    pub index: u16,
    /// Wrap counter.
    pub wrap: bool,
}

impl Place {
    const START: Self = Place {
        index: 0,
        wrap: true,
    };

    /// `by` slots further, at most one turn.
    #[must_use]
    pub fn after(self, by: u16, size: u16) -> Self {
        let index = u32::from(self.index) + u32::from(by);
        if index < u32::from(size) {
            let index = index as u16;
            Place { index, ..self }
        } else {
            Place {
                index: (index - u32::from(size)) as u16,
                wrap: !self.wrap,
            }
        }
    }

    fn ahead_of(self, other: Self, size: u16) -> u32 {
        let turn = u32::from(size);
        let linear = |at: Self| u32::from(at.index) + if at.wrap { 0 } else { turn };
        (linear(self) + 2 * turn - linear(other)) % (2 * turn)
    }

    /// `AVAIL` and `USED` of a descriptor that is made available here.
    pub fn available(self) -> u16 {
        if self.wrap { DESC_AVAIL } else { DESC_USED }
    }

    fn off_wrap(self) -> u16 {
        self.index | u16::from(self.wrap) << 15
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Desc {
    gpa: u64,
    len: u32,
    flags: u16,
    next: u16,
}

/// A packed queue, as its driver sees it.
#[derive(Debug)]
pub struct PackedQueue {
    layout: QueueLayout,
    ring: Shared,
    driver: Shared,
    device: Shared,
    event_idx: bool,
    in_order: bool,
    /// Where the next descriptor is made available.
    next_avail: Place,
    /// Where the first descriptor lies that the device has not been shown, and its flags.
    unseen: Option<(Place, u16)>,
    published: Place,
    next_used: Place,
    free: VecDeque<u16>,
    /// By name: what will be written when the chain is pushed.
    descs: Vec<Desc>,
    /// By head: descriptors of the outstanding chain (0: none), and slots of the ring.
    chain: Vec<(u16, u16)>,
    /// Heads in the order in which they were pushed, with in-order use.
    order: VecDeque<u16>,
    /// Returned chains that were seen and not taken.
    seen: VecDeque<Used>,
}

impl PackedQueue {
    /// Takes over the areas of `layout`, which it clears. Interrupts are not asked for.
    ///
    /// # Errors
    /// Fails when an area does not lie within one region of `memory`.
    pub fn new(
        memory: &GuestMemory,
        layout: QueueLayout,
        event_idx: bool,
        in_order: bool,
    ) -> Result<Self> {
        let size = usize::from(layout.size);
        let ring = memory.view(layout.desc, layout.desc_len())?;
        let driver = memory.view(layout.avail, layout.avail_len())?;
        let device = memory.view(layout.used, layout.used_len())?;
        for area in [&ring, &driver, &device] {
            area.fill(0, area.len(), 0);
        }
        let queue = PackedQueue {
            layout,
            ring,
            driver,
            device,
            event_idx,
            in_order,
            next_avail: Place::START,
            unseen: None,
            published: Place::START,
            next_used: Place::START,
            free: (0..layout.size).collect(),
            descs: vec![Desc::default(); size],
            chain: vec![(0, 0); size],
            order: VecDeque::with_capacity(size),
            seen: VecDeque::with_capacity(size),
        };
        queue.disarm();
        Ok(queue)
    }

    /// An empty queue in the same place, for after a reset.
    ///
    /// # Errors
    /// Fails when an area is no longer within `memory`.
    pub fn renewed(&self, memory: &GuestMemory) -> Result<Self> {
        Self::new(memory, self.layout, self.event_idx, self.in_order)
    }

    /// Where the queue lies.
    pub fn layout(&self) -> &QueueLayout {
        &self.layout
    }

    fn size(&self) -> u16 {
        self.layout.size
    }

    /// Descriptors that are free.
    pub fn free(&self) -> usize {
        self.free.len()
    }

    /// As [`super::SplitQueue::take_free`].
    #[inline]
    pub fn take_free(&mut self) -> Option<u16> {
        self.free.pop_front()
    }

    /// As [`super::SplitQueue::set_desc`]; written when its chain is pushed.
    #[inline]
    pub fn set_desc(&mut self, index: u16, gpa: u64, len: u32, flags: u16, next: u16) {
        self.descs[usize::from(index)] = Desc {
            gpa,
            len,
            flags,
            next,
        };
    }

    /// Makes a head stand for a table of descriptors; the rest of its chain stays taken.
    pub fn make_indirect(&mut self, head: u16, gpa: u64, len: u32) {
        let next = self.descs[usize::from(head)].next;
        self.set_desc(head, gpa, len, DESC_INDIRECT, next);
    }

    /// Writes one slot of the ring as it is, for rings that are broken on purpose.
    #[inline]
    pub fn write_slot(&self, slot: u16, gpa: u64, len: u32, id: u16, flags: u16) {
        let at = usize::from(slot) * 16;
        self.ring.store64(at, gpa);
        self.ring.store32(at + 8, len);
        self.ring.store16(at + 12, id);
        self.ring.release16(at + 14, flags);
    }

    /// Writes the driver's event suppression as it is.
    pub fn write_event(&self, off_wrap: u16, flags: u16) {
        self.driver
            .store32(0, u32::from(off_wrap) | u32::from(flags) << 16);
    }

    /// Where the next chain will begin.
    pub fn next_avail(&self) -> Place {
        self.next_avail
    }

    /// Where the next returned chain will show.
    pub fn next_used(&self) -> Place {
        self.next_used
    }

    /// As [`super::SplitQueue::push_head`].
    #[inline]
    pub fn push_head(&mut self, head: u16, count: u16) {
        let (mut index, mut slots) = (head, 0);
        loop {
            let desc = self.descs[usize::from(index)];
            let place = self.next_avail;
            let flags = desc.flags | place.available();
            let at = usize::from(place.index) * 16;
            self.ring.store64(at, desc.gpa);
            if self.unseen.is_none() {
                // The device looks here: flags follow with everything else in place.
                self.ring.store32(at + 8, desc.len);
                self.ring.store16(at + 12, head);
                self.unseen = Some((place, flags));
            } else {
                let word = u64::from(desc.len) | u64::from(head) << 32 | u64::from(flags) << 48;
                self.ring.store64(at + 8, word);
            }
            self.next_avail = place.after(1, self.size());
            slots += 1;
            if desc.flags & DESC_NEXT == 0 {
                break;
            }
            index = desc.next;
        }
        self.chain[usize::from(head)] = (count, slots);
        if self.in_order {
            self.order.push_back(head);
        }
    }

    /// As [`super::SplitQueue::publish`] (virtio 1.3 2.8.21.3).
    #[inline]
    pub fn publish(&mut self) -> bool {
        let Some((first, flags)) = self.unseen.take() else {
            return false;
        };
        self.ring
            .release16(usize::from(first.index) * 16 + 14, flags);
        full_fence();
        let old = std::mem::replace(&mut self.published, self.next_avail);
        let event = self.device.load32(0);
        match (event >> 16) as u16 & 3 {
            EVENT_DISABLE => false,
            EVENT_DESC if self.event_idx => {
                let at = Place {
                    index: event as u16 & 0x7fff,
                    wrap: event & 0x8000 != 0,
                };
                at.ahead_of(old, self.size()) < self.published.ahead_of(old, self.size())
            }
            _ => true,
        }
    }

    fn used_is_there(&self) -> bool {
        let at = usize::from(self.next_used.index) * 16 + 14;
        let flags = self.ring.acquire16(at);
        let wrap = self.next_used.wrap;
        (flags & DESC_AVAIL != 0) == wrap && (flags & DESC_USED != 0) == wrap
    }

    /// Looks for returned chains, each once.
    #[inline]
    fn look(&mut self) -> Result<()> {
        while self.seen.len() < BURST && self.used_is_there() {
            let word = self.ring.load64(usize::from(self.next_used.index) * 16 + 8);
            let (len, id, flags) = (word as u32, (word >> 32) as u16, (word >> 48) as u16);
            // Without the flag the length says nothing (virtio 1.3 2.8.5).
            let len = if flags & super::DESC_WRITE != 0 {
                len
            } else {
                0
            };
            loop {
                let head = if self.in_order {
                    self.order.pop_front().unwrap_or(id)
                } else {
                    id
                };
                let chain = self.chain.get_mut(usize::from(head));
                let Some((_, slots)) = chain.filter(|(count, slots)| *count > 0 && *slots > 0)
                else {
                    return Err(Error::Device(format!(
                        "chain {head} was returned but not outstanding"
                    )));
                };
                let slots = std::mem::replace(slots, 0);
                self.next_used = self.next_used.after(slots, self.layout.size);
                self.seen.push_back(Used { id: head, len });
                if head == id {
                    break;
                }
            }
        }
        Ok(())
    }

    /// As [`super::SplitQueue::returned`], a burst at most unless a batch is longer.
    ///
    /// # Errors
    /// Fails when the device returns what it was not given.
    #[inline]
    pub fn returned(&mut self) -> Result<u16> {
        self.look()?;
        Ok(self.seen.len() as u16)
    }

    /// As [`super::SplitQueue::peek`].
    #[inline]
    pub fn peek(&self, ahead: u16) -> Entry {
        self.seen
            .get(usize::from(ahead))
            .map_or_else(Entry::default, |used| Entry {
                id: used.id.into(),
                len: used.len,
            })
    }

    /// As [`super::SplitQueue::peek_free`].
    #[inline]
    pub fn peek_free(&self, ahead: usize) -> Option<u16> {
        self.free.get(ahead).copied()
    }

    /// As [`super::SplitQueue::take_returned`].
    ///
    /// # Errors
    /// Fails when nothing was returned.
    #[inline]
    pub fn take_returned(&mut self) -> Result<Used> {
        self.pop()?
            .ok_or_else(|| Error::Device("nothing was returned".into()))
    }

    /// As [`super::SplitQueue::pop`].
    ///
    /// # Errors
    /// Fails when the device returns what it was not given.
    #[inline]
    pub fn pop(&mut self) -> Result<Option<Used>> {
        if self.seen.is_empty() {
            self.look()?;
        }
        let Some(used) = self.seen.pop_front() else {
            return Ok(None);
        };
        let (count, _) = std::mem::take(&mut self.chain[usize::from(used.id)]);
        let mut index = used.id;
        for _ in 1..count {
            self.free.push_back(index);
            index = self.descs[usize::from(index)].next;
        }
        self.free.push_back(index);
        Ok(Some(used))
    }

    /// As [`super::SplitQueue::next_of`].
    pub fn next_of(&self, index: u16) -> u16 {
        self.descs[usize::from(index)].next
    }

    /// As [`super::SplitQueue::disarm`].
    pub fn disarm(&self) {
        self.write_event(0, EVENT_DISABLE);
    }

    /// As [`super::SplitQueue::arm`].
    pub fn arm(&self) -> bool {
        let flags = if self.event_idx {
            EVENT_DESC
        } else {
            EVENT_ENABLE
        };
        self.write_event(self.next_used.off_wrap(), flags);
        full_fence();
        !self.seen.is_empty() || self.used_is_there()
    }

    /// Value of a doorbell with notification data, above the queue's number.
    pub fn notification(&self) -> u16 {
        self.next_avail.off_wrap()
    }

    /// The three areas: descriptor ring, driver's and device's event suppression.
    pub fn areas(&self) -> [&Shared; 3] {
        [&self.ring, &self.driver, &self.device]
    }
}
