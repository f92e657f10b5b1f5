//! A queue of either format, as its driver sees it.

use super::packed::PackedQueue;
use super::{DESC_INDIRECT, DESC_NEXT, DESC_WRITE, Entry, QueueLayout, Segment, SplitQueue, Used};
use crate::fakevm::error::{Error, Result};
use crate::fakevm::mem::Shared;
use crate::fakevm::memory::GuestMemory;
use crate::fakevm::net::feature;

/// A queue in the format that was agreed on.
#[derive(Debug)]
pub enum Queue {
    /// virtio 1.3 2.7.
    Split(SplitQueue),
    /// virtio 1.3 2.8.
    Packed(PackedQueue),
}

macro_rules! both {
    ($self:ident, $queue:ident => $call:expr) => {
        match $self {
            Queue::Split($queue) => $call,
            Queue::Packed($queue) => $call,
        }
    };
}

impl Queue {
    /// Takes over the areas of `layout` as these features want it.
    ///
    /// # Errors
    /// Fails when an area does not lie within one region of `memory`.
    pub fn new(memory: &GuestMemory, layout: QueueLayout, features: u64) -> Result<Self> {
        let event_idx = features & feature::EVENT_IDX != 0;
        let in_order = features & feature::IN_ORDER != 0;
        Ok(if layout.packed {
            Queue::Packed(PackedQueue::new(memory, layout, event_idx, in_order)?)
        } else {
            Queue::Split(SplitQueue::in_order(memory, layout, event_idx, in_order)?)
        })
    }

    /// The queue, if it is split: for rings that are broken on purpose.
    ///
    /// # Errors
    /// Fails when it is packed.
    pub fn split(&mut self) -> Result<&mut SplitQueue> {
        match self {
            Queue::Split(queue) => Ok(queue),
            Queue::Packed(_) => Err(Error::Unsupported("the queue is packed".into())),
        }
    }

    /// The queue, if it is packed: for rings that are broken on purpose.
    ///
    /// # Errors
    /// Fails when it is split.
    pub fn packed(&mut self) -> Result<&mut PackedQueue> {
        match self {
            Queue::Packed(queue) => Ok(queue),
            Queue::Split(_) => Err(Error::Unsupported("the queue is split".into())),
        }
    }

    /// An empty queue in the same place, for after a reset.
    ///
    /// # Errors
    /// Fails when an area is no longer within `memory`.
    pub fn renewed(&self, memory: &GuestMemory) -> Result<Self> {
        Ok(match self {
            Queue::Split(queue) => Queue::Split(queue.renewed(memory)?),
            Queue::Packed(queue) => Queue::Packed(queue.renewed(memory)?),
        })
    }

    /// Where the queue lies.
    pub fn layout(&self) -> &QueueLayout {
        both!(self, queue => queue.layout())
    }

    /// Entries of the queue.
    pub fn size(&self) -> u16 {
        self.layout().size
    }

    /// See [`SplitQueue::free`].
    pub fn free(&self) -> usize {
        both!(self, queue => queue.free())
    }

    /// See [`SplitQueue::take_free`].
    #[inline]
    pub fn take_free(&mut self) -> Option<u16> {
        both!(self, queue => queue.take_free())
    }

    /// See [`SplitQueue::set_desc`].
    #[inline]
    pub fn set_desc(&mut self, index: u16, gpa: u64, len: u32, flags: u16, next: u16) {
        both!(self, queue => queue.set_desc(index, gpa, len, flags, next));
    }

    /// See [`SplitQueue::push_head`].
    #[inline]
    pub fn push_head(&mut self, head: u16, count: u16) {
        both!(self, queue => queue.push_head(head, count));
    }

