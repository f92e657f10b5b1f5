//! Interrupt registers. A vector holds itself back when it fires: that is the host's part.

use super::driver::*;
use super::host::Call;

const INTENA: u32 = 1;
const CLEARPBA: u32 = 1 << 1;
const SWINT: u32 = 1 << 2;
const NO_ITR: u32 = 3 << 3;
const WB_ON_ITR: u32 = 1 << 30;
const INTENA_MSK: u32 = 1 << 31;

const fn itr(index: u32, interval: u32) -> u32 {
    index << 3 | interval << 5
}

#[test]
fn each_write_of_intena_is_good_for_one_interrupt() {
    let mut d = Driver::running(1);
    for _ in 0..3 {
        d.write(reg::DYN_CTLN, INTENA | NO_ITR);
        assert_eq!(d.host.take(), [Call::VectorEnable(1, true)]);
    }
    d.write(reg::DYN_CTLN, NO_ITR);
    d.write(reg::DYN_CTLN, NO_ITR);
    assert_eq!(d.host.take(), [Call::VectorEnable(1, false)]);
    assert_eq!(d.read(reg::DYN_CTLN), NO_ITR);
}

#[test]
fn intena_msk_leaves_it_as_it_is() {
    let mut d = Driver::running(1);
    d.write(reg::DYN_CTLN, INTENA | NO_ITR);
    d.host.take();
    d.write(reg::DYN_CTLN, INTENA_MSK | WB_ON_ITR | NO_ITR);
    d.write(reg::DYN_CTLN, INTENA_MSK | INTENA | NO_ITR);
    assert_eq!(d.host.take(), []);
    assert_eq!(d.read(reg::DYN_CTLN), INTENA | NO_ITR);
    // As Linux does while it polls: the vector is held back.
    d.write(reg::DYN_CTLN, WB_ON_ITR | NO_ITR);
    assert_eq!(d.host.take(), [Call::VectorEnable(1, false)]);
    d.write(reg::DYN_CTLN, INTENA_MSK | INTENA | WB_ON_ITR | NO_ITR);
    assert_eq!(d.host.take(), []);
    assert_eq!(d.read(reg::DYN_CTLN), WB_ON_ITR | NO_ITR);
}

#[test]
fn a_software_interrupt_is_pending_before_the_vector_is_enabled() {
    let mut d = Driver::running(1);
    // The watchdog's write.
    d.write(reg::DYN_CTLN, INTENA | SWINT | NO_ITR | 1 << 24);
    assert_eq!(
        d.host.take(),
        [Call::VectorTrigger(1), Call::VectorEnable(1, true)]
    );
    assert_eq!(
        d.read(reg::DYN_CTLN),
        INTENA | NO_ITR,
        "it is not kept, nor is what belongs to it"
    );
    d.write(reg::DYN_CTLN, SWINT | NO_ITR);
    assert_eq!(
        d.host.take(),
        [Call::VectorEnable(1, false), Call::VectorTrigger(1)]
    );
    d.write(reg::DYN_CTLN, SWINT | INTENA_MSK | CLEARPBA | NO_ITR);
    assert_eq!(d.host.take(), [Call::VectorTrigger(1)]);
}

