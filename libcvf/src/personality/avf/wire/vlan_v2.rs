//! `VIRTCHNL_OP_GET_OFFLOAD_VLAN_V2_CAPS` and the operations it is about.
//!
//! What is offered is what a PF with one tag offers: the *inner* tag, which without an outer one means the only
//! tag; EtherType 0x8100; and L2TAG1 of the descriptors as its place.

use super::{Reader, Writer};

/// `VIRTCHNL_VLAN_ETHERTYPE_8100`.
pub const ETHERTYPE_8100: u32 = 1;
/// `VIRTCHNL_VLAN_TAG_LOCATION_L2TAG1`.
const TAG_LOCATION_L2TAG1: u32 = 1 << 8;
/// `VIRTCHNL_VLAN_TOGGLE`.
const TOGGLE: u32 = 1 << 31;
/// `VIRTCHNL_VLAN_UNSUPPORTED`.
const UNSUPPORTED: u32 = 0;
/// `VIRTCHNL_ETHERTYPE_STRIPPING_MATCHES_INSERTION`.
const STRIPPING_MATCHES_INSERTION: u8 = 0;
/// TPID of a customer tag.
const TPID: u16 = 0x8100;

/// `struct virtchnl_vlan_caps`.
pub fn capabilities(max_filters: u16) -> Vec<u8> {
    let offload = ETHERTYPE_8100 | TAG_LOCATION_L2TAG1 | TOGGLE;
    Writer::new()
        .u32(UNSUPPORTED)
        .u32(ETHERTYPE_8100)
        .u32(ETHERTYPE_8100)
        .u16(max_filters)
        .u16(0)
        // Stripping, insertion.
        .u32(UNSUPPORTED)
        .u32(offload)
        .u32(UNSUPPORTED)
        .u32(offload)
        .u32(ETHERTYPE_8100)
        .bytes(&[STRIPPING_MATCHES_INSERTION, 0, 0, 0])
        .done()
}

/// Bytes of `struct virtchnl_vlan_filter`.
const FILTER: usize = 32;

/// `struct virtchnl_vlan`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tag {
    pub tci: u16,
    pub mask: u16,
    pub tpid: u16,
}

impl Tag {
    fn parse(reader: &mut Reader<'_>) -> Option<Self> {
        let tag = Self {
            tci: reader.u16()?,
            mask: reader.u16()?,
            tpid: reader.u16()?,
        };
        reader.skip(2)?;
        Some(tag)
    }
}

/// `struct virtchnl_vlan_filter`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Filter {
    pub inner: Tag,
    pub outer: Tag,
}

impl Filter {
    fn parse(bytes: &[u8; FILTER]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let (inner, outer) = (Tag::parse(&mut reader)?, Tag::parse(&mut reader)?);
        Some(Self { inner, outer })
    }

    /// The VLAN, if the filter is one that is offered: no outer tag, no mask, no priority.
    pub fn id(&self) -> Option<u16> {
        let Tag { tci, mask, tpid } = self.inner;
        let offered = self.outer == Tag::default() && mask == 0 && tpid == TPID;
        (offered && tci < 4096).then_some(tci)
    }
}

/// `struct virtchnl_vlan_filter_list_v2`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterList {
    pub vsi: u16,
    pub filters: Vec<Filter>,
}

impl FilterList {
    /// Its length is exact.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let (vsi, count) = (reader.u16()?, reader.u16()?);
        reader.skip(4)?;
        let list = reader.list::<FILTER>(count, 0)?;
        let filters = list.iter().map(Filter::parse).collect::<Option<_>>()?;
        Some(Self { vsi, filters })
    }
}

/// `struct virtchnl_vlan_setting`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting {
    pub outer: u32,
    pub inner: u32,
    pub vsi: u16,
}

impl Setting {
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let (outer, inner, vsi) = (reader.u32()?, reader.u32()?, reader.u16()?);
        reader.skip(6)?;
        reader.end()?;
        Some(Self { outer, inner, vsi })
    }

    /// It is about what is offered.
    pub const fn is_offered(&self) -> bool {
        self.outer == UNSUPPORTED && self.inner == ETHERTYPE_8100
    }
}
