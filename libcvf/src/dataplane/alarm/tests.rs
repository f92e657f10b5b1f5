use std::sync::Arc;

use super::*;
use crate::dataplane::{Drop, Port};

#[test]
fn it_is_taken_once() {
    let alarm = Alarm::default();
    assert!(!alarm.take());
    alarm.raise();
    alarm.raise();
    assert!(alarm.take());
    assert!(!alarm.take());
}

#[test]
fn whatever_a_guest_does_wrong_raises_it_and_nothing_else_does() {
    let port = Port::new(2, 0, false);
    let alarm = Arc::new(Alarm::default());
    port.raises(&alarm);
    let offences = [Drop::Malformed, Drop::BadOffload, Drop::Spoofed, Drop::Vlan];
    for queue in &port.transmit {
        for reason in Drop::ALL {
            queue.counters.drop(*reason);
            assert_eq!(alarm.take(), offences.contains(reason), "{reason:?}");
        }
    }
    port.stop("its link is lost".into());
    assert!(!alarm.take());
    assert!(!port.stopped_for_ring());
    port.revive();
    port.stop_for_ring("an index that jumps".into());
    assert!(alarm.take() && port.stopped_for_ring());
    port.stop("by its profile".into());
    assert!(!port.stopped_for_ring(), "and for something else");
    let another = Arc::new(Alarm::default());
    port.raises(&another);
    port.stop_for_ring("again".into());
    assert!(alarm.take() && !another.take(), "the first stays");
}
