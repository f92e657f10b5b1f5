//! The driver's side of a virtqueue: split (virtio 1.3 2.7) here, packed in [`packed`], either in
//! [`Queue`].
//!
//! It owns the three areas of one queue and which descriptors are free. It never rings a
//! doorbell and never sleeps: whoever drives it asks [`SplitQueue::publish`] whether the device
//! wants to be told. The device is trusted with nothing: an identifier that it returns must be
//! that of a chain which is outstanding.

mod free;
mod layout;
pub mod model;
pub mod packed;
mod queue;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use self::free::FreeList;
pub use self::layout::QueueLayout;
pub use self::packed::PackedQueue;
pub use self::queue::Queue;
use super::error::{Error, Result};
use super::mem::{Shared, Span, full_fence};
use super::memory::GuestMemory;

/// Descriptor flag: the chain goes on at `next`.
pub const DESC_NEXT: u16 = 1;
/// Descriptor flag: the device writes.
pub const DESC_WRITE: u16 = 2;
/// Descriptor flag: the buffer is a table of descriptors.
pub const DESC_INDIRECT: u16 = 4;
/// `flags` of the available ring: the driver wants no interrupts.
pub const AVAIL_NO_INTERRUPT: u16 = 1;
/// `flags` of the used ring: the device wants no notifications.
pub const USED_NO_NOTIFY: u16 = 1;

const AVAIL_FLAGS: usize = 0;
const AVAIL_IDX: usize = 2;
const AVAIL_RING: usize = 4;
const USED_FLAGS: usize = 0;
const USED_IDX: usize = 2;
const USED_RING: usize = 4;
const NOT_OUTSTANDING: u16 = u16::MAX;

/// One piece of a chain.
#[derive(Clone, Copy, Debug)]
pub struct Segment {
    /// Guest physical address.
    pub gpa: u64,
    /// Bytes.
    pub len: u32,
    /// Whether the device writes to it.
    pub device_writes: bool,
}

/// A chain that the device has returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Used {
    /// Head of the chain.
    pub id: u16,
    /// Bytes that the device has written to it.
    pub len: u32,
}

/// An entry of the used ring, as the device has written it: not yet checked.
#[derive(Clone, Copy, Debug, Default)]
pub struct Entry {
    /// Head of a chain, as the device says.
    pub id: u32,
    /// Bytes that the device says it has written.
    pub len: u32,
}

impl Entry {
    #[inline]
    fn read(used: Span<'_>, slot: u16) -> Self {
        let mut entry = [0; 8];
        used.read(USED_RING + usize::from(slot) * 8, &mut entry);
        Self::from_word(u64::from_le_bytes(entry))
    }

    #[inline]
    fn from_word(word: u64) -> Self {
        Entry {
            id: word as u32,
            len: (word >> 32) as u32,
        }
    }
}

/// The first of descriptors that follow each other; `None` if they do not.
#[inline]
fn run_of(row: &[u16]) -> Option<u16> {
    let first = *row.first()?;
    let follow = |(index, ahead): (&u16, u16)| *index == first.wrapping_add(ahead);
    row.iter().zip(0..).all(follow).then_some(first)
}

/// A split queue, as its driver sees it.
#[derive(Debug)]
pub struct SplitQueue {
    layout: QueueLayout,
    desc: Shared,
    avail: Shared,
    used: Shared,
    mask: u16,
    event_idx: bool,
    /// Available index with everything that has been pushed.
    pushed: u16,
    /// Available index that the device has been shown.
    published: u16,
    /// Used entries that have been taken.
    taken: u16,
    /// Used index at the last look.
    seen: u16,
    free: FreeList,
    in_order: bool,
    /// Heads in the order in which they were pushed, with in-order use.
    order: VecDeque<u16>,
    /// Last chain of a batch that was returned as one, and its length.
    batch: Option<Entry>,
    /// What the descriptor table holds, and the available ring: what would not change is not
    /// written again, so that its line stays in the device's cache.
    table: Vec<(u64, u64)>,
    heads: Vec<u16>,
    /// Descriptors of each outstanding chain, by head: a copy the device cannot touch.
    chain: Vec<u16>,
    /// Successor of each descriptor within its chain: likewise.
    next: Vec<u16>,
}

