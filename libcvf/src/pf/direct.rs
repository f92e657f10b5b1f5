//! Hardware that works a driver's rings itself.
//!
//! The interface between a device and such queues of its PF. Features and ring formats are virtio's: hardware that speaks
//! another format is none for a device of that kind.

use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;

use crate::dataplane::Reaching;
use crate::mem::RingPlace;

/// A driver's ring, as hardware is to work it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DirectRing {
    /// Its queue: the same number on both sides.
    pub queue: u16,
    /// Where it is: guest addresses, which the hardware's DMA uses as they are.
    pub place: RingPlace,
}

/// Where the hardware's doorbells are, for whoever maps them: a page each, in the order of queues.
#[derive(Debug)]
pub struct DoorbellPages {
    /// The function's descriptor. It carries the whole function.
    pub fd: OwnedFd,
    /// The first page's place in it.
    pub offset: u64,
}

/// Queues of hardware that work the rings of one device's driver. All methods may be called from any thread, one at a
/// time.
pub trait DirectQueues: Send + Sync {
    /// Features (virtio 1.3 6, 5.1.3) that a driver can be offered: those of rings and frames are the hardware's, of the
    /// others those that need none of it.
    fn features(&self) -> u64;

    /// Most descriptors of a ring.
    fn ring_size(&self) -> u16;

    /// The largest MTU.
    fn most_mtu(&self) -> Option<u16>;

    /// Its doorbells.
    ///
    /// # Errors
    /// They do not lie as needed, in words for the operator.
    fn doorbells(&self) -> Result<DoorbellPages, String>;

    /// Brings the guest's memory within reach, at the guest's own addresses.
    fn reaching(&self) -> Arc<dyn Reaching>;

    /// Has hardware begin, with what the driver negotiated. What the driver made available before is seen.
    ///
    /// # Errors
    /// Why it does not, in words for the operator; then it does nothing.
    fn start(&self, features: u64, rings: &[DirectRing]) -> Result<(), String>;

    /// Takes another ring into use.
    ///
    /// # Errors
    /// Why not.
    fn enable(&self, ring: &DirectRing) -> Result<(), String>;

    /// Takes a ring out of use: on return hardware accesses nothing of it.
    ///
    /// # Errors
    /// It did not end in time: then all of the hardware was ended.
    fn disable(&self, queue: u16) -> Result<(), String>;

    /// Ends all of it: on return hardware accesses nothing.
    fn stop(&self);

    /// Tells hardware of a ring as its doorbell would.
    fn ring(&self, queue: u16);

    /// Has a queue's interrupt tell this event, or nobody.
    ///
    /// # Errors
    /// The kernel refuses.
    fn wire(&self, queue: u16, event: Option<BorrowedFd<'_>>) -> Result<(), String>;

    /// What the kernel has said of DMA that was stopped on its way.
    fn dma_faults(&self) -> DmaFaults;
}

/// DMA of a function's that the IOMMU has stopped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DmaFaults {
    /// Reports about the function, since it was opened. The kernel limits how many there are.
    pub count: u64,
    /// The last one, as the kernel has written it.
    pub last: Option<String>,
    /// Why nothing is known of them.
    pub unavailable: Option<String>,
}
