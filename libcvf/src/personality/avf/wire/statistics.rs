//! `VIRTCHNL_OP_GET_STATS`.

use super::Writer;
use crate::control::QueueReport;

/// One direction of `struct virtchnl_eth_stats`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Direction {
    pub packets: u64,
    pub bytes: u64,
    pub discards: u64,
    pub errors: u64,
}

impl Direction {
    /// Counters wrap, as hardware's do.
    pub const fn add(&mut self, report: &QueueReport) {
        self.packets = self.packets.wrapping_add(report.packets);
        self.bytes = self.bytes.wrapping_add(report.bytes);
        self.errors = self.errors.wrapping_add(report.malformed);
        let dropped = report.drops.saturating_sub(report.malformed);
        self.discards = self.discards.wrapping_add(dropped);
    }
}

/// `struct virtchnl_eth_stats`. Frames are counted as unicast, whatever their address: drivers sum them up.
pub fn encode(receive: &Direction, transmit: &Direction) -> Vec<u8> {
    Writer::new()
        .u64(receive.bytes)
        .u64(receive.packets)
        .u64(0)
        .u64(0)
        .u64(receive.discards)
        // rx_unknown_protocol
        .u64(0)
        .u64(transmit.bytes)
        .u64(transmit.packets)
        .u64(0)
        .u64(0)
        .u64(transmit.discards)
        .u64(transmit.errors)
        .done()
}
