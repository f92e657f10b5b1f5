use super::super::{bits, feature_names};
use super::driver::{
    ACKNOWLEDGE, DRIVER, DRIVER_OK, Driver, FAILED, FEATURES_OK, NEEDS_RESET, reg, settings,
};
use crate::personality::{DriverState, Personality, RingFormats};

#[test]
fn virtio_2_1_1_status_bits_are_never_cleared_but_by_reset() {
    let mut d = Driver::pairs(1);
    d.write8(reg::DEVICE_STATUS, ACKNOWLEDGE);
    d.write8(reg::DEVICE_STATUS, DRIVER);
    assert_eq!(d.status(), ACKNOWLEDGE | DRIVER);
    d.write8(reg::DEVICE_STATUS, FAILED);
    assert_eq!(d.status(), ACKNOWLEDGE | DRIVER | FAILED);
    assert_eq!(d.device.status().state, DriverState::Failed);
    d.write8(reg::DEVICE_STATUS, 0);
    assert_eq!(d.status(), 0);
    assert_eq!(d.device.status().state, DriverState::Absent);
}

#[test]
fn virtio_2_1_needs_reset_and_reserved_bits_are_not_the_drivers() {
    let mut d = Driver::pairs(1);
    d.write8(reg::DEVICE_STATUS, ACKNOWLEDGE | NEEDS_RESET | 0x30);
    assert_eq!(d.status(), ACKNOWLEDGE);
}

#[test]
fn virtio_2_1_2_needs_reset_of_the_data_plane_shows() {
    let mut d = Driver::running(1);
    d.host.needs_reset = true;
    assert_eq!(
        d.status(),
        ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK | NEEDS_RESET
    );
    d.write8(reg::DEVICE_STATUS, 0);
    assert_eq!(d.status(), 0);
}

#[test]
fn virtio_2_1_2_needs_reset_before_driver_ok_interrupts_at_driver_ok() {
    let mut d = Driver::agreed(1);
    d.host.needs_reset = true;
    assert_eq!(d.host.config_changes(), 0);
    d.add_status(DRIVER_OK);
    assert_eq!(d.host.config_changes(), 1);
}

#[test]
fn virtio_2_2_1_a_feature_that_was_not_offered_is_refused() {
    let mut d = Driver::pairs(1);
    let offered = d.offered();
    for foreign in (0..64).map(|bit| 1 << bit).filter(|bit| offered & bit == 0) {
        assert!(!d.negotiate(offered | foreign), "bit {foreign:#x}");
        assert_eq!(d.status(), ACKNOWLEDGE | DRIVER);
    }
    assert!(d.negotiate(offered));
}

#[test]
fn virtio_2_2_1_features_past_bit_63_are_refused() {
    for select in [2, 3] {
        let mut d = Driver::pairs(1);
        d.accept(bits::VERSION_1);
        d.write32(reg::DRIVER_FEATURE_SELECT, select);
        d.write32(reg::DRIVER_FEATURE, 1);
        d.add_status(FEATURES_OK);
        assert_eq!(d.status() & FEATURES_OK, 0);
        d.write32(reg::DRIVER_FEATURE, 0);
        d.add_status(FEATURES_OK);
        assert_ne!(d.status() & FEATURES_OK, 0, "withdrawn, so acceptable");
    }
}

#[test]
fn virtio_4_1_4_3_1_selects_past_the_features_present_zero() {
    let mut d = Driver::pairs(1);
    for select in [2, 3, 4, 0x8000_0000, u32::MAX] {
        d.write32(reg::DEVICE_FEATURE_SELECT, select);
        d.write32(reg::DRIVER_FEATURE_SELECT, select);
        assert_eq!(d.read32(reg::DEVICE_FEATURE), 0);
        assert_eq!(d.read32(reg::DRIVER_FEATURE), 0);
        assert_eq!(d.read32(reg::DEVICE_FEATURE_SELECT), select);
    }
}

