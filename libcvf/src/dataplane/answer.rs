//! A doorbell answered by the thread that hears it.
//!
//! While a queue's worker sleeps, waking it takes longer than forwarding the frame that a doorbell is usually about,
//! and on a busy machine the worker waits for a processor on top. So whoever hears a doorbell after a silence looks, and
//! a frame that is alone and goes where the one before it went is forwarded there and then, in the worker's place and by the
//! same code. Everything else is the worker's: bursts, unusual frames, queues with lanes, interrupts that are to be held
//! back (whoever hears doorbells watches no deadlines), and queues that ring so often that it is better to poll them.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Instant;

use super::coalesce::Held;
use super::fabric::Fabric;
use super::port::Port;
use super::queue::TransmitQueue;
use super::scratch::Scratch;
use super::seat::{Active, Work};
use super::serve::{Served, release, serve};
use crate::limits::SILENCE;
use crate::sync::atomic::{AtomicU64, Ordering};

/// When a queue's doorbell was last heard, in nanoseconds of its fabric's life.
#[derive(Debug, Default)]
pub(super) struct LastHeard(AtomicU64);

impl LastHeard {
    /// True where that is so long ago that another is not expected soon.
    fn is_long_ago(&self, now: u64) -> bool {
        let before = self.0.swap(now, Ordering::Relaxed);
        now.saturating_sub(before) > SILENCE.as_nanos() as u64
    }
}

thread_local! {
    /// What a thread that hears doorbells needs for a frame.
    static HAND: RefCell<Option<Box<Scratch>>> = const { RefCell::new(None) };
}

impl Fabric {
    /// The doorbell was rung of a port's transmit queue `number`, counted from 0; of one that is not there nothing is done. May forward one
    /// frame in the caller's thread, any one that holds no lock that others wait for, and write an eventfd of either client; else the queue is
    /// put into its worker's hands, if it is not there already. Counts no doorbell.
    pub fn heard(&self, port: &Arc<Port>, number: u16) {
        let Some(queue) = port.transmit.get(usize::from(number)) else {
            return;
        };
        if !queue.claim.take() {
            return;
        }
        let now = Instant::now().saturating_duration_since(self.started());
        let worker = &self.workers()[self.home(&queue.home)];
        let silent = queue.heard.is_long_ago(now.as_nanos() as u64);
        if !(silent && worker.sleeps() && self.answer(port, (number, queue))) {
            worker.adopt(Active::new(port, Work::Transmit(number)));
        }
    }

    /// Forwards the one frame of a queue that the caller has claimed, and lets go of the claim. False: it is still
    /// claimed, for there is more to do.
    fn answer(&self, port: &Arc<Port>, (number, queue): (u16, &TransmitQueue)) -> bool {
        let usual = !port.polled && port.lanes().is_empty() && !queue.coalesce.is_watched();
        if !usual {
            return false;
        }
        HAND.with(|hand| {
            // Whoever hears a doorbell while it answers one leaves that to the worker.
            let Ok(mut hand) = hand.try_borrow_mut() else {
                return false;
            };
            let scratch = hand.get_or_insert_with(|| Box::new(Scratch::holding(Held::nothing())));
            let Some(mut state) = queue.state.try_lock() else {
                return false;
            };
            let served = serve((port, number), &mut state, self, None, scratch);
            let over = matches!(served, Served::Lone) && release(port, number, &mut state);
            drop(state);
            scratch.rest();
            scratch.desk.due.fire();
            over
        })
    }
}

#[cfg(test)]
mod tests;
