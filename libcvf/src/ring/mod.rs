//! Guest ring formats behind one pair of traits, virtio's and AVF's: bursts in, bursts out.
//!
//! A ring owns its position and its notification state. It knows nothing about switching or policy,
//! and it is driven under its queue's lock by one thread at a time.

mod avf;
mod burst;
mod chain;
mod control;
mod control_packed;
mod control_split;
mod frames;
pub(crate) mod header;
mod indirect;
mod lend;
mod lone;
mod mailbox;
mod notify;
mod packed_chain;
mod packed_notify;
mod packed_rx;
mod packed_tx;
mod packed_used;
mod payload;
mod split_rx;
mod split_tx;

pub use avf::{AvfReceive, AvfRing, AvfTransmit, DescriptorError, ReceiveFormat, Tail};
pub use burst::{Burst, BurstBuffers, Frame, FrameFault};
pub use chain::ChainError;
pub use control::{Command, ControlRing};
pub use frames::Frames;
pub use lend::{Borrowed, Lender};
pub use lone::{Lone, Unread};
pub use mailbox::{Mailbox, MailboxError, MailboxMessage, MailboxPlace, MailboxReply, MailboxSide};
pub use packed_rx::PackedReceive;
pub use packed_tx::PackedTransmit;
pub use payload::Payload;
pub use split_rx::SplitReceive;
pub use split_tx::SplitTransmit;

use crate::mem::{Ahead, PackedCache, PlaceError, Regions, RingCache, RingPlace};
use crate::offload::FrameMeta;

/// Bytes of a cache line.
const CACHE_LINE: usize = 64;

/// How a ring lies in memory; all rings of a device alike.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RingFormat {
    /// virtio 1.3 2.7.
    #[default]
    Split,
    /// virtio 1.3 2.8, with `VIRTIO_F_RING_PACKED`.
    Packed,
}

/// What a ring's driver negotiated, as far as the ring is concerned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RingFeatures {
    /// `VIRTIO_F_EVENT_IDX`.
    pub event_idx: bool,
    /// `VIRTIO_F_INDIRECT_DESC`.
    pub indirect: bool,
    /// `VIRTIO_NET_F_MRG_RXBUF`.
    pub merge: bool,
    /// `VIRTIO_NET_F_HASH_REPORT`.
    pub hash_report: bool,
    /// `VIRTIO_F_IN_ORDER`: a batch of sent buffers may be given back as one.
    pub in_order: bool,
}

impl RingFeatures {
    /// Bytes in front of every frame.
    pub(crate) const fn header_len(self) -> usize {
        if self.hash_report {
            header::HASH_LEN
        } else {
            header::LEN
        }
    }
}

/// Why a ring cannot go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RingError {
    /// Its memory is not mapped at present; it may come back.
    #[error("{0}")]
    Away(#[from] PlaceError),
    /// The available index moved by more than the ring holds.
    #[error("the available index jumped from {from} to {to} in a ring of {size}")]
    IndexJump {
        /// Where the device stands.
        from: u16,
        /// What the driver wrote.
        to: u16,
        /// Entries.
        size: u16,
    },
    /// A descriptor chain is malformed.
    #[error("descriptor chain {head}: {source}")]
    Chain {
        /// Its head as the driver wrote it.
        head: u16,
        /// What is wrong.
        source: ChainError,
    },
    /// A driver's tail is no descriptor.
    #[error("the tail {tail} is beyond a ring of {size}")]
    Tail {
        /// What the driver wrote.
        tail: u32,
        /// Descriptors.
        size: u16,
    },
    /// A descriptor of a ring without chains is malformed.
    #[error("descriptor {index}: {source}")]
    Descriptor {
        /// Which.
        index: u16,
        /// What is wrong.
        source: DescriptorError,
    },
}

/// What became of a frame that was pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pushed {
    /// It is in the guest's buffers; visible with the next publish.
    Done,
    /// The driver has posted too few buffers.
    NoBuffer,
    /// The buffers are there, but too small for the frame.
    TooSmall,
}

/// A buffer that its driver gets back later than others of its burst, or that is to be filled later.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Token {
    /// What its driver calls it.
    pub(crate) id: u16,
    /// Descriptors of the ring that it stands for, where that matters.
    pub(crate) slots: u16,
}

/// Guest to device.
pub trait TransmitRing: Send {
    /// Takes frames into a burst that is empty, until it is full or the ring empty.
    ///
    /// # Errors
    /// [`RingError`]; what the burst holds then is not to be used.
    fn take<'m>(&mut self, regions: &'m Regions, burst: &mut Burst<'m>) -> Result<(), RingError>;

    /// Gives every frame of the burst back but those of `kept`. True: the driver wants an interrupt.
    ///
    /// # Errors
    /// [`RingError::Away`].
    fn give_back(
        &mut self,
        regions: &Regions,
        burst: &Burst<'_>,
        kept: Frames,
    ) -> Result<bool, RingError>;

    /// What stands for frame `index` of the burst that was taken last, for [`Self::complete`].
    fn token(&self, burst: &Burst<'_>, index: usize) -> Option<Token>;

    /// Gives frames back that were kept before. True: the driver wants an interrupt.
    ///
    /// # Errors
    /// [`RingError::Away`].
    fn complete(&mut self, regions: &Regions, tokens: &[Token]) -> Result<bool, RingError>;

    /// The frame at the ring's head, if it is the only one and may be a usual one. It stays where it is.
    fn lone<'m>(&mut self, regions: &'m Regions) -> Option<Unread<'m>>;

