//! Which frames of a burst.

use crate::limits::BURST;

/// Frames of a burst, one bit each; an iterator over their numbers, lowest first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Frames(u32);

const _: () = assert!(BURST == u32::BITS as usize);

impl Frames {
    /// The one frame `index`.
    #[inline]
    pub const fn one(index: usize) -> Self {
        Self(1 << (index % BURST))
    }

    /// True without a frame.
    #[inline]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// `count` frames from `first` on, as far as a burst has them.
    #[inline]
    pub const fn row(first: usize, count: usize) -> Self {
        let row = if count < BURST {
            (1 << count) - 1
        } else {
            u32::MAX
        };
        Self(row << (first % BURST))
    }

    /// How many frames there are without a gap from `first` on.
    #[inline]
    pub const fn row_at(self, first: usize) -> usize {
        (self.0 >> (first % BURST)).trailing_ones() as usize
    }

    /// True if `index` is one of them.
    #[inline]
    pub const fn has(self, index: usize) -> bool {
        self.0 >> (index % BURST) & 1 != 0
    }

    /// The lowest number.
    #[inline]
    pub const fn first(self) -> Option<usize> {
        if self.0 == 0 {
            return None;
        }
        Some(self.0.trailing_zeros() as usize)
    }

    /// How many.
    #[inline]
    pub const fn count(self) -> usize {
        self.0.count_ones() as usize
    }

    /// Adds those of `other`.
    #[inline]
    pub const fn add(&mut self, other: Self) {
        self.0 |= other.0;
    }

    /// Takes those of `other` out.
    #[inline]
    pub const fn remove(&mut self, other: Self) {
        self.0 &= !other.0;
    }

    /// Those that are before the first of `other`; all, if that is empty.
    #[inline]
    #[must_use]
    pub const fn before(self, other: Self) -> Self {
        Self(self.0 & other.0.wrapping_sub(1) & !other.0)
    }

    /// Those that are in both.
    #[inline]
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Those that are not in `other`.
    #[inline]
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

impl Iterator for Frames {
    type Item = usize;

    /// The lowest number, so that a sender's frames keep their order.
    #[inline]
    fn next(&mut self) -> Option<usize> {
        if self.0 == 0 {
            return None;
        }
        let index = self.0.trailing_zeros() as usize;
        self.0 &= self.0 - 1;
        Some(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn as_sets_of_numbers(a: u32, b: u32) {
            let set = |word: u32| (0..32).filter(move |bit| word >> bit & 1 != 0);
            let (x, y) = (Frames(a), Frames(b));
            prop_assert!(x.eq(set(a)));
            prop_assert_eq!(x.count(), set(a).count());
            prop_assert!(x.and(y).eq(set(a).filter(|n| set(b).any(|m| m == *n))));
            prop_assert!(x.without(y).eq(set(a).filter(|n| set(b).all(|m| m != *n))));
            for first in 0..32 {
                let row = set(a).skip_while(|n| *n < first).zip(first..).take_while(|(n, m)| n == m).count();
                prop_assert_eq!(x.row_at(first), row);
                prop_assert!(Frames::row(first, row).eq(first..first + row));
            }
            for index in 0..32 {
                prop_assert_eq!(x.has(index), set(a).any(|n| n == index));
            }
            prop_assert_eq!(x.first(), set(a).next());
            let first = set(b).next().unwrap_or(32);
            prop_assert!(x.before(y).eq(set(a).filter(|n| *n < first)));
        }
    }
}
