//! Receive-side scaling and hash reports.

use std::collections::VecDeque;
use std::time::Instant;

use lab::fakevm::control::ctrl;
use lab::fakevm::frame;
use lab::fakevm::net::{NetHeader, feature};
use lab::fakevm::queues::{Rss, toeplitz};
use lab::fakevm::{Ack, FakeVm, FakeVmConfig};

use crate::common::{Host, SOON};

const PAIRS: u16 = 4;
const TCPV4: u16 = 2;

fn key() -> Vec<u8> {
    (0..40_u8).map(|i| i.wrapping_mul(59) ^ 0xa7).collect()
}

fn rss(table: Vec<u16>) -> Rss {
    Rss {
        types: 0x1ff,
        unclassified: 2,
        table,
        max_tx_vq: PAIRS,
        key: key(),
    }
}

/// A table that is not a plain row, so that a device that takes the hash modulo the pairs is found out.
fn uneven() -> Vec<u16> {
    (0..128_u16).map(|at| (at / 5 + at) % PAIRS).collect()
}

fn config(features: u64) -> FakeVmConfig {
    FakeVmConfig {
        queue_pairs: PAIRS,
        features,
        ..FakeVmConfig::default()
    }
}

fn scaling(host: &Host, name: &str, features: u64) -> FakeVm {
    host.vm_with(name, &["--queue-pairs", "4"], config(features))
}

/// A TCP segment of a flow, and what is hashed of it.
fn segment(to: [u8; 6], from: [u8; 6], flow: u16) -> (Vec<u8>, Vec<u8>) {
    let mut frame = frame::tcp4(to, from, &flow.to_be_bytes());
    frame[34..36].copy_from_slice(&(20_000 + flow).to_be_bytes());
    let input = [&frame[26..34], &frame[34..38]].concat();
    (frame, input)
}

/// Waits for one frame on whichever pair it comes.
fn next(vm: &mut FakeVm) -> (u16, NetHeader, Vec<u8>) {
    let deadline = Instant::now() + SOON;
    loop {
        for pair in 0..vm.pairs() {
            let mut frame = Vec::new();
            if let Some(header) = vm.poll_rx(pair, &mut frame).unwrap() {
                return (pair, header, frame);
            }
        }
        assert!(Instant::now() < deadline, "no frame came");
        std::thread::yield_now();
    }
}

#[test]
fn toeplitz_chooses_the_queue_and_is_reported() {
    let host = Host::new();
    let all = feature::FULL | feature::QUEUES;
    let mut one = scaling(&host, "one", all);
    let mut two = scaling(&host, "two", all);
    let (source, target) = (one.mac().unwrap(), two.mac().unwrap());
    let table = uneven();
    assert_eq!(two.set_rss(&rss(table.clone())).unwrap(), Ack::Ok);
    let mut used = [0; PAIRS as usize];
    for flow in 0..200 {
        let (frame, input) = segment(target, source, flow);
        one.send(&frame).unwrap();
        let (pair, header, came) = next(&mut two);
        assert_eq!(came, frame, "flow {flow}");
        let hash = toeplitz(&key(), &input);
        assert_eq!((header.hash_value, header.hash_report), (hash, TCPV4));
        assert_eq!(pair, table[hash as usize % 128], "flow {flow}");
        used[usize::from(pair)] += 1;
    }
    assert!(used.iter().all(|n| *n > 10), "{used:?}");
    // What is not IP has no hash and goes where it was told to.
    one.send(&frame::numbered(target, source, 7, 80)).unwrap();
    let (pair, header, _) = next(&mut two);
    assert_eq!((pair, header.hash_value, header.hash_report), (2, 0, 0));
    // A broadcast is steered for its receiver, too.
    one.send(&frame::numbered(frame::BROADCAST, source, 8, 80))
        .unwrap();
    assert_eq!(next(&mut two).0, 2);
    let shown = host.daemon.ctl(&["show", "two"]).unwrap();
    let steering = &shown["health"]["steering"];
    assert_eq!(steering["rss"], true);
    assert_eq!(steering["unclassified"], 2);
    assert_eq!(steering["table"].as_array().unwrap().len(), 128);
    assert_eq!(steering["hash_types"].as_array().unwrap().len(), 9);
}

