//! Frames through a running device and back.

use std::time::Duration;

use super::*;
use crate::fakevm::avf::desc::ptype;
use crate::fakevm::avf::model::Say;
use crate::fakevm::frame;
use crate::fakevm::limits::BURST;
use crate::fakevm::net::{NetHeader, gso, header_flag, rx_queue, tx_queue};
use lab_guest::inspect::{self, Kind};

const LONG: Duration = Duration::from_secs(5);

fn numbered(number: u64, len: usize) -> Vec<u8> {
    frame::numbered(frame::BROADCAST, [2; 6], number, len)
}

#[test]
fn frames_of_all_lengths_go_out_and_come_in() {
    for mode in MODES {
        let mut vm = started(config(mode));
        // Beyond a buffer they are chained, both ways.
        let lengths = [60, 1514, 2047, 2048, 2049, 4096, 9014, 10_240];
        for (number, len) in (0..200).zip(lengths.iter().cycle()) {
            let frame = numbered(number, *len);
            vm.send(&frame).unwrap();
            let (received, back) = vm.recv_on(0, LONG).unwrap().unwrap();
            assert!(back == frame, "{mode:?}: {number} of {len} bytes");
            let buffers = len.div_ceil(2048) as u16;
            assert_eq!((received.buffers, received.ptype), (buffers, ptype::L2));
            assert_eq!(received.checksum, Checksum::Unknown);
        }
        vm.drain_tx(0).unwrap();
        assert_eq!(vm.pair(0).tx.taken(), 0);
        assert_eq!(vm.pair(0).rx.received(), 200);
    }
}

#[test]
fn short_frames_are_filled_up() {
    let mut vm = started(config(InterruptMode::Polling));
    vm.send(&[7; 14]).unwrap();
    let back = vm.recv(LONG).unwrap().unwrap();
    assert_eq!(back, [&[7; 14][..], &[0; 3]].concat());
}

#[test]
fn bursts_go_out_and_wait_for_room() {
    for reports in [1, 16, 32] {
        for mode in MODES {
            let mut config = config(mode);
            config.rings.reports = reports;
            let mut vm = started(config);
            let frames: Vec<Vec<u8>> = (0..200).map(|number| numbered(number, 60)).collect();
            let mut came = Vec::new();
            for some in frames.chunks(50) {
                let some: Vec<&[u8]> = some.iter().map(Vec::as_slice).collect();
                vm.send_burst(&some).unwrap();
                came.extend(vm.take_frames(0).unwrap());
            }
            while came.len() < 200 {
                came.push(vm.recv_on(0, LONG).unwrap().unwrap());
            }
            let came: Vec<Vec<u8>> = came.into_iter().map(|(_, frame)| frame).collect();
            assert!(came == frames, "{mode:?} {reports}");
            vm.drain_tx(0).unwrap();
        }
    }
}

#[test]
fn a_vector_that_fires_is_enabled_again() {
    let mut vm = started(config(InterruptMode::EventFd));
    vm.take_interrupts();
    for number in 0..20 {
        let before = vm.client.interrupts;
        // Held back while nobody waits.
        vm.send(&numbered(number, 60)).unwrap();
        vm.send(&numbered(number, 60)).unwrap();
        assert!(vm.client.interrupts - before <= 1);
        for _ in 0..2 {
            assert!(vm.recv(LONG).unwrap().is_some());
        }
        assert_eq!(vm.recv(Duration::from_millis(1)).unwrap(), None);
    }
    let vector = vm.vector_of(rx_queue(0)).unwrap();
    assert_eq!(vm.vector_of(tx_queue(0)), Some(vector));
    vm.take_vector(vector);
    vm.trigger(vector).unwrap();
    assert_eq!(vm.take_vector(vector), 1, "a watchdog's");
    vm.set_throttle(0, true, Duration::from_micros(60)).unwrap();
    assert_eq!(vm.read_register(0x2800).unwrap(), 30);
    vm.set_throttle(0, false, Duration::from_micros(8)).unwrap();
    assert_eq!(vm.read_register(0x2840).unwrap(), 4);
}

#[test]
fn checksums_are_the_devices_to_fill_in() {
    let mut vm = started(config(InterruptMode::Polling));
    let header = NetHeader {
        flags: header_flag::NEEDS_CSUM,
        csum_start: 34,
        csum_offset: 16,
        ..NetHeader::default()
    };
    let frame = frame::tcp4(frame::BROADCAST, [2; 6], b"some odd bytes.");
    assert!(!frame::tcp4_checksum_ok(&frame));
    vm.send_header(0, &header, &frame).unwrap();
    let (received, back) = vm.recv_on(0, LONG).unwrap().unwrap();
    assert!(frame::tcp4_checksum_ok(&back));
    assert_eq!(received.checksum, Checksum::Good);
    assert_eq!(received.ptype, ptype::V4_TCP);
    assert_eq!(received.hash, Some(0x1234_5678));
}

