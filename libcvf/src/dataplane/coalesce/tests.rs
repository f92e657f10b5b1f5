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
    for round in 0..3 {
        match coalesce.decide(true, 1, false) {
            Decision::HoldUntil(_) => assert_eq!(round, 0, "a deadline is kept already"),
            other => assert_eq!((other, round > 0), (Decision::Hold, true)),
        }
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

/// Frames that are held back and told of again and again leave one timer, not one each: else a guest
/// could fill its worker's list and end holding back for its neighbours.
#[test]
fn a_queue_has_one_timer_however_often_it_is_held() {
    let port = Arc::new(Port::new(1, 0, false));
    let queue = &port.receive[0].coalesce;
    queue.set(LONG);
    let mut held = Held::default();
    for _ in 0..2 * MAX_HELD_QUEUES {
        let decision = queue.decide(true, 1, false);
        assert!(!held.settle(decision, &port, Side::Receive(0), || {}));
        assert_eq!(queue.decide(true, 9, false), Decision::Fire);
    }
    assert_eq!(held.timers.len(), 1);
}

/// A timer for something that went out early serves what was held back after it.
#[test]
fn a_timer_moves_to_the_later_deadline() {
    let port = Arc::new(Port::new(1, 0, false));
    let queue = &port.transmit[0].coalesce;
    queue.set(LONG);
    let mut held = Held::default();
    let first = until(queue.decide(true, 1, false));
    held.keep(first, &port, Side::Transmit(0));
    assert!(queue.release());
    assert_eq!(queue.decide(true, 1, false), Decision::Hold);
    held.expire(first);
    let second = held.next().expect("the queue is still looked after");
    assert!(second >= first && queue.holds());
    held.expire(second);
    assert_eq!((held.next(), queue.holds()), (None, false));
}

/// Shorter limits do not wait for the timer of longer ones.
#[test]
fn a_shorter_deadline_has_its_own_timer() {
    let queue = coalesce(LONG);
    let long = until(queue.decide(true, 1, false));
    queue.release();
    queue.set(Coalescing {
        max_usecs: 1_000,
        ..LONG
    });
    let short = until(queue.decide(true, 1, false));
    assert!(short < long);
    assert_eq!(queue.expire(short, queue.nanos(short)), (true, None));
    assert_eq!(queue.expire(long, queue.nanos(long)), (false, None));
}

/// Neither a thread that forwards nor one that changes limits waits for a queue that is stuck.
#[test]
fn a_queue_in_use_is_not_waited_for() {
    let port = Arc::new(Port::new(1, 0, false));
    let queue = &port.receive[0];
    queue.coalesce.set(LONG);
    let mut held = Held::default();
    let at = until(queue.coalesce.decide(true, 1, false));
    held.keep(at, &port, Side::Receive(0));
    let busy = queue.state.lock();
    held.expire(at);
    assert_eq!(held.next(), Some(at + HELD_RETRY));
    let now = Patience::Until(Instant::now());
    assert!(!port.release_held(Side::Receive(0), now, Coalesce::release));
    assert!(queue.coalesce.holds());
    drop(busy);
    held.expire(at + HELD_RETRY);
    assert_eq!((held.next(), queue.coalesce.holds()), (None, false));
}

#[test]
fn nothing_is_held_back_by_a_thread_that_is_gone() {
    let port = Arc::new(Port::new(1, 0, false));
    let queue = &port.receive[0].coalesce;
    queue.set(LONG);
    let mut held = Held::default();
    held.keep(until(queue.decide(true, 1, false)), &port, Side::Receive(0));
    drop(held);
    assert!(!queue.holds());
    // Whoever holds something back next keeps the time itself.
    until(queue.decide(true, 1, false));
}