impl SplitQueue {
    /// Takes over the areas of `layout`, which it clears. Interrupts are not asked for.
    ///
    /// # Errors
    /// Fails when an area does not lie within one region of `memory`.
    pub fn new(memory: &GuestMemory, layout: QueueLayout, event_idx: bool) -> Result<Self> {
        Self::in_order(memory, layout, event_idx, false)
    }

    /// The same, of a device that uses chains in order if `in_order` (virtio 1.3 2.7.9).
    ///
    /// # Errors
    /// As [`SplitQueue::new`].
    pub fn in_order(
        memory: &GuestMemory,
        layout: QueueLayout,
        event_idx: bool,
        in_order: bool,
    ) -> Result<Self> {
        let size = layout.size;
        let desc = memory.view(layout.desc, layout.desc_len())?;
        let avail = memory.view(layout.avail, layout.avail_len())?;
        let used = memory.view(layout.used, layout.used_len())?;
        for area in [&desc, &avail, &used] {
            area.fill(0, area.len(), 0);
        }
        let queue = SplitQueue {
            layout,
            desc,
            avail,
            used,
            mask: size - 1,
            event_idx,
            pushed: 0,
            published: 0,
            taken: 0,
            seen: 0,
            free: FreeList::full(size),
            in_order,
            order: VecDeque::with_capacity(size.into()),
            batch: None,
            table: vec![(0, 0); usize::from(size)],
            heads: vec![0; usize::from(size)],
            chain: vec![NOT_OUTSTANDING; usize::from(size)],
            next: vec![0; usize::from(size)],
        };
        queue.disarm();
        Ok(queue)
    }

    /// An empty queue in the same place, for after a reset.
    ///
    /// # Errors
    /// Fails when an area is no longer within `memory`.
    pub fn renewed(&self, memory: &GuestMemory) -> Result<Self> {
        Self::in_order(memory, self.layout, self.event_idx, self.in_order)
    }

    /// Where the queue lies.
    pub fn layout(&self) -> &QueueLayout {
        &self.layout
    }

    /// Entries of the queue.
    pub fn size(&self) -> u16 {
        self.layout.size
    }

    /// Descriptors that are free.
    pub fn free(&self) -> usize {
        self.free.len()
    }

    /// Takes the descriptor that has been free for longest; it stays taken until the chain it is
    /// pushed with comes back.
    #[inline]
    pub fn take_free(&mut self) -> Option<u16> {
        self.free.take()
    }

    /// The descriptor that [`SplitQueue::take_free`] gives after `ahead` others, if so many are
    /// free.
    #[inline]
    pub fn peek_free(&self, ahead: usize) -> Option<u16> {
        self.free.peek(ahead)
    }

    /// Writes one descriptor. `next` is remembered for the way back.
    #[inline]
    pub fn set_desc(&mut self, index: u16, gpa: u64, len: u32, flags: u16, next: u16) {
        self.next[usize::from(index)] = next;
        self.write_desc(index, gpa, len, flags, next);
    }

    /// Writes one descriptor as it is, for rings that are broken on purpose.
    #[inline]
    pub fn write_desc(&mut self, index: u16, gpa: u64, len: u32, flags: u16, next: u16) {
        let at = usize::from(index) * 16;
        let word = u64::from(len) | u64::from(flags) << 32 | u64::from(next) << 48;
        let held = &mut self.table[usize::from(index)];
        if *held != (gpa, word) {
            *held = (gpa, word);
            self.desc.store64(at, gpa);
            self.desc.store64(at + 8, word);
        }
    }

