//! What a driver asks of its device while it runs; each says what the device answers.

use std::time::Instant;

use super::messages::{self, AddressKind, EthStats};
use super::virtchnl::{PROMISC_MULTICAST, PROMISC_UNICAST, VLAN_8100, cap, name, op};
use super::{Answer, AvfVm, Status};
use crate::fakevm::bus::Bus;
use crate::fakevm::error::{Error, Result};
use crate::fakevm::limits::VIRTCHNL_DEADLINE;

/// What the device does when it is asked for another number of queue pairs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueueAnswer {
    /// It is going to be reset, and has as many after that.
    Resets,
    /// It refuses, and would have so many.
    Offers(u16),
}

impl<B: Bus> AvfVm<B> {
    /// Takes frames for these addresses too.
    ///
    /// # Errors
    /// As [`AvfVm::request`].
    pub fn add_macs(&mut self, macs: &[[u8; 6]]) -> Result<Status> {
        self.addresses(op::ADD_ETH_ADDR, macs, AddressKind::Extra)
    }

    /// No longer takes frames for these addresses.
    ///
    /// # Errors
    /// As [`AvfVm::request`].
    pub fn delete_macs(&mut self, macs: &[[u8; 6]]) -> Result<Status> {
        self.addresses(op::DEL_ETH_ADDR, macs, AddressKind::Extra)
    }

    fn addresses(&mut self, op: u32, macs: &[[u8; 6]], kind: AddressKind) -> Result<Status> {
        let list: Vec<_> = macs.iter().map(|mac| (*mac, kind)).collect();
        let body = messages::ether_addresses(self.resources.vsi, &list);
        self.status_of(op, &body)
    }

    /// Takes another address of its own: the new one is added, and the old one deleted if that was granted.
    ///
    /// # Errors
    /// As [`AvfVm::request`].
    pub fn set_mac(&mut self, mac: [u8; 6]) -> Result<Status> {
        let status = self.addresses(op::ADD_ETH_ADDR, &[mac], AddressKind::Primary)?;
        if !status.is_ok() {
            return Ok(status);
        }
        let old = std::mem::replace(&mut self.mac, mac);
        self.addresses(op::DEL_ETH_ADDR, &[old], AddressKind::Primary)
    }

    /// Takes frames of these VLANs, as VLAN_V2 or VLAN has it.
    ///
    /// # Errors
    /// As [`AvfVm::request`], and when neither was granted.
    pub fn add_vlans(&mut self, ids: &[u16]) -> Result<Status> {
        self.vlans([op::ADD_VLAN_V2, op::ADD_VLAN], ids)
    }

    /// No longer takes frames of these VLANs.
    ///
    /// # Errors
    /// As [`AvfVm::add_vlans`].
    pub fn delete_vlans(&mut self, ids: &[u16]) -> Result<Status> {
        self.vlans([op::DEL_VLAN_V2, op::DEL_VLAN], ids)
    }

    fn vlans(&mut self, [v2, v1]: [u32; 2], ids: &[u16]) -> Result<Status> {
        let vsi = self.resources.vsi;
        match self.vlan_caps {
            Some(caps) => {
                let outer = caps.filtering[0] & VLAN_8100 != 0;
                self.status_of(v2, &messages::vlans_v2(vsi, outer, ids))
            }
            None => {
                self.needs(cap::VLAN)?;
                self.status_of(v1, &messages::vlans(vsi, ids))
            }
        }
    }

    /// Has VLAN tags taken out of received frames, or left in them.
    ///
    /// # Errors
    /// As [`AvfVm::add_vlans`].
    pub fn set_vlan_strip(&mut self, on: bool) -> Result<Status> {
        let (v2, v1) = if on {
            (op::ENABLE_VLAN_STRIPPING_V2, op::ENABLE_VLAN_STRIPPING)
        } else {
            (op::DISABLE_VLAN_STRIPPING_V2, op::DISABLE_VLAN_STRIPPING)
        };
        match self.vlan_caps {
            Some(caps) => self.vlan_setting(v2, caps.stripping),
            None => {
                self.needs(cap::VLAN)?;
                self.try_request(v1, &[])
            }
        }
    }

    /// Has VLAN tags put into sent frames that carry them in their descriptors, or not.
    ///
    /// # Errors
    /// As [`AvfVm::request`], and when VLAN_V2 was not granted.
    pub fn set_vlan_insert(&mut self, on: bool) -> Result<Status> {
        let op = if on {
            op::ENABLE_VLAN_INSERTION_V2
        } else {
            op::DISABLE_VLAN_INSERTION_V2
        };
        self.needs(cap::VLAN_V2)?;
        let insertion = self.vlan_caps.unwrap_or_default().insertion;
        self.vlan_setting(op, insertion)
    }

    fn vlan_setting(&mut self, op: u32, [outer, _]: [u32; 2]) -> Result<Status> {
        let (outer, inner) = match outer & VLAN_8100 {
            0 => (0, VLAN_8100),
            _ => (VLAN_8100, 0),
        };
        let body = messages::vlan_setting(self.resources.vsi, outer, inner);
        self.try_request(op, &body)
    }

