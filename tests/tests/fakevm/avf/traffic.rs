//! Frames between guests.

use lab::fakevm::avf::{AvfRingConfig, AvfVm, AvfVmConfig};
use lab::fakevm::{FakeVm, FakeVmConfig, InterruptMode, frame};

use super::{avf, avf_with, pass, stream};
use crate::common::{Host, SOON};

/// Frames of a long run.
const MANY: u64 = 5_000;
const JUMBO: [&str; 2] = ["--mtu", "9000"];

fn config(interrupts: InterruptMode, reports: u16) -> AvfVmConfig {
    AvfVmConfig {
        interrupts,
        rings: AvfRingConfig {
            reports,
            ..AvfRingConfig::default()
        },
        ..AvfVmConfig::default()
    }
}

#[test]
fn frames_of_every_length_arrive() {
    let host = Host::new();
    let (mut one, mut two) = (
        avf_with(&host, "one", &JUMBO, AvfVmConfig::default()),
        avf_with(&host, "two", &JUMBO, AvfVmConfig::default()),
    );
    let lengths = (60..130).chain([
        1499, 1500, 1501, 1513, 1514, 2047, 2048, 2049, 4096, 9000, 9014,
    ]);
    for len in lengths {
        stream(&mut one, &mut two, 3, len);
        stream(&mut two, &mut one, 3, len);
    }
    // A driver fills up to what its device takes at least.
    let short = frame::numbered(two.mac(), one.mac(), 1, 22);
    one.send(&short[..14]).unwrap();
    let came = two.recv(SOON).unwrap().expect("14 bytes");
    assert_eq!(came[..14], short[..14]);
}

#[test]
fn nothing_is_lost_or_reordered() {
    let host = Host::new();
    for (name, interrupts, reports) in [
        ("linux", InterruptMode::EventFd, 1),
        ("polling", InterruptMode::Polling, 1),
        ("dpdk", InterruptMode::Polling, 32),
    ] {
        let config = config(interrupts, reports);
        let mut one = avf_with(&host, &format!("one-{name}"), &JUMBO, config.clone());
        let mut two = avf_with(&host, &format!("two-{name}"), &JUMBO, config);
        stream(&mut one, &mut two, MANY, 60);
        stream(&mut two, &mut one, MANY / 4, 1514);
        stream(&mut one, &mut two, MANY / 20, 9014);
    }
}

#[test]
fn rings_of_every_size_work() {
    let host = Host::new();
    for size in [64, 96, 512, 4096] {
        let mut config = config(InterruptMode::EventFd, 1);
        (config.rings.tx_size, config.rings.rx_size) = (size, size);
        let mut one = avf_with(&host, &format!("one-{size}"), &[], config.clone());
        let mut two = avf_with(&host, &format!("two-{size}"), &[], config);
        stream(&mut one, &mut two, 5 * u64::from(size), 200);
        drop((one, two));
        for name in ["one", "two"] {
            host.daemon.destroy(&format!("{name}-{size}")).unwrap();
        }
    }
}

#[test]
fn a_virtio_guest_is_reached_and_reaches() {
    let host = Host::new();
    let mut one: AvfVm = avf_with(&host, "one", &JUMBO, AvfVmConfig::default());
    let mut two: FakeVm = host.vm_with("two", &JUMBO, FakeVmConfig::default());
    for len in [60, 64, 1000, 1514, 4000, 9014] {
        stream(&mut one, &mut two, 500, len);
        stream(&mut two, &mut one, 500, len);
    }
    let broadcast = frame::numbered(frame::BROADCAST, one.mac(), 1, 80);
    one.send(&broadcast).unwrap();
    assert_eq!(two.recv(SOON).unwrap(), Some(broadcast));
}

/// What the receiver has no room for is lost, and nothing else.
#[test]
fn a_guest_that_receives_nothing_holds_nobody_up() {
    let host = Host::new();
    let (mut one, mut idle, mut two) = (avf(&host, "one"), avf(&host, "idle"), avf(&host, "two"));
    for number in 0..3000 {
        one.send(&frame::numbered(idle.mac(), one.mac(), number, 200))
            .unwrap();
        if number % 100 == 0 {
            pass(&mut one, &mut two, number);
        }
    }
    one.drain_tx(0).unwrap();
    let came = idle.take_frames(0).unwrap();
    for (number, (_, came)) in (0..).zip(&came) {
        assert_eq!(frame::number_of(came), Some(number));
    }
    // All but one of its buffers, at least.
    assert!(came.len() >= 511, "{} frames", came.len());
    pass(&mut one, &mut idle, 1 << 20);
}

#[test]
fn the_driver_may_take_another_address() {
    let host = Host::new();
    let (mut one, mut two, mut three) = (avf(&host, "one"), avf(&host, "two"), host.vm("three"));
    let old = two.mac();
    let new = [2, 0xff, 0xee, 0xdd, 0xcc, 0xbb];
    assert!(two.set_mac(new).unwrap().is_ok());
    pass(&mut one, &mut two, 1);
    pass(&mut three, &mut two, 2);
    pass(&mut two, &mut one, 3);
    let shown = host.daemon.ctl(&["show", "two"]).unwrap();
    assert_eq!(shown["health"]["mac"], "02:ff:ee:dd:cc:bb", "{shown}");
    // Nobody has the old one any more: a frame for it is not seen before a later one.
    one.send(&frame::numbered(old, one.mac(), 4, 64)).unwrap();
    let later = frame::numbered(new, one.mac(), 5, 64);
    one.send(&later).unwrap();
    assert_eq!(two.recv(SOON).unwrap(), Some(later));
    // Its own again, and kept over a reset.
    two.reset().unwrap();
    assert_eq!(two.mac(), new);
    pass(&mut one, &mut two, 6);
    let taken = one.mac();
    assert!(!two.set_mac(taken).unwrap().is_ok(), "somebody else's");
    // Broadcast is received in any case, and is nobody's address, as PFs have it.
    assert!(two.set_mac(frame::BROADCAST).unwrap().is_ok());
    let shown = host.daemon.ctl(&["show", "two"]).unwrap();
    assert_eq!(shown["health"]["mac"], "02:ff:ee:dd:cc:bb", "{shown}");
}
