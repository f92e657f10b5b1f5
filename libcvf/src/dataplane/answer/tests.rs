use super::*;

#[test]
fn a_doorbell_is_long_ago_after_a_silence() {
    let (heard, silence) = (LastHeard::default(), SILENCE.as_nanos() as u64);
    assert!(heard.is_long_ago(silence + 1));
    assert!(!heard.is_long_ago(silence + 2));
    assert!(!heard.is_long_ago(2 * silence + 2), "counted from the last");
    assert!(heard.is_long_ago(3 * silence + 3));
    assert!(!heard.is_long_ago(1), "clocks of two threads may differ");
}

#[test]
fn a_hand_watches_no_deadlines() {
    let hand = Scratch::holding(Held::nothing());
    assert!(!hand.desk.held.watches() && !hand.desk.held.has_room());
}
