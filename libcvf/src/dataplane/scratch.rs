//! What one thread needs to forward frames, allocated once.

use std::time::Duration;

use super::coalesce::Held;
use super::counters::Cut;
use super::due::Due;
use super::fabric::Ports;
use super::police::Time;
use super::watch::Fates;
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
    /// Interrupts that go out when the thread has let go of its queues.
    pub(super) due: Due,
    /// Large-send frames of the burst in hand that were cut.
    pub(super) cut: Cut,
    /// The time as the burst in hand sees it.
    pub(super) time: Time,
    /// What became of the burst in hand, where somebody looks at its sender.
    pub(super) fates: Fates,
    /// A frame's head while its VLAN tag is edited.
    pub(super) edit: Box<[u8; SEGMENT_SCRATCH]>,
}

impl Default for Desk {
    fn default() -> Self {
        Self::holding(Held::default())
    }
}

impl Desk {
    fn holding(held: Held) -> Self {
        Self {
            held,
            due: Due::default(),
            cut: Cut::default(),
            time: Time::default(),
            fates: Fates::default(),
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
    /// For a thread with these deadlines.
    pub(super) fn holding(held: Held) -> Self {
        Self {
            desk: Desk::holding(held),
            view: View::default(),
        }
    }

    /// Lets the time of its thread's bursts stand still, so long after the fabric's start: for whoever drives the
    /// data plane step by step.
    pub fn stand_still(&mut self, at: Duration) {
        self.desk.time.set(at);
    }

    /// Before the thread sleeps: keeps nothing that others might want to see gone.
    pub fn rest(&mut self) {
        self.view = View::default();
    }
}
