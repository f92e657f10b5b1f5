//! What queues and vectors are said to be.

use super::transmit::{NOWHERE, good_first};
use crate::fakevm::avf::AvfVm;
use crate::fakevm::avf::messages::{self, QueuePair};
use crate::fakevm::avf::virtchnl::op;
use crate::fakevm::bus::Bus;
use crate::fakevm::error::Result;
use crate::fakevm::net::{NetGuest, rx_queue, tx_queue};

/// Stops the queues, says that they are as `change` has them, starts them and tells the device of buffers and frames.
fn restart<B: Bus>(vm: &mut AvfVm<B>, change: impl FnOnce(&mut Vec<QueuePair>)) -> Result<()> {
    vm.disable_queues(1, 1)?;
    configure(vm, change)?;
    start(vm)
}

fn configure<B: Bus>(vm: &mut AvfVm<B>, change: impl FnOnce(&mut Vec<QueuePair>)) -> Result<()> {
    let mut pairs = vm.queue_pairs();
    change(&mut pairs);
    let body = messages::config_queues(vm.resources().vsi, &pairs);
    vm.request(op::CONFIG_VSI_QUEUES, &body).map(drop)
}

fn start<B: Bus>(vm: &mut AvfVm<B>) -> Result<()> {
    // The device begins anew, where it has written over addresses.
    let rx = &mut vm.pair(0).rx;
    for index in 0..rx.size() {
        let buffer = rx.buffer_gpa(index);
        rx.write_raw(index, [buffer, 0]);
    }
    vm.enable_queues(1, 1)?;
    vm.kick(rx_queue(0))?;
    good_first(vm);
    vm.write_tail(tx_queue(0), 1)
}

/// Each way of being wrong is for both rings of the first pair.
fn both<B: Bus>(vm: &mut AvfVm<B>, lens: &[u16]) -> Result<()> {
    for len in lens {
        restart(vm, |pairs| pairs[0].tx_len = *len)?;
        restart(vm, |pairs| pairs[0].rx_len = u32::from(*len))?;
    }
    Ok(())
}

fn bases<B: Bus>(vm: &mut AvfVm<B>, base: u64) -> Result<()> {
    restart(vm, |pairs| pairs[0].tx_base = base)?;
    restart(vm, |pairs| pairs[0].rx_base = base)
}

pub fn no_size<B: Bus>(vm: &mut AvfVm<B>) -> Result<()> {
    both(vm, &[0])
}

pub fn odd_size<B: Bus>(vm: &mut AvfVm<B>) -> Result<()> {
    both(vm, &[1, 33, 100])
}

pub fn large_size<B: Bus>(vm: &mut AvfVm<B>) -> Result<()> {
    both(vm, &[8192, u16::MAX - 31, u16::MAX])?;
    restart(vm, |pairs| pairs[0].rx_len = 0x1_0000 + 512)?;
    restart(vm, |pairs| pairs[0].rx_len = u32::MAX - 31)
}

pub fn unmapped<B: Bus>(vm: &mut AvfVm<B>) -> Result<()> {
    bases(vm, NOWHERE)
}

pub fn unaligned<B: Bus>(vm: &mut AvfVm<B>) -> Result<()> {
    let base = vm.pair(0).tx.base();
    bases(vm, base + 1)?;
    bases(vm, base + 64)
}

pub fn wraps<B: Bus>(vm: &mut AvfVm<B>) -> Result<()> {
    bases(vm, u64::MAX - 127)
}

pub fn no_buffer<B: Bus>(vm: &mut AvfVm<B>) -> Result<()> {
    restart(vm, |pairs| pairs[0].buffer = 0)?;
    restart(vm, |pairs| pairs[0].buffer = 64)
}

pub fn large_buffer<B: Bus>(vm: &mut AvfVm<B>) -> Result<()> {
    restart(vm, |pairs| pairs[0].buffer = 16_384)?;
    restart(vm, |pairs| pairs[0].buffer = u32::MAX)?;
    restart(vm, |pairs| pairs[0].max_frame = u32::MAX)
}

pub fn no_format<B: Bus>(vm: &mut AvfVm<B>) -> Result<()> {
    for rxdid in [0, 3, 22, u8::MAX] {
        restart(vm, |pairs| pairs[0].rxdid = rxdid)?;
    }
    Ok(())
}

pub fn crc_of_stripped<B: Bus>(vm: &mut AvfVm<B>) -> Result<()> {
    vm.set_vlan_strip(true)?;
    restart(vm, |pairs| pairs[0].keep_crc = true)
}

pub fn stripped_with_crc<B: Bus>(vm: &mut AvfVm<B>) -> Result<()> {
    vm.set_vlan_strip(false)?;
    restart(vm, |pairs| pairs[0].keep_crc = true)?;
    vm.set_vlan_strip(true).map(drop)
}

pub fn other_queue<B: Bus>(vm: &mut AvfVm<B>) -> Result<()> {
    restart(vm, |pairs| pairs[0].queue = 16)?;
    restart(vm, |pairs| pairs[0].queue = u16::MAX)
}

pub fn many_pairs<B: Bus>(vm: &mut AvfVm<B>) -> Result<()> {
    restart(vm, |pairs| {
        let pair = pairs[0];
        pairs.extend((1..60).map(|queue| QueuePair { queue, ..pair }));
    })
}

pub fn not_placed<B: Bus>(vm: &mut AvfVm<B>) -> Result<()> {
    vm.enable_queues(u32::MAX, u32::MAX)?;
    vm.post(op::RESET_VF, &[])?;
    vm.await_reset()?;
    // A driver that says nothing before.
    vm.forget()?;
    vm.open()?;
    vm.enable_queues(1, 1).map(drop)
}

pub fn moves<B: Bus>(vm: &mut AvfVm<B>) -> Result<()> {
    configure(vm, |pairs| {
        let pair = &mut pairs[0];
        std::mem::swap(&mut pair.tx_base, &mut pair.rx_base);
        pair.tx_len = 4096;
    })?;
    start(vm)
}

pub fn other_vector<B: Bus>(vm: &mut AvfVm<B>) -> Result<()> {
    for vector in [0, 64, u16::MAX] {
        let body = messages::irq_map(vm.resources().vsi, &[(vector, 1)]);
        vm.request(op::CONFIG_IRQ_MAP, &body)?;
    }
    Ok(())
}
