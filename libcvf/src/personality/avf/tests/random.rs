//! Whatever a guest does: no panic, nothing grows, and the host is called in order. The order is asserted by the
//! host itself; see `host.rs`.

use proptest::prelude::*;

use super::super::ops::Op;
use super::driver::*;
use super::host::denied;
use crate::control::{ControlReply, MacAddr};
use crate::limits::MIN_MTU;
use crate::personality::{DriverState, Given, Personality};

#[derive(Clone, Debug)]
enum Step {
    Read {
        bar: u8,
        offset: u64,
        len: usize,
    },
    Write {
        bar: u8,
        offset: u64,
        data: Vec<u8>,
    },
    Register(u64, u32),
    Message(u32, Vec<u8>),
    /// A message that is right but for some bytes.
    Bent(usize, Vec<(usize, u8)>, usize),
    ConfigWrite {
        offset: u64,
        data: Vec<u8>,
    },
    Mailbox,
    Link(bool),
    Give(Given),
    Deny(u8),
    Unplaceable(u16),
    Reset,
}

fn bytes(most: usize) -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 0..most)
}

fn offset() -> impl Strategy<Value = u64> {
    prop_oneof![
        4 => proptest::sample::select(vec![0x0, 0x2000, 0x2800, 0x3800, 0x4800, 0x5000, 0x5c00, 0x6000, 0x6400,
            0x6800, 0x6c00, 0x7000, 0x7400, 0x7800, 0x7c00, 0x8000, 0x8400, 0x8800u64]),
        2 => 0u64..0x40,
        2 => 0x2000u64..0x2900,
        1 => 0u64..0x2_0010,
        1 => any::<u64>(),
    ]
}

fn opcode() -> impl Strategy<Value = u32> {
    prop_oneof![
        8 => proptest::sample::select(Op::ALL.map(|op| op as u32).to_vec()),
        1 => 0u32..120,
        1 => any::<u32>(),
    ]
}

/// Messages that would do something.
fn good() -> Vec<(u32, Vec<u8>)> {
    let mac = MacAddr([0x52, 0x54, 0, 1, 1, 1]);
    vec![
        (op::GET_VF_RESOURCES, LINUX.to_le_bytes().to_vec()),
        (op::GET_VF_RESOURCES, OLD.to_le_bytes().to_vec()),
        (op::CONFIG_VSI_QUEUES, queue_config(1)),
        (op::CONFIG_VSI_QUEUES, queue_config(3)),
        (op::CONFIG_IRQ_MAP, irq_map(3)),
        (op::ENABLE_QUEUES, select(1, 1)),
        (op::ENABLE_QUEUES, select(7, 7)),
        (op::DISABLE_QUEUES, select(5, 3)),
        (op::ADD_ETH_ADDR, addresses(&[(mac, 1)])),
        (op::ADD_ETH_ADDR, addresses(&[(mac, 0), (MAC, 2)])),
        (op::DEL_ETH_ADDR, addresses(&[(MAC, 0)])),
        (op::ADD_VLAN, vlans(&[1, 2, 3])),
        (op::DEL_VLAN, vlans(&[1, 2, 3])),
        (op::ADD_VLAN_V2, vlans_v2(&[4, 5])),
        (op::DEL_VLAN_V2, vlans_v2(&[4, 5])),
        (op::CONFIG_PROMISCUOUS_MODE, vec![1, 0, 3, 0]),
        (op::CONFIG_RSS_KEY, rss(&[3; 52])),
        (op::CONFIG_RSS_LUT, rss(&[2; 64])),
        (op::SET_RSS_HENA, (1u64 << 31).to_le_bytes().to_vec()),
        (op::ENABLE_VLAN_STRIPPING_V2, vlan_setting(0, 1)),
        (op::REQUEST_QUEUES, vec![2, 0]),
        (op::RESET_VF, vec![]),
        (op::GET_STATS, select(0, 0)),
    ]
}

fn given() -> impl Strategy<Value = Given> {
    let mac = prop_oneof![Just(MAC), Just(MacAddr([0x52, 0x54, 0, 2, 2, 2]))];
    // Who gives it has seen to it that it can be.
    (mac, MIN_MTU..=u16::MAX, 0u16..5, any::<u64>()).prop_map(|(mac, mtu, pairs, features)| Given {
        mac,
        mtu,
        pairs,
        features,
    })
}

fn step() -> impl Strategy<Value = Step> {
    let bar = prop_oneof![6 => Just(0u8), 1 => Just(3), 1 => any::<u8>()];
    let bent = proptest::collection::vec((0usize..80, any::<u8>()), 0..3);
    prop_oneof![
        2 => (bar.clone(), offset(), 0usize..80)
            .prop_map(|(bar, offset, len)| Step::Read { bar, offset, len }),
        3 => (bar, offset(), bytes(80))
            .prop_map(|(bar, offset, data)| Step::Write { bar, offset, data }),
        6 => (offset(), prop_oneof![0u32..64, any::<u32>()])
            .prop_map(|(offset, value)| Step::Register(offset & 0x1_fffc, value)),
        3 => (opcode(), bytes(160)).prop_map(|(opcode, bytes)| Step::Message(opcode, bytes)),
        12 => (any::<usize>(), bent, 0usize..8)
            .prop_map(|(which, bent, cut)| Step::Bent(which, bent, cut)),
        1 => (0u64..0x110, bytes(40))
            .prop_map(|(offset, data)| Step::ConfigWrite { offset, data }),
        1 => Just(Step::Mailbox),
        1 => any::<bool>().prop_map(Step::Link),
        1 => given().prop_map(Step::Give),
        2 => (0u8..4).prop_map(Step::Deny),
        1 => (0u16..8).prop_map(Step::Unplaceable),
        1 => Just(Step::Reset),
    ]
}

