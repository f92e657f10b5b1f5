//! Bodies of virtchnl's messages, as Linux's driver writes and reads them: many carry an element more than they say.

use super::virtchnl::VSI_SRIOV;
use crate::fakevm::error::{Error, Result};
use crate::fakevm::wire::Writer;

/// What GET_VF_RESOURCES answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resources {
    /// Queue pairs of the function.
    pub queue_pairs: u16,
    /// MSI-X vectors, that of the mailbox included.
    pub vectors: u16,
    /// Largest frame, or 0 for the driver's own idea.
    pub max_mtu: u16,
    /// See [`cap`](super::virtchnl::cap).
    pub capabilities: u32,
    /// Bytes of the key of the hash.
    pub key_size: u32,
    /// Entries of the table of the hash.
    pub lut_size: u32,
    /// The function's own VSI.
    pub vsi: u16,
    /// Queue pairs of that.
    pub vsi_queue_pairs: u16,
    /// Address that the PF has given the function; zeroes if it has not.
    pub mac: [u8; 6],
}

impl Resources {
    /// Reads the answer.
    ///
    /// # Errors
    /// Fails when it is too short, or no VSI in it is the function's own.
    pub fn decode(body: &[u8]) -> Result<Self> {
        const HEAD: usize = 20;
        const VSI: usize = 16;
        let short = || Error::Device(format!("resources of {} bytes", body.len()));
        let head = body.get(..HEAD).ok_or_else(short)?;
        let count = usize::from(half(head, 0));
        let all = body.get(HEAD..HEAD + count * VSI).ok_or_else(short)?;
        let own = all
            .chunks_exact(VSI)
            .find(|vsi| word(vsi, 4) as i32 == VSI_SRIOV)
            .ok_or_else(|| Error::Device(format!("none of {count} VSIs is the function's own")))?;
        let mut mac = [0; 6];
        mac.copy_from_slice(&own[10..16]);
        Ok(Resources {
            queue_pairs: half(head, 2),
            vectors: half(head, 4),
            max_mtu: half(head, 6),
            capabilities: word(head, 8),
            key_size: word(head, 12),
            lut_size: word(head, 16),
            vsi: half(own, 0),
            vsi_queue_pairs: half(own, 2),
            mac,
        })
    }
}

/// What GET_OFFLOAD_VLAN_V2_CAPS answers. Of each pair the first is for the outer tag.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VlanCaps {
    /// Tags that can be filtered.
    pub filtering: [u32; 2],
    /// Which are, from the beginning.
    pub filtering_init: u32,
    /// How many filters there may be.
    pub max_filters: u16,
    /// Tags that can be taken out of received frames.
    pub stripping: [u32; 2],
    /// Tags that can be put into sent frames.
    pub insertion: [u32; 2],
    /// Which are, from the beginning.
    pub offload_init: u32,
    /// Whether both must have the same type.
    pub ethertype_match: u8,
}

impl VlanCaps {
    /// Reads the answer.
    ///
    /// # Errors
    /// Fails when it has not its length.
    pub fn decode(body: &[u8]) -> Result<Self> {
        if body.len() != 40 {
            return Err(Error::Device(format!("VLAN_V2 of {} bytes", body.len())));
        }
        Ok(VlanCaps {
            filtering: [word(body, 0), word(body, 4)],
            filtering_init: word(body, 8),
            max_filters: half(body, 12),
            stripping: [word(body, 16), word(body, 20)],
            insertion: [word(body, 24), word(body, 28)],
            offload_init: word(body, 32),
            ethertype_match: body[36],
        })
    }
}

/// What GET_STATS answers.
#[allow(missing_docs)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EthStats {
    pub rx_bytes: u64,
    pub rx_unicast: u64,
    pub rx_multicast: u64,
    pub rx_broadcast: u64,
    pub rx_discards: u64,
    pub rx_unknown_protocol: u64,
    pub tx_bytes: u64,
    pub tx_unicast: u64,
    pub tx_multicast: u64,
    pub tx_broadcast: u64,
    pub tx_discards: u64,
    pub tx_errors: u64,
}

impl EthStats {
    /// Reads the answer.
    ///
    /// # Errors
    /// Fails when it has not its length.
    pub fn decode(body: &[u8]) -> Result<Self> {
        let (numbers, rest) = body.as_chunks::<8>();
        let numbers: Vec<u64> = numbers.iter().map(|n| u64::from_le_bytes(*n)).collect();
        let ([], [rb, ru, rm, rr, rd, rp, tb, tu, tm, tr, td, te]) = (rest, &numbers[..]) else {
            return Err(Error::Device(format!("statistics of {} bytes", body.len())));
        };
        Ok(EthStats {
            rx_bytes: *rb,
            rx_unicast: *ru,
            rx_multicast: *rm,
            rx_broadcast: *rr,
            rx_discards: *rd,
            rx_unknown_protocol: *rp,
            tx_bytes: *tb,
            tx_unicast: *tu,
            tx_multicast: *tm,
            tx_broadcast: *tr,
            tx_discards: *td,
            tx_errors: *te,
        })
    }
}

