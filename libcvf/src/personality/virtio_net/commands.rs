//! The control queue's commands (5.1.6.5).

use super::super::Host;
use super::features::{RECEIVE_OFFLOADS, bits, receive_offloads};
use super::state::State;
use super::{CONTROL_ERR, CONTROL_OK, coalescing, multiqueue};
use crate::control::{CoalescingScope, ControlRequest, MacAddr};
use crate::limits::MAX_CONTROL_COMMAND;

const CLASS_RX: u8 = 0;
const CLASS_MAC: u8 = 1;
const CLASS_VLAN: u8 = 2;
const CLASS_ANNOUNCE: u8 = 3;
const CLASS_MQ: u8 = 4;
const CLASS_GUEST_OFFLOADS: u8 = 5;
const CLASS_COALESCING: u8 = 6;
const CLASS_STATISTICS: u8 = 8;

/// A command, parsed and allowed by what was negotiated.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Command<'b> {
    /// For the gatekeeper and the data plane.
    Ask(ControlRequest),
    /// `VIRTIO_NET_CTRL_ANNOUNCE_ACK`.
    AnnounceAck,
    /// `VIRTIO_NET_CTRL_NOTF_COAL_VQ_GET`.
    ReadCoalescing(&'b [u8]),
    /// `VIRTIO_NET_CTRL_STATS_QUERY`.
    StatisticsQuery,
    /// `VIRTIO_NET_CTRL_STATS_GET`.
    StatisticsGet(&'b [u8]),
}

impl State {
    /// Anything that is not exactly a command of a negotiated feature is answered with
    /// `VIRTIO_NET_ERR`, and so is what the host did not do.
    pub(super) fn command(&mut self, host: &mut dyn Host, bytes: &[u8], room: usize) -> Vec<u8> {
        self.commands.received += 1;
        let answer = self.answer(host, bytes, room);
        // `ack` is the first byte of all answers but one, whose last it is.
        let ack = match bytes {
            [CLASS_COALESCING, 3, ..] => answer.last(),
            _ => answer.first(),
        };
        self.commands.done += u64::from(ack == Some(&CONTROL_OK));
        answer
    }

    fn answer(&mut self, host: &mut dyn Host, bytes: &[u8], room: usize) -> Vec<u8> {
        if !self.running() || bytes.len() > MAX_CONTROL_COMMAND {
            return vec![CONTROL_ERR];
        }
        let done = match self.parse(bytes) {
            None => false,
            Some(Command::AnnounceAck) => {
                self.stale |= std::mem::take(&mut self.announce);
                true
            }
            Some(Command::Ask(request)) => self.ask(host, request),
            Some(Command::ReadCoalescing(data)) => return self.read_coalescing(host, data, room),
            Some(Command::StatisticsQuery) => return self.statistics_query(),
            Some(Command::StatisticsGet(data)) => return self.statistics_get(host, data, room),
        };
        vec![if done { CONTROL_OK } else { CONTROL_ERR }]
    }

    fn ask(&mut self, host: &mut dyn Host, request: ControlRequest) -> bool {
        let (mac, pairs) = match &request {
            ControlRequest::SetMac(mac) => (*mac, self.active_pairs),
            ControlRequest::SetQueuePairs(pairs) => (self.mac, *pairs),
            ControlRequest::SetRss(settings) => (self.mac, settings.pairs),
            _ => (self.mac, self.active_pairs),
        };
        let done = host.control(request).is_done();
        if done {
            // 5.1.6.5.2: the new address shows in device configuration.
            self.stale |= self.mac != mac;
            (self.mac, self.active_pairs) = (mac, pairs);
        }
        done
    }
}

impl State {
    fn parse<'b>(&self, bytes: &'b [u8]) -> Option<Command<'b>> {
        let features = self.features();
        let agreed = |needs: u64| features & needs != 0 && features & bits::CTRL_VQ != 0;
        let (&[class, command], data) = bytes.split_first_chunk()?;
        let (needs, request) = match (class, command) {
            (CLASS_RX, 0) => (bits::CTRL_RX, ControlRequest::Promiscuous(flag(data)?)),
            (CLASS_RX, 1) => (bits::CTRL_RX, ControlRequest::AllMulticast(flag(data)?)),
            (CLASS_RX, 2) => (bits::CTRL_RX_EXTRA, ControlRequest::AllUnicast(flag(data)?)),
            (CLASS_RX, 3) => (
                bits::CTRL_RX_EXTRA,
                ControlRequest::NoMulticast(flag(data)?),
            ),
            (CLASS_RX, 4) => (bits::CTRL_RX_EXTRA, ControlRequest::NoUnicast(flag(data)?)),
            (CLASS_RX, 5) => (
                bits::CTRL_RX_EXTRA,
                ControlRequest::NoBroadcast(flag(data)?),
            ),
            (CLASS_MAC, 0) => (bits::CTRL_RX, mac_filter(data)?),
            (CLASS_MAC, 1) => (
                bits::CTRL_MAC_ADDR,
                ControlRequest::SetMac(MacAddr(exact(data)?)),
            ),
            (CLASS_VLAN, 0) => (bits::CTRL_VLAN, ControlRequest::AddVlan(vlan(data)?)),
            (CLASS_VLAN, 1) => (bits::CTRL_VLAN, ControlRequest::DelVlan(vlan(data)?)),
            (CLASS_ANNOUNCE, 0) => {
                let agreed = features & bits::GUEST_ANNOUNCE != 0 && data.is_empty();
                return agreed.then_some(Command::AnnounceAck);
            }
            (CLASS_MQ, 0) => (bits::MQ, self.pairs_set(data)?),
            (CLASS_MQ, 1) => (bits::RSS, self.rss_config(data)?),
            (CLASS_MQ, 2) => (bits::HASH_REPORT, multiqueue::hash_config(data)?),
            (CLASS_COALESCING, 0) => (
                bits::NOTF_COAL,
                coalescing::set(CoalescingScope::Transmit, data)?,
            ),
            (CLASS_COALESCING, 1) => (
                bits::NOTF_COAL,
                coalescing::set(CoalescingScope::Receive, data)?,
            ),
            (CLASS_COALESCING, 2) => (bits::VQ_NOTF_COAL, self.queue_coalescing(data)?),
            (CLASS_COALESCING, 3) => {
                return agreed(bits::VQ_NOTF_COAL).then_some(Command::ReadCoalescing(data));
            }
            (CLASS_STATISTICS, 0) => {
                let valid = agreed(bits::DEVICE_STATS) && data.is_empty();
                return valid.then_some(Command::StatisticsQuery);
            }
            (CLASS_STATISTICS, 1) => {
                return agreed(bits::DEVICE_STATS).then_some(Command::StatisticsGet(data));
            }
            (CLASS_GUEST_OFFLOADS, 0) => {
                let offloads = u64::from_le_bytes(exact(data)?);
                let allowed = features & RECEIVE_OFFLOADS;
                let accepts = (offloads & !allowed == 0).then(|| receive_offloads(offloads))?;
                (
                    bits::CTRL_GUEST_OFFLOADS,
                    ControlRequest::SetReceiveOffloads(accepts),
                )
            }
            _ => return None,
        };
        // Some commands' features do not imply the queue they come by (5.1.3.1).
        agreed(needs).then_some(Command::Ask(request))
    }
}

