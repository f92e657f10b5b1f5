//! Guest memory, and all of this crate's shared-memory `unsafe`.
//!
//! Owns the region table of one device, address translation, copies between guests, and the
//! containment of files that shrink under their mapping. Never hands out `&[u8]` of memory that a
//! guest can write: what leaves this module are [`ReadSlice`]s and [`WriteSlice`]s, bounded by the
//! life of the [`Regions`] snapshot they were translated with.

mod ahead;
mod areas;
mod copy;
mod descriptor_view;
mod fault;
mod file;
mod guest;
mod iovec;
mod own;
mod packed_view;
mod prefetch;
mod regions;
mod registers;
mod ring_view;
mod row;
mod sealed;
mod slice;
mod space;

pub use ahead::Ahead;
pub use areas::PlaceError;
pub use descriptor_view::{DescriptorCache, DescriptorView};
pub(crate) use fault::Guarded;
pub use fault::fault_count;
pub use file::{FileError, MappedFile};
pub use guest::{GuestMemory, MapError, MapRequest};
pub use iovec::write_frame;
pub use own::OwnMemory;
pub use packed_view::{Event, PackedCache, PackedDescriptor, PackedView, Position, UsedDescriptor};
pub(crate) use regions::Block;
pub use regions::{Access, ReadCursor, RegionHint, Regions, TranslateError, WriteCursor};
pub use registers::SharedRegisters;
pub use ring_view::{Descriptor, RingCache, RingPlace, RingView};
pub use row::{ReadRow, Row, WriteRow};
pub use sealed::sealed_file;
pub use slice::{ReadSlice, SliceList, SlicePool, WriteSlice};

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) mod testutil;
