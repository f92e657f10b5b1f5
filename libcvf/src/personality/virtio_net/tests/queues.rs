use proptest::prelude::*;

use super::super::bits;
use super::driver::{DRIVER_OK, Driver, NEEDS_RESET, reg, settings};
use super::host::Call;
use crate::personality::{DriverState, Personality, QueueRole, RingConfig};
use crate::ring::RingFormat;

const NO_VECTOR: u16 = 0xffff;

#[test]
fn virtio_5_1_2_queues_alternate_and_control_is_last() {
    let d = Driver::agreed(3);
    let roles: Vec<_> = (0..8).map(|queue| d.device.role(queue)).collect();
    assert_eq!(
        roles,
        [
            Some(QueueRole::Receive(0)),
            Some(QueueRole::Transmit(0)),
            Some(QueueRole::Receive(1)),
            Some(QueueRole::Transmit(1)),
            Some(QueueRole::Receive(2)),
            Some(QueueRole::Transmit(2)),
            Some(QueueRole::Control),
            None,
        ]
    );
    assert_eq!(d.device.queues(), 7);
}

#[test]
fn virtio_5_1_2_without_mq_the_control_queue_is_the_third() {
    let mut d = Driver::pairs(3);
    assert!(d.negotiate(bits::VERSION_1 | bits::CTRL_VQ));
    assert_eq!(d.device.role(1), Some(QueueRole::Transmit(0)));
    assert_eq!(d.device.role(2), Some(QueueRole::Control));
    for queue in [3, 4, 5, 6, u16::MAX] {
        assert_eq!(d.device.role(queue), None, "queue {queue}");
    }
    assert_eq!(d.read16(reg::NUM_QUEUES), 7, "what the device has at most");
}

#[test]
fn virtio_5_1_2_without_a_control_queue_there_are_two() {
    let mut d = Driver::pairs(3);
    assert!(d.negotiate(bits::VERSION_1));
    assert_eq!(
        (0..7)
            .filter(|&queue| d.device.role(queue).is_some())
            .count(),
        2
    );
}

#[test]
fn virtio_4_1_4_3_1_a_queue_that_does_not_exist_has_size_zero() {
    let mut d = Driver::agreed(2);
    for queue in [5, 6, 0x8000, u16::MAX] {
        d.select(queue);
        assert_eq!(d.read16(reg::QUEUE_SELECT), queue);
        assert_eq!(d.read16(reg::QUEUE_SIZE), 0);
        for (offset, value) in (reg::QUEUE_SIZE..reg::QUEUE_RESET + 2).step_by(2).zip(1..) {
            d.write16(offset, value);
        }
        assert_eq!(d.read16(reg::QUEUE_SIZE), 0);
        assert_eq!(d.read16(reg::QUEUE_MSIX_VECTOR), NO_VECTOR);
        assert_eq!(d.read16(reg::QUEUE_ENABLE), 0);
        assert_eq!(d.read64(reg::QUEUE_DESC), 0);
    }
    assert!(d.negotiate(bits::VERSION_1 | bits::CTRL_VQ));
    d.select(3);
    assert_eq!(d.read16(reg::QUEUE_SIZE), 0, "no pair 1 without MQ");
}

#[test]
fn virtio_4_1_4_3_queue_size_starts_at_the_maximum() {
    let mut config = settings(1);
    config.max_ring_size = 512;
    let mut d = Driver::new(config);
    d.negotiate(bits::VERSION_1);
    d.select(1);
    assert_eq!(d.read16(reg::QUEUE_SIZE), 512);
}

#[test]
fn virtio_4_1_4_3_2_queue_size_is_a_power_of_two_within_the_maximum() {
    let mut d = Driver::agreed(1);
    d.select(0);
    for size in [1u16, 2, 64, 1024] {
        d.write16(reg::QUEUE_SIZE, size);
        assert_eq!(d.read16(reg::QUEUE_SIZE), size);
    }
    for size in [0, 3, 1023, 2048, 0x8000, 0xffff] {
        d.write16(reg::QUEUE_SIZE, size);
        assert_eq!(d.read16(reg::QUEUE_SIZE), 1024, "{size} ignored");
    }
}