#[test]
fn virtio_4_1_4_3_1_accepted_features_read_back() {
    let mut d = Driver::pairs(2);
    let accepted = bits::VERSION_1 | bits::MAC | bits::CTRL_VQ;
    d.accept(accepted);
    let mut read = |select| {
        d.write32(reg::DRIVER_FEATURE_SELECT, select);
        u64::from(d.read32(reg::DRIVER_FEATURE))
    };
    assert_eq!(read(0) | read(1) << 32, accepted);
}

#[test]
fn virtio_3_1_1_features_are_settled_by_features_ok() {
    let mut d = Driver::pairs(1);
    assert!(d.negotiate(bits::VERSION_1 | bits::MAC));
    d.accept(u64::MAX);
    assert_eq!(d.device.status().features, bits::VERSION_1 | bits::MAC);
    d.add_status(DRIVER_OK);
    assert_eq!(d.host.started, Some(bits::VERSION_1 | bits::MAC));
}

#[test]
fn virtio_3_1_1_driver_ok_without_features_ok_does_not_count() {
    let mut d = Driver::pairs(1);
    d.write8(reg::DEVICE_STATUS, ACKNOWLEDGE | DRIVER | DRIVER_OK);
    assert_eq!(d.status(), ACKNOWLEDGE | DRIVER);
    d.accept(bits::MAC);
    d.write8(
        reg::DEVICE_STATUS,
        ACKNOWLEDGE | DRIVER | DRIVER_OK | FEATURES_OK,
    );
    assert_eq!(d.status(), ACKNOWLEDGE | DRIVER, "VERSION_1 is missing");
    assert_eq!(d.host.started, None);
}

#[test]
fn virtio_2_1_driver_ok_starts_once() {
    let mut d = Driver::running(1);
    d.add_status(DRIVER_OK);
    d.write8(reg::DEVICE_STATUS, 0x0f);
    assert_eq!(d.host.take(), []);
}

#[test]
fn virtio_6_1_version_1_is_mandatory_and_access_platform_is_not() {
    let mut d = Driver::pairs(1);
    let offered = d.offered();
    assert!(!d.negotiate(offered & !bits::VERSION_1));
    assert!(d.negotiate(offered & !bits::ACCESS_PLATFORM));
    assert!(d.negotiate(bits::VERSION_1));
}

#[test]
fn virtio_5_1_3_1_features_need_what_they_depend_on() {
    use bits::*;
    let table = [
        (GUEST_TSO4, GUEST_CSUM),
        (GUEST_TSO6, GUEST_CSUM),
        (GUEST_ECN, GUEST_CSUM | GUEST_TSO4),
        (GUEST_ECN, GUEST_CSUM | GUEST_TSO6),
        (GUEST_UFO, GUEST_CSUM),
        (GUEST_USO4, GUEST_CSUM),
        (GUEST_USO6, GUEST_CSUM),
        (HOST_TSO4, CSUM),
        (HOST_TSO6, CSUM),
        (HOST_ECN, CSUM | HOST_TSO4),
        (HOST_ECN, CSUM | HOST_TSO6),
        (HOST_UFO, CSUM),
        (HOST_USO, CSUM),
        (CTRL_RX, CTRL_VQ),
        (CTRL_VLAN, CTRL_VQ),
        (GUEST_ANNOUNCE, CTRL_VQ),
        (MQ, CTRL_VQ),
        (CTRL_MAC_ADDR, CTRL_VQ),
    ];
    let mut d = Driver::pairs(2);
    for (feature, needs) in table {
        let names = feature_names(feature);
        assert!(!d.negotiate(VERSION_1 | feature), "{names:?} alone");
        assert!(
            d.negotiate(VERSION_1 | feature | needs),
            "{names:?} with what it needs"
        );
    }
    for feature in [CTRL_RX_EXTRA, CTRL_GUEST_OFFLOADS] {
        assert!(
            d.negotiate(VERSION_1 | feature),
            "nothing is required by the specification"
        );
    }
}

