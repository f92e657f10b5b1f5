use super::*;

#[test]
fn who_is_interrupted_is_told_in_order_and_once() {
    let port = Arc::new(Port::new(2, 0, false));
    let mut due = Due::default();
    assert!(due.is_empty());
    due.add(&port, Side::Receive(1));
    due.add(&port, Side::Transmit(0));
    due.add(&port, Side::Receive(1));
    assert!(!due.is_empty());
    assert_eq!(
        due.0.iter().map(|(_, side)| *side).collect::<Vec<_>>(),
        [Side::Receive(1), Side::Transmit(0)]
    );
    due.fire();
    assert!(due.is_empty());
    assert_eq!(Arc::strong_count(&port), 1, "nothing is kept of it");
}

#[test]
fn it_never_grows() {
    let port = Arc::new(Port::new(1, 0, false));
    let mut due = Due::default();
    for number in 0..=2 * BURST as u16 {
        due.add(&port, Side::Receive(number));
    }
    assert_eq!(due.0.len(), 1, "the others went out to make room");
}
