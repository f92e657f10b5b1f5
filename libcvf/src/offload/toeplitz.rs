//! The Toeplitz hash of receive-side scaling (virtio 1.3 5.1.6.4.3, as Microsoft defined it).
//!
//! The hash is linear: each set bit of the input adds the 32 key bits that begin at its place. So a
//! table made when the key is set tells for each half byte of the input what it adds, and a frame
//! costs two look-ups a byte.

use crate::limits::RSS_KEY_SIZE;

/// Longest input: two IPv6 addresses and two ports.
pub const MAX_INPUT: usize = 36;

/// A key, made ready.
#[derive(Clone)]
pub struct Toeplitz {
    nibbles: Box<[[u32; 16]; 2 * MAX_INPUT]>,
}

impl std::fmt::Debug for Toeplitz {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Toeplitz")
    }
}

impl Toeplitz {
    /// Makes `key` ready. Of a key that is shorter than [`RSS_KEY_SIZE`] the rest counts as zeroes.
    pub fn new(key: &[u8]) -> Self {
        let mut padded = [0; RSS_KEY_SIZE + 4];
        let len = key.len().min(RSS_KEY_SIZE);
        padded[..len].copy_from_slice(&key[..len]);
        let mut nibbles = Box::new([[0; 16]; 2 * MAX_INPUT]);
        for (at, entry) in nibbles.iter_mut().enumerate() {
            let byte = at / 2;
            // Key bits from this half byte on: 35 of them are enough for four windows of 32.
            let mut window = [0; 8];
            window[3..].copy_from_slice(&padded[byte..byte + 5]);
            let bits = u64::from_be_bytes(window) << (4 * (at % 2));
            for (value, sum) in entry.iter_mut().enumerate() {
                for bit in (0..4).filter(|bit| value & (8 >> bit) != 0) {
                    *sum ^= (bits >> (8 - bit)) as u32;
                }
            }
        }
        Self { nibbles }
    }

    /// The hash of `input`; bytes behind the first [`MAX_INPUT`] do not count.
    #[inline]
    pub fn hash(&self, input: &[u8]) -> u32 {
        let (pairs, _) = self.nibbles.as_chunks::<2>();
        let tables = pairs.iter().zip(input);
        tables.fold(0, |sum, ([high, low], byte)| {
            sum ^ high[usize::from(byte >> 4)] ^ low[usize::from(byte & 0xf)]
        })
    }
}

#[cfg(test)]
mod tests;