fn large(mss: u16) -> NetHeader {
    NetHeader {
        flags: header_flag::NEEDS_CSUM,
        gso_type: gso::TCPV4,
        hdr_len: 54,
        gso_size: mss,
        csum_start: 34,
        csum_offset: 16,
        ..NetHeader::default()
    }
}

#[test]
fn large_frames_are_cut() {
    // From buffers smaller and larger than what a descriptor takes.
    for tx_buffer in [2048, 65_600] {
        let mut config = config(InterruptMode::Polling);
        config.rings.tx_buffer = tx_buffer;
        config.rings.rx_size = 256;
        let mut vm = started(config);
        for (payload, mss) in [(1000, 1448), (5000, 1000), (60_000, 1448), (65_000, 9000)] {
            let bytes: Vec<u8> = (0..payload).map(|at| (at % 251) as u8).collect();
            let frame = frame::tcp4(frame::BROADCAST, [2; 6], &bytes);
            vm.send_header(0, &large(mss), &frame).unwrap();
            let mut whole = Vec::new();
            for part in bytes.chunks(mss.into()) {
                let (received, back) = vm.recv_on(0, LONG).unwrap().unwrap();
                assert!(frame::tcp4_checksum_ok(&back), "{payload} by {mss}");
                assert_eq!(back.len(), 54 + part.len());
                assert_eq!(received.checksum, Checksum::Good);
                whole.extend_from_slice(&back[54..]);
            }
            assert!(whole == bytes, "{payload} by {mss}");
        }
    }
    let mut vm = started(config(InterruptMode::Polling));
    let frame = frame::tcp4(frame::BROADCAST, [2; 6], &[1; 40_000]);
    let refused = vm.send_header(0, &large(16_000), &frame);
    assert!(
        matches!(refused, Err(Error::Unsupported(_))),
        "too many pieces"
    );
    let refused = vm.send(&numbered(1, 9 * 2048));
    assert!(matches!(refused, Err(Error::Unsupported(_))), "likewise");
}

#[test]
fn large_datagrams_are_cut() {
    let mut vm = started(config(InterruptMode::Polling));
    let header = NetHeader {
        gso_type: gso::UDP_L4,
        hdr_len: 42,
        csum_offset: 6,
        ..large(1000)
    };
    for payload in [1000, 5000, 9999] {
        let bytes: Vec<u8> = (0..payload).map(|at| (at % 251) as u8).collect();
        let sent = frame::udp4(frame::BROADCAST, [2; 6], &bytes);
        vm.send_header(0, &header, &sent).unwrap();
        for part in bytes.chunks(1000) {
            let (received, back) = vm.recv_on(0, LONG).unwrap().unwrap();
            assert_eq!(inspect::frame(&back, false, 1500), Ok(Kind::Finished));
            assert!(back[42..] == *part, "{payload}");
            assert_eq!(received.ptype, ptype::V4_UDP);
        }
    }
}

#[test]
fn check_sequences_are_looked_at_and_taken_off() {
    for flex in [false, true] {
        let config = AvfVmConfig {
            keep_crc: true,
            flex,
            ..config(InterruptMode::Polling)
        };
        let mut vm = started(config);
        // Also where it is in a buffer of its own, or in two.
        for (number, len) in (0..).zip([60, 2043, 2044, 2045, 2046, 2047, 2048, 9014]) {
            let sent = frame::tagged(&numbered(number, len - 4), 5);
            vm.send(&sent).unwrap();
            let (received, back) = vm.recv_on(0, LONG).unwrap().unwrap();
            assert!(back == sent, "{len}");
            let buffers = (len + 4).div_ceil(2048) as u16;
            assert_eq!((received.buffers, received.vlan), (buffers, None), "{len}");
        }
        assert_eq!(vm.pair(0).rx.wrong_sequences(), 0);
        let refused = vm.set_vlan_strip(true).unwrap();
        assert_eq!(refused, Status::ERR_NOT_SUPPORTED);
    }
}

#[test]
fn tags_travel_in_descriptors() {
    for flex in [false, true] {
        tags_travel(flex);
    }
}

fn tags_travel(flex: bool) {
    let config = AvfVmConfig {
        flex,
        ..config(InterruptMode::EventFd)
    };
    let mut vm = started(config);
    let plain = numbered(1, 100);
    vm.send_on(0, &Offload::tagged(5), &plain).unwrap();
    let (received, back) = vm.recv_on(0, LONG).unwrap().unwrap();
    assert!(back == plain);
    assert_eq!(received.vlan, Some(5));
    assert!(vm.client.sent[0] == frame::tagged(&plain, 5));
    assert!(vm.set_vlan_strip(false).unwrap().is_ok());
    vm.send(&frame::tagged(&plain, 6)).unwrap();
    let (received, back) = vm.recv_on(0, LONG).unwrap().unwrap();
    assert!(back == frame::tagged(&plain, 6));
    assert_eq!(received.vlan, None);
}

