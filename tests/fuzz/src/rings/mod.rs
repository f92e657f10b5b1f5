//! Rings whose memory holds arbitrary bytes, against the device's side of them.
//!
//! A file is cut into what the client maps and what it does not; the latter lies in the same mapping of
//! ours, filled with a canary. The input says which ring of which format lies where, fills memory, and
//! interleaves more writes with what a worker does. Asserted:
//! - no panic, and no access that faults;
//! - the canary stays;
//! - a burst holds no more frames than it may, no frame is longer than it may, and its bytes are there;
//! - what is served without new entries ends.

pub(crate) mod device;

use libcvf::mem::RingPlace;
use libcvf::ring::{RingFeatures, RingFormat};

use crate::input::Input;
use crate::world::{Maps, World};
use device::Device;

/// What the client maps. The rest is canary.
pub(crate) const MAPS: Maps = &[
    (0, 0, 0x4000),
    (0x4000, 0x8000, 0x2000),
    (0x8000, 0xc000, 0x1000),
];
/// Operations of one run.
const MOST_OPERATIONS: usize = 64;

/// An address: mostly where something is.
pub(crate) fn address(input: &mut Input<'_>) -> u64 {
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
    let world = World::new(MAPS);
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
