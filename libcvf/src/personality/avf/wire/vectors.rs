//! `VIRTCHNL_OP_CONFIG_IRQ_MAP`.

use super::Reader;

/// Bytes of `struct virtchnl_vector_map`.
const MAP: usize = 12;

/// `struct virtchnl_vector_map`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VectorMap {
    pub vsi: u16,
    pub vector: u16,
    pub receive: u16,
    pub transmit: u16,
    pub receive_itr: u16,
    pub transmit_itr: u16,
}

impl VectorMap {
    fn parse(bytes: &[u8; MAP]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        Some(Self {
            vsi: reader.u16()?,
            vector: reader.u16()?,
            receive: reader.u16()?,
            transmit: reader.u16()?,
            receive_itr: reader.u16()?,
            transmit_itr: reader.u16()?,
        })
    }
}

/// `struct virtchnl_irq_map_info`.
pub fn parse(bytes: &[u8]) -> Option<Vec<VectorMap>> {
    let mut reader = Reader::new(bytes);
    let count = reader.u16()?;
    let list = reader.list::<MAP>(count, MAP)?;
    list.iter().map(VectorMap::parse).collect()
}
