//! Resets, reconnects and departures, beside a neighbour that carries on.

use std::io::Write;
use std::time::Duration;

use lab::fakevm::virtio::status;
use lab::fakevm::wire::{Header, command};
use lab::fakevm::{FakeVm, FakeVmConfig};

use crate::common::{Host, expect_number, introduce, pass};

#[test]
fn a_driver_can_come_and_go() {
    let host = Host::new();
    let (mut one, mut two) = (host.vm("one"), host.vm("two"));
    for round in 0..50 {
        introduce(&mut [&mut one, &mut two]);
        pass(&mut one, &mut two, round);
        pass(&mut two, &mut one, round + 1000);
        two.stop().unwrap();
        // Nobody is there; the frame is lost, and nothing else.
        let (source, target) = (one.mac().unwrap(), two.mac().unwrap());
        one.send(&lab::fakevm::frame::numbered(target, source, 7, 64))
            .unwrap();
        one.drain_tx(0).unwrap();
        two.start().unwrap();
    }
}

#[test]
fn a_reset_of_the_function_forgets_the_driver() {
    let host = Host::new();
    let (mut one, mut two) = (host.vm("one"), host.vm("two"));
    for round in 0..20 {
        introduce(&mut [&mut one, &mut two]);
        pass(&mut one, &mut two, round);
        two.client.reset().unwrap();
        assert_eq!(two.transport.status(&mut two.client).unwrap(), 0);
        two.forget_queues();
        two.pci.set_bus_master(&mut two.client, true).unwrap();
        two.pci.enable_msix(&mut two.client, true).unwrap();
        two.start().unwrap();
    }
}

/// virtio 1.3 2.6.1: one queue alone starts again, the other side of the pair carries on.
#[test]
fn single_rings_can_be_reset_under_traffic() {
    let host = Host::new();
    let (mut one, mut two) = (host.vm("one"), host.vm("two"));
    introduce(&mut [&mut one, &mut two]);
    for round in 0..100 {
        pass(&mut one, &mut two, round);
        one.restart_tx(0).unwrap();
        pass(&mut one, &mut two, round + 1000);
        two.restart_rx(0).unwrap();
        pass(&mut one, &mut two, round + 2000);
        pass(&mut two, &mut one, round + 3000);
    }
    assert!(!one.needs_reset().unwrap() && !two.needs_reset().unwrap());
}

#[test]
fn a_client_can_come_back_again_and_again() {
    let host = Host::new();
    let mut two = host.vm("two");
    let device = host.create("one", &[]);
    for round in 0..30 {
        let mut one = host.attach(&device, FakeVmConfig::default());
        introduce(&mut [&mut one, &mut two]);
        pass(&mut one, &mut two, round);
        drop(one);
    }
    let shown = host
        .daemon
        .wait_show("one", "the client to be gone", |view| {
            view["state"] == "ready"
        });
    assert_eq!(shown.unwrap()["health"]["clients_served"], 30);
}

/// Whatever a departing client leaves half-done, the next one finds a device as new, and the
/// neighbours notice nothing.
#[test]
fn a_client_can_leave_in_the_middle_of_anything() {
    let host = Host::new();
    let (mut two, mut three) = (host.vm("two"), host.vm("three"));
    introduce(&mut [&mut two, &mut three]);
    let device = host.create("one", &[]);
    let partial = Header::command(9, command::DMA_MAP, 32).encode();
    let leave: [&dyn Fn(&mut FakeVm); 5] = [
        // Within a header, within a body, with traffic under way, stopped, and half brought up.
        &|vm| vm.client.send_raw(&partial[..7], &[]).unwrap(),
        &|vm| vm.client.send_raw(&partial, &[]).unwrap(),
        &|vm| {
            let mac = vm.mac().unwrap();
            for number in 0..500 {
                let to = lab::fakevm::frame::BROADCAST;
                vm.send(&lab::fakevm::frame::numbered(to, mac, number, 1000))
                    .unwrap();
            }
        },
        &|vm| vm.stop().unwrap(),
        &|vm| {
            let bits = status::ACKNOWLEDGE | status::DRIVER;
            vm.stop().unwrap();
            vm.transport.set_status(&mut vm.client, bits).unwrap();
        },
    ];
    for (nth, leave) in leave.iter().enumerate() {
        let mut one = host.attach(&device, FakeVmConfig::default());
        leave(&mut one);
        drop(one);
        pass(&mut two, &mut three, 100 + nth as u64);
        let mut one = host.attach(&device, FakeVmConfig::default());
        let mac = one.mac().unwrap();
        let greeting = lab::fakevm::frame::numbered(lab::fakevm::frame::BROADCAST, mac, 77, 64);
        one.send(&greeting).unwrap();
        expect_number(&mut two, 77);
    }
}

#[test]
fn a_second_client_is_turned_away() {
    let host = Host::new();
    let (mut one, mut two) = (host.vm("one"), host.vm("two"));
    introduce(&mut [&mut one, &mut two]);
    let device = host.create("one", &[]);
    assert_eq!(device.result, "already");
    let second = FakeVm::attach(device.socket.as_ref(), FakeVmConfig::default());
    assert!(second.is_err(), "one device has one client");
    pass(&mut one, &mut two, 1);
}

#[test]
fn garbage_costs_only_its_own_connection() {
    let host = Host::new();
    let (mut two, mut three) = (host.vm("two"), host.vm("three"));
    introduce(&mut [&mut two, &mut three]);
    let device = host.create("one", &[]);
    let mut noise = 0x9e37_79b9_7f4a_7c15_u64;
    for round in 0..50 {
        let mut one = FakeVm::attach(device.socket.as_ref(), FakeVmConfig::default()).unwrap();
        let mut bytes = Vec::new();
        for _ in 0..64 {
            noise ^= noise << 13;
            noise ^= noise >> 7;
            noise ^= noise << 17;
            bytes.extend_from_slice(&noise.to_le_bytes());
        }
        // Garbage behind a header that announces a body, and garbage as a header.
        let size = 16 + (bytes[0] as usize % 200);
        let mut header = Header::command(1, u16::from(bytes[1] % 24), size - 16);
        header.flags = u32::from(bytes[2] & 0x3f);
        one.client.send_raw(&header.encode(), &[]).unwrap();
        let _ = one.client.socket().stream().write_all(&bytes);
        one.client.set_deadline(Duration::from_millis(100));
        let _ = one.client.receive();
        drop(one);
        pass(&mut two, &mut three, round);
    }
    let mut one = host.attach(&device, FakeVmConfig::default());
    introduce(&mut [&mut one, &mut two]);
}

#[test]
fn destroying_a_device_ends_its_client_alone() {
    let host = Host::new();
    let (mut one, mut two, mut three) = (host.vm("one"), host.vm("two"), host.vm("three"));
    introduce(&mut [&mut one, &mut two, &mut three]);
    host.daemon.ctl_refused(&["destroy", "one"]).unwrap();
    pass(&mut one, &mut two, 1);
    host.daemon.ctl(&["destroy", "one", "--force"]).unwrap();
    one.client.wait_closed().unwrap();
    pass(&mut two, &mut three, 2);
    assert_eq!(three.pair(0).tx.sent(), 1, "it has only sent its greeting");
}
