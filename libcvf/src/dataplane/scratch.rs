//! What one thread needs to forward frames, allocated once.

use super::coalesce::Held;
use super::counters::Cut;
use crate::offload::SEGMENT_SCRATCH;

/// Buffers of a forwarding thread.
pub struct Scratch {
    /// Interrupts that the thread holds back; it has to ask for the next deadline before it sleeps.
    pub held: Held,
    /// Large-send frames of the burst in hand that were cut.
    pub(super) cut: Cut,
    /// A frame's head while its VLAN tag is edited.
    pub(super) edit: Box<[u8; SEGMENT_SCRATCH]>,
}

impl Default for Scratch {
    fn default() -> Self {
        Self {
            held: Held::default(),
            cut: Cut::default(),
            edit: Box::new([0; SEGMENT_SCRATCH]),
        }
    }
}
