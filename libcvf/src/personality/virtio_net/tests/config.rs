use super::super::bits;
use super::driver::{Driver, MAC, reg, settings};
use super::host::Call;
use crate::personality::Personality;

fn field(d: &mut Driver, at: u64, n: usize) -> u64 {
    d.read_at(d.config, at, n)
}

fn mac(d: &mut Driver) -> [u8; 6] {
    std::array::from_fn(|i| field(d, i as u64, 1) as u8)
}

#[test]
fn virtio_2_5_3_configuration_is_readable_before_negotiation() {
    let mut config = settings(4);
    (config.mtu, config.speed_mbps) = (9000, Some(25_000));
    let mut d = Driver::new(config);
    assert_eq!(mac(&mut d), MAC.0);
    assert_eq!(field(&mut d, 6, 2), 1, "link up");
    assert_eq!(field(&mut d, 8, 2), 4, "max_virtqueue_pairs");
    assert_eq!(field(&mut d, 10, 2), 9000, "mtu");
    assert_eq!(field(&mut d, 12, 4), 25_000, "speed");
    assert_eq!(field(&mut d, 16, 1), 1, "full duplex");
    assert_eq!(field(&mut d, 17, 1), 40, "rss_max_key_size");
    assert_eq!(
        field(&mut d, 18, 2),
        128,
        "rss_max_indirection_table_length"
    );
    assert_eq!(field(&mut d, 20, 4), 0x1ff, "supported_hash_types");
}

#[test]
fn virtio_5_1_4_fields_exist_with_their_features() {
    let mut config = settings(1);
    config.features =
        !(bits::MAC | bits::MTU | bits::SPEED_DUPLEX | bits::STATUS | bits::HASH_REPORT);
    let mut d = Driver::new(config);
    let all: Vec<u64> = (0..24).map(|at| field(&mut d, at, 1)).collect();
    assert_eq!(all, [0; 24]);
    let mut d = Driver::pairs(1);
    assert_eq!(field(&mut d, 8, 2), 0, "one pair: MQ is not offered");
    assert_eq!(field(&mut d, 18, 2), 0, "nor RSS");
    assert_eq!(field(&mut d, 17, 1), 40, "but hash reports are");
    assert_eq!(field(&mut d, 20, 4), 0x1ff, "but hash reports are");
    assert_eq!(field(&mut d, 12, 4), 0xffff_ffff, "unknown speed");
}

#[test]
fn virtio_5_1_4_configuration_is_read_only() {
    let mut d = Driver::running(2);
    for at in 0..24 {
        d.write_at(d.config, at, 0xee, 1);
    }
    d.write_at(d.config, 0, u64::MAX, 8);
    assert_eq!(mac(&mut d), MAC.0);
    assert_eq!(field(&mut d, 8, 2), 2);
    assert_eq!(d.host.take(), []);
}

#[test]
fn virtio_5_1_4_link_changes_show_and_interrupt() {
    let mut d = Driver::running(1);
    assert!(d.device.set_link(&mut d.host, false));
    assert_eq!(d.host.take(), [Call::ConfigChanged]);
    assert_eq!(field(&mut d, 6, 2), 0);
    assert!(
        !d.device.set_link(&mut d.host, false),
        "no change, no interrupt"
    );
    assert_eq!(d.host.take(), []);
    assert!(!d.device.status().link_up);
    d.write8(reg::DEVICE_STATUS, 0);
    assert_eq!(
        field(&mut d, 6, 2),
        0,
        "the link is the operator's: a reset leaves it"
    );
    d.host.take();
    assert!(d.device.set_link(&mut d.host, true));
    assert_eq!(d.host.take(), [], "nobody to tell");
    assert_eq!(field(&mut d, 6, 2), 1);
}

#[test]
fn virtio_4_1_4_3_1_generation_changes_when_a_change_is_read() {
    let mut d = Driver::running(1);
    let generation = |d: &mut Driver| d.read8(reg::CONFIG_GENERATION);
    field(&mut d, 0, 8);
    let first = generation(&mut d);
    field(&mut d, 0, 8);
    assert_eq!(generation(&mut d), first, "nothing changed");
    // As many changes as an 8-bit counter has values must not go unnoticed.
    for i in 0..256 {
        d.device.set_link(&mut d.host, i % 2 == 1);
    }
    field(&mut d, 6, 2);
    assert_ne!(generation(&mut d), first);
}

