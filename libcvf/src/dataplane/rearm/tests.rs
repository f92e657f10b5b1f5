use super::*;

#[test]
fn an_event_masks_the_line_and_the_next_is_kept() {
    let line = Rearm::spent();
    assert!(!line.passes(), "nobody wants one yet");
    assert!(line.arm(true), "what was kept goes out");
    assert!(!line.passes() && !line.passes());
    assert!(line.arm(true), "two are one");
    assert!(!line.arm(true), "it waits");
    assert!(line.passes());
    assert!(!line.arm(true));
    assert!(!line.arm(false));
    assert!(!line.passes(), "switched off");
    line.clear();
    assert!(!line.arm(true), "what was kept is gone");
    assert!(line.passes());
}

#[test]
fn other_lines_are_never_masked() {
    let line = Rearm::default();
    assert!(line.passes() && line.passes());
    assert!(!line.arm(false) && !line.arm(true));
    line.clear();
    assert!(line.passes());
}
