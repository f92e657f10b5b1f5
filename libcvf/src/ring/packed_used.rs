//! Used descriptors of a burst (virtio 1.3 2.8.6, 2.8.8, 2.8.9): the first one is written last, for
//! that is the one the driver looks at. So it never sees part of a burst, nor part of a frame over
//! several buffers.

use super::packed_chain::Extent;
use crate::mem::{PackedView, Position, UsedDescriptor};

#[derive(Debug)]
pub(super) struct UsedBurst {
    /// Where the next used descriptor goes.
    next: Position,
    /// The first of the burst, which stays unwritten until the end.
    first: Option<UsedDescriptor>,
    /// Descriptors of the ring that the burst stands for.
    slots: u16,
}

impl UsedBurst {
    pub(super) const fn new() -> Self {
        Self {
            next: Position::START,
            first: None,
            slots: 0,
        }
    }

    /// Where the next used descriptor will go.
    pub(super) const fn next(&self) -> Position {
        self.next
    }

    /// Descriptors of the ring that are used, but not published.
    pub(super) const fn slots(&self) -> u16 {
        self.slots
    }

    /// Adds buffers and the bytes written to each; both sides skip their descriptors. All of a burst
    /// together take at most the ring's size.
    #[inline]
    pub(super) fn add(
        &mut self,
        view: PackedView<'_>,
        buffers: impl IntoIterator<Item = (Extent, u32)>,
    ) {
        // Positions stay in registers: see `RingView::set_used_all`.
        let (mut next, mut slots) = (self.next, self.slots);
        for (extent, written) in buffers {
            let used = UsedDescriptor::new(next, extent.id, written);
            if self.first.is_none() {
                self.first = Some(used);
            } else {
                // Nobody looks at it before the first one is there.
                view.set_used(used);
            }
            next = next.advanced(extent.slots, view.size());
            slots += extent.slots;
        }
        (self.next, self.slots) = (next, slots);
    }

    /// Makes the burst visible.
    #[inline]
    pub(super) fn publish(&mut self, view: PackedView<'_>) {
        if let Some(first) = self.first.take() {
            view.publish_used(first);
        }
        self.slots = 0;
    }
}
