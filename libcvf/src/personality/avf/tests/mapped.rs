//! Tail registers in memory that the client maps: nobody is called when they are written.

use std::fs::File;
use std::os::unix::fs::FileExt;

use super::driver::*;
use super::host::Call;
use crate::personality::{Doorbells, Personality};

const INTENA: u32 = 1;
const NO_ITR: u32 = 3 << 3;

/// A running device, and the registers as its client maps them.
fn running(pairs: u16) -> (Driver, Mapped) {
    let mut config = settings(pairs);
    config.doorbells = Doorbells::Mapped;
    let d = Driver::running_as(config);
    let memory = d.device.doorbell_memory().expect("memory");
    let file = File::from(memory.file().expect("a descriptor"));
    (d, Mapped(file))
}

struct Mapped(File);

impl Mapped {
    fn write(&self, at: u64, value: u32) {
        self.0
            .write_all_at(&value.to_le_bytes(), at)
            .expect("write");
    }

    fn read(&self, at: u64) -> u32 {
        let mut bytes = [0; 4];
        self.0.read_exact_at(&mut bytes, at).expect("read");
        u32::from_le_bytes(bytes)
    }
}

#[test]
fn the_pages_of_tails_are_mappable_and_nothing_else() {
    let (d, _) = running(2);
    let areas = d.device.doorbell_areas();
    let areas: Vec<_> = areas.iter().map(|a| (a.bar, a.offset, a.size)).collect();
    assert_eq!(areas, [(0, 0, 4096), (0, 0x2000, 4096)]);
    assert!(d.device.doorbell_registers().is_empty());
    assert!(Driver::running(2).device.doorbell_memory().is_none());
}

#[test]
fn a_ring_has_the_tail_that_was_written_into_memory_and_nobody_was_called() {
    let (mut d, mapped) = running(16);
    for queue in 0..32u16 {
        let first = [reg::QRX_TAIL, reg::QTX_TAIL][usize::from(queue % 2)];
        let at = first + 4 * u64::from(queue / 2);
        mapped.write(at, 0x8000 + u32::from(queue));
        assert_eq!(d.host.rings[&queue].tail.get(), 0x8000 + u32::from(queue));
        assert_eq!(d.read(at), 0x8000 + u32::from(queue));
    }
    assert_eq!(d.host.take(), []);
    // A client that does not map it sends a message all the same.
    d.write(reg::QTX_TAIL + 4, 7);
    assert_eq!(d.host.take(), [Call::Tail(3, 7)]);
    assert_eq!((mapped.read(4), d.host.rings[&3].tail.get()), (7, 7));
}

#[test]
fn an_interval_in_memory_counts_when_its_vector_is_enabled() {
    let (mut d, mapped) = running(2);
    mapped.write(reg::ITRN, 25);
    // Index 1 of the second queue vector; the bits above the interval are nobody's.
    mapped.write(reg::ITRN + 64 + 4, 0xabcd_e00a);
    assert_eq!(d.read(reg::ITRN), 25);
    assert_eq!(d.read(reg::ITRN + 64 + 4), 10);
    assert_eq!(d.host.take(), []);
    d.write(reg::DYN_CTLN, INTENA | NO_ITR);
    let first = [Call::Throttle(0, 50), Call::VectorEnable(1, true)];
    assert_eq!(
        d.host.take(),
        first,
        "before the interrupt that it is about"
    );
    d.write(reg::DYN_CTLN + 4, INTENA | NO_ITR);
    let second = [Call::Throttle(3, 20), Call::VectorEnable(2, true)];
    assert_eq!(d.host.take(), second);
    d.write(reg::DYN_CTLN + 4, INTENA | NO_ITR);
    assert_eq!(d.host.take(), [Call::VectorEnable(2, true)], "told once");
    // What is written by the control register is in memory, too.
    d.write(reg::DYN_CTLN, INTENA | 7 << 5);
    assert_eq!(mapped.read(reg::ITRN), 7);
    assert_eq!(
        d.host.take(),
        [Call::Throttle(0, 14), Call::VectorEnable(1, true)]
    );
    d.write(reg::ITRN, 9);
    assert_eq!(mapped.read(reg::ITRN), 9);
    assert_eq!(d.host.take(), [Call::Throttle(0, 18)]);
}

#[test]
fn an_interval_in_memory_counts_for_a_queue_that_is_mapped_to_it() {
    let (mut d, mapped) = running(1);
    mapped.write(reg::ITRN + 128, 4);
    d.good(
        op::CONFIG_IRQ_MAP,
        irq_map_of(&[vector_map(1, [1, 0], [2, 0])]),
    );
    let expected = [Call::QueueVector(0, Some(1)), Call::Throttle(0, 8)];
    assert_eq!(d.host.take(), expected);
}

#[test]
fn what_is_in_memory_begins_anew_where_registers_do() {
    let (mut d, mapped) = running(2);
    let tails = [reg::QTX_TAIL, reg::QTX_TAIL + 4, reg::QRX_TAIL];
    for at in tails {
        mapped.write(at, 40);
    }
    d.good(op::DISABLE_QUEUES, select(1, 1));
    assert_eq!(tails.map(|at| mapped.read(at)), [0, 40, 0]);
    // Buffers are posted before the ring is known.
    mapped.write(reg::QRX_TAIL, 500);
    d.good(op::CONFIG_VSI_QUEUES, queue_config(2));
    assert_eq!(tails.map(|at| mapped.read(at)), [0, 0, 500]);
    mapped.write(reg::ITRN, 25);
    mapped.write(reg::ITRN + 64 + 4, 25);
    let memory = d.device.doorbell_memory().cloned();
    d.send(op::RESET_VF, []);
    assert_eq!(tails.map(|at| mapped.read(at)), [0; 3]);
    assert_eq!([0, 68].map(|at| mapped.read(reg::ITRN + at)), [0; 2]);
    // The client has it mapped still.
    let same = d.device.doorbell_memory().cloned();
    let same = memory.zip(same);
    assert!(same.is_some_and(|(a, b)| std::sync::Arc::ptr_eq(&a, &b)));
}
