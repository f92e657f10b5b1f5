//! Addresses and promiscuous modes.

use super::driver::*;
use super::host::{Call, denied};
use crate::control::{ControlReply, ControlRequest, MacAddr};
use crate::personality::Personality;

const PRIMARY: u8 = 1;
const EXTRA: u8 = 2;
const LEGACY: u8 = 0;

fn unicast(n: u8) -> MacAddr {
    MacAddr([0x52, 0x54, 0, 1, 2, n])
}

fn group(n: u8) -> MacAddr {
    MacAddr([0x33, 0x33, 0, 0, 0, n])
}

fn lists(unicast: &[MacAddr], multicast: &[MacAddr]) -> ControlRequest {
    ControlRequest::SetMacFilter {
        unicast: unicast.to_vec(),
        multicast: multicast.to_vec(),
    }
}

#[test]
fn addresses_are_added_and_deleted() {
    let mut d = Driver::granted(1, LINUX);
    let list = [
        (MAC, PRIMARY),
        (MacAddr::BROADCAST, EXTRA),
        (group(1), EXTRA),
        (unicast(1), EXTRA),
        (group(1), EXTRA),
        (unicast(2), EXTRA),
    ];
    d.good(op::ADD_ETH_ADDR, addresses(&list));
    let all = lists(&[unicast(1), unicast(2)], &[group(1)]);
    assert_eq!(d.host.requests(), [all]);
    d.good(op::ADD_ETH_ADDR, addresses(&list));
    assert_eq!(d.host.requests(), [], "nothing new");
    let gone = [(unicast(1), EXTRA), (group(9), EXTRA), (unicast(9), EXTRA)];
    d.good(op::DEL_ETH_ADDR, addresses(&gone));
    assert_eq!(d.host.requests(), [lists(&[unicast(2)], &[group(1)])]);
    let gone = [(MAC, PRIMARY), (group(1), EXTRA), (unicast(2), EXTRA)];
    d.good(op::DEL_ETH_ADDR, addresses(&gone));
    assert_eq!(d.host.requests(), [lists(&[], &[])]);
    assert_eq!(d.device.status().mac, MAC);
}

#[test]
fn the_own_address_changes_by_adding_it_as_such() {
    let mut d = Driver::granted(1, LINUX);
    d.good(op::ADD_ETH_ADDR, addresses(&[(unicast(1), PRIMARY)]));
    assert_eq!(d.host.requests(), [ControlRequest::SetMac(unicast(1))]);
    assert_eq!(d.device.status().mac, unicast(1));
    d.good(op::DEL_ETH_ADDR, addresses(&[(MAC, EXTRA)]));
    assert_eq!(d.host.requests(), []);
    // One that was another becomes it.
    d.good(op::ADD_ETH_ADDR, addresses(&[(unicast(2), EXTRA)]));
    d.host.requests();
    d.good(op::ADD_ETH_ADDR, addresses(&[(unicast(2), PRIMARY)]));
    assert_eq!(
        d.host.requests(),
        [lists(&[], &[]), ControlRequest::SetMac(unicast(2))]
    );
}

#[test]
fn an_old_driver_changes_its_address_by_adding_and_deleting() {
    let mut d = Driver::granted(1, LINUX);
    d.good(op::ADD_ETH_ADDR, addresses(&[(unicast(1), LEGACY)]));
    assert_eq!(d.host.requests(), [lists(&[unicast(1)], &[])]);
    assert_eq!(d.device.status().mac, MAC);
    d.good(op::DEL_ETH_ADDR, addresses(&[(MAC, LEGACY)]));
    assert_eq!(
        d.host.requests(),
        [lists(&[], &[]), ControlRequest::SetMac(unicast(1))]
    );
    assert_eq!(d.device.status().mac, unicast(1));
    // All of its addresses go when it is closed, and none becomes another.
    d.good(op::ADD_ETH_ADDR, addresses(&[(unicast(2), LEGACY)]));
    d.host.requests();
    let all = [(unicast(1), LEGACY), (unicast(2), LEGACY)];
    d.good(op::DEL_ETH_ADDR, addresses(&all));
    assert_eq!(d.host.requests(), [lists(&[], &[])]);
    assert_eq!(d.device.status().mac, unicast(1));
}

