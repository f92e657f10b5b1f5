//! What the liars share.

use crate::fakevm::FakeVm;
use crate::fakevm::error::{Error, Result};
use crate::fakevm::frame;
use crate::fakevm::mem::Shared;
use crate::fakevm::net::{HEADER_LEN, NetGuest, NetHeader, rx_queue, tx_queue};
use crate::fakevm::ring::{Segment, SplitQueue};

/// A descriptor as it will lie in the table.
#[derive(Clone, Copy)]
pub struct Desc {
    pub index: u16,
    pub gpa: u64,
    pub len: u32,
    pub flags: u16,
    pub next: u16,
}

pub fn desc(index: u16, gpa: u64, len: u32, flags: u16, next: u16) -> Desc {
    Desc {
        index,
        gpa,
        len,
        flags,
        next,
    }
}

/// An address where no guest memory is.
pub const NOWHERE: u64 = 0x7f_0000_0000;

/// Writes descriptors as they are, makes `head` available and rings the transmit doorbell.
pub fn lie_tx(vm: &mut FakeVm, descs: &[Desc], head: u16) -> Result<()> {
    place(vm.pair(0).tx.queue().split()?, descs, head);
    vm.kick(tx_queue(0))
}

/// The same for the receive ring, whose buffers are taken back first: the available index is
/// where the device left off only if nothing has been received yet, so the lie comes at the very
/// next entry that the device reads.
pub fn lie_rx(vm: &mut FakeVm, descs: &[Desc], head: u16) -> Result<()> {
    let queue = vm.pair(0).rx.queue().split()?;
    let next = queue.used_idx();
    for desc in descs {
        queue.write_desc(desc.index, desc.gpa, desc.len, desc.flags, desc.next);
    }
    queue.write_avail(next, head);
    vm.kick(rx_queue(0))
}

fn place(queue: &mut SplitQueue, descs: &[Desc], head: u16) {
    for desc in descs {
        queue.write_desc(desc.index, desc.gpa, desc.len, desc.flags, desc.next);
    }
    let at = queue.avail_idx();
    queue.write_avail(at, head);
    queue.write_avail_idx(at.wrapping_add(1));
}

/// A frame to the correspondent, with its header, in the buffer of descriptor 0. Returns where it lies
/// and how long it is.
pub fn good_frame(vm: &mut FakeVm) -> Result<(u64, u32)> {
    let mac = vm.mac()?;
    let frame = frame::numbered(vm.correspondent, mac, 0x4c49_4521, 64);
    write_frame(vm, &NetHeader::default(), &frame)
}

/// A header and a frame in the buffers that begin at descriptor 0's. Returns where they lie and
/// how long they are.
pub fn write_frame(vm: &mut FakeVm, header: &NetHeader, frame: &[u8]) -> Result<(u64, u32)> {
    let gpa = vm.pair(0).tx.buffer_gpa(0);
    let view = bytes(vm, gpa, HEADER_LEN + frame.len())?;
    view.write(0, &header.encode());
    view.write(HEADER_LEN, frame);
    Ok((gpa, (HEADER_LEN + frame.len()) as u32))
}

/// Guest memory at an address.
pub fn bytes(vm: &FakeVm, gpa: u64, len: usize) -> Result<Shared> {
    vm.memory.view(gpa, len)
}

/// Pushes a chain by the rules, with whatever is in its buffers, and rings the doorbell.
pub fn push_tx(vm: &mut FakeVm, segments: &[Segment]) -> Result<()> {
    let queue = vm.pair(0).tx.queue();
    queue.push_chain(segments)?;
    queue.publish();
    vm.kick(tx_queue(0))
}

/// A piece that the device reads.
pub fn readable(gpa: u64, len: u32) -> Segment {
    Segment {
        gpa,
        len,
        device_writes: false,
    }
}

/// Last address of guest memory, and one past it.
pub fn memory_end(vm: &FakeVm) -> Result<u64> {
    let regions = vm.memory.regions();
    let last = regions.iter().map(|region| region.gpa + region.size).max();
    last.ok_or_else(|| Error::Memory("no regions".into()))
}
