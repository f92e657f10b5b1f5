//! Who tells whom in a packed ring (virtio 1.3 2.8.10): event suppression in both directions.

use crate::mem::{Event, PackedView, Position};
use crate::sync::atomic::{Ordering, fence};

/// The words of a packed ring by which both sides say what they want to be told of.
pub(super) trait PackedWishes: Copy {
    fn size(&self) -> u16;
    fn driver_event(&self) -> Event;
    fn set_device_event(&self, event: Event);
}

impl PackedWishes for PackedView<'_> {
    #[inline]
    fn size(&self) -> u16 {
        PackedView::size(self)
    }

    #[inline]
    fn driver_event(&self) -> Event {
        PackedView::driver_event(self)
    }

    #[inline]
    fn set_device_event(&self, event: Event) {
        PackedView::set_device_event(self, event);
    }
}

#[derive(Debug)]
pub(super) struct PackedNotify {
    event_idx: bool,
    /// Where used descriptors ended when they were last looked at.
    seen: Position,
    /// Used descriptors since the last decision about an interrupt. Counted, for a position does not tell
    /// how many turns of the ring it is ahead of another.
    pending: u32,
    /// How many there were at that decision.
    before: u32,
    suppressed: bool,
}

impl PackedNotify {
    pub(super) const fn new(event_idx: bool) -> Self {
        Self {
            event_idx,
            seen: Position::START,
            pending: 0,
            before: 0,
            suppressed: false,
        }
    }

    /// After used descriptors before `used` were published: does the driver want an interrupt?
    pub(super) fn wants_interrupt(&mut self, view: impl PackedWishes, used: Position) -> bool {
        // The driver writes its wish, then looks at the descriptor; we the other way round.
        fence(Ordering::SeqCst);
        let size = view.size();
        let fresh = used.ahead_of(self.seen, size);
        self.seen = used;
        self.before = self.pending.saturating_add(fresh);
        self.pending = 0;
        let event = view.driver_event();
        match event.flags {
            Event::DISABLE => false,
            // What a driver may wait for is at most a turn behind.
            Event::DESC if self.event_idx => Position::from_off_wrap(event.off_wrap, size)
                .is_some_and(|at| {
                    (1..=self.before.min(size.into())).contains(&used.ahead_of(at, size))
                }),
            // `ENABLE`, and what is reserved.
            _ => true,
        }
    }

    /// Takes the last decision back: what it was about is decided together with what follows.
    pub(super) fn hold(&mut self) {
        self.pending = self.before;
    }

    /// Asks for no doorbells while the ring is being polled.
    #[inline]
    pub(super) fn suppress(&mut self, view: impl PackedWishes) {
        if !self.suppressed {
            view.set_device_event(Event {
                off_wrap: 0,
                flags: Event::DISABLE,
            });
            self.suppressed = true;
        }
    }

    /// Asks for a doorbell for the descriptor at `next`.
    pub(super) fn arm(&mut self, view: impl PackedWishes, next: Position) {
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

#[cfg(all(test, loom))]
mod models;