/// What the device says unasked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The link is up or down, with its speed as the capability has it.
    Link {
        /// It is up.
        up: bool,
        /// Mb/s with ADV_LINK_SPEED, else a bit.
        speed: u32,
    },
    /// The device is going to be reset.
    ResetImpending,
    /// Anything else.
    Other(i32),
}

impl Event {
    /// Reads the message.
    ///
    /// # Errors
    /// Fails when it has not its length.
    pub fn decode(body: &[u8]) -> Result<Self> {
        if body.len() != 16 {
            return Err(Error::Device(format!("an event of {} bytes", body.len())));
        }
        Ok(match word(body, 0) as i32 {
            1 => Event::Link {
                up: body[8] != 0,
                speed: word(body, 4),
            },
            2 => Event::ResetImpending,
            other => Event::Other(other),
        })
    }
}

/// Queues and addresses of one pair, for CONFIG_VSI_QUEUES.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueuePair {
    /// Its number.
    pub queue: u16,
    /// Descriptors of the transmit ring.
    pub tx_len: u16,
    /// Where that lies.
    pub tx_base: u64,
    /// Descriptors of the receive ring.
    pub rx_len: u32,
    /// Where that lies.
    pub rx_base: u64,
    /// Bytes of each receive buffer.
    pub buffer: u32,
    /// Largest frame.
    pub max_frame: u32,
    /// The check sequence stays at received frames.
    pub keep_crc: bool,
    /// The format in which received frames are told of, see [`rxdid`](super::desc::rxdid); 0 without the capability.
    pub rxdid: u8,
}

/// `virtchnl_vsi_queue_config_info`.
pub fn config_queues(vsi: u16, pairs: &[QueuePair]) -> Vec<u8> {
    let mut out = Writer::new()
        .put_u16(vsi)
        .put_u16(pairs.len() as u16)
        .put_u32(0);
    for pair in pairs {
        out = out
            .put_u16(vsi)
            .put_u16(pair.queue)
            .put_u16(pair.tx_len)
            .put_u16(0)
            .put_u64(pair.tx_base)
            .put_u64(0)
            .put_u16(vsi)
            .put_u16(pair.queue)
            .put_u32(pair.rx_len)
            .put_u32(0)
            .put_u32(pair.buffer)
            .put_u32(pair.max_frame)
            .put(&[u8::from(pair.keep_crc), pair.rxdid, 0, 0])
            .put_u64(pair.rx_base)
            .put_u32(0)
            .put_u32(0);
    }
    out.put(&[0; 64]).finish()
}

/// `virtchnl_irq_map_info`: which pairs each vector is for, as bits, with receive throttled by interval 0 and transmit
/// by 1.
pub fn irq_map(vsi: u16, vectors: &[(u16, u16)]) -> Vec<u8> {
    let mut out = Writer::new().put_u16(vectors.len() as u16);
    for (vector, pairs) in vectors {
        out = out
            .put_u16(vsi)
            .put_u16(*vector)
            .put_u16(*pairs)
            .put_u16(*pairs)
            .put_u16(0)
            .put_u16(u16::from(*pairs != 0));
    }
    out.put(&[0; 12]).finish()
}

/// What an address is to the driver, in [`ether_addresses`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum AddressKind {
    /// It does not say.
    Legacy = 0,
    /// Its own.
    Primary = 1,
    /// One of others.
    Extra = 2,
}

/// `virtchnl_ether_addr_list`.
pub fn ether_addresses(vsi: u16, addresses: &[([u8; 6], AddressKind)]) -> Vec<u8> {
    let mut out = Writer::new().put_u16(vsi).put_u16(addresses.len() as u16);
    for (address, kind) in addresses {
        out = out.put(address).put(&[*kind as u8, 0]);
    }
    out.put(&[0; 8]).finish()
}

/// `virtchnl_vlan_filter_list`.
pub fn vlans(vsi: u16, ids: &[u16]) -> Vec<u8> {
    let out = Writer::new().put_u16(vsi).put_u16(ids.len() as u16);
    let out = ids.iter().fold(out, |out, id| out.put_u16(*id));
    out.put_u16(0).finish()
}

