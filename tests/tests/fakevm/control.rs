//! The control queue itself: every command gets a truthful answer.

use lab::fakevm::control::ctrl;
use lab::fakevm::net::feature;
use lab::fakevm::{Ack, FakeVm, FakeVmConfig};

use crate::common::{Host, introduce, pass, without};

#[test]
fn commands_are_answered() {
    let host = Host::new();
    let mut vm = host.vm_with("one", &["--queue-pairs", "4"], FakeVmConfig::default());
    for command in [ctrl::RX_PROMISC, ctrl::RX_ALLMULTI] {
        for on in [true, false] {
            let ack = vm.set_rx_mode(command, on).unwrap();
            // The policy may deny promiscuous mode; then it says so.
            assert!(
                ack == Ack::Ok || command == ctrl::RX_PROMISC,
                "{command} {on}"
            );
        }
    }
    assert_eq!(
        vm.set_mac_table(&[[2, 0, 0, 0, 0, 1]], &[[1, 0, 0x5e, 0, 0, 1]])
            .unwrap(),
        Ack::Ok
    );
    assert_eq!(vm.set_mac_table(&[], &[]).unwrap(), Ack::Ok);
    for vlan in [1, 100, 4094] {
        assert_eq!(vm.set_vlan(vlan, true).unwrap(), Ack::Ok);
        assert_eq!(vm.set_vlan(vlan, false).unwrap(), Ack::Ok);
    }
    for pairs in [1, 2, 4] {
        assert_eq!(vm.set_queue_pairs(pairs).unwrap(), Ack::Ok, "{pairs}");
    }
    for pairs in [0, 5, 0x8000, 0xffff] {
        assert_eq!(vm.set_queue_pairs(pairs).unwrap(), Ack::Err, "{pairs}");
    }
    assert_eq!(vm.set_guest_offloads(feature::GUEST_CSUM).unwrap(), Ack::Ok);
    assert_eq!(vm.set_guest_offloads(0).unwrap(), Ack::Ok);
    // RING_PACKED is no offload.
    assert_eq!(
        vm.set_guest_offloads(feature::RING_PACKED).unwrap(),
        Ack::Err
    );
    assert_eq!(vm.control(77, 7, &[1, 2, 3]).unwrap(), Ack::Err);
    assert_eq!(vm.control(ctrl::RX, 99, &[1]).unwrap(), Ack::Err);
    assert_eq!(
        vm.control(ctrl::RX, ctrl::RX_PROMISC, &[]).unwrap(),
        Ack::Err
    );
    assert_eq!(
        vm.control(ctrl::MAC, ctrl::MAC_ADDR_SET, &[2, 0, 0])
            .unwrap(),
        Ack::Err
    );
    assert!(!vm.needs_reset().unwrap());
}

#[test]
fn a_thousand_commands_leave_the_device_as_it_was() {
    let host = Host::new();
    let (mut one, mut two) = (host.vm("one"), host.vm("two"));
    introduce(&mut [&mut one, &mut two]);
    for round in 0..1000_u16 {
        let vlan = 1 + round % 4000;
        assert_eq!(one.set_vlan(vlan, true).unwrap(), Ack::Ok);
        assert_eq!(one.set_vlan(vlan, false).unwrap(), Ack::Ok);
    }
    pass(&mut one, &mut two, 1);
    pass(&mut two, &mut one, 2);
}

/// A filter that does not fit is refused or widened, never silently narrowed.
#[test]
fn a_table_beyond_all_bounds_loses_no_frames() {
    let host = Host::new();
    let (mut one, mut two) = (host.vm("one"), host.vm("two"));
    introduce(&mut [&mut one, &mut two]);
    let groups: Vec<[u8; 6]> = (0..5000_u32)
        .map(|n| [1, 0, 0x5e, (n >> 16) as u8, (n >> 8) as u8, n as u8])
        .collect();
    let ack = two.set_mac_table(&[], &groups).unwrap();
    pass(&mut one, &mut two, 1);
    if ack == Ack::Ok {
        let source = one.mac().unwrap();
        one.send(&lab::fakevm::frame::numbered(groups[4999], source, 2, 64))
            .unwrap();
        crate::common::expect_number(&mut two, 2);
    }
}

#[test]
fn without_a_control_queue_the_device_works() {
    let needs = feature::CTRL_VQ
        | feature::CTRL_RX
        | feature::CTRL_VLAN
        | feature::GUEST_ANNOUNCE
        | feature::MQ
        | feature::CTRL_MAC_ADDR
        | feature::CTRL_GUEST_OFFLOADS;
    let host = Host::new();
    let mut one = host.vm_with("one", &[], without(needs));
    let mut two = host.vm_with("two", &[], without(needs));
    introduce(&mut [&mut one, &mut two]);
    assert!(one.control(ctrl::RX, ctrl::RX_PROMISC, &[1]).is_err());
    pass(&mut one, &mut two, 1);
}

/// virtio 1.3 5.1.4: the link's state is in the device configuration, and its change an interrupt.
#[test]
fn the_operator_sets_the_link() {
    let host = Host::new();
    let mut vm = host.vm("one");
    let link = |vm: &mut FakeVm| vm.net_status().unwrap() & 1 == 1;
    assert!(link(&mut vm));
    for (word, up) in [("link=down", false), ("link=up", true)] {
        let set = host.daemon.ctl(&["set", "one", word]).unwrap();
        assert_eq!(set["changed"], true);
        assert_eq!(link(&mut vm), up);
        let shown = host.daemon.ctl(&["show", "one"]).unwrap();
        assert_eq!(shown["health"]["link_up"], up);
    }
}

/// virtio 1.3 5.1.6.5.4: the driver is asked, does it, and says so.
#[test]
fn the_operator_has_the_driver_announce_itself() {
    let host = Host::new();
    let mut vm = host.vm("one");
    let asked = |vm: &mut FakeVm| vm.net_status().unwrap() & 2 == 2;
    assert!(!asked(&mut vm));
    host.daemon.ctl(&["announce", "one"]).unwrap();
    assert!(asked(&mut vm));
    assert_eq!(vm.ack_announce().unwrap(), Ack::Ok);
    assert!(!asked(&mut vm));
    let device = host.create("two", &[]);
    let _two = host.attach(&device, without(feature::GUEST_ANNOUNCE));
    let refused = host.daemon.ctl_refused(&["announce", "two"]).unwrap();
    refused
        .expect("not-ready", &["'two'", "GUEST_ANNOUNCE"])
        .unwrap();
}
