//! Receive rings with buffers that nothing fits into, or that are none.

use super::tools::{NOWHERE, desc, lie_rx};
use crate::fakevm::FakeVm;
use crate::fakevm::error::Result;
use crate::fakevm::net::{NetGuest, rx_queue};
use crate::fakevm::ring::{DESC_NEXT, DESC_WRITE};

/// Turns every posted buffer into one of `len` bytes.
fn shrink(vm: &mut FakeVm, len: u32) -> Result<()> {
    for index in 0..vm.pair(0).rx.queue().size() {
        let gpa = vm.pair(0).rx.buffer_gpa(index);
        vm.pair(0)
            .rx
            .queue()
            .split()?
            .write_desc(index, gpa, len, DESC_WRITE, 0);
    }
    vm.kick(rx_queue(0))
}

pub fn crumbs(vm: &mut FakeVm) -> Result<()> {
    shrink(vm, 1)
}

pub fn empty(vm: &mut FakeVm) -> Result<()> {
    shrink(vm, 0)
}

/// The head that the device finds next.
fn head(vm: &mut FakeVm) -> Result<u16> {
    let queue = vm.pair(0).rx.queue().split()?;
    Ok(queue.used_idx() & (queue.size() - 1))
}

pub fn readable(vm: &mut FakeVm) -> Result<()> {
    let head = head(vm)?;
    let gpa = vm.pair(0).rx.buffer_gpa(head);
    lie_rx(vm, &[desc(head, gpa, 2048, 0, 0)], head)
}

pub fn unmapped(vm: &mut FakeVm) -> Result<()> {
    let head = head(vm)?;
    lie_rx(vm, &[desc(head, NOWHERE, 2048, DESC_WRITE, 0)], head)
}

/// Whatever is received is written over the used ring itself.
pub fn on_top_of_the_ring(vm: &mut FakeVm) -> Result<()> {
    let head = head(vm)?;
    let used = vm.pair(0).rx.queue().layout().used;
    lie_rx(vm, &[desc(head, used, 2048, DESC_WRITE, 0)], head)
}

pub fn cycle(vm: &mut FakeVm) -> Result<()> {
    let head = head(vm)?;
    let gpa = vm.pair(0).rx.buffer_gpa(head);
    lie_rx(
        vm,
        &[desc(head, gpa, 1, DESC_WRITE | DESC_NEXT, head)],
        head,
    )
}

pub fn jump(vm: &mut FakeVm) -> Result<()> {
    let queue = vm.pair(0).rx.queue().split()?;
    // Buffers that the device knows of are filled first: it is one from behind the last of them, too.
    let far = queue.used_idx().wrapping_add(0x8000);
    queue.write_avail_idx(far);
    vm.kick(rx_queue(0))
}
