//! Packed rings, in-order use and notification data between guests of every kind.

use lab::fakevm::net::{NetHeader, NetRingConfig, TxLayout, feature, gso, header_flag};
use lab::fakevm::{Ack, DoorbellMode, FakeVm, FakeVmConfig, InterruptMode, frame};

use crate::common::{Host, SOON, expect_number, features, introduce, pass};

/// Both formats may be chosen.
const ANY: &[&str] = &["--ring-format", "any"];

const PACKED: u64 = feature::RING_PACKED;
const IN_ORDER: u64 = feature::IN_ORDER;
const DATA: u64 = feature::NOTIFICATION_DATA;

/// Every combination of the three features.
fn kinds() -> impl Iterator<Item = u64> {
    (0..8).map(|bits| {
        [PACKED, IN_ORDER, DATA]
            .iter()
            .enumerate()
            .filter(|(nth, _)| bits >> nth & 1 == 1)
            .fold(0, |all, (_, bit)| all | bit)
    })
}

/// Sends `count` numbered frames in bursts and receives them all, in order.
fn stream(from: &mut FakeVm, to: &mut FakeVm, count: u64, len: usize) {
    let (source, target) = (from.mac().unwrap(), to.mac().unwrap());
    let buffers = len.div_ceil(lab::fakevm::limits::BUFFER_SIZE) as u64 + 1;
    let room = from
        .config()
        .rings
        .ring_size
        .min(to.config().rings.ring_size);
    let burst = (u64::from(room) / 2 / buffers).clamp(1, 64);
    let mut next = 0;
    while next < count {
        let end = (next + burst).min(count);
        let frames: Vec<_> = (next..end)
            .map(|number| frame::numbered(target, source, number, len))
            .collect();
        let frames: Vec<&[u8]> = frames.iter().map(Vec::as_slice).collect();
        from.send_burst(&frames).unwrap();
        for number in next..end {
            let got = to.recv(SOON).unwrap();
            let got = got.unwrap_or_else(|| panic!("{number} is lost"));
            assert_eq!(got.len(), len);
            assert_eq!(frame::number_of(&got), Some(number));
        }
        next = end;
    }
}

#[test]
fn every_kind_of_guest_reaches_every_other() {
    let host = Host::with("soft:test,queue-pairs=32,workers=1");
    let mut vms: Vec<_> = kinds()
        .enumerate()
        .map(|(nth, more)| {
            let name = format!("vm{nth}");
            let vm = host.vm_with(&name, ANY, features(feature::FULL | more));
            assert_eq!(vm.features() & (PACKED | IN_ORDER | DATA), more);
            vm
        })
        .collect();
    introduce(&mut vms.iter_mut().collect::<Vec<_>>());
    for from in 0..vms.len() {
        for to in 0..vms.len() {
            if let Ok([from, to]) = vms.get_disjoint_mut([from, to]) {
                stream(from, to, 100, 200);
                from.drain_tx(0).unwrap();
            }
        }
    }
}

#[test]
fn rings_of_any_size_turn_and_turn() {
    let host = Host::new();
    let mut split = host.vm("split");
    for size in [3, 7, 64, 100, 1000, 1024] {
        for more in [PACKED, PACKED | IN_ORDER] {
            for (suppression, interrupts) in [
                (0, InterruptMode::EventFd),
                (feature::EVENT_IDX, InterruptMode::EventFd),
                (0, InterruptMode::Polling),
            ] {
                let config = FakeVmConfig {
                    features: feature::FULL & !feature::EVENT_IDX | suppression | more,
                    rings: NetRingConfig {
                        ring_size: size,
                        ..NetRingConfig::default()
                    },
                    interrupts,
                    ..FakeVmConfig::default()
                };
                let mut packed = host.vm_with("packed", ANY, config);
                introduce(&mut [&mut packed, &mut split]);
                stream(&mut packed, &mut split, 5 * u64::from(size) / 2, 100);
                stream(&mut split, &mut packed, 5 * u64::from(size) / 2, 100);
            }
        }
    }
}

#[test]
fn frames_of_every_length_arrive_in_every_layout() {
    let host = Host::new();
    let mut two = host.vm_with("two", ANY, features(feature::FULL | PACKED));
    for tx_layout in [TxLayout::Joined, TxLayout::HeaderApart, TxLayout::Indirect] {
        let rings = NetRingConfig {
            tx_layout,
            ..NetRingConfig::default()
        };
        let config = FakeVmConfig {
            rings,
            ..features(feature::FULL | PACKED | IN_ORDER)
        };
        let mut one = host.vm_with("one", ANY, config);
        introduce(&mut [&mut one, &mut two]);
        let (source, target) = (one.mac().unwrap(), two.mac().unwrap());
        for len in (14..120).chain([1499, 1500, 1501, 1513, 1514]) {
            let frame = frame::numbered(target, source, len as u64, len);
            one.send(&frame).unwrap();
            let got = two.recv(SOON).unwrap().expect("it comes");
            assert!(
                got.len() >= len && got[..len] == frame[..],
                "{tx_layout:?} {len}"
            );
        }
    }
}

