//! Counts numbered frames: which came, which came twice, which came late, which never came.

use crate::limits::MAX_SEQUENCE;

/// The account of one stream.
#[derive(Debug, Default)]
pub struct Tally {
    seen: Vec<u64>,
    received: u64,
    duplicate: u64,
    reordered: u64,
    next: u64,
    announced: Option<u64>,
}

impl Tally {
    /// Notes that frame `sequence` arrived.
    pub fn frame(&mut self, sequence: u64) {
        if sequence < MAX_SEQUENCE {
            let (word, bit) = ((sequence / 64) as usize, 1 << (sequence % 64));
            if self.seen.len() <= word {
                self.seen.resize(word + 1, 0);
            }
            if self.seen[word] & bit != 0 {
                self.duplicate += 1;
                return;
            }
            self.seen[word] |= bit;
        }
        self.received += 1;
        if sequence < self.next {
            self.reordered += 1;
        } else {
            self.next = sequence + 1;
        }
    }

    /// Notes the end mark: the stream had `count` frames.
    pub fn end(&mut self, count: u64) {
        self.announced = Some(count);
    }

    /// True once the end mark and every frame it announces have been seen.
    #[must_use]
    pub fn complete(&self) -> bool {
        self.announced.is_some_and(|count| self.received >= count)
    }

    /// Frames that never came, as far as can be known.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.announced
            .unwrap_or(self.next)
            .saturating_sub(self.received)
    }

    /// Distinct frames that came.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Frames that came more than once.
    #[must_use]
    pub fn duplicate(&self) -> u64 {
        self.duplicate
    }

    /// Frames that came after one with a higher number.
    #[must_use]
    pub fn reordered(&self) -> u64 {
        self.reordered
    }

    /// What the end mark said, if it came.
    #[must_use]
    pub fn announced(&self) -> Option<u64> {
        self.announced
    }
}

#[cfg(test)]
mod tests;