    /// Takes the frame that [`Self::lone`] has shown, since when nothing was taken, and gives it back. True: the
    /// driver wants an interrupt.
    ///
    /// # Errors
    /// [`RingError::Away`].
    fn give_lone(&mut self, regions: &Regions, unread: &Unread<'_>) -> Result<bool, RingError>;

    /// Asks the driver for no doorbells.
    fn suppress(&mut self, regions: &Regions);

    /// Asks for a doorbell and looks once more. True: work is waiting, no doorbell will come for it.
    ///
    /// # Errors
    /// [`RingError::Away`].
    fn arm(&mut self, regions: &Regions) -> Result<bool, RingError>;

    /// The interrupt that was just asked for is held back: the next decision is about what it was
    /// for, too. A ring that keeps no decisions has nothing to do.
    fn hold(&mut self) {}

    /// Decides anew, with nothing more to show: does the driver (still) want an interrupt?
    ///
    /// # Errors
    /// [`RingError::Away`].
    fn wants_interrupt(&mut self, _regions: &Regions) -> Result<bool, RingError> {
        Ok(true)
    }

    /// False: a [`Self::take`] now would find nothing. Asked far more often than anything is there.
    fn has_work(&mut self, _regions: &Regions) -> bool {
        true
    }

    /// True while nothing was ever taken and the ring's memory reads as untouched zeroes: with a
    /// doorbell rung, a sign that the client's memory is not shared with us.
    fn looks_untouched(&mut self, regions: &Regions) -> bool;

    /// Memory under the ring itself was truncated.
    fn faulted(&self) -> bool;
}

/// Device to guest.
pub trait ReceiveRing: Send {
    /// Copies frames of a burst that have nothing to be said about, in order, each into one buffer.
    /// Returns those that are done, and their bytes: the ring stops at the first for which it needs anything but one
    /// plain buffer for a frame in one piece, and that one wants a [`Self::push`].
    ///
    /// # Errors
    /// [`RingError::Away`].
    fn push_plain(
        &mut self,
        regions: &Regions,
        burst: &Burst<'_>,
        frames: Frames,
    ) -> Result<(Frames, u64), RingError>;

    /// Copies a frame into the next buffer, if that is a plain one which is known of and long enough.
    /// False: nothing has happened, and it wants another way.
    ///
    /// # Errors
    /// [`RingError::Away`].
    fn push_lone(&mut self, regions: &Regions, lone: &Lone<'_>) -> Result<bool, RingError>;

    /// Copies one frame, `head` followed by `tail`, into the next buffers.
    ///
    /// # Errors
    /// [`RingError`].
    fn push(
        &mut self,
        regions: &Regions,
        meta: &FrameMeta,
        head: &[u8],
        tail: Payload<'_>,
    ) -> Result<Pushed, RingError>;

    /// Itself as one whose buffers somebody else fills, if it can be that.
    fn lender(&mut self) -> Option<&mut dyn Lender> {
        None
    }

    /// Makes pushed frames visible. True: the driver wants an interrupt.
    ///
    /// # Errors
    /// [`RingError::Away`].
    fn publish(&mut self, regions: &Regions) -> Result<bool, RingError>;

    /// As [`TransmitRing::hold`].
    fn hold(&mut self) {}

    /// As [`TransmitRing::wants_interrupt`].
    ///
    /// # Errors
    /// [`RingError::Away`].
    fn wants_interrupt(&mut self, _regions: &Regions) -> Result<bool, RingError> {
        Ok(true)
    }

    /// Where the next frame will probably be written.
    fn ahead(&mut self, _regions: &Regions) -> Ahead {
        Ahead::default()
    }

    /// True when the driver has posted no more buffers.
    fn is_spent(&mut self, regions: &Regions) -> bool;

    /// As [`TransmitRing::looks_untouched`].
    fn looks_untouched(&mut self, regions: &Regions) -> bool;

    /// Memory under the ring itself was truncated.
    fn faulted(&self) -> bool;
}

/// A transmit ring of either format at `place`, at its beginning.
///
/// # Errors
/// [`PlaceError`], also when it is not reachable in `regions`.
pub fn transmit_ring(
    format: RingFormat,
    place: RingPlace,
    features: RingFeatures,
    regions: &Regions,
) -> Result<Box<dyn TransmitRing>, PlaceError> {
    Ok(match format {
        RingFormat::Split => Box::new(SplitTransmit::new(place, features, regions)?),
        RingFormat::Packed => Box::new(PackedTransmit::new(place, features, regions)?),
    })
}

/// A receive ring of either format at `place`, at its beginning.
///
/// # Errors
/// [`PlaceError`], also when it is not reachable in `regions`.
pub fn receive_ring(
    format: RingFormat,
    place: RingPlace,
    features: RingFeatures,
    regions: &Regions,
) -> Result<Box<dyn ReceiveRing>, PlaceError> {
    Ok(match format {
        RingFormat::Split => Box::new(SplitReceive::new(place, features, regions)?),
        RingFormat::Packed => Box::new(PackedReceive::new(place, features, regions)?),
    })
}

/// Whether a ring of this format can be used at `place` in `regions`.
///
/// # Errors
/// [`PlaceError`].
pub fn check_place(
    format: RingFormat,
    place: RingPlace,
    regions: &Regions,
) -> Result<(), PlaceError> {
    match format {
        RingFormat::Split => RingCache::new(place)?.view(regions).map(drop),
        RingFormat::Packed => PackedCache::new(place)?.view(regions).map(drop),
    }
}

#[cfg(test)]
mod packed_tests;
#[cfg(test)]
mod tests;
