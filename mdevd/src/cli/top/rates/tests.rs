use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::engine::PairCounters;

fn counters(rx: u64, tx: u64, drops: u64) -> Counters {
    let mut counters = Counters::default();
    (counters.rx.frames, counters.rx.bytes) = (rx, rx * 100);
    (counters.tx.frames, counters.tx.bytes) = (tx, tx * 60);
    counters.rx.drops.insert("no-buffer".to_owned(), drops);
    counters
}

fn sample(at: Instant, name: &str, sequence: u64, total: Counters) -> Sample {
    let pairs = vec![PairCounters {
        pair: 3,
        counters: total.clone(),
    }];
    let stats = Stats {
        name: name.to_owned(),
        sequence,
        total,
        pairs,
        ..Stats::default()
    };
    Sample { at, stats }
}

#[test]
fn rates_are_gains_by_time() {
    let start = Instant::now();
    let mut meter = Meter::default();
    let first = meter.take(&[sample(start, "a", 1, counters(1_000, 10, 5))]);
    assert_eq!((first[0].rates, first[0].pairs[0]), (None, (3, None)));
    let later = start + Duration::from_millis(500);
    let second = meter.take(&[sample(later, "a", 1, counters(1_100, 10, 6))]);
    let rates = second[0].rates.expect("two looks");
    assert_eq!(
        (rates.rx.frames, rates.rx.bytes, rates.rx.drops),
        (200.0, 20_000.0, 2.0)
    );
    assert_eq!(rates.tx, Flow::default());
    assert_eq!(second[0].pairs, [(3, Some(rates))]);
}

#[test]
fn another_device_under_the_same_name_begins_anew() {
    let start = Instant::now();
    let at = |n| start + Duration::from_secs(n);
    let mut meter = Meter::default();
    meter.take(&[sample(at(0), "a", 1, counters(10, 10, 0))]);
    // More than the one before it had: only its place in the order of creation tells.
    let again = meter.take(&[sample(at(1), "a", 2, counters(1_000_000, 10, 0))]);
    assert_eq!((again[0].rates, again[0].pairs[0].1), (None, None));
    let rates = meter.take(&[sample(at(2), "a", 2, counters(1_000_007, 10, 0))])[0].rates;
    assert_eq!(rates.expect("the same").rx.frames, 7.0);
    // Composed anew under the same definition: counters went back.
    let back = meter.take(&[sample(at(3), "a", 2, counters(5, 10, 0))]);
    assert_eq!((back[0].rates, back[0].pairs[0].1), (None, None));
    // Away for a look.
    meter.take(&[]);
    let back = meter.take(&[sample(at(5), "a", 2, counters(9, 10, 0))]);
    assert_eq!(back[0].rates, None);
    meter.forget();
    assert_eq!(
        meter.take(&[sample(at(6), "a", 2, counters(9, 10, 0))])[0].rates,
        None
    );
}

#[test]
fn two_looks_at_one_moment_have_no_rate() {
    let now = Instant::now();
    let mut meter = Meter::default();
    meter.take(&[sample(now, "a", 1, counters(1, 1, 1))]);
    assert_eq!(
        meter.take(&[sample(now, "a", 1, counters(9, 9, 9))])[0].rates,
        None
    );
}

proptest! {
    /// Whatever comes and goes: no rate is negative, nor larger than all that was ever counted in that time.
    #[test]
    fn rates_are_never_negative_or_made_up(
        looks in prop::collection::vec((1u64..3, 0u64..1_000, 0u64..1_000, 0u64..4, 1u64..5_000), 1..40)
    ) {
        let mut at = Instant::now();
        let mut meter = Meter::default();
        for (sequence, rx, tx, drops, millis) in looks {
            at += Duration::from_millis(millis);
            let shown = meter.take(&[sample(at, "a", sequence, counters(rx, tx, drops))]);
            let seconds = Duration::from_millis(millis).as_secs_f64();
            for rates in shown.iter().filter_map(|device| device.rates) {
                for (rate, count) in [
                    (rates.rx.frames, rx),
                    (rates.tx.frames, tx),
                    (rates.rx.drops, drops),
                    (rates.rx.bytes, rx * 100),
                ] {
                    prop_assert!(rate >= 0.0 && rate * seconds <= count as f64 + 0.001);
                }
            }
        }
    }
}
