//! Large sends and partial checksums, whole and cut.

use lab::fakevm::frame;
use lab::fakevm::net::{NetHeader, feature, gso, header_flag};
use lab::fakevm::{Ack, FakeVm};

use crate::common::{Host, SOON, introduce, without};

pub const RECEIVE_OFFLOADS: u64 = feature::GUEST_CSUM
    | feature::GUEST_TSO4
    | feature::GUEST_TSO6
    | feature::GUEST_ECN
    | feature::GUEST_UFO
    | feature::GUEST_USO4
    | feature::GUEST_USO6;
const HEADERS: usize = 54;
const SEGMENT: u16 = 1448;

fn large_send() -> NetHeader {
    NetHeader {
        flags: header_flag::NEEDS_CSUM,
        gso_type: gso::TCPV4,
        hdr_len: HEADERS as u16,
        gso_size: SEGMENT,
        csum_start: 34,
        csum_offset: 16,
        ..NetHeader::default()
    }
}

fn partial() -> NetHeader {
    let flags = header_flag::NEEDS_CSUM;
    NetHeader {
        flags,
        csum_start: 34,
        csum_offset: 16,
        ..NetHeader::default()
    }
}

fn payload(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 7 + at / 256) as u8).collect()
}

/// Frames of IPv4 that arrive, until `bytes` of payload have come.
fn take(vm: &mut FakeVm, bytes: usize) -> Vec<(NetHeader, Vec<u8>)> {
    let mut frames = Vec::new();
    let mut have = 0;
    while have < bytes {
        let (header, frame) = vm.recv_on(0, SOON).unwrap().expect("more of the payload");
        if frame.get(12..14) == Some(&[8, 0]) {
            have += frame.len() - HEADERS;
            frames.push((header, frame));
        }
    }
    frames
}

#[test]
fn a_large_send_arrives_uncut_where_both_sides_agree() {
    let host = Host::new();
    let (mut one, mut two) = (host.vm("one"), host.vm("two"));
    introduce(&mut [&mut one, &mut two]);
    let data = payload(60_000);
    let frame = frame::tcp4(two.mac().unwrap(), one.mac().unwrap(), &data);
    one.send_on(0, &large_send(), &frame).unwrap();
    let got = take(&mut two, data.len());
    assert_eq!(got.len(), 1, "uncut");
    let (header, received) = &got[0];
    assert!(received[HEADERS..] == data[..]);
    assert_eq!((header.gso_type, header.gso_size), (gso::TCPV4, SEGMENT));
    assert_ne!(header.flags & header_flag::NEEDS_CSUM, 0);
    assert_eq!(host.daemon.counter("one", "/tx/large_frames").unwrap(), 1);
    assert_eq!(host.daemon.counter("two", "/rx/large_frames").unwrap(), 1);
}

#[test]
fn a_large_send_is_cut_for_a_receiver_that_cannot_take_it() {
    let host = Host::new();
    let mut one = host.vm("one");
    let mut two = host.vm_with("two", &[], without(RECEIVE_OFFLOADS));
    introduce(&mut [&mut one, &mut two]);
    let data = payload(60_000);
    let frame = frame::tcp4(two.mac().unwrap(), one.mac().unwrap(), &data);
    one.send_on(0, &large_send(), &frame).unwrap();
    let got = take(&mut two, data.len());
    assert_eq!(got.len(), data.len().div_ceil(SEGMENT.into()));
    let mut whole = Vec::new();
    for (nth, (header, segment)) in got.iter().enumerate() {
        assert_eq!(
            (header.flags & header_flag::NEEDS_CSUM, header.gso_type),
            (0, gso::NONE)
        );
        assert!(frame::tcp4_checksum_ok(segment), "segment {nth}");
        let sequence = u32::from_be_bytes(segment[38..42].try_into().unwrap());
        assert_eq!(sequence, 1 + nth as u32 * u32::from(SEGMENT));
        whole.extend_from_slice(&segment[HEADERS..]);
    }
    assert!(whole == data);
}

#[test]
fn a_partial_checksum_is_completed_for_a_receiver_that_cannot_take_it() {
    let host = Host::new();
    let mut one = host.vm("one");
    let mut keen = host.vm("keen");
    let mut plain = host.vm_with("plain", &[], without(RECEIVE_OFFLOADS));
    introduce(&mut [&mut one, &mut keen, &mut plain]);
    for len in [0, 1, 2, 99, 1000] {
        let data = payload(len.max(1));
        let send = |one: &mut FakeVm, to: [u8; 6]| {
            let frame = frame::tcp4(to, one.mac().unwrap(), &data);
            one.send_on(0, &partial(), &frame).unwrap();
        };
        send(&mut one, keen.mac().unwrap());
        let (header, frame) = take(&mut keen, data.len()).remove(0);
        let needs = header.flags & header_flag::NEEDS_CSUM != 0;
        assert!(
            needs || frame::tcp4_checksum_ok(&frame),
            "{len}: partial and said, or complete"
        );
        send(&mut one, plain.mac().unwrap());
        let (header, frame) = take(&mut plain, data.len()).remove(0);
        assert_eq!(header.flags & header_flag::NEEDS_CSUM, 0);
        assert!(frame::tcp4_checksum_ok(&frame), "{len}");
    }
}

/// virtio 1.3 5.1.6.5.6: what was agreed on can be switched off and on while the device runs.
#[test]
fn receive_offloads_can_be_switched() {
    let host = Host::new();
    let (mut one, mut two) = (host.vm("one"), host.vm("two"));
    introduce(&mut [&mut one, &mut two]);
    let data = payload(30_000);
    let agreed = two.features() & RECEIVE_OFFLOADS;
    for (offloads, cut) in [(0, true), (agreed, false), (0, true)] {
        assert_eq!(two.set_guest_offloads(offloads).unwrap(), Ack::Ok);
        let frame = frame::tcp4(two.mac().unwrap(), one.mac().unwrap(), &data);
        one.send_on(0, &large_send(), &frame).unwrap();
        let frames = take(&mut two, data.len()).len();
        assert_eq!(
            frames > 1,
            cut,
            "{frames} frames with offloads {offloads:#x}"
        );
    }
}

#[test]
fn a_broadcast_large_send_suits_every_receiver() {
    let host = Host::new();
    let mut one = host.vm("one");
    let mut keen = host.vm("keen");
    let mut plain = host.vm_with("plain", &[], without(RECEIVE_OFFLOADS));
    introduce(&mut [&mut one, &mut keen, &mut plain]);
    let data = payload(20_000);
    let frame = frame::tcp4(frame::BROADCAST, one.mac().unwrap(), &data);
    one.send_on(0, &large_send(), &frame).unwrap();
    assert_eq!(take(&mut keen, data.len()).len(), 1);
    let cut = take(&mut plain, data.len());
    assert!(
        cut.iter()
            .all(|(_, segment)| frame::tcp4_checksum_ok(segment))
    );
}
