//! A receive queue whose lock is held, after frames were put into its ring.

use std::sync::Arc;

use super::coalesce::Side;
use super::counters::{Drop, Tally};
use super::port::Port;
use super::queue::ReceiveQueue;
use super::scratch::Desk;
use crate::mem::{Ahead, Regions};
use crate::ring::{ReceiveRing, RingError};

/// A receive queue, with its device's memory.
#[derive(Clone, Copy)]
pub(super) struct Receiver<'r> {
    pub port: &'r Arc<Port>,
    pub number: u16,
    pub queue: &'r ReceiveQueue,
    pub regions: &'r Regions,
    /// Faults in any memory before this was touched.
    pub faults: u64,
}

impl Receiver<'_> {
    /// Shows the frames of `tally` to the driver and counts them. `filled` says how putting them into the ring
    /// ended: true, the driver has to post buffers for more to follow. A ring that cannot go on leaves its `slot`, and
    /// its device stops. Where the next frame will be written is noted in `ahead`, and that the driver is to be
    /// interrupted at the desk.
    #[inline]
    pub(super) fn conclude(
        self,
        slot: &mut Option<Box<dyn ReceiveRing>>,
        filled: Result<bool, RingError>,
        tally: &Tally,
        desk: &mut Desk,
        ahead: Option<&mut Ahead>,
    ) {
        let Some(ring) = slot else { return };
        let published =
            filled.and_then(|starved| self.publish(ring.as_mut(), tally.frames(), starved, desk));
        match published {
            Ok(wanted) => {
                if wanted {
                    desk.due.add(self.port, Side::Receive(self.number));
                }
                tally.record(&self.queue.counters);
                if let Some(ahead) = ahead {
                    *ahead = ring.ahead(self.regions);
                }
            }
            // Its memory may come back: frames until then are dropped.
            Err(RingError::Away(_)) => tally.record(&self.queue.counters),
            Err(error) => {
                // What was pushed before is never shown.
                (0..tally.frames()).for_each(|_| self.queue.counters.drop(Drop::NotReady));
                *slot = None;
                let number = self.number;
                self.port
                    .stop_for_ring(format!("receive queue {number}: {error}"));
            }
        }
        let under_ring = || slot.as_ref().is_some_and(|ring| ring.faulted());
        if self.port.truncated(self.faults, self.regions, under_ring) {
            *slot = None;
        }
    }

    #[inline]
    fn publish(
        self,
        ring: &mut dyn ReceiveRing,
        pushed: u64,
        starved: bool,
        desk: &mut Desk,
    ) -> Result<bool, RingError> {
        let coalesce = &self.queue.coalesce;
        // A driver that has to post buffers is not left waiting for what is held back.
        if pushed == 0 && !(starved && coalesce.holds()) {
            return Ok(false);
        }
        let wanted = ring.publish(self.regions)?;
        let starved = starved || (coalesce.is_limited() && ring.is_spent(self.regions));
        let held = &mut desk.held;
        let decision = coalesce.decide(wanted, pushed, starved || !held.has_room());
        let side = Side::Receive(self.number);
        Ok(held.settle(decision, self.port, side, || ring.hold()))
    }
}
