//! The buffers of a ring: every descriptor has its own, one or several which it uses in turn.

use crate::fakevm::error::Result;
use crate::fakevm::mem::Shared;
use crate::fakevm::memory::GuestMemory;

/// Room between two buffers: a line, so that their first lines are an odd number of lines apart and lie in all sets of a cache.
const GAP: usize = 64;

/// Buffers in guest memory.
#[derive(Debug)]
pub(in crate::fakevm) struct Buffers {
    /// All of them.
    pub(in crate::fakevm) bytes: Shared,
    /// Bytes of one.
    pub(in crate::fakevm) len: usize,
    base: u64,
    stride: usize,
    size: usize,
    each: u16,
    /// Which of its buffers each descriptor uses now.
    turn: Vec<u16>,
}

impl Buffers {
    /// Takes memory, of this region or of any, for `each` buffers of `len` bytes for each of `size` descriptors.
    pub(in crate::fakevm) fn new(
        memory: &mut GuestMemory,
        region: Option<usize>,
        (size, each): (u16, u16),
        len: usize,
    ) -> Result<Self> {
        let size = usize::from(size);
        let each = each.max(1);
        let stride = len.next_multiple_of(64) + GAP;
        let total = size * usize::from(each) * stride;
        let base = match region {
            Some(region) => memory.alloc_in(region, total as u64, 4096)?,
            None => memory.alloc(total as u64, 4096)?,
        };
        Ok(Buffers {
            bytes: memory.view(base, total)?,
            len,
            base,
            stride,
            size,
            each,
            turn: vec![0; size],
        })
    }

    /// Where the buffers are, for a loop: it stays in registers, whatever is written.
    #[inline]
    pub(in crate::fakevm) fn places(&self) -> Places<'_> {
        Places {
            base: self.base,
            stride: self.stride,
            size: self.size,
            each: self.each,
            turn: &self.turn,
        }
    }

    /// See [`Places::at`].
    #[inline]
    pub(in crate::fakevm) fn at(&self, index: u16) -> usize {
        self.places().at(index)
    }

    /// See [`Places::gpa`].
    #[inline]
    pub(in crate::fakevm) fn gpa(&self, index: u16) -> u64 {
        self.places().gpa(index)
    }

    /// Lets a descriptor use its next buffer.
    #[inline]
    pub(in crate::fakevm) fn advance(&mut self, index: u16) {
        self.advance_row(&[index]);
    }

    /// Lets each descriptor of a row use its next buffer.
    #[inline]
    pub(in crate::fakevm) fn advance_row(&mut self, row: &[u16]) {
        if self.each > 1 {
            for index in row {
                let turn = &mut self.turn[usize::from(*index)];
                *turn = (*turn + 1) % self.each;
            }
        }
    }

    /// Where each of them begins within [`Buffers::bytes`].
    pub(in crate::fakevm) fn all(&self) -> impl Iterator<Item = usize> + use<> {
        let stride = self.stride;
        (0..self.size * usize::from(self.each)).map(move |nth| nth * stride)
    }
}

/// Where the buffers of a ring are.
#[derive(Clone, Copy, Debug)]
pub(in crate::fakevm) struct Places<'b> {
    base: u64,
    stride: usize,
    size: usize,
    each: u16,
    turn: &'b [u16],
}

impl Places<'_> {
    /// Where the buffer that a descriptor uses now begins within [`Buffers::bytes`].
    #[inline]
    pub(in crate::fakevm) fn at(self, index: u16) -> usize {
        let index = usize::from(index);
        let turn = if self.each == 1 { 0 } else { self.turn[index] };
        (index + usize::from(turn) * self.size) * self.stride
    }

    /// Where the buffer that a descriptor uses next begins.
    #[inline]
    pub(in crate::fakevm) fn next_at(self, index: u16) -> usize {
        if self.each == 1 {
            return self.at(index);
        }
        let index = usize::from(index);
        let turn = (self.turn[index] + 1) % self.each;
        (index + usize::from(turn) * self.size) * self.stride
    }

    /// [`Places::at`] as a guest physical address.
    #[inline]
    pub(in crate::fakevm) fn gpa(self, index: u16) -> u64 {
        self.base + self.at(index) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fakevm::memory::{Backing, MemoryPlan};
    use std::collections::BTreeSet;

    #[test]
    fn descriptors_use_their_buffers_in_turn_and_share_none() {
        let mut memory = GuestMemory::new(&MemoryPlan::single(1 << 20, Backing::Memfd)).unwrap();
        let mut buffers = Buffers::new(&mut memory, None, (4, 3), 100).unwrap();
        let mut seen = BTreeSet::new();
        for _ in 0..3 {
            for index in 0..4 {
                assert!(seen.insert(buffers.at(index)));
                let next = buffers.places().next_at(index);
                buffers.advance(index);
                assert_eq!(buffers.at(index), next);
            }
        }
        assert_eq!(seen, buffers.all().collect());
        assert_eq!(
            buffers.at(2),
            buffers.all().nth(2).unwrap(),
            "the first again"
        );
    }
}
