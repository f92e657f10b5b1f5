//! MSI-X table and pending bit array as memory.

use super::access::{AccessError, check};
use crate::limits::MAX_VECTORS;

/// Bytes of one table entry.
const ENTRY: usize = 16;
/// Vector control: Mask Bit.
const MASKED: u32 = 1;

/// One table entry as the driver programmed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MsixEntry {
    /// Message address.
    pub address: u64,
    /// Message data.
    pub data: u32,
    /// Mask bit.
    pub masked: bool,
}

/// MSI-X table and pending bit array (PCIe base specification 7.7.2), memory-like.
///
/// Clients that emulate the table themselves (QEMU) read only the pending bits; others use all of
/// it. It delivers nothing.
#[derive(Clone, Debug)]
pub struct MsixTable {
    table: Vec<u8>,
    pending: Vec<u8>,
    vectors: u16,
    pba_offset: u64,
    size: u64,
}

impl MsixTable {
    /// `vectors` masked entries at offset 0, pending bits at `pba_offset`, in a region of `size`
    /// bytes. `vectors` is limited to 2048.
    pub fn new(vectors: u16, pba_offset: u64, size: u64) -> Self {
        let vectors = vectors.min(MAX_VECTORS);
        let pending = vec![0; usize::from(vectors).div_ceil(64) * 8];
        let table = vec![0; usize::from(vectors) * ENTRY];
        let mut this = Self {
            table,
            pending,
            vectors,
            pba_offset,
            size,
        };
        this.reset();
        this
    }

    /// Entries.
    pub fn vectors(&self) -> u16 {
        self.vectors
    }

    /// Masks and clears all entries, clears all pending bits.
    pub fn reset(&mut self) {
        self.pending.fill(0);
        self.table.fill(0);
        for entry in self.table.chunks_exact_mut(ENTRY) {
            entry[12] = MASKED as u8;
        }
    }

    /// Reads any length at any offset; bytes outside table and pending bits read as zero.
    ///
    /// # Errors
    /// The access reaches past the region.
    pub fn read(&self, offset: u64, data: &mut [u8]) -> Result<(), AccessError> {
        let at = check("MSI-X region", self.size, offset, data.len())?;
        for (i, byte) in data.iter_mut().enumerate() {
            let pending = (at + i).checked_sub(self.pba_offset as usize);
            let pending = pending.and_then(|i| self.pending.get(i));
            *byte = self.table.get(at + i).or(pending).copied().unwrap_or(0);
        }
        Ok(())
    }

    /// Writes any length at any offset; pending bits and reserved bits ignore it.
    ///
    /// # Errors
    /// The access reaches past the region; nothing is written.
    pub fn write(&mut self, offset: u64, data: &[u8]) -> Result<(), AccessError> {
        let at = check("MSI-X region", self.size, offset, data.len())?;
        for (i, &byte) in data.iter().enumerate() {
            let Some(slot) = self.table.get_mut(at + i) else {
                break;
            };
            let writable = match (at + i) % ENTRY {
                0 => 0xfc,
                12 => MASKED as u8,
                13..=15 => 0,
                _ => 0xff,
            };
            *slot = byte & writable;
        }
        Ok(())
    }

    /// An entry; `None` past the last.
    pub fn entry(&self, vector: u16) -> Option<MsixEntry> {
        let entry = self.table.chunks_exact(ENTRY).nth(vector.into())?;
        let word = |at: usize| {
            u32::from_le_bytes([entry[at], entry[at + 1], entry[at + 2], entry[at + 3]])
        };
        Some(MsixEntry {
            address: u64::from(word(4)) << 32 | u64::from(word(0)),
            data: word(8),
            masked: word(12) & MASKED != 0,
        })
    }

    /// Sets or clears a vector's pending bit; vectors past the last are ignored.
    pub fn set_pending(&mut self, vector: u16, pending: bool) {
        if vector >= self.vectors {
            return;
        }
        let (byte, bit) = (usize::from(vector / 8), 1 << (vector % 8));
        if pending {
            self.pending[byte] |= bit;
        } else {
            self.pending[byte] &= !bit;
        }
    }
}

#[cfg(test)]
mod tests;
