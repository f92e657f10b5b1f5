//! Walking a descriptor chain (virtio 1.3 2.7.5): every descriptor is loaded once, validated, then
//! used; the number of steps is bounded by the ring's size.

use super::indirect::Table;
use crate::mem::{Access, Descriptor, Regions, RingView, SliceList, TranslateError};

/// What is wrong with a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// A descriptor number beyond the table.
    #[error("descriptor {0} is beyond the table")]
    Index(u16),
    /// More descriptors than the ring has: a loop.
    #[error("it is longer than the ring (a loop?)")]
    Loop,
    /// A chain of a packed ring goes on where the driver has made nothing available.
    #[error("it runs into a descriptor that was not made available")]
    Unavailable,
    /// A buffer has the wrong direction for this queue.
    #[error("a buffer has the wrong direction for this queue, or readable follows writable")]
    Direction,
    /// An indirect descriptor although the feature was not negotiated.
    #[error("it is indirect, which was not negotiated")]
    IndirectUnexpected,
    /// An indirect table inside an indirect table, or with a successor.
    #[error("an indirect descriptor is nested or has a successor")]
    IndirectNested,
    /// The table's length is no multiple of 16, zero, or longer than the ring.
    #[error("an indirect table has {0} bytes: not a multiple of 16 within the ring's size")]
    IndirectLength(u32),
    /// A buffer is not usable memory.
    #[error("{0}")]
    Memory(#[from] TranslateError),
}

/// Why a walk ended early.
pub(super) enum Stop {
    /// The pieces do not fit into the list.
    Full,
    /// The chain is malformed.
    Bad(ChainError),
}

impl<E: Into<ChainError>> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Bad(error.into())
    }
}

/// What a chain's walker is given.
#[derive(Clone, Copy)]
pub(super) struct Walk<'v, 'm> {
    pub view: RingView<'v>,
    pub regions: &'m Regions,
    pub indirect: bool,
}

impl<'m> Walk<'_, 'm> {
    /// Calls `each` with every descriptor of the chain that starts at `head`.
    pub(super) fn descriptors(
        &self,
        head: u16,
        mut each: impl FnMut(Descriptor) -> Result<(), Stop>,
    ) -> Result<(), Stop> {
        let size = self.view.size();
        let (mut table, mut entries, mut index) = (None::<Table<'_>>, size, head);
        // Direct descriptors and one indirect table may add up to the ring's size each.
        let mut left = u32::from(size) * 2;
        loop {
            left = left.checked_sub(1).ok_or(ChainError::Loop)?;
            if index >= entries {
                return Err(ChainError::Index(index).into());
            }
            let descriptor = match &table {
                None => self
                    .view
                    .descriptor(index)
                    .ok_or(ChainError::Index(index))?,
                Some(table) => Descriptor::from_bytes(&table.entry(self.regions, index)?),
            };
            if descriptor.flags & Descriptor::INDIRECT != 0 {
                if !self.indirect {
                    return Err(ChainError::IndirectUnexpected.into());
                }
                if table.is_some() || descriptor.flags & Descriptor::NEXT != 0 {
                    return Err(ChainError::IndirectNested.into());
                }
                let Descriptor { address, len, .. } = descriptor;
                let opened = Table::open(self.regions, address, len, size)?;
                (entries, index) = (opened.entries(), 0);
                table = Some(opened);
                continue;
            }
            each(descriptor)?;
            if descriptor.flags & Descriptor::NEXT == 0 {
                return Ok(());
            }
            index = descriptor.next;
        }
    }

    /// Adds the pieces of a chain whose buffers all have the direction of `access`; returns their
    /// bytes.
    pub(super) fn pieces(
        &self,
        head: u16,
        access: Access,
        list: &mut SliceList<'m>,
    ) -> Result<u64, Stop> {
        let mut total = 0;
        let wanted = if access == Access::Write {
            Descriptor::WRITE
        } else {
            0
        };
        self.descriptors(head, |descriptor| {
            if descriptor.flags & Descriptor::WRITE != wanted {
                return Err(ChainError::Direction.into());
            }
            let (address, len) = (descriptor.address, u64::from(descriptor.len));
            total += len;
            let fits = match access {
                // Nothing to translate, but it was looked at.
                _ if len == 0 => list.push_empty(),
                Access::Read => self.regions.readable(address, len, |p| list.push_read(p))?,
                Access::Write => self
                    .regions
                    .writable(address, len, |p| list.push_write(p))?,
            };
            if fits { Ok(()) } else { Err(Stop::Full) }
        })?;
        Ok(total)
    }
}
