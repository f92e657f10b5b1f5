//! Every operation with a wrong length, before its time, and of nobody's making.

use super::super::ops::Op;
use super::driver::*;
use super::host::Call;
use crate::control::ControlRequest;

/// Every operation as it is right for two pairs, but for the reset.
fn right() -> Vec<(u32, Vec<u8>)> {
    let key = rss(&[7; 52]);
    let table = rss(&[1; 64]);
    vec![
        (op::VERSION, vec![1, 0, 0, 0, 1, 0, 0, 0]),
        (op::CONFIG_VSI_QUEUES, queue_config(2)),
        (op::CONFIG_IRQ_MAP, irq_map(2)),
        (op::ENABLE_QUEUES, select(3, 3)),
        (op::DISABLE_QUEUES, select(3, 3)),
        (op::ADD_ETH_ADDR, addresses(&[(MAC, 1)])),
        (op::DEL_ETH_ADDR, addresses(&[(MAC, 1)])),
        (op::ADD_VLAN, vlans(&[5])),
        (op::DEL_VLAN, vlans(&[5])),
        (op::CONFIG_PROMISCUOUS_MODE, vec![1, 0, 0, 0]),
        (op::GET_STATS, select(0, 0)),
        (op::CONFIG_RSS_HFUNC, vec![1, 0, 0, 0, 0, 0, 0, 0]),
        (op::CONFIG_RSS_KEY, key),
        (op::CONFIG_RSS_LUT, table),
        (op::GET_RSS_HENA_CAPS, vec![]),
        (op::GET_SUPPORTED_RXDIDS, vec![]),
        (op::SET_RSS_HENA, vec![0; 8]),
        (op::ENABLE_VLAN_STRIPPING, vec![]),
        (op::DISABLE_VLAN_STRIPPING, vec![]),
        (op::GET_OFFLOAD_VLAN_V2_CAPS, vec![]),
        (op::ADD_VLAN_V2, vlans_v2(&[5])),
        (op::DEL_VLAN_V2, vlans_v2(&[5])),
        (op::ENABLE_VLAN_STRIPPING_V2, vlan_setting(0, 1)),
        (op::DISABLE_VLAN_STRIPPING_V2, vlan_setting(0, 1)),
        (op::ENABLE_VLAN_INSERTION_V2, vlan_setting(0, 1)),
        (op::DISABLE_VLAN_INSERTION_V2, vlan_setting(0, 1)),
        (op::GET_VF_RESOURCES, LINUX.to_le_bytes().to_vec()),
        (op::REQUEST_QUEUES, vec![1, 0]),
    ]
}

/// Operations of the first kind of VLANs: they go with a driver that did not ask for the second.
fn capabilities(opcode: u32) -> u32 {
    let old = matches!(
        opcode,
        op::ADD_VLAN | op::DEL_VLAN | op::ENABLE_VLAN_STRIPPING | op::DISABLE_VLAN_STRIPPING
    );
    if old { OLD } else { LINUX }
}

/// Bytes that a list may have more: one element, as drivers count.
fn legacy(opcode: u32) -> usize {
    match opcode {
        op::CONFIG_VSI_QUEUES => 64,
        op::CONFIG_IRQ_MAP => 12,
        op::ADD_ETH_ADDR | op::DEL_ETH_ADDR => 8,
        op::ADD_VLAN | op::DEL_VLAN => 2,
        op::CONFIG_RSS_KEY | op::CONFIG_RSS_LUT => 1,
        _ => 0,
    }
}

#[test]
fn the_table_of_right_messages_is_whole() {
    for op in Op::ALL {
        let there = right().iter().any(|(opcode, _)| *opcode == op as u32);
        assert!(there || op == Op::ResetVf, "{op:?}");
    }
}

#[test]
fn only_the_right_length_is_taken() {
    for (opcode, message) in right() {
        let exact = message.len() - legacy(opcode);
        for len in 0..message.len() + 80 {
            let mut d = Driver::granted(2, capabilities(opcode));
            if opcode == op::ENABLE_QUEUES {
                d.good(op::CONFIG_VSI_QUEUES, queue_config(2));
            }
            d.host.take();
            let mut bytes = message.clone();
            bytes.resize(len, 0);
            if len == message.len() || len == exact {
                if opcode == op::REQUEST_QUEUES {
                    // The answer is a reset.
                    d.send(opcode, bytes);
                    assert_eq!(d.next().map(|event| event.opcode), Some(op::EVENT));
                } else {
                    d.good(opcode, bytes);
                }
                continue;
            }
            let (status, content) = d.ask(opcode, bytes);
            assert_eq!(status, PARAM, "operation {opcode} with {len} bytes");
            assert_eq!(content.is_empty(), opcode != op::REQUEST_QUEUES);
            assert_eq!(d.host.take(), [], "operation {opcode} with {len} bytes");
            assert_eq!(d.host.refusals.len(), 1);
        }
    }
}

