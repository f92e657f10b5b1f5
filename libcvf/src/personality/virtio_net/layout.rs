//! Where things are: BARs, structures, vectors, doorbell pages, roles.

use std::ops::Range;

use super::super::{Interrupts, QueueRole};
use super::common::COMMON;
use super::device::DEVICE;
use super::settings::VirtioNetConfig;
use crate::limits::MAX_VECTORS;
use crate::pci::MsixLayout;

/// Bytes of one doorbell page, and the notification multiplier.
pub const PAGE: u64 = 0x1000;

/// BAR of common configuration, ISR and device configuration.
pub(super) const BAR_REGISTERS: u8 = 0;
/// BAR of the doorbell pages.
pub(super) const BAR_DOORBELLS: u8 = 2;
/// BAR of MSI-X table and pending bits.
pub(super) const BAR_MSIX: u8 = 4;

/// Size of [`BAR_REGISTERS`].
pub(super) const REGISTERS_SIZE: u64 = 0x4000;

/// Bytes of `struct virtio_pci_common_cfg` as presented.
pub const fn common_cfg_size() -> u16 {
    COMMON.size()
}

/// A structure within [`BAR_REGISTERS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Structure {
    Common,
    Isr,
    Device,
}

impl Structure {
    pub(super) const ALL: [Self; 3] = [Self::Common, Self::Isr, Self::Device];

    pub(super) const fn offset(self) -> u32 {
        match self {
            Self::Common => 0x0000,
            Self::Isr => 0x1000,
            Self::Device => 0x2000,
        }
    }

    pub(super) const fn len(self) -> u32 {
        match self {
            Self::Common => COMMON.size() as u32,
            Self::Isr => 1,
            Self::Device => DEVICE.size() as u32,
        }
    }
}

/// Structures that `len` bytes at `at` touch: offset within the structure, range of the access.
pub(super) fn structures(
    at: usize,
    len: usize,
) -> impl Iterator<Item = (Structure, usize, Range<usize>)> {
    Structure::ALL.into_iter().filter_map(move |structure| {
        let start = structure.offset() as usize;
        let from = at.max(start);
        let to = (at + len).min(start + structure.len() as usize);
        (from < to).then(|| (structure, from - start, from - at..to - at))
    })
}

pub(super) const fn bar_name(bar: u8) -> &'static str {
    match bar {
        BAR_REGISTERS => "BAR0 (registers)",
        BAR_DOORBELLS => "BAR2 (doorbells)",
        BAR_MSIX => "BAR4 (MSI-X)",
        _ => "a BAR that does not exist",
    }
}

/// Queues at most: a pair each, and the control queue.
pub(super) fn num_queues(config: &VirtioNetConfig) -> u16 {
    2 * config.queue_pairs + 1
}

/// Size of [`BAR_DOORBELLS`].
pub(super) fn doorbells_size(config: &VirtioNetConfig) -> u64 {
    (u64::from(num_queues(config)) * PAGE).next_power_of_two()
}

/// MSI-X: a vector for configuration, one per queue; pending bits in a page behind the table.
pub(super) fn msix(config: &VirtioNetConfig) -> Option<MsixLayout> {
    if config.interrupts == Interrupts::Intx {
        return None;
    }
    let vectors = (num_queues(config) + 1).min(MAX_VECTORS);
    let table = (u32::from(vectors) * 16).next_multiple_of(PAGE as u32);
    Some(MsixLayout {
        vectors,
        table_bar: BAR_MSIX,
        table_offset: 0,
        pba_bar: BAR_MSIX,
        pba_offset: table,
    })
}

/// Size of [`BAR_MSIX`].
pub(super) fn msix_bar_size(layout: &MsixLayout) -> u64 {
    (u64::from(layout.pba_offset) + PAGE).next_power_of_two()
}

/// Role of a queue (5.1.2): receive and transmit alternate, the control queue follows the last pair
/// in use: the first without `VIRTIO_NET_F_MQ`.
pub(super) fn role(pairs: u16, control: bool, queue: u16) -> Option<QueueRole> {
    let pair = queue / 2;
    if queue == 2 * pairs && control {
        Some(QueueRole::Control)
    } else if pair >= pairs {
        None
    } else if queue.is_multiple_of(2) {
        Some(QueueRole::Receive(pair))
    } else {
        Some(QueueRole::Transmit(pair))
    }
}
