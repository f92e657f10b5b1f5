//! Bytes that follow from a seed and a position, cheap to make and to check.

/// One mixing step (the finalizer of a 64-bit avalanche hash).
fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    x = (x ^ (x >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    x ^ (x >> 33)
}

/// The eight bytes at the 8-byte-aligned position `word * 8` of the pattern called `seed`.
fn word(seed: u64, word: u64) -> [u8; 8] {
    mix(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ word).to_le_bytes()
}

/// Fills `out` with the pattern `seed` from byte position `at`.
pub fn fill(seed: u64, at: u64, out: &mut [u8]) {
    each(seed, at, out.len(), |range, bytes| {
        out[range].copy_from_slice(bytes);
    });
}

/// Counts the bytes of `data` that differ from the pattern `seed` at byte position `at`.
#[must_use]
pub fn mismatches(seed: u64, at: u64, data: &[u8]) -> u64 {
    let mut wrong = 0;
    each(seed, at, data.len(), |range, bytes| {
        if data[range.clone()] != *bytes {
            wrong += data[range]
                .iter()
                .zip(bytes)
                .filter(|(a, b)| a != b)
                .count() as u64;
        }
    });
    wrong
}

/// Calls `piece` with consecutive ranges of `0..len` and the pattern bytes that belong there.
fn each(seed: u64, at: u64, len: usize, mut piece: impl FnMut(std::ops::Range<usize>, &[u8])) {
    let mut done = 0;
    while done < len {
        let position = at + done as u64;
        let bytes = word(seed, position / 8);
        let skip = (position % 8) as usize;
        let take = (8 - skip).min(len - done);
        piece(done..done + take, &bytes[skip..skip + take]);
        done += take;
    }
}

#[cfg(test)]
mod tests;
