//! The frames of a burst, sorted by where they go.

use crate::limits::BURST;
use crate::ring::Frames;
use crate::switch::PortId;

/// One more than frames in a burst.
const PLACES: usize = BURST + 1;

/// Destinations of a burst with their frames, in the order of the first frame of each.
#[derive(Debug)]
pub(super) struct Sorted {
    to: [(PortId, Frames); PLACES],
    len: usize,
}

impl Default for Sorted {
    fn default() -> Self {
        Self {
            to: [(PortId::default(), Frames::default()); PLACES],
            len: 0,
        }
    }
}

impl Sorted {
    /// A destination's place, for [`Self::add`].
    #[inline]
    pub(super) fn place(&mut self, to: PortId) -> usize {
        let known = self.to[..self.len].iter().position(|(id, _)| *id == to);
        known.unwrap_or_else(|| {
            // A burst has no more destinations than frames, and the one that is guessed.
            let place = self.len.min(PLACES - 1);
            self.to[place] = (to, Frames::default());
            self.len = place + 1;
            place
        })
    }

    /// Adds frames to the destination at a place.
    #[inline]
    pub(super) fn add(&mut self, place: usize, frames: Frames) {
        if let Some((_, of)) = self.to.get_mut(place) {
            of.add(frames);
        }
    }

    /// Hands out every destination, and is empty then.
    #[inline]
    pub(super) fn drain(&mut self, mut each: impl FnMut(PortId, Frames)) {
        for (to, frames) in &self.to[..self.len] {
            if !frames.is_empty() {
                each(*to, *frames);
            }
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
            sorted.place(PortId(99));
            for (frame, id) in to.iter().enumerate() {
                let place = sorted.place(PortId(*id));
                prop_assert_eq!(sorted.to[place].0, PortId(*id));
                sorted.add(place, Frames::one(frame));
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
