//! The device's VFIO regions.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use super::spec::ComposeError;
use crate::mem::sealed_file;
use crate::personality::Personality;
use crate::pf::direct::DoorbellPages;

/// VFIO region of configuration space.
pub(super) const CONFIG: u32 = 7;
/// Regions of a VFIO PCI device: six BARs, ROM, configuration space, VGA.
const REGIONS: usize = 9;

/// Memory that a client may map.
#[derive(Clone, Debug)]
pub struct RegionMap {
    /// The file.
    pub fd: Arc<OwnedFd>,
    /// Offset of the region's first byte in it.
    pub fd_offset: u64,
    /// What of the region is mappable: offset and size, page-aligned, ascending.
    pub areas: Vec<(u64, u64)>,
}

/// One region. A size of 0: there is none.
#[derive(Clone, Debug, Default)]
pub struct RegionInfo {
    /// Bytes.
    pub size: u64,
    /// May be read.
    pub readable: bool,
    /// May be written.
    pub writable: bool,
    /// May be mapped, in part.
    pub map: Option<RegionMap>,
}

/// The regions of a device, whose doorbell pages are the hardware's, or else memory of ours where they can be mapped: the
/// personality's, if it looks at what is written there.
pub(super) fn describe(
    personality: &dyn Personality,
    hardware: Option<DoorbellPages>,
) -> Result<Vec<RegionInfo>, ComposeError> {
    let mut regions = vec![RegionInfo::default(); REGIONS];
    let present = |size| RegionInfo {
        size,
        readable: true,
        writable: true,
        map: None,
    };
    for bar in personality.bars() {
        regions[usize::from(bar.index)] = present(bar.size);
    }
    regions[CONFIG as usize] = present(4096);
    let areas = personality.doorbell_areas();
    if let Some(first) = areas.first() {
        let region = &mut regions[usize::from(first.bar)];
        let mut merged: Vec<(u64, u64)> = Vec::new();
        for area in &areas {
            match merged.last_mut() {
                Some((start, len)) if *start + *len == area.offset => *len += area.size,
                _ => merged.push((area.offset, area.size)),
            }
        }
        let (fd, fd_offset) = match hardware {
            // The first area begins where the region does.
            Some(DoorbellPages { fd, offset }) => (fd, offset),
            None => {
                let fd = match personality.doorbell_memory() {
                    Some(registers) => registers.file(),
                    None => sealed_file(region.size),
                };
                (fd.map_err(ComposeError::Doorbells)?, 0)
            }
        };
        region.map = Some(RegionMap {
            fd: Arc::new(fd),
            fd_offset,
            areas: merged,
        });
    }
    Ok(regions)
}
