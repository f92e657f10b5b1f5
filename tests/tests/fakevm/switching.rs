//! Who receives what: addresses, filters, VLANs.

use lab::fakevm::control::ctrl;
use lab::fakevm::frame::{self, BROADCAST};
use lab::fakevm::net::feature;
use lab::fakevm::{Ack, FakeVm, FakeVmConfig};

use crate::common::{Host, expect_none, expect_number, introduce, pass, without};

const GROUP: [u8; 6] = [0x01, 0x00, 0x5e, 0, 0, 7];
const OTHER_GROUP: [u8; 6] = [0x33, 0x33, 0, 0, 0, 9];
const STRANGER: [u8; 6] = [0x02, 0xff, 0xee, 0xdd, 0xcc, 0xbb];

fn send(from: &mut FakeVm, to: [u8; 6], number: u64) {
    let source = from.mac().unwrap();
    from.send(&frame::numbered(to, source, number, 64)).unwrap();
}

#[test]
fn a_known_address_is_nobody_elses() {
    let host = Host::new();
    let (mut one, mut two, mut three) = (host.vm("one"), host.vm("two"), host.vm("three"));
    introduce(&mut [&mut one, &mut two, &mut three]);
    let target = two.mac().unwrap();
    send(&mut one, target, 1);
    expect_number(&mut two, 1);
    expect_none(&mut one, &mut three, 1);
}

#[test]
fn broadcasts_reach_all_others_and_not_the_sender() {
    let host = Host::new();
    let (mut one, mut two, mut three) = (host.vm("one"), host.vm("two"), host.vm("three"));
    introduce(&mut [&mut one, &mut two, &mut three]);
    send(&mut one, BROADCAST, 5);
    expect_number(&mut two, 5);
    expect_number(&mut three, 5);
    expect_none(&mut two, &mut one, 5);
}

#[test]
fn multicast_passes_the_filter_that_the_driver_sets() {
    let host = Host::new();
    let (mut one, mut two) = (host.vm("one"), host.vm("two"));
    introduce(&mut [&mut one, &mut two]);
    assert_eq!(two.set_mac_table(&[], &[GROUP]).unwrap(), Ack::Ok);
    send(&mut one, GROUP, 1);
    expect_number(&mut two, 1);
    send(&mut one, OTHER_GROUP, 2);
    expect_none(&mut one, &mut two, 2);
    assert_eq!(two.set_rx_mode(ctrl::RX_ALLMULTI, true).unwrap(), Ack::Ok);
    send(&mut one, OTHER_GROUP, 3);
    expect_number(&mut two, 3);
    assert_eq!(two.set_rx_mode(ctrl::RX_ALLMULTI, false).unwrap(), Ack::Ok);
    assert_eq!(two.set_mac_table(&[], &[]).unwrap(), Ack::Ok);
    send(&mut one, GROUP, 4);
    expect_none(&mut one, &mut two, 4);
}

#[test]
fn the_address_can_be_changed() {
    let host = Host::new();
    let (mut one, mut two) = (host.vm("one"), host.vm("two"));
    introduce(&mut [&mut one, &mut two]);
    let old = two.mac().unwrap();
    match two.set_mac(STRANGER).unwrap() {
        Ack::Ok => {
            assert_eq!(two.mac().unwrap(), STRANGER);
            pass(&mut one, &mut two, 1);
            pass(&mut two, &mut one, 2);
            let shown = host.daemon.ctl(&["show", "two"]).unwrap();
            assert_eq!(shown["health"]["mac"], "02:ff:ee:dd:cc:bb");
            // The old one is not its own any more.
            send(&mut one, old, 3);
            expect_none(&mut one, &mut two, 3);
        }
        Ack::Err => panic!("the default profile lets a guest change its address"),
    }
}

#[test]
fn an_address_that_is_no_station_is_refused() {
    let host = Host::new();
    let mut one = host.vm("one");
    let before = one.mac().unwrap();
    for mac in [BROADCAST, GROUP, [0; 6]] {
        assert_eq!(one.set_mac(mac).unwrap(), Ack::Err, "{mac:02x?}");
    }
    assert_eq!(one.mac().unwrap(), before);
}

