//! Copies between mapped memory, for the lengths that frames have.

use std::ptr;

/// Sixteen bytes in one register.
#[cfg(target_arch = "x86_64")]
type Lane = std::arch::x86_64::__m128i;
#[cfg(not(target_arch = "x86_64"))]
type Lane = u128;

/// Longest copy that is made in place of a call.
const INLINE: usize = 128;

/// Names a value for each offset, all loaded before the first is stored: registers, not memory, are
/// between load and store, and the two ranges may overlap.
macro_rules! lanes {
    ($type:ty, $from:ident, $to:ident: $($value:ident = $at:expr),+) => {{
        $(let $value = ptr::read_unaligned($from.add($at).cast::<$type>());)+
        $(ptr::write_unaligned($to.add($at).cast::<$type>(), $value);)+
    }};
}

/// Copies `len` bytes; short copies without a call. The ranges may overlap.
///
/// # Safety
/// `from` is mapped readable and `to` writable for `len` bytes.
#[inline(always)]
pub(super) unsafe fn copy(from: *const u8, to: *mut u8, len: usize) {
    // SAFETY: by the caller's promise; in each arm the lanes at the front and those at the back lie
    // within `len`. No alignment is assumed.
    unsafe {
        match len {
            33..=64 => lanes!(Lane, from, to: a = 0, b = 16, c = len - 32, d = len - 16),
            65..=INLINE => lanes!(Lane, from, to: a = 0, b = 16, c = 32, d = 48,
                e = len - 64, f = len - 48, g = len - 32, h = len - 16),
            16..=32 => lanes!(Lane, from, to: a = 0, b = len - 16),
            8..=15 => lanes!(u64, from, to: a = 0, b = len - 8),
            4..=7 => lanes!(u32, from, to: a = 0, b = len - 4),
            2..=3 => lanes!(u16, from, to: a = 0, b = len - 2),
            1 => lanes!(u8, from, to: a = 0),
            0 => {}
            _ => ptr::copy(from, to, len),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::copy;

    #[test]
    fn every_length_is_copied_exactly() {
        for len in 0..=300usize {
            let from: Vec<u8> = (0..len).map(|n| (n * 7 + len) as u8).collect();
            let mut to = vec![0xee; len + 2];
            // SAFETY: both vectors have the room.
            unsafe { copy(from.as_ptr(), to.as_mut_ptr().add(1), len) };
            assert_eq!(&to[1..=len], &from[..], "{len}");
            assert_eq!((to[0], to[len + 1]), (0xee, 0xee), "{len}");
        }
    }

    #[test]
    fn ranges_may_overlap() {
        for len in 0..=300usize {
            for shift in [1, 3, 8, 17, 64] {
                let start: Vec<u8> = (0..len + 64).map(|n| n as u8).collect();
                let (mut up, mut down) = (start.clone(), start.clone());
                // SAFETY: `len + shift` is within both vectors.
                unsafe {
                    copy(up.as_ptr(), up.as_mut_ptr().add(shift), len);
                    copy(down.as_ptr().add(shift), down.as_mut_ptr(), len);
                }
                assert_eq!(up[shift..shift + len], start[..len], "{len} up {shift}");
                assert_eq!(down[..len], start[shift..shift + len], "{len} down {shift}");
            }
        }
    }
}