/// Data of exactly this length.
pub(super) fn exact<const N: usize>(data: &[u8]) -> Option<[u8; N]> {
    data.try_into().ok()
}

fn flag(data: &[u8]) -> Option<bool> {
    match data {
        [0] => Some(false),
        [1] => Some(true),
        _ => None,
    }
}

/// 5.1.6.5.3: 12 bits.
fn vlan(data: &[u8]) -> Option<u16> {
    Some(u16::from_le_bytes(exact(data)?)).filter(|&id| id < 4096)
}

/// `struct virtio_net_ctrl_mac` twice: unicast, then multicast (5.1.6.5.2).
fn mac_filter(data: &[u8]) -> Option<ControlRequest> {
    let (unicast, rest) = mac_table(data)?;
    let (multicast, rest) = mac_table(rest)?;
    rest.is_empty()
        .then_some(ControlRequest::SetMacFilter { unicast, multicast })
}

fn mac_table(data: &[u8]) -> Option<(Vec<MacAddr>, &[u8])> {
    let (entries, rest) = data.split_first_chunk()?;
    let len = usize::try_from(u32::from_le_bytes(*entries))
        .ok()?
        .checked_mul(6)?;
    let (macs, rest) = rest.split_at_checked(len)?;
    let (macs, _) = macs.as_chunks();
    Some((macs.iter().copied().map(MacAddr).collect(), rest))
}