#[test]
fn a_reset_has_no_content() {
    let mut d = Driver::running(1);
    assert_eq!(d.status(op::RESET_VF, [0]), PARAM);
    assert!(d.host.started);
    d.send(op::RESET_VF, []);
    assert_eq!(d.next(), None, "it is not answered");
    assert!(!d.host.started);
}

#[test]
fn before_resources_are_granted_nothing_else_is() {
    for (opcode, message) in right() {
        let mut d = Driver::mailbox(2);
        d.host.take();
        if matches!(opcode, op::VERSION | op::GET_VF_RESOURCES) {
            d.good(opcode, message);
            continue;
        }
        assert_eq!(d.status(opcode, message), UNSUPPORTED, "{opcode}");
        assert_eq!(d.host.take(), []);
        assert_eq!(d.host.refusals.len(), 1);
    }
}

#[test]
fn what_was_not_granted_is_not_there() {
    let always = [
        op::VERSION,
        op::GET_VF_RESOURCES,
        op::CONFIG_VSI_QUEUES,
        op::CONFIG_IRQ_MAP,
        op::ENABLE_QUEUES,
        op::DISABLE_QUEUES,
        op::ADD_ETH_ADDR,
        op::DEL_ETH_ADDR,
        op::CONFIG_PROMISCUOUS_MODE,
        op::GET_STATS,
    ];
    for (opcode, message) in right() {
        let mut d = Driver::granted(2, 0);
        let (status, _) = d.ask(opcode, message.clone());
        assert_eq!(status == UNSUPPORTED, !always.contains(&opcode), "{opcode}");
        let other = capabilities(opcode) ^ (LINUX ^ OLD);
        let mut d = Driver::granted(2, other);
        let (status, _) = match d.ask_reset(opcode, message) {
            Some(answer) => answer,
            None => continue,
        };
        let v2 = (op::GET_OFFLOAD_VLAN_V2_CAPS..=op::DISABLE_VLAN_INSERTION_V2).contains(&opcode);
        let v1 = capabilities(opcode) == OLD;
        assert_eq!(status == UNSUPPORTED, v1 || v2, "{opcode}");
    }
}

impl Driver {
    /// As `ask`, or `None` where the device resets the function.
    fn ask_reset(&mut self, opcode: u32, bytes: Vec<u8>) -> Option<(i32, Vec<u8>)> {
        self.send(opcode, bytes);
        let reply = self.next()?;
        (reply.opcode == opcode).then_some((reply.status, reply.bytes))
    }
}

#[test]
fn operations_that_are_not_built_are_answered_as_such() {
    let mut d = Driver::granted(2, u32::MAX);
    let unknown = [
        0,
        4,
        5,
        16,
        op::EVENT,
        19,
        20,
        30,
        32,
        43,
        45,
        47,
        60,
        66,
        112,
        114,
        u32::MAX,
    ];
    for opcode in unknown {
        for message in [vec![], vec![0xff; 64], vec![0; 4096]] {
            assert_eq!(d.status(opcode, message), UNSUPPORTED, "{opcode}");
        }
    }
    assert_eq!(d.host.take(), []);
}

#[test]
fn a_message_for_another_vsi_is_refused() {
    for (opcode, message) in right() {
        let at = match opcode {
            op::VERSION | op::GET_VF_RESOURCES | op::REQUEST_QUEUES | op::SET_RSS_HENA => continue,
            op::CONFIG_IRQ_MAP => vec![2],
            op::CONFIG_VSI_QUEUES => vec![0, 8, 32],
            op::ENABLE_VLAN_STRIPPING_V2..=op::DISABLE_VLAN_INSERTION_V2 => vec![8],
            _ if message.is_empty() => continue,
            _ => vec![0],
        };
        for at in at {
            for vsi in [0u16, 2, 0xffff] {
                let mut d = Driver::granted(2, capabilities(opcode));
                d.good(op::CONFIG_VSI_QUEUES, queue_config(2));
                d.host.take();
                let mut message = message.clone();
                message[at..at + 2].copy_from_slice(&vsi.to_le_bytes());
                assert_eq!(d.status(opcode, message), PARAM, "{opcode} at {at}");
                assert_eq!(d.host.take(), []);
            }
        }
    }
}

