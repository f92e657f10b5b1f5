use super::*;

const LONG: Coalescing = Coalescing {
    max_usecs: u32::MAX,
    max_packets: 10,
};

fn coalesce(to: Coalescing) -> Coalesce {
    let coalesce = Coalesce::default();
    coalesce.set(to);
    assert_eq!(coalesce.get(), to);
    coalesce
}

fn until(decision: Decision) -> Instant {
    match decision {
        Decision::HoldUntil(at) => at,
        other => panic!("{other:?}"),
    }
}

/// virtio 1.3 5.1.6.5.9.1: with either limit zero every frame is told of.
#[test]
fn without_both_limits_nothing_is_held_back() {
    for (max_usecs, max_packets) in [(0, 0), (0, 10), (10, 0)] {
        let coalesce = coalesce(Coalescing {
            max_usecs,
            max_packets,
        });
        assert_eq!(coalesce.decide(true, 1, false), Decision::Fire);
        assert_eq!(coalesce.decide(false, 1, false), Decision::Nothing);
        assert!(!coalesce.holds());
    }
}

/// 5.1.6.5.9.2: the last of `max_packets` frames is told of, and counting begins anew.
#[test]
fn the_count_releases() {
    let coalesce = coalesce(LONG);
    for _ in 0..3 {
        until(coalesce.decide(true, 1, false));
        assert_eq!(coalesce.decide(true, 8, false), Decision::Hold);
        assert!(coalesce.holds());
        assert_eq!(coalesce.decide(true, 1, false), Decision::Fire);
        assert!(!coalesce.holds());
    }
    assert_eq!(coalesce.decide(true, 10, false), Decision::Fire);
}

#[test]
fn time_releases() {
    let coalesce = coalesce(Coalescing {
        max_usecs: 1,
        max_packets: 10,
    });
    let at = until(coalesce.decide(true, 1, false));
    while Instant::now() < at {}
    assert!(coalesce.due(Instant::now()));
    assert_eq!(coalesce.decide(true, 1, false), Decision::Fire);
    assert!(!coalesce.holds());
}

/// The deadline that a thread keeps is over exactly when the queue's is.
#[test]
fn a_deadline_is_due_when_it_says() {
    let coalesce = coalesce(LONG);
    let at = until(coalesce.decide(true, 1, false));
    assert!(!coalesce.due(at - Duration::from_micros(1)));
    assert!(coalesce.due(at));
    assert!(coalesce.release());
    assert!(!coalesce.release() && !coalesce.due(at));
}

#[test]
fn a_driver_that_looks_on_its_own_is_left_alone() {
    let coalesce = coalesce(LONG);
    until(coalesce.decide(true, 1, false));
    assert_eq!(coalesce.decide(false, 1, false), Decision::Nothing);
    assert!(
        !coalesce.holds(),
        "the decision was about what was held back, too"
    );
}

#[test]
fn a_driver_without_buffers_does_not_wait() {
    let coalesce = coalesce(LONG);
    assert_eq!(coalesce.decide(true, 1, true), Decision::Fire);
    until(coalesce.decide(true, 1, false));
    assert_eq!(coalesce.decide(true, 0, true), Decision::Fire);
}

#[test]
fn a_count_beyond_all_bounds_is_bounded() {
    let coalesce = coalesce(Coalescing {
        max_usecs: u32::MAX,
        max_packets: u32::MAX,
    });
    until(coalesce.decide(true, 1, false));
    let rest = u64::from(MAX_COALESCE_FRAMES) - 2;
    assert_eq!(coalesce.decide(true, rest, false), Decision::Hold);
    assert_eq!(coalesce.decide(true, 1, false), Decision::Fire);
}

#[test]
fn deadlines_come_in_their_order_and_never_grow() {
    let mut held = Held::default();
    assert_eq!(held.next(), None);
    assert_eq!(held.patience(), None);
    let port = Arc::new(Port::new(1, 0, false));
    let now = Instant::now();
    for ms in [30, 10, 20] {
        held.keep(now + Duration::from_millis(ms), &port, Side::Receive(0));
    }
    assert_eq!(held.next(), Some(now + Duration::from_millis(10)));
    held.expire(now + Duration::from_millis(10));
    assert_eq!(held.next(), Some(now + Duration::from_millis(20)));
    held.expire(now + Duration::from_millis(40));
    assert_eq!(held.next(), None);
    while held.has_room() {
        held.keep(now, &port, Side::Transmit(0));
    }
    assert_eq!(held.timers.len(), MAX_HELD_QUEUES);
    held.expire(now);
    assert_eq!(
        Arc::strong_count(&port),
        1,
        "no port outlives its deadlines"
    );
}
