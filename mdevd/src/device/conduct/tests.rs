use super::*;

#[test]
fn an_allowance_is_a_period_at_once_and_the_rate_after_it() {
    let start = Instant::now();
    let mut allowance = Allowance::default();
    let rate = Rate::Limited(10);
    let second = Duration::from_secs(1);
    let taken = |allowance: &mut Allowance, at: Duration| {
        (0..100)
            .filter(|_| allowance.take(start + at, rate, second))
            .count()
    };
    assert_eq!(taken(&mut allowance, Duration::ZERO), 10);
    assert_eq!(taken(&mut allowance, Duration::from_millis(500)), 5);
    assert_eq!(taken(&mut allowance, Duration::from_secs(100)), 10);
    assert!((0..1000).all(|_| allowance.take(start, Rate::Unlimited, second)));
}

#[test]
fn offences_are_counted_by_the_minute() {
    let start = Instant::now();
    let mut tally = Tally::default();
    assert_eq!(tally.add(start, 3), (0, 3));
    assert_eq!(tally.add(start + Duration::from_secs(59), 2), (3, 5));
    assert_eq!(tally.add(start + Duration::from_secs(60), 1), (0, 1));
    assert_eq!(
        tally.add(start + Duration::from_secs(61), u64::MAX),
        (1, u64::MAX)
    );
}

fn denied(untold: &mut Untold, now: Option<Instant>) -> Option<(u64, String, String)> {
    match untold.take("vm1", now)? {
        Happening::Denied {
            count,
            reaction,
            rule,
            ..
        } => Some((count, reaction, rule)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn denials_are_told_once_a_second_with_their_number_and_the_hardest_reaction() {
    let start = Instant::now();
    let at = |millis| Some(start + Duration::from_millis(millis));
    let mut untold = Untold::default();
    assert_eq!(denied(&mut untold, at(0)), None, "nothing happened");
    let (spoofed, malformed) = (
        What::of(Offence::SpoofedFrame),
        What::of(Offence::MalformedFrame),
    );
    untold.add(Reaction::Audit, 1, spoofed);
    let told =
        |count, reaction: &str, rule: &str| Some((count, reaction.to_owned(), rule.to_owned()));
    assert_eq!(
        denied(&mut untold, at(0)),
        told(1, "audit", "spoofed-frame")
    );
    untold.add(Reaction::StopDevice, 5, spoofed);
    untold.add(Reaction::Audit, 2, malformed);
    assert_eq!(denied(&mut untold, at(999)), None, "too early");
    assert_eq!(
        denied(&mut untold, at(1000)),
        told(7, "stop-device", "malformed-frame")
    );
    assert_eq!(denied(&mut untold, at(5000)), None, "all is told");
    untold.add(Reaction::Audit, 1, spoofed);
    assert_eq!(
        denied(&mut untold, None),
        told(1, "audit", "spoofed-frame"),
        "the last word"
    );
}
