//! The only access to memory that a device shares with the fake VM.
//!
//! [`Shared`] is a window into a map. It never yields a reference to the bytes: the other side
//! changes them at will. Ring indices go through atomics, payload through raw copies. Every
//! access is checked against the window and panics outside it, since that is a bug of the driver
//! and never something the device decides.

use std::marker::PhantomData;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU32, AtomicU64, Ordering, fence};

use super::sys::Mapping;

/// A window of shared memory. Clones see the same bytes and may move to other threads.
#[derive(Clone, Debug)]
pub struct Shared {
    base: *mut u8,
    len: usize,
    map: Arc<Mapping>,
}

// SAFETY: the pointer stays valid wherever the value moves, because it owns a share of the map;
// all access is by atomics and raw copies.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

macro_rules! words {
    ($($load:ident $store:ident $int:ty, $atomic:ty;)*) => {
        impl Shared {$(
            /// Loads one aligned little-endian word, relaxed.
            #[inline]
            pub fn $load(&self, at: usize) -> $int {
                // SAFETY: `aligned` has checked bounds and alignment, and the map outlives `self`.
                let word = unsafe { <$atomic>::from_ptr(self.span().aligned(at)) };
                <$int>::from_le(word.load(Ordering::Relaxed))
            }

            /// Stores one aligned little-endian word, relaxed.
            #[inline]
            pub fn $store(&self, at: usize, value: $int) {
                self.span().$store(at, value);
            }
        )*}

        impl Span<'_> {$(
            /// Stores one aligned little-endian word, relaxed.
            #[inline]
            pub fn $store(self, at: usize, value: $int) {
                // SAFETY: `aligned` has checked bounds and alignment, and the map outlives `self`.
                let word = unsafe { <$atomic>::from_ptr(self.aligned(at)) };
                word.store(value.to_le(), Ordering::Relaxed);
            }
        )*}
    };
}

words! {
    load16 store16 u16, AtomicU16;
    load32 store32 u32, AtomicU32;
    load64 store64 u64, AtomicU64;
}

impl Shared {
    /// The whole map as one window.
    pub fn new(map: &Arc<Mapping>) -> Self {
        Shared {
            base: map.as_ptr(),
            len: map.len(),
            map: Arc::clone(map),
        }
    }

    /// The part of this window from `at`, `len` bytes long; none if it does not fit.
    pub fn window(&self, at: usize, len: usize) -> Option<Self> {
        let end = at.checked_add(len)?;
        if end > self.len {
            return None;
        }
        // SAFETY: `at <= end <= self.len`, so the result stays within the map.
        let base = unsafe { self.base.add(at) };
        Some(Shared {
            base,
            len,
            map: Arc::clone(&self.map),
        })
    }

    /// Bytes of the window.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether the window is empty.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Loads a 16-bit index so that what the other side wrote before it is seen after it.
    #[inline]
    pub fn acquire16(&self, at: usize) -> u16 {
        // SAFETY: `aligned` has checked bounds and alignment, and the map outlives `self`.
        let word = unsafe { AtomicU16::from_ptr(self.span().aligned(at)) };
        u16::from_le(word.load(Ordering::Acquire))
    }

    /// Stores a 16-bit index after everything written before it.
    #[inline]
    pub fn release16(&self, at: usize, value: u16) {
        // SAFETY: `aligned` has checked bounds and alignment, and the map outlives `self`.
        let word = unsafe { AtomicU16::from_ptr(self.span().aligned(at)) };
        word.store(value.to_le(), Ordering::Release);
    }

    /// Loads an aligned 64-bit word so that what the other side wrote before it is seen after it.
    #[inline]
    pub fn acquire64(&self, at: usize) -> u64 {
        // SAFETY: `aligned` has checked bounds and alignment, and the map outlives `self`.
        let word = unsafe { AtomicU64::from_ptr(self.span().aligned(at)) };
        u64::from_le(word.load(Ordering::Acquire))
    }

    /// Stores an aligned 64-bit word after everything written before it.
    #[inline]
    pub fn release64(&self, at: usize, value: u64) {
        // SAFETY: `aligned` has checked bounds and alignment, and the map outlives `self`.
        let word = unsafe { AtomicU64::from_ptr(self.span().aligned(at)) };
        word.store(value.to_le(), Ordering::Release);
    }

    /// Stores an aligned 32-bit word after everything written before it.
    #[inline]
    pub fn release32(&self, at: usize, value: u32) {
        // SAFETY: `aligned` has checked bounds and alignment, and the map outlives `self`.
        let word = unsafe { AtomicU32::from_ptr(self.span().aligned(at)) };
        word.store(value.to_le(), Ordering::Release);
    }

