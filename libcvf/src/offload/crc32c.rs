//! CRC-32C, the checksum of SCTP (RFC 9260 appendix A), over any split of the bytes.

/// Castagnoli's polynomial, reflected.
const POLYNOMIAL: u32 = 0x82f6_3b78;

/// Table `n` is the CRC of a byte that `n` zero bytes follow: eight bytes take eight look-ups that do not wait for one
/// another.
static TABLES: [[u32; 256]; 8] = tables();

const fn tables() -> [[u32; 256]; 8] {
    let mut tables = [[0; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = crc >> 1 ^ if crc & 1 != 0 { POLYNOMIAL } else { 0 };
            bit += 1;
        }
        tables[0][byte] = crc;
        byte += 1;
    }
    let mut nth = 1;
    while nth < 8 {
        let mut byte = 0;
        while byte < 256 {
            let before = tables[nth - 1][byte];
            tables[nth][byte] = before >> 8 ^ tables[0][(before & 0xff) as usize];
            byte += 1;
        }
        nth += 1;
    }
    tables
}

/// A running CRC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Crc32c(u32);

impl Default for Crc32c {
    fn default() -> Self {
        Self::new()
    }
}

impl Crc32c {
    /// The CRC of nothing.
    #[inline]
    pub const fn new() -> Self {
        Self(u32::MAX)
    }

    /// Appends bytes.
    pub fn add(&mut self, bytes: &[u8]) {
        let look = |nth: usize, word: u64, at: u32| TABLES[nth][(word >> at & 0xff) as usize];
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            let word = u64::from_le_bytes(*word) ^ u64::from(self.0);
            self.0 = (0..8).fold(0, |crc, nth| crc ^ look(7 - nth, word, 8 * nth as u32));
        }
        for byte in rest {
            self.0 = self.0 >> 8 ^ look(0, u64::from(self.0 ^ u32::from(*byte)), 0);
        }
    }

    /// The checksum, as its bytes stand in an SCTP header.
    #[inline]
    pub const fn finish(self) -> [u8; 4] {
        (!self.0).to_le_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Bit by bit.
    fn naive(bytes: &[u8]) -> u32 {
        let mut crc = u32::MAX;
        for byte in bytes {
            crc ^= u32::from(*byte);
            for _ in 0..8 {
                crc = crc >> 1 ^ if crc & 1 != 0 { POLYNOMIAL } else { 0 };
            }
        }
        !crc
    }

    fn crc(bytes: &[u8]) -> u32 {
        let mut crc = Crc32c::new();
        crc.add(bytes);
        u32::from_le_bytes(crc.finish())
    }

    #[test]
    fn known_values() {
        assert_eq!(crc(b""), 0);
        assert_eq!(crc(b"123456789"), 0xe306_9283);
        // RFC 3720 B.4.
        assert_eq!(crc(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc(&[0xff; 32]), 0x62a8_ab43);
    }

    proptest! {
        #[test]
        fn split_anywhere_it_is_that_of_the_whole(
            bytes in prop::collection::vec(any::<u8>(), 0..200), cut: usize, again: usize,
        ) {
            let cut = cut % (bytes.len() + 1);
            let again = cut + again % (bytes.len() - cut + 1);
            let mut sum = Crc32c::new();
            for part in [&bytes[..cut], &bytes[cut..again], &bytes[again..]] {
                sum.add(part);
            }
            prop_assert_eq!(u32::from_le_bytes(sum.finish()), naive(&bytes));
        }
    }
}
