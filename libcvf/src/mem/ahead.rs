//! Buffers that were looked up ahead of their use.

use super::slice::WriteSlice;
use super::{Cursor, Regions};

/// Entries, a power of two.
const ROOM: usize = 64;
/// Bytes of a cache line.
const LINE: usize = 64;

#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    id: u16,
    base: usize,
    /// 0: not a plain buffer, look for yourself.
    len: usize,
}

/// A short queue of translated buffers. They hold for one state of the device's memory only and are
/// forgotten with it.
#[derive(Debug)]
pub struct Ahead {
    serial: u64,
    /// Positions count on and are taken modulo [`ROOM`].
    from: usize,
    to: usize,
    entries: Box<[Entry; ROOM]>,
}

impl Default for Ahead {
    fn default() -> Self {
        Self {
            serial: 0,
            from: 0,
            to: 0,
            entries: Box::new([Entry::default(); ROOM]),
        }
    }
}

impl Ahead {
    /// Most entries it holds.
    pub const ROOM: usize = ROOM;

    /// Entries it holds for this state of the memory; those for another are forgotten.
    #[inline]
    pub fn len(&mut self, regions: &Regions) -> usize {
        if self.serial != regions.serial() {
            self.serial = regions.serial();
            self.from = self.to;
        }
        self.to - self.from
    }

    /// Adds descriptor `id` with its one buffer, prefetched; without it (or where the buffer is no plain
    /// piece of memory) an entry that has to be looked at in full when its turn comes. Goes with a
    /// [`Self::len`] below [`Self::ROOM`].
    #[inline]
    pub fn add(&mut self, cursor: &mut Cursor<'_>, id: u16, buffer: Option<(u64, u32)>) {
        let slice = buffer.and_then(|(address, len)| cursor.write(address, len));
        let (mut base, mut len) = (0, 0);
        // Only what was translated with the memory that the queue is for may be handed out again.
        if let Some(slice) = slice
            && cursor.serial() == self.serial
        {
            slice.prefetch();
            slice.skip(LINE).prefetch();
            (base, len) = slice.as_raw();
        }
        self.entries[self.to % ROOM] = Entry { id, base, len };
        self.to += 1;
    }

    /// The first entry: descriptor number and buffer, if it is a plain one of at least `need` bytes.
    #[inline]
    pub fn front<'m>(
        &mut self,
        regions: &'m Regions,
        need: usize,
    ) -> Option<(u16, WriteSlice<'m>)> {
        if self.len(regions) == 0 {
            return None;
        }
        let entry = self.entries[self.from % ROOM];
        // The serial is that of `regions`, so what was translated with it is mapped for 'm.
        (entry.len >= need.max(1)).then(|| (entry.id, WriteSlice::new(entry.base, entry.len)))
    }

    /// Forgets the first `count` entries, or all.
    #[inline]
    pub fn skip(&mut self, count: usize) {
        self.from += count.min(self.to - self.from);
    }
}
