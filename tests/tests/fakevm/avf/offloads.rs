//! What descriptors ask for, and what they say.

use lab::fakevm::avf::desc::ptype;
use lab::fakevm::avf::{AvfVm, Checksum, Offload, Received};
use lab::fakevm::net::{NetHeader, gso, header_flag};
use lab::fakevm::{Ack, FakeVm, frame};

use super::avf;
use crate::common::{Host, SOON, without};
use crate::offloads::RECEIVE_OFFLOADS;

const HEADERS: usize = 54;
const SEGMENT: u16 = 1448;

pub(super) fn partial() -> NetHeader {
    NetHeader {
        flags: header_flag::NEEDS_CSUM,
        csum_start: 34,
        csum_offset: 16,
        ..NetHeader::default()
    }
}

pub(super) fn large() -> NetHeader {
    NetHeader {
        gso_type: gso::TCPV4,
        gso_size: SEGMENT,
        hdr_len: HEADERS as u16,
        ..partial()
    }
}

pub(super) fn payload(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 7 + at / 256) as u8).collect()
}

/// The next frame of IPv4.
pub(super) fn ip(vm: &mut AvfVm) -> (Received, Vec<u8>) {
    loop {
        let (received, frame) = vm.recv_on(0, SOON).unwrap().expect("a frame of IPv4");
        if frame.get(12..14) == Some(&[8, 0]) {
            return (received, frame);
        }
    }
}

pub(super) fn virtio_ip(vm: &mut FakeVm) -> (NetHeader, Vec<u8>) {
    loop {
        let (header, frame) = vm.recv_on(0, SOON).unwrap().expect("a frame of IPv4");
        if frame.get(12..14) == Some(&[8, 0]) {
            return (header, frame);
        }
    }
}

/// RFC 791: the header's checksum and length are right.
fn assert_ip(frame: &[u8]) {
    let header = &frame[14..34];
    let words = header
        .chunks(2)
        .map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])));
    let sum: u32 = words.sum();
    assert_eq!((sum & 0xffff) + (sum >> 16), 0xffff, "{header:02x?}");
    let total = u16::from_be_bytes([header[2], header[3]]);
    assert_eq!(usize::from(total), frame.len() - 14);
}

/// Takes the segments that a large frame of this payload is cut into.
pub(super) fn take_segments(vm: &mut AvfVm, data: &[u8]) {
    let mut whole = Vec::new();
    for (nth, part) in data.chunks(SEGMENT.into()).enumerate() {
        let (received, segment) = ip(vm);
        assert_eq!(segment.len(), HEADERS + part.len(), "segment {nth}");
        assert_ip(&segment);
        assert!(frame::tcp4_checksum_ok(&segment), "segment {nth}");
        assert_ne!(received.checksum, Checksum::Bad, "segment {nth}");
        assert_eq!(received.ptype, ptype::V4_TCP, "segment {nth}");
        let sequence = u32::from_be_bytes(segment[38..42].try_into().unwrap());
        assert_eq!(sequence, 1 + nth as u32 * u32::from(SEGMENT));
        whole.extend_from_slice(&segment[HEADERS..]);
    }
    assert!(whole == data);
}

#[test]
fn a_large_send_is_cut_for_every_such_device() {
    let host = Host::new();
    let (mut one, mut two, mut other) = (avf(&host, "one"), avf(&host, "two"), host.vm("other"));
    for len in [SEGMENT.into(), 3000, 16_000] {
        let data = payload(len);
        let sent = frame::tcp4(two.mac(), one.mac(), &data);
        one.send_header(0, &large(), &sent).unwrap();
        take_segments(&mut two, &data);
        let sent = frame::tcp4(two.mac(), other.mac().unwrap(), &data);
        other.send_on(0, &large(), &sent).unwrap();
        take_segments(&mut two, &data);
    }
}

#[test]
fn a_large_send_reaches_a_virtio_guest_whole() {
    let host = Host::new();
    let (mut one, mut two) = (avf(&host, "one"), host.vm("two"));
    let mut plain = host.vm_with("plain", &[], without(RECEIVE_OFFLOADS));
    let data = payload(16_000);
    let sent = frame::tcp4(two.mac().unwrap(), one.mac(), &data);
    one.send_header(0, &large(), &sent).unwrap();
    let (header, came) = virtio_ip(&mut two);
    assert!(came[HEADERS..] == data[..]);
    assert_ip(&came);
    assert_eq!((header.gso_type, header.gso_size), (gso::TCPV4, SEGMENT));
    // What the driver left out is there again, as virtio wants it: the sum of the pseudo header.
    assert!(came == sent);
    assert_eq!(
        header.flags & header_flag::NEEDS_CSUM,
        header_flag::NEEDS_CSUM
    );
    assert_eq!(host.daemon.counter("one", "/tx/large_frames").unwrap(), 1);
    let sent = frame::tcp4(plain.mac().unwrap(), one.mac(), &data);
    one.send_header(0, &large(), &sent).unwrap();
    let mut whole = Vec::new();
    while whole.len() < data.len() {
        let (header, segment) = virtio_ip(&mut plain);
        assert_eq!(
            (header.flags & header_flag::NEEDS_CSUM, header.gso_type),
            (0, gso::NONE)
        );
        assert!(frame::tcp4_checksum_ok(&segment));
        whole.extend_from_slice(&segment[HEADERS..]);
    }
    assert!(whole == data);
}

