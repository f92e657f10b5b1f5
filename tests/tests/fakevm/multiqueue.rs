//! Several queue pairs.

use std::collections::HashMap;

use lab::fakevm::frame;
use lab::fakevm::net::NetHeader;
use lab::fakevm::{Ack, FakeVm, FakeVmConfig};

use crate::common::{Host, SOON, introduce, pass};

const FLOWS: u16 = 64;
const FRAMES: u16 = 20;

fn four(host: &Host, name: &str) -> FakeVm {
    let config = FakeVmConfig {
        queue_pairs: 4,
        ..FakeVmConfig::default()
    };
    host.vm_with(name, &["--queue-pairs", "4"], config)
}

/// A UDP datagram of a flow, with its number within the flow.
fn datagram(to: [u8; 6], from: [u8; 6], flow: u16, number: u16) -> Vec<u8> {
    let mut frame = frame::tcp4(to, from, &number.to_be_bytes());
    // The TCP source port tells flows apart.
    frame[34..36].copy_from_slice(&(10_000 + flow).to_be_bytes());
    frame
}

/// Sends all flows, from all pairs by turns, and tells which pair each flow arrived at, in order.
fn spread(one: &mut FakeVm, two: &mut FakeVm) -> HashMap<u16, u16> {
    let (source, target) = (one.mac().unwrap(), two.mac().unwrap());
    let mut at: HashMap<u16, u16> = HashMap::new();
    let mut next: HashMap<u16, u16> = HashMap::new();
    for number in 0..FRAMES {
        for flow in 0..FLOWS {
            let frame = datagram(target, source, flow, number);
            one.send_on(flow % one.pairs(), &NetHeader::default(), &frame)
                .unwrap();
        }
        let mut missing = FLOWS;
        let deadline = std::time::Instant::now() + SOON;
        let mut frame = Vec::new();
        while missing > 0 {
            assert!(
                std::time::Instant::now() < deadline,
                "{missing} flows are missing"
            );
            for pair in 0..two.pairs() {
                while two.poll_rx(pair, &mut frame).unwrap().is_some() {
                    if frame.get(12..14) != Some(&[8, 0]) {
                        continue;
                    }
                    let flow = u16::from_be_bytes([frame[34], frame[35]]) - 10_000;
                    let number = u16::from_be_bytes([frame[54], frame[55]]);
                    assert_eq!(*at.entry(flow).or_insert(pair), pair, "flow {flow} moved");
                    let due = next.entry(flow).or_default();
                    assert_eq!(number, *due, "flow {flow} is out of order");
                    *due += 1;
                    missing -= 1;
                }
            }
        }
    }
    at
}

#[test]
fn flows_are_spread_over_pairs_and_stay_in_order() {
    let host = Host::new();
    let (mut one, mut two) = (four(&host, "one"), four(&host, "two"));
    introduce_first(&mut one, &mut two);
    let at = spread(&mut one, &mut two);
    let used: std::collections::HashSet<_> = at.values().collect();
    assert_eq!(used.len(), 4, "64 flows use all 4 pairs: {at:?}");
}

/// Introduces two VMs whose frames may come in on any pair.
fn introduce_first(one: &mut FakeVm, two: &mut FakeVm) {
    for (from, to) in [(0, 1), (1, 0)] {
        let vms = [&mut *one, &mut *two];
        let mac = vms[from].mac().unwrap();
        vms[from]
            .send(&frame::numbered(frame::BROADCAST, mac, 1, 64))
            .unwrap();
        let mut frame = Vec::new();
        let deadline = std::time::Instant::now() + SOON;
        let mut pair = 0;
        while vms[to].poll_rx(pair, &mut frame).unwrap().is_none() {
            assert!(std::time::Instant::now() < deadline, "no greeting");
            pair = (pair + 1) % vms[to].pairs();
            std::thread::yield_now();
        }
    }
}

#[test]
fn the_number_of_pairs_follows_the_driver() {
    let host = Host::new();
    let (mut one, mut two) = (four(&host, "one"), four(&host, "two"));
    introduce_first(&mut one, &mut two);
    for pairs in [1_u16, 2, 4, 1] {
        assert_eq!(two.set_queue_pairs(pairs).unwrap(), Ack::Ok);
        let at = spread(&mut one, &mut two);
        assert!(at.values().all(|pair| *pair < pairs), "{pairs}: {at:?}");
        let shown = host.daemon.ctl(&["show", "two"]).unwrap();
        assert_eq!(shown["health"]["active_pairs"], pairs);
    }
}

#[test]
fn a_driver_may_use_fewer_pairs_than_there_are() {
    let host = Host::new();
    let fewer = FakeVmConfig {
        queue_pairs: 1,
        ..FakeVmConfig::default()
    };
    let mut one = host.vm_with("one", &["--queue-pairs", "4"], fewer.clone());
    let mut two = host.vm_with("two", &["--queue-pairs", "4"], fewer);
    introduce(&mut [&mut one, &mut two]);
    for number in 0..100 {
        pass(&mut one, &mut two, number);
    }
}

#[test]
fn sixty_four_pairs_work() {
    let host = Host::with("soft:test,queue-pairs=128,workers=1");
    let config = FakeVmConfig {
        queue_pairs: 64,
        ..FakeVmConfig::default()
    };
    let mut one = host.vm_with("one", &["--queue-pairs", "64"], config.clone());
    let mut two = host.vm_with("two", &["--queue-pairs", "64"], config);
    introduce_first(&mut one, &mut two);
    let at = spread(&mut one, &mut two);
    assert_eq!(at.len(), usize::from(FLOWS));
    let used: std::collections::HashSet<_> = at.values().collect();
    assert!(
        used.len() > 8,
        "64 flows over 64 pairs use a good many: {used:?}"
    );
}
