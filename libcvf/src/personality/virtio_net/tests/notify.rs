use super::super::{PAGE, bits};
use super::driver::{DRIVER_OK, Driver, reg, settings};
use super::host::Call;
use crate::personality::{DoorbellRegister, Doorbells, Interrupts, Personality};

#[test]
fn virtio_4_1_5_2_each_queue_is_rung_at_its_own_page() {
    for (pairs, features) in [
        (1, bits::CTRL_VQ),
        (3, bits::CTRL_VQ | bits::MQ),
        (3, bits::CTRL_VQ),
    ] {
        let mut d = Driver::running_with(pairs, features);
        let queues = if features & bits::MQ != 0 {
            2 * pairs + 1
        } else {
            3
        };
        for queue in 0..queues {
            d.notify(queue);
            assert_eq!(d.host.take(), [Call::Doorbell(queue)]);
        }
    }
}

#[test]
fn the_page_decides_and_not_the_value() {
    let mut d = Driver::running(2);
    for (value, n) in [(1, 2), (0xffff, 2), (0x1234_0001, 4), (0, 8), (0, 1)] {
        d.write_at(d.notify, 3 * PAGE, value, n);
        assert_eq!(d.host.take(), [Call::Doorbell(3)]);
    }
    for offset in [2, 4, 0x800, 0xffe, 0xfff] {
        d.write_at(d.notify, 3 * PAGE + offset, 3, 1);
    }
    assert_eq!(d.host.take(), [], "only the first two bytes of a page");
    d.device.write(&mut d.host, 2, 0, &[]).unwrap();
    assert_eq!(d.host.take(), [], "an empty write rings nothing");
}

#[test]
fn virtio_2_9_with_notification_data_the_value_names_the_queue() {
    let mut d = Driver::running_with(2, bits::CTRL_VQ | bits::MQ | bits::NOTIFICATION_DATA);
    for queue in 0..5 {
        d.notify(queue);
        assert_eq!(d.host.take(), [Call::Doorbell(queue)]);
    }
    d.write_at(d.notify, 3 * PAGE, 0x8123_0003, 4);
    assert_eq!(
        d.host.take(),
        [Call::Doorbell(3)],
        "where the driver is does not matter"
    );
    for (offset, value, n) in [
        (0, 2, 4),
        (0, 3, 2),
        (0, 3, 8),
        (1, 3, 4),
        (0, 0x0003_0000, 4),
    ] {
        d.write_at(d.notify, 3 * PAGE + offset, value, n);
        assert_eq!(d.host.take(), [], "{value:#x} in {n} bytes at {offset}");
    }
}

#[test]
fn virtio_4_1_4_4_1_every_doorbell_has_room_for_32_bits() {
    let mut d = Driver::running(3);
    for queue in 0..7 {
        d.select(queue);
        let at = u64::from(d.read16(reg::QUEUE_NOTIFY_OFF)) * d.notify.multiplier;
        assert!(
            at.is_multiple_of(4) && at + 4 <= d.notify.length,
            "queue {queue}"
        );
    }
}

#[test]
fn pages_without_a_queue_ring_nothing() {
    let mut d = Driver::running(1);
    d.write_at(d.notify, 3 * PAGE, 0, 2);
    let mut d3 = Driver::running_with(3, bits::CTRL_VQ);
    for page in [2, 3, 4, 5, 7] {
        d3.write_at(d3.notify, page * PAGE, 2, 2);
    }
    assert_eq!((d.host.take(), d3.host.take()), (vec![], vec![]));
    d3.write_at(d3.notify, 6 * PAGE, 2, 2);
    assert_eq!(
        d3.host.take(),
        [Call::Doorbell(2)],
        "the last page is the control queue's"
    );
}

#[test]
fn virtio_2_1_2_nothing_rings_before_driver_ok() {
    let mut d = Driver::agreed(1);
    for queue in 0..3 {
        d.set_up(queue, 256, queue);
    }
    d.host.take();
    for queue in 0..3 {
        d.notify(queue);
        assert_eq!(d.device.doorbell_of(2, u64::from(queue) * PAGE), None);
    }
    assert_eq!(d.host.take(), []);
    d.add_status(DRIVER_OK);
    d.host.take();
    d.notify(0);
    assert_eq!(d.host.take(), [Call::Doorbell(0)]);
}

#[test]
fn a_queue_that_is_not_enabled_does_not_ring() {
    let mut d = Driver::agreed(1);
    d.set_up(0, 256, 1);
    d.add_status(DRIVER_OK);
    d.host.take();
    d.notify(1);
    assert_eq!(d.host.take(), []);
    assert_eq!(d.device.doorbell_of(2, PAGE), None);
}

#[test]
fn the_quick_path_decides_as_the_write_does() {
    let mut d = Driver::running_with(3, bits::CTRL_VQ);
    let size = d
        .device
        .bars()
        .iter()
        .find(|bar| bar.index == 2)
        .unwrap()
        .size;
    for offset in (0..size).step_by(0x200).flat_map(|at| [at, at + 1, at + 2]) {
        let quick = d.device.doorbell_of(2, offset);
        d.write_at(d.notify, offset, 0, 1);
        let slow = d.host.take();
        assert_eq!(
            quick.map(Call::Doorbell).into_iter().collect::<Vec<_>>(),
            slow
        );
    }
    for (bar, offset) in [(0, 0), (4, 0), (2, u64::MAX), (2, 0xffff_f000), (9, 0)] {
        assert_eq!(d.device.doorbell_of(bar, offset), None);
    }
}

#[test]
fn doorbell_pages_read_as_zero() {
    let mut d = Driver::running(1);
    assert_eq!(d.read_at(d.notify, 0, 8), 0);
}

#[test]
fn every_page_but_the_control_queues_can_be_mapped() {
    let mut config = settings(3);
    config.doorbells = Doorbells::Mapped;
    let mut d = Driver::new(config);
    let areas = d.device.doorbell_areas();
    let expected: Vec<_> = (0..6).map(|queue| (2, queue * PAGE, PAGE)).collect();
    let areas: Vec<_> = areas.iter().map(|a| (a.bar, a.offset, a.size)).collect();
    assert_eq!(areas, expected);
    for features in [bits::CTRL_VQ, bits::CTRL_VQ | bits::MQ] {
        assert!(d.negotiate(features | bits::VERSION_1));
        let control = if features & bits::MQ != 0 { 6 } else { 2 };
        d.select(control);
        let page = u64::from(d.read16(reg::QUEUE_NOTIFY_OFF)) * PAGE;
        assert!(
            areas.iter().all(|&(_, offset, _)| offset != page),
            "control stays trapped"
        );
    }
}

#[test]
fn nothing_is_mappable_when_trapped_or_with_legacy_interrupts() {
    let trapped = Driver::pairs(2).device;
    assert_eq!(trapped.doorbell_areas(), []);
    let registers = trapped.doorbell_registers();
    let of = |r: &DoorbellRegister| (r.bar, r.offset, r.size, r.queue);
    let expected = [
        (2, 0, 2, 0),
        (2, PAGE, 2, 1),
        (2, 2 * PAGE, 2, 2),
        (2, 3 * PAGE, 2, 3),
    ];
    assert_eq!(registers.iter().map(of).collect::<Vec<_>>(), expected);
    let mut config = settings(2);
    (config.doorbells, config.interrupts) = (Doorbells::Mapped, Interrupts::Intx);
    assert_eq!(Driver::new(config).device.doorbell_areas(), []);
}
