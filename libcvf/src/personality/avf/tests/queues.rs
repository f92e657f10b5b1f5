//! Rings, queues and their vectors.

use super::driver::*;
use super::host::{Call, denied};
use crate::control::{ControlReply, ControlRequest};
use crate::ring::ReceiveFormat;

fn refused(change: impl Fn(&mut Pair)) {
    let mut d = Driver::granted(2, LINUX);
    let mut pair = Pair::new(1);
    change(&mut pair);
    // What is right about the message is not done either.
    let message = config_of(&[Pair::new(0), pair]);
    assert_eq!(d.status(op::CONFIG_VSI_QUEUES, message), PARAM);
    assert_eq!(d.status(op::ENABLE_QUEUES, select(1, 0)), PARAM);
    assert_eq!(d.host.take(), []);
    assert_eq!(d.host.refusals.len(), 2);
}

fn accepted(change: impl Fn(&mut Pair)) {
    let mut d = Driver::granted(2, LINUX);
    let mut pair = Pair::new(1);
    change(&mut pair);
    d.good(op::CONFIG_VSI_QUEUES, config_of(&[pair]));
    d.good(op::ENABLE_QUEUES, select(2, 2));
}

#[test]
fn cve_2025_39973_a_ring_has_a_number_of_descriptors_that_is_checked() {
    for len in [
        1, 31, 32, 33, 48, 63, 65, 100, 4095, 4097, 4128, 8160, 8192, 0xffff,
    ] {
        for n in [0, 1] {
            refused(|pair| pair.ring_len[n] = len);
        }
    }
    for len in [0x1_0000, 0x1_0040, 0x8000_0000, u32::MAX] {
        refused(|pair| pair.ring_len[1] = len);
    }
    for len in [64, 96, 512, 4064, 4096] {
        accepted(|pair| pair.ring_len = [len; 2]);
    }
}

#[test]
fn rings_are_aligned() {
    for n in [0, 1] {
        for offset in [1, 8, 64, 127] {
            refused(|pair| pair.address[n] += offset);
        }
        accepted(|pair| pair.address[n] = 0xffff_ffff_ffff_ff80);
    }
}

#[test]
fn receive_buffers_and_frames_have_their_limits() {
    for buffer in [0, 1, 1023, 16_257, 16_384, u32::MAX] {
        refused(|pair| pair.buffer = buffer);
    }
    for longest in [0, 63, 9729, u32::MAX] {
        refused(|pair| pair.longest = longest);
    }
    for (buffer, longest) in [(1024, 64), (16_256, 9728), (2048, 1534)] {
        accepted(|pair| (pair.buffer, pair.longest) = (buffer, longest));
    }
}

#[test]
fn what_is_not_there_is_not_configured() {
    refused(|pair| pair.queue = [2, 2]);
    refused(|pair| pair.queue = [0xffff, 0xffff]);
    refused(|pair| pair.queue = [0, 1]);
    refused(|pair| pair.headwb = 1);
    refused(|pair| pair.splithdr = 1);
    let mut d = Driver::granted(2, LINUX);
    let three = [Pair::new(0), Pair::new(1), Pair::new(1)];
    assert_eq!(d.status(op::CONFIG_VSI_QUEUES, config_of(&three)), PARAM);
}

#[test]
fn one_direction_of_a_pair_can_be_configured() {
    let mut d = Driver::granted(1, LINUX);
    let mut pair = Pair::new(0);
    pair.ring_len[0] = 0;
    d.good(op::CONFIG_VSI_QUEUES, config_of(&[pair]));
    assert_eq!(d.status(op::ENABLE_QUEUES, select(0, 1)), PARAM);
    d.good(op::ENABLE_QUEUES, select(1, 0));
    assert!(d.host.rings.keys().eq(&[0]));
    let mut pair = Pair::new(0);
    pair.ring_len[1] = 0;
    d.good(op::CONFIG_VSI_QUEUES, config_of(&[pair]));
    d.good(op::ENABLE_QUEUES, select(0, 1));
    assert!(d.host.rings.keys().eq(&[0, 1]));
}