#[test]
fn virtio_2_8_a_packed_ring_has_any_size_and_alignments_of_its_own() {
    let mut d = Driver::pairs(1);
    assert!(d.negotiate(bits::VERSION_1 | bits::RING_PACKED));
    d.select(0);
    for size in [1u16, 3, 100, 1023, 1024] {
        d.write16(reg::QUEUE_SIZE, size);
        assert_eq!(d.read16(reg::QUEUE_SIZE), size);
    }
    for size in [0, 1025, 0x8000, 0xffff] {
        d.write16(reg::QUEUE_SIZE, size);
        assert_eq!(d.read16(reg::QUEUE_SIZE), 1024, "{size} ignored");
    }
    d.host.take();
    let [descriptors, driver, device] = d.set_up(0, 100, 1);
    let ring = RingConfig {
        format: RingFormat::Packed,
        size: 100,
        descriptors,
        driver,
        device,
    };
    assert_eq!(d.host.take().last(), Some(&Call::Enable(0, ring)));
    // 2.8.10.1: the driver area is 4-byte aligned, which 2 would do for in a split ring.
    d.select(1);
    d.write64_twice(reg::QUEUE_DESC, 0x1000);
    d.write64_twice(reg::QUEUE_DRIVER, 0x2002);
    d.write64_twice(reg::QUEUE_DEVICE, 0x3000);
    d.write16(reg::QUEUE_ENABLE, 1);
    assert_eq!(d.read16(reg::QUEUE_ENABLE), 0);
    let reason = d.device.status().reason.expect("told");
    assert!(reason.contains("driver event suppression"), "{reason}");
}

#[test]
fn virtio_4_1_3_1_addresses_are_written_as_one_or_two_words() {
    let mut d = Driver::agreed(1);
    d.select(0);
    d.write64_twice(reg::QUEUE_DESC, 0x1234_5678_9abc_def0);
    assert_eq!(d.read64(reg::QUEUE_DESC), 0x1234_5678_9abc_def0);
    assert_eq!(d.read32(reg::QUEUE_DESC + 4), 0x1234_5678);
    d.write_at(d.common, reg::QUEUE_DESC, 0xffff_0000_ffff_0000, 8);
    assert_eq!(d.read64(reg::QUEUE_DESC), 0xffff_0000_ffff_0000);
    d.write32(reg::QUEUE_DESC + 4, 0);
    assert_eq!(d.read64(reg::QUEUE_DESC), 0xffff_0000);
}

#[test]
fn virtio_3_1_1_a_queue_is_enabled_where_it_was_placed() {
    let mut d = Driver::agreed(1);
    d.host.take();
    let [descriptors, driver, device] = d.set_up(1, 128, 2);
    let ring = RingConfig {
        format: RingFormat::Split,
        size: 128,
        descriptors,
        driver,
        device,
    };
    assert_eq!(
        d.host.take(),
        [Call::QueueVector(1, Some(2)), Call::Enable(1, ring)]
    );
    assert_eq!(d.read16(reg::QUEUE_ENABLE), 1);
}

#[test]
fn virtio_3_1_1_a_queue_is_not_enabled_before_features_ok() {
    let mut d = Driver::pairs(1);
    d.set_up(0, 128, 1);
    assert_eq!(d.read16(reg::QUEUE_ENABLE), 0);
    assert!(
        !d.host
            .take()
            .iter()
            .any(|call| matches!(call, Call::Enable(..)))
    );
}

#[test]
fn virtio_4_1_4_3_2_only_one_enables_and_zero_does_not_disable() {
    let mut d = Driver::agreed(1);
    d.select(0);
    for value in [2, 0x0100, 0xffff, 0] {
        d.write16(reg::QUEUE_ENABLE, value);
        assert_eq!(d.read16(reg::QUEUE_ENABLE), 0);
    }
    d.set_up(0, 256, 1);
    d.host.take();
    d.write16(reg::QUEUE_ENABLE, 0);
    d.write16(reg::QUEUE_ENABLE, 1);
    assert_eq!(d.read16(reg::QUEUE_ENABLE), 1);
    assert_eq!(d.host.take(), [], "neither disabled nor enabled again");
}