#[test]
fn intervals_reach_the_queues_that_go_by_them() {
    let mut d = Driver::running(2);
    d.write(reg::DYN_CTLN, INTENA | itr(0, 25));
    assert_eq!(
        d.host.take(),
        [Call::Throttle(0, 50), Call::VectorEnable(1, true)],
        "before the interrupt that it is about"
    );
    d.write(reg::DYN_CTLN, INTENA | itr(0, 25));
    assert_eq!(d.host.take(), [Call::VectorEnable(1, true)]);
    d.write(reg::DYN_CTLN + 4, INTENA_MSK | itr(1, 0xfff));
    assert_eq!(d.host.take(), [Call::Throttle(3, 8190)]);
    d.write(reg::DYN_CTLN, INTENA_MSK | itr(2, 7));
    assert_eq!(d.host.take(), [], "no queue goes by it");
    d.write(reg::ITRN + 64 + 4, 10);
    assert_eq!(d.host.take(), [Call::Throttle(3, 20)]);
    d.write(reg::ITRN, 0xffff_f000);
    assert_eq!(d.host.take(), [Call::Throttle(0, 0)], "12 bits");
    let read = [0, 64, 128].map(|index| d.read(reg::ITRN + index));
    assert_eq!(read, [0, 0, 7]);
    assert_eq!(d.read(reg::ITRN + 64 + 4), 10);
    // A queue that is mapped later has what is set.
    let map = vector_map(1, [0, 1], [0, 2]);
    d.good(op::CONFIG_IRQ_MAP, irq_map_of(&[map]));
    assert_eq!(
        d.host.take(),
        [Call::QueueVector(1, Some(1)), Call::Throttle(1, 14)]
    );
}

#[test]
fn vector_0_is_the_mailboxs_and_has_two_enables() {
    let mut d = Driver::granted(1, LINUX);
    d.write(reg::DYN_CTL0, INTENA | NO_ITR);
    assert_eq!(d.host.take(), []);
    d.write(reg::ICR0_ENA, 1 << 30);
    assert_eq!(d.host.take(), [Call::VectorEnable(0, true)]);
    d.write(reg::DYN_CTL0, INTENA | NO_ITR);
    d.write(reg::ICR0_ENA, 1 << 30);
    assert_eq!(
        d.host.take(),
        [Call::VectorEnable(0, true)],
        "once for both"
    );
    d.write(reg::ICR0_ENA, 0);
    assert_eq!(d.host.take(), [Call::VectorEnable(0, false)]);
    d.write(reg::DYN_CTL0, 0);
    d.write(reg::ICR0_ENA, 1 << 30);
    assert_eq!(d.host.take(), []);
    assert_eq!(d.read(reg::ICR0_ENA), 1 << 30);
}

#[test]
fn the_cause_of_vector_0_clears_when_it_is_read() {
    let mut d = Driver::mailbox(1);
    assert_eq!(d.read(reg::ICR0), 0);
    d.good(op::VERSION, [1, 0, 0, 0, 1, 0, 0, 0]);
    assert_eq!(d.read(reg::ICR0), 1 << 30 | 1);
    assert_eq!(d.read(reg::ICR0), 0);
    d.write(reg::DYN_CTL0, SWINT);
    d.write(reg::ICR0, u32::MAX);
    assert_eq!(d.read(reg::ICR0), 1 << 31 | 1);
}

#[test]
fn a_message_that_waited_for_room_has_its_cause_when_it_comes() {
    let mut d = Driver::running(1);
    d.read(reg::ICR0);
    d.write(reg::ARQ.tail, 30);
    assert_eq!(d.read(reg::ICR0), 0, "nothing waited");
    d.host.waiting = 1;
    d.write(reg::ARQ.tail, 31);
    assert_ne!(d.read(reg::ICR0) & 1 << 30, 0);
}

#[test]
fn vectors_that_are_not_there_have_no_registers() {
    let mut d = Driver::running(2);
    for nth in 2..16 {
        d.write(reg::DYN_CTLN + 4 * nth, INTENA | SWINT | itr(0, 9));
        d.write(reg::ITRN + 4 * nth, 9);
        assert_eq!(d.read(reg::DYN_CTLN + 4 * nth), 0);
        assert_eq!(d.read(reg::ITRN + 4 * nth), 0);
    }
    assert_eq!(d.host.take(), []);
}

#[test]
fn a_map_that_changes_nothing_is_not_told() {
    let mut d = Driver::running(2);
    d.good(op::CONFIG_IRQ_MAP, irq_map(2));
    assert_eq!(d.host.take(), []);
    let map = vector_map(1, [1, 1], [0, 2]);
    d.good(op::CONFIG_IRQ_MAP, irq_map_of(&[map]));
    assert_eq!(
        d.host.take(),
        [Call::QueueVector(1, Some(1)), Call::Throttle(1, 0)]
    );
}
