//! Counters as numbers.

use crate::dataplane::{Port, QueueStats};

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
