//! Counters as numbers.

use crate::dataplane::{Drop, Port, QueueCounters, QueueStats};

/// A device's counters, from the guest's point of view.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CvfStats {
    /// To the guest, all queues.
    pub receive: QueueStats,
    /// From the guest, all queues.
    pub transmit: QueueStats,
    /// To the guest, queue by queue.
    pub receive_queues: Vec<QueueStats>,
    /// From the guest, queue by queue.
    pub transmit_queues: Vec<QueueStats>,
}

/// What a guest did that it must not: frames that were dropped for what they claim or are, and rings that stopped
/// its device. The numbers only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Misbehaviour {
    /// They claim an address or a VLAN that is not the device's.
    pub spoofed: u64,
    /// They are no frames, or ask for offloads that cannot be.
    pub malformed: u64,
    /// Rings or descriptors that cannot be.
    pub rings: u64,
}

impl Misbehaviour {
    pub(super) fn of(port: &Port) -> Self {
        let sum = |reasons: [Drop; 2]| {
            let counters = port.transmit.iter().map(|queue| &queue.counters);
            let of = |counters: &QueueCounters| reasons.map(|reason| counters.dropped(reason));
            counters.flat_map(of).sum()
        };
        Self {
            spoofed: sum([Drop::Spoofed, Drop::Vlan]),
            malformed: sum([Drop::Malformed, Drop::BadOffload]),
            rings: port.torn(),
        }
    }
}

impl CvfStats {
    pub(super) fn of(port: &Port) -> Self {
        let mut stats = Self {
            receive_queues: port
                .receive
                .iter()
                .map(|q| QueueStats::of(&q.counters))
                .collect(),
            transmit_queues: port
                .transmit
                .iter()
                .map(|q| QueueStats::of(&q.counters))
                .collect(),
            ..Self::default()
        };
        stats
            .receive_queues
            .iter()
            .for_each(|q| stats.receive.add(q));
        stats
            .transmit_queues
            .iter()
            .for_each(|q| stats.transmit.add(q));
        stats
    }
}