/// Frames that come alone go another way than those of a burst, and to the same queue.
#[test]
fn alone_or_together_a_flow_keeps_its_queue_and_its_order() {
    const FLOWS: u16 = 9;
    let host = Host::new();
    let all = feature::FULL | feature::QUEUES;
    let mut one = scaling(&host, "one", all);
    let mut two = scaling(&host, "two", all);
    let (source, target) = (one.mac().unwrap(), two.mac().unwrap());
    let table = uneven();
    assert_eq!(two.set_rss(&rss(table.clone())).unwrap(), Ack::Ok);
    let (mut number, mut expected) = (0_u32, vec![VecDeque::new(); FLOWS.into()]);
    for round in 0..120_u16 {
        let count = [1, 1, 7, 1, 32, 2][usize::from(round) % 6];
        let frames: Vec<Vec<u8>> = (0..count)
            .map(|nth| {
                let flow = (round + nth * nth) % FLOWS;
                number += 1;
                let (mut frame, _) = segment(target, source, flow);
                frame.extend(number.to_be_bytes());
                expected[usize::from(flow)].push_back(number);
                frame
            })
            .collect();
        let frames: Vec<&[u8]> = frames.iter().map(Vec::as_slice).collect();
        one.send_burst(&frames).unwrap();
        for _ in 0..count {
            let (pair, header, came) = next(&mut two);
            let flow = u16::from_be_bytes([came[34], came[35]]) - 20_000;
            let number = came.last_chunk().map(|bytes| u32::from_be_bytes(*bytes));
            let queue = &mut expected[usize::from(flow)];
            assert_eq!(queue.pop_front(), number, "flow {flow}, round {round}");
            let (_, input) = segment(target, source, flow);
            let hash = toeplitz(&key(), &input);
            assert_eq!((header.hash_value, header.hash_report), (hash, TCPV4));
            assert_eq!(pair, table[hash as usize % 128], "flow {flow}");
        }
    }
    assert!(expected.iter().all(VecDeque::is_empty));
}

/// Large frames carry their hash whether they stay whole or are cut for the receiver.
#[test]
fn large_frames_are_hashed_whole_or_cut() {
    let host = Host::new();
    let all = feature::FULL | feature::QUEUES;
    let offloads = feature::GUEST_TSO4 | feature::GUEST_TSO6 | feature::GUEST_ECN;
    let mut one = scaling(&host, "one", all);
    for (name, features) in [("whole", all), ("cut", all & !offloads)] {
        let mut two = scaling(&host, name, features);
        let (source, target) = (one.mac().unwrap(), two.mac().unwrap());
        assert_eq!(two.set_rss(&rss(vec![1, 3])).unwrap(), Ack::Ok);
        let mut large = frame::tcp4(target, source, &[0x5a; 9000]);
        large[34..36].copy_from_slice(&4321_u16.to_be_bytes());
        let header = NetHeader {
            flags: 1,
            gso_type: 1,
            hdr_len: 54,
            gso_size: 1448,
            csum_start: 34,
            csum_offset: 16,
            ..NetHeader::default()
        };
        one.send_on(0, &header, &large).unwrap();
        let hash = toeplitz(&key(), &large[26..38]);
        let expected = if hash & 1 == 0 { 1 } else { 3 };
        let mut bytes = 0;
        while bytes < 9000 {
            let (pair, header, came) = next(&mut two);
            assert_eq!((header.hash_value, header.hash_report), (hash, TCPV4));
            assert_eq!(pair, expected, "{name}");
            bytes += came.len() - 54;
        }
    }
}

#[test]
fn without_scaling_a_hash_can_be_reported() {
    let host = Host::new();
    let reports = feature::FULL | feature::HASH_REPORT;
    let single = FakeVmConfig {
        features: reports,
        ..FakeVmConfig::default()
    };
    let mut one = host.vm_with("one", &["--queue-pairs", "2"], single.clone());
    let mut two = host.vm_with("two", &["--queue-pairs", "2"], single);
    let (source, target) = (one.mac().unwrap(), two.mac().unwrap());
    let (frame, input) = segment(target, source, 1);
    one.send(&frame).unwrap();
    let (_, header, came) = next(&mut two);
    assert_eq!(
        (header.hash_report, came),
        (0, frame.clone()),
        "not asked for yet"
    );
    assert_eq!(two.set_hash(0x3f, &key()).unwrap(), Ack::Ok);
    one.send(&frame).unwrap();
    let (_, header, _) = next(&mut two);
    assert_eq!(header.hash_value, toeplitz(&key(), &input));
    assert_eq!(header.hash_report, TCPV4);
    assert_eq!(two.set_hash(1, &key()).unwrap(), Ack::Ok);
    one.send(&frame).unwrap();
    let (_, header, _) = next(&mut two);
    assert_eq!(header.hash_value, toeplitz(&key(), &input[..8]));
    assert_eq!(header.hash_report, 1);
}

