//! The transmit ring: every descriptor has a buffer of its own.

use super::header::{NetHeader, header_len};
use crate::fakevm::error::{Error, Result};
use crate::fakevm::limits::BURST;
use crate::fakevm::mem::Shared;
use crate::fakevm::memory::GuestMemory;
use crate::fakevm::net::buffers::Buffers;
use crate::fakevm::net::{NetRingConfig, feature};
use crate::fakevm::ring::{DESC_NEXT, Entry, Queue, QueueLayout};

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
    queue: Queue,
    buffers: Buffers,
    tables: Option<(Shared, u64)>,
    layout: TxLayout,
    header_len: usize,
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
        config: &NetRingConfig,
        features: u64,
    ) -> Result<Self> {
        let layout = config.tx_layout;
        let entries = usize::from(at.size);
        let buffers = Buffers::new(
            memory,
            None,
            (at.size, config.buffers_each),
            config.tx_buffer,
        )?;
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
        let queue = Queue::new(memory, at, features)?;
        Ok(TxRing {
            queue,
            buffers,
            tables,
            layout,
            header_len: header_len(features),
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
    pub fn queue(&mut self) -> &mut Queue {
        &mut self.queue
    }

    /// Frames pushed so far.
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// Guest physical address of the buffer of descriptor `index`.
    pub fn buffer_gpa(&self, index: u16) -> u64 {
        self.buffers.gpa(index)
    }

    /// Buffer of descriptor `index`.
    ///
    /// # Panics
    /// Panics when the ring has no such descriptor.
    pub fn buffer(&self, index: u16) -> Shared {
        let window = self
            .buffers
            .bytes
            .window(self.buffers.at(index), self.buffers.len);
        window.unwrap_or_else(|| panic!("transmit ring has no descriptor {index}"))
    }

    /// Writes header and frame into every buffer, for frames that change little.
    pub fn prepare(&mut self, header: &NetHeader, frame: &[u8]) {
        let header = header.encode_long();
        let header = &header[..self.header_len];
        for at in self.buffers.all() {
            self.buffers.bytes.write(at, header);
            self.buffers.bytes.write(at + self.header_len, frame);
        }
    }

    /// Takes back what the device has sent. Returns how many frames.
    ///
    /// # Errors
    /// Fails when the device returns what it was not given.
    #[inline]
    pub fn reap(&mut self) -> Result<usize> {
        let count = usize::from(self.queue.returned()?);
        let mut entries = [Entry::default(); BURST];
        let mut left = count;
        while left > 0 {
            let entries = &mut entries[..left.min(BURST)];
            self.queue.peek_row(entries);
            self.queue.retire_row(entries)?;
            left -= entries.len();
        }
        Ok(count)
    }

    /// The same, but only when room gets scarce, as DPDK's driver does: the used index is the
    /// device's to write, and looking at it takes its line away.
    ///
    /// # Errors
    /// Fails when the device returns what it was not given.
    #[inline]
    pub fn reap_if_scarce(&mut self) -> Result<usize> {
        if self.queue.free() < usize::from(self.queue.size()) / 2 {
            self.reap()
        } else {
            Ok(0)
        }
    }

    /// Pushes up to `count` frames that [`TxRing::prepare`] has written, `frame_len` bytes each,
    /// each with a number at `stamp_at` bytes into the frame, rising from `stamp`. Returns how
    /// many had room. Allocates nothing.
    ///
    /// The header is still what it was: the device may not write to it (virtio 1.3 2.7.5.1).
    #[inline]
    pub fn push_prepared(
        &mut self,
        count: usize,
        frame_len: usize,
        stamp_at: usize,
        stamp: u64,
    ) -> usize {
        debug_assert!(self.header_len + frame_len <= self.buffers.len);
        let stamp_at = self.header_len + stamp_at;
        let mut room = [0; BURST];
        let row = self.queue.take_row(&mut room[..count.min(BURST)]);
        let count = row.len();
        self.buffers.advance_row(row);
        let (places, bytes) = (self.buffers.places(), self.buffers.bytes.span());
        for (index, stamp) in row.iter().zip(stamp..) {
            bytes.write(places.at(*index) + stamp_at, &stamp.to_le_bytes());
        }
        let len = (self.header_len + frame_len) as u32;
        self.queue.push_row(row, len, 0, |index| places.gpa(index));
        // Those of the next call: the device's processor has read them last.
        let mut room = [0; BURST];
        for index in self.queue.peek_free_row(&mut room[..count]) {
            bytes.prefetch_write(places.next_at(*index) + stamp_at);
        }
        self.sent += count as u64;
        count
    }

    /// Pushes one frame with its header. False when the ring has not enough room now.
    ///
    /// # Errors
    /// Fails when the frame can never fit the ring.
    pub fn push(&mut self, header: &NetHeader, frame: &[u8]) -> Result<bool> {
        let header = header.encode_long();
        let header = &header[..self.header_len];
        if self.layout == TxLayout::Joined && self.header_len + frame.len() <= self.buffers.len {
            let Some(index) = self.take() else {
                return Ok(false);
            };
            let at = self.buffers.at(index);
            self.buffers.bytes.write(at, header);
            self.buffers.bytes.write(at + self.header_len, frame);
            let len = (self.header_len + frame.len()) as u32;
            self.queue
                .set_desc(index, self.buffers.gpa(index), len, 0, 0);
            self.queue.push_head(index, 1);
        } else if !self.push_pieces(header, frame)? {
            return Ok(false);
        }
        self.sent += 1;
        Ok(true)
    }

    /// A free descriptor, with its next buffer.
    #[inline]
    fn take(&mut self) -> Option<u16> {
        let index = self.queue.take_free()?;
        self.buffers.advance(index);
        Some(index)
    }

    /// Header in one buffer, frame over as many as it takes.
    fn push_pieces(&mut self, header: &[u8], frame: &[u8]) -> Result<bool> {
        let pieces = 1 + frame.len().div_ceil(self.buffers.len);
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
        let Some(head) = self.take() else {
            return Ok(false);
        };
        let mut index = head;
        for nth in 0..pieces {
            let chunk = match nth {
                0 => header,
                _ => &frame[(nth - 1) * self.buffers.len..frame.len().min(nth * self.buffers.len)],
            };
            let (flags, next) = if nth + 1 == pieces {
                (0, 0)
            } else {
                // There are enough: they were counted.
                (DESC_NEXT, self.take().unwrap_or(0))
            };
            self.buffers.bytes.write(self.buffers.at(index), chunk);
            let gpa = self.buffers.gpa(index);
            self.queue
                .set_desc(index, gpa, chunk.len() as u32, flags, next);
            index = next;
        }
        if self.tables.is_some() {
            self.make_indirect(head, pieces, frame.len());
        }
        self.queue.push_head(head, pieces as u16);
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
                0 => self.header_len,
                _ => self
                    .buffers
                    .len
                    .min(frame_len - (nth - 1) * self.buffers.len),
            };
            tables.store64(table + nth * 16, self.buffers.gpa(index));
            let word = self.queue.table_word(nth, len, nth + 1 == pieces);
            tables.store64(table + nth * 16 + 8, word);
            index = self.queue.next_of(index);
        }
        let gpa = tables_gpa + table as u64;
        self.queue.make_indirect(head, gpa, pieces);
    }

    /// Shows what was pushed to the device. True when the device wants a notification.
    #[inline]
    pub fn publish(&mut self) -> bool {
        self.queue.publish()
    }
}
