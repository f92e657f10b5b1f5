//! Asking for cache lines before they are needed. A hint: nothing is accessed and nothing faults,
//! whatever the address.

/// Bytes of a cache line.
pub(super) const LINE: usize = 64;

/// Fetches the line at `at`, to be read.
#[inline(always)]
pub(super) fn to_read(at: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch never faults and changes no memory.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<{ _MM_HINT_T0 }>(at.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = at;
}

/// Fetches the line at `at`, to be written: other processors give up their copies now, not when
/// the store waits for it.
#[inline(always)]
pub(super) fn to_write(at: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: as above. Processors that do not know the instruction treat it as a no-op.
    unsafe {
        std::arch::asm!("prefetchw [{}]", in(reg) at, options(nostack, preserves_flags, readonly));
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = at;
}

/// [`to_read`] for two lines, the one at `at` and the next.
#[inline(always)]
pub(super) fn two_to_read(at: *const u8) {
    to_read(at);
    to_read(at.wrapping_add(LINE));
}

/// [`to_read`] for the first two lines of `len` bytes at `at`, or for the only one.
#[inline(always)]
pub(super) fn start_to_read(at: *const u8, len: u32) {
    to_read(at);
    if at as usize % LINE + len as usize > LINE {
        to_read(at.wrapping_add(LINE));
    }
}

/// [`to_write`] for two lines, the one at `at` and the next.
#[inline(always)]
pub(super) fn two_to_write(at: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: as with one.
    unsafe {
        std::arch::asm!(
            "prefetchw [{0}]",
            "prefetchw [{0} + {1}]",
            in(reg) at,
            const LINE,
            options(nostack, preserves_flags, readonly),
        );
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = at;
}