    /// The descriptors that [`SplitQueue::take_row`] gives next.
    #[inline]
    pub fn peek_free_row<'t>(&self, to: &'t mut [u16]) -> &'t [u16] {
        self.free.peek_row(to)
    }

    /// Takes up to as many free descriptors as `to` has room for.
    #[inline]
    pub fn take_row<'t>(&mut self, to: &'t mut [u16]) -> &'t [u16] {
        self.free.take_row(to)
    }

    /// [`SplitQueue::set_desc`] and [`SplitQueue::push_head`] for chains of one descriptor each, all of
    /// `len` bytes; `gpa` says where each begins.
    #[inline]
    pub fn push_row(&mut self, row: &[u16], len: u32, flags: u16, gpa: impl Fn(u16) -> u64) {
        let word = u64::from(len) | u64::from(flags) << 32;
        // Kept in registers meanwhile.
        let (desc, avail) = (self.desc.span(), self.avail.span());
        let (table, heads) = (&mut self.table[..], &mut self.heads[..]);
        let (chain, next, mask) = (&mut self.chain[..], &mut self.next[..], self.mask);
        let mut pushed = self.pushed;
        // Most rows are what they were a turn of the ring ago, and nothing is to be written but that they are out.
        let slot = usize::from(pushed & mask);
        if let Some(first) = run_of(row)
            && heads.get(slot..slot + row.len()) == Some(row)
            && let at = usize::from(first)
            && let Some(held) = table.get(at..at + row.len())
            && held
                .iter()
                .zip(row)
                .all(|(held, index)| *held == (gpa(*index), word))
        {
            chain[at..at + row.len()].fill(1);
            self.pushed = pushed.wrapping_add(row.len() as u16);
            if self.in_order {
                self.order.extend(row);
            }
            return;
        }
        for &index in row {
            let at = usize::from(index);
            let wanted = (gpa(index), word);
            if table[at] != wanted {
                table[at] = wanted;
                next[at] = 0;
                desc.store64(at * 16, wanted.0);
                desc.store64(at * 16 + 8, wanted.1);
            }
            chain[at] = 1;
            let slot = usize::from(pushed & mask);
            if heads[slot] != index {
                heads[slot] = index;
                avail.store16(AVAIL_RING + slot * 2, index);
            }
            pushed = pushed.wrapping_add(1);
        }
        self.pushed = pushed;
        if self.in_order {
            self.order.extend(row);
        }
    }

    /// Puts a chain of `count` descriptors, linked from `head`, on the available ring. The
    /// device does not see it before [`SplitQueue::publish`].
    #[inline]
    pub fn push_head(&mut self, head: u16, count: u16) {
        self.chain[usize::from(head)] = count;
        if self.in_order {
            self.order.push_back(head);
        }
        self.write_avail(self.pushed, head);
        self.pushed = self.pushed.wrapping_add(1);
    }

    /// Writes the available entry of position `index` as it is.
    #[inline]
    pub fn write_avail(&mut self, index: u16, head: u16) {
        let slot = usize::from(index & self.mask);
        let held = &mut self.heads[slot];
        if *held != head {
            *held = head;
            self.avail.store16(AVAIL_RING + slot * 2, head);
        }
    }

    /// Pushes a chain of `segments`, each with a descriptor of its own.
    ///
    /// # Errors
    /// Fails when not enough descriptors are free.
    pub fn push_chain(&mut self, segments: &[Segment]) -> Result<u16> {
        let too_many = || Error::Memory("not enough free descriptors".into());
        if segments.is_empty() || segments.len() > self.free() {
            return Err(too_many());
        }
        let mut next = 0;
        for (distance, segment) in segments.iter().rev().enumerate() {
            let index = self.free.take().ok_or_else(too_many)?;
            let more = if distance == 0 { 0 } else { DESC_NEXT };
            let write = if segment.device_writes { DESC_WRITE } else { 0 };
            self.set_desc(index, segment.gpa, segment.len, more | write, next);
            next = index;
        }
        self.push_head(next, segments.len() as u16);
        Ok(next)
    }

    /// Shows everything pushed to the device. True when the device wants a notification, by its
    /// event index or its flag (virtio 1.3 2.7.13.4).
    #[inline]
    pub fn publish(&mut self) -> bool {
        let old = self.published;
        if old == self.pushed {
            return false;
        }
        self.published = self.pushed;
        self.avail.release16(AVAIL_IDX, self.pushed);
        full_fence();
        if self.event_idx {
            let event = self.used.load16(self.layout.avail_event_at());
            // The event lies in what has just been published (virtio 1.3 2.7.10).
            self.pushed.wrapping_sub(event).wrapping_sub(1) < self.pushed.wrapping_sub(old)
        } else {
            self.used.load16(USED_FLAGS) & USED_NO_NOTIFY == 0
        }
    }

    /// Writes the available index as it is, for rings that are broken on purpose.
    pub fn write_avail_idx(&self, index: u16) {
        self.avail.release16(AVAIL_IDX, index);
    }

    /// Available index that the device has been shown.
    pub fn avail_idx(&self) -> u16 {
        self.published
    }

    /// Used index as the device has it now.
    pub fn used_idx(&self) -> u16 {
        self.used.acquire16(USED_IDX)
    }

    /// How many chains have been returned and not yet taken.
    ///
    /// # Errors
    /// Fails when the device claims to have returned more than it was given.
    #[inline]
    pub fn returned(&mut self) -> Result<u16> {
        if self.seen == self.taken {
            self.seen = self.used.acquire16(USED_IDX);
        }
        let count = self.seen.wrapping_sub(self.taken);
        if count > self.published.wrapping_sub(self.taken) {
            return Err(Error::Device(format!(
                "used index {} is ahead of available index {}",
                self.seen, self.published
            )));
        }
        Ok(count)
    }

    /// The returned chain `ahead` places after the next one, without taking it. Only within
    /// what [`SplitQueue::returned`] counts. With in-order use its length shows when it is taken.
    #[inline]
    pub fn peek(&self, ahead: u16) -> Entry {
        if self.in_order {
            let head = self.order.get(usize::from(ahead));
            let id = head.map_or(u32::MAX, |head| u32::from(*head));
            return Entry { id, len: 0 };
        }
        self.entry(ahead)
    }

    /// [`SplitQueue::peek`] for as many as `entries` has room for.
    #[inline]
    pub fn peek_row(&self, entries: &mut [Entry]) {
        if self.in_order {
            for (ahead, entry) in (0..).zip(entries) {
                *entry = self.peek(ahead);
            }
            return;
        }
        let used = self.used.span();
        let first = usize::from(self.taken & self.mask);
        let size = usize::from(self.mask) + 1;
        let (front, back) = entries.split_at_mut(entries.len().min(size - first));
        for (slot, run) in [(first, front), (0, back)] {
            used.read_words(USED_RING + slot * 8, run, Entry::from_word);
        }
    }

    /// [`SplitQueue::retire`] for entries that [`SplitQueue::peek_row`] gave; each gets the length that
    /// counts.
    ///
    /// # Errors
    /// As there; those before are retired.
    #[inline]
    pub fn retire_row(&mut self, entries: &mut [Entry]) -> Result<()> {
        if !self.in_order && self.retire_run(entries) {
            return Ok(());
        }
        let mut from = 0;
        while let Some(left) = entries.get_mut(from..).filter(|left| !left.is_empty()) {
            // Single chains in a row; positions are written once a row.
            let chain = &mut self.chain;
            let single = |entry: &&Entry| match chain.get_mut(entry.id as usize) {
                Some(count) if *count == 1 => {
                    *count = NOT_OUTSTANDING;
                    true
                }
                _ => false,
            };
            let row = if self.in_order { &[] } else { &*left };
            let ids = row.iter().take_while(single).map(|entry| entry.id as u16);
            let given = self.free.give_row(ids);
            self.taken = self.taken.wrapping_add(given as u16);
            from += given;
            if let Some(entry) = left.get_mut(given) {
                let Used { id, len } = self.retire(*entry)?;
                *entry = Entry { id: id.into(), len };
                from += 1;
            }
        }
        Ok(())
    }

    /// Retires entries that are single chains whose descriptors follow each other, as most rows are; false, and
    /// nothing done, if they are not.
    #[inline]
    fn retire_run(&mut self, entries: &[Entry]) -> bool {
        let Some(first) = entries.first().map(|entry| entry.id) else {
            return true;
        };
        let follow = |(entry, id): (&Entry, u32)| entry.id == id;
        let at = first as usize;
        let Some(chain) = self.chain.get_mut(at..at.saturating_add(entries.len())) else {
            return false;
        };
        if !entries.iter().zip(first..).all(follow) || chain.iter().any(|count| *count != 1) {
            return false;
        }
        chain.fill(NOT_OUTSTANDING);
        self.free.give_run(first as u16, entries.len());
        self.taken = self.taken.wrapping_add(entries.len() as u16);
        true
    }

    #[inline]
    fn entry(&self, ahead: u16) -> Entry {
        let slot = self.taken.wrapping_add(ahead) & self.mask;
        Entry::read(self.used.span(), slot)
    }

    /// The next returned chain with in-order use: one entry may stand for all chains up to its own.
    /// Of those before it no length is known, and none is told.
    fn next_in_order(&mut self) -> Entry {
        let last = self.batch.take().unwrap_or_else(|| self.entry(0));
        let id = self.order.pop_front().map_or(last.id, u32::from);
        if id == last.id {
            return last;
        }
        self.batch = Some(last);
        Entry { id, len: 0 }
    }

    /// Takes the next returned chain and frees its descriptors.
    ///
    /// # Errors
    /// Fails when the device returns what it was not given.
    #[inline]
    pub fn pop(&mut self) -> Result<Option<Used>> {
        match self.returned()? {
            0 => Ok(None),
            _ => self.take_returned().map(Some),
        }
    }

    /// The same without a look at the used index. Only as often as [`SplitQueue::returned`] says.
    ///
    /// # Errors
    /// Fails when the device returns what it was not given.
    #[inline]
    pub fn take_returned(&mut self) -> Result<Used> {
        self.retire(self.peek(0))
    }

    /// Takes the next returned chain, of which `entry` is what [`SplitQueue::peek`] said.
    ///
    /// # Errors
    /// Fails when the device returns what it was not given.
    #[inline]
    pub fn retire(&mut self, entry: Entry) -> Result<Used> {
        let Entry { id, len } = if self.in_order {
            self.next_in_order()
        } else {
            entry
        };
        let outstanding = self.chain.get_mut(id as usize);
        let Some(count) = outstanding.filter(|count| **count != NOT_OUTSTANDING) else {
            return Err(Error::Device(format!(
                "chain {id} was returned but not outstanding"
            )));
        };
        let count = std::mem::replace(count, NOT_OUTSTANDING);
        let head = id as u16;
        let mut index = head;
        for _ in 1..count {
            self.free.give(index);
            index = self.next[usize::from(index)];
        }
        self.free.give(index);
        self.taken = self.taken.wrapping_add(1);
        Ok(Used { id: head, len })
    }

    /// Successor of a descriptor within the chain it was last pushed with.
    pub fn next_of(&self, index: u16) -> u16 {
        self.next[usize::from(index)]
    }

    /// Tells the device that no interrupts are wanted.
    pub fn disarm(&self) {
        if self.event_idx {
            let far = self.taken.wrapping_sub(1);
            self.avail.store16(self.layout.used_event_at(), far);
        } else {
            self.avail.store16(AVAIL_FLAGS, AVAIL_NO_INTERRUPT);
        }
    }

    /// Asks for an interrupt at the next returned chain. True when one is there already, so
    /// that there is nothing to wait for.
    pub fn arm(&self) -> bool {
        if self.event_idx {
            self.avail.store16(self.layout.used_event_at(), self.taken);
        } else {
            self.avail.store16(AVAIL_FLAGS, 0);
        }
        full_fence();
        self.used_idx() != self.taken
    }

    /// The three areas: descriptors, available ring, used ring.
    pub fn areas(&self) -> [&Shared; 3] {
        [&self.desc, &self.avail, &self.used]
    }
}
