//! The frame check sequence of Ethernet (IEEE 802.3, 3.2.9): four bytes behind a frame.

/// Bytes of it.
pub const LENGTH: usize = 4;

/// Polynomial of the CRC-32, its lowest power in the uppermost bit.
const POLYNOMIAL: u32 = 0xedb8_8320;

/// The check sequence of a frame's bytes.
#[must_use]
pub fn of(frame: &[u8]) -> u32 {
    let bit = |rest: u32, _| (rest >> 1) ^ (POLYNOMIAL & (rest & 1).wrapping_neg());
    let byte = |rest: u32, byte: &u8| (0..8).fold(rest ^ u32::from(*byte), bit);
    !frame.iter().fold(u32::MAX, byte)
}

/// Takes the check sequence off: the frame, and whether the sequence is that of the frame. None for what is no longer
/// than a check sequence.
#[must_use]
pub fn take(frame: &[u8]) -> Option<(&[u8], bool)> {
    let (frame, sequence) = frame.split_last_chunk::<LENGTH>()?;
    let right = u32::from_le_bytes(*sequence) == of(frame);
    (!frame.is_empty()).then_some((frame, right))
}

#[cfg(test)]
mod tests;
