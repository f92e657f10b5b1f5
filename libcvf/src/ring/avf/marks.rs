//! One bit for each descriptor of a ring.

/// A set of descriptors.
#[derive(Debug)]
pub(super) struct Marks {
    words: Box<[u64]>,
}

const BITS: u16 = u64::BITS as u16;

impl Marks {
    /// None of a ring of `size`.
    pub(super) fn new(size: u16) -> Self {
        Self {
            words: vec![0; size.div_ceil(BITS).into()].into(),
        }
    }

    #[inline]
    fn word(&mut self, index: u16) -> Option<&mut u64> {
        self.words.get_mut(usize::from(index / BITS))
    }

    /// Adds one.
    #[inline]
    pub(super) fn add(&mut self, index: u16) {
        if let Some(word) = self.word(index) {
            *word |= 1 << (index % BITS);
        }
    }

    /// Takes one out; true if it was there.
    pub(super) fn remove(&mut self, index: u16) -> bool {
        let bit = 1 << (index % BITS);
        self.word(index).is_some_and(|word| {
            let had = *word & bit != 0;
            *word &= !bit;
            had
        })
    }

    /// Adds those of a row of up to 32 from `first` on whose bits are set; the ring goes on that far.
    #[inline]
    pub(super) fn add_row(&mut self, first: u16, bits: u32) {
        let bits = u128::from(bits) << (first % BITS);
        if let Some(word) = self.word(first) {
            *word |= bits as u64;
        }
        let beyond = (bits >> BITS) as u64;
        if beyond != 0
            && let Some(word) = self.word(first + BITS)
        {
            *word |= beyond;
        }
    }

    /// Takes all of `from..to` out and calls `each` with them, in order.
    #[inline]
    pub(super) fn drain(&mut self, (from, to): (u16, u16), mut each: impl FnMut(u16)) {
        let mut at = from;
        while at < to {
            let first = at - at % BITS;
            let here = Self::between(at - first, (to - first).min(BITS));
            if let Some(word) = self.word(at) {
                let mut found = *word & here;
                *word &= !found;
                while found != 0 {
                    each(first + found.trailing_zeros() as u16);
                    found &= found - 1;
                }
            }
            at = first + BITS;
        }
    }

    /// The first of `from..to`.
    pub(super) fn first(&self, (from, to): (u16, u16)) -> Option<u16> {
        let mut at = from;
        while at < to {
            let first = at - at % BITS;
            let here = Self::between(at - first, (to - first).min(BITS));
            let found = self.words.get(usize::from(at / BITS))? & here;
            if found != 0 {
                return Some(first + found.trailing_zeros() as u16);
            }
            at = first + BITS;
        }
        None
    }

    /// Bits `from..to` of a word; `from` is below `to`, which is at most all of them.
    const fn between(from: u16, to: u16) -> u64 {
        (u64::MAX << from) & (u64::MAX >> (BITS - to))
    }
}