/// `virtchnl_vlan_filter_list_v2`, of outer tags or of inner ones.
pub fn vlans_v2(vsi: u16, outer: bool, ids: &[u16]) -> Vec<u8> {
    const TPID: u16 = 0x8100;
    let mut out = Writer::new()
        .put_u16(vsi)
        .put_u16(ids.len() as u16)
        .put_u32(0);
    for id in ids {
        let tag = Writer::new().put_u16(*id).put_u16(0).put_u16(TPID);
        let tag = tag.put_u16(0).finish();
        out = if outer {
            out.put(&[0; 8]).put(&tag).put(&[0; 16])
        } else {
            out.put(&tag).put(&[0; 24])
        };
    }
    out.finish()
}

/// `virtchnl_vlan_setting`.
pub fn vlan_setting(vsi: u16, outer: u32, inner: u32) -> Vec<u8> {
    let out = Writer::new().put_u32(outer).put_u32(inner);
    out.put_u16(vsi).put(&[0; 6]).finish()
}

/// `virtchnl_rss_key` or `virtchnl_rss_lut`.
pub fn rss(vsi: u16, bytes: &[u8]) -> Vec<u8> {
    let out = Writer::new().put_u16(vsi).put_u16(bytes.len() as u16);
    out.put(bytes).put(&[0]).finish()
}

/// `virtchnl_queue_select`: receive and transmit queues, as bits.
pub fn queue_select(vsi: u16, rx: u32, tx: u32) -> Vec<u8> {
    let out = Writer::new().put_u16(vsi).put_u16(0);
    out.put_u32(rx).put_u32(tx).finish()
}

/// `virtchnl_promisc_info`.
pub fn promiscuous(vsi: u16, flags: u16) -> Vec<u8> {
    Writer::new().put_u16(vsi).put_u16(flags).finish()
}

fn half(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from(half(bytes, at)) | u32::from(half(bytes, at + 2)) << 16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_have_the_lengths_of_linux() {
        let pair = QueuePair {
            queue: 3,
            tx_len: 512,
            tx_base: 0x1_0000_0080,
            rx_len: 512,
            rx_base: 0x2_0000_0080,
            buffer: 2048,
            max_frame: 1522,
            keep_crc: true,
            rxdid: 2,
        };
        let address = ([2, 0, 0, 0, 0, 1], AddressKind::Primary);
        for (len, body) in [
            (72 + 64, config_queues(1, &[pair])),
            (72 + 2 * 64, config_queues(1, &[pair; 2])),
            (14 + 24, irq_map(1, &[(1, 1), (0, 0)])),
            (12 + 8, ether_addresses(1, &[address])),
            (6 + 4, vlans(1, &[7, 8])),
            (8 + 64, vlans_v2(1, true, &[7, 8])),
            (8 + 32, vlans_v2(1, false, &[7])),
            (16, vlan_setting(1, 1, 0)),
            (5 + 52, rss(1, &[0; 52])),
            (12, queue_select(1, 1, 1)),
            (4, promiscuous(1, 3)),
        ] {
            assert_eq!(body.len(), len);
        }
        let body = config_queues(1, &[pair]);
        assert_eq!(half(&body, 10), 3, "the transmit queue's number");
        assert_eq!(word(&body, 8 + 12), 1, "and the upper half of its place");
        assert_eq!(half(&body, 8 + 24 + 2), 3, "the receive queue's number");
        assert_eq!(word(&body, 8 + 24 + 12), 2048);
        assert_eq!(word(&body, 8 + 24 + 16), 1522);
        assert_eq!(word(&body, 8 + 24 + 20), 0x0201, "check sequence, format");
        assert_eq!(
            word(&body, 8 + 24 + 28),
            2,
            "and the upper half of its place"
        );
    }

    #[test]
    fn answers_that_are_cut_are_refused() {
        let mut body = vec![0; 36];
        body[0] = 1;
        assert!(Resources::decode(&body).is_err(), "a VSI of another kind");
        body[24] = VSI_SRIOV as u8;
        body[30..36].copy_from_slice(&[2, 0, 0, 0, 0, 9]);
        let resources = Resources::decode(&body).unwrap();
        assert_eq!(resources.mac, [2, 0, 0, 0, 0, 9]);
        for len in 0..36 {
            assert!(Resources::decode(&body[..len]).is_err(), "{len}");
        }
        assert!(VlanCaps::decode(&[0; 39]).is_err());
        assert!(EthStats::decode(&[0; 95]).is_err());
        assert!(EthStats::decode(&[0; 96]).is_ok());
        assert!(Event::decode(&[0; 12]).is_err());
    }
}