    /// The same window, for a loop: where it is stays in registers, whatever is written.
    #[inline]
    pub fn span(&self) -> Span<'_> {
        Span {
            base: self.base,
            len: self.len,
            life: PhantomData,
        }
    }

    /// Copies bytes out.
    #[inline]
    pub fn read(&self, at: usize, to: &mut [u8]) {
        self.span().read(at, to);
    }

    /// Copies bytes in.
    #[inline]
    pub fn write(&self, at: usize, from: &[u8]) {
        self.span().write(at, from);
    }

    /// Copies bytes to another window, which may be of the same map if the two do not overlap.
    ///
    /// # Panics
    /// Panics when they overlap.
    #[inline]
    pub fn copy_to(&self, at: usize, to: &Shared, to_at: usize, len: usize) {
        let (from, to) = (self.bytes(at, len), to.bytes(to_at, len));
        let distance = from.addr().abs_diff(to.addr());
        assert!(distance >= len, "copying onto itself");
        // SAFETY: `bytes` has checked both ranges, and they do not overlap.
        unsafe { ptr::copy_nonoverlapping(from, to, len) };
    }

    /// Sets `len` bytes to `value`.
    pub fn fill(&self, at: usize, len: usize, value: u8) {
        let to = self.bytes(at, len);
        // SAFETY: `bytes` has checked the range.
        unsafe { ptr::write_bytes(to, value, len) };
    }

    #[inline]
    fn bytes(&self, at: usize, len: usize) -> *mut u8 {
        self.span().bytes(at, len)
    }
}

/// A borrowed [`Shared`].
#[derive(Clone, Copy, Debug)]
pub struct Span<'m> {
    base: *mut u8,
    len: usize,
    life: PhantomData<&'m Mapping>,
}

impl Span<'_> {
    /// Copies bytes out.
    #[inline]
    pub fn read(self, at: usize, to: &mut [u8]) {
        let from = self.bytes(at, to.len());
        // SAFETY: `bytes` has checked the range; `to` is memory of this process that cannot
        // overlap the map, because no reference into the map exists.
        unsafe { ptr::copy_nonoverlapping(from, to.as_mut_ptr(), to.len()) };
    }

    /// Copies bytes in.
    #[inline]
    pub fn write(self, at: usize, from: &[u8]) {
        let to = self.bytes(at, from.len());
        // SAFETY: as in `read`, with the roles exchanged.
        unsafe { ptr::copy_nonoverlapping(from.as_ptr(), to, from.len()) };
    }

    /// Copies out words of eight bytes that follow each other, each as `make` has it.
    #[inline]
    pub fn read_words<T>(self, at: usize, to: &mut [T], make: impl Fn(u64) -> T) {
        let from = self.bytes(at, to.len() * size_of::<u64>());
        for (nth, slot) in to.iter_mut().enumerate() {
            // SAFETY: `bytes` has checked all of them; bytes need no alignment.
            let word = unsafe { from.add(nth * size_of::<u64>()).cast::<[u8; 8]>().read() };
            *slot = make(u64::from_le_bytes(word));
        }
    }

    /// Asks the processor to fetch the line at `at`, if it is within the window.
    #[inline]
    pub fn prefetch(self, at: usize) {
        #[cfg(target_arch = "x86_64")]
        if at < self.len {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            // SAFETY: the address is within the window; a prefetch never faults.
            unsafe { _mm_prefetch(self.base.add(at).cast::<i8>(), _MM_HINT_T0) };
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = at;
    }

    /// The same for a line that is about to be written. The intrinsic for that becomes a fetch to read
    /// unless the target promises the instruction.
    #[inline]
    pub fn prefetch_write(self, at: usize) {
        #[cfg(target_arch = "x86_64")]
        if at < self.len {
            // SAFETY: the address is within the window; a prefetch never faults, and processors that do
            // not know this one take it as a no-op.
            unsafe {
                std::arch::asm!(
                    "prefetchw [{}]",
                    in(reg) self.base.add(at),
                    options(nostack, preserves_flags, readonly)
                );
            }
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = at;
    }

    #[inline]
    fn bytes(self, at: usize, len: usize) -> *mut u8 {
        assert!(
            at <= self.len && len <= self.len - at,
            "{at}+{len} is outside {}",
            self.len
        );
        // SAFETY: `at <= self.len`, so the result stays within the map or one past its end.
        unsafe { self.base.add(at) }
    }

    #[inline]
    fn aligned<T>(self, at: usize) -> *mut T {
        let at = self.bytes(at, size_of::<T>());
        assert!(
            at.addr().is_multiple_of(size_of::<T>()),
            "unaligned word in shared memory"
        );
        at.cast()
    }
}

/// Orders everything before it against everything after it, stores against loads included.
#[inline]
pub fn full_fence() {
    fence(Ordering::SeqCst);
}
