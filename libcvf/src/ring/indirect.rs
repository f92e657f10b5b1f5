//! An indirect table (virtio 1.3 2.7.5.3 and 2.8.7): bounded, and every entry loaded once. What an
//! entry means is the format's business.

use super::chain::ChainError;
use crate::mem::{ReadSlice, Regions};

/// Bytes of an entry in either format.
pub(super) const ENTRY: usize = 16;

enum Place<'m> {
    /// In one piece.
    Whole(ReadSlice<'m>),
    /// Crossing maps: every entry is translated.
    Split(u64),
}

/// A table whose length was checked.
pub(super) struct Table<'m> {
    place: Place<'m>,
    entries: u16,
}

impl<'m> Table<'m> {
    /// The table of `len` bytes at `address`, of at most `limit` entries.
    pub(super) fn open(
        regions: &'m Regions,
        address: u64,
        len: u32,
        limit: u16,
    ) -> Result<Self, ChainError> {
        let entries = len / ENTRY as u32;
        if !len.is_multiple_of(ENTRY as u32) || entries == 0 || entries > u32::from(limit) {
            return Err(ChainError::IndirectLength(len));
        }
        let mut first = None;
        regions.readable(address, u64::from(len), |piece| {
            let one = first.is_none() && piece.len() == len as usize;
            first = Some(piece);
            one
        })?;
        let place = match first {
            Some(piece) if piece.len() == len as usize => Place::Whole(piece),
            _ => Place::Split(address),
        };
        Ok(Self {
            place,
            entries: entries as u16,
        })
    }

    /// Entries, at least one.
    pub(super) const fn entries(&self) -> u16 {
        self.entries
    }

    /// A copy of entry `index`, which is below [`Self::entries`].
    pub(super) fn entry(&self, regions: &Regions, index: u16) -> Result<[u8; ENTRY], ChainError> {
        let mut bytes = [0; ENTRY];
        let at = ENTRY * usize::from(index);
        match self.place {
            Place::Whole(slice) => {
                slice.skip(at).read(&mut bytes);
            }
            Place::Split(base) => {
                let mut done = 0;
                regions.readable(base + at as u64, ENTRY as u64, |piece| {
                    done += piece.read(&mut bytes[done..]);
                    true
                })?;
            }
        }
        Ok(bytes)
    }
}