    /// See [`SplitQueue::take_row`].
    #[inline]
    pub fn take_row<'t>(&mut self, to: &'t mut [u16]) -> &'t [u16] {
        match self {
            Queue::Split(queue) => queue.take_row(to),
            Queue::Packed(queue) => {
                let mut count = 0;
                while count < to.len()
                    && let Some(index) = queue.take_free()
                {
                    to[count] = index;
                    count += 1;
                }
                &to[..count]
            }
        }
    }

    /// See [`SplitQueue::peek_free_row`].
    #[inline]
    pub fn peek_free_row<'t>(&self, to: &'t mut [u16]) -> &'t [u16] {
        match self {
            Queue::Split(queue) => queue.peek_free_row(to),
            Queue::Packed(queue) => {
                let mut count = 0;
                while count < to.len()
                    && let Some(index) = queue.peek_free(count)
                {
                    to[count] = index;
                    count += 1;
                }
                &to[..count]
            }
        }
    }

    /// See [`SplitQueue::push_row`].
    #[inline]
    pub fn push_row(&mut self, row: &[u16], len: u32, flags: u16, gpa: impl Fn(u16) -> u64) {
        match self {
            Queue::Split(queue) => queue.push_row(row, len, flags, gpa),
            Queue::Packed(queue) => {
                for &index in row {
                    queue.set_desc(index, gpa(index), len, flags, 0);
                    queue.push_head(index, 1);
                }
            }
        }
    }

    /// See [`SplitQueue::peek_row`].
    #[inline]
    pub fn peek_row(&self, entries: &mut [Entry]) {
        match self {
            Queue::Split(queue) => queue.peek_row(entries),
            Queue::Packed(queue) => {
                for (ahead, entry) in (0..).zip(entries) {
                    *entry = queue.peek(ahead);
                }
            }
        }
    }

    /// See [`SplitQueue::retire_row`].
    ///
    /// # Errors
    /// As there.
    #[inline]
    pub fn retire_row(&mut self, entries: &mut [Entry]) -> Result<()> {
        match self {
            Queue::Split(queue) => queue.retire_row(entries),
            Queue::Packed(queue) => {
                for entry in entries {
                    let Used { id, len } = queue.take_returned()?;
                    *entry = Entry { id: id.into(), len };
                }
                Ok(())
            }
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
        let head = self.take_free().ok_or_else(too_many)?;
        let mut index = head;
        for (nth, segment) in segments.iter().enumerate() {
            let write = if segment.device_writes { DESC_WRITE } else { 0 };
            let (more, next) = if nth + 1 < segments.len() {
                (DESC_NEXT, self.take_free().ok_or_else(too_many)?)
            } else {
                (0, 0)
            };
            self.set_desc(index, segment.gpa, segment.len, more | write, next);
            index = next;
        }
        self.push_head(head, segments.len() as u16);
        Ok(head)
    }

    /// Makes a head stand for a table of `entries` at `gpa`; the rest of its chain stays taken.
    pub fn make_indirect(&mut self, head: u16, gpa: u64, entries: usize) {
        let len = (entries * 16) as u32;
        match self {
            Queue::Split(queue) => queue.write_desc(head, gpa, len, DESC_INDIRECT, 0),
            Queue::Packed(queue) => queue.make_indirect(head, gpa, len),
        }
    }

    /// The second word of entry `nth` of a table that the device reads.
    pub fn table_word(&self, nth: usize, len: usize, last: bool) -> u64 {
        match self {
            Queue::Packed(_) => len as u64,
            Queue::Split(_) if last => len as u64,
            Queue::Split(_) => len as u64 | u64::from(DESC_NEXT) << 32 | (nth as u64 + 1) << 48,
        }
    }

    /// See [`SplitQueue::publish`].
    #[inline]
    pub fn publish(&mut self) -> bool {
        both!(self, queue => queue.publish())
    }

    /// See [`SplitQueue::returned`].
    ///
    /// # Errors
    /// Fails when the device returns what it was not given.
    #[inline]
    pub fn returned(&mut self) -> Result<u16> {
        both!(self, queue => queue.returned())
    }

    /// See [`SplitQueue::peek_free`].
    #[inline]
    pub fn peek_free(&self, ahead: usize) -> Option<u16> {
        both!(self, queue => queue.peek_free(ahead))
    }

    /// See [`SplitQueue::take_returned`].
    ///
    /// # Errors
    /// Fails when the device returns what it was not given.
    #[inline]
    pub fn take_returned(&mut self) -> Result<Used> {
        both!(self, queue => queue.take_returned())
    }

    /// See [`SplitQueue::retire`].
    ///
    /// # Errors
    /// Fails when the device returns what it was not given.
    #[inline]
    pub fn retire(&mut self, entry: Entry) -> Result<Used> {
        match self {
            Queue::Split(queue) => queue.retire(entry),
            // Checked when it was seen.
            Queue::Packed(queue) => queue.take_returned(),
        }
    }

    /// See [`SplitQueue::peek`].
    #[inline]
    pub fn peek(&self, ahead: u16) -> Entry {
        both!(self, queue => queue.peek(ahead))
    }

    /// See [`SplitQueue::pop`].
    ///
    /// # Errors
    /// Fails when the device returns what it was not given.
    #[inline]
    pub fn pop(&mut self) -> Result<Option<Used>> {
        both!(self, queue => queue.pop())
    }

    /// See [`SplitQueue::next_of`].
    pub fn next_of(&self, index: u16) -> u16 {
        both!(self, queue => queue.next_of(index))
    }

    /// Tells the device that no interrupts are wanted.
    pub fn disarm(&self) {
        both!(self, queue => queue.disarm());
    }

    /// See [`SplitQueue::arm`].
    pub fn arm(&self) -> bool {
        both!(self, queue => queue.arm())
    }

    /// What a doorbell with notification data says above the queue's number (virtio 1.3 2.9).
    pub fn notification(&self) -> u16 {
        match self {
            Queue::Split(queue) => queue.avail_idx(),
            Queue::Packed(queue) => queue.notification(),
        }
    }

    /// The three areas.
    pub fn areas(&self) -> [&Shared; 3] {
        both!(self, queue => queue.areas())
    }
}
