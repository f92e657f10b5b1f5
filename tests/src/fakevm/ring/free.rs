//! Which descriptors are free: first back, first taken, as DPDK's virtio driver keeps them.
//!
//! A device that works in order gives descriptors back in the order of the ring, so they are used
//! in that order again and again, and memory is walked as a prefetcher likes it. A stack would
//! scramble them.

/// A queue of descriptor numbers that never holds more than it was made for.
#[derive(Debug)]
pub(super) struct FreeList {
    slots: Box<[u16]>,
    mask: usize,
    taken: usize,
    given: usize,
}

impl FreeList {
    /// All of `size` descriptors, from 0 upwards. `size` is a power of two.
    pub(super) fn full(size: u16) -> Self {
        let size = size.next_power_of_two();
        FreeList {
            slots: (0..size).collect(),
            mask: usize::from(size) - 1,
            taken: 0,
            given: size.into(),
        }
    }

    /// How many there are.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.given.wrapping_sub(self.taken)
    }

    /// Takes the one that came first.
    #[inline]
    pub(super) fn take(&mut self) -> Option<u16> {
        let index = self.peek(0)?;
        self.taken = self.taken.wrapping_add(1);
        Some(index)
    }

    /// The one that [`FreeList::take`] gives after `ahead` others.
    #[inline]
    pub(super) fn peek(&self, ahead: usize) -> Option<u16> {
        (ahead < self.len()).then(|| self.slots[self.taken.wrapping_add(ahead) & self.mask])
    }

    /// Those that [`FreeList::take_row`] gives next.
    #[inline]
    pub(super) fn peek_row<'t>(&self, to: &'t mut [u16]) -> &'t [u16] {
        let count = to.len().min(self.len());
        let first = self.taken & self.mask;
        let front = count.min(self.slots.len() - first);
        to[..front].copy_from_slice(&self.slots[first..first + front]);
        to[front..count].copy_from_slice(&self.slots[..count - front]);
        &to[..count]
    }

    /// Takes as many as `to` has room for, at most all there are.
    #[inline]
    pub(super) fn take_row<'t>(&mut self, to: &'t mut [u16]) -> &'t [u16] {
        let row = self.peek_row(to);
        self.taken = self.taken.wrapping_add(row.len());
        row
    }

    /// Gives many back; returns how many.
    #[inline]
    pub(super) fn give_row(&mut self, row: impl Iterator<Item = u16>) -> usize {
        let mut given = self.given;
        for index in row {
            self.slots[given & self.mask] = index;
            given = given.wrapping_add(1);
        }
        let count = given.wrapping_sub(self.given);
        self.given = given;
        debug_assert!(self.len() <= self.mask + 1);
        count
    }

    /// Gives `count` back that follow each other from `first` on.
    #[inline]
    pub(super) fn give_run(&mut self, first: u16, count: usize) {
        let at = self.given & self.mask;
        let front = count.min(self.slots.len() - at);
        let (back, rest) = self.slots.split_at_mut(at);
        let slots = rest[..front].iter_mut().chain(&mut back[..count - front]);
        for (slot, index) in slots.zip(first..) {
            *slot = index;
        }
        self.given = self.given.wrapping_add(count);
        debug_assert!(self.len() <= self.mask + 1);
    }

    /// Gives one back. The queue gives back each descriptor once, so there is always room.
    #[inline]
    pub(super) fn give(&mut self, index: u16) {
        debug_assert!(self.len() <= self.mask);
        self.slots[self.given & self.mask] = index;
        self.given = self.given.wrapping_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_back_is_first_taken() {
        let mut free = FreeList::full(4);
        assert_eq!(free.len(), 4);
        assert_eq!(
            (free.peek(0), free.peek(3), free.peek(4)),
            (Some(0), Some(3), None)
        );
        let all: Vec<_> = std::iter::from_fn(|| free.take()).collect();
        assert_eq!(all, [0, 1, 2, 3]);
        free.give(2);
        free.give(0);
        assert_eq!(
            (free.take(), free.take(), free.take()),
            (Some(2), Some(0), None)
        );
    }

    #[test]
    fn rows_and_runs_are_what_one_by_one_is() {
        let (mut rows, mut ones) = (FreeList::full(8), FreeList::full(8));
        for count in [3, 8, 5, 7, 1, 6, 8, 2] {
            let mut room = [0; 8];
            let row = rows.take_row(&mut room[..count]).to_vec();
            let one: Vec<_> = (0..count).filter_map(|_| ones.take()).collect();
            assert_eq!(row, one);
            // Back in runs: from the smallest on, each as long as it goes.
            let mut back = row;
            back.sort_unstable();
            for run in back.chunk_by(|a, b| a + 1 == *b) {
                rows.give_run(run[0], run.len());
                run.iter().for_each(|index| ones.give(*index));
            }
        }
    }

    #[test]
    fn the_largest_ring_wraps() {
        let mut free = FreeList::full(32768);
        for _ in 0..70_000 {
            let index = free.take().unwrap();
            free.give(index);
        }
        assert_eq!(free.len(), 32768);
    }
}
