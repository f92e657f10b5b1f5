//! Walking a buffer of a packed ring (virtio 1.3 2.8.6 and 2.8.7): every descriptor is loaded once,
//! validated, then used. A chain cannot loop, but it can be longer than the ring or run into what
//! the driver never made available.

use super::chain::ChainError;
use super::indirect::Table;
use crate::mem::{Access, PackedDescriptor, PackedView, Position, Regions, SliceList};

/// What a walker is given.
#[derive(Clone, Copy)]
pub(super) struct PackedWalk<'v, 'm> {
    pub view: PackedView<'v>,
    pub regions: &'m Regions,
    pub indirect: bool,
}

/// A buffer's place in the ring.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extent {
    /// Its name: in the last descriptor.
    pub id: u16,
    /// Descriptors of the ring it takes.
    pub slots: u16,
}

/// A buffer whose pieces were added to a list.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pieces {
    pub extent: Extent,
    /// Bytes of its elements.
    pub bytes: u64,
    /// False: the list is full, some pieces are missing.
    pub whole: bool,
}

/// One element: where, how long, whether the device writes.
pub(super) struct Element {
    pub address: u64,
    pub len: u32,
    pub device_writes: bool,
}

impl Element {
    const fn of(descriptor: &PackedDescriptor) -> Self {
        Self {
            address: descriptor.address,
            len: descriptor.len,
            device_writes: descriptor.flags & PackedDescriptor::WRITE != 0,
        }
    }
}

impl<'m> PackedWalk<'_, 'm> {
    /// Calls `each` with every element of the buffer that starts at `at` with `first`; of the
    /// ring's descriptors it may take `limit`, which is at least one.
    pub(super) fn elements(
        &self,
        at: Position,
        first: PackedDescriptor,
        limit: u16,
        mut each: impl FnMut(Element) -> Result<(), ChainError>,
    ) -> Result<Extent, ChainError> {
        let (mut at, mut descriptor, mut slots) = (at, first, 1);
        loop {
            if descriptor.flags & PackedDescriptor::INDIRECT != 0 {
                // 2.8.19.1: not among direct ones.
                let alone = slots == 1 && descriptor.flags & PackedDescriptor::NEXT == 0;
                self.table(descriptor, alone, &mut each)?;
            } else {
                each(Element::of(&descriptor))?;
            }
            if descriptor.flags & PackedDescriptor::NEXT == 0 {
                let id = descriptor.id;
                return Ok(Extent { id, slots });
            }
            if slots >= limit {
                return Err(ChainError::Loop);
            }
            slots += 1;
            at = at.advanced(1, self.view.size());
            descriptor = self.view.available(at).ok_or(ChainError::Unavailable)?;
        }
    }

    /// 2.8.7: of the flags of a table's entries only `WRITE` counts, and there is no id.
    #[cold]
    fn table(
        &self,
        descriptor: PackedDescriptor,
        alone: bool,
        each: &mut impl FnMut(Element) -> Result<(), ChainError>,
    ) -> Result<(), ChainError> {
        if !self.indirect {
            return Err(ChainError::IndirectUnexpected);
        }
        if !alone {
            return Err(ChainError::IndirectNested);
        }
        let PackedDescriptor { address, len, .. } = descriptor;
        let table = Table::open(self.regions, address, len, self.view.size())?;
        for index in 0..table.entries() {
            let entry = table.entry(self.regions, index)?;
            each(Element::of(&PackedDescriptor::from_bytes(&entry)))?;
        }
        Ok(())
    }

    /// Adds the pieces of a buffer whose elements all have the direction of `access`.
    #[inline]
    pub(super) fn pieces(
        &self,
        at: Position,
        first: PackedDescriptor,
        limit: u16,
        access: Access,
        list: &mut SliceList<'m>,
    ) -> Result<Pieces, ChainError> {
        let (mut bytes, mut whole) = (0, true);
        let writes = access == Access::Write;
        let extent = self.elements(at, first, limit, |element| {
            if element.device_writes != writes {
                return Err(ChainError::Direction);
            }
            let (address, len) = (element.address, u64::from(element.len));
            bytes += len;
            // Where the list is full, the walk goes on: the buffer's end has to be found.
            if whole {
                whole = match access {
                    // Nothing to translate, but it was looked at.
                    _ if len == 0 => list.push_empty(),
                    Access::Read => self.regions.readable(address, len, |p| list.push_read(p))?,
                    Access::Write => self
                        .regions
                        .writable(address, len, |p| list.push_write(p))?,
                };
            }
            Ok(())
        })?;
        Ok(Pieces {
            extent,
            bytes,
            whole,
        })
    }
}
