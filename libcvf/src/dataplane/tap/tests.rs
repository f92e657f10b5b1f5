use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use proptest::prelude::*;

use super::*;

fn rung(tap: &Tap) -> bool {
    let mut fds = [PollFd::new(tap.bell(), PollFlags::POLLIN)];
    poll(&mut fds, PollTimeout::ZERO).expect("poll") == 1
}

#[test]
fn the_bell_rings_for_the_first_frame_at_the_half_and_at_the_end() {
    let tap = Tap::new(Wanted::default()).expect("a tap");
    let hush = || tap.bell.read().expect("it rang");
    assert!(!rung(&tap));
    let frame = [1; 1000];
    let show = || tap.show(Way::In, None, &frame, Payload::from(&[][..]));
    show();
    hush();
    let half = TAP_BYTES / 2 / (frame.len() + HEADER);
    for _ in 2..half {
        show();
    }
    assert!(!rung(&tap));
    show();
    hush();
    (0..=half).for_each(|_| show());
    assert!(!rung(&tap), "nobody has taken anything");
    let mut catch = Catch::default();
    assert_eq!(tap.take(&mut catch), 1, "one found no room");
    assert_eq!(catch.frames().count(), 2 * half);
    show();
    hush();
    tap.end();
    assert!(rung(&tap) && tap.is_over());
}

proptest! {
    #[test]
    fn frames_come_out_as_they_went_in(
        frames in prop::collection::vec((any::<bool>(), 0..=Drop::ALL.len(), 0..300usize, 0..300usize), 0..60),
        snaplen in 1..500usize,
    ) {
        let tap = Tap::new(Wanted { snaplen, ..Wanted::default() }).expect("a tap");
        let bytes: Vec<u8> = (0..600).map(|n| n as u8).collect();
        let mut expected = Vec::new();
        for &(out, reason, head, tail) in &frames {
            let way = if out { Way::Out } else { Way::In };
            let reason = reason.checked_sub(1).map(|reason| Drop::ALL[reason]);
            tap.show(way, reason, &bytes[..head], Payload::from(&bytes[head..head + tail]));
            let len = head + tail;
            expected.push((way, reason, 0, len as u32, &bytes[..len.min(snaplen)]));
        }
        let mut catch = Catch::default();
        prop_assert_eq!(tap.take(&mut catch), 0);
        let seen: Vec<_> = catch.frames().collect();
        prop_assert!(seen.is_sorted_by_key(|seen| seen.time));
        let seen: Vec<_> = seen.iter().map(|s| (s.way, s.dropped, s.lost, s.len, s.bytes)).collect();
        prop_assert_eq!(seen, expected);
        tap.take(&mut catch);
        prop_assert!(catch.is_empty());
    }
}
