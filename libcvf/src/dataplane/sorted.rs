//! The frames of a burst, sorted by where they go.

use crate::limits::BURST;
use crate::ring::Frames;
use crate::switch::PortId;

/// Destinations of a burst with their frames, in the order of the first frame of each.
#[derive(Debug)]
pub(super) struct Sorted {
    to: [(PortId, Frames); BURST],
    len: usize,
}

impl Default for Sorted {
    fn default() -> Self {
        Self {
            to: [(PortId::default(), Frames::default()); BURST],
            len: 0,
        }
    }
}

impl Sorted {
    /// Adds a frame; returns the destination's place, for [`Self::again`].
    #[inline]
    pub(super) fn add(&mut self, to: PortId, frame: usize) -> usize {
        let known = self.to[..self.len].iter().position(|(id, _)| *id == to);
        let place = known.unwrap_or_else(|| {
            // A burst has no more destinations than frames.
            let place = self.len.min(BURST - 1);
            self.to[place] = (to, Frames::default());
            self.len = place + 1;
            place
        });
        self.again(place, Frames::one(frame));
        place
    }

    /// Adds frames to the destination at a place.
    #[inline]
    pub(super) fn again(&mut self, place: usize, frames: Frames) {
        self.to[place % BURST].1.add(frames);
    }

    /// Hands out every destination, and is empty then.
    #[inline]
    pub(super) fn drain(&mut self, mut each: impl FnMut(PortId, Frames)) {
        for (to, frames) in &self.to[..self.len] {
            each(*to, *frames);
        }
        self.len = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_frame_is_handed_out_once_in_order(to in prop::collection::vec(0..6u32, 0..=BURST)) {
            let mut sorted = Sorted::default();
            for (frame, id) in to.iter().enumerate() {
                let place = sorted.add(PortId(*id), frame);
                prop_assert_eq!(sorted.to[place].0, PortId(*id));
            }
            let mut seen = Vec::new();
            sorted.drain(|id, frames| {
                let mine: Vec<_> = frames.collect();
                assert!(mine.is_sorted());
                assert!(mine.iter().all(|frame| to[*frame] == id.0));
                seen.extend(mine);
            });
            seen.sort_unstable();
            prop_assert_eq!(seen, (0..to.len()).collect::<Vec<_>>());
            prop_assert_eq!(sorted.len, 0);
        }
    }
}
