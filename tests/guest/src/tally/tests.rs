use super::*;

fn tally(frames: &[u64], end: Option<u64>) -> Tally {
    let mut tally = Tally::default();
    frames.iter().for_each(|f| tally.frame(*f));
    if let Some(count) = end {
        tally.end(count);
    }
    tally
}

#[test]
fn nothing_lost() {
    let t = tally(&[0, 1, 2, 3], Some(4));
    assert!(t.complete());
    assert_eq!(
        (t.received(), t.lost(), t.duplicate(), t.reordered()),
        (4, 0, 0, 0)
    );
}

#[test]
fn the_last_frame_lost_shows_only_by_the_end_mark() {
    assert_eq!(tally(&[0, 1, 2], None).lost(), 0);
    let t = tally(&[0, 1, 2], Some(4));
    assert!(!t.complete());
    assert_eq!(t.lost(), 1);
}

#[test]
fn a_duplicate_does_not_hide_a_loss() {
    let t = tally(&[0, 1, 1, 3], Some(4));
    assert_eq!((t.lost(), t.duplicate()), (1, 1));
}

#[test]
fn late_is_not_lost() {
    let t = tally(&[0, 2, 1, 3], Some(4));
    assert_eq!((t.lost(), t.reordered(), t.complete()), (0, 1, true));
}

#[test]
fn numbers_beyond_memory_still_count() {
    let t = tally(&[MAX_SEQUENCE + 5], None);
    assert_eq!(t.received(), 1);
}
