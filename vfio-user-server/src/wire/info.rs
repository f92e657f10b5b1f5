//! DEVICE_GET_INFO, DEVICE_GET_REGION_INFO and DEVICE_GET_IRQ_INFO.

use vfio_bindings::bindings::vfio;

use super::WireError;
use super::bytes::{Put, Reader, check_argsz, fixed};
use crate::describe::{MmapArea, Region};

const REGION_INFO_SIZE: usize = 32;
const CAP_HEADER_SIZE: usize = 8;
const SPARSE_HEADER_SIZE: usize = 8;
const AREA_SIZE: usize = 16;
const SPARSE_VERSION: u16 = 1;

/// What the three queries have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InfoBody {
    /// Bytes of reply the client has room for.
    pub argsz: u32,
    /// The region or interrupt type asked about; 0 for the device.
    pub index: u32,
}

impl InfoBody {
    /// Reads the body of a DEVICE_GET_INFO.
    ///
    /// # Errors
    /// Short bodies and an `argsz` below 16. rust-vmm's client says 32.
    pub fn device(body: &[u8]) -> Result<Self, WireError> {
        Self::parse::<16>(body, false)
    }

    /// Reads the body of a DEVICE_GET_REGION_INFO.
    ///
    /// # Errors
    /// Short bodies and an `argsz` below 32.
    pub fn region(body: &[u8]) -> Result<Self, WireError> {
        Self::parse::<REGION_INFO_SIZE>(body, true)
    }

    /// Reads the body of a DEVICE_GET_IRQ_INFO.
    ///
    /// # Errors
    /// Short bodies and an `argsz` below 16.
    pub fn irq(body: &[u8]) -> Result<Self, WireError> {
        Self::parse::<16>(body, true)
    }

    fn parse<const N: usize>(body: &[u8], indexed: bool) -> Result<Self, WireError> {
        let (head, _) = fixed::<N>(body)?;
        let mut reader = Reader::new(head);
        let (argsz, _flags, index) = (reader.u32(), reader.u32(), reader.u32());
        check_argsz(argsz, N as u64, u64::from(u32::MAX))?;
        Ok(Self {
            argsz,
            index: if indexed { index } else { 0 },
        })
    }
}

/// The body of the reply to DEVICE_GET_INFO.
pub fn device_info_reply(flags: u32, regions: u32, irqs: u32) -> Vec<u8> {
    let mut out = Vec::with_capacity(16);
    out.put32(16);
    out.put32(flags);
    out.put32(regions);
    out.put32(irqs);
    out
}

/// The body of the reply to DEVICE_GET_IRQ_INFO.
pub fn irq_info_reply(index: u32, flags: u32, count: u32) -> Vec<u8> {
    let mut out = Vec::with_capacity(16);
    out.put32(16);
    out.put32(flags);
    out.put32(index);
    out.put32(count);
    out
}

/// The reply to DEVICE_GET_REGION_INFO.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegionInfoReply {
    /// The body.
    pub body: Vec<u8>,
    /// Whether the region's file goes with it.
    pub with_fd: bool,
}

impl RegionInfoReply {
    /// Describes `region` in `argsz` bytes.
    ///
    /// If the capabilities do not fit, only the fixed part is sent, with the `argsz` that would do
    /// and without the fd: the client asks again. `mappable` is false for a client that cannot
    /// receive an fd; such a client is told nothing of a mapping, because clients take the MMAP flag
    /// without an fd badly.
    pub fn new(region: &Region, index: u32, argsz: u32, mappable: bool) -> Self {
        let mapping = region
            .mapping
            .as_ref()
            .filter(|_| mappable && region.size > 0);
        let areas = mapping.map_or(&[][..], |mapping| &mapping.areas);
        let mut full = REGION_INFO_SIZE;
        if !areas.is_empty() {
            full += CAP_HEADER_SIZE + SPARSE_HEADER_SIZE + areas.len() * AREA_SIZE;
        }
        let fits = argsz as usize >= full;
        let with_caps = fits && !areas.is_empty();
        let mut flags = region.flags();
        if mapping.is_none() {
            flags &= !vfio::VFIO_REGION_INFO_FLAG_MMAP;
        }
        if with_caps {
            flags |= vfio::VFIO_REGION_INFO_FLAG_CAPS;
        }
        let mut body = Vec::with_capacity(if fits { full } else { REGION_INFO_SIZE });
        body.put32(u32::try_from(full).unwrap_or(u32::MAX));
        body.put32(flags);
        body.put32(index);
        body.put32(if with_caps {
            REGION_INFO_SIZE as u32
        } else {
            0
        });
        body.put64(region.size);
        body.put64(mapping.map_or(0, |mapping| mapping.offset));
        if with_caps {
            put_sparse(&mut body, areas);
        }
        Self {
            body,
            with_fd: fits && mapping.is_some(),
        }
    }
}

fn put_sparse(body: &mut Vec<u8>, areas: &[MmapArea]) {
    body.put16(vfio::VFIO_REGION_INFO_CAP_SPARSE_MMAP as u16);
    body.put16(SPARSE_VERSION);
    body.put32(0);
    body.put32(u32::try_from(areas.len()).unwrap_or(u32::MAX));
    body.put32(0);
    for area in areas {
        body.put64(area.offset);
        body.put64(area.size);
    }
}
