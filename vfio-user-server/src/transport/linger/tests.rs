//! Who is waited for, and for how long.

use super::*;

/// A request comes `gap` after the reply to the one before, and is answered at once.
fn ask(linger: &mut Linger, clock: &mut Instant, gap: Duration) -> Option<Duration> {
    *clock += gap;
    linger.received(*clock);
    linger.replied(*clock);
    linger.patience()
}

#[test]
fn nobody_is_waited_for_before_he_was_quick() {
    let (mut linger, mut clock) = (Linger::default(), Instant::now());
    assert_eq!(linger.patience(), None);
    assert_eq!(ask(&mut linger, &mut clock, Duration::ZERO), None);
}

#[test]
fn who_was_quick_is_waited_for_and_who_was_slow_is_not() {
    let (mut linger, mut clock) = (Linger::default(), Instant::now());
    ask(&mut linger, &mut clock, Duration::ZERO);
    assert_eq!(ask(&mut linger, &mut clock, LINGER), Some(LINGER));
    let late = LINGER + Duration::from_nanos(1);
    assert_eq!(ask(&mut linger, &mut clock, late), None);
    assert_eq!(ask(&mut linger, &mut clock, LINGER), Some(LINGER));
}

#[test]
fn what_gets_no_reply_is_no_reason_to_wait() {
    let (mut linger, mut clock) = (Linger::default(), Instant::now());
    ask(&mut linger, &mut clock, Duration::ZERO);
    linger.received(clock);
    assert_eq!(linger.patience(), None);
    linger.received(clock);
    assert_eq!(linger.patience(), None);
}

#[test]
fn others_get_their_turn_beside_the_quickest() {
    let (mut linger, mut clock) = (Linger::default(), Instant::now());
    ask(&mut linger, &mut clock, Duration::ZERO);
    for _ in 0..3 {
        for _ in 0..MAX_LINGERED {
            assert!(ask(&mut linger, &mut clock, Duration::ZERO).is_some());
        }
        assert_eq!(ask(&mut linger, &mut clock, Duration::ZERO), None);
    }
}
