//! A secret permutation of (VLAN, address) keys.

use std::hash::{BuildHasher, RandomState};

use super::port::Vid;
use crate::offload::PackedMac;

/// Bits of a key: 12 of the VLAN id, 48 of the address.
pub(super) const KEY_BITS: u32 = 60;
const MASK: u64 = (1 << KEY_BITS) - 1;

/// Maps keys to keys, one to one, so that any bits of the result are a hash and the others complete
/// it to the whole key. The secret keeps guests from choosing addresses that collide.
#[derive(Clone, Copy, Debug)]
pub(super) struct Permutation {
    mask: u64,
    multiply: [u64; 2],
    /// Their inverses modulo 2^60.
    divide: [u64; 2],
}

impl Permutation {
    /// A random one.
    pub(super) fn random() -> Self {
        let random = RandomState::new();
        Self::keyed([
            random.hash_one(1_u8),
            random.hash_one(2_u8),
            random.hash_one(3_u8),
        ])
    }

    /// The one that `secret` names.
    pub(super) fn keyed(secret: [u64; 3]) -> Self {
        let multiply = [secret[1] | 1, secret[2] | 1];
        Self {
            mask: secret[0] & MASK,
            multiply,
            divide: multiply.map(inverse),
        }
    }

    #[inline]
    pub(super) fn apply(&self, vid: Vid, mac: PackedMac) -> u64 {
        let key = u64::from(vid.0 & 0xfff) << 48 | mac.bits();
        let mut x = key ^ self.mask;
        x ^= x >> 30;
        x = x.wrapping_mul(self.multiply[0]) & MASK;
        x ^= x >> 30;
        x = x.wrapping_mul(self.multiply[1]) & MASK;
        x ^ x >> 30
    }

    pub(super) fn invert(&self, mut x: u64) -> (Vid, PackedMac) {
        // `x ^= x >> 30` undoes itself, because 2 * 30 is the whole width.
        x ^= x >> 30;
        x = x.wrapping_mul(self.divide[1]) & MASK;
        x ^= x >> 30;
        x = x.wrapping_mul(self.divide[0]) & MASK;
        x ^= x >> 30;
        x ^= self.mask;
        (Vid((x >> 48) as u16), PackedMac::from_bits(x))
    }
}

/// The inverse of an odd number modulo 2^64, and so modulo 2^60, by Newton's iteration: correct bits
/// double from 3.
fn inverse(odd: u64) -> u64 {
    let mut x = odd;
    for _ in 0..5 {
        x = x.wrapping_mul(2_u64.wrapping_sub(odd.wrapping_mul(x)));
    }
    x
}

#[cfg(test)]
mod tests;
