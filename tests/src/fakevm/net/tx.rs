//! The transmit ring: every descriptor has a buffer of its own.

use super::header::{HEADER_LEN, NetHeader};
use crate::fakevm::error::{Error, Result};
use crate::fakevm::limits::{BUFFER_SIZE, BUFFER_STRIDE};
use crate::fakevm::mem::Shared;
use crate::fakevm::memory::GuestMemory;
use crate::fakevm::net::feature;
use crate::fakevm::ring::{DESC_INDIRECT, DESC_NEXT, QueueLayout, SplitQueue};

/// Entries of the indirect table that each descriptor owns.
const INDIRECT_ENTRIES: usize = 64;

/// How a frame lies in the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum TxLayout {
    /// Header and frame in one buffer where they fit, as modern drivers do.
    #[default]
    Joined,
    /// The header in a descriptor of its own.
    HeaderApart,
    /// The chain in an indirect table, header apart; one ring descriptor a frame.
    Indirect,
}

/// The transmit side of one pair.
#[derive(Debug)]
pub struct TxRing {
    queue: SplitQueue,
    buffers: Shared,
    base: u64,
    tables: Option<(Shared, u64)>,
    layout: TxLayout,
    sent: u64,
}

impl TxRing {
    /// Takes memory for one buffer a descriptor.
    ///
    /// # Errors
    /// Fails when memory has no room, or indirect descriptors were not agreed on.
    pub fn new(
        memory: &mut GuestMemory,
        at: QueueLayout,
        layout: TxLayout,
        features: u64,
    ) -> Result<Self> {
        let entries = usize::from(at.size);
        let len = entries * BUFFER_STRIDE;
        let base = memory.alloc(len as u64, 4096)?;
        let buffers = memory.view(base, len)?;
        let tables = if layout == TxLayout::Indirect {
            if features & feature::INDIRECT_DESC == 0 {
                return Err(Error::Unsupported(
                    "indirect descriptors were not agreed on".into(),
                ));
            }
            let len = entries * INDIRECT_ENTRIES * 16;
            let base = memory.alloc(len as u64, 4096)?;
            Some((memory.view(base, len)?, base))
        } else {
            None
        };
        let queue = SplitQueue::new(memory, at, features & feature::EVENT_IDX != 0)?;
        Ok(TxRing {
            queue,
            buffers,
            base,
            tables,
            layout,
            sent: 0,
        })
    }

    /// Starts again with an empty ring in the same place, after a reset of the queue.
    ///
    /// # Errors
    /// Fails when the ring's memory is gone.
    pub fn renew(&mut self, memory: &GuestMemory) -> Result<()> {
        self.queue = self.queue.renewed(memory)?;
        Ok(())
    }

    /// The queue below, for rings that are broken on purpose.
    pub fn queue(&mut self) -> &mut SplitQueue {
        &mut self.queue
    }

    /// Frames pushed so far.
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// Guest physical address of the buffer of descriptor `index`.
    pub fn buffer_gpa(&self, index: u16) -> u64 {
        self.base + buffer_at(index) as u64
    }

    /// Buffer of descriptor `index`.
    ///
    /// # Panics
    /// Panics when the ring has no such descriptor.
    pub fn buffer(&self, index: u16) -> Shared {
        let window = self.buffers.window(buffer_at(index), BUFFER_SIZE);
        window.unwrap_or_else(|| panic!("transmit ring has no descriptor {index}"))
    }

    /// Writes `bytes` at the start of every buffer, for frames that change little.
    pub fn prepare(&mut self, bytes: &[u8]) {
        for index in 0..self.queue.size() {
            self.buffers.write(buffer_at(index), bytes);
        }
    }

    /// Takes back what the device has sent. Returns how many frames.
    ///
    /// # Errors
    /// Fails when the device returns what it was not given.
    #[inline]
    pub fn reap(&mut self) -> Result<usize> {
        let mut count = 0;
        while self.queue.pop()?.is_some() {
            count += 1;
        }
        Ok(count)
    }