#[test]
fn virtio_4_1_4_3_1_a_reset_may_change_configuration() {
    let mut d = Driver::running(1);
    d.command(&[1, 1, 2, 0, 0, 0, 0, 9]);
    field(&mut d, 0, 4);
    let before = d.read8(reg::CONFIG_GENERATION);
    d.write8(reg::DEVICE_STATUS, 0);
    field(&mut d, 4, 4);
    assert_ne!(
        d.read8(reg::CONFIG_GENERATION),
        before,
        "the assigned address is back"
    );
}

#[test]
fn virtio_4_1_4_3_1_a_torn_read_is_noticed() {
    let mut d = Driver::running(1);
    let changes: [fn(&mut Driver); 4] = [
        |d| assert_eq!(d.command(&[1, 1, 2, 0, 0, 0, 0, 9]), 0),
        |d| assert!(d.device.announce(&mut d.host)),
        |d| assert_eq!(d.command(&[3, 0]), 0),
        |d| assert!(d.device.set_link(&mut d.host, false)),
    ];
    for change in changes {
        field(&mut d, 0, 4);
        let before = d.read8(reg::CONFIG_GENERATION);
        field(&mut d, 0, 4);
        change(&mut d);
        field(&mut d, 4, 4);
        assert_ne!(d.read8(reg::CONFIG_GENERATION), before);
    }
}

#[test]
fn virtio_5_1_6_5_4_announce_asks_the_driver() {
    let mut d = Driver::running(1);
    assert!(d.device.announce(&mut d.host));
    assert_eq!(d.host.take(), [Call::ConfigChanged]);
    assert_eq!(field(&mut d, 6, 2), 3);
    assert_eq!(d.command(&[3, 0]), 0);
    assert_eq!(field(&mut d, 6, 2), 1, "acknowledged");
    assert_eq!(d.command(&[3, 0]), 0, "once more does no harm");
}

#[test]
fn virtio_5_1_6_5_4_announce_needs_a_driver_that_agreed() {
    let mut d = Driver::agreed(1);
    assert!(!d.device.announce(&mut d.host), "not running");
    let mut d = Driver::running_with(1, bits::CTRL_VQ | bits::STATUS);
    assert!(!d.device.announce(&mut d.host));
    assert_eq!(d.host.take(), []);
    assert_eq!(field(&mut d, 6, 2), 1);
    assert_eq!(d.command(&[3, 0]), 1, "nor can it acknowledge");
}

#[test]
fn virtio_4_1_4_5_1_isr_is_cleared_by_reading() {
    let mut d = Driver::running(1);
    d.host.isr = 3;
    assert_eq!(d.read_at(d.isr, 0, 1), 3);
    assert_eq!(d.read_at(d.isr, 0, 1), 0);
    d.host.isr = 1;
    d.write_at(d.isr, 0, 0, 1);
    d.read_at(d.common, 0, 8);
    assert_eq!(d.host.isr, 1, "neither a write nor another read clears it");
    assert_eq!(
        d.read_at(d.isr, 0, 4),
        1,
        "wider reads have zeros behind it"
    );
}

#[test]
fn virtio_4_1_4_5_1_interrupt_status_is_the_or_of_isr() {
    let mut config = settings(1);
    config.interrupts = crate::personality::Interrupts::Intx;
    let mut d = Driver::new(config);
    assert_eq!(d.config_read(6, 2) & 8, 0);
    d.host.isr = 2;
    assert_eq!(d.config_read(6, 2) & 8, 8);
    d.read_at(d.isr, 0, 1);
    assert_eq!(d.config_read(6, 2) & 8, 0);

    let mut d = Driver::pairs(1);
    let msix = d.capability(0x11).unwrap();
    d.config_write(msix + 3, &[0x80]);
    d.host.isr = 2;
    assert_eq!(d.config_read(6, 2) & 8, 0, "not while MSI-X is enabled");
}
