//! What a type 1 IOMMU says of itself: a fixed part and a chain of capabilities behind it.

use std::mem::offset_of;

use vfio_bindings::bindings::vfio::{
    VFIO_IOMMU_INFO_CAPS, VFIO_IOMMU_INFO_PGSIZES, VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE,
    VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL, vfio_iommu_type1_info,
};

use super::iova::IovaRange;

/// Most capabilities that are looked at: the chain could be a ring.
const MAX_CAPABILITIES: usize = 64;
/// Bytes of a capability's header: identifier, version, place of the next.
const HEADER: usize = 8;
/// Bytes of a range.
const RANGE: usize = 16;

/// What is known of an IOMMU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct IommuInfo {
    /// Addresses that DMA may have. Where the kernel does not say: all of 39 bits but the interrupts'.
    pub usable: Vec<IovaRange>,
    /// Smallest page, in bytes.
    pub page: u64,
    /// DMA maps that a container may have.
    pub most_maps: Option<u32>,
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at.checked_add(4)?)?;
    bytes.try_into().ok().map(u32::from_ne_bytes)
}

fn long(bytes: &[u8], at: usize) -> Option<u64> {
    let bytes = bytes.get(at..at.checked_add(8)?)?;
    bytes.try_into().ok().map(u64::from_ne_bytes)
}

/// Reads the kernel's message; what it lacks is assumed carefully.
pub(super) fn read(message: &[u8]) -> IommuInfo {
    let flags = word(message, offset_of!(vfio_iommu_type1_info, flags)).unwrap_or_default();
    let sizes = long(message, offset_of!(vfio_iommu_type1_info, iova_pgsizes)).unwrap_or_default();
    let page = if flags & VFIO_IOMMU_INFO_PGSIZES != 0 && sizes != 0 {
        1 << sizes.trailing_zeros()
    } else {
        4096
    };
    let mut info = IommuInfo {
        usable: Vec::new(),
        page,
        most_maps: None,
    };
    let first = word(message, offset_of!(vfio_iommu_type1_info, cap_offset));
    let mut at = first
        .filter(|_| flags & VFIO_IOMMU_INFO_CAPS != 0)
        .unwrap_or_default() as usize;
    for _ in 0..MAX_CAPABILITIES {
        let (Some(header), Some(next)) = (word(message, at), word(message, at + 4)) else {
            break;
        };
        if at == 0 {
            break;
        }
        // The identifier is the low half.
        match header & 0xffff {
            VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE => info.usable = ranges(message, at + HEADER),
            VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL => info.most_maps = word(message, at + HEADER),
            _ => {}
        }
        at = next as usize;
    }
    if info.usable.is_empty() {
        let (last, interrupts) = ((1 << 39) - 1, 0xfee0_0000);
        let below = IovaRange {
            first: 0,
            last: interrupts - 1,
        };
        let above = IovaRange {
            first: interrupts + (1 << 20),
            last,
        };
        info.usable = vec![below, above];
    }
    info
}

fn ranges(message: &[u8], at: usize) -> Vec<IovaRange> {
    let count = word(message, at).unwrap_or_default() as usize;
    // Count and padding, then the ranges; those that are not there end the list.
    let range = |index: usize| {
        let at = at + 8 + index * RANGE;
        Some(IovaRange {
            first: long(message, at)?,
            last: long(message, at + 8)?,
        })
    };
    (0..count).map_while(range).collect()
}

#[cfg(test)]
mod tests;
