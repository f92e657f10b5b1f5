//! Rings of an AVF driver whose descriptors and tail are arbitrary, against the device's side of them.
//!
//! Memory and what a worker does are those of [`crate::rings`]; what is written into it are descriptors, right
//! and bent, frames with headers that something can be asked for, and tails.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use libcvf::ring::{AvfRing, ReceiveFormat, Tail};

use crate::input::Input;
use crate::rings::device::Device;
use crate::rings::{MAPS, address};
use crate::world::World;

/// Operations of one run.
const MOST_OPERATIONS: usize = 64;
/// Where frames with headers are.
const FRAMES: u64 = 0x2000;

/// A transmit descriptor.
fn transmit(input: &mut Input<'_>) -> [u64; 2] {
    let at = if input.flag() { FRAMES } else { address(input) };
    match input.below(6) {
        // A context: sizes that fit often, and a tag.
        0 => [
            u64::from(input.byte()) << 32,
            1 | (u64::from(input.byte()) & 0x15) << 4
                | u64::from(input.byte()) << 32
                | u64::from(input.byte()) << 50,
        ],
        1 => [input.number(), input.number()],
        _ => {
            let cmd = u64::from(input.byte()) | (u64::from(input.byte()) & 3) << 8;
            let offsets = match input.below(4) {
                0 => 0,
                // Ethernet, IPv4 or IPv6, TCP or UDP.
                1 => 7 | 5 << 7 | 5 << 14,
                2 => 7 | 10 << 7 | 2 << 14,
                _ => input.number() & 0x3_ffff,
            };
            let len = u64::from(input.byte()) << (input.byte() & 7);
            let tag = u64::from(input.byte());
            [
                at,
                cmd << 4 | offsets << 16 | (len & 0x3fff) << 34 | tag << 48,
            ]
        }
    }
}

/// The beginning of a frame that is IP, bent a little.
fn headers(input: &mut Input<'_>) -> Vec<u8> {
    let mut bytes = vec![2; 12];
    if input.flag() {
        bytes.extend([0x81, 0, 0, input.byte()]);
    }
    let protocol = [6, 17, 132, 1][input.below(4)];
    if input.flag() {
        bytes.extend([8, 0, 0x45, 0, 0, input.byte(), 0, 0, 0, 0, 64, protocol]);
        bytes.extend([0; 10]);
    } else {
        bytes.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0, input.byte(), protocol, 64]);
        bytes.extend([0; 32]);
    }
    bytes.extend([0; 12]);
    bytes.extend([0x50, 0x90]);
    bytes.extend([0; 6]);
    let (at, byte) = (input.below(bytes.len()), input.byte());
    if input.flag() {
        bytes[at] = byte;
    }
    bytes
}

/// Runs one input.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let world = World::new(MAPS);
    // One byte for all, of which the lowest bit said before what the ring is.
    let shape = input.below(16);
    let role = shape & 1;
    let place = AvfRing {
        size: match input.below(4) {
            0..=2 => 64 + 32 * (input.below(3) as u16),
            _ => input.number() as u16,
        },
        base: if input.flag() {
            0
        } else {
            address(&mut input) & !127
        },
        tail: Tail::new(),
        buffer: 1024 + 64 * u32::from(input.byte()),
        longest: 64 * u32::from(input.byte()),
        strip: Arc::new(AtomicBool::new(false)),
        format: if shape & 2 == 0 {
            ReceiveFormat::Legacy
        } else {
            ReceiveFormat::Flex
        },
        keep_crc: shape & 4 != 0,
        uso: shape & 8 != 0,
    };
    let Some(mut device) = Device::avf(role, &place, &world.memory) else {
        return;
    };
    let (mut tail, words) = (0u32, if role == 0 { 2 } else { 4 });
    for _ in 0..MOST_OPERATIONS {
        if input.is_empty() {
            break;
        }
        match input.below(8) {
            0..=2 => {
                // One behind the other, mostly, and told of.
                let slot = if input.below(8) == 7 {
                    u32::from(input.byte())
                } else {
                    tail
                };
                let bytes = match role {
                    0 => transmit(&mut input).map(u64::to_le_bytes).concat(),
                    _ => address(&mut input).to_le_bytes().to_vec(),
                };
                let at = place.base.wrapping_add(8 * words * u64::from(slot));
                world.write(at, &bytes);
                if slot == tail {
                    tail = (tail + 1) % u32::from(place.size);
                    place.tail.set(tail);
                }
            }
            3 => {
                let value = input.number() as u32;
                place.tail.set(value);
                if value < u32::from(place.size) {
                    tail = value;
                }
            }
            4 => world.write(FRAMES, &headers(&mut input)),
            5 => place.strip.store(input.flag(), Ordering::Relaxed),
            _ => {
                if !device.serve(&world.memory, &mut input) {
                    break;
                }
            }
        }
    }
    world.check_canary();
}
