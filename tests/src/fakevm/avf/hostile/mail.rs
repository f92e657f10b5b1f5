//! The mailbox. Nothing waits for an answer, which may never come.

use super::transmit::NOWHERE;
use crate::fakevm::avf::AvfVm;
use crate::fakevm::avf::mailbox::{BUFFER, Descriptor, ENTRIES, flag};
use crate::fakevm::avf::messages;
use crate::fakevm::avf::registers::{len, reg};
use crate::fakevm::avf::virtchnl::op;
use crate::fakevm::bus::Bus;
use crate::fakevm::error::Result;

/// Operations that say something.
const SPEAKING: [u32; 13] = [
    op::VERSION,
    op::GET_VF_RESOURCES,
    op::CONFIG_VSI_QUEUES,
    op::CONFIG_IRQ_MAP,
    op::ENABLE_QUEUES,
    op::ADD_ETH_ADDR,
    op::ADD_VLAN,
    op::ADD_VLAN_V2,
    op::CONFIG_RSS_KEY,
    op::CONFIG_RSS_LUT,
    op::REQUEST_QUEUES,
    op::GET_STATS,
    op::GET_SUPPORTED_RXDIDS,
];

fn put<B: Bus>(vm: &mut AvfVm<B>, op: u32, body: &[u8]) -> Result<()> {
    let (mailbox, client) = vm.mailbox()?;
    mailbox.put(Descriptor::message(op, body.len()), body)?;
    mailbox.ring(client)
}

fn put_raw<B: Bus>(vm: &mut AvfVm<B>, what: &Descriptor) -> Result<()> {
    let (mailbox, client) = vm.mailbox()?;
    mailbox.put_raw(what);
    mailbox.ring(client)
}

/// A message that has not to be that of an operation, at an address.
fn message_at(address: u64, len: usize) -> Descriptor {
    let mut what = Descriptor::message(op::VERSION, len);
    what.address = address;
    what
}

pub fn no_operation<B: Bus>(vm: &mut AvfVm<B>) -> Result<()> {
    put(vm, 0, &[])
}

pub fn unknown<B: Bus>(vm: &mut AvfVm<B>) -> Result<()> {
    for op in [16, 18, 58, 200, 0x1_0003, u32::MAX] {
        put(vm, op, &[0; 12])?;
    }
    Ok(())
}

pub fn event<B: Bus>(vm: &mut AvfVm<B>) -> Result<()> {
    put(
        vm,
        op::EVENT,
        &[2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 0, 0, 0],
    )
}

pub fn cut<B: Bus>(vm: &mut AvfVm<B>) -> Result<()> {
    for op in SPEAKING {
        put(vm, op, &[])?;
        put(vm, op, &[1])?;
    }
    Ok(())
}

pub fn long<B: Bus>(vm: &mut AvfVm<B>) -> Result<()> {
    for op in SPEAKING {
        put(vm, op, &[0; BUFFER])?;
    }
    Ok(())
}

pub fn list_past_end<B: Bus>(vm: &mut AvfVm<B>) -> Result<()> {
    let vsi = vm.resources().vsi;
    let mut lists = [
        (op::ADD_ETH_ADDR, messages::ether_addresses(vsi, &[]), 2),
        (op::DEL_ETH_ADDR, messages::ether_addresses(vsi, &[]), 2),
        (op::ADD_VLAN, messages::vlans(vsi, &[1]), 2),
        (op::ADD_VLAN_V2, messages::vlans_v2(vsi, true, &[1]), 2),
        (op::CONFIG_RSS_KEY, messages::rss(vsi, &[0; 52]), 2),
        (op::CONFIG_RSS_LUT, messages::rss(vsi, &[0; 64]), 2),
        (op::CONFIG_IRQ_MAP, messages::irq_map(vsi, &[(1, 1)]), 0),
        (op::CONFIG_VSI_QUEUES, messages::config_queues(vsi, &[]), 2),
    ];
    for (op, body, count) in &mut lists {
        body[*count..*count + 2].fill(0xff);
        put(vm, *op, body)?;
    }
    Ok(())
}

pub fn long_buffer<B: Bus>(vm: &mut AvfVm<B>) -> Result<()> {
    let [(_, base), _] = vm.mailbox()?.0.rings();
    put_raw(vm, &message_at(base, BUFFER + 1))?;
    put_raw(vm, &message_at(base, 0xffff))
}

pub fn unmapped<B: Bus>(vm: &mut AvfVm<B>) -> Result<()> {
    put_raw(vm, &message_at(NOWHERE, 8))
}

pub fn wraps<B: Bus>(vm: &mut AvfVm<B>) -> Result<()> {
    put_raw(vm, &message_at(u64::MAX - 3, 8))
}

pub fn firmware<B: Bus>(vm: &mut AvfVm<B>) -> Result<()> {
    for opcode in [0x0001, 0x0006, 0x0802, 0xffff] {
        let what = Descriptor {
            flags: flag::SI,
            opcode,
            ..Descriptor::default()
        };
        put_raw(vm, &what)?;
    }
    Ok(())
}

pub fn tail_beyond<B: Bus>(vm: &mut AvfVm<B>) -> Result<()> {
    for tail in [u32::from(ENTRIES), 0x3ff, u32::MAX] {
        vm.write_register(reg::ATQT, tail)?;
        vm.write_register(reg::ARQT, tail)?;
    }
    Ok(())
}

pub fn moves<B: Bus>(vm: &mut AvfVm<B>) -> Result<()> {
    for base in [NOWHERE, u64::MAX - 127] {
        for (low, high) in [(reg::ATQBAL, reg::ATQBAH), (reg::ARQBAL, reg::ARQBAH)] {
            vm.write_register(low, base as u32)?;
            vm.write_register(high, (base >> 32) as u32)?;
        }
        put(vm, op::GET_STATS, &messages::queue_select(0, 0, 0))?;
    }
    Ok(())
}

fn resize<B: Bus>(vm: &mut AvfVm<B>, size: u32) -> Result<()> {
    vm.write_register(reg::ATQLEN, size | len::ENABLE)?;
    vm.write_register(reg::ARQLEN, size | len::ENABLE)?;
    put(vm, op::GET_STATS, &messages::queue_select(0, 0, 0))
}

pub fn no_size<B: Bus>(vm: &mut AvfVm<B>) -> Result<()> {
    resize(vm, 0)
}

pub fn large<B: Bus>(vm: &mut AvfVm<B>) -> Result<()> {
    resize(vm, 0x3ff)?;
    resize(vm, 0x0fff_ffff)?;
    vm.write_register(reg::ATQT, 0x3fe)
}

pub fn no_room<B: Bus>(vm: &mut AvfVm<B>) -> Result<()> {
    let head = vm.read_register(reg::ARQH)?;
    vm.write_register(reg::ARQT, head)?;
    flood(vm)
}

/// Far more requests than there is room for, and no answer is taken.
pub fn flood<B: Bus>(vm: &mut AvfVm<B>) -> Result<()> {
    let body = messages::queue_select(vm.resources().vsi, 0, 0);
    for _ in 0..10 * ENTRIES {
        put(vm, op::GET_STATS, &body)?;
    }
    Ok(())
}