    /// Pushes a frame that [`TxRing::prepare`] has written, with a fresh header and `stamp` at
    /// `stamp_at` bytes into the frame. False when the ring is full. Allocates nothing.
    #[inline]
    pub fn push_prepared(&mut self, frame_len: usize, stamp_at: usize, stamp: u64) -> bool {
        debug_assert!(HEADER_LEN + frame_len <= BUFFER_SIZE);
        let Some(index) = self.queue.take_free() else {
            return false;
        };
        let at = buffer_at(index);
        self.buffers.write(at, &[0; HEADER_LEN]);
        self.buffers
            .write(at + HEADER_LEN + stamp_at, &stamp.to_le_bytes());
        let len = (HEADER_LEN + frame_len) as u32;
        self.queue.set_desc(index, self.base + at as u64, len, 0, 0);
        self.queue.push_head(index, 1);
        self.sent += 1;
        true
    }

    /// Pushes one frame with its header. False when the ring has not enough room now.
    ///
    /// # Errors
    /// Fails when the frame can never fit the ring.
    pub fn push(&mut self, header: &NetHeader, frame: &[u8]) -> Result<bool> {
        let header = header.encode();
        if self.layout == TxLayout::Joined && HEADER_LEN + frame.len() <= BUFFER_SIZE {
            let Some(index) = self.queue.take_free() else {
                return Ok(false);
            };
            let at = buffer_at(index);
            self.buffers.write(at, &header);
            self.buffers.write(at + HEADER_LEN, frame);
            let len = (HEADER_LEN + frame.len()) as u32;
            self.queue.set_desc(index, self.base + at as u64, len, 0, 0);
            self.queue.push_head(index, 1);
        } else if !self.push_pieces(&header, frame)? {
            return Ok(false);
        }
        self.sent += 1;
        Ok(true)
    }

    /// Header in one buffer, frame over as many as it takes.
    fn push_pieces(&mut self, header: &[u8], frame: &[u8]) -> Result<bool> {
        let pieces = 1 + frame.len().div_ceil(BUFFER_SIZE);
        let mut limit = usize::from(self.queue.size());
        if self.tables.is_some() {
            limit = limit.min(INDIRECT_ENTRIES);
        }
        if pieces > limit {
            let len = frame.len();
            return Err(Error::Unsupported(format!(
                "{len} bytes never fit a ring of {limit}"
            )));
        }
        if self.queue.free() < pieces {
            return Ok(false);
        }
        // Buffers are taken from the last piece to the first, the header's, which is the head.
        let mut next = 0;
        for nth in (0..pieces).rev() {
            let chunk = match nth {
                0 => header,
                _ => &frame[(nth - 1) * BUFFER_SIZE..frame.len().min(nth * BUFFER_SIZE)],
            };
            let Some(index) = self.queue.take_free() else {
                return Ok(false);
            };
            let flags = if nth + 1 == pieces { 0 } else { DESC_NEXT };
            self.buffers.write(buffer_at(index), chunk);
            let gpa = self.base + buffer_at(index) as u64;
            self.queue
                .set_desc(index, gpa, chunk.len() as u32, flags, next);
            next = index;
        }
        if self.tables.is_some() {
            self.make_indirect(next, pieces, frame.len());
        }
        self.queue.push_head(next, pieces as u16);
        Ok(true)
    }

    /// Moves the chain that begins at `head` into the head's table. The buffers stay taken until
    /// the head comes back.
    fn make_indirect(&mut self, head: u16, pieces: usize, frame_len: usize) {
        let Some((tables, tables_gpa)) = &self.tables else {
            return;
        };
        let table = usize::from(head) * INDIRECT_ENTRIES * 16;
        let mut index = head;
        for nth in 0..pieces {
            let len = match nth {
                0 => HEADER_LEN,
                _ => BUFFER_SIZE.min(frame_len - (nth - 1) * BUFFER_SIZE),
            };
            let last = nth + 1 == pieces;
            let (flags, next) = if last {
                (0, 0)
            } else {
                (DESC_NEXT, nth as u64 + 1)
            };
            tables.store64(table + nth * 16, self.base + buffer_at(index) as u64);
            let word = len as u64 | u64::from(flags) << 32 | next << 48;
            tables.store64(table + nth * 16 + 8, word);
            index = self.queue.next_of(index);
        }
        let gpa = tables_gpa + table as u64;
        self.queue
            .write_desc(head, gpa, (pieces * 16) as u32, DESC_INDIRECT, 0);
    }

    /// Shows what was pushed to the device. True when the device wants a notification.
    #[inline]
    pub fn publish(&mut self) -> bool {
        self.queue.publish()
    }
}

#[inline]
fn buffer_at(index: u16) -> usize {
    usize::from(index) * BUFFER_STRIDE
}
