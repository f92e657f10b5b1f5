//! The PCI function.

use super::driver::*;
use crate::pci::BarKind;
use crate::personality::{Interrupts, Personality, QueueRole};

fn config(d: &mut Driver, offset: u64, len: usize) -> u32 {
    let mut data = [0; 4];
    d.device
        .config_read(&mut d.host, offset, &mut data[..len])
        .unwrap();
    u32::from_le_bytes(data)
}

#[test]
fn it_is_an_adaptive_virtual_function() {
    let mut d = Driver::new(settings(1));
    assert_eq!(config(&mut d, 0, 4), 0x1889_8086);
    assert_eq!(config(&mut d, 8, 4), 0x0200_0002);
    assert_eq!(config(&mut d, 0x2c, 2), 0x8086);
    assert_eq!(config(&mut d, 0x3d, 1), 0, "no pin");
    assert_eq!(d.device.interrupts(), Interrupts::Msix);
}

#[test]
fn bars_are_those_of_an_e810() {
    let d = Driver::new(settings(16));
    let bars = d.device.bars().iter().map(|bar| (bar.index, bar.size));
    assert!(bars.eq([(0, 128 << 10), (3, 16 << 10)]));
    let kind = BarKind::Mem64 { prefetchable: true };
    assert!(d.device.bars().iter().all(|bar| bar.kind == kind));
}

#[test]
fn there_is_a_vector_for_the_mailbox_and_one_for_each_pair() {
    for pairs in [1, 4, 16] {
        let mut d = Driver::new(settings(pairs));
        assert_eq!(d.device.vectors(), pairs + 1);
        let msix = d.device.config_space().capabilities();
        let msix = msix.iter().find(|cap| cap.id == 0x11).expect("MSI-X");
        let at = u64::from(msix.offset);
        assert_eq!(config(&mut d, at + 2, 2), u32::from(pairs));
        assert_eq!(config(&mut d, at + 4, 4), 3, "table in BAR3");
        assert_eq!(config(&mut d, at + 8, 4), 0x2003, "pending bits behind it");
        d.device.msix_mut().expect("a table").set_pending(1, true);
        let mut pending = [0; 8];
        d.device.read(&mut d.host, 3, 0x2000, &mut pending).unwrap();
        assert_eq!(pending, [2, 0, 0, 0, 0, 0, 0, 0]);
    }
}

#[test]
fn queues_alternate_and_the_mailbox_comes_last() {
    let d = Driver::new(settings(2));
    assert_eq!(d.device.queues(), 5);
    let roles = (0..6).map(|queue| d.device.role(queue));
    assert!(roles.eq([
        Some(QueueRole::Receive(0)),
        Some(QueueRole::Transmit(0)),
        Some(QueueRole::Receive(1)),
        Some(QueueRole::Transmit(1)),
        Some(QueueRole::Control),
        None,
    ]));
}

#[test]
fn nothing_is_mappable_when_trapped_and_no_doorbell_goes_without_its_value() {
    let mut d = Driver::running(2);
    assert!(d.device.doorbell_areas().is_empty());
    assert!(d.device.doorbell_registers().is_empty());
    assert_eq!(d.device.doorbell_of(0, 0x0004), Some(3));
    assert_eq!(d.device.doorbell_of(0, 0x2000), Some(0));
    for (bar, offset) in [(0, 8), (0, 0x2008), (0, 0x8400), (3, 0), (0, u64::MAX)] {
        assert_eq!(d.device.doorbell_of(bar, offset), None);
    }
    d.good(op::DISABLE_QUEUES, select(0, 2));
    assert_eq!(d.device.doorbell_of(0, 0x0004), None);
}

#[test]
fn accesses_past_the_end_are_refused() {
    let mut d = Driver::running(1);
    for (bar, offset, len) in [
        (0, 0x2_0000, 1),
        (0, 0x1_ffff, 2),
        (0, u64::MAX, 8),
        (3, 0x4000, 1),
        (1, 0, 1),
        (2, 0, 1),
        (4, 0, 1),
        (255, 0, 1),
    ] {
        let mut data = vec![0; len];
        let read = d.device.read(&mut d.host, bar, offset, &mut data);
        let write = d.device.write(&mut d.host, bar, offset, &data);
        assert!(read.is_err() && write.is_err(), "{bar} {offset:#x}");
    }
    assert_eq!(d.host.take(), []);
}