/// virtio 1.3 5.1.6.5.4: the last command decides who chooses; a reset forgets all of it.
#[test]
fn pairs_set_and_reset_end_scaling() {
    let host = Host::new();
    let all = feature::FULL | feature::QUEUES;
    let mut one = scaling(&host, "one", all);
    let mut two = scaling(&host, "two", all);
    let (source, target) = (one.mac().unwrap(), two.mac().unwrap());
    let rss_shown = |host: &Host| {
        let shown = host.daemon.ctl(&["show", "two"]).unwrap();
        (
            shown["health"]["steering"]["rss"].as_bool(),
            shown["health"]["active_pairs"].as_u64(),
        )
    };
    let mut only = rss(vec![3]);
    only.max_tx_vq = 1;
    assert_eq!(two.set_rss(&only).unwrap(), Ack::Ok);
    assert_eq!(rss_shown(&host), (Some(true), Some(1)));
    for flow in 0..16 {
        one.send(&segment(target, source, flow).0).unwrap();
        assert_eq!(next(&mut two).0, 3, "the table alone decides");
    }
    assert_eq!(two.set_queue_pairs(2).unwrap(), Ack::Ok);
    assert_eq!(rss_shown(&host), (Some(false), Some(2)));
    for flow in 0..16 {
        one.send(&segment(target, source, flow).0).unwrap();
        let (pair, header, _) = next(&mut two);
        assert!(pair < 2, "{pair}");
        assert_eq!(header.hash_report, TCPV4, "still reported");
    }
    assert_eq!(two.set_rss(&only).unwrap(), Ack::Ok);
    two.start().unwrap();
    assert_eq!(rss_shown(&host), (Some(false), Some(4)));
    one.send(&segment(target, source, 1).0).unwrap();
    assert_eq!(next(&mut two).1.hash_report, 0);
}

/// 5.1.6.5.7.1.1: frames for a queue that is being reset are dropped, the others come.
#[test]
fn a_queue_without_ring_loses_only_its_own_frames() {
    let host = Host::new();
    let all = feature::FULL | feature::QUEUES;
    let mut one = scaling(&host, "one", all);
    let config = FakeVmConfig {
        queue_pairs: 1,
        ..config(all)
    };
    let mut two = host.vm_with("two", &["--queue-pairs", "4"], config);
    let (source, target) = (one.mac().unwrap(), two.mac().unwrap());
    // The driver set up pair 0 only.
    assert_eq!(two.set_rss(&rss(vec![0, 3])).unwrap(), Ack::Ok);
    let mut expected = 0;
    for flow in 0..64 {
        let (frame, input) = segment(target, source, flow);
        expected += u16::from(toeplitz(&key(), &input) & 1 == 0);
        one.send(&frame).unwrap();
    }
    one.drain_tx(0).unwrap();
    let frames = two.take_frames(0).unwrap();
    assert_eq!(frames.len(), usize::from(expected));
    assert!(!two.needs_reset().unwrap());
}

#[test]
fn wrong_settings_are_refused_and_change_nothing() {
    let host = Host::new();
    let all = feature::FULL | feature::QUEUES;
    let mut one = scaling(&host, "one", all);
    let mut two = scaling(&host, "two", all);
    let (source, target) = (one.mac().unwrap(), two.mac().unwrap());
    assert_eq!(two.set_rss(&rss(vec![3])).unwrap(), Ack::Ok);
    let bad = |change: &dyn Fn(&mut Rss)| {
        let mut rss = rss(vec![0]);
        change(&mut rss);
        rss.encode()
    };
    let mut commands = vec![
        bad(&|r| r.table = vec![0; 3]),
        bad(&|r| r.table = vec![0; 256]),
        bad(&|r| r.table = vec![]),
        bad(&|r| r.table = vec![0, 4]),
        bad(&|r| r.table = vec![0x8000]),
        bad(&|r| r.unclassified = 4),
        bad(&|r| r.max_tx_vq = 0),
        bad(&|r| r.max_tx_vq = 5),
        bad(&|r| r.types = 0x200),
        bad(&|r| r.key = vec![1; 41]),
        bad(&|r| r.key = vec![1; 255]),
        bad(&|r| r.key = vec![]),
        // A table as long as its mask can say, none of it there.
        [&0x1ff_u32.to_le_bytes()[..], &[0xff; 2], &[0; 2]].concat(),
    ];
    let good = rss(vec![0; 128]).encode();
    commands
        .extend([0, 1, 4, 6, 8, 9, 264, 266, 267, good.len() - 1].map(|len| good[..len].to_vec()));
    commands.push([&good[..], &[0; 4]].concat());
    for data in commands {
        let ack = two.control(ctrl::MQ, ctrl::MQ_RSS_CONFIG, &data).unwrap();
        assert_eq!(ack, Ack::Err, "{data:x?}");
        one.send(&segment(target, source, 5).0).unwrap();
        assert_eq!(next(&mut two).0, 3, "{data:x?}");
    }
    assert!(!two.needs_reset().unwrap());
}
