//! What a server tells about itself, its device, regions and interrupts.

use std::os::fd::OwnedFd;

use serde::Deserialize;

use crate::fakevm::error::{Error, Result};
use crate::fakevm::wire::Reader;

/// Flag bits of the information replies.
#[allow(missing_docs)]
pub mod flags {
    pub const DEVICE_RESET: u32 = 1;
    pub const DEVICE_PCI: u32 = 2;

    pub const REGION_READ: u32 = 1;
    pub const REGION_WRITE: u32 = 2;
    pub const REGION_MMAP: u32 = 4;
    pub const REGION_CAPS: u32 = 8;

    pub const IRQ_EVENTFD: u32 = 1;
    pub const IRQ_MASKABLE: u32 = 2;
    pub const IRQ_AUTOMASKED: u32 = 4;
    pub const IRQ_NORESIZE: u32 = 8;
}

/// Id of the sparse-mmap capability of a region.
const CAP_SPARSE_MMAP: u16 = 1;

/// Capabilities of a `VERSION` reply; absent ones have the specification's defaults.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Capabilities {
    /// Descriptors that one message may carry.
    pub max_msg_fds: u32,
    /// Largest transfer of one read or write, in bytes.
    pub max_data_xfer_size: u64,
    /// DMA maps that the server keeps.
    pub max_dma_maps: u64,
    /// Page sizes of DMA maps, as a bit mask.
    pub pgsizes: u64,
    /// Whether one message may carry several writes.
    pub write_multiple: bool,
    /// Bytes of the whole reply, header included. QEMU takes no more than its request had.
    #[serde(skip)]
    pub reply_size: usize,
}

impl Default for Capabilities {
    fn default() -> Self {
        Capabilities {
            max_msg_fds: 1,
            max_data_xfer_size: 1 << 20,
            max_dma_maps: 65535,
            pgsizes: 4096,
            write_multiple: false,
            reply_size: 0,
        }
    }
}

impl Capabilities {
    /// Reads the payload of a `VERSION` reply.
    pub(super) fn parse(payload: &[u8]) -> Result<Self> {
        #[derive(Deserialize, Default)]
        #[serde(default)]
        struct Document {
            capabilities: Capabilities,
        }
        let mut reader = Reader::new(payload);
        let version = (reader.take_u16(), reader.take_u16());
        let text = reader.end("VERSION")?;
        if version != (0, 0) {
            let (major, minor) = version;
            return Err(Error::Protocol(format!(
                "version 0.0 was answered by {major}.{minor}"
            )));
        }
        let mut document = match text {
            [] => Document::default(),
            [json @ .., 0] => serde_json::from_slice(json)
                .map_err(|error| Error::Protocol(format!("capabilities: {error}")))?,
            _ => return Err(Error::Protocol("capabilities do not end with a NUL".into())),
        };
        document.capabilities.reply_size = crate::fakevm::wire::HEADER + payload.len();
        Ok(document.capabilities)
    }
}

/// Reply to `DEVICE_GET_INFO`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceInfo {
    /// Kind of device, see [`flags`].
    pub flags: u32,
    /// How many regions there are.
    pub regions: u32,
    /// How many interrupt types there are.
    pub irqs: u32,
}

/// A part of a region that may be mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MmapArea {
    /// First byte, relative to the region.
    pub offset: u64,
    /// Bytes.
    pub size: u64,
}

/// Reply to `DEVICE_GET_REGION_INFO`.
#[derive(Debug)]
pub struct RegionInfo {
    /// Which region.
    pub index: u32,
    /// What may be done with it, see [`flags`].
    pub flags: u32,
    /// Bytes.
    pub size: u64,
    /// Where the region begins in `file`.
    pub offset: u64,
    /// The parts that may be mapped; the whole region if it is mappable and this is empty.
    pub areas: Vec<MmapArea>,
    /// What to map.
    pub file: Option<OwnedFd>,
}

impl RegionInfo {
    /// The area that holds `len` bytes from `at`, if those may be mapped.
    pub fn mappable(&self, at: u64, len: u64) -> Option<MmapArea> {
        if self.flags & flags::REGION_MMAP == 0 || self.file.is_none() {
            return None;
        }
        let whole = [MmapArea {
            offset: 0,
            size: self.size,
        }];
        let areas = if self.areas.is_empty() {
            &whole[..]
        } else {
            &self.areas
        };
        let end = at.checked_add(len)?;
        areas
            .iter()
            .copied()
            .find(|area| area.offset <= at && end <= area.offset + area.size)
    }

    /// Reads the areas from the capabilities behind a full reply.
    pub(super) fn parse_areas(payload: &[u8], cap_offset: u32) -> Result<Vec<MmapArea>> {
        let mut areas = Vec::new();
        let mut at = cap_offset as usize;
        let mut budget = payload.len() / 8;
        while at != 0 {
            let broken = || Error::Protocol(format!("region capability at {at} is broken"));
            budget = budget.checked_sub(1).ok_or_else(broken)?;
            let mut reader = Reader::new(payload.get(at..).ok_or_else(broken)?);
            let (id, version, next) = (
                reader.take_u16(),
                reader.take_u16(),
                reader.take_u32() as usize,
            );
            if id == CAP_SPARSE_MMAP && version == 1 {
                let count = reader.take_u32();
                let _reserved = reader.take_u32();
                if reader.end("DEVICE_GET_REGION_INFO")?.len() / 16 < count as usize {
                    return Err(broken());
                }
                for _ in 0..count {
                    areas.push(MmapArea {
                        offset: reader.take_u64(),
                        size: reader.take_u64(),
                    });
                }
            }
            reader.end("DEVICE_GET_REGION_INFO")?;
            at = next;
        }
        Ok(areas)
    }
}

/// Reply to `DEVICE_GET_IRQ_INFO`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IrqInfo {
    /// What may be done with it, see [`flags`].
    pub flags: u32,
    /// How many interrupts of this type there are.
    pub count: u32,
}

/// One entry of the reply to `DEVICE_GET_REGION_IO_FDS`.
#[derive(Debug)]
pub struct IoFd {
    /// First byte of the region that the descriptor stands for.
    pub offset: u64,
    /// Bytes.
    pub size: u64,
    /// 0 for an ioeventfd, 1 for an ioregionfd, 2 for a shadow ioeventfd.
    pub kind: u32,
    /// Flags of the kind: bit 0 of an ioeventfd asks for `datamatch`.
    pub flags: u32,
    /// The value that has to be written for the event to fire.
    pub datamatch: u64,
    /// The descriptor.
    pub fd: OwnedFd,
}
