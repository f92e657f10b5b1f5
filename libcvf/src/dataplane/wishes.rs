//! What a driver asked of its port's queues: hash, steering, coalescing. The control side calls these;
//! workers see the outcome in snapshots and atomics.

use std::time::Instant;

use super::coalesce::{Coalesce, Patience, Side};
use super::port::Port;
use super::steer::{Steering, SteeringState};
use crate::control::{Coalescing, CoalescingScope, HashSettings, QueuePolicy, RssSettings};
use crate::limits::QUIESCE_DEADLINE;

/// What has to be remembered to answer the next request.
#[derive(Debug, Default)]
pub(super) struct Wishes {
    /// Queue pairs; 0 is one.
    pairs: u16,
    hash: Option<HashSettings>,
    rss: Option<RssSettings>,
    /// What the operator set; no wish of the driver's, and kept when those are forgotten.
    host: QueuePolicy,
    receive: Coalescing,
    transmit: Coalescing,
}

impl Port {
    /// Sets the queue pairs in use; at least one, at most what there is. The device chooses the
    /// receive queue of a flow from here on.
    pub fn set_active_pairs(&self, pairs: u16) {
        let mut wishes = self.wishes.lock();
        wishes.pairs = pairs;
        wishes.rss = None;
        self.renew_steering(&wishes);
    }

    /// Sets what the operator says about queues, from the next burst on. Whatever the driver asked for stays
    /// known, and is in force again where the operator no longer says anything else.
    pub fn set_queue_policy(&self, host: QueuePolicy) {
        let mut wishes = self.wishes.lock();
        if wishes.host != host {
            wishes.host = host;
            self.renew_steering(&wishes);
        }
    }

    /// Steers frames by what both want.
    fn renew_steering(&self, wishes: &Wishes) {
        let allowed = wishes.host.allowed(self.receive.len() as u16);
        let asked = wishes.rss.as_ref().map_or(wishes.pairs, |rss| rss.pairs);
        let pairs = self.store_active_pairs(asked.min(allowed));
        let hash = wishes.hash.as_ref();
        self.steer(match &wishes.rss {
            _ if pairs > 1 && wishes.host.is_pinned() => {
                Steering::pinned(&wishes.host, wishes.rss.as_ref(), hash, pairs)
            }
            Some(rss) => Steering::table(rss, allowed),
            None => Steering::automatic(pairs, hash),
        });
    }

    /// Sets how frames are hashed. The device chooses the receive queue of a flow from here on.
    pub fn set_hash(&self, settings: HashSettings) {
        let mut wishes = self.wishes.lock();
        wishes.hash = Some(settings);
        if let Some(rss) = wishes.rss.take() {
            wishes.pairs = rss.pairs;
        }
        self.renew_steering(&wishes);
    }

    /// Lets the hash choose the receive queue.
    pub fn set_rss(&self, settings: RssSettings) {
        let mut wishes = self.wishes.lock();
        wishes.hash = Some(settings.hash.clone());
        wishes.rss = Some(settings);
        self.renew_steering(&wishes);
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

    /// A receive queue is enabled that goes by what was set for it before; what it held back is of another ring.
    pub fn keep_receive(&self, pair: u16) {
        if let Some(queue) = self.receive.get(usize::from(pair)) {
            queue.coalesce.release();
        }
    }

    /// A transmit queue is enabled: as [`Self::keep_receive`].
    pub fn keep_transmit(&self, pair: u16) {
        if let Some(queue) = self.transmit.get(usize::from(pair)) {
            queue.coalesce.release();
        }
    }

    /// Back to what a reset device does: one queue, no hash, nothing held back.
    pub fn forget_wishes(&self) {
        let mut wishes = self.wishes.lock();
        *wishes = Wishes {
            host: std::mem::take(&mut wishes.host),
            ..Wishes::default()
        };
        self.renew_steering(&wishes);
        drop(wishes);
        for pair in 0..self.receive.len() as u16 {
            self.renew_receive(pair);
        }
        for pair in 0..self.transmit.len() as u16 {
            self.renew_transmit(pair);
        }
    }
}

#[cfg(test)]
mod tests;
