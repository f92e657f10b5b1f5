//! Who tells whom (virtio 1.3 2.7.7 and 2.7.10): suppression in both directions, with flags or event
//! indexes.

use crate::mem::RingView;
use crate::sync::atomic::{Ordering, fence};

const NO_NOTIFY: u16 = 1;
const NO_INTERRUPT: u16 = 1;
/// How far ahead a doorbell threshold is put to be out of reach.
const FAR: u16 = 0x8000;

/// True when moving from `old` to `new` passes `event`.
const fn passes(event: u16, new: u16, old: u16) -> bool {
    new.wrapping_sub(event).wrapping_sub(1) < new.wrapping_sub(old)
}

/// The words of a split ring by which both sides say what they want to be told of.
pub(super) trait SplitWishes: Copy {
    fn used_event(&self) -> u16;
    fn available_flags(&self) -> u16;
    fn set_used_flags(&self, flags: u16);
    fn set_available_event(&self, index: u16);
}

impl SplitWishes for RingView<'_> {
    #[inline]
    fn used_event(&self) -> u16 {
        RingView::used_event(self)
    }

    #[inline]
    fn available_flags(&self) -> u16 {
        RingView::available_flags(self)
    }

    #[inline]
    fn set_used_flags(&self, flags: u16) {
        RingView::set_used_flags(self, flags);
    }

    #[inline]
    fn set_available_event(&self, index: u16) {
        RingView::set_available_event(self, index);
    }
}

#[derive(Debug, Default)]
pub(super) struct Notify {
    event_idx: bool,
    /// Used index at the last decision about an interrupt.
    decided: u16,
    /// Used index at the one before.
    before: u16,
    /// Doorbell threshold that stands in the ring.
    threshold: u16,
    suppressed: bool,
}

impl Notify {
    pub(super) fn new(event_idx: bool) -> Self {
        Self {
            event_idx,
            ..Self::default()
        }
    }

    /// The same of a ring in which somebody else has used entries up to `used`.
    pub(super) fn resumed(event_idx: bool, used: u16) -> Self {
        Self {
            decided: used,
            before: used,
            ..Self::new(event_idx)
        }
    }

    /// After used entries up to `used` were published: does the driver want an interrupt?
    pub(super) fn wants_interrupt(&mut self, view: impl SplitWishes, used: u16) -> bool {
        // The driver writes its threshold, then looks at the used index; we the other way round.
        fence(Ordering::SeqCst);
        let old = std::mem::replace(&mut self.decided, used);
        self.before = old;
        if self.event_idx {
            passes(view.used_event(), used, old)
        } else {
            view.available_flags() & NO_INTERRUPT == 0
        }
    }

    /// Takes the last decision back: what it was about is decided together with what follows.
    pub(super) fn hold(&mut self) {
        self.decided = self.before;
    }

    /// Asks for no doorbells while the ring is being polled from `next` on.
    pub(super) fn suppress(&mut self, view: impl SplitWishes, next: u16) {
        if !self.event_idx {
            if !self.suppressed {
                view.set_used_flags(NO_NOTIFY);
            }
        } else if !self.suppressed || self.threshold.wrapping_sub(next) < FAR / 2 {
            self.threshold = next.wrapping_add(FAR - 1);
            view.set_available_event(self.threshold);
        }
        self.suppressed = true;
    }

    /// Asks for a doorbell for the entry at `next`.
    pub(super) fn arm(&mut self, view: impl SplitWishes, next: u16) {
        if self.event_idx {
            self.threshold = next;
            view.set_available_event(next);
        } else {
            view.set_used_flags(0);
        }
        self.suppressed = false;
        // The driver publishes an entry, then looks at the threshold; we the other way round.
        fence(Ordering::SeqCst);
    }
}

#[cfg(all(test, loom))]
mod models;