#[test]
fn checksums_are_finished() {
    let host = Host::new();
    let (mut one, mut two) = (avf(&host, "one"), avf(&host, "two"));
    let (mut keen, mut plain) = (
        host.vm("keen"),
        host.vm_with("plain", &[], without(RECEIVE_OFFLOADS)),
    );
    for len in [1, 2, 99, 1000, 1460] {
        let data = payload(len);
        let sent = frame::tcp4(two.mac(), one.mac(), &data);
        one.send_header(0, &partial(), &sent).unwrap();
        let from_virtio = frame::tcp4(two.mac(), keen.mac().unwrap(), &data);
        keen.send_on(0, &partial(), &from_virtio).unwrap();
        for _ in 0..2 {
            let (received, came) = ip(&mut two);
            assert!(frame::tcp4_checksum_ok(&came), "{len}");
            assert_ip(&came);
            assert!(came[HEADERS..] == data[..]);
            assert_ne!(received.checksum, Checksum::Bad, "{len}");
            assert_eq!(received.ptype, ptype::V4_TCP);
        }
        for (vm, agreed) in [(&mut keen, true), (&mut plain, false)] {
            let sent = frame::tcp4(vm.mac().unwrap(), one.mac(), &data);
            one.send_header(0, &partial(), &sent).unwrap();
            let (header, came) = virtio_ip(vm);
            let needs = header.flags & header_flag::NEEDS_CSUM != 0;
            assert!(needs && agreed || frame::tcp4_checksum_ok(&came), "{len}");
        }
    }
}

/// A checksum that is wrong and that nobody has asked to be finished stays as it is, and is not said to be right.
#[test]
fn a_wrong_checksum_is_not_called_right() {
    let host = Host::new();
    let (mut one, mut two) = (avf(&host, "one"), avf(&host, "two"));
    let sent = frame::tcp4(two.mac(), one.mac(), &payload(100));
    one.send(&sent).unwrap();
    let (received, came) = ip(&mut two);
    assert!(came == sent);
    assert_ne!(received.checksum, Checksum::Good);
}

#[test]
fn tags_are_put_in_and_taken_out() {
    let host = Host::new();
    let (mut one, mut two, mut other) = (avf(&host, "one"), avf(&host, "two"), host.vm("other"));
    assert!(two.add_vlans(&[5, 6]).unwrap().is_ok());
    let plain = frame::numbered(two.mac(), one.mac(), 1, 100);
    let tagged = |vlan| frame::tagged(&plain, vlan);
    let by_descriptor = Offload::tagged(5);
    let by_context = Offload {
        vlan2: Some(0x6006),
        ..Offload::default()
    };
    for (offload, tci) in [(by_descriptor, 5), (by_context, 0x6006)] {
        for strips in [true, false, true] {
            assert!(two.set_vlan_strip(strips).unwrap().is_ok());
            one.send_on(0, &offload, &plain).unwrap();
            let (received, came) = two.recv_on(0, SOON).unwrap().expect("a tagged frame");
            if strips {
                assert_eq!(received.vlan, Some(tci));
                assert!(came == plain);
            } else {
                assert_eq!(received.vlan, None);
                assert!(came == tagged(tci));
            }
        }
    }
    // One that the driver has written itself is as good, also over several buffers and from a virtio guest.
    let own = frame::tagged(
        &frame::numbered(two.mac(), other.mac().unwrap(), 2, 1514),
        6,
    );
    other.send(&own).unwrap();
    let (received, came) = two.recv_on(0, SOON).unwrap().expect("a tagged frame");
    assert_eq!((received.vlan, frame::number_of(&came)), (Some(6), Some(2)));
    assert_eq!(other.set_vlan(5, true).unwrap(), Ack::Ok);
    let broadcast = frame::numbered(frame::BROADCAST, one.mac(), 3, 100);
    one.send_on(0, &by_descriptor, &broadcast).unwrap();
    let came = other.recv_matching(SOON, |came| came == frame::tagged(&broadcast, 5));
    assert!(came.unwrap().is_some());
}

/// A large frame with a tag in its descriptors.
#[test]
fn a_tag_is_put_into_every_segment() {
    let host = Host::new();
    let (mut one, mut two) = (avf(&host, "one"), avf(&host, "two"));
    assert!(two.add_vlans(&[5]).unwrap().is_ok());
    let data = payload(4000);
    let sent = frame::tcp4(two.mac(), one.mac(), &data);
    let (offload, patches) = Offload::of(&large(), &sent).unwrap();
    let offload = Offload {
        vlan: Some(5),
        ..offload
    };
    let mut patched = sent;
    for (at, bytes) in patches.into_iter().flatten() {
        patched[at..at + 2].copy_from_slice(&bytes);
    }
    one.send_on(0, &offload, &patched).unwrap();
    let mut whole = Vec::new();
    while whole.len() < data.len() {
        let (received, segment) = ip(&mut two);
        assert_eq!(received.vlan, Some(5));
        assert!(frame::tcp4_checksum_ok(&segment));
        whole.extend_from_slice(&segment[HEADERS..]);
    }
    assert!(whole == data);
}
