//! Receive descriptors of the flexible format, beside those of the legacy one.

use lab::fakevm::avf::desc::{ptype, rxdid};
use lab::fakevm::avf::virtchnl::{cap, op};
use lab::fakevm::avf::{AvfRingConfig, AvfVm, AvfVmConfig, Offload, Received, Status};
use lab::fakevm::frame;

use super::offloads::{ip, partial, payload};
use super::{avf, avf_with, configure_otherwise, pass, stream};
use crate::common::{Host, SOON};

const JUMBO: [&str; 2] = ["--mtu", "9000"];
/// What GET_SUPPORTED_RXDIDS answers.
const FORMATS: u64 = 1 << rxdid::LEGACY | 1 << rxdid::FLEX;

fn flexible() -> AvfVmConfig {
    AvfVmConfig {
        flex: true,
        ..AvfVmConfig::default()
    }
}

/// One that was granted the choice and chooses the legacy format, as Linux's without timestamps.
fn undecided() -> AvfVmConfig {
    AvfVmConfig {
        wanted: cap::FULL | cap::RX_FLEX_DESC,
        ..AvfVmConfig::default()
    }
}

/// What two receivers are told of the same frame, but for who they are.
fn both(
    from: &mut AvfVm,
    to: [&mut AvfVm; 2],
    offload: &Offload,
    make: impl Fn([u8; 6], [u8; 6]) -> Vec<u8>,
) -> [(Received, Vec<u8>); 2] {
    to.map(|vm| {
        let sent = make(vm.mac(), from.mac());
        from.send_on(0, offload, &sent).unwrap();
        let came = vm.recv_on(0, SOON).unwrap();
        let (received, frame) = came.expect("a frame is lost");
        assert_eq!(frame[..12], sent[..12]);
        (received, frame[12..].to_vec())
    })
}

#[test]
fn frames_pass_between_both_formats() {
    let host = Host::new();
    let mut one = avf_with(&host, "one", &JUMBO, flexible());
    let mut two = avf_with(&host, "two", &JUMBO, AvfVmConfig::default());
    let mut three = avf_with(&host, "three", &JUMBO, undecided());
    let mut four = host.vm_with("four", &JUMBO, lab::fakevm::FakeVmConfig::default());
    let said = |vm: &AvfVm| (vm.queue_pairs()[0].rxdid, vm.pairs());
    assert_eq!(said(&one), (rxdid::FLEX, 1));
    assert_eq!(said(&two), (0, 1));
    assert_eq!(said(&three), (rxdid::LEGACY, 1));
    for len in [60, 64, 1514, 2047, 2048, 2049, 4096, 9014] {
        stream(&mut one, &mut two, 100, len);
        stream(&mut two, &mut one, 100, len);
        stream(&mut one, &mut three, 100, len);
        stream(&mut four, &mut one, 100, len);
        stream(&mut one, &mut four, 100, len);
    }
    // Over many turns of the ring, and after a reset.
    stream(&mut two, &mut one, 5000, 60);
    one.reset().unwrap();
    assert_eq!(said(&one).0, rxdid::FLEX);
    pass(&mut two, &mut one, 1);
}

#[test]
fn both_formats_tell_the_same() {
    let host = Host::new();
    let mut one = avf_with(&host, "one", &JUMBO, AvfVmConfig::default());
    // Of frames over several buffers the last tells.
    for (rx_buffer, len) in [(2048, 400), (1024, 4000)] {
        let with = |config: AvfVmConfig| AvfVmConfig {
            rings: AvfRingConfig {
                rx_buffer,
                ..config.rings
            },
            ..config
        };
        let mut two = avf_with(&host, &format!("two-{rx_buffer}"), &JUMBO, with(flexible()));
        let mut three = avf_with(
            &host,
            &format!("three-{rx_buffer}"),
            &JUMBO,
            with(undecided()),
        );
        for vm in [&mut two, &mut three] {
            assert!(vm.add_vlans(&[5]).unwrap().is_ok());
        }
        let mut hashes = 0;
        for (tag, strips) in [(None, true), (Some(0x6005), true), (Some(0x6005), false)] {
            for vm in [&mut two, &mut three] {
                assert!(vm.set_vlan_strip(strips).unwrap().is_ok());
            }
            let offload = Offload {
                vlan: tag,
                ..Offload::default()
            };
            let data = payload(len);
            let kinds: [(u8, frame::Maker); 4] = [
                (ptype::L2, |to, from, data| {
                    frame::numbered(to, from, 3, data.len())
                }),
                (ptype::V4_TCP, frame::tcp4),
                (ptype::V4_UDP, frame::udp4),
                (ptype::V6_UDP, frame::udp6),
            ];
            for (kind, make) in kinds {
                let make = |to, from| make(to, from, &data);
                let told = both(&mut one, [&mut two, &mut three], &offload, make);
                let [flex, legacy] = told;
                assert_eq!(flex, legacy, "{kind}, {tag:?}, {strips}");
                let received = flex.0;
                assert_eq!(received.ptype, kind);
                assert_eq!(received.vlan, tag.filter(|_| strips));
                assert_eq!(received.hash.is_some(), kind != ptype::L2, "{kind}");
                hashes += u32::from(received.hash.is_some());
            }
        }
        assert_eq!(hashes, 9);
    }
}

#[test]
fn both_formats_tell_the_same_of_checksums() {
    let host = Host::new();
    let mut other = host.vm("other");
    let mut told = Vec::new();
    for (name, config) in [("flex", flexible()), ("legacy", undecided())] {
        let mut vm = avf_with(&host, name, &[], config);
        let sent = frame::tcp4(vm.mac(), other.mac().unwrap(), &payload(300));
        // One that waits for its checksum, and one that is wrong.
        other.send_on(0, &partial(), &sent).unwrap();
        other.send(&sent).unwrap();
        let [first, second] = [ip(&mut vm), ip(&mut vm)];
        assert!(frame::tcp4_checksum_ok(&first.1));
        assert!(second.1 == sent);
        told.push([first.0, second.0]);
    }
    assert_eq!(told[0], told[1]);
}

#[test]
fn formats_that_are_none_are_refused() {
    let host = Host::new();
    let mut one = avf(&host, "one");
    let mut two = avf_with(&host, "two", &[], flexible());
    assert_eq!(two.supported_rxdids().unwrap(), Some(FORMATS));
    for format in [0, 3, 22, 63, u8::MAX] {
        let status = configure_otherwise(&mut two, |pair| pair.rxdid = format);
        assert_eq!(status, Status::ERR_PARAM, "{format}");
        two.reset().unwrap();
        pass(&mut one, &mut two, format.into());
    }
    // The operation has no body.
    let status = two.request(op::GET_SUPPORTED_RXDIDS, &[0]).unwrap().status;
    assert!(!status.is_ok());
    // Who was not granted the choice has none, whatever it says.
    let status = one.request(op::GET_SUPPORTED_RXDIDS, &[]).unwrap().status;
    assert_eq!(status, Status::ERR_NOT_SUPPORTED);
    let status = configure_otherwise(&mut one, |pair| pair.rxdid = 22);
    assert!(status.is_ok());
    one.reset().unwrap();
    pass(&mut two, &mut one, 100);
}
