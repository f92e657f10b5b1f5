//! What of a device's memory its hardware reaches by DMA, and where.

use std::any::Any;
use std::sync::Arc;

use crate::mem::{Block, Regions};

/// Keeps memory within reach of DMA until it is dropped; then no DMA to it lands any more.
pub type Hold = Arc<dyn Any + Send + Sync>;

/// Something that brings memory of a device within reach of its hardware.
pub trait Reaching: Send + Sync {
    /// Has DMA reach `size` bytes of this process at `address`, which the guest calls `guest`, as long as what is
    /// returned lives; `memory` keeps them mapped, and is kept. The first address for DMA comes with it.
    ///
    /// # Errors
    /// Why not, in words for the operator.
    fn reach(
        &self,
        guest: u64,
        place: (usize, u64),
        writable: bool,
        memory: Hold,
    ) -> Result<(u64, Hold), String>;
}

/// One piece within reach.
#[derive(Clone)]
pub(crate) struct Entry {
    first: usize,
    len: u64,
    iova: u64,
    writable: bool,
    /// The region that it is of: its guest address.
    guest: u64,
    _hold: Hold,
}

/// Everything within reach, by where it is in this process. Shared, never changed.
#[derive(Clone, Default)]
pub struct Reach {
    entries: Vec<Entry>,
}

impl Reach {
    /// Where DMA finds `len` bytes at `address`, if it may read, or write, all of them.
    #[inline]
    pub(crate) fn find(&self, address: usize, len: u64, write: bool) -> Option<u64> {
        let after = self.entries.partition_point(|entry| entry.first <= address);
        let entry = &self.entries[after.checked_sub(1)?];
        let skip = (address - entry.first) as u64;
        let fits = skip <= entry.len && len <= entry.len - skip;
        (fits && (entry.writable || !write)).then(|| entry.iova + skip)
    }

    /// True when nothing is.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.entries.iter().map(|entry| entry.len).sum()
    }

    /// What of `regions` is not within reach.
    pub(crate) fn missing(&self, regions: &Regions) -> Vec<Block> {
        let known = |block: &Block| self.entries.iter().any(|entry| entry.is_of(block));
        regions.blocks().filter(|block| !known(block)).collect()
    }

    /// The same, and this.
    pub(crate) fn with(&self, entry: Entry) -> Self {
        // Two regions of one file may be the same bytes: what is found for an address is one of them.
        let after = self
            .entries
            .partition_point(|other| other.first <= entry.first);
        let mut entries = self.entries.clone();
        entries.insert(after, entry);
        Self { entries }
    }

    /// Pieces.
    pub(crate) fn count(&self) -> usize {
        self.entries.len()
    }

    /// The same without what is not in `regions` any more.
    pub(crate) fn within(&self, regions: &Regions) -> Self {
        let blocks: Vec<Block> = regions.blocks().collect();
        let stays = |entry: &&Entry| blocks.iter().any(|block| entry.is_of(block));
        Self {
            entries: self.entries.iter().filter(stays).cloned().collect(),
        }
    }
}

impl Entry {
    /// Brings a block within reach, which takes the longer the larger it is.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn new(block: Block, by: &dyn Reaching) -> Result<Self, String> {
        let Block {
            guest,
            address,
            size,
            writable,
            file,
        } = block;
        let (iova, hold) = by.reach(guest, (address, size), writable, file)?;
        Ok(Self {
            first: address,
            len: size,
            iova,
            writable,
            guest,
            _hold: hold,
        })
    }

    /// It is that block: what is held stays mapped, so nothing else can be there.
    pub(crate) fn is_of(&self, block: &Block) -> bool {
        let Block {
            guest,
            address,
            size,
            writable,
            ..
        } = block;
        (self.guest, self.first, self.len, self.writable) == (*guest, *address, *size, *writable)
    }
}

#[cfg(test)]
mod tests;
