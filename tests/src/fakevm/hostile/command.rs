//! Commands on the control queue that are none.

use crate::fakevm::FakeVm;
use crate::fakevm::control::{ControlQueue, ctrl};
use crate::fakevm::error::{Error, Result};
use crate::fakevm::net::NetGuest;
use crate::fakevm::ring::Segment;

/// Pushes a chain on the control queue after writing `bytes` where it reads.
fn push(
    vm: &mut FakeVm,
    bytes: &[u8],
    segments: impl FnOnce(u64, u64) -> Vec<Segment>,
) -> Result<()> {
    let none = || Error::Unsupported("no control queue".into());
    let queue: &mut ControlQueue = vm.control_queue().ok_or_else(none)?;
    let (buffer, gpa) = queue.buffer();
    buffer.write(64, bytes);
    let segments = segments(gpa + 64, gpa);
    queue.queue().push_chain(&segments)?;
    queue.queue().publish();
    let index = queue.index;
    vm.kick(index)
}

fn reads(gpa: u64, len: usize) -> Segment {
    Segment {
        gpa,
        len: len as u32,
        device_writes: false,
    }
}

fn writes(gpa: u64, len: u32) -> Segment {
    Segment {
        gpa,
        len,
        device_writes: true,
    }
}

/// A command by the rules, but for its content.
fn well_formed(vm: &mut FakeVm, bytes: &[u8]) -> Result<()> {
    let len = bytes.len();
    push(vm, bytes, |at, ack| vec![reads(at, len), writes(ack, 1)])
}

pub fn no_ack(vm: &mut FakeVm) -> Result<()> {
    push(vm, &[ctrl::RX, ctrl::RX_PROMISC, 1], |at, _| {
        vec![reads(at, 3)]
    })
}

pub fn short(vm: &mut FakeVm) -> Result<()> {
    well_formed(vm, &[ctrl::RX])
}

pub fn table_past_end(vm: &mut FakeVm) -> Result<()> {
    let mut bytes = vec![ctrl::MAC, ctrl::MAC_TABLE_SET];
    bytes.extend_from_slice(&u32::MAX.to_le_bytes());
    bytes.extend_from_slice(&[2, 0, 0, 0, 0, 9]);
    well_formed(vm, &bytes)
}

pub fn unknown(vm: &mut FakeVm) -> Result<()> {
    well_formed(vm, &[0xee, 0xee, 1, 2, 3, 4])
}

pub fn long(vm: &mut FakeVm) -> Result<()> {
    let mut bytes = vec![0xff; (64 << 10) - 64];
    bytes[..2].copy_from_slice(&[ctrl::MAC, ctrl::MAC_TABLE_SET]);
    well_formed(vm, &bytes)
}

pub fn no_pairs(vm: &mut FakeVm) -> Result<()> {
    well_formed(vm, &[ctrl::MQ, ctrl::MQ_VQ_PAIRS_SET, 0, 0])
}

pub fn many_pairs(vm: &mut FakeVm) -> Result<()> {
    well_formed(vm, &[ctrl::MQ, ctrl::MQ_VQ_PAIRS_SET, 0xff, 0xff])
}

pub fn vlan_past_last(vm: &mut FakeVm) -> Result<()> {
    well_formed(vm, &[ctrl::VLAN, ctrl::VLAN_ADD, 0xff, 0xff])
}