#[test]
fn bitmaps_name_queues_that_are_there() {
    let mut d = Driver::granted(2, LINUX);
    d.good(op::CONFIG_VSI_QUEUES, queue_config(2));
    for opcode in [op::ENABLE_QUEUES, op::DISABLE_QUEUES] {
        for (receive, transmit) in [(0, 0), (4, 0), (0, 4), (1 << 31, 1), (u32::MAX, u32::MAX)] {
            assert_eq!(d.status(opcode, select(receive, transmit)), PARAM);
        }
    }
    assert_eq!(d.host.take(), []);
    d.good(op::DISABLE_QUEUES, select(3, 3));
    assert_eq!(d.host.take(), [], "they are disabled already");
}

#[test]
fn queues_can_be_enabled_one_by_one_and_the_device_starts_with_the_first() {
    let mut d = Driver::granted(2, LINUX);
    d.good(op::CONFIG_VSI_QUEUES, queue_config(2));
    d.good(op::ENABLE_QUEUES, select(1, 0));
    assert_eq!(
        d.host.take(),
        [
            Call::Control(ControlRequest::SetQueuePairs(1)),
            Call::Enable(0),
            Call::Start
        ]
    );
    d.good(op::ENABLE_QUEUES, select(1, 3));
    assert_eq!(
        d.host.take(),
        [
            Call::Control(ControlRequest::SetQueuePairs(2)),
            Call::Enable(1),
            Call::Enable(3)
        ]
    );
    d.good(op::DISABLE_QUEUES, select(3, 0));
    assert_eq!(d.host.take(), [Call::Disable(0)]);
    d.good(op::ENABLE_QUEUES, select(3, 0));
    assert_eq!(d.host.take(), [Call::Enable(0), Call::Enable(2)]);
}

#[test]
fn a_queue_that_policy_denies_is_not_enabled() {
    let mut d = Driver::granted(2, LINUX);
    d.good(op::CONFIG_VSI_QUEUES, queue_config(2));
    d.host.replies.push_back(denied());
    assert_eq!(d.status(op::ENABLE_QUEUES, select(1, 1)), PARAM);
    assert!(d.host.rings.is_empty() && !d.host.started);
    assert_eq!(d.host.refusals, [""; 0], "who denied has told");
    let failed = ControlReply::Failed("there are none".into());
    d.host.replies.push_back(failed);
    assert_eq!(d.status(op::ENABLE_QUEUES, select(1, 1)), FAILED);
    d.good(op::ENABLE_QUEUES, select(1, 1));
}

#[test]
fn a_ring_that_cannot_be_used_leaves_none_enabled() {
    let mut d = Driver::granted(2, LINUX);
    d.good(op::CONFIG_VSI_QUEUES, queue_config(2));
    d.host.unplaceable = vec![2];
    assert_eq!(d.status(op::ENABLE_QUEUES, select(3, 3)), PARAM);
    assert!(d.host.rings.is_empty() && !d.host.started);
    assert_eq!(
        d.host.take(),
        [
            Call::Enable(0),
            Call::Enable(1),
            Call::Enable(2),
            Call::Disable(0),
            Call::Disable(1)
        ]
    );
    d.host.unplaceable.clear();
    d.good(op::ENABLE_QUEUES, select(3, 3));
    assert_eq!(d.host.rings.len(), 4);
}

#[test]
fn frames_go_where_they_went_when_a_ring_cannot_be_used() {
    let mut d = Driver::running(2);
    d.good(op::DISABLE_QUEUES, select(2, 2));
    d.good(op::DISABLE_QUEUES, select(1, 1));
    d.good(op::ENABLE_QUEUES, select(1, 1));
    assert_eq!(d.host.requests(), [ControlRequest::SetQueuePairs(1)]);
    d.host.unplaceable = vec![3];
    assert_eq!(d.status(op::ENABLE_QUEUES, select(2, 2)), PARAM);
    assert_eq!(
        d.host.requests(),
        [2, 1].map(ControlRequest::SetQueuePairs),
        "and back"
    );
}