fn message(d: &mut Driver, opcode: u32, bytes: Vec<u8>) {
    let before = d.host.posted.len();
    d.send(opcode, bytes);
    let new: Vec<_> = d.host.posted.iter().skip(before).collect();
    assert!(new.len() <= 2, "{new:?}");
    match new.first() {
        // Resets are answered by what they do, or by an event.
        None => assert_eq!(opcode, op::RESET_VF),
        Some(reply) if reply.opcode == op::EVENT && opcode != op::EVENT => {
            assert_eq!(opcode, op::REQUEST_QUEUES);
        }
        Some(reply) => assert_eq!(reply.opcode, opcode),
    }
}

fn apply(d: &mut Driver, step: Step) {
    match step {
        Step::Read { bar, offset, len } => {
            let _ = d
                .device
                .read(&mut d.host, bar, offset, &mut vec![0xee; len]);
        }
        Step::Write { bar, offset, data } => {
            let _ = d.device.write(&mut d.host, bar, offset, &data);
        }
        Step::Register(offset, value) => d.write(offset, value),
        Step::Message(opcode, bytes) => message(d, opcode, bytes),
        Step::Bent(which, bent, cut) => {
            let all = good();
            let (opcode, mut bytes) = all[which % all.len()].clone();
            for (at, byte) in bent {
                if let Some(to) = bytes.get_mut(at) {
                    *to = byte;
                }
            }
            if cut == 1 {
                bytes.pop();
            }
            message(d, opcode, bytes);
        }
        Step::ConfigWrite { offset, data } => {
            let _ = d.device.config_write(&mut d.host, offset, &data);
        }
        Step::Mailbox => d.init_mailbox(),
        Step::Link(up) => drop(d.device.set_link(&mut d.host, up)),
        Step::Give(given) => drop(d.device.give(&mut d.host, given)),
        Step::Deny(nth) => {
            d.host.replies = (0..nth).map(|_| ControlReply::Done).collect();
            d.host.replies.push_back(denied());
        }
        Step::Unplaceable(queue) => d.host.unplaceable = vec![queue],
        Step::Reset => d.device.reset(&mut d.host),
    }
}

/// What holds after every step.
fn check(d: &mut Driver) {
    let status = d.device.status();
    let runs = status.state == DriverState::Running;
    assert_eq!(runs, !d.host.rings.is_empty(), "both agree on rings");
    assert!(d.host.started || !runs);
    for queue in d.host.rings.keys() {
        assert!(queue / 2 < d.device.config().queue_pairs);
    }
    for (n, which) in [reg::ATQ, reg::ARQ].into_iter().enumerate() {
        let len = d.read(which.len);
        let placed = d.host.placed[n];
        assert_eq!(placed.is_some(), len >> 31 != 0 && len & 0x3ff != 0);
        if let Some(place) = placed {
            let base = u64::from(d.read(which.bah)) << 32 | u64::from(d.read(which.bal));
            assert_eq!((place.base, u32::from(place.size)), (base, len & 0x3ff));
        }
    }
    assert!(status.mac.is_unicast_nonzero());
    d.host.calls.clear();
    d.host.posted.clear();
    d.host.refusals.clear();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn no_sequence_of_steps_breaks_an_invariant(
        pairs in 1u16..5,
        granted: bool,
        steps in proptest::collection::vec(step(), 0..80),
    ) {
        let mut d = if granted { Driver::granted(pairs, LINUX) } else { Driver::new(settings(pairs)) };
        for step in steps {
            apply(&mut d, step);
            check(&mut d);
        }
        d.host.replies.clear();
        d.host.unplaceable.clear();
        d.device.reset(&mut d.host);
        prop_assert!(d.host.rings.is_empty() && !d.host.started && d.host.armed.is_empty());
        prop_assert_eq!(d.host.placed, [None, None]);
        d.init_mailbox();
        d.resources(u32::MAX);
        d.good(op::CONFIG_VSI_QUEUES, queue_config(1));
        d.good(op::ENABLE_QUEUES, select(1, 1));
        prop_assert_eq!(d.device.status().state, DriverState::Running);
    }

    #[test]
    fn no_message_breaks_a_running_device(
        messages in proptest::collection::vec((opcode(), bytes(400)), 0..64),
    ) {
        let mut d = Driver::running(3);
        for (opcode, bytes) in messages {
            message(&mut d, opcode, bytes);
            check(&mut d);
        }
    }
}
