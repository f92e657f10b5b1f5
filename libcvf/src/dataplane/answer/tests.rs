use super::*;

#[test]
fn a_doorbell_is_long_ago_once_a_worker_would_sleep() {
    let (heard, spin) = (LastHeard::default(), SPIN.as_nanos() as u64);
    assert!(heard.is_long_ago(spin + 1));
    assert!(!heard.is_long_ago(spin + 2));
    assert!(!heard.is_long_ago(2 * spin + 2), "counted from the last");
    assert!(heard.is_long_ago(3 * spin + 3));
    assert!(!heard.is_long_ago(1), "clocks of two threads may differ");
}

#[test]
fn a_thread_that_watches_no_deadline_holds_nothing_back() {
    assert!(!Hand::new().scratch.desk.held.has_room());
}
