//! Received frames that keep their check sequence.

use lab::fakevm::avf::desc::MAX_CHAIN;
use lab::fakevm::avf::virtchnl::cap;
use lab::fakevm::avf::{AvfRingConfig, AvfVm, AvfVmConfig, Checksum, Offload, Status};
use lab::fakevm::{FakeVmConfig, frame};

use super::offloads::{ip, large, partial, payload, take_segments};
use super::{avf, avf_with, configure_otherwise, pass, stream};
use crate::common::{Host, SOON};

const JUMBO: [&str; 2] = ["--mtu", "9000"];

fn keeping(flex: bool) -> AvfVmConfig {
    AvfVmConfig {
        keep_crc: true,
        flex,
        ..AvfVmConfig::default()
    }
}

/// All that came was right.
fn assert_right(vm: &mut AvfVm, frames: u64) {
    let rx = &vm.pair(0).rx;
    assert!(rx.format().crc, "it was refused");
    assert_eq!(rx.wrong_sequences(), 0);
    assert!(rx.received() >= frames, "{} frames", rx.received());
}

#[test]
fn frames_of_every_length_come_with_theirs() {
    let host = Host::new();
    let mut one = avf_with(&host, "one", &JUMBO, AvfVmConfig::default());
    let mut virtio = host.vm_with("virtio", &JUMBO, FakeVmConfig::default());
    for flex in [false, true] {
        let mut two = avf_with(&host, &format!("two-{flex}"), &JUMBO, keeping(flex));
        // Also where it lies in two buffers, or in one of its own.
        let around = |end: usize| end - 6..end + 3;
        let lengths = (60..130)
            .chain([1500, 1514])
            .chain(around(2048))
            .chain(around(4096))
            .chain([9000, 9014]);
        let mut frames = 0;
        for (number, len) in (0..).zip(lengths) {
            let sent = frame::numbered(two.mac(), one.mac(), number, len);
            one.send(&sent).unwrap();
            let (received, came) = two.recv_on(0, SOON).unwrap().expect("a frame is lost");
            assert!(came == sent, "{len}");
            let buffers = (len + 4).div_ceil(2048);
            assert_eq!(usize::from(received.buffers), buffers, "{len}");
            let from_virtio = frame::numbered(two.mac(), virtio.mac().unwrap(), number, len);
            virtio.send(&from_virtio).unwrap();
            assert_eq!(two.recv(SOON).unwrap(), Some(from_virtio), "{len}");
            frames += 2;
        }
        let short = frame::numbered(two.mac(), one.mac(), 1, 22);
        one.send(&short[..14]).unwrap();
        let came = two.recv(SOON).unwrap().expect("14 bytes");
        assert_eq!(came[..14], short[..14]);
        assert_right(&mut two, frames + 1);
        // Bursts of both senders, and what it sends itself.
        stream(&mut one, &mut two, 2000, 60);
        stream(&mut virtio, &mut two, 500, 1514);
        stream(&mut two, &mut one, 500, 1514);
        assert_right(&mut two, frames + 2501);
    }
}

#[test]
fn frames_over_small_buffers_come_with_theirs() {
    const BUFFER: usize = 1024;
    let host = Host::new();
    let mut one = avf_with(&host, "one", &JUMBO, AvfVmConfig::default());
    let config = AvfVmConfig {
        rings: AvfRingConfig {
            rx_buffer: BUFFER,
            ..AvfRingConfig::default()
        },
        ..keeping(false)
    };
    let mut two = avf_with(&host, "two", &JUMBO, config);
    let most = MAX_CHAIN * BUFFER - 4;
    let around = |buffers: usize| buffers * BUFFER - 6..buffers * BUFFER + 3;
    for len in around(1).chain(around(4)).chain([1514, most]) {
        let sent = frame::numbered(two.mac(), one.mac(), len as u64, len);
        // One for which there is no room with its check sequence does not come.
        let long = frame::numbered(two.mac(), one.mac(), 1, most + 1);
        one.send_burst(&[&long, &sent]).unwrap();
        let (received, came) = two.recv_on(0, SOON).unwrap().expect("a frame is lost");
        assert!(came == sent, "{len}");
        let buffers = (len + 4).div_ceil(BUFFER);
        assert_eq!(usize::from(received.buffers), buffers, "{len}");
    }
    assert_right(&mut two, 20);
}

/// The sequence is that of the frame as it is delivered: with its tag, its checksum, cut.
#[test]
fn they_are_those_of_what_is_delivered() {
    let host = Host::new();
    let (mut one, mut other) = (avf(&host, "one"), host.vm("other"));
    let mut two = avf_with(&host, "two", &[], keeping(false));
    assert!(two.add_vlans(&[5]).unwrap().is_ok());
    let plain = frame::numbered(two.mac(), one.mac(), 1, 100);
    one.send_on(0, &Offload::tagged(5), &plain).unwrap();
    let (received, came) = two.recv_on(0, SOON).unwrap().expect("a tagged frame");
    assert_eq!(received.vlan, None);
    assert!(came == frame::tagged(&plain, 5));
    for len in [1, 2, 99, 1460] {
        let data = payload(len);
        let sent = frame::tcp4(two.mac(), one.mac(), &data);
        one.send_header(0, &partial(), &sent).unwrap();
        let sent = frame::tcp4(two.mac(), other.mac().unwrap(), &data);
        other.send_on(0, &partial(), &sent).unwrap();
        for _ in 0..2 {
            let (received, came) = ip(&mut two);
            assert!(frame::tcp4_checksum_ok(&came), "{len}");
            assert_ne!(received.checksum, Checksum::Bad, "{len}");
        }
    }
    let data = payload(16_000);
    let sent = frame::tcp4(two.mac(), one.mac(), &data);
    one.send_header(0, &large(), &sent).unwrap();
    take_segments(&mut two, &data);
    let sent = frame::tcp4(two.mac(), other.mac().unwrap(), &data);
    other.send_on(0, &large(), &sent).unwrap();
    take_segments(&mut two, &data);
    assert_right(&mut two, 9 + 2 * 12);
}

#[test]
fn they_are_kept_or_tags_taken_out() {
    let host = Host::new();
    let (mut one, mut two) = (avf(&host, "one"), avf(&host, "two"));
    let status = configure_otherwise(&mut two, |pair| pair.keep_crc = true);
    assert_eq!(status, Status::ERR_PARAM, "tags are taken out");
    two.reset().unwrap();
    pass(&mut one, &mut two, 1);
    two.configure(|config| config.keep_crc = true);
    two.reset().unwrap();
    let status = two.set_vlan_strip(true).unwrap();
    assert_eq!(status, Status::ERR_NOT_SUPPORTED, "sequences are kept");
    pass(&mut one, &mut two, 2);
    assert_right(&mut two, 1);
    // Both can be changed.
    two.configure(|config| config.keep_crc = false);
    two.reset().unwrap();
    assert!(two.set_vlan_strip(true).unwrap().is_ok());
    pass(&mut one, &mut two, 3);
}

#[test]
fn who_was_not_granted_it_gets_plain_frames() {
    let host = Host::new();
    let mut one = avf(&host, "one");
    let config = AvfVmConfig {
        wanted: cap::FULL & !cap::CRC,
        ..keeping(false)
    };
    let mut two = avf_with(&host, "two", &[], config);
    assert!(!two.pair(0).rx.format().crc);
    pass(&mut one, &mut two, 1);
}