#[test]
fn a_disabled_queue_begins_anew_where_it_was() {
    let mut d = Driver::running(1);
    d.write(reg::QTX_TAIL, 9);
    d.write(reg::QRX_TAIL, 9);
    d.good(op::DISABLE_QUEUES, select(1, 1));
    d.host.take();
    assert_eq!((d.read(reg::QTX_TAIL), d.read(reg::QRX_TAIL)), (0, 0));
    d.write(reg::QRX_TAIL, 500);
    d.good(op::ENABLE_QUEUES, select(1, 1));
    assert_eq!(d.host.take(), [Call::Enable(0), Call::Enable(1)]);
    let tails = [0, 1].map(|queue| d.host.rings[&queue].tail.get());
    assert_eq!(tails, [500, 0]);
    assert_eq!(d.host.rings[&0].base, Pair::new(0).address[1]);
}

#[test]
fn a_ring_that_is_moved_is_taken_out_of_use_first() {
    let mut d = Driver::running(1);
    d.write(reg::QTX_TAIL, 9);
    d.host.take();
    d.write(reg::QRX_TAIL, 40);
    d.good(op::CONFIG_VSI_QUEUES, queue_config(1));
    assert_eq!(
        d.host.take(),
        [Call::Tail(0, 40), Call::Disable(0), Call::Disable(1)]
    );
    d.write(reg::QTX_TAIL, 3);
    assert_eq!(d.host.take(), [], "nobody is told of the tail of no ring");
    d.good(op::CONFIG_VSI_QUEUES, queue_config(1));
    assert_eq!(
        (d.read(reg::QTX_TAIL), d.read(reg::QRX_TAIL)),
        (0, 40),
        "receive buffers are posted before"
    );
}

#[test]
fn vectors_are_mapped_all_or_none() {
    let wrong = [
        vector_map(0, [1, 0], [0, 0]),
        vector_map(3, [1, 1], [0, 0]),
        vector_map(0xffff, [1, 1], [0, 0]),
        vector_map(3, [0, 0], [0, 0]),
        vector_map(1, [4, 0], [0, 0]),
        vector_map(1, [0, 0x8000], [0, 0]),
        vector_map(1, [1, 1], [4, 0]),
        vector_map(1, [1, 1], [0, 0xffff]),
    ];
    for map in wrong {
        let mut d = Driver::granted(2, LINUX);
        let message = irq_map_of(&[vector_map(1, [1, 1], [0, 1]), map]);
        assert_eq!(d.status(op::CONFIG_IRQ_MAP, message), PARAM);
        assert_eq!(d.host.take(), []);
    }
    let mut d = Driver::granted(2, LINUX);
    let maps = vec![vector_map(1, [1, 1], [0, 0]); 4];
    assert_eq!(d.status(op::CONFIG_IRQ_MAP, irq_map_of(&maps)), PARAM);
}

#[test]
fn queues_share_vectors_and_keep_what_they_have() {
    let mut d = Driver::granted(2, LINUX);
    let map = vector_map(2, [3, 0], [3, 0]);
    d.good(op::CONFIG_IRQ_MAP, irq_map_of(&[map]));
    assert_eq!(
        d.host.take(),
        [
            Call::QueueVector(0, Some(2)),
            Call::Throttle(0, 0),
            Call::QueueVector(2, Some(2)),
            Call::Throttle(2, 0)
        ]
    );
    d.good(
        op::CONFIG_IRQ_MAP,
        irq_map_of(&[vector_map(1, [0, 1], [0, 1])]),
    );
    assert_eq!(
        d.host.take(),
        [Call::QueueVector(1, Some(1)), Call::Throttle(1, 0)]
    );
}

