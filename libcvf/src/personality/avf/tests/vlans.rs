//! VLANs, by either kind of message.

use super::driver::*;
use super::host::{Call, denied};
use crate::control::ControlRequest::{AddVlan, DelVlan, FilterVlans};

type Message = fn(&[u16]) -> Vec<u8>;

/// Capabilities, operations to add and delete, and their messages.
const KINDS: [(u32, u32, u32, Message); 2] = [
    (OLD, op::ADD_VLAN, op::DEL_VLAN, vlans),
    (LINUX, op::ADD_VLAN_V2, op::DEL_VLAN_V2, vlans_v2),
];

#[test]
fn vlans_are_joined_and_left() {
    for (capabilities, add, delete, message) in KINDS {
        let mut d = Driver::granted(1, capabilities);
        d.good(add, message(&[7, 0, 5, 7]));
        assert_eq!(d.host.requests(), [AddVlan(5), AddVlan(7)]);
        d.good(add, message(&[5, 4094]));
        assert_eq!(d.host.requests(), [AddVlan(4094)]);
        d.good(delete, message(&[7, 9, 0]));
        assert_eq!(d.host.take(), [Call::Control(DelVlan(7))]);
        d.good(delete, message(&[4094, 5]));
        assert_eq!(
            d.host.take(),
            [
                Call::Control(DelVlan(4094)),
                Call::Control(DelVlan(5)),
                Call::Settle(FilterVlans(false))
            ],
            "with the last one filtering ends"
        );
    }
}

#[test]
fn where_policy_does_not_show_all_vlans_none_is() {
    let mut d = Driver::mailbox(1);
    d.host.unsettled = vec![FilterVlans(false)];
    d.host.take();
    d.resources(LINUX);
    assert_eq!(
        d.host.take(),
        [
            Call::Settle(FilterVlans(false)),
            Call::Settle(FilterVlans(true))
        ]
    );
}

#[test]
fn what_is_no_vlan_is_refused() {
    for (capabilities, add, _, message) in KINDS {
        let mut d = Driver::granted(1, capabilities);
        for id in [4095, 4096, 0x2005, 0xffff] {
            let (status, _) = d.ask(add, message(&[1, id]));
            assert!(status < 0, "{id}");
        }
        assert_eq!(d.host.take(), []);
    }
}

#[test]
fn a_vlan_that_is_denied_takes_the_others_with_it() {
    for (capabilities, add, _, message) in KINDS {
        let mut d = Driver::granted(1, capabilities);
        d.host.replies = [crate::control::ControlReply::Done, denied()].into();
        assert_eq!(d.status(add, message(&[1, 2, 3])), PARAM);
        assert_eq!(
            d.host.take(),
            [
                Call::Control(AddVlan(1)),
                Call::Control(AddVlan(2)),
                Call::Settle(DelVlan(1)),
                Call::Settle(FilterVlans(false))
            ]
        );
        d.good(add, message(&[1]));
        assert_eq!(d.host.requests(), [AddVlan(1)]);
    }
}

#[test]
fn the_number_of_filters_that_was_told_holds() {
    for (capabilities, add, delete, message) in KINDS {
        let mut d = Driver::new(super::super::AvfConfig {
            vlan_filters: 3,
            ..settings(1)
        });
        d.init_mailbox();
        d.resources(capabilities);
        d.host.take();
        assert_eq!(d.status(add, message(&[1, 2, 3, 4])), PARAM);
        assert_eq!(d.host.take(), []);
        d.good(add, message(&[1, 2, 3, 0]));
        assert_eq!(d.status(add, message(&[4])), PARAM);
        d.good(delete, message(&[2]));
        d.good(add, message(&[4]));
        if capabilities == LINUX {
            let caps = d.good(op::GET_OFFLOAD_VLAN_V2_CAPS, []);
            assert_eq!(caps[12..14], [3, 0]);
        }
    }
}

#[test]
fn filters_of_a_kind_that_is_not_offered_are_not_supported() {
    let mut d = Driver::granted(1, LINUX);
    // Where in the first filter, and what: priority, mask, other TPIDs, an outer tag.
    let changes = [
        (9, 0x20),
        (10, 0xff),
        (12, 1),
        (13, 0),
        (16, 5),
        (18, 1),
        (20, 1),
    ];
    for (at, byte) in changes {
        let mut message = vlans_v2(&[5, 6]);
        message[at] = byte;
        for opcode in [op::ADD_VLAN_V2, op::DEL_VLAN_V2] {
            assert_eq!(d.status(opcode, message.clone()), UNSUPPORTED, "{at}");
        }
    }
    assert_eq!(d.host.take(), []);
    let mut message = vlans_v2(&[5]);
    message[14] = 0xff;
    message[39] = 0xff;
    d.good(op::ADD_VLAN_V2, message);
}

#[test]
fn tags_of_a_kind_that_is_not_offered_are_not_supported() {
    let mut d = Driver::granted(1, LINUX);
    for opcode in op::ENABLE_VLAN_STRIPPING_V2..=op::DISABLE_VLAN_INSERTION_V2 {
        for (outer, inner) in [(0, 0), (1, 0), (1, 1), (0, 2), (0, 3), (0, u32::MAX)] {
            let message = vlan_setting(outer, inner);
            assert_eq!(d.status(opcode, message), UNSUPPORTED);
        }
        d.good(opcode, vlan_setting(0, 1));
    }
    d.good(op::CONFIG_VSI_QUEUES, queue_config(1));
    d.good(op::ENABLE_QUEUES, select(1, 0));
    let strip = |d: &Driver| {
        d.host.rings[&0]
            .strip
            .load(crate::sync::atomic::Ordering::Relaxed)
    };
    assert!(!strip(&d));
    d.good(op::ENABLE_VLAN_STRIPPING_V2, vlan_setting(0, 1));
    assert!(strip(&d), "a ring in use sees it");
    d.good(op::DISABLE_VLAN_STRIPPING_V2, vlan_setting(0, 1));
    assert!(!strip(&d));
}
