//! Frames between two guests.

use std::time::Duration;

use lab::fakevm::frame;
use lab::fakevm::net::{NetRingConfig, TxLayout, feature};
use lab::fakevm::{FakeVm, FakeVmConfig, InterruptMode};

use crate::common::{Host, SOON, expect_number, features, introduce, pass};

/// Frames of a long run.
const MANY: u64 = 20_000;

/// Sends `count` numbered frames and receives them all, in order, unharmed.
fn stream(from: &mut FakeVm, to: &mut FakeVm, count: u64, len: usize) {
    let (source, target) = (from.mac().unwrap(), to.mac().unwrap());
    // No more under way than the receiver has buffers for, however small its ring.
    let buffers = len.div_ceil(lab::fakevm::limits::BUFFER_SIZE) as u64 + 1;
    let burst = (u64::from(from.config().rings.ring_size) / 2 / buffers).min(64);
    let mut next = 0;
    while next < count {
        let end = (next + burst).min(count);
        let frames: Vec<_> = (next..end)
            .map(|number| frame::numbered(target, source, number, len))
            .collect();
        let frames: Vec<&[u8]> = frames.iter().map(Vec::as_slice).collect();
        from.send_burst(&frames).unwrap();
        for number in next..end {
            let frame = to
                .recv(SOON)
                .unwrap()
                .unwrap_or_else(|| panic!("{number} is lost"));
            assert_eq!(frame.len(), len);
            assert_eq!(frame::number_of(&frame), Some(number));
        }
        next = end;
    }
}

#[test]
fn frames_of_every_length_arrive_in_every_layout() {
    let host = Host::new();
    host.create("one", &[]);
    let mut two = host.vm("two");
    for tx_layout in [TxLayout::Joined, TxLayout::HeaderApart, TxLayout::Indirect] {
        let rings = NetRingConfig {
            tx_layout,
            ..NetRingConfig::default()
        };
        let mut one = host.vm_with(
            "one",
            &[],
            FakeVmConfig {
                rings,
                ..FakeVmConfig::default()
            },
        );
        introduce(&mut [&mut one, &mut two]);
        let (source, target) = (one.mac().unwrap(), two.mac().unwrap());
        for len in (14..120).chain([1499, 1500, 1501, 1513, 1514]) {
            let frame = frame::numbered(target, source, len as u64, len);
            one.send(&frame).unwrap();
            let got = two
                .recv(SOON)
                .unwrap()
                .unwrap_or_else(|| panic!("{tx_layout:?} {len}"));
            // A frame shorter than Ethernet's least may come padded.
            assert!(
                got.len() >= len && got[..len] == frame[..],
                "{tx_layout:?} {len}"
            );
        }
    }
}

#[test]
fn nothing_is_lost_or_reordered() {
    let host = Host::new();
    for (name, features, interrupts) in [
        ("events", feature::FULL, InterruptMode::EventFd),
        (
            "flags",
            feature::FULL & !feature::EVENT_IDX,
            InterruptMode::EventFd,
        ),
        ("polling", feature::FULL, InterruptMode::Polling),
        ("plain", feature::PLAIN, InterruptMode::Polling),
    ] {
        let config = FakeVmConfig {
            features,
            interrupts,
            ..FakeVmConfig::default()
        };
        let mut one = host.vm_with(&format!("one-{name}"), &[], config.clone());
        let mut two = host.vm_with(&format!("two-{name}"), &[], config);
        introduce(&mut [&mut one, &mut two]);
        stream(&mut one, &mut two, MANY, 64);
        stream(&mut two, &mut one, MANY / 4, 1514);
    }
}