#[test]
fn no_frame_is_longer_than_the_mtu_allows() {
    let mut d = Driver::granted(1, LINUX);
    for (says, is) in [(1000, 1000), (9728, 1526)] {
        let pair = Pair {
            longest: says,
            ..Pair::new(0)
        };
        d.good(op::CONFIG_VSI_QUEUES, config_of(&[pair]));
        d.good(op::ENABLE_QUEUES, select(1, 0));
        assert_eq!(d.host.rings[&0].longest, is);
    }
}

/// `rxdid` counts where the driver was told that it may choose, and is one of those that it was told.
#[test]
fn a_driver_chooses_the_format_of_its_descriptors() {
    let mut d = Driver::granted(1, LINUX);
    d.send(op::GET_SUPPORTED_RXDIDS, []);
    let reply = d.host.posted.pop_front().expect("an answer");
    assert_eq!(reply.bytes, (1_u64 << 1 | 1 << 2).to_le_bytes());
    for rxdid in [0, 3, 16, 22, 63, 64, 255] {
        refused(|pair| pair.rxdid = rxdid);
    }
    let format = |capabilities, rxdid| {
        let mut d = Driver::granted(1, capabilities);
        let pair = Pair {
            rxdid,
            ..Pair::new(0)
        };
        d.good(op::CONFIG_VSI_QUEUES, config_of(&[pair]));
        d.good(op::ENABLE_QUEUES, select(1, 1));
        d.host.rings[&0].format
    };
    assert_eq!(format(LINUX, 1), ReceiveFormat::Legacy);
    assert_eq!(format(LINUX, 2), ReceiveFormat::Flex);
    let without = LINUX & !(1 << 26);
    for rxdid in [0, 2, 22] {
        assert_eq!(format(without, rxdid), ReceiveFormat::Legacy);
    }
    let mut d = Driver::granted(1, without);
    assert_eq!(d.status(op::GET_SUPPORTED_RXDIDS, []), UNSUPPORTED);
    let mut d = Driver::granted(1, LINUX);
    assert_eq!(d.status(op::GET_SUPPORTED_RXDIDS, [0]), PARAM);
}

/// A check sequence is of a frame as it came: it is kept or tags are taken out, not both.
#[test]
fn check_sequences_are_kept_of_whole_frames() {
    let keeping = Pair {
        crc_disable: 1,
        ..Pair::new(0)
    };
    let keeping = || config_of(std::slice::from_ref(&keeping));
    let mut d = Driver::granted(1, LINUX & !(1 << 10));
    assert_eq!(d.status(op::CONFIG_VSI_QUEUES, keeping()), PARAM);
    let mut d = Driver::granted(1, LINUX);
    d.good(op::ENABLE_VLAN_STRIPPING_V2, vlan_setting(0, 1));
    assert_eq!(d.status(op::CONFIG_VSI_QUEUES, keeping()), PARAM);
    d.good(op::DISABLE_VLAN_STRIPPING_V2, vlan_setting(0, 1));
    d.good(op::CONFIG_VSI_QUEUES, keeping());
    d.good(op::ENABLE_QUEUES, select(1, 1));
    assert!(d.host.rings[&0].keep_crc);
    let strip = vlan_setting(0, 1);
    let status = d.status(op::ENABLE_VLAN_STRIPPING_V2, strip.clone());
    assert_eq!(status, UNSUPPORTED);
    // What stands in the ring's place does not keep them.
    d.good(op::CONFIG_VSI_QUEUES, queue_config(1));
    d.good(op::ENABLE_VLAN_STRIPPING_V2, strip);
    d.good(op::ENABLE_QUEUES, select(1, 1));
    assert!(!d.host.rings[&0].keep_crc);
}

#[test]
fn udp_is_cut_for_those_who_asked() {
    for (capabilities, cut) in [(LINUX, true), (LINUX & !(1 << 25), false)] {
        let mut d = Driver::granted(1, capabilities);
        d.good(op::CONFIG_VSI_QUEUES, queue_config(1));
        d.good(op::ENABLE_QUEUES, select(1, 1));
        assert_eq!(d.host.rings[&1].uso, cut);
    }
}
