//! Bounds of an access.

/// An access reached past the end of what it addressed; nothing was read or written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "access to {region} refused: {len} bytes at {offset:#x} reach past its end at {size:#x}; \
     stay within the size the region reports"
)]
pub struct AccessError {
    /// What was accessed.
    pub region: &'static str,
    /// Offset of the access.
    pub offset: u64,
    /// Length of the access in bytes.
    pub len: usize,
    /// Size of the region in bytes.
    pub size: u64,
}

/// Checks that `len` bytes at `offset` lie within `size` and returns the offset as an index.
pub(crate) fn check(
    region: &'static str,
    size: u64,
    offset: u64,
    len: usize,
) -> Result<usize, AccessError> {
    let refused = AccessError {
        region,
        offset,
        len,
        size,
    };
    let end = offset.checked_add(len as u64).ok_or(refused)?;
    if end > size {
        return Err(refused);
    }
    usize::try_from(offset).map_err(|_| refused)
}
