//! `VIRTCHNL_OP_VERSION`, `VIRTCHNL_OP_GET_VF_RESOURCES`, `VIRTCHNL_OP_REQUEST_QUEUES`.

use super::{Reader, Writer};
use crate::control::MacAddr;

/// `struct virtchnl_version_info`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version {
    pub major: u32,
    pub minor: u32,
}

impl Version {
    /// What the device speaks.
    pub const OURS: Self = Self { major: 1, minor: 1 };

    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let (major, minor) = (reader.u32()?, reader.u32()?);
        reader.end()?;
        Some(Self { major, minor })
    }

    pub fn encode(self) -> Vec<u8> {
        Writer::new().u32(self.major).u32(self.minor).done()
    }

    /// Its `VIRTCHNL_OP_GET_VF_RESOURCES` says which capabilities it wants.
    pub fn has_capabilities(self) -> bool {
        self != Self { major: 1, minor: 0 }
    }
}

/// The capabilities that a driver of version 1.1 wants.
pub fn wanted(bytes: &[u8]) -> Option<u32> {
    let mut reader = Reader::new(bytes);
    let wanted = reader.u32()?;
    reader.end()?;
    Some(wanted)
}

/// `VIRTCHNL_VSI_SRIOV`.
const VSI_SRIOV: u32 = 6;

/// `struct virtchnl_vf_resource` with its one `struct virtchnl_vsi_resource`.
#[derive(Clone, Copy, Debug)]
pub struct Resources {
    pub pairs: u16,
    pub vectors: u16,
    /// Longest frame, despite its name.
    pub max_mtu: u16,
    pub capabilities: u32,
    pub rss_key_size: u32,
    pub rss_lut_size: u32,
    pub vsi: u16,
    pub mac: MacAddr,
}

impl Resources {
    pub fn encode(&self) -> Vec<u8> {
        Writer::new()
            .u16(1)
            .u16(self.pairs)
            .u16(self.vectors)
            .u16(self.max_mtu)
            .u32(self.capabilities)
            .u32(self.rss_key_size)
            .u32(self.rss_lut_size)
            .u16(self.vsi)
            .u16(self.pairs)
            .u32(VSI_SRIOV)
            .u16(0)
            .bytes(&self.mac.0)
            .done()
    }
}

/// `struct virtchnl_vf_res_request`.
pub fn requested_pairs(bytes: &[u8]) -> Option<u16> {
    let mut reader = Reader::new(bytes);
    let pairs = reader.u16()?;
    reader.end()?;
    Some(pairs)
}

/// The same, as an answer.
pub fn encode_pairs(pairs: u16) -> Vec<u8> {
    Writer::new().u16(pairs).done()
}
