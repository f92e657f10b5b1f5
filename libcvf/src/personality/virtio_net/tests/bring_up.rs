//! Whole bring-ups in the order of real drivers.

use super::super::bits;
use super::driver::{ACKNOWLEDGE, DRIVER, DRIVER_OK, Driver, FEATURES_OK, reg, settings};
use super::host::Call;
use crate::control::ControlRequest;
use crate::personality::{DriverState, Interrupts, Personality};

/// As the stock Linux driver does it, multiqueue, MSI-X with a vector per queue.
#[test]
fn linux_virtio_net_with_a_vector_per_queue() {
    let mut d = Driver::pairs(4);
    d.write8(reg::DEVICE_STATUS, 0);
    assert_eq!(d.status(), 0);
    d.add_status(ACKNOWLEDGE);
    d.add_status(DRIVER);
    let features = d.offered();
    // Newer kernels clear the words past bit 63 too.
    for select in [2, 3] {
        d.write32(reg::DRIVER_FEATURE_SELECT, select);
        d.write32(reg::DRIVER_FEATURE, 0);
    }
    d.accept(features);
    d.add_status(FEATURES_OK);
    assert_ne!(d.status() & FEATURES_OK, 0);
    let pairs = d.read_at(d.config, 8, 2) as u16;
    assert_eq!(pairs, 4);

    let msix = d.capability(0x11).unwrap();
    let effects = d.config_write(msix + 2, &0xc009u16.to_le_bytes());
    assert!(effects.msix.is_some_and(|m| m.enabled && m.masked));
    d.write16(reg::CONFIG_MSIX_VECTOR, 0);
    assert_eq!(d.read16(reg::CONFIG_MSIX_VECTOR), 0);
    let mut vector = 1;
    for queue in 0..2 * pairs + 1 {
        let control = queue == 2 * pairs;
        d.set_up(
            queue,
            if control { 64 } else { 256 },
            if control { 0xffff } else { vector },
        );
        if !control {
            assert_eq!(d.read16(reg::QUEUE_MSIX_VECTOR), vector);
            vector += 1;
        }
        assert_eq!(d.read16(reg::QUEUE_ENABLE), 1);
    }
    d.config_write(msix + 2, &0x8009u16.to_le_bytes());
    d.host.take();
    d.add_status(DRIVER_OK);
    assert_eq!(
        d.host.take(),
        [
            Call::Start(features),
            Call::Settle(ControlRequest::FilterVlans(true))
        ]
    );
    assert_eq!(d.command(&[4, 0, 4, 0]), 0);
    assert_eq!(d.command(&[0, 0, 0]), 0);
    assert_eq!(d.device.status().state, DriverState::Running);
    assert_eq!(d.device.status().active_pairs, 4);
    for queue in 0..9 {
        d.notify(queue);
    }
    assert_eq!(
        d.host
            .take()
            .iter()
            .filter(|c| matches!(c, Call::Doorbell(_)))
            .count(),
        9
    );
}

/// A boot firmware's driver: two queues, no control queue, no interrupts.
#[test]
fn firmware_with_two_queues_and_no_interrupts_still_gets_multicast() {
    for interrupts in [Interrupts::Msix, Interrupts::Intx] {
        let mut config = settings(4);
        config.interrupts = interrupts;
        let mut d = Driver::new(config);
        let features = bits::VERSION_1 | bits::MAC | bits::MTU;
        assert!(d.negotiate(features));
        for queue in 0..2 {
            d.set_up(queue, 64, 0xffff);
        }
        d.host.take();
        d.add_status(DRIVER_OK);
        assert_eq!(
            d.host.take(),
            [
                Call::Start(features),
                Call::Settle(ControlRequest::AllMulticast(true))
            ]
        );
        for queue in 0..2 {
            d.notify(queue);
        }
        assert_eq!(d.host.take(), [Call::Doorbell(0), Call::Doorbell(1)]);
    }
}

/// DPDK without multiqueue on a device that has it: control is the third queue.
#[test]
fn a_poll_mode_driver_with_one_pair_of_many() {
    let features = bits::MAC | bits::STATUS | bits::CTRL_VQ | bits::CTRL_RX | bits::MRG_RXBUF;
    let mut d = Driver::running_with(8, features);
    d.select(2);
    assert_eq!(d.read16(reg::QUEUE_NOTIFY_OFF), 16);
    d.notify(2);
    assert_eq!(d.host.take(), [Call::Doorbell(2)]);
    assert_eq!(d.command(&[0, 0, 1]), 0);
    assert_eq!(d.command(&[4, 0, 2, 0]), 1, "multiqueue was not agreed");
}