#[test]
fn virtio_2_2_2_offered_features_are_complete_whatever_is_masked() {
    for bit in 0..64 {
        let mut config = settings(2);
        config.features = !(1 << bit);
        let mut d = Driver::new(config);
        let offered = d.offered();
        assert_ne!(offered & bits::VERSION_1, 0);
        assert!(
            d.negotiate(offered),
            "what is offered can be accepted, without bit {bit}"
        );
        if bit != 32 {
            assert_eq!(offered & 1 << bit, 0);
        }
    }
    let mut config = settings(2);
    config.features = !bits::STATUS;
    let offered = Driver::new(config).offered();
    assert_eq!(
        offered & bits::GUEST_ANNOUNCE,
        0,
        "there would be no bit to announce by"
    );
    let mut config = settings(2);
    config.features = !bits::CTRL_VQ;
    let offered = Driver::new(config).offered();
    let of_control = bits::CTRL_RX | bits::CTRL_RX_EXTRA | bits::CTRL_VLAN | bits::CTRL_MAC_ADDR;
    let of_control = of_control | bits::MQ | bits::GUEST_ANNOUNCE | bits::CTRL_GUEST_OFFLOADS;
    let of_queues = bits::RSS | bits::HASH_REPORT | bits::NOTF_COAL | bits::VQ_NOTF_COAL;
    let of_control = of_control | of_queues | bits::DEVICE_STATS;
    assert_eq!(offered & of_control, 0);
}

#[test]
fn everything_built_is_offered_and_nothing_else() {
    let expected = [
        0, 1, 2, 3, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 28, 29, 32,
        33, 34, 35, 38, 40, 50, 52, 53, 54, 55, 56, 57, 60, 63,
    ];
    let expected = expected.iter().fold(0, |all, bit| all | 1u64 << bit);
    assert_eq!(Driver::pairs(2).offered(), expected);
    assert_eq!(
        Driver::pairs(1).offered(),
        expected & !(bits::MQ | bits::RSS),
        "one pair is no multiqueue"
    );
    assert_eq!(
        Driver::pairs(1).device.offered(),
        expected & !(bits::MQ | bits::RSS)
    );
}

#[test]
fn the_ring_formats_are_the_operators_choice() {
    for (formats, offered, split_may, packed_may) in [
        (RingFormats::Split, false, true, false),
        (RingFormats::Packed, true, false, true),
        (RingFormats::Any, true, true, true),
    ] {
        let mut config = settings(1);
        config.ring_formats = formats;
        let mut d = Driver::new(config);
        assert_eq!(d.offered() & bits::RING_PACKED != 0, offered, "{formats:?}");
        assert_eq!(d.negotiate(bits::VERSION_1), split_may, "{formats:?}");
        let packed = bits::VERSION_1 | bits::RING_PACKED;
        assert_eq!(d.negotiate(packed), packed_may, "{formats:?}");
    }
}

#[test]
fn status_tells_how_far_the_driver_is() {
    let mut d = Driver::pairs(2);
    let state = |d: &Driver| d.device.status().state;
    assert_eq!(state(&d), DriverState::Absent);
    d.add_status(ACKNOWLEDGE);
    assert_eq!(state(&d).to_string(), "acknowledged");
    d.accept(bits::VERSION_1 | bits::MAC);
    assert_eq!(d.device.status().features, 0, "not agreed yet");
    d.add_status(FEATURES_OK);
    assert_eq!(state(&d), DriverState::Negotiated);
    d.add_status(DRIVER_OK);
    let status = d.device.status();
    assert_eq!(status.state, DriverState::Running);
    assert_eq!(status.feature_names, ["MAC", "VERSION_1"]);
    assert_eq!((status.active_pairs, status.link_up), (1, true));
}
