//! Receive rings: their buffers are there already, so the descriptors are changed below the device.

use super::transmit::{NOWHERE, memory_end};
use crate::fakevm::avf::AvfVm;
use crate::fakevm::bus::Bus;
use crate::fakevm::error::Result;
use crate::fakevm::net::{NetGuest, rx_queue};

/// Puts this address into every descriptor.
fn lie<B: Bus>(vm: &mut AvfVm<B>, address: u64) -> Result<()> {
    let rx = &mut vm.pair(0).rx;
    for index in 0..rx.size() {
        rx.write_raw(index, [address, 0]);
    }
    vm.kick(rx_queue(0))
}

pub fn tail_at_end<B: Bus>(vm: &mut AvfVm<B>) -> Result<()> {
    let size = vm.pair(0).rx.size();
    vm.write_tail(rx_queue(0), size.into())
}

pub fn tail_of_ones<B: Bus>(vm: &mut AvfVm<B>) -> Result<()> {
    vm.write_tail(rx_queue(0), u32::MAX)
}

pub fn unmapped<B: Bus>(vm: &mut AvfVm<B>) -> Result<()> {
    lie(vm, NOWHERE)
}

pub fn partly_unmapped<B: Bus>(vm: &mut AvfVm<B>) -> Result<()> {
    let end = memory_end(vm)?;
    lie(vm, end - 16)
}

pub fn wraps<B: Bus>(vm: &mut AvfVm<B>) -> Result<()> {
    lie(vm, u64::MAX - 15)
}

pub fn on_the_ring<B: Bus>(vm: &mut AvfVm<B>) -> Result<()> {
    let base = vm.pair(0).rx.base();
    lie(vm, base)
}
