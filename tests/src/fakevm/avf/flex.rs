//! The flexible format of written receive descriptors (`FLEX_SQ_NIC`), read into what the legacy one would say.

use super::desc::{Written, rxdid};
use crate::fakevm::error::{Error, Result};

/// Bits of a flexible descriptor's second word, and where the legacy one's has what they say.
const SAME: [(u32, u64); 10] = [
    (0, 1 << 0),
    (1, 1 << 1),
    (3, 1 << 3),
    (4, 1 << (ERRORS + 3)),
    (5, 1 << (ERRORS + 4)),
    (6, 1 << (ERRORS + 5)),
    (9, 1 << 15),
    (10, 1 << ERRORS),
    (12, 3 << 12),
    (13, 1 << 2),
];
/// Where the legacy format has its errors.
const ERRORS: u32 = 19;

/// What a descriptor that the device has written says, by its first three words. Tag and hash are in the second word where
/// the legacy format has them in the first.
///
/// # Errors
/// Fails when it is of another format, or of a packet type that the legacy format has no room for.
#[inline]
pub fn written(first: u64, second: u64, third: u64) -> Result<Written> {
    let (format, ptype, len) = (first as u8, first >> 16 & 0x3ff, first >> 32 & 0x3fff);
    if format != rxdid::FLEX || ptype > u8::MAX.into() || third != 0 {
        return Err(Error::Device(format!(
            "a flexible descriptor of {first:#x}, {second:#x}, {third:#x}"
        )));
    }
    let said = SAME
        .iter()
        .filter(|(bit, _)| second >> bit & 1 != 0)
        .fold(0, |said, (_, legacy)| said | legacy);
    Ok(Written(said | ptype << 30 | len << 38))
}
