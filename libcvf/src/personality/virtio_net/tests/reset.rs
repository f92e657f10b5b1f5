use super::super::bits;
use super::driver::{Driver, reg, settings};
use super::host::Call;
use crate::personality::{Personality, Status};

/// Everything that a driver can read, with the registers of each queue.
fn everything(d: &mut Driver) -> (Vec<u64>, Vec<u8>, Status) {
    let mut registers = Vec::new();
    for queue in 0..d.device.queues() + 1 {
        d.select(queue);
        registers.extend(
            (0..64)
                .filter(|&at| at != 0x15)
                .map(|at| d.read_at(d.common, at, 1)),
        );
    }
    d.select(0);
    registers.extend((0..24).map(|at| d.read_at(d.config, at, 1)));
    let mut config = vec![0; 4096];
    d.device
        .config_read(&mut d.host, 0, &mut config)
        .expect("all of it");
    (registers, config, d.device.status())
}

/// A driver that has left its traces everywhere.
fn used(pairs: u16) -> Driver {
    let mut d = Driver::running(pairs);
    d.write32(reg::DEVICE_FEATURE_SELECT, 1);
    d.command(&[1, 1, 2, 0, 0, 0, 0, 7]);
    d.command(&[4, 0, 2, 0]);
    d.device.announce(&mut d.host);
    d.device.write(&mut d.host, 4, 0, &[0xff; 16]).unwrap();
    d.device.msix_mut().unwrap().set_pending(1, true);
    d.config_write(0x04, &[0x06, 0x04]);
    d.config_write(0x10, &[0xff; 24]);
    d.config_write(0x3c, &[11]);
    d.host.take();
    d
}

#[test]
fn virtio_2_4_1_status_zero_resets_the_device() {
    let mut d = used(2);
    d.write8(reg::DEVICE_STATUS, 0);
    let mut expected = vec![Call::Stop];
    expected.extend((0..5).map(|queue| Call::QueueVector(queue, None)));
    expected.push(Call::ConfigVector(None));
    assert_eq!(d.host.take(), expected);
    assert_eq!(d.status(), 0);
    assert_eq!(
        d.config_read(0x04, 2),
        0x0406,
        "configuration space is not the device's"
    );
    assert_eq!(d.device.status().active_pairs, 0);
    for queue in 0..5 {
        d.select(queue);
        assert_eq!(d.read16(reg::QUEUE_ENABLE), 0);
        assert_eq!(d.read16(reg::QUEUE_MSIX_VECTOR), 0xffff);
    }
}

#[test]
fn function_level_reset_equals_reset_equals_new() {
    let mut fresh = Driver::pairs(2);
    let expected = everything(&mut fresh);

    let mut by_flr = used(2);
    let effects = by_flr.flr();
    assert!(effects.flr);
    let mut by_reset = used(2);
    by_reset.device.reset(&mut by_reset.host);
    assert_eq!(by_flr.host.take(), by_reset.host.take());
    assert!(
        everything(&mut by_flr) == expected,
        "by function level reset"
    );
    assert!(
        everything(&mut by_reset) == expected,
        "by the client's reset"
    );

    let mut by_status = used(2);
    by_status.write8(reg::DEVICE_STATUS, 0);
    let (registers, _, status) = everything(&mut by_status);
    assert!(
        (registers, status) == (expected.0, expected.2),
        "by status zero"
    );
}

#[test]
fn msix_table_is_reset_with_the_function() {
    let mut d = used(2);
    d.flr();
    let entry = d.device.msix_mut().unwrap().entry(0).unwrap();
    assert!(entry.masked && entry.address == 0 && entry.data == 0);
    let mut pending = [1; 8];
    d.device.read(&mut d.host, 4, 0x1000, &mut pending).unwrap();
    assert_eq!(pending, [0; 8]);
}

#[test]
fn a_device_comes_up_again_after_any_reset() {
    let mut d = Driver::pairs(2);
    for round in 0..6 {
        let offered = d.offered();
        d.bring_up(offered);
        d.notify(0);
        assert_eq!(d.host.take().last(), Some(&Call::Doorbell(0)));
        match round % 3 {
            0 => d.write8(reg::DEVICE_STATUS, 0),
            1 => drop(d.flr()),
            _ => d.device.reset(&mut d.host),
        }
        assert_eq!((d.host.started, d.host.enabled.len()), (None, 0));
    }
}

#[test]
fn virtio_2_2_2_the_same_features_are_accepted_again_after_a_reset() {
    let mut d = Driver::new(settings(4));
    let offered = d.offered();
    for features in [offered, bits::VERSION_1, offered & !bits::MQ, offered] {
        assert!(d.negotiate(features));
    }
}

#[test]
fn a_reset_of_an_untouched_device_is_only_a_stop() {
    let mut d = Driver::pairs(64);
    d.device.reset(&mut d.host);
    assert_eq!(d.host.take(), [Call::Stop]);
}

#[test]
fn power_management_keeps_the_state() {
    let mut d = Driver::running(1);
    let pm = d.capability(1).expect("power management");
    let down = d.config_write(pm + 4, &[3]);
    let up = d.config_write(pm + 4, &[0]);
    assert!(down.power.is_some() && up.power.is_some() && !up.resets());
    assert_eq!(d.host.take(), []);
    assert_eq!(d.status(), 0x0f);
}