#[test]
fn virtio_4_1_4_3_2_an_enabled_queue_cannot_be_moved() {
    let mut d = Driver::running(1);
    d.select(1);
    let before = [reg::QUEUE_DESC, reg::QUEUE_DRIVER, reg::QUEUE_DEVICE].map(|r| d.read64(r));
    for r in [reg::QUEUE_DESC, reg::QUEUE_DRIVER, reg::QUEUE_DEVICE] {
        d.write64_twice(r, 0xdead_0000);
    }
    d.write16(reg::QUEUE_SIZE, 16);
    let after = [reg::QUEUE_DESC, reg::QUEUE_DRIVER, reg::QUEUE_DEVICE].map(|r| d.read64(r));
    assert_eq!((before, d.read16(reg::QUEUE_SIZE)), (after, 256));
    assert_eq!(d.host.take(), []);
}

#[test]
fn virtio_2_7_a_misaligned_ring_needs_reset() {
    for (r, wrong) in [
        (reg::QUEUE_DESC, 0x1008),
        (reg::QUEUE_DRIVER, 0x1001),
        (reg::QUEUE_DEVICE, 0x1002),
    ] {
        let mut d = Driver::agreed(1);
        d.host.take();
        d.select(0);
        d.write64_twice(r, wrong);
        d.write16(reg::QUEUE_ENABLE, 1);
        assert_eq!(d.read16(reg::QUEUE_ENABLE), 0);
        assert_ne!(d.status() & NEEDS_RESET, 0);
        assert_eq!(d.host.take(), [], "the host is not bothered");
        let status = d.device.status();
        assert_eq!(status.state, DriverState::NeedsReset);
        assert!(
            status
                .reason
                .unwrap()
                .contains("queue 0 cannot be used: its")
        );
        d.write8(reg::DEVICE_STATUS, 0);
        assert_eq!(d.device.status().reason, None);
        assert_eq!(d.status(), 0);
    }
}

#[test]
fn virtio_2_1_2_a_ring_that_the_host_refuses_needs_reset_and_interrupts() {
    let mut d = Driver::agreed(1);
    d.host.refuse.push(1);
    d.set_up(0, 256, 1);
    d.set_up(1, 256, 2);
    assert_eq!(d.read16(reg::QUEUE_ENABLE), 0);
    let reason = d.device.status().reason.unwrap();
    assert_eq!(reason, "queue 1 cannot be used: its memory is not mapped");
    d.host.take();
    d.set_up(2, 256, 3);
    assert_eq!(
        d.read16(reg::QUEUE_ENABLE),
        0,
        "nothing more is enabled before a reset"
    );
    assert_eq!(d.host.config_changes(), 0);
    d.add_status(DRIVER_OK);
    assert_eq!(d.host.config_changes(), 1);
}

#[test]
fn virtio_2_6_1_1_queue_reset_restores_the_queue() {
    let mut d = Driver::running(2);
    d.select(3);
    d.write16(reg::QUEUE_RESET, 1);
    assert_eq!(
        d.host.take(),
        [Call::Disable(3), Call::QueueVector(3, None)]
    );
    assert_eq!(
        (d.read16(reg::QUEUE_RESET), d.read16(reg::QUEUE_ENABLE)),
        (0, 0)
    );
    assert_eq!(d.read16(reg::QUEUE_SIZE), 1024);
    assert_eq!(d.read16(reg::QUEUE_MSIX_VECTOR), NO_VECTOR);
    assert_eq!(d.read64(reg::QUEUE_DESC), 0);
    d.select(2);
    assert_eq!(d.read16(reg::QUEUE_ENABLE), 1, "the others stay");
    d.write_at(d.notify, 3 * 0x1000, 3, 2);
    assert_eq!(d.host.take(), [], "a reset queue has no doorbell");
}

