use super::driver::{Driver, reg, settings};
use super::host::Call;
use crate::personality::{Interrupts, Personality};

const NO_VECTOR: u16 = 0xffff;

#[test]
fn virtio_4_1_5_1_2_1_events_start_unmapped() {
    let mut d = Driver::agreed(1);
    assert_eq!(d.read16(reg::CONFIG_MSIX_VECTOR), NO_VECTOR);
    for queue in 0..3 {
        d.select(queue);
        assert_eq!(d.read16(reg::QUEUE_MSIX_VECTOR), NO_VECTOR);
    }
}

#[test]
fn virtio_4_1_5_1_2_1_any_event_maps_to_any_vector() {
    let mut d = Driver::agreed(2);
    d.host.take();
    for vector in 0..d.device.vectors() {
        d.write16(reg::CONFIG_MSIX_VECTOR, vector);
        assert_eq!(d.read16(reg::CONFIG_MSIX_VECTOR), vector);
        assert_eq!(d.host.take(), [Call::ConfigVector(Some(vector))]);
        d.select(4);
        d.write16(reg::QUEUE_MSIX_VECTOR, vector);
        assert_eq!(d.read16(reg::QUEUE_MSIX_VECTOR), vector);
        assert_eq!(d.host.take(), [Call::QueueVector(4, Some(vector))]);
    }
    d.write16(reg::CONFIG_MSIX_VECTOR, NO_VECTOR);
    d.write16(reg::QUEUE_MSIX_VECTOR, NO_VECTOR);
    assert_eq!(
        d.host.take(),
        [Call::ConfigVector(None), Call::QueueVector(4, None)]
    );
}

#[test]
fn virtio_4_1_5_1_2_1_a_vector_past_the_table_reads_back_no_vector() {
    let mut d = Driver::agreed(1);
    d.select(0);
    d.write16(reg::QUEUE_MSIX_VECTOR, 1);
    d.write16(reg::CONFIG_MSIX_VECTOR, 0);
    d.host.take();
    for vector in [4, 0x7ff, 0x800, 0xfffe] {
        d.write16(reg::CONFIG_MSIX_VECTOR, vector);
        d.write16(reg::QUEUE_MSIX_VECTOR, vector);
        assert_eq!(d.read16(reg::CONFIG_MSIX_VECTOR), NO_VECTOR);
        assert_eq!(d.read16(reg::QUEUE_MSIX_VECTOR), NO_VECTOR);
    }
    assert_eq!(
        d.host.take(),
        [Call::ConfigVector(None), Call::QueueVector(0, None)],
        "what was mapped is unmapped, once"
    );
}

#[test]
fn with_legacy_interrupts_nothing_maps() {
    let mut config = settings(1);
    config.interrupts = Interrupts::Intx;
    let mut d = Driver::new(config);
    d.write16(reg::CONFIG_MSIX_VECTOR, 0);
    d.select(0);
    d.write16(reg::QUEUE_MSIX_VECTOR, 0);
    assert_eq!(d.read16(reg::CONFIG_MSIX_VECTOR), NO_VECTOR);
    assert_eq!(d.read16(reg::QUEUE_MSIX_VECTOR), NO_VECTOR);
    assert_eq!(d.host.take(), []);
}
