//! Copies between mapped memory, for the lengths that frames have.

use std::ptr;

/// Sixteen bytes at a time.
type Lane = [u64; 2];

/// Longest copy that is made in place of a call.
const INLINE: usize = 128;

/// Loads and stores `L` at both ends of a range, `N` from each; everything is loaded before
/// anything is stored, so the two ranges may overlap.
///
/// # Safety
/// As [`copy`]; `N * size_of::<L>() <= len <= 2 * N * size_of::<L>()`.
#[inline(always)]
unsafe fn ends<L: Copy, const N: usize>(from: *const u8, to: *mut u8, len: usize) {
    let lane = size_of::<L>();
    // SAFETY: the first N and the last N lanes lie within `len`, by this function's condition; no
    // alignment is assumed.
    unsafe {
        let front: [L; N] =
            std::array::from_fn(|n| ptr::read_unaligned(from.add(n * lane).cast::<L>()));
        let back: [L; N] = std::array::from_fn(|n| {
            ptr::read_unaligned(from.add(len - (n + 1) * lane).cast::<L>())
        });
        for (n, value) in front.into_iter().enumerate() {
            ptr::write_unaligned(to.add(n * lane).cast::<L>(), value);
        }
        for (n, value) in back.into_iter().enumerate() {
            ptr::write_unaligned(to.add(len - (n + 1) * lane).cast::<L>(), value);
        }
    }
}

/// Copies `len` bytes; short copies without a call. The ranges may overlap.
///
/// # Safety
/// `from` is mapped readable and `to` writable for `len` bytes.
#[inline]
pub(super) unsafe fn copy(from: *const u8, to: *mut u8, len: usize) {
    // SAFETY: the caller's promise; each arm keeps the bounds that `ends` asks for.
    unsafe {
        match len {
            65..=INLINE => ends::<Lane, 4>(from, to, len),
            32..=64 => ends::<Lane, 2>(from, to, len),
            16..=31 => ends::<Lane, 1>(from, to, len),
            8..=15 => ends::<u64, 1>(from, to, len),
            4..=7 => ends::<u32, 1>(from, to, len),
            2..=3 => ends::<u16, 1>(from, to, len),
            1 => ends::<u8, 1>(from, to, len),
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
