//! What one thread needs to forward frames, allocated once.

use crate::offload::SEGMENT_SCRATCH;

/// Buffers of a forwarding thread.
pub struct Scratch {
    /// A frame's head while its VLAN tag is edited.
    pub(super) edit: Box<[u8; SEGMENT_SCRATCH]>,
}

impl Default for Scratch {
    fn default() -> Self {
        Self {
            edit: Box::new([0; SEGMENT_SCRATCH]),
        }
    }
}
