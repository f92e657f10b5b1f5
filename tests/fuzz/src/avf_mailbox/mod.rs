//! Registers and mailbox of an adaptive virtual function, against a guest that writes arbitrary bytes.
//!
//! A file is cut into what the client maps and what it does not; the latter lies in the same mapping of ours, filled
//! with a canary. The input interleaves register accesses, writes to memory, messages that are nearly right, and what
//! an operator does. Asserted:
//! - no panic, and no access that faults;
//! - the canary stays;
//! - each message is answered, once, but for resets; nothing grows;
//! - rings that are taken into use are of a shape that was promised;
//! - after a reset the function can be brought up.

mod device;

use libcvf::control::MacAddr;
use libcvf::personality::Given;

use crate::input::Input;
use crate::world::{Maps, World};
use device::Device;

/// What the client maps. The rest is canary.
const MAPS: Maps = &[(0, 0x1000, 0x5000), (0x5000, 0xa000, 0x3000)];
/// Operations of one run.
const MOST_OPERATIONS: usize = 96;

/// Where a well-behaved driver puts things.
const SEND: u64 = 0x0000;
const RECEIVE: u64 = 0x0800;
const BUFFERS: u64 = 0x4f00;

/// Registers that do something.
const REGISTERS: [u64; 18] = [
    0x0000, 0x2000, 0x2800, 0x3800, 0x4800, 0x5000, 0x5c00, 0x6000, 0x6400, 0x6800, 0x6c00, 0x7000,
    0x7400, 0x7800, 0x7c00, 0x8000, 0x8400, 0x8800,
];

/// Operations that are built, and how many bytes their messages have at least.
const OPERATIONS: [(u32, usize); 28] = [
    (1, 8),
    (2, 0),
    (3, 4),
    (6, 136),
    (7, 26),
    (8, 12),
    (9, 12),
    (10, 20),
    (11, 20),
    (12, 8),
    (13, 8),
    (14, 4),
    (15, 12),
    (18, 8),
    (23, 57),
    (24, 69),
    (25, 0),
    (26, 8),
    (27, 0),
    (28, 0),
    (29, 2),
    (51, 0),
    (52, 40),
    (53, 40),
    (54, 16),
    (55, 16),
    (56, 16),
    (57, 16),
];

/// A descriptor of an admin queue.
fn descriptor(words: [u16; 4], cookies: [u32; 2], address: u64) -> Vec<u8> {
    let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let longs = [
        cookies[0],
        cookies[1],
        0,
        0,
        (address >> 32) as u32,
        address as u32,
    ];
    bytes.extend(longs.iter().flat_map(|long| long.to_le_bytes()));
    bytes
}

/// The content of a message: mostly small numbers, for those are what is there.
fn content(input: &mut Input<'_>, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    for half in bytes.chunks_mut(2) {
        let number = match input.below(4) {
            0 => 0,
            1 => 1,
            2 => u64::from(input.byte()),
            _ => input.number(),
        };
        half.copy_from_slice(&number.to_le_bytes()[..half.len()]);
    }
    bytes
}

/// A message: operation and content, of the length that it should have, more or less.
fn message(input: &mut Input<'_>) -> (u32, Vec<u8>) {
    if input.below(16) == 15 {
        let len = input.below(256);
        return (input.number() as u32, content(input, len));
    }
    let (operation, least) = OPERATIONS[input.below(OPERATIONS.len())];
    let len = match input.below(8) {
        0 => input.below(256),
        1 => least + 64,
        _ => least,
    };
    let mut bytes = content(input, len);
    if input.flag() && bytes.len() >= 4 {
        // The function's VSI, and one of whatever it is.
        bytes[..4].copy_from_slice(&[1, 0, 1, 0]);
    }
    (operation, bytes)
}

/// Runs one input.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let world = World::new(MAPS);
    let pairs = 1 + input.below(4) as u16;
    let mut device = Device::new(pairs, &world.memory);
    if input.flag() {
        device.enable_mailbox(SEND, RECEIVE);
    }
    let mut slot = 0u16;
    for _ in 0..MOST_OPERATIONS {
        if input.is_empty() {
            break;
        }
        match input.below(8) {
            0 | 1 => {
                // A message as drivers send it.
                let (operation, bytes) = message(&mut input);
                let at = BUFFERS + u64::from(input.byte());
                world.write(at, &bytes);
                let words = [0x3400, 0x0801, bytes.len() as u16, 0];
                let place = SEND + 32 * u64::from(slot);
                world.write(place, &descriptor(words, [operation, 0], at));
                slot = (slot + 1) % 32;
                device.write(0x8400, &u32::from(slot).to_le_bytes());
            }
            2 => {
                let (operation, bytes) = message(&mut input);
                device.message(operation, bytes);
            }
            3 => {
                let room = input.number() as u16;
                let words = [0x1200, 0, room, 0];
                let at = RECEIVE + 32 * u64::from(input.byte() % 32);
                world.write(at, &descriptor(words, [0, 0], input.number()));
            }
            4 => {
                let register = REGISTERS[input.below(REGISTERS.len())];
                let offset = register + 4 * (input.byte() as u64 % 20);
                device.write(offset, &(input.number() as u32).to_le_bytes());
            }
            5 => {
                let (offset, len) = (input.number(), input.below(64));
                if input.flag() {
                    device.write(offset, input.bytes(len));
                } else {
                    device.read(offset, len);
                }
            }
            6 => {
                let (at, len) = (input.number() % 0x9000, input.below(64));
                world.write(at, input.bytes(len));
            }
            _ => match input.below(4) {
                0 => device.set_link(input.flag()),
                1 => device.give(Given {
                    mac: MacAddr([0x52, 0x54, 0, 0, 0, input.byte()]),
                    mtu: input.number() as u16,
                    pairs: input.byte().into(),
                    features: input.number(),
                }),
                2 => device.deny(input.below(4)),
                _ => device.reset(),
            },
        }
    }
    device.comes_up();
    world.check_canary();
}
