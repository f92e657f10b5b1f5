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
