//! Choices out of a fuzzer's bytes. When they run out, every choice is the first.

pub struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn byte(&mut self) -> u8 {
        match self.0.split_first() {
            Some((&first, rest)) => {
                self.0 = rest;
                first
            }
            None => 0,
        }
    }

    pub fn bytes(&mut self, count: usize) -> &'a [u8] {
        let (head, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        head
    }

    pub fn below(&mut self, limit: usize) -> usize {
        usize::from(self.byte()) % limit.max(1)
    }

    pub fn flag(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    /// A number of the kinds that matter to a protocol.
    pub fn number(&mut self) -> u64 {
        let small = u64::from(self.byte());
        match self.below(8) {
            0..=2 => small,
            3 => small << 12,
            4 => (small % 8) << 12,
            5 => u64::MAX - small,
            6 => u64::from(u32::MAX) - small,
            _ => {
                let mut word = [0; 8];
                for (to, from) in word.iter_mut().zip(self.bytes(8)) {
                    *to = *from;
                }
                u64::from_ne_bytes(word)
            }
        }
    }
}
