//! Toeplitz, bit by bit.

use super::frames::{Frame, TCP, UDP};

/// The hash of a frame by its addresses, and its ports where it has them.
pub fn of(key: &[u8; 40], frame: &Frame) -> u32 {
    let (l3, l4) = (frame.l3, frame.l4);
    let addresses = if frame.v6 {
        l3 + 8..l3 + 40
    } else {
        l3 + 12..l3 + 20
    };
    let mut input = frame.bytes[addresses].to_vec();
    if matches!(frame.protocol, TCP | UDP) && frame.fragment.is_none() {
        input.extend(&frame.bytes[l4..l4 + 4]);
    }
    let bit = |bytes: &[u8], at: usize| bytes[at / 8] >> (7 - at % 8) & 1 != 0;
    let mut hash = 0;
    for at in (0..8 * input.len()).filter(|at| bit(&input, *at)) {
        hash ^= (0..32).fold(0, |word, nth| word << 1 | u32::from(bit(key, at + nth)));
    }
    hash
}