#[test]
fn rings_of_every_size_work() {
    let host = Host::new();
    for size in [8, 16, 64, 512, 1024] {
        let rings = NetRingConfig {
            ring_size: size,
            ..NetRingConfig::default()
        };
        let config = FakeVmConfig {
            rings,
            ..FakeVmConfig::default()
        };
        let mut one = host.vm_with(&format!("one-{size}"), &[], config.clone());
        let mut two = host.vm_with(&format!("two-{size}"), &[], config);
        introduce(&mut [&mut one, &mut two]);
        stream(&mut one, &mut two, 5 * u64::from(size), 200);
        drop((one, two));
        host.daemon
            .ctl(&["destroy", &format!("one-{size}"), "--force"])
            .unwrap();
        host.daemon
            .ctl(&["destroy", &format!("two-{size}"), "--force"])
            .unwrap();
    }
}

#[test]
fn jumbo_frames_span_buffers() {
    let host = Host::new();
    let mut one = host.vm_with("one", &["--mtu", "9000"], FakeVmConfig::default());
    let mut two = host.vm_with("two", &["--mtu", "9000"], FakeVmConfig::default());
    introduce(&mut [&mut one, &mut two]);
    stream(&mut one, &mut two, 200, 9014);
}

/// virtio 1.3 5.1.4.1: nothing above the MTU is passed to the driver.
#[test]
fn frames_above_the_mtu_are_not_delivered() {
    let host = Host::new();
    let mut one = host.vm_with("one", &["--mtu", "9000"], FakeVmConfig::default());
    let mut two = host.vm("two");
    introduce(&mut [&mut one, &mut two]);
    let (source, target) = (one.mac().unwrap(), two.mac().unwrap());
    one.send(&frame::numbered(target, source, 1, 9014)).unwrap();
    crate::common::expect_none(&mut one, &mut two, 1);
    pass(&mut one, &mut two, 2);
}

#[test]
fn without_mergeable_buffers_frames_arrive_whole() {
    let host = Host::new();
    let plain = features(feature::PLAIN & !feature::MRG_RXBUF);
    let mut one = host.vm_with("one", &[], plain.clone());
    let mut two = host.vm_with("two", &[], plain);
    introduce(&mut [&mut one, &mut two]);
    stream(&mut one, &mut two, 500, 1514);
}

/// A receiver that does not receive costs its own frames and nobody else's.
#[test]
fn a_full_receiver_loses_only_its_own() {
    let host = Host::new();
    let mut one = host.vm("one");
    let mut full = host.vm("full");
    let mut two = host.vm("two");
    introduce(&mut [&mut one, &mut full, &mut two]);
    let (source, target) = (one.mac().unwrap(), full.mac().unwrap());
    for number in 0..2000 {
        one.send(&frame::numbered(target, source, number, 64))
            .unwrap();
    }
    one.drain_tx(0).unwrap();
    stream(&mut one, &mut two, 1000, 64);
    // What found room is there, from the first on.
    let first = full.recv(Duration::from_secs(1)).unwrap().unwrap();
    assert_eq!(frame::number_of(&first), Some(0));
    pass(&mut two, &mut full, 0xbeef);
}

#[test]
fn counters_count_what_was_carried() {
    let host = Host::new();
    let mut one = host.vm("one");
    let mut two = host.vm("two");
    introduce(&mut [&mut one, &mut two]);
    let count = |name: &str, pointer: &str| host.daemon.counter(name, pointer).unwrap();
    let before = (count("one", "/tx/frames"), count("two", "/rx/frames"));
    let bytes = count("two", "/rx/bytes");
    stream(&mut one, &mut two, 1000, 100);
    let source = one.mac().unwrap();
    one.send(&frame::numbered(frame::BROADCAST, source, 7, 64))
        .unwrap();
    expect_number(&mut two, 7);
    one.drain_tx(0).unwrap();
    assert_eq!(count("one", "/tx/frames"), before.0 + 1001);
    assert_eq!(count("two", "/rx/frames"), before.1 + 1001);
    assert_eq!(count("two", "/rx/bytes"), bytes + 1000 * 100 + 64);
    assert!(count("one", "/tx/broadcast") >= 2);
}
