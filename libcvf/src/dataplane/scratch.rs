//! What one thread needs to forward frames, allocated once.

use super::coalesce::Held;
use super::counters::Cut;
use super::fabric::Ports;
use crate::kept::Kept;
use crate::offload::SEGMENT_SCRATCH;
use crate::switch::Snapshot;

/// Switch and endpoints as a thread that forwards keeps them from burst to burst.
#[derive(Default)]
pub(super) struct View {
    pub snapshot: Kept<Snapshot>,
    pub ports: Kept<Ports>,
}

/// What a burst is worked on with.
pub struct Desk {
    /// Interrupts that the thread holds back; it has to ask for the next deadline before it sleeps.
    pub held: Held,
    /// Large-send frames of the burst in hand that were cut.
    pub(super) cut: Cut,
    /// A frame's head while its VLAN tag is edited.
    pub(super) edit: Box<[u8; SEGMENT_SCRATCH]>,
}

impl Default for Desk {
    fn default() -> Self {
        Self {
            held: Held::default(),
            cut: Cut::default(),
            edit: Box::new([0; SEGMENT_SCRATCH]),
        }
    }
}

/// What a forwarding thread has for itself.
#[derive(Default)]
pub struct Scratch {
    /// For the burst in hand.
    pub desk: Desk,
    pub(super) view: View,
}

impl Scratch {
    /// Before the thread sleeps: keeps nothing that others might want to see gone.
    pub fn rest(&mut self) {
        self.view = View::default();
    }
}
