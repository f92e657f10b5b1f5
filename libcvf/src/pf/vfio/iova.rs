//! Addresses that a function's DMA may use, and who has which.

use std::collections::BTreeMap;

use parking_lot::Mutex;

/// A range of I/O virtual addresses, both ends in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IovaRange {
    /// First address.
    pub first: u64,
    /// Last address.
    pub last: u64,
}

impl IovaRange {
    /// Its bytes, `u64::MAX` where it is all there is.
    pub const fn len(&self) -> u64 {
        (self.last - self.first).saturating_add(1)
    }

    /// Never: a range has its ends in it.
    pub const fn is_empty(&self) -> bool {
        false
    }

    /// True where all of `size` bytes at `first` lie in it.
    pub fn covers(&self, first: u64, size: u64) -> bool {
        let last = size.checked_sub(1).and_then(|more| first.checked_add(more));
        first >= self.first && last.is_some_and(|last| last <= self.last)
    }
}

/// The usable addresses of an IOMMU domain. Windows are cut from it and come back; internally synchronised.
#[derive(Debug)]
pub struct IovaSpace {
    usable: Vec<IovaRange>,
    /// First address and bytes of what is taken.
    taken: Mutex<BTreeMap<u64, u64>>,
}

impl IovaSpace {
    /// A space of these ranges; those that overlap others are cut down.
    pub fn new(mut usable: Vec<IovaRange>) -> Self {
        usable.retain(|range| range.first <= range.last);
        usable.sort_by_key(|range| range.first);
        let mut apart: Vec<IovaRange> = Vec::with_capacity(usable.len());
        for mut range in usable {
            if let Some(before) = apart.last()
                && before.last >= range.first
            {
                let Some(next) = before.last.checked_add(1) else {
                    break;
                };
                range.first = next;
                if range.first > range.last {
                    continue;
                }
            }
            apart.push(range);
        }
        Self {
            usable: apart,
            taken: Mutex::default(),
        }
    }

    /// What is usable, ascending.
    pub fn usable(&self) -> &[IovaRange] {
        &self.usable
    }

    /// True where `size` bytes at `first` lie in one usable range.
    pub fn covers(&self, first: u64, size: u64) -> bool {
        self.usable.iter().any(|range| range.covers(first, size))
    }

    /// Takes `size` bytes at a multiple of `align` (a power of two), as low as they are free, not below
    /// `floor`. `None`: there is no such hole.
    pub fn take(&self, size: u64, align: u64, floor: u64) -> Option<u64> {
        debug_assert!(align.is_power_of_two(), "alignments are powers of two");
        if size == 0 {
            return None;
        }
        let mut taken = self.taken.lock();
        for range in &self.usable {
            let mut at = range.first.max(floor).checked_next_multiple_of(align);
            while let Some(first) = at.filter(|first| range.covers(*first, size)) {
                // `covers` has seen that the end fits.
                let last = first + (size - 1);
                let blocking = taken.range(..=last).next_back();
                match blocking.filter(|(other, len)| *other + (*len - 1) >= first) {
                    Some((other, len)) => {
                        at = (other + (len - 1))
                            .checked_add(1)
                            .and_then(|next| next.checked_next_multiple_of(align));
                    }
                    None => {
                        taken.insert(first, size);
                        return Some(first);
                    }
                }
            }
        }
        None
    }

    /// Gives back what [`Self::take`] returned.
    pub fn give(&self, first: u64) {
        self.taken.lock().remove(&first);
    }
}

#[cfg(test)]
mod tests;
