//! A guest's memory in a file that holds more than is mapped: what is not mapped is a canary.

use std::fs::File;
use std::os::unix::fs::FileExt;

use libcvf::mem::{GuestMemory, MapRequest};
use nix::sys::memfd::{MFdFlags, memfd_create};

/// Bytes of the file.
const FILE: u64 = 64 << 10;
const CANARY: u8 = 0xc5;

/// What the client maps: guest address, offset in the file, size; in the order of the file.
pub(crate) type Maps = &'static [(u64, u64, u64)];

pub(crate) struct World {
    file: File,
    maps: Maps,
    pub(crate) memory: GuestMemory,
}

impl World {
    pub(crate) fn new(maps: Maps) -> Self {
        let fd = memfd_create(c"world", MFdFlags::MFD_CLOEXEC).expect("memfd");
        nix::unistd::ftruncate(&fd, FILE as i64).expect("ftruncate");
        let memory = GuestMemory::default();
        for &(iova, fd_offset, size) in maps {
            let fd = Some(fd.try_clone().expect("dup"));
            let map = MapRequest {
                iova,
                size,
                fd,
                fd_offset,
                read: true,
                write: true,
            };
            memory.map(map).expect("mapped");
        }
        let world = Self {
            file: fd.into(),
            maps,
            memory,
        };
        for (from, to) in world.holes() {
            let canary = vec![CANARY; (to - from) as usize];
            world.file.write_all_at(&canary, from).expect("written");
        }
        world
    }

    /// Writes to guest memory; what is not mapped is skipped.
    pub(crate) fn write(&self, guest: u64, bytes: &[u8]) {
        for (nth, byte) in bytes.iter().enumerate() {
            let at = guest.wrapping_add(nth as u64);
            let map = self
                .maps
                .iter()
                .find(|(iova, _, size)| (*iova..iova + size).contains(&at));
            if let Some((iova, offset, _)) = map {
                self.file
                    .write_all_at(&[*byte], offset + at - iova)
                    .expect("written");
            }
        }
    }

    pub(crate) fn check_canary(&self) {
        for (from, to) in self.holes() {
            let mut bytes = vec![0; (to - from) as usize];
            self.file.read_exact_at(&mut bytes, from).expect("read");
            assert!(
                bytes.iter().all(|byte| *byte == CANARY),
                "memory that was not mapped has changed"
            );
        }
    }

    /// Parts of the file that are not mapped.
    fn holes(&self) -> Vec<(u64, u64)> {
        let mut at = 0;
        let mut holes = Vec::new();
        for (_, offset, size) in self.maps {
            holes.push((at, *offset));
            at = offset + size;
        }
        holes.push((at, FILE));
        holes.retain(|(from, to)| from < to);
        holes
    }
}
