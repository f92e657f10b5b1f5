//! Doorbells by message, by page and by event.

use lab::fakevm::client::flags;
use lab::fakevm::net::{NetGuest, NetHeader, feature, tx_queue};
use lab::fakevm::{DoorbellMode, FakeVm, FakeVmConfig, frame};
use nix::sys::signal::Signal;

use crate::common::{Host, SOON, expect_number, introduce, pass};

fn vm(host: &Host, name: &str, doorbells: DoorbellMode, word: &str) -> FakeVm {
    let config = FakeVmConfig {
        doorbells,
        ..FakeVmConfig::default()
    };
    host.vm_with(name, &["--doorbells", word], config)
}

#[test]
fn a_trapped_device_has_nothing_to_map() {
    let host = Host::new();
    let one = vm(&host, "one", DoorbellMode::Auto, "trapped");
    assert!(
        one.pci
            .bars
            .iter()
            .all(|bar| bar.flags & flags::REGION_MMAP == 0)
    );
    assert!(!one.doorbell_is_mapped(tx_queue(0)));
    let config = FakeVmConfig {
        doorbells: DoorbellMode::Mapped,
        ..FakeVmConfig::default()
    };
    let device = host.create("two", &[]);
    assert!(FakeVm::connect(device.socket.as_ref(), config).is_err());
}

#[test]
fn a_mapped_device_works_without_a_message() {
    let host = Host::new();
    let mut one = vm(&host, "one", DoorbellMode::Mapped, "mapped");
    let mut two = vm(&host, "two", DoorbellMode::Mapped, "mapped");
    assert!(one.doorbell_is_mapped(tx_queue(0)));
    introduce(&mut [&mut one, &mut two]);
    let kicks = host.daemon.counter("one", "/doorbells").unwrap();
    for number in 0..1000 {
        pass(&mut one, &mut two, number);
        pass(&mut two, &mut one, number);
    }
    assert_eq!(
        host.daemon.counter("one", "/doorbells").unwrap(),
        kicks,
        "no message"
    );
    let shown = host.daemon.ctl(&["show", "one"]).unwrap();
    assert_eq!(shown["health"]["worker_polls"], true);
}

/// A page for each queue lies alone, so that a VMM can map each on its own.
#[test]
fn mapped_areas_hold_doorbells_and_nothing_else() {
    let host = Host::new();
    let one = vm(&host, "one", DoorbellMode::Mapped, "mapped");
    let region = &one.pci.bars[one.transport.notify.region as usize];
    let notify = one.transport.notify;
    for area in &region.areas {
        assert!(area.offset >= notify.offset, "{area:?}");
        assert!(
            area.offset + area.size <= notify.offset + notify.len,
            "{area:?}"
        );
        assert_eq!(area.offset % 4096 + area.size % 4096, 0, "{area:?}");
    }
    assert_eq!(one.transport.notify_off_multiplier % 4096, 0);
}

#[test]
fn mapped_and_trapped_devices_talk_to_each_other() {
    let host = Host::new();
    let mut one = vm(&host, "one", DoorbellMode::Mapped, "mapped");
    let mut two = vm(&host, "two", DoorbellMode::Trapped, "trapped");
    introduce(&mut [&mut one, &mut two]);
    for number in 0..500 {
        pass(&mut one, &mut two, number);
        pass(&mut two, &mut one, number);
    }
}

/// A mapped region can also be written by message, as QEMU does before it has mapped it.
#[test]
fn a_mapped_device_takes_messages_as_well() {
    let host = Host::new();
    let mut one = vm(&host, "one", DoorbellMode::Trapped, "mapped");
    let mut two = vm(&host, "two", DoorbellMode::Trapped, "mapped");
    introduce(&mut [&mut one, &mut two]);
    pass(&mut one, &mut two, 1);
}

#[test]
fn region_io_fds_wake_the_worker_without_a_message() {
    let host = Host::new();
    let mut one = vm(&host, "one", DoorbellMode::IoFds, "trapped");
    let mut two = vm(&host, "two", DoorbellMode::IoFds, "trapped");
    introduce(&mut [&mut one, &mut two]);
    // Registers are read before messages are counted.
    let macs = [one.mac().unwrap(), two.mac().unwrap()];
    let before = host.daemon.counter("one", "/messages").unwrap();
    for number in 0..500 {
        let frame = frame::numbered(macs[1], macs[0], number, 64);
        one.send(&frame).unwrap();
        expect_number(&mut two, number);
    }
    assert_eq!(host.daemon.counter("one", "/messages").unwrap(), before);
    let kicks = host.daemon.counter("one", "/doorbells").unwrap();
    assert!(kicks > 0, "the worker slept in between and was woken");
}

