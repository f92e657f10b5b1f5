//! A doorbell answered by the thread that hears it.
//!
//! While a queue's worker sleeps, waking it takes longer than forwarding the frame that a doorbell is usually about,
//! and on a busy machine the worker waits for a processor on top. So whoever hears the doorbell serves a burst itself, in
//! the worker's place and by the same code. A queue that has more, or rings so often that its worker would still be
//! awake, goes to the worker, which polls.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use super::coalesce::Held;
use super::fabric::Fabric;
use super::port::Port;
use super::scratch::Scratch;
use super::serve::{Active, SPIN, answer};
use crate::ring::BurstBuffers;

/// When a queue's doorbell was last heard, in nanoseconds of its fabric's life.
#[derive(Debug, Default)]
pub(super) struct LastHeard(AtomicU64);

impl LastHeard {
    /// True where that is so long ago that a worker would have gone to sleep since.
    fn is_long_ago(&self, now: u64) -> bool {
        let before = self.0.swap(now, Ordering::Relaxed);
        now.saturating_sub(before) > SPIN.as_nanos() as u64
    }
}

/// What a thread needs for a burst. It sleeps for reasons of its own, so it holds no interrupts back.
struct Hand {
    buffers: BurstBuffers,
    scratch: Scratch,
}

thread_local! {
    static HAND: RefCell<Option<Box<Hand>>> = const { RefCell::new(None) };
}

impl Hand {
    fn new() -> Box<Self> {
        Box::new(Self {
            buffers: BurstBuffers::default(),
            scratch: Scratch::holding(Held::nothing()),
        })
    }
}

impl Fabric {
    /// The doorbell of a transmit queue was rung. May forward a burst in the caller's thread, which holds no
    /// queue's lock; else the queue is put into its worker's hands, if it is not there already.
    pub fn ring(&self, port: &Arc<Port>, queue: u16) {
        let Some(state) = port.transmit.get(usize::from(queue)) else {
            return;
        };
        if !state.claim.take() {
            return;
        }
        let now = Instant::now();
        let worker = &self.workers()[self.home(&state.home)];
        if state.heard.is_long_ago(self.age(now)) && worker.is_asleep() {
            self.tick(now);
            let left = HAND.with_borrow_mut(|hand| {
                let Hand { buffers, scratch } = &mut **hand.get_or_insert_with(Hand::new);
                let left = answer(port, queue, self, buffers, scratch);
                scratch.rest();
                left
            });
            if left {
                return;
            }
        }
        worker.adopt(Active::new(port, queue));
    }
}

#[cfg(test)]
mod tests;