#[test]
fn virtio_2_6_1_1_resetting_a_queue_that_is_not_enabled_only_clears_it() {
    let mut d = Driver::agreed(1);
    d.select(0);
    d.write16(reg::QUEUE_SIZE, 64);
    d.host.take();
    d.write16(reg::QUEUE_RESET, 1);
    assert_eq!(d.host.take(), []);
    assert_eq!(d.read16(reg::QUEUE_SIZE), 1024);
}

#[test]
fn virtio_2_6_1_2_a_reset_queue_is_enabled_again_differently() {
    let mut d = Driver::running(1);
    d.select(0);
    d.write16(reg::QUEUE_RESET, 1);
    d.host.take();
    d.set_up(0, 64, 1);
    let calls = d.host.take();
    assert!(matches!(
        calls[..],
        [
            Call::QueueVector(0, Some(1)),
            Call::Enable(0, RingConfig { size: 64, .. })
        ]
    ));
    assert_eq!(
        (d.read16(reg::QUEUE_ENABLE), d.read16(reg::QUEUE_RESET)),
        (1, 0)
    );
    d.notify(0);
    assert_eq!(d.host.take(), [Call::Doorbell(0)]);
}

#[test]
fn virtio_4_1_4_3_queue_reset_exists_only_if_negotiated() {
    let mut d = Driver::running_with(1, 0);
    d.select(0);
    d.write16(reg::QUEUE_RESET, 1);
    assert_eq!(d.host.take(), []);
    assert_eq!(d.read16(reg::QUEUE_ENABLE), 1);
    let mut d = Driver::running(1);
    d.select(0);
    for value in [0, 2, 0xffff] {
        d.write16(reg::QUEUE_RESET, value);
    }
    assert_eq!(d.host.take(), [], "only one resets");
}

#[test]
fn virtio_4_1_4_3_read_only_registers_ignore_writes() {
    let mut d = Driver::agreed(2);
    d.select(4);
    let read = |d: &mut Driver| {
        [
            reg::NUM_QUEUES,
            reg::QUEUE_NOTIFY_OFF,
            reg::QUEUE_NOTIF_CONFIG_DATA,
            reg::ADMIN_QUEUE_NUM,
        ]
        .map(|r| d.read16(r))
    };
    let before = read(&mut d);
    let generation = d.read8(reg::CONFIG_GENERATION);
    for r in [
        reg::NUM_QUEUES,
        reg::QUEUE_NOTIFY_OFF,
        reg::QUEUE_NOTIF_CONFIG_DATA,
        reg::ADMIN_QUEUE_NUM,
    ] {
        d.write16(r, 0x5a5a);
    }
    d.write32(reg::DEVICE_FEATURE, 0x5a5a_5a5a);
    d.write8(reg::CONFIG_GENERATION, generation.wrapping_add(7));
    assert_eq!(read(&mut d), before);
    assert_eq!(before, [5, 4, 0, 0]);
    assert_eq!(d.read8(reg::CONFIG_GENERATION), generation);
}

proptest! {
    /// Control's page is the last, and every other queue has the page of its number.
    #[test]
    fn virtio_4_1_4_4_pages_are_distinct_and_control_is_last(pairs in 1u16..=64, mq: bool, ctrl: bool) {
        let mut d = Driver::pairs(pairs);
        let mut features = bits::VERSION_1;
        if ctrl {
            features |= bits::CTRL_VQ;
        }
        if mq && ctrl && pairs > 1 {
            features |= bits::MQ;
        }
        prop_assert!(d.negotiate(features));
        for queue in 0..2 * pairs + 1 {
            d.select(queue);
            let page = d.read16(reg::QUEUE_NOTIFY_OFF);
            match d.device.role(queue) {
                Some(QueueRole::Control) => prop_assert_eq!(page, 2 * pairs),
                Some(_) => prop_assert_eq!(page, queue),
                None => prop_assert_eq!(page, 0),
            }
        }
    }
}
