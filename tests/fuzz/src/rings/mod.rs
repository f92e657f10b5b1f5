//! Rings whose memory holds arbitrary bytes, against the device's side of them.
//!
//! A file is cut into what the client maps and what it does not; the latter lies in the same mapping of
//! ours, filled with a canary. The input says which ring of which format lies where, fills memory, and
//! interleaves more writes with what a worker does. Asserted:
//! - no panic, and no access that faults;
//! - the canary stays;
//! - a burst holds no more frames than it may, no frame is longer than it may, and its bytes are there;
//! - what is served without new entries ends.

mod device;

use std::fs::File;
use std::os::unix::fs::FileExt;

use libcvf::mem::{GuestMemory, MapRequest, RingPlace};
use libcvf::ring::{RingFeatures, RingFormat};
use nix::sys::memfd::{MFdFlags, memfd_create};

use crate::input::Input;
use device::Device;

/// Bytes of the file.
const FILE: u64 = 64 << 10;
/// What the client maps: guest address, offset in the file, size. The rest is canary.
const MAPS: [(u64, u64, u64); 3] = [
    (0, 0, 0x4000),
    (0x4000, 0x8000, 0x2000),
    (0x8000, 0xc000, 0x1000),
];
const CANARY: u8 = 0xc5;
/// Operations of one run.
const MOST_OPERATIONS: usize = 64;

struct World {
    file: File,
    memory: GuestMemory,
}

impl World {
    fn new() -> Self {
        let fd = memfd_create(c"rings", MFdFlags::MFD_CLOEXEC).expect("memfd");
        nix::unistd::ftruncate(&fd, FILE as i64).expect("ftruncate");
        let memory = GuestMemory::default();
        for (iova, fd_offset, size) in MAPS {
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
            memory,
        };
        for (from, to) in holes() {
            let canary = vec![CANARY; (to - from) as usize];
            world.file.write_all_at(&canary, from).expect("written");
        }
        world
    }

    /// Writes to guest memory; what is not mapped is skipped.
    fn write(&self, guest: u64, bytes: &[u8]) {
        for (nth, byte) in bytes.iter().enumerate() {
            let at = guest.wrapping_add(nth as u64);
            let map = MAPS
                .iter()
                .find(|(iova, _, size)| (*iova..iova + size).contains(&at));
            if let Some((iova, offset, _)) = map {
                self.file
                    .write_all_at(&[*byte], offset + at - iova)
                    .expect("written");
            }
        }
    }

    fn check_canary(&self) {
        for (from, to) in holes() {
            let mut bytes = vec![0; (to - from) as usize];
            self.file.read_exact_at(&mut bytes, from).expect("read");
            assert!(
                bytes.iter().all(|byte| *byte == CANARY),
                "memory that was not mapped has changed"
            );
        }
    }
}

/// Parts of the file that are not mapped.
fn holes() -> Vec<(u64, u64)> {
    let mut at = 0;
    let mut holes = Vec::new();
    for (_, offset, size) in MAPS {
        holes.push((at, offset));
        at = offset + size;
    }
    holes.push((at, FILE));
    holes.retain(|(from, to)| from < to);
    holes
}

/// An address: mostly where something is.
fn address(input: &mut Input<'_>) -> u64 {
    match input.below(8) {
        0..=4 => (u64::from(input.byte()) << 7) % 0x9000,
        5 => 0x3ff0 + u64::from(input.byte() % 32),
        6 => 0x5ff0 + u64::from(input.byte() % 32),
        _ => input.number(),
    }
}

/// A descriptor of either format: address, length, and four bytes whose order differs.
fn descriptor(input: &mut Input<'_>) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&address(input).to_le_bytes());
    let len = match input.below(4) {
        0 => u32::from(input.byte()),
        1 => u32::from(input.byte()) << 4,
        2 => 16 * (1 + u32::from(input.byte() % 8)),
        _ => input.number() as u32,
    };
    bytes[8..12].copy_from_slice(&len.to_le_bytes());
    let tail: [u8; 4] = match input.below(4) {
        // Split: flags, next.
        0 => [input.byte() & 7, 0, input.byte() % 8, 0],
        // Packed: id, flags of the first turn and of the second.
        1 => [input.byte(), 0, 0x80 | input.byte() & 7, 0],
        2 => [input.byte(), 0, input.byte() & 7, 0x80],
        _ => [input.byte(), input.byte(), input.byte(), input.byte()],
    };
    bytes[12..].copy_from_slice(&tail);
    bytes
}

/// Runs one input.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let world = World::new();
    let format = if input.flag() {
        RingFormat::Packed
    } else {
        RingFormat::Split
    };
    let bits = input.byte();
    let features = RingFeatures {
        event_idx: bits & 1 != 0,
        indirect: bits & 2 != 0,
        merge: bits & 4 != 0,
        hash_report: bits & 16 != 0,
        in_order: bits & 8 != 0,
    };
    let size = match input.below(4) {
        0..=2 => 1 << input.below(7),
        _ => input.number() as u16,
    };
    let place = if input.flag() {
        RingPlace {
            size,
            descriptors: 0,
            available: 0x1000,
            used: 0x1800,
        }
    } else {
        RingPlace {
            size,
            descriptors: address(&mut input),
            available: address(&mut input),
            used: address(&mut input),
        }
    };
    let role = input.below(3);
    let Some(mut device) = Device::new(role, format, place, features, &world.memory) else {
        return;
    };
    for _ in 0..MOST_OPERATIONS {
        if input.is_empty() {
            break;
        }
        match input.below(8) {
            0 | 1 => {
                let slot = u64::from(input.byte() % 64);
                world.write(
                    place.descriptors.wrapping_add(16 * slot),
                    &descriptor(&mut input),
                );
            }
            2 => world.write(address(&mut input), &descriptor(&mut input)),
            3 => {
                // Available ring, or event suppression.
                let at = place
                    .available
                    .wrapping_add(2 * u64::from(input.byte() % 70));
                world.write(at, &[input.byte(), input.byte() & 1]);
            }
            4 => {
                let (at, count) = (address(&mut input), input.below(64));
                world.write(at, input.bytes(count));
            }
            _ => {
                if !device.serve(&world.memory, &mut input) {
                    break;
                }
            }
        }
    }
    world.check_canary();
}
