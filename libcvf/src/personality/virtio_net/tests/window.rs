use super::driver::{ACKNOWLEDGE, DRIVER, Driver, reg};
use super::host::Call;
use crate::personality::Personality;

const COMMON: u32 = 0x0000;
const ISR: u32 = 0x1000;
const DEVICE: u32 = 0x2000;

fn aim(d: &mut Driver, bar: u8, offset: u32, len: u32) {
    let at = d.window.at;
    d.config_write(at + 4, &[bar]);
    d.config_write(at + 8, &offset.to_le_bytes());
    d.config_write(at + 12, &len.to_le_bytes());
}

fn read(d: &mut Driver, bar: u8, offset: u32, len: u32) -> u64 {
    aim(d, bar, offset, len);
    d.config_read(d.window.at + 16, 4)
}

fn write(d: &mut Driver, bar: u8, offset: u32, len: u32, value: u32) {
    aim(d, bar, offset, len);
    d.config_write(d.window.at + 16, &value.to_le_bytes());
}

#[test]
fn virtio_4_1_4_9_1_reads_and_writes_reach_the_structures() {
    let mut d = Driver::pairs(2);
    assert_eq!(read(&mut d, 0, COMMON + reg::NUM_QUEUES as u32, 2), 5);
    assert_eq!(
        read(&mut d, 0, DEVICE, 4),
        0x1200_5452,
        "the address's first bytes"
    );
    write(
        &mut d,
        0,
        COMMON + reg::DEVICE_STATUS as u32,
        1,
        0xffff_ff00 | u32::from(ACKNOWLEDGE | DRIVER),
    );
    assert_eq!(d.status(), ACKNOWLEDGE | DRIVER);
    write(
        &mut d,
        0,
        COMMON + reg::DRIVER_FEATURE as u32,
        4,
        0x1234_5678,
    );
    assert_eq!(d.read32(reg::DRIVER_FEATURE), 0x1234_5678);
    d.host.isr = 1;
    assert_eq!(read(&mut d, 0, ISR, 1), 1);
    assert_eq!(d.host.isr, 0);
}

#[test]
fn virtio_4_1_4_9_1_a_doorbell_is_reached() {
    let mut d = Driver::running(1);
    write(&mut d, 2, 0x1000, 2, 1);
    assert_eq!(d.host.take(), [Call::Doorbell(1)]);
}

#[test]
fn virtio_4_1_4_9_its_fields_are_the_drivers_and_nothing_else_is() {
    let mut d = Driver::pairs(1);
    let at = d.window.at;
    let before = d.config_read(at, 4);
    d.config_write(at, &[0xff; 4]);
    d.config_write(at + 5, &[0xff; 3]);
    assert_eq!(d.config_read(at, 4), before);
    aim(&mut d, 4, 0x10, 2);
    assert_eq!(d.config_read(at + 4, 4), 4, "bar; id and padding stay zero");
    assert_eq!(d.config_read(at + 8, 8), 0x2_0000_0010);
}

#[test]
fn virtio_4_1_4_9_2_what_does_not_point_at_a_structure_is_not_executed() {
    let mut d = Driver::running(1);
    d.host.isr = 1;
    for (bar, offset, len) in [
        (0, ISR, 0),
        (0, ISR, 3),
        (0, ISR, 8),
        (0, ISR, u32::MAX),
        (0, ISR - 1, 2),
        (0, 0x4000, 4),
        (0, u32::MAX, 1),
        (1, ISR, 1),
        (4, 0, 4),
        (6, 0, 4),
        (0xff, 0, 4),
    ] {
        assert_eq!(
            read(&mut d, bar, offset, len),
            0,
            "bar {bar} at {offset:#x}, {len} bytes"
        );
        write(&mut d, bar, offset, len, 0);
    }
    assert_eq!((d.host.take(), d.host.isr, d.status()), (vec![], 1, 0x0f));
}

#[test]
fn a_dump_of_configuration_space_has_no_side_effect_until_the_window_is_aimed() {
    let mut d = Driver::running(1);
    d.host.isr = 3;
    let mut all = vec![0; 4096];
    d.device.config_read(&mut d.host, 0, &mut all).unwrap();
    assert_eq!(d.host.isr, 3);
    aim(&mut d, 0, ISR, 1);
    let window = d.window.at;
    d.config_read(window + 12, 4);
    d.config_read(window + 20, 4);
    assert_eq!(d.host.isr, 3, "neighbours do not touch the window");
    let past = d.device.config_read(&mut d.host, window, &mut [0; 4096]);
    assert!(past.is_err());
    assert_eq!(d.host.isr, 3, "a refused access executes nothing");
    d.config_read(window + 19, 1);
    assert_eq!(d.host.isr, 0);
}

#[test]
fn aiming_and_firing_may_be_one_write() {
    let mut d = Driver::running(1);
    let mut bytes = vec![2, 0, 0, 0];
    bytes.extend([0x1000u32, 2, 1].iter().flat_map(|word| word.to_le_bytes()));
    d.config_write(d.window.at + 4, &bytes);
    assert_eq!(d.host.take(), [Call::Doorbell(1)]);
}