/// A client that takes one descriptor a message gets one for all its queues.
#[test]
fn queues_share_an_event_where_the_client_takes_few() {
    let host = Host::new();
    let config = || FakeVmConfig {
        doorbells: DoorbellMode::IoFds,
        capabilities: "{\"capabilities\": {\"max_msg_fds\": 1}}",
        ..FakeVmConfig::default()
    };
    let mut one = host.vm_with("one", &[], config());
    let mut two = host.vm_with("two", &[], config());
    introduce(&mut [&mut one, &mut two]);
    for number in 0..200 {
        pass(&mut one, &mut two, number);
        pass(&mut two, &mut one, number);
    }
}

/// virtio 1.3 4.1.5.2: the place of a notification says which queue it is for, so nothing has to match.
#[test]
fn every_data_queue_of_a_trapped_device_has_an_event_and_a_mapped_device_none() {
    let host = Host::new();
    let config = FakeVmConfig {
        queue_pairs: 3,
        ..FakeVmConfig::default()
    };
    let mut one = host.vm_with("one", &["--queue-pairs", "3"], config);
    let notify = one.transport.notify;
    let entries = one.client.region_io_fds(notify.region).unwrap();
    let places: Vec<_> = entries.iter().map(|e| (e.offset, e.size)).collect();
    let page = u64::from(one.transport.notify_off_multiplier);
    let expected: Vec<_> = (0..6).map(|q| (notify.offset + q * page, 2)).collect();
    assert_eq!(places, expected);
    assert!(entries.iter().all(|e| (e.kind, e.flags) == (0, 0)));
    assert!(one.client.region_io_fds(0).unwrap().is_empty(), "registers");
    let mut two = vm(&host, "two", DoorbellMode::Mapped, "mapped");
    let region = two.transport.notify.region;
    assert!(two.client.region_io_fds(region).unwrap().is_empty());
}

/// virtio 1.3 2.7.10: who sleeps asks for one notification, however many frames follow.
#[test]
fn a_sleeping_worker_asks_for_one_doorbell() {
    let host = Host::new();
    let (mut one, mut two) = (host.vm("one"), host.vm("two"));
    introduce(&mut [&mut one, &mut two]);
    assert_ne!(one.features() & feature::EVENT_IDX, 0);
    let (source, target) = (one.mac().unwrap(), two.mac().unwrap());
    lab::process::wait_for("the worker to sleep", SOON, || asleep(&host)).unwrap();
    // Stopped, so that it can neither wake nor change its mind while this side looks.
    host.daemon.process().signal(Signal::SIGSTOP).unwrap();
    let mut wanted = 0;
    for number in 0..50 {
        let frame = frame::numbered(target, source, number, 64);
        let tx = &mut one.pair(0).tx;
        assert!(tx.push(&NetHeader::default(), &frame).unwrap());
        wanted += u32::from(tx.publish());
    }
    one.kick(tx_queue(0)).unwrap();
    host.daemon.process().signal(Signal::SIGCONT).unwrap();
    assert_eq!(wanted, 1);
    for number in 0..50 {
        expect_number(&mut two, number);
    }
}

/// Something if the daemon has used no processor time while this thread was busy.
fn asleep(host: &Host) -> anyhow::Result<Option<()>> {
    let before = host.daemon.cpu_seconds()?;
    let start = std::time::Instant::now();
    while start.elapsed().as_millis() < 50 {
        std::hint::spin_loop();
    }
    Ok((host.daemon.cpu_seconds()? == before).then_some(()))
}

#[test]
fn an_interrupt_comes_once_asked_for_and_not_before() {
    let host = Host::new();
    let (mut one, mut two) = (host.vm("one"), host.vm("two"));
    introduce(&mut [&mut one, &mut two]);
    let vector = two.vector_of(0).unwrap();
    two.pair(0).rx.queue().disarm();
    two.interrupts().unwrap().take(vector);
    let (source, target) = (one.mac().unwrap(), two.mac().unwrap());
    for number in 0..50 {
        one.send(&frame::numbered(target, source, number, 64))
            .unwrap();
    }
    one.drain_tx(0).unwrap();
    expect_number(&mut two, 0);
    for number in 1..50 {
        expect_number(&mut two, number);
    }
    assert!(!two.pair(0).rx.queue().arm(), "everything has been taken");
    one.send(&frame::numbered(target, source, 50, 64)).unwrap();
    let deadline = std::time::Instant::now() + SOON;
    assert!(
        two.interrupts().unwrap().wait(vector, deadline).unwrap(),
        "armed, so it comes"
    );
    expect_number(&mut two, 50);
}
