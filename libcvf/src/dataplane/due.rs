//! Interrupts that are to go out, from the decision under a queue's lock to the thread that has let go of its locks.
//!
//! An interrupt is a system call on a descriptor that a client shares with us. Whatever becomes of that call, no queue's lock
//! waits for it, unless one burst is for more queues than are counted here.

use std::sync::Arc;

use arrayvec::ArrayVec;

use super::coalesce::Side;
use super::port::Port;
use crate::limits::BURST;

/// What one thread has decided on. Never grows.
#[derive(Default)]
pub(super) struct Due(ArrayVec<(Arc<Port>, Side), { 2 * BURST }>);

impl Due {
    /// The driver of a queue, whose lock is held, is to be interrupted.
    #[inline]
    pub(super) fn add(&mut self, port: &Arc<Port>, side: Side) {
        let known = |(of, at): &(Arc<Port>, Side)| Arc::ptr_eq(of, port) && *at == side;
        if self.0.iter().any(known) {
            return;
        }
        self.make_room();
        self.0.push((Arc::clone(port), side));
    }

    /// Makes room for one more. A burst may be for more queues than there is room for: some of their drivers are told while
    /// the sender's lock is held.
    #[inline]
    pub(super) fn make_room(&mut self) {
        if self.0.is_full() {
            self.fire();
        }
    }

    /// True while nobody is to be interrupted.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Interrupts them, in the order in which that was decided.
    #[inline]
    pub(super) fn fire(&mut self) {
        if !self.is_empty() {
            self.fire_all();
        }
    }

    fn fire_all(&mut self) {
        for (port, side) in self.0.drain(..) {
            port.interrupt(side);
        }
    }
}

#[cfg(test)]
mod tests;