#[test]
fn large_frames_stay_whole_over_many_buffers() {
    let host = Host::new();
    let rings = NetRingConfig {
        ring_size: 200,
        ..NetRingConfig::default()
    };
    let config = FakeVmConfig {
        rings,
        ..features(feature::FULL | PACKED)
    };
    let mut one = host.vm_with("one", ANY, config.clone());
    let mut two = host.vm_with("two", ANY, config);
    introduce(&mut [&mut one, &mut two]);
    let (source, target) = (one.mac().unwrap(), two.mac().unwrap());
    let header = NetHeader {
        flags: header_flag::NEEDS_CSUM,
        gso_type: gso::TCPV4,
        hdr_len: 54,
        gso_size: 1448,
        csum_start: 34,
        csum_offset: 16,
        ..NetHeader::default()
    };
    for _ in 0..50 {
        let sent = frame::tcp4(target, source, &vec![0x5a; 60_000]);
        one.send_on(0, &header, &sent).unwrap();
        let (told, got) = two.recv_on(0, SOON).unwrap().expect("it comes");
        assert_eq!((told.gso_type, told.gso_size), (gso::TCPV4, 1448));
        assert!(told.num_buffers > 1);
        assert_eq!(got, sent);
    }
}

#[test]
fn commands_and_several_pairs_work() {
    let host = Host::new();
    for more in kinds() {
        let config = FakeVmConfig {
            queue_pairs: 2,
            ..features(feature::FULL | more)
        };
        let pairs = ["--queue-pairs", "2", "--ring-format", "any"];
        let mut vm = host.vm_with("vm", &pairs, config);
        for round in 0..100 {
            assert_eq!(vm.set_rx_mode(0, round % 2 == 0).unwrap(), Ack::Ok);
        }
        assert_eq!(vm.set_vlan(4096, true).unwrap(), Ack::Err);
        assert_eq!(vm.set_queue_pairs(1).unwrap(), Ack::Ok);
    }
}

#[test]
fn virtio_2_8_1_a_reset_starts_with_wrap_counters_1() {
    let host = Host::new();
    let mut split = host.vm("split");
    let config = FakeVmConfig {
        rings: NetRingConfig {
            ring_size: 50,
            ..NetRingConfig::default()
        },
        ..features(feature::FULL | PACKED | IN_ORDER)
    };
    let mut packed = host.vm_with("packed", ANY, config);
    introduce(&mut [&mut packed, &mut split]);
    for turn in 0..4 {
        // Not a whole number of turns, so that positions differ each time.
        stream(&mut packed, &mut split, 77, 100);
        stream(&mut split, &mut packed, 63, 100);
        match turn {
            0 => packed.restart_tx(0).unwrap(),
            1 => packed.restart_rx(0).unwrap(),
            2 => packed.start().unwrap(),
            _ => {
                packed.configure(|config| {
                    config.features &= !(PACKED | IN_ORDER);
                    config.rings.ring_size = 64;
                });
                packed.start().unwrap();
                assert_eq!(packed.features() & PACKED, 0, "the next driver wants split");
            }
        }
        introduce(&mut [&mut packed, &mut split]);
        pass(&mut packed, &mut split, 0x7000 + turn);
        pass(&mut split, &mut packed, 0x8000 + turn);
    }
}

#[test]
fn the_operator_chooses_the_format() {
    let host = Host::new();
    let vm = host.vm_with("plain", &[], features(feature::FULL | PACKED));
    assert_eq!(vm.offered_features() & PACKED, 0, "not without being asked");
    let device = host.create("packed", &["--ring-format", "packed"]);
    assert!(
        FakeVm::connect(device.socket.as_ref(), features(feature::FULL)).is_err(),
        "a driver of split rings is refused"
    );
    let vm = host.attach(&device, features(feature::FULL | PACKED));
    assert_ne!(vm.features() & PACKED, 0);
}

#[test]
fn notification_data_goes_through_mapped_pages_too() {
    let host = Host::new();
    let mut other = host.vm("other");
    for more in [DATA, DATA | PACKED] {
        let config = FakeVmConfig {
            doorbells: DoorbellMode::Mapped,
            ..features(feature::FULL | more)
        };
        let name = format!("mapped{more:x}");
        let more = ["--doorbells", "mapped", "--ring-format", "any"];
        let mut mapped = host.vm_with(&name, &more, config);
        assert!(mapped.doorbell_is_mapped(1));
        introduce(&mut [&mut mapped, &mut other]);
        stream(&mut mapped, &mut other, 200, 300);
        stream(&mut other, &mut mapped, 200, 300);
    }
}

#[test]
fn an_idle_packed_queue_costs_one_doorbell_per_burst() {
    let host = Host::new();
    let mut split = host.vm("split");
    let mut packed = host.vm_with("packed", ANY, features(feature::FULL | PACKED));
    introduce(&mut [&mut packed, &mut split]);
    let (source, target) = (packed.mac().unwrap(), split.mac().unwrap());
    packed.drain_tx(0).unwrap();
    let before = packed.kicks();
    let frames: Vec<_> = (0..32)
        .map(|n| frame::numbered(target, source, n, 64))
        .collect();
    let frames: Vec<&[u8]> = frames.iter().map(Vec::as_slice).collect();
    packed.send_burst(&frames).unwrap();
    for number in 0..32 {
        expect_number(&mut split, number);
    }
    assert!(packed.kicks() - before <= 1, "{}", packed.kicks() - before);
    assert!(packed.pair(0).tx.queue().layout().packed);
}
