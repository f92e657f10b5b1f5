//! Resets from both sides.

use super::driver::*;
use super::host::Call;
use crate::control::{ControlRequest, MacAddr};
use crate::personality::{DriverState, Given, Personality};
use crate::ring::MailboxSide;

/// Everything is as after a reset, and the function can be brought up again without `VIRTCHNL_OP_VERSION`.
fn comes_up_again(d: &mut Driver, pairs: u16) {
    assert!(!d.host.started && d.host.rings.is_empty() && d.host.armed.is_empty());
    assert_eq!(d.host.placed, [None, None]);
    for queue in [reg::ATQ, reg::ARQ] {
        for register in [queue.bal, queue.bah, queue.len, queue.tail] {
            assert_eq!(d.read(register), 0);
        }
    }
    for register in [reg::DYN_CTL0, reg::ICR0_ENA, reg::DYN_CTLN, reg::ITRN] {
        assert_eq!(d.read(register), 0);
    }
    assert_eq!((d.read(reg::QTX_TAIL), d.read(reg::QRX_TAIL)), (0, 0));
    d.host.posted.clear();
    d.init_mailbox();
    for opcode in [op::ENABLE_QUEUES, op::CONFIG_VSI_QUEUES] {
        assert_eq!(d.status(opcode, select(1, 1)), UNSUPPORTED);
    }
    let resources = d.resources(LINUX);
    assert_eq!(resources[2..4], pairs.to_le_bytes());
    d.good(op::GET_OFFLOAD_VLAN_V2_CAPS, []);
    assert_eq!(d.status(op::ENABLE_QUEUES, select(1, 1)), PARAM);
    d.good(op::CONFIG_IRQ_MAP, irq_map(pairs));
    d.good(op::ADD_ETH_ADDR, addresses(&[(MAC, 1)]));
    d.good(op::CONFIG_VSI_QUEUES, queue_config(pairs));
    d.good(op::ENABLE_QUEUES, select(ones(pairs), ones(pairs)));
    assert!(d.host.started);
    assert_eq!(d.device.status().state, DriverState::Running);
}

/// A device with everything set that can be.
fn busy() -> Driver {
    let mut d = Driver::running(2);
    d.good(op::ADD_VLAN_V2, vlans_v2(&[1, 2]));
    d.good(op::CONFIG_RSS_KEY, rss(&[9; 52]));
    d.good(op::CONFIG_RSS_LUT, rss(&[1; 64]));
    d.good(op::CONFIG_PROMISCUOUS_MODE, vec![1, 0, 3, 0]);
    let group = MacAddr([1, 0, 0x5e, 0, 0, 1]);
    d.good(op::ADD_ETH_ADDR, addresses(&[(group, 2)]));
    d.write(reg::DYN_CTL0, 1 | 3 << 3);
    d.write(reg::ICR0_ENA, 1 << 30);
    d.write(reg::DYN_CTLN, 1 | 25 << 5);
    d.write(reg::DYN_CTLN + 4, 1 | 3 << 3);
    d.write(reg::QTX_TAIL, 5);
    d.host.take();
    d
}

/// What the host is told when the function is reset.
fn reset_calls() -> Vec<Call> {
    let mut calls = vec![Call::Stop];
    calls.extend((0..4).map(|queue| Call::QueueVector(queue, None)));
    calls.extend((0..3).map(|vector| Call::VectorEnable(vector, false)));
    calls.push(Call::Mailbox(MailboxSide::Send, None));
    calls.push(Call::Mailbox(MailboxSide::Receive, None));
    calls
}

#[test]
fn the_driver_resets_the_function() {
    let mut d = busy();
    d.host.heads = [5, 9];
    d.send(op::RESET_VF, []);
    assert_eq!(d.host.take(), reset_calls());
    assert_eq!(d.next(), None, "it is not answered");
    // What the driver looks at while it waits.
    assert_eq!(d.read(reg::ARQ.len) >> 31, 0);
    let states = [0; 4].map(|_| d.read(reg::RSTAT));
    assert_eq!(states, [0, 1, 2, 2]);
    assert_eq!((d.read(reg::ATQ.head), d.read(reg::ARQ.head)), (5, 9));
    comes_up_again(&mut d, 2);
}

#[test]
fn the_device_resets_the_function_and_says_so_first() {
    let mut d = busy();
    let given = Given {
        mac: MAC,
        mtu: 9000,
        pairs: 2,
        features: u64::MAX,
    };
    assert!(d.device.give(&mut d.host, given));
    assert_eq!(d.host.take(), reset_calls());
    let event = d.next().expect("an event");
    assert_eq!((event.opcode, event.status), (op::EVENT, 0));
    assert_eq!(
        event.bytes,
        [2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 0, 0, 0]
    );
    assert_eq!(d.next(), None);
    assert_eq!(d.read(reg::ARQ.len) >> 31, 0);
    assert_eq!([0; 3].map(|_| d.read(reg::RSTAT)), [0, 1, 2]);
    comes_up_again(&mut d, 2);
    assert_eq!(d.device.status().mtu, 9000);
}

