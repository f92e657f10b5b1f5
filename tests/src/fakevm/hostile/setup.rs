//! Queues that are set up wrongly, and memory that goes away.

use super::tools::{NOWHERE, good_frame, push_tx, readable};
use crate::fakevm::FakeVm;
use crate::fakevm::error::{Error, Result};
use crate::fakevm::net::{NetGuest, tx_queue};
use crate::fakevm::ring::QueueLayout;
use crate::fakevm::virtio::{common, status};

/// Starts the device again with one queue, the first transmit queue, described by `change`.
fn restart(vm: &mut FakeVm, change: impl FnOnce(&mut QueueLayout)) -> Result<()> {
    let mut layout = *vm.pair(0).tx.queue().layout();
    let features = vm.features();
    change(&mut layout);
    vm.transport.negotiate(&mut vm.client, features)?;
    let queue = tx_queue(0);
    vm.transport.select_queue(&mut vm.client, queue)?;
    let client = &mut vm.client;
    vm.transport
        .write(client, common::QUEUE_SIZE, &layout.size.to_le_bytes())?;
    for (at, address) in [
        (common::QUEUE_DESC, layout.desc),
        (common::QUEUE_DRIVER, layout.avail),
        (common::QUEUE_DEVICE, layout.used),
    ] {
        vm.transport
            .write(client, at, &(address as u32).to_le_bytes())?;
        vm.transport
            .write(client, at + 4, &((address >> 32) as u32).to_le_bytes())?;
    }
    vm.transport
        .write(client, common::QUEUE_ENABLE, &1_u16.to_le_bytes())?;
    let bits = vm.transport.status(client)?;
    vm.transport.set_status(client, bits | status::DRIVER_OK)?;
    // A driver that believes the set-up makes something available; in a packed ring the ring that
    // was cleared stays empty.
    if let Ok(queue) = vm.pair(0).tx.queue().split() {
        queue.write_avail_idx(1);
    }
    vm.kick(queue)
}

pub fn size_zero(vm: &mut FakeVm) -> Result<()> {
    restart(vm, |layout| layout.size = 0)
}

pub fn size_odd(vm: &mut FakeVm) -> Result<()> {
    restart(vm, |layout| layout.size = 100)
}

pub fn size_large(vm: &mut FakeVm) -> Result<()> {
    restart(vm, |layout| layout.size = 0xffff)
}

pub fn unmapped(vm: &mut FakeVm) -> Result<()> {
    restart(vm, |layout| layout.desc = NOWHERE)?;
    restart(vm, |layout| layout.avail = NOWHERE)?;
    restart(vm, |layout| layout.used = NOWHERE)
}

pub fn unaligned(vm: &mut FakeVm) -> Result<()> {
    restart(vm, |layout| layout.desc += 1)?;
    restart(vm, |layout| layout.avail += 1)?;
    restart(vm, |layout| layout.used += 2)
}

pub fn wraps(vm: &mut FakeVm) -> Result<()> {
    restart(vm, |layout| layout.desc = u64::MAX - 15)?;
    restart(vm, |layout| layout.avail = u64::MAX - 1)?;
    restart(vm, |layout| layout.used = u64::MAX - 3)
}

/// Writes registers of the running transmit queue, then sends as if nothing had happened.
fn meddle(vm: &mut FakeVm, registers: &[(u64, &[u8])]) -> Result<()> {
    vm.transport.select_queue(&mut vm.client, tx_queue(0))?;
    for (at, bytes) in registers {
        vm.transport.write(&mut vm.client, *at, bytes)?;
    }
    let (gpa, len) = good_frame(vm)?;
    push_tx(vm, &[readable(gpa, len)])
}

pub fn grows(vm: &mut FakeVm) -> Result<()> {
    meddle(vm, &[(common::QUEUE_SIZE, &0x8000_u16.to_le_bytes())])
}

pub fn moves(vm: &mut FakeVm) -> Result<()> {
    let nowhere = NOWHERE.to_le_bytes();
    meddle(
        vm,
        &[
            (common::QUEUE_DESC, &nowhere[..4]),
            (common::QUEUE_DESC + 4, &nowhere[4..]),
            (common::QUEUE_DEVICE, &nowhere[..4]),
            (common::QUEUE_DEVICE + 4, &nowhere[4..]),
        ],
    )
}

/// virtio 1.3 2.1.2: the device consumes nothing before `DRIVER_OK`.
pub fn early_doorbell(vm: &mut FakeVm) -> Result<()> {
    let layout = *vm.pair(0).tx.queue().layout();
    let features = vm.features();
    let (gpa, len) = good_frame(vm)?;
    vm.transport.negotiate(&mut vm.client, features)?;
    vm.transport
        .enable_queue(&mut vm.client, tx_queue(0), &layout, 0xffff)?;
    push_tx(vm, &[readable(gpa, len)])
}

pub fn features_not_offered(vm: &mut FakeVm) -> Result<()> {
    let offered = vm.offered_features();
    match vm.transport.negotiate(&mut vm.client, offered | 1 << 60) {
        Err(Error::Unsupported(_)) => Ok(()),
        Ok(()) => Err(Error::Device(
            "features that were not offered were accepted".into(),
        )),
        Err(other) => Err(other),
    }
}

pub fn unmap_below(vm: &mut FakeVm) -> Result<()> {
    let (gpa, len) = good_frame(vm)?;
    for region in vm.memory.regions() {
        vm.client.dma_unmap(region.gpa, region.size)?;
    }
    push_tx(vm, &[readable(gpa, len)])
}

/// The rings' memory is a memfd that anybody who has it may shorten. This process does not touch
/// what is cut off, so the bus error is the device's alone.
pub fn truncate_below(vm: &mut FakeVm) -> Result<()> {
    for index in 0..vm.memory.regions().len() {
        vm.memory.truncate(index, 0)?;
    }
    vm.kick(tx_queue(0))
}
