use super::super::layout::common_cfg_size;
use super::driver::{Driver, settings};
use crate::personality::{Interrupts, Personality};

#[test]
fn virtio_4_1_2_1_identity_of_a_modern_network_device() {
    let mut d = Driver::pairs(1);
    assert_eq!(d.config_read(0x00, 4), 0x1041_1af4);
    assert!(d.config_read(0x08, 1) >= 1, "revision");
    assert_eq!(d.config_read(0x09, 3), 0x02_0000, "Ethernet controller");
    assert_eq!(d.config_read(0x2c, 2), 0x1af4);
    assert!(d.config_read(0x2e, 2) >= 0x40, "no transitional device");
}

#[test]
fn virtio_4_1_4_every_structure_is_found_by_its_capability() {
    for pairs in [1, 2, 64] {
        let d = Driver::pairs(pairs);
        assert_eq!(
            (d.common.cap_len, d.isr.cap_len, d.config.cap_len),
            (16, 16, 16)
        );
        assert_eq!((d.notify.cap_len, d.window.cap_len), (20, 20));
        assert_eq!((d.common.bar, d.isr.bar, d.config.bar), (0, 0, 0));
        assert_eq!(
            (d.common.length, d.isr.length, d.config.length),
            (64, 1, 24)
        );
        assert_eq!(d.common.length, u64::from(common_cfg_size()));
        for place in [d.common, d.isr, d.config, d.notify] {
            let bar = d
                .device
                .bars()
                .iter()
                .find(|bar| bar.index == place.bar)
                .unwrap();
            assert!(
                place.offset + place.length <= bar.size,
                "{place:?} leaves {bar:?}"
            );
            assert!(place.offset.is_multiple_of(4));
        }
    }
}

#[test]
fn virtio_4_1_4_4_1_the_notification_structure_holds_every_queue() {
    for pairs in [1, 3, 64] {
        let mut d = Driver::agreed(pairs);
        assert_eq!((d.notify.bar, d.notify.multiplier), (2, 0x1000));
        for queue in 0..d.device.queues() {
            d.select(queue);
            let off = u64::from(d.read16(super::driver::reg::QUEUE_NOTIFY_OFF));
            assert!(d.notify.length >= off * d.notify.multiplier + 2);
        }
    }
}

#[test]
fn bars_are_64_bit_and_powers_of_two_around_their_content() {
    let sizes = |pairs| {
        let d = Driver::pairs(pairs);
        d.device
            .bars()
            .iter()
            .map(|bar| (bar.index, bar.size))
            .collect::<Vec<_>>()
    };
    assert_eq!(sizes(1), [(0, 0x4000), (2, 0x4000), (4, 0x2000)]);
    assert_eq!(sizes(2), [(0, 0x4000), (2, 0x8000), (4, 0x2000)]);
    assert_eq!(sizes(64), [(0, 0x4000), (2, 0x10_0000), (4, 0x2000)]);
}

#[test]
fn msix_has_a_vector_for_configuration_and_each_queue() {
    for pairs in [1, 2, 64] {
        let mut d = Driver::pairs(pairs);
        let vectors = 2 * pairs + 2;
        assert_eq!(d.device.vectors(), vectors);
        let msix = d.capability(0x11).expect("MSI-X");
        assert_eq!(d.config_read(msix + 2, 2) as u16 & 0x7ff, vectors - 1);
        assert_eq!(d.config_read(msix + 4, 4), 4, "table at the start of BAR4");
        assert_eq!(
            d.config_read(msix + 8, 4),
            0x1004,
            "pending bits a page behind"
        );
        assert_eq!(d.config_read(0x3d, 1), 0, "no pin");
        assert_eq!(d.device.msix_mut().map(|m| m.vectors()), Some(vectors));
    }
}

#[test]
fn with_legacy_interrupts_there_is_a_pin_and_no_msix() {
    let mut config = settings(2);
    config.interrupts = Interrupts::Intx;
    let mut d = Driver::new(config);
    assert_eq!(d.config_read(0x3d, 1), 1, "INTA");
    assert_eq!(d.capability(0x11), None);
    assert_eq!(d.device.vectors(), 0);
    assert!(d.device.msix_mut().is_none());
    assert!(d.device.bars().iter().all(|bar| bar.index != 4));
    let refused = d.device.read(&mut d.host, 4, 0, &mut [0; 4]).unwrap_err();
    assert_eq!(refused.size, 0);
}

#[test]
fn bar_accesses_past_the_end_are_refused() {
    let mut d = Driver::running(1);
    for (bar, offset, len) in [
        (0, 0x4000, 1),
        (0, 0x3fff, 2),
        (2, 0x4000, 2),
        (4, 0x1fff, 8),
        (0, u64::MAX, 8),
        (1, 0, 1),
        (3, 0, 1),
        (6, 0, 1),
        (255, 0, 1),
    ] {
        assert!(
            d.device
                .read(&mut d.host, bar, offset, &mut vec![0; len])
                .is_err()
        );
        assert!(
            d.device
                .write(&mut d.host, bar, offset, &vec![0; len])
                .is_err()
        );
    }
    assert_eq!(d.host.take(), []);
    assert_eq!(d.status(), 0x0f, "a refused write of zeros reset nothing");
}

#[test]
fn msix_table_and_pending_bits_are_reached_through_bar_4() {
    let mut d = Driver::pairs(1);
    d.device
        .write(&mut d.host, 4, 0x10, &0xfee0_0000u32.to_le_bytes())
        .unwrap();
    d.device.msix_mut().unwrap().set_pending(3, true);
    let mut pending = [0; 8];
    d.device.read(&mut d.host, 4, 0x1000, &mut pending).unwrap();
    assert_eq!(pending, [8, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(
        d.device.msix_mut().unwrap().entry(1).unwrap().address,
        0xfee0_0000
    );
}
