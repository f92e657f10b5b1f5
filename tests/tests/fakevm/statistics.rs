//! The device's counters as the driver reads them: the same that the operator sees.

use lab::fakevm::control::ctrl;
use lab::fakevm::frame;
use lab::fakevm::net::{NetHeader, feature, rx_queue, tx_queue};
use lab::fakevm::{Ack, FakeVm, FakeVmConfig};

use crate::common::{Host, introduce, pass};

const RX: u64 = 7;
const TX: u64 = 7 << 16;
const CVQ: u64 = 1 << 32;

fn vm(host: &Host, name: &str, features: u64) -> FakeVm {
    let config = FakeVmConfig {
        features,
        ..FakeVmConfig::default()
    };
    host.vm_with(name, &["--queue-pairs", "2"], config)
}

#[test]
fn statistics_equal_the_hosts_counters() {
    let host = Host::new();
    let all = feature::FULL | feature::QUEUES;
    let (mut one, mut two) = (vm(&host, "one", all), vm(&host, "two", all));
    introduce(&mut [&mut one, &mut two]);
    for number in 0..50 {
        pass(&mut one, &mut two, number);
    }
    let (source, target) = (one.mac().unwrap(), two.mac().unwrap());
    let large = frame::tcp4(target, source, &[0x5a; 9000]);
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
    one.drain_tx(0).unwrap();
    // Two without large receive: there it is cut.
    assert_eq!(two.set_guest_offloads(0).unwrap(), Ack::Ok);
    one.send_on(0, &header, &large).unwrap();
    // What is no frame.
    one.send(&[1; 10]).unwrap();
    one.drain_tx(0).unwrap();
    let stats = |vm: &mut FakeVm| vm.statistics(&[(0, RX), (1, TX)]).unwrap().unwrap();
    let (a, b) = (stats(&mut one), stats(&mut two));
    let shown = |name: &str, key: &str| host.daemon.counter(name, key).unwrap();
    for (name, stats) in [("one", &a), ("two", &b)] {
        let [rx, rx_csum, rx_gso, tx, tx_csum, tx_gso] = &stats[..] else {
            panic!("{stats:?}");
        };
        assert_eq!((rx.kind, rx.queue), (0, rx_queue(0)));
        assert_eq!((tx.kind, tx.queue), (16, tx_queue(0)));
        assert_eq!(rx.numbers[1], shown(name, "/rx/frames"), "{name}");
        assert_eq!(rx.numbers[2], shown(name, "/rx/bytes"), "{name}");
        assert_eq!(tx.numbers[1], shown(name, "/tx/frames"), "{name}");
        assert_eq!(tx.numbers[2], shown(name, "/tx/bytes"), "{name}");
        let kicks = rx.numbers[0] + tx.numbers[0];
        assert_eq!(kicks, shown(name, "/doorbells"), "{name}");
        let interrupts = rx.numbers[3] + tx.numbers[3];
        assert_eq!(interrupts, shown(name, "/interrupts"), "{name}");
        assert_eq!(rx_gso.numbers[0], shown(name, "/rx/large_frames"), "{name}");
        assert_eq!(tx_gso.numbers[0], shown(name, "/tx/large_frames"), "{name}");
        assert_eq!(rx_csum.numbers.iter().sum::<u64>(), rx.numbers[1], "{name}");
        assert_eq!(tx_csum.numbers.iter().sum::<u64>(), tx.numbers[1], "{name}");
    }
    let bytes = large.len() as u64;
    assert_eq!(a[3].numbers[4..], [1, 1], "one malformed frame was dropped");
    assert_eq!(a[4].numbers[1], 2, "two needed a checksum");
    let segments = 9000_u64.div_ceil(1448);
    let cut = bytes + (segments - 1) * 54;
    assert_eq!(a[5].numbers, [2, 2 * bytes, segments, cut, 1, bytes]);
    assert_eq!(b[2].numbers, [1, bytes, 0, 0]);
    assert_eq!(b[1].numbers[1], 1);
}

#[test]
fn types_follow_the_features() {
    let host = Host::new();
    let mut full = vm(&host, "full", feature::FULL | feature::QUEUES);
    assert_eq!(full.statistics_types().unwrap(), Some(RX | TX | CVQ));
    let plain = feature::PLAIN | feature::CTRL_VQ | feature::DEVICE_STATS;
    let mut plain = vm(&host, "plain", plain);
    assert_eq!(plain.statistics_types().unwrap(), Some(1 | 1 << 16 | CVQ));
    assert_eq!(plain.statistics(&[(0, 2)]).unwrap(), None);
    let mut none = vm(&host, "none", feature::FULL);
    assert_eq!(none.statistics_types().unwrap(), None);
}

#[test]
fn wrong_questions_are_refused() {
    let host = Host::new();
    let mut vm = vm(&host, "one", feature::FULL | feature::QUEUES);
    for (queue, types) in [
        (5, 1),
        (64, 0),
        (0, 1 << 3),
        (0, TX),
        (1, RX),
        (4, RX),
        (0, CVQ),
    ] {
        let wanted = [(0, 1), (queue, types), (1, 1 << 16)];
        assert_eq!(vm.statistics(&wanted).unwrap(), None, "{queue} {types:#x}");
    }
    // As long as a command may be, and longer.
    assert!(vm.statistics(&[(4, CVQ); 255]).unwrap().is_some());
    assert_eq!(vm.statistics(&[(4, CVQ); 256]).unwrap(), None);
    assert_eq!(vm.statistics(&[(4, CVQ); 1500]).unwrap(), None);
    for len in [1, 15, 17] {
        let ack = vm
            .control(ctrl::STATS, ctrl::STATS_GET, &vec![0; len])
            .unwrap();
        assert_eq!(ack, Ack::Err, "{len}");
    }
    let stats = vm.statistics(&[(4, CVQ)]).unwrap().unwrap();
    let [received, done] = stats[0].numbers[..] else {
        panic!("{stats:?}");
    };
    assert!(received >= done + 12, "{received} received, {done} done");
    // Less room than the answer takes: what fits is there.
    let data = [&[0; 8][..], &7_u64.to_le_bytes()].concat();
    let (ack, part) = vm
        .ask(ctrl::STATS, ctrl::STATS_GET, &data, (0, 20))
        .unwrap();
    assert_eq!((ack, &part[..2]), (Ack::Ok, &[0, 0][..]));
    assert!(!vm.needs_reset().unwrap());
}