    /// Takes all unicast frames, all multicast frames.
    ///
    /// # Errors
    /// As [`AvfVm::request`].
    pub fn set_promiscuous(&mut self, unicast: bool, multicast: bool) -> Result<Status> {
        let bit = |on: bool, bit: u16| if on { bit } else { 0 };
        let flags = bit(unicast, PROMISC_UNICAST) | bit(multicast, PROMISC_MULTICAST);
        let body = messages::promiscuous(self.resources.vsi, flags);
        self.status_of(op::CONFIG_PROMISCUOUS_MODE, &body)
    }

    /// Sets the key of the hash that chooses the receive queue.
    ///
    /// # Errors
    /// As [`AvfVm::request`].
    pub fn set_rss_key(&mut self, key: &[u8]) -> Result<Status> {
        let body = messages::rss(self.resources.vsi, key);
        self.try_request(op::CONFIG_RSS_KEY, &body)
    }

    /// Sets which receive queue each hash chooses.
    ///
    /// # Errors
    /// As [`AvfVm::request`].
    pub fn set_rss_lut(&mut self, table: &[u8]) -> Result<Status> {
        let body = messages::rss(self.resources.vsi, table);
        self.try_request(op::CONFIG_RSS_LUT, &body)
    }

    /// Sets which kinds of frames have a hash, as bits.
    ///
    /// # Errors
    /// As [`AvfVm::request`].
    pub fn set_hash_kinds(&mut self, kinds: u64) -> Result<Status> {
        self.status_of(op::SET_RSS_HASHCFG, &kinds.to_le_bytes())
    }

    /// Kinds of frames that can have a hash; none when refused.
    ///
    /// # Errors
    /// As [`AvfVm::request`], and when the answer has not its length.
    pub fn hash_kinds(&mut self) -> Result<Option<u64>> {
        self.bits_of(op::GET_RSS_HASHCFG_CAPS)
    }

    /// Formats of receive descriptors that the device has, as bits; none when refused.
    ///
    /// # Errors
    /// As [`AvfVm::request`], and when the answer has not its length.
    pub fn supported_rxdids(&mut self) -> Result<Option<u64>> {
        self.bits_of(op::GET_SUPPORTED_RXDIDS)
    }

    /// What the device answers to a question without a body whose answer is 64 bits; none when refused.
    fn bits_of(&mut self, op: u32) -> Result<Option<u64>> {
        let Answer { status, body } = self.request(op, &[])?;
        if !status.is_ok() {
            return Ok(None);
        }
        match body.as_chunks::<8>() {
            ([bits], []) => Ok(Some(u64::from_le_bytes(*bits))),
            _ => Err(Error::Device(format!(
                "{} bytes answer {}",
                body.len(),
                name(op)
            ))),
        }
    }

    /// What the device has counted; none when refused.
    ///
    /// # Errors
    /// As [`AvfVm::request`], and when the answer has not its length.
    pub fn statistics(&mut self) -> Result<Option<EthStats>> {
        let body = messages::queue_select(self.resources.vsi, 0, 0);
        let Answer { status, body } = self.request(op::GET_STATS, &body)?;
        if !status.is_ok() {
            return Ok(None);
        }
        EthStats::decode(&body).map(Some)
    }

    /// Starts receive and transmit queues, as bits.
    ///
    /// # Errors
    /// As [`AvfVm::request`].
    pub fn enable_queues(&mut self, rx: u32, tx: u32) -> Result<Status> {
        let body = messages::queue_select(self.resources.vsi, rx, tx);
        self.status_of(op::ENABLE_QUEUES, &body)
    }

    /// Stops receive and transmit queues, as bits.
    ///
    /// # Errors
    /// As [`AvfVm::request`].
    pub fn disable_queues(&mut self, rx: u32, tx: u32) -> Result<Status> {
        let body = messages::queue_select(self.resources.vsi, rx, tx);
        self.status_of(op::DISABLE_QUEUES, &body)
    }

    /// Asks for another number of queue pairs. When the device resets for it, [`AvfVm::recover`] comes next.
    ///
    /// # Errors
    /// Fails when the device does neither, or breaks the specification.
    pub fn request_queues(&mut self, pairs: u16) -> Result<QueueAnswer> {
        self.post(op::REQUEST_QUEUES, &pairs.to_le_bytes())?;
        let deadline = Instant::now() + VIRTCHNL_DEADLINE;
        match self.next_answer(deadline)? {
            Some(message) if message.op == op::REQUEST_QUEUES => {
                let [low, high] = message.body[..] else {
                    return Err(Error::Device(format!("{message:?}")));
                };
                Ok(QueueAnswer::Offers(u16::from_le_bytes([low, high])))
            }
            Some(message) => Err(Error::Device(format!("nobody has asked: {message:?}"))),
            None if self.reset_impending() => Ok(QueueAnswer::Resets),
            None => Err(Error::Timeout {
                what: "the answer to REQUEST_QUEUES".into(),
            }),
        }
    }

    fn status_of(&mut self, op: u32, body: &[u8]) -> Result<Status> {
        self.request(op, body).map(|answer| answer.status)
    }

    fn needs(&self, capability: u32) -> Result<()> {
        if self.resources.capabilities & capability == 0 {
            return Err(Error::Unsupported(format!(
                "capability {capability:#x} was not granted"
            )));
        }
        Ok(())
    }
}
