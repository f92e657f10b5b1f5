//! Free identifiers as ranges.

use std::collections::BTreeMap;
use std::ops::Range;

/// Free identifiers: start to end of each range, ascending, never adjacent. Taking and giving cost
/// the logarithm of the number of ranges for each range touched.
#[derive(Debug)]
pub(super) struct FreeList {
    ranges: BTreeMap<u32, u32>,
    len: u32,
}

impl FreeList {
    pub(super) fn new(total: u32) -> Self {
        let ranges = if total == 0 {
            BTreeMap::new()
        } else {
            BTreeMap::from([(0, total)])
        };
        Self { ranges, len: total }
    }

    pub(super) fn len(&self) -> u32 {
        self.len
    }

    /// Takes the `count` lowest; the caller has checked that there are so many.
    pub(super) fn take(&mut self, count: u32) -> Vec<Range<u32>> {
        let mut taken = Vec::new();
        let mut missing = count;
        while missing > 0 {
            let Some((start, end)) = self.ranges.pop_first() else {
                break;
            };
            let n = missing.min(end - start);
            if start + n < end {
                self.ranges.insert(start + n, end);
            }
            taken.push(start..start + n);
            missing -= n;
            self.len -= n;
        }
        debug_assert_eq!(missing, 0, "more taken than free");
        taken
    }

    /// Takes back what was taken, joining neighbours.
    pub(super) fn give(&mut self, ranges: &[Range<u32>]) {
        for range in ranges {
            let (mut start, mut end) = (range.start, range.end);
            self.len += end - start;
            if let Some(next_end) = self.ranges.remove(&end) {
                end = next_end;
            }
            if let Some((&before, &before_end)) = self.ranges.range(..start).next_back() {
                debug_assert!(before_end <= start, "given back twice");
                if before_end == start {
                    start = before;
                }
            }
            self.ranges.insert(start, end);
        }
    }
}
