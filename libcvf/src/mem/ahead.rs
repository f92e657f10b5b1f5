//! Lines that will probably be written next.
//!
//! What is noted here is only ever asked for: it may be long gone, and nothing is accessed.

use super::descriptor_view::DescriptorView;
use super::prefetch;
use super::ring_view::RingView;
use super::slice::WriteSlice;

/// Places that are noted.
const PLACES: usize = 4;
/// Nothing is noted there.
const NOWHERE: usize = 0;

/// Where the next frame for a receiver will probably be written: asked for while the frame itself is
/// still on its way, so that one need not wait for the other.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ahead {
    /// Those that are not noted are [`NOWHERE`].
    places: [usize; PLACES],
    count: usize,
}

impl Ahead {
    /// Notes the first lines of a buffer; what is too much is left out.
    #[inline]
    pub fn buffer(&mut self, buffer: WriteSlice<'_>) {
        let (base, _) = buffer.as_raw();
        self.note(base as usize);
        self.note((base as usize).wrapping_add(prefetch::LINE));
    }

    /// Notes where a used entry and its index go.
    #[inline]
    pub fn used(&mut self, view: RingView<'_>, index: u16) {
        let [entry, index] = view.used_lines(index);
        self.note(entry);
        self.note(index);
    }

    /// Notes where a descriptor is that will be given back in its place.
    #[inline]
    pub fn descriptor<const WORDS: usize>(&mut self, view: DescriptorView<'_, WORDS>, index: u16) {
        self.note(view.address(index));
    }

    #[inline]
    fn note(&mut self, at: usize) {
        if let Some(place) = self.places.get_mut(self.count) {
            *place = at;
            self.count += 1;
        }
    }

    /// Asks the processor for all of it.
    #[inline]
    pub fn fetch(&self) {
        for at in self.places {
            if at != NOWHERE {
                prefetch::to_write(at as *const u8);
            }
        }
    }
}
