//! Who tells whom in a packed ring (virtio 1.3 2.8.10): event suppression in both directions.

use std::sync::atomic::{Ordering, fence};

use crate::mem::{Event, PackedView, Position};

#[derive(Debug)]
pub(super) struct PackedNotify {
    event_idx: bool,
    /// Where used descriptors ended at the last decision about an interrupt.
    decided: Position,
    /// Where they ended at the one before.
    before: Position,
    suppressed: bool,
}

impl PackedNotify {
    pub(super) const fn new(event_idx: bool) -> Self {
        Self {
            event_idx,
            decided: Position::START,
            before: Position::START,
            suppressed: false,
        }
    }

    /// After used descriptors before `used` were published: does the driver want an interrupt?
    pub(super) fn wants_interrupt(&mut self, view: PackedView<'_>, used: Position) -> bool {
        // The driver writes its wish, then looks at the descriptor; we the other way round.
        fence(Ordering::SeqCst);
        let old = std::mem::replace(&mut self.decided, used);
        self.before = old;
        let event = view.driver_event();
        match event.flags {
            Event::DISABLE => false,
            Event::DESC if self.event_idx => {
                let size = view.size();
                Position::from_off_wrap(event.off_wrap, size)
                    .is_some_and(|at| at.ahead_of(old, size) < used.ahead_of(old, size))
            }
            // `ENABLE`, and what is reserved.
            _ => true,
        }
    }

    /// Takes the last decision back: what it was about is decided together with what follows.
    pub(super) fn hold(&mut self) {
        self.decided = self.before;
    }

    /// Asks for no doorbells while the ring is being polled.
    #[inline]
    pub(super) fn suppress(&mut self, view: PackedView<'_>) {
        if !self.suppressed {
            view.set_device_event(Event {
                off_wrap: 0,
                flags: Event::DISABLE,
            });
            self.suppressed = true;
        }
    }

    /// Asks for a doorbell for the descriptor at `next`.
    pub(super) fn arm(&mut self, view: PackedView<'_>, next: Position) {
        view.set_device_event(Event {
            off_wrap: next.off_wrap(),
            flags: if self.event_idx {
                Event::DESC
            } else {
                Event::ENABLE
            },
        });
        self.suppressed = false;
        // The driver makes a descriptor available, then looks at the event; we the other way round.
        fence(Ordering::SeqCst);
    }
}
