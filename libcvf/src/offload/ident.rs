//! Identifications of IPv6 fragments that are made here.

use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// Starts anywhere, so that values do not tell how long the process runs (RFC 7739 5.2).
static NEXT: LazyLock<AtomicU32> =
    LazyLock::new(|| AtomicU32::new(RandomState::new().hash_one(0_u8) as u32));

/// A value that the 2^32 following calls do not return again.
pub(super) fn next() -> u32 {
    NEXT.fetch_add(1, Ordering::Relaxed)
}
