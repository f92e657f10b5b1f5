//! A part of a function's BAR in our address space.

use std::num::NonZeroUsize;
use std::os::fd::BorrowedFd;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};

use nix::errno::Errno;
use nix::sys::eventfd::EventFd;
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};

use crate::mem::Guarded;

/// Registers of a function, mapped; unmapped when dropped. Any thread may access them: what that does is up to the
/// function, but it never touches memory of Rust's.
///
/// Once the kernel has taken them away, or they were withdrawn, every register reads as all ones, and what is written
/// goes nowhere.
#[derive(Debug)]
pub(in super::super) struct Mapping {
    // In this order: a fault must never find an entry whose range is somebody else's.
    guard: Guarded,
    area: Area,
}

/// What is mapped, until dropped.
#[derive(Debug)]
struct Area {
    base: NonNull<libc::c_void>,
    len: usize,
}

// SAFETY: the mapping belongs to this value alone, and is accessed by single volatile loads and stores only.
unsafe impl Send for Area {}
// SAFETY: as above; accesses of several threads at a time are what registers are made for.
unsafe impl Sync for Area {}

impl Mapping {
    /// Maps `len` bytes at `offset` of a function's descriptor. `gone` is told when they turn out to have gone.
    pub(in super::super) fn new(
        device: BorrowedFd<'_>,
        offset: i64,
        len: NonZeroUsize,
        gone: Arc<EventFd>,
    ) -> nix::Result<Self> {
        // SAFETY: a new mapping at an address that the kernel chooses touches nothing that exists.
        let base = unsafe {
            mmap(
                None,
                len,
                ProtFlags::PROT_READ | ProtFlags::PROT_WRITE,
                MapFlags::MAP_SHARED,
                device,
                offset,
            )
        }?;
        let area = Area {
            base,
            len: len.get(),
        };
        let start = base.as_ptr() as usize;
        let guard = Guarded::enter_with_alarm(start, area.len, gone).ok_or(Errno::ENFILE)?;
        Ok(Self { guard, area })
    }

    pub(in super::super) const fn len(&self) -> usize {
        self.area.len
    }

    /// The registers are not there any more.
    #[inline]
    pub(in super::super) fn is_gone(&self) -> bool {
        self.guard.faulted()
    }

    /// Lets go of the registers, whoever may be accessing them. False where the kernel refuses.
    pub(in super::super) fn withdraw(&self) -> bool {
        self.guard.withdraw()
    }

    /// Where a register is, if it is whole inside and aligned.
    fn place<T>(&self, offset: u32) -> Option<*mut T> {
        let offset = offset as usize;
        let fits = offset
            .checked_add(size_of::<T>())
            .is_some_and(|end| end <= self.area.len);
        // The mapping begins at a page, so an aligned offset is an aligned address.
        (fits && offset.is_multiple_of(align_of::<T>()))
            .then(|| self.area.base.as_ptr().wrapping_byte_add(offset).cast())
    }
}

macro_rules! access {
    ($read:ident, $write:ident, $type:ty) => {
        impl Mapping {
            /// Reads a register; all ones where there is none, or none any more.
            #[inline]
            pub(in super::super) fn $read(&self, offset: u32) -> $type {
                let Some(place) = self.place::<$type>(offset) else {
                    return <$type>::MAX;
                };
                // SAFETY: the place lies in the mapping and is aligned; registers are plain numbers. The mapping is
                // there for as long as `self`: what is taken away is replaced by memory.
                let value = unsafe { place.read_volatile() };
                // What was read may be the replacement's. It was marked before that was there.
                fence(Ordering::Acquire);
                if self.is_gone() {
                    return <$type>::MAX;
                }
                value
            }

            /// Writes a register; does nothing where there is none.
            #[inline]
            pub(in super::super) fn $write(&self, offset: u32, value: $type) {
                if let Some(place) = self.place::<$type>(offset) {
                    // SAFETY: as for reading.
                    unsafe { place.write_volatile(value) }
                }
            }
        }
    };
}

access!(read8, write8, u8);
access!(read16, write16, u16);
access!(read32, write32, u32);

