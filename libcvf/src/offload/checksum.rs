//! The Internet checksum (RFC 1071) over any split of the bytes.

/// A running ones' complement sum. Slices may be added one after the other at any split, odd ones
/// included; the result is that of their concatenation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Checksum {
    /// Sum of 16-bit words in native byte order, modulo 2^64 - 1 (RFC 1071 2(B): order does not
    /// matter until the end).
    sum: u64,
    /// An odd number of bytes was added so far.
    odd: bool,
}

impl Checksum {
    /// The sum of nothing.
    #[inline]
    pub const fn new() -> Self {
        Self { sum: 0, odd: false }
    }

    /// The IPv4 pseudo header of RFC 9293 3.1 and RFC 768.
    #[inline]
    pub fn pseudo_v4(src: [u8; 4], dst: [u8; 4], protocol: u8, length: u16) -> Self {
        let mut sum = Self::new();
        sum.add(&src);
        sum.add(&dst);
        sum.add_u16(u16::from(protocol));
        sum.add_u16(length);
        sum
    }

    /// The IPv6 pseudo header of RFC 8200 8.1.
    #[inline]
    pub fn pseudo_v6(src: [u8; 16], dst: [u8; 16], protocol: u8, length: u32) -> Self {
        let mut sum = Self::new();
        sum.add(&src);
        sum.add(&dst);
        sum.add(&length.to_be_bytes());
        sum.add_u16(u16::from(protocol));
        sum
    }

    /// Appends bytes.
    #[inline]
    pub fn add(&mut self, bytes: &[u8]) {
        self.add_raw(sum_words(bytes));
        self.odd ^= bytes.len() % 2 == 1;
    }

    /// Appends a 16-bit number in network order.
    #[inline]
    pub fn add_u16(&mut self, number: u16) {
        self.add_raw(u64::from(number.to_be()));
    }

    /// Appends eight bytes as a native-endian word, for callers that read memory word by word.
    #[inline]
    pub fn add_word(&mut self, word: u64) {
        self.add_raw(word);
    }

    /// Appends another sum, as if its bytes had been added here.
    #[inline]
    pub fn append(&mut self, other: Self) {
        self.add_raw(other.sum);
        self.odd ^= other.odd;
    }

    /// The sum as a 16-bit number in host order, not complemented. What a partial checksum's field
    /// holds is the pseudo header's fold.
    #[inline]
    pub const fn fold(self) -> u16 {
        u16::from_be(fold_native(self.sum))
    }

    /// The checksum: complement of the sum, host order; stored with `to_be_bytes`.
    #[inline]
    pub const fn finish(self) -> u16 {
        !self.fold()
    }

    /// The checksum with 0 sent as 0xffff, its equal (RFC 768: zero says that there is none). Right
    /// for TCP too.
    #[inline]
    pub const fn finish_nonzero(self) -> u16 {
        match self.finish() {
            0 => 0xffff,
            sum => sum,
        }
    }

    /// True when the bytes added, their checksum field included, sum to all ones.
    #[inline]
    pub const fn verify(self) -> bool {
        self.fold() == 0xffff
    }

    #[inline]
    fn add_raw(&mut self, sum: u64) {
        // Bytes at odd positions weigh 2^8 more, which in a 16-bit ones' complement sum is a swap.
        let sum = if self.odd {
            u64::from(fold_native(sum).swap_bytes())
        } else {
            sum
        };
        let (total, carry) = self.sum.overflowing_add(sum);
        self.sum = total + u64::from(carry);
    }
}

/// Folds a sum to 16 bits; 2^16, 2^32 and 2^64 all weigh 1.
#[inline]
const fn fold_native(sum: u64) -> u16 {
    let sum = (sum >> 32) + (sum & 0xffff_ffff);
    let sum = (sum >> 32) + (sum & 0xffff_ffff);
    let sum = (sum >> 16) + (sum & 0xffff);
    let sum = (sum >> 16) + (sum & 0xffff);
    sum as u16
}

/// Sums 32-bit halves into 64 bits, which cannot overflow below 2^31 words, in a form that compiles
/// to vector additions. An odd last byte counts as if a zero followed.
#[inline]
fn sum_words(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let (mut low, mut high) = (0_u64, 0_u64);
    for word in words {
        let word = u64::from_ne_bytes(*word);
        low += word & 0xffff_ffff;
        high += word >> 32;
    }
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    let last = u64::from_ne_bytes(last);
    low + high + (last & 0xffff_ffff) + (last >> 32)
}

#[cfg(test)]
mod tests;
