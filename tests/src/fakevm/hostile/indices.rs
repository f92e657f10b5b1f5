//! Ring indices that no driver writes.

use super::tools::{good_frame, lie_tx, push_tx, readable};
use crate::fakevm::FakeVm;
use crate::fakevm::error::Result;
use crate::fakevm::net::{NetGuest, tx_queue};

pub fn head_out_of_range(vm: &mut FakeVm) -> Result<()> {
    let size = vm.pair(0).tx.queue().size();
    lie_tx(vm, &[], size)
}

pub fn jump(vm: &mut FakeVm) -> Result<()> {
    let queue = vm.pair(0).tx.queue().split()?;
    let far = queue.avail_idx().wrapping_add(queue.size() + 1);
    queue.write_avail_idx(far);
    vm.kick(tx_queue(0))
}

pub fn back(vm: &mut FakeVm) -> Result<()> {
    let queue = vm.pair(0).tx.queue().split()?;
    queue.write_avail_idx(queue.avail_idx().wrapping_sub(1));
    vm.kick(tx_queue(0))
}

pub fn twice(vm: &mut FakeVm) -> Result<()> {
    let (gpa, len) = good_frame(vm)?;
    let queue = vm.pair(0).tx.queue().split()?;
    let at = queue.avail_idx();
    queue.write_avail(at.wrapping_add(1), 0);
    queue.write_avail(at, 0);
    queue.write_desc(0, gpa, len, 0, 0);
    queue.write_avail_idx(at.wrapping_add(2));
    vm.kick(tx_queue(0))
}

/// Every index from 0 past the first carry, low byte first: between the two stores it is off by
/// 256, which a small ring must notice and no ring may trust.
pub fn torn(vm: &mut FakeVm) -> Result<()> {
    let (gpa, len) = good_frame(vm)?;
    let size = vm.pair(0).tx.queue().size();
    for index in 0..size {
        vm.pair(0)
            .tx
            .queue()
            .split()?
            .write_desc(index, gpa, len, 0, 0);
        vm.pair(0).tx.queue().split()?.write_avail(index, index);
    }
    let start = vm.pair(0).tx.queue().split()?.avail_idx();
    for step in 1..=300_u16 {
        let [low, high] = start.wrapping_add(step).to_le_bytes();
        let avail = vm.pair(0).tx.queue().split()?.areas()[1].clone();
        avail.write(2, &[low]);
        vm.kick(tx_queue(0))?;
        avail.write(3, &[high]);
        vm.kick(tx_queue(0))?;
    }
    Ok(())
}

pub fn doorbell_of_no_queue(vm: &mut FakeVm) -> Result<()> {
    let (notify, posted) = (vm.transport.notify, vm.transport.posted);
    for queue in [0x7fff_u16, 0xffff] {
        // At the first doorbell's address, and at an address where no doorbell is.
        notify.write(&mut vm.client, posted, 0, &queue.to_le_bytes())?;
        notify.write(&mut vm.client, posted, notify.len - 2, &queue.to_le_bytes())?;
    }
    let (gpa, len) = good_frame(vm)?;
    push_tx(vm, &[readable(gpa, len)])
}
