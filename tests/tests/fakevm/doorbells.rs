//! Doorbells by message, by page and by event.

use lab::fakevm::client::flags;
use lab::fakevm::net::{NetGuest, NetHeader, feature, tx_queue};
use lab::fakevm::{DoorbellMode, FakeVm, FakeVmConfig, InterruptMode, frame};

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
    let kicks = host.daemon.counter("one", "/kicks").unwrap();
    for number in 0..1000 {
        pass(&mut one, &mut two, number);
        pass(&mut two, &mut one, number);
    }
    assert_eq!(
        host.daemon.counter("one", "/kicks").unwrap(),
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
fn region_io_fds_wake_the_worker() {
    let host = Host::new();
    let mut one = vm(&host, "one", DoorbellMode::IoFds, "trapped");
    let mut two = vm(&host, "two", DoorbellMode::IoFds, "trapped");
    introduce(&mut [&mut one, &mut two]);
    for number in 0..500 {
        pass(&mut one, &mut two, number);
        pass(&mut two, &mut one, number);
    }
}

/// While the worker is awake it asks for no notifications: many frames cost fewer doorbells. How
/// many fewer depends on how often the worker falls asleep in between.
#[test]
fn notifications_are_suppressed_while_the_worker_is_awake() {
    for features in [feature::FULL, feature::FULL & !feature::EVENT_IDX] {
        let host = Host::new();
        let interrupts = InterruptMode::Polling;
        let config = FakeVmConfig {
            features,
            interrupts,
            ..FakeVmConfig::default()
        };
        let mut one = host.vm_with("one", &[], config.clone());
        let mut two = host.vm_with("two", &[], config);
        introduce(&mut [&mut one, &mut two]);
        let (source, target) = (one.mac().unwrap(), two.mac().unwrap());
        let before = one.kicks();
        let mut came = 0_u64;
        let mut buffer = Vec::new();
        let count = 50_000;
        for number in 0..count {
            let frame = frame::numbered(target, source, number, 64);
            one.send_on(0, &NetHeader::default(), &frame).unwrap();
            while came + 200 < number || (number + 1 == count && came < count) {
                if two.poll_rx(0, &mut buffer).unwrap().is_some() {
                    came += 1;
                }
            }
        }
        let kicks = one.kicks() - before;
        assert!(kicks < count, "{kicks} doorbells for {count} frames");
    }
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
