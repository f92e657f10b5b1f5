//! Registers that a client maps: memory that both sides write.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU32, Ordering};

use nix::errno::Errno;
use vm_memory::FileOffset;
use vm_memory::mmap::{MmapRegion, MmapRegionError};

use super::fault::Guarded;
use super::sealed_file;

/// Registers of 32 bits, little-endian, in a file that a client may map, all zero at first. What is in them is whatever the client, or a
/// guest, wrote last. Any thread may access them. The file's length is fixed; where the host has no memory left for a hole that its
/// client punched, they read zero from then on.
#[derive(Debug)]
pub struct SharedRegisters {
    /// Before the mapping that it watches.
    _guard: Guarded,
    region: MmapRegion,
}

impl SharedRegisters {
    /// `len` bytes of them. Memory is taken for pages that somebody writes.
    ///
    /// # Errors
    /// The kernel has none.
    pub fn new(len: usize) -> Result<Self, Errno> {
        let failed = |error| match error {
            MmapRegionError::Mmap(error) => {
                Errno::from_raw(error.raw_os_error().unwrap_or(libc::ENOMEM))
            }
            _ => Errno::EINVAL,
        };
        let file = sealed_file(len as u64)?.into();
        let region = MmapRegion::from_file(FileOffset::new(file, 0), len).map_err(failed)?;
        let whole = region.size().next_multiple_of(4096);
        let guard = Guarded::enter(region.as_ptr() as usize, whole).ok_or(Errno::ENFILE)?;
        Ok(Self {
            _guard: guard,
            region,
        })
    }

    /// The file, for its client.
    ///
    /// # Errors
    /// There is no descriptor left.
    pub fn file(&self) -> Result<OwnedFd, Errno> {
        let file = self.region.file_offset().ok_or(Errno::EBADF)?.file();
        let copy = file.try_clone();
        copy.map(OwnedFd::from)
            .map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(libc::EMFILE)))
    }

    /// The register at `at`, a multiple of four, as it stands; what was written to memory before it is seen behind
    /// this. Zero beyond the end.
    #[inline]
    pub fn load(&self, at: usize) -> u32 {
        self.register(at)
            .map_or(0, |register| u32::from_le(register.load(Ordering::Acquire)))
    }

    /// Sets it, behind whatever was written before. Nothing beyond the end.
    #[inline]
    pub fn store(&self, at: usize, value: u32) {
        if let Some(register) = self.register(at) {
            register.store(value.to_le(), Ordering::Release);
        }
    }

    #[inline]
    fn register(&self, at: usize) -> Option<&AtomicU32> {
        let fits = at < self.region.size() && self.region.size() - at >= 4 && at.is_multiple_of(4);
        // SAFETY: inside the mapping, which lives as long as `self`, and faults in which are contained, and aligned
        // as its start is; atomics may be shared with a writer outside of this process.
        fits.then(|| unsafe { AtomicU32::from_ptr(self.region.as_ptr().add(at).cast()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::os::unix::fs::FileExt;

    #[test]
    fn both_sides_see_what_the_other_wrote_and_none_can_cut_it_off() {
        let registers = SharedRegisters::new(8192).expect("memory");
        let client = File::from(registers.file().expect("a descriptor"));
        client
            .write_all_at(&7u32.to_le_bytes(), 4096)
            .expect("write");
        assert_eq!(registers.load(4096), 7);
        registers.store(4, 0x0100_0009);
        let mut bytes = [0; 4];
        client.read_exact_at(&mut bytes, 4).expect("read");
        assert_eq!(bytes, [9, 0, 0, 1]);
        for len in [0, 4096, 1 << 20] {
            assert!(client.set_len(len).is_err(), "{len}");
        }
        registers.store(8192, 1);
        assert_eq!(
            [8192, 8190, 4098, usize::MAX - 3].map(|at| registers.load(at)),
            [0; 4]
        );
    }
}
