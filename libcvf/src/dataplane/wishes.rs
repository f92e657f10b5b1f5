//! What a driver asked of its port's queues: hash, steering, coalescing. The control side calls these;
//! workers see the outcome in snapshots and atomics.

use std::time::Instant;

use super::coalesce::{Coalesce, Patience, Side};
use super::port::Port;
use super::steer::{Steering, SteeringState};
use crate::control::{Coalescing, CoalescingScope, HashSettings, RssSettings};
use crate::limits::QUIESCE_DEADLINE;

/// What has to be remembered to answer the next request.
#[derive(Debug, Default)]
pub(super) struct Wishes {
    hash: Option<HashSettings>,
    receive: Coalescing,
    transmit: Coalescing,
}

impl Port {
    /// Sets the queue pairs in use; at least one, at most what there is. The device chooses the
    /// receive queue of a flow from here on.
    pub fn set_active_pairs(&self, pairs: u16) {
        let pairs = self.store_active_pairs(pairs);
        let wishes = self.wishes.lock();
        self.steer(Steering::automatic(pairs, wishes.hash.as_ref()));
    }

    /// Sets how frames are hashed. The device chooses the receive queue of a flow from here on.
    pub fn set_hash(&self, settings: HashSettings) {
        self.wishes.lock().hash = Some(settings);
        self.set_active_pairs(self.active_pairs());
    }

    /// Lets the hash choose the receive queue.
    pub fn set_rss(&self, settings: RssSettings) {
        self.store_active_pairs(settings.pairs);
        let steering = Steering::table(&settings, self.receive.len() as u16);
        let mut wishes = self.wishes.lock();
        wishes.hash = Some(settings.hash);
        self.steer(steering);
    }

    /// What is in force.
    pub fn steering(&self) -> SteeringState {
        self.steering.load().state()
    }

    /// Sets how long interrupts are held back. What is held back now is decided at once.
    pub fn set_coalescing(&self, scope: CoalescingScope, to: Coalescing) {
        let (receive, transmit) = (self.receive.len() as u16, self.transmit.len() as u16);
        let mut wishes = self.wishes.lock();
        let (receive, transmit) = match scope {
            CoalescingScope::Receive => {
                wishes.receive = to;
                (0..receive, 0..0)
            }
            CoalescingScope::Transmit => {
                wishes.transmit = to;
                (0..0, 0..transmit)
            }
            CoalescingScope::ReceiveQueue(pair) => {
                (pair..receive.min(pair.saturating_add(1)), 0..0)
            }
            CoalescingScope::TransmitQueue(pair) => {
                (0..0, pair..transmit.min(pair.saturating_add(1)))
            }
        };
        // A queue that is not to be had in time keeps what it holds until the deadline it has.
        let patience = Patience::Until(Instant::now() + QUIESCE_DEADLINE);
        for pair in receive {
            self.receive[usize::from(pair)].coalesce.set(to);
            self.release_held(Side::Receive(pair), patience, Coalesce::release);
        }
        for pair in transmit {
            self.transmit[usize::from(pair)].coalesce.set(to);
            self.release_held(Side::Transmit(pair), patience, Coalesce::release);
        }
    }

    /// How long interrupts of a receive queue are held back.
    pub fn receive_coalescing(&self, pair: u16) -> Option<Coalescing> {
        Some(self.receive.get(usize::from(pair))?.coalesce.get())
    }

    /// How long interrupts of a transmit queue are held back.
    pub fn transmit_coalescing(&self, pair: u16) -> Option<Coalescing> {
        Some(self.transmit.get(usize::from(pair))?.coalesce.get())
    }

    /// A receive queue is enabled: virtio 1.3 5.1.6.5.9.5, it takes up what was set for all.
    pub fn renew_receive(&self, pair: u16) {
        if let Some(queue) = self.receive.get(usize::from(pair)) {
            queue.coalesce.set(self.wishes.lock().receive);
            queue.coalesce.release();
        }
    }

    /// A transmit queue is enabled: as [`Self::renew_receive`].
    pub fn renew_transmit(&self, pair: u16) {
        if let Some(queue) = self.transmit.get(usize::from(pair)) {
            queue.coalesce.set(self.wishes.lock().transmit);
            queue.coalesce.release();
        }
    }

    /// Back to what a reset device does: one queue, no hash, nothing held back.
    pub fn forget_wishes(&self) {
        *self.wishes.lock() = Wishes::default();
        self.set_active_pairs(1);
        for pair in 0..self.receive.len() as u16 {
            self.renew_receive(pair);
        }
        for pair in 0..self.transmit.len() as u16 {
            self.renew_transmit(pair);
        }
    }
}