#[test]
fn a_neighbours_address_cannot_be_taken() {
    let host = Host::new();
    let (mut one, mut two, mut thief) = (host.vm("one"), host.vm("two"), host.vm("thief"));
    introduce(&mut [&mut one, &mut two, &mut thief]);
    let coveted = two.mac().unwrap();
    assert_eq!(thief.set_mac(coveted).unwrap(), Ack::Err);
    // Nor by sending under it.
    thief
        .send(&frame::numbered(BROADCAST, coveted, 1, 64))
        .unwrap();
    thief.drain_tx(0).unwrap();
    for number in 10..20 {
        pass(&mut one, &mut two, number);
    }
}

/// A device in VLAN 10 hears only VLAN 10; its driver sees no tags.
#[test]
fn access_vlans_keep_apart() {
    let host = Host::new();
    let vm =
        |name: &str, vlan: &str| host.vm_with(name, &["--vlan", vlan], FakeVmConfig::default());
    let (mut one, mut two) = (vm("one", "10"), vm("two", "10"));
    let (mut other, mut fellow) = (vm("other", "20"), vm("fellow", "20"));
    introduce(&mut [&mut one, &mut two]);
    introduce(&mut [&mut other, &mut fellow]);
    send(&mut one, BROADCAST, 1);
    expect_number(&mut two, 1);
    expect_none(&mut fellow, &mut other, 1);
    let target = other.mac().unwrap();
    send(&mut one, target, 2);
    expect_none(&mut fellow, &mut other, 2);
    pass(&mut two, &mut one, 3);
}

/// virtio 1.3 5.1.6.5.3: a driver that negotiated CTRL_VLAN gets the VLANs that it names.
#[test]
fn tagged_frames_pass_the_vlan_filter() {
    let host = Host::new();
    let (mut one, mut two) = (host.vm("one"), host.vm("two"));
    introduce(&mut [&mut one, &mut two]);
    let (source, target) = (one.mac().unwrap(), two.mac().unwrap());
    let tagged = |number| frame::tagged(&frame::numbered(target, source, number, 64), 42);
    let is = |number: u64| {
        move |got: &[u8]| {
            got.len() > 26 && got[12..14] == [0x81, 0] && got[18..26] == number.to_le_bytes()
        }
    };
    one.send(&tagged(1)).unwrap();
    pass(&mut one, &mut two, 2);
    assert_eq!(two.set_vlan(42, true).unwrap(), Ack::Ok);
    one.send(&tagged(3)).unwrap();
    let got = two.recv_matching(crate::common::SOON, is(3)).unwrap();
    assert!(got.is_some(), "VLAN 42 is in the filter");
    assert_eq!(two.set_vlan(42, false).unwrap(), Ack::Ok);
    one.send(&tagged(4)).unwrap();
    one.send(&frame::numbered(target, source, 5, 64)).unwrap();
    loop {
        let got = two.recv(crate::common::SOON).unwrap().expect("frame 5");
        assert!(
            !is(1)(&got) && !is(4)(&got),
            "a VLAN that is not in the filter came through"
        );
        if frame::number_of(&got) == Some(5) {
            break;
        }
    }
}

#[test]
fn without_the_vlan_filter_tagged_frames_pass() {
    let host = Host::new();
    let mut one = host.vm("one");
    let mut two = host.vm_with("two", &[], without(feature::CTRL_VLAN));
    introduce(&mut [&mut one, &mut two]);
    let (source, target) = (one.mac().unwrap(), two.mac().unwrap());
    one.send(&frame::tagged(&frame::numbered(target, source, 1, 64), 42))
        .unwrap();
    let tag = |got: &[u8]| got.get(12..16) == Some(&[0x81, 0, 0, 42][..]);
    assert!(
        two.recv_matching(crate::common::SOON, tag)
            .unwrap()
            .is_some()
    );
}