#[test]
fn what_the_device_says_of_a_frame_is_read() {
    for flex in [false, true] {
        let config = AvfVmConfig {
            flex,
            ..config(InterruptMode::Polling)
        };
        is_read(&mut started(config));
    }
}

fn is_read(vm: &mut AvfVm<Model>) {
    let frame = numbered(1, 100);
    let say = |ptype, checked| Say {
        ptype,
        checked,
        ..Say::default()
    };
    for (said, heard) in [
        (say(ptype::V4_UDP, None), Checksum::Unknown),
        (say(ptype::V4_UDP, Some(0)), Checksum::Good),
        (say(ptype::V4_UDP, Some(1 << 4)), Checksum::Bad),
        (say(ptype::V6_TCP, Some(1 << 3)), Checksum::Bad),
        (say(ptype::V4_ICMP, Some(0)), Checksum::Unknown),
        (say(ptype::L2, Some(0)), Checksum::Unknown),
    ] {
        vm.client.deliver(0, &frame, said);
        let (received, _) = vm.recv_on(0, LONG).unwrap().unwrap();
        assert_eq!(received.checksum, heard, "{said:?}");
    }
}

#[test]
fn every_pair_carries_frames() {
    let config = AvfVmConfig {
        queue_pairs: 4,
        ..config(InterruptMode::EventFd)
    };
    let mut vm = started(config);
    for number in 0..100 {
        let pair = (number % 4) as u16;
        vm.send_on(pair, &Offload::default(), &numbered(number, 70))
            .unwrap();
        let (_, back) = vm.recv_on(pair, LONG).unwrap().unwrap();
        assert!(back == numbered(number, 70));
    }
    assert!(vm.disable_queues(0b10, 0).unwrap().is_ok());
    vm.send_on(1, &Offload::default(), &numbered(1, 70))
        .unwrap();
    assert!(vm.recv_on(1, Duration::from_millis(1)).unwrap().is_none());
    assert!(vm.enable_queues(0b10, 0).unwrap().is_ok());
    vm.kick(rx_queue(1)).unwrap();
    assert!(vm.recv_on(1, LONG).unwrap().is_some());
}

/// As a benchmark does it: prepared frames, bursts, the number in each.
#[test]
fn a_guest_of_benchmarks_sends_and_receives() {
    for (reports, len, header) in [
        (1, 60, NetHeader::default()),
        (32, 60, NetHeader::default()),
        (32, 1514, NetHeader::default()),
        (32, 14_000, NetHeader::default()),
        (32, 1054, large(1448)),
    ] {
        let mut config = config(InterruptMode::Polling);
        config.rings.reports = reports;
        config.rings.tx_buffer = 16_128;
        config.rings.rx_buffer = 16_128;
        config.rings.buffers_each = 3;
        config.rings.tx_size = 128;
        config.rings.rx_size = 128;
        let mut vm = started(config);
        let frame = match header.gso_type {
            gso::NONE => numbered(0, len),
            _ => frame::tcp4(frame::BROADCAST, [2; 6], &[9; 1000]),
        };
        let guest: &mut dyn NetGuest = &mut vm;
        guest.tx(0).prepare(&header, &frame).unwrap();
        let stamp_at = if header.gso_type == gso::NONE { 14 } else { 54 };
        let (mut sent, mut received) = (0_u64, 0_u64);
        while received < 3000 {
            let mut tx = guest.tx(0);
            tx.reap_if_scarce().unwrap();
            let count = (sent % 7) as usize * 5 + 1;
            sent += tx.push_prepared(count, len, stamp_at, sent) as u64;
            if tx.publish() {
                guest.kick(tx_queue(0)).unwrap();
            }
            let mut rx = guest.rx(0);
            let before = received;
            let count = rx.poll_burst(BURST, |frame| {
                assert_eq!(frame.len, len);
                assert_eq!(frame.stamp(stamp_at), received);
                received += 1;
            });
            assert_eq!(received - before, count.unwrap() as u64);
            if rx.publish() {
                guest.kick(rx_queue(0)).unwrap();
            }
        }
        assert!(sent >= 3000);
    }
}

#[test]
fn a_guest_of_benchmarks_counts_its_interrupts() {
    let mut vm = started(config(InterruptMode::EventFd));
    vm.take_interrupts();
    vm.client.interrupts = 0;
    let guest: &mut dyn NetGuest = &mut vm;
    for turn in 0..10 {
        guest.arm_rx(0).unwrap();
        guest.arm_rx(0).unwrap();
        guest
            .tx(0)
            .push(&NetHeader::default(), &numbered(turn, 60))
            .unwrap();
        assert!(guest.tx(0).publish());
        guest.kick(tx_queue(0)).unwrap();
        guest.rx(0).poll_burst(BURST, |_| {}).unwrap();
        guest.tx(0).reap().unwrap();
        guest.disarm_rx(0).unwrap();
    }
    assert_eq!(guest.take_interrupts(), 10);
    assert_eq!(vm.client.interrupts, 10);
}
