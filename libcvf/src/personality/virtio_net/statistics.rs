//! `VIRTIO_NET_CTRL_STATS` (5.1.6.5.10): the device's counters as the driver reads them.

use super::super::{Host, QueueRole};
use super::features::bits;
use super::state::State;
use super::{CONTROL_ERR, CONTROL_OK};

/// Types by their bit in `types_bitmap`, which is their `type` in a reply too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    RxBasic = 0,
    RxCsum = 1,
    RxGso = 2,
    TxBasic = 16,
    TxCsum = 17,
    TxGso = 18,
    Cvq = 32,
}

/// Type, and the features of which one is needed for it; 0: none.
const KINDS: [(Kind, u64); 7] = [
    (Kind::RxBasic, 0),
    (Kind::RxCsum, bits::GUEST_CSUM),
    (Kind::RxGso, bits::GUEST_TSO4 | bits::GUEST_TSO6),
    (Kind::TxBasic, 0),
    (Kind::TxCsum, bits::CSUM),
    (
        Kind::TxGso,
        bits::HOST_TSO4 | bits::HOST_TSO6 | bits::HOST_USO,
    ),
    (Kind::Cvq, 0),
];

/// Bytes of one entry of `struct virtio_net_ctrl_queue_stats`.
const ENTRY: usize = 16;
/// Bytes of `struct virtio_net_stats_reply_hdr`.
const HEADER: usize = 8;

/// Commands of the control queue, since the device was made.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub received: u64,
    pub done: u64,
}

impl Kind {
    const fn fits(self, role: QueueRole) -> bool {
        match role {
            QueueRole::Receive(_) => matches!(self, Self::RxBasic | Self::RxCsum | Self::RxGso),
            QueueRole::Transmit(_) => matches!(self, Self::TxBasic | Self::TxCsum | Self::TxGso),
            QueueRole::Control => matches!(self, Self::Cvq),
        }
    }
}

impl State {
    /// Types that can be had with the features agreed on.
    fn available(&self) -> impl Iterator<Item = Kind> {
        let features = self.features();
        KINDS
            .into_iter()
            .filter(move |(_, needs)| *needs == 0 || features & needs != 0)
            .map(|(kind, _)| kind)
    }

    /// `VIRTIO_NET_CTRL_STATS_QUERY`: `struct virtio_net_stats_capabilities`.
    pub(super) fn statistics_query(&self) -> Vec<u8> {
        let types: u64 = self.available().map(|kind| 1 << kind as u8).sum();
        let mut answer = vec![CONTROL_OK];
        answer.extend_from_slice(&types.to_le_bytes());
        answer
    }

    /// `VIRTIO_NET_CTRL_STATS_GET`. One thing that is wrong fails the whole command.
    pub(super) fn statistics_get(&self, host: &dyn Host, data: &[u8], room: usize) -> Vec<u8> {
        let mut answer = vec![CONTROL_OK];
        let (entries, rest) = data.as_chunks::<ENTRY>();
        let good = rest.is_empty()
            && entries
                .iter()
                .all(|entry| self.collect(host, entry, &mut answer));
        if !good {
            return vec![CONTROL_ERR];
        }
        answer.truncate(room.max(1));
        answer
    }

    /// Appends what one entry asks for. False when it is wrong.
    fn collect(&self, host: &dyn Host, entry: &[u8; ENTRY], into: &mut Vec<u8>) -> bool {
        let queue = u16::from_le_bytes([entry[0], entry[1]]);
        let mut types = u64::from_le_bytes(entry[8..].try_into().unwrap_or_default());
        let Some(role) = self.role(queue) else {
            return false;
        };
        for kind in self.available().filter(|kind| kind.fits(role)) {
            let bit = 1 << kind as u8;
            if types & bit != 0 {
                types &= !bit;
                self.reply(host, queue, role, kind, into);
            }
        }
        types == 0
    }

    fn reply(&self, host: &dyn Host, queue: u16, role: QueueRole, kind: Kind, into: &mut Vec<u8>) {
        let r = host.queue_report(role);
        let rest = |part: u64| r.packets.saturating_sub(part);
        let numbers: &[u64] = match kind {
            // "Including the current command", which succeeds if this is read.
            Kind::Cvq => &[self.commands.received, self.commands.done + 1],
            Kind::RxBasic => &[
                r.notifications,
                r.packets,
                r.bytes,
                r.interrupts,
                r.drops,
                r.overruns,
            ],
            Kind::TxBasic => &[
                r.notifications,
                r.packets,
                r.bytes,
                r.interrupts,
                r.drops,
                r.malformed,
            ],
            // Checksums are not verified here, so none is found bad.
            Kind::RxCsum => &[
                r.csum_valid,
                r.csum_partial,
                rest(r.csum_valid + r.csum_partial),
                0,
            ],
            Kind::TxCsum => &[rest(r.csum_partial), r.csum_partial],
            // Frames are passed on as large as they come, never joined.
            Kind::RxGso => &[r.gso_packets, r.gso_bytes, 0, 0],
            Kind::TxGso => &[
                r.gso_packets,
                r.gso_bytes,
                r.segments,
                r.segment_bytes,
                r.gso_packets.saturating_sub(r.cut_packets),
                r.gso_bytes.saturating_sub(r.cut_bytes),
            ],
        };
        let size = (HEADER + 8 * numbers.len()) as u16;
        into.extend_from_slice(&[kind as u8, 0]);
        into.extend_from_slice(&queue.to_le_bytes());
        into.extend_from_slice(&[0, 0]);
        into.extend_from_slice(&size.to_le_bytes());
        into.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
    }
}
