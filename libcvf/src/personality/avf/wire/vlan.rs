//! `VIRTCHNL_OP_ADD_VLAN`, `VIRTCHNL_OP_DEL_VLAN`.

use super::Reader;

/// `struct virtchnl_vlan_filter_list`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VlanList {
    pub vsi: u16,
    pub ids: Vec<u16>,
}

impl VlanList {
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let (vsi, count) = (reader.u16()?, reader.u16()?);
        let list = reader.list::<2>(count, 2)?;
        let ids = list.iter().map(|id| u16::from_le_bytes(*id)).collect();
        Some(Self { vsi, ids })
    }
}