#[test]
fn a_message_longer_than_a_mailbox_has_is_refused() {
    let mut d = Driver::granted(1, LINUX);
    assert_eq!(d.status(op::ADD_VLAN_V2, vec![0; 4097]), PARAM);
    let ids: Vec<u16> = (1..=127).collect();
    d.good(op::ADD_VLAN_V2, vlans_v2(&ids));
    assert_eq!(d.host.requests().len(), 127);
}

#[test]
fn a_number_of_queues_that_is_there_resets_the_function() {
    let mut d = Driver::running(4);
    d.send(op::REQUEST_QUEUES, [2, 0]);
    let event = d.next().expect("an event");
    assert_eq!(event.opcode, op::EVENT);
    assert_eq!(event.bytes[..4], [2, 0, 0, 0], "reset impending");
    assert_eq!(event.bytes[12..], [255, 0, 0, 0], "certain doom");
    assert_eq!(d.next(), None, "there is no other answer");
    let calls = d.host.take();
    assert_eq!(
        calls[..2],
        [Call::Control(ControlRequest::SetQueuePairs(2)), Call::Stop]
    );
    d.init_mailbox();
    assert_eq!(d.resources(LINUX)[2], 2);
    // It holds for resets of the function by its driver, too, and can be more again.
    d.send(op::RESET_VF, []);
    d.init_mailbox();
    assert_eq!(d.resources(LINUX)[2], 2);
    d.send(op::REQUEST_QUEUES, [4, 0]);
    d.host.posted.clear();
    d.init_mailbox();
    assert_eq!(d.resources(LINUX)[2], 4);
}

#[test]
fn a_number_of_queues_that_is_not_there_is_answered_with_what_is() {
    let mut d = Driver::running(4);
    assert_eq!(d.ask(op::REQUEST_QUEUES, [5, 0]), (OK, vec![4, 0]));
    assert_eq!(d.ask(op::REQUEST_QUEUES, [0xff, 0xff]), (OK, vec![4, 0]));
    assert_eq!(d.ask(op::REQUEST_QUEUES, [0, 0]), (PARAM, vec![4, 0]));
    d.host.replies.push_back(super::host::denied());
    assert_eq!(d.ask(op::REQUEST_QUEUES, [2, 0]), (PARAM, vec![4, 0]));
    assert!(d.host.started, "nothing was reset");
}

#[test]
fn a_stopped_device_is_to_be_reset_and_does_nothing_else() {
    let mut d = Driver::running(1);
    d.host.needs_reset = true;
    for (opcode, bytes) in [
        (op::GET_VF_RESOURCES, LINUX.to_le_bytes().to_vec()),
        (op::CONFIG_VSI_QUEUES, queue_config(1)),
        (op::ENABLE_QUEUES, select(1, 1)),
        (op::ADD_ETH_ADDR, addresses(&[(MAC, 1)])),
        (op::GET_STATS, select(1, 1)),
    ] {
        assert_eq!(d.status(opcode, bytes), FAILED, "{opcode}");
    }
    assert_eq!(d.host.take(), []);
    d.good(op::VERSION, [1, 0, 0, 0, 1, 0, 0, 0]);
    d.good(op::DISABLE_QUEUES, select(1, 1));
    d.send(op::RESET_VF, []);
    assert!(!d.host.needs_reset);
    d.init_mailbox();
    d.resources(LINUX);
}

#[test]
fn each_message_but_a_reset_counts_once() {
    let mut d = Driver::granted(1, LINUX);
    let before = d.host.heard;
    d.good(op::GET_STATS, select(1, 1));
    assert_eq!(d.status(1000, []), UNSUPPORTED);
    assert_eq!(d.host.heard, before + 2);
    d.host.deaf = true;
    assert_eq!(d.status(op::ADD_ETH_ADDR, addresses(&[(MAC, 1)])), FAILED);
    assert_eq!(d.host.requests(), []);
    d.send(op::RESET_VF, []);
    assert_eq!(d.host.heard, before + 3);
    assert!(!d.host.take().is_empty(), "it was reset");
}
