//! Receive-side scaling over several pairs.

use std::collections::BTreeSet;
use std::time::Instant;

use lab::fakevm::avf::{AvfVm, AvfVmConfig, Offload};
use lab::fakevm::frame;

use super::avf_with;
use crate::common::{Host, SOON};

const FLOWS: u16 = 64;
const PAIRS: u16 = 4;

/// The key that Microsoft's specification has its examples for, as long as this device takes one.
const KEY: [u8; 52] = {
    let known = [
        0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3, 0x8f,
        0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30,
        0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
    ];
    let mut key = [0; 52];
    let mut at = 0;
    while at < known.len() {
        key[at] = known[at];
        at += 1;
    }
    key
};

fn toeplitz(bytes: &[u8]) -> u32 {
    let bit = |of: &[u8], at: usize| u32::from(of[at / 8] >> (7 - at % 8) & 1);
    let window = |at: usize| (at..at + 32).fold(0, |word, at| word << 1 | bit(&KEY, at));
    let set = (0..bytes.len() * 8).filter(|at| bit(bytes, *at) == 1);
    set.fold(0, |hash, at| hash ^ window(at))
}

fn four(host: &Host, name: &str) -> AvfVm {
    let config = AvfVmConfig {
        queue_pairs: PAIRS,
        rss_key: Some(KEY.to_vec()),
        ..AvfVmConfig::default()
    };
    avf_with(host, name, &["--queue-pairs", "4"], config)
}

/// Sends one frame of each flow, from all pairs by turns; which pair and hash each comes with.
fn spread(one: &mut AvfVm, two: &mut AvfVm) -> Vec<(u16, u32)> {
    let mut found = vec![None; FLOWS.into()];
    for flow in 0..FLOWS {
        let mut sent = frame::tcp4(two.mac(), one.mac(), b"flow");
        sent[34..36].copy_from_slice(&(10_000 + flow).to_be_bytes());
        one.send_on(flow % PAIRS, &Offload::default(), &sent)
            .unwrap();
    }
    let deadline = Instant::now() + SOON;
    while found.iter().any(Option::is_none) {
        assert!(Instant::now() < deadline, "flows are missing: {found:?}");
        for pair in 0..two.pairs() {
            for (received, came) in two.take_frames(pair).unwrap() {
                let flow = usize::from(u16::from_be_bytes([came[34], came[35]]) - 10_000);
                let hash = received.hash.expect("a hash");
                assert_eq!(hash, toeplitz(&came[26..38]), "flow {flow}");
                assert_eq!(found[flow].replace((pair, hash)), None, "flow {flow} twice");
            }
        }
    }
    found.into_iter().flatten().collect()
}

#[test]
fn the_hash_is_microsofts() {
    // 66.9.149.187:2794 to 161.142.100.80:1766.
    let tuple = [66, 9, 149, 187, 161, 142, 100, 80, 0x0a, 0xea, 0x06, 0xe6];
    assert_eq!(toeplitz(&tuple), 0x51cc_c178);
}

#[test]
fn flows_go_where_hash_and_table_say() {
    let host = Host::new();
    let (mut one, mut two) = (four(&host, "one"), four(&host, "two"));
    let entries = two.resources().lut_size;
    let table = |to: &dyn Fn(u32) -> u32| (0..entries).map(|at| to(at) as u8).collect::<Vec<_>>();
    for to in [
        table(&|at| at % 4),
        table(&|at| 3 - at % 4),
        table(&|_| 2),
        table(&|at| at % 2),
    ] {
        assert!(two.set_rss_lut(&to).unwrap().is_ok());
        let came = spread(&mut one, &mut two);
        for (pair, hash) in &came {
            assert_eq!(*pair, u16::from(to[(hash % entries) as usize]));
        }
        let used: BTreeSet<_> = came.iter().map(|(pair, _)| *pair).collect();
        let named: BTreeSet<_> = to.iter().map(|pair| u16::from(*pair)).collect();
        assert_eq!(used, named);
    }
    assert!(!two.set_rss_lut(&table(&|_| 4)).unwrap().is_ok());
    // It is there again after a reset.
    two.reset().unwrap();
    let used: BTreeSet<_> = spread(&mut one, &mut two)
        .iter()
        .map(|(pair, _)| *pair)
        .collect();
    assert_eq!(used.len(), usize::from(PAIRS));
}

#[test]
fn other_numbers_of_pairs_can_be_asked_for() {
    use lab::fakevm::avf::control::QueueAnswer;
    let host = Host::new();
    let (mut one, mut two) = (four(&host, "one"), four(&host, "two"));
    for pairs in [1, 2, 4] {
        assert_eq!(two.request_queues(pairs).unwrap(), QueueAnswer::Resets);
        two.configure(|config| config.queue_pairs = pairs);
        two.recover().unwrap();
        assert_eq!(two.resources().queue_pairs, pairs);
        let used: BTreeSet<_> = spread(&mut one, &mut two)
            .iter()
            .map(|(pair, _)| *pair)
            .collect();
        assert_eq!(used.len(), usize::from(pairs));
        let shown = host.daemon.ctl(&["show", "two"]).unwrap();
        assert_eq!(shown["health"]["active_pairs"], pairs);
    }
    assert_eq!(two.request_queues(5).unwrap(), QueueAnswer::Offers(4));
}