impl Drop for Area {
    fn drop(&mut self) {
        // SAFETY: the mapping was made by `new` with this length, and nobody has a pointer into it any more.
        let done = unsafe { munmap(self.base, self.len) };
        debug_assert!(done.is_ok(), "what was mapped can be unmapped");
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::os::fd::AsFd;

    use nix::sys::eventfd::EfdFlags;
    use nix::sys::memfd::{MFdFlags, memfd_create};
    use nix::unistd::ftruncate;

    use super::*;
    use crate::mem::fault_count;

    const LEN: i64 = 0x4000;

    fn event() -> Arc<EventFd> {
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        Arc::new(EventFd::from_flags(flags).expect("an event"))
    }

    /// A file in place of a function: what is cut off is as if the kernel had taken it away.
    fn registers(gone: &Arc<EventFd>) -> (std::os::fd::OwnedFd, Mapping) {
        let file = memfd_create(c"registers", MFdFlags::MFD_CLOEXEC).expect("a file");
        ftruncate(&file, LEN).expect("its length");
        let len = NonZeroUsize::new(LEN as usize).expect("some");
        let mapping = Mapping::new(file.as_fd(), 0, len, Arc::clone(gone)).expect("a mapping");
        (file, mapping)
    }

    #[test]
    fn registers_that_have_gone_read_as_ones_and_are_told_of_once() {
        let (told, others) = (event(), event());
        let (file, mapping) = registers(&told);
        let (_other, beside) = registers(&others);
        mapping.write32(0x2000, 0x1234_5678);
        beside.write32(0x2000, 7);
        assert_eq!(mapping.read16(0x2002), 0x1234);
        let before = fault_count();
        ftruncate(&file, 0).expect("cut off");
        assert!(!mapping.is_gone(), "nobody has looked");
        // A write is the first that finds it out: doorbells are.
        mapping.write16(0x1000, 1);
        assert!(mapping.is_gone() && fault_count() > before);
        assert_eq!(told.read(), Ok(1));
        for offset in [0, 0x1000, 0x2000, 0x3ffc] {
            mapping.write32(offset, 0);
            assert_eq!(mapping.read32(offset), u32::MAX);
            assert_eq!(mapping.read16(offset), u16::MAX);
            assert_eq!(mapping.read8(offset), u8::MAX);
        }
        assert_eq!(told.read(), Err(Errno::EAGAIN), "once");
        assert_eq!((beside.is_gone(), beside.read32(0x2000)), (false, 7));
        assert_eq!(others.read(), Err(Errno::EAGAIN));
    }

    #[test]
    fn a_read_that_faults_is_all_ones_itself() {
        let told = event();
        let (file, mapping) = registers(&told);
        ftruncate(&file, 0).expect("cut off");
        assert_eq!(mapping.read32(8), u32::MAX);
        assert_eq!(told.read(), Ok(1));
    }

    #[test]
    fn what_is_withdrawn_reads_as_ones_and_holds_nothing() {
        let told = event();
        let (file, mapping) = registers(&told);
        let mine = std::fs::File::from(file.try_clone().expect("a copy"));
        mapping.write32(0, 5);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                // Whoever is at it meanwhile sees what was there or ones, and never what came in its place.
                let mut seen = 5;
                while seen == 5 {
                    seen = mapping.read32(0);
                }
                assert_eq!(seen, u32::MAX);
            });
            assert!(mapping.withdraw());
        });
        mapping.write32(0, 6);
        assert_eq!(mapping.read32(0), u32::MAX);
        let mut kept = [0; 4];
        std::os::unix::fs::FileExt::read_exact_at(&mine, &mut kept, 0).expect("its content");
        assert_eq!(u32::from_ne_bytes(kept), 5, "nothing reaches it any more");
        // No fault: whoever withdraws it knows.
        assert_eq!(told.read(), Err(Errno::EAGAIN));
    }

    #[test]
    fn a_mapping_that_goes_while_others_are_told_leaves_nothing() {
        let told = event();
        let (file, mapping) = registers(&told);
        ftruncate(&file, 0).expect("cut off");
        mapping.write8(0, 1);
        drop(mapping);
        // The event outlives its entry, and a new mapping begins without a mark.
        let (_file, fresh) = registers(&told);
        assert!(!fresh.is_gone());
        assert_eq!(Arc::strong_count(&told), 2);
    }
}