#[test]
fn what_is_denied_leaves_everything_as_it_was() {
    let mut d = Driver::granted(1, LINUX);
    d.good(op::ADD_ETH_ADDR, addresses(&[(group(1), EXTRA)]));
    d.host.take();
    d.host.replies.push_back(denied());
    let message = addresses(&[(unicast(1), EXTRA)]);
    assert_eq!(d.status(op::ADD_ETH_ADDR, message), PARAM);
    d.host.take();
    // The lists were taken, the address is denied.
    d.host.replies = [ControlReply::Done, denied()].into();
    let message = addresses(&[(group(2), EXTRA), (unicast(1), PRIMARY)]);
    assert_eq!(d.status(op::ADD_ETH_ADDR, message), PARAM);
    assert_eq!(
        d.host.take(),
        [
            Call::Control(lists(&[], &[group(1), group(2)])),
            Call::Control(ControlRequest::SetMac(unicast(1))),
            Call::Settle(lists(&[], &[group(1)])),
        ]
    );
    assert_eq!(d.device.status().mac, MAC);
    d.good(op::DEL_ETH_ADDR, addresses(&[(group(1), EXTRA)]));
    assert_eq!(d.host.requests(), [lists(&[], &[])]);
    let failed = ControlReply::Failed("the switch is full".into());
    d.host.replies.push_back(failed);
    let message = addresses(&[(group(1), EXTRA)]);
    assert_eq!(d.status(op::ADD_ETH_ADDR, message), FAILED);
    assert_eq!(d.host.refusals.len(), 1);
}

#[test]
fn no_station_has_a_zero_address_and_lists_are_bounded() {
    let mut d = Driver::granted(1, LINUX);
    let zero = MacAddr([0; 6]);
    for kind in [LEGACY, PRIMARY, EXTRA, 3, 0xff] {
        let message = addresses(&[(unicast(1), EXTRA), (zero, kind)]);
        assert_eq!(d.status(op::ADD_ETH_ADDR, message), PARAM);
    }
    for make in [unicast as fn(u8) -> MacAddr, group] {
        let most: Vec<_> = (0..64).map(|n| (make(n), EXTRA)).collect();
        let more = [most.clone(), vec![(make(64), EXTRA)]].concat();
        d.host.take();
        assert_eq!(d.status(op::ADD_ETH_ADDR, addresses(&more)), PARAM);
        assert_eq!(d.host.take(), []);
        d.good(op::ADD_ETH_ADDR, addresses(&most));
        assert_eq!(d.host.requests().len(), 1);
    }
}

fn flags(flags: u16) -> Vec<u8> {
    [[1, 0], flags.to_le_bytes()].concat()
}

#[test]
fn promiscuous_modes_are_asked_for_when_they_change() {
    use ControlRequest::{AllMulticast, Promiscuous};
    let mut d = Driver::granted(1, LINUX);
    let steps = [
        (0, vec![]),
        (2, vec![AllMulticast(true)]),
        (3, vec![Promiscuous(true)]),
        (0xfffb, vec![]),
        (0, vec![AllMulticast(false), Promiscuous(false)]),
        (3, vec![AllMulticast(true), Promiscuous(true)]),
    ];
    for (bits, requests) in steps {
        d.good(op::CONFIG_PROMISCUOUS_MODE, flags(bits));
        assert_eq!(d.host.requests(), requests, "{bits:#x}");
    }
}

#[test]
fn a_promiscuous_mode_that_is_denied_is_said_to_be() {
    let mut d = Driver::granted(1, LINUX);
    d.host.replies = [ControlReply::Done, denied()].into();
    assert_eq!(d.status(op::CONFIG_PROMISCUOUS_MODE, flags(3)), PARAM);
    assert_eq!(
        d.host.take(),
        [
            Call::Control(ControlRequest::AllMulticast(true)),
            Call::Control(ControlRequest::Promiscuous(true)),
            Call::Settle(ControlRequest::AllMulticast(false)),
        ]
    );
    d.good(op::CONFIG_PROMISCUOUS_MODE, flags(0));
    assert_eq!(d.host.take(), []);
}