#[test]
fn a_driver_of_a_stopped_device_is_told_to_start_anew_if_it_was_told_of_anything() {
    let mut d = busy();
    assert!(d.device.restart(&mut d.host));
    assert_eq!(d.host.take(), reset_calls());
    let event = d.next().expect("an event");
    assert_eq!((event.opcode, event.bytes[0]), (op::EVENT, 2));
    comes_up_again(&mut d, 2);
    let mut idle = Driver::mailbox(2);
    assert!(!idle.device.restart(&mut idle.host));
    assert_eq!(idle.next(), None);
}

#[test]
fn a_reset_of_the_pci_function_forgets_all() {
    for flr in [false, true] {
        let mut d = busy();
        let other = MacAddr([0x52, 0x54, 0, 9, 9, 9]);
        d.good(op::ADD_ETH_ADDR, addresses(&[(other, 1)]));
        d.send(op::REQUEST_QUEUES, [1, 0]);
        d.host.posted.clear();
        d.init_mailbox();
        d.good(op::VERSION, [1, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(d.good(op::GET_VF_RESOURCES, [])[30..], other.0);
        d.host.take();
        if flr {
            let at = 0x48 + 8 + 1;
            let effects = d.device.config_write(&mut d.host, at, &[0x80]);
            assert!(effects.unwrap().flr);
        } else {
            d.device.reset(&mut d.host);
        }
        assert!(d.host.take().contains(&Call::Stop));
        assert_eq!(d.read(reg::RSTAT), 2, "nobody waits for it");
        comes_up_again(&mut d, 2);
        assert_eq!(d.device.status().mac, MAC);
    }
}

/// Its driver may find the last message behind a reset, and does not have to say that the next begins at 0.
#[test]
fn a_mailbox_begins_anew_behind_a_reset() {
    let mut d = Driver::running(1);
    d.host.heads = [7, 9];
    d.send(op::RESET_VF, []);
    assert_eq!((d.read(reg::ATQ.head), d.read(reg::ARQ.head)), (7, 9));
    d.write(reg::ATQ.len, 32 | 1 << 31);
    d.write(reg::ARQ.head, 4);
    d.write(reg::ARQ.len, 32 | 1 << 31);
    assert_eq!((d.read(reg::ATQ.head), d.read(reg::ARQ.head)), (0, 4));
}

/// A driver that is at work on the last interrupt has enabled none: that of "there will be a reset" waits through it.
#[test]
fn an_interrupt_that_was_kept_is_not_lost_with_a_reset() {
    for kept in [false, true] {
        let mut d = busy();
        if kept {
            d.host.kept.insert(0);
        }
        d.device.ask_anew(&mut d.host, MAC);
        let mut calls = reset_calls();
        if kept {
            calls.push(Call::VectorTrigger(0));
        }
        assert_eq!(d.host.take(), calls);
        assert_ne!(d.read(reg::ICR0) & 1 << 30, 0, "and its cause");
    }
}

#[test]
fn an_address_that_the_driver_set_outlives_its_resets() {
    let mut d = Driver::running(1);
    let other = MacAddr([0x52, 0x54, 0, 9, 9, 9]);
    d.good(op::ADD_ETH_ADDR, addresses(&[(other, 1)]));
    d.send(op::RESET_VF, []);
    assert_eq!(d.device.status().mac, MAC, "until it says so anew");
    d.init_mailbox();
    assert_eq!(d.resources(LINUX)[30..], other.0);
    d.host.take();
    for kind in [0, 1, 2] {
        d.good(op::ADD_ETH_ADDR, addresses(&[(other, kind)]));
    }
    assert_eq!(d.host.requests(), [ControlRequest::SetMac(other)]);
    assert_eq!(d.device.status().mac, other);
    // What the operator gives comes first.
    let mac = MacAddr([0x52, 0x54, 0, 1, 1, 1]);
    let given = Given {
        mac,
        mtu: 1500,
        pairs: 1,
        features: u64::MAX,
    };
    assert!(d.device.give(&mut d.host, given));
    d.host.posted.clear();
    d.init_mailbox();
    assert_eq!(d.resources(LINUX)[30..], mac.0);
}

#[test]
fn a_reset_of_an_idle_function_is_one_too() {
    let mut d = Driver::new(settings(1));
    d.device.reset(&mut d.host);
    assert_eq!(d.host.take(), [Call::Stop]);
    d.send(op::RESET_VF, []);
    assert_eq!(d.host.take(), [Call::Stop]);
    assert_eq!(d.next(), None);
}
