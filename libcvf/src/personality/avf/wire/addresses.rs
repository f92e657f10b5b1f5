//! `VIRTCHNL_OP_ADD_ETH_ADDR`, `VIRTCHNL_OP_DEL_ETH_ADDR`, `VIRTCHNL_OP_CONFIG_PROMISCUOUS_MODE`.

use super::Reader;
use crate::control::MacAddr;

/// Bytes of `struct virtchnl_ether_addr`.
const ADDRESS: usize = 8;

/// `VIRTCHNL_ETHER_ADDR_*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An old driver does not say.
    Legacy,
    /// The function's own address.
    Primary,
    /// Another one.
    Extra,
}

/// `struct virtchnl_ether_addr`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    pub mac: MacAddr,
    pub kind: Kind,
}

impl Address {
    fn parse([a, b, c, d, e, f, kind, _]: [u8; ADDRESS]) -> Self {
        // Two bits of it count, and one value of them means nothing.
        let kind = match kind & 3 {
            1 => Kind::Primary,
            2 => Kind::Extra,
            _ => Kind::Legacy,
        };
        let mac = MacAddr([a, b, c, d, e, f]);
        Self { mac, kind }
    }
}

/// `struct virtchnl_ether_addr_list`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressList {
    pub vsi: u16,
    pub addresses: Vec<Address>,
}

impl AddressList {
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let (vsi, count) = (reader.u16()?, reader.u16()?);
        let list = reader.list::<ADDRESS>(count, ADDRESS)?;
        let addresses = list.iter().copied().map(Address::parse).collect();
        Some(Self { vsi, addresses })
    }
}

/// `struct virtchnl_promisc_info`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Promiscuous {
    pub vsi: u16,
    /// `FLAG_VF_UNICAST_PROMISC`.
    pub unicast: bool,
    /// `FLAG_VF_MULTICAST_PROMISC`.
    pub multicast: bool,
}

impl Promiscuous {
    /// Other flags are ignored, as PFs do.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let (vsi, flags) = (reader.u16()?, reader.u16()?);
        reader.end()?;
        Some(Self {
            vsi,
            unicast: flags & 1 != 0,
            multicast: flags & 2 != 0,
        })
    }
}
