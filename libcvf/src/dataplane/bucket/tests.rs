use proptest::prelude::*;

use super::*;

const NANOS: u64 = 1_000_000_000;

/// The bucket that everybody knows: tokens drop in, and what does not find room is lost.
struct Simple {
    rate: f64,
    room: f64,
    level: f64,
    last: u64,
}

impl Simple {
    fn fill(&mut self, now: u64) {
        let time = (now - self.last) as f64 / (NANOS * TICKS) as f64;
        self.level = (self.level + time * self.rate).min(self.room);
        self.last = now;
    }
}

#[derive(Clone, Debug)]
enum Op {
    Later(u64),
    Take(u64),
    TakeAll { use_at_most: u64 },
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        2 => (0..2_000_000_u64).prop_map(Op::Later),
        4 => (1..70_000_u64).prop_map(Op::Take),
        1 => (0..200_000_u64).prop_map(|use_at_most| Op::TakeAll { use_at_most }),
    ]
}

fn rates() -> impl Strategy<Value = u64> {
    prop_oneof![
        1_000_000..1_000_000_000_u64,
        Just(1_000_000_000_000),
        1..100_000_u64
    ]
}

proptest! {
    /// Bytes of a rate in bits per second.
    #[test]
    fn it_is_the_bucket_that_everybody_knows(
        rate in rates(),
        burst in 0..200_000_000_u64,
        ops in prop::collection::vec(op(), 1..200),
    ) {
        const LEAST: u64 = 65_557;
        let bucket = Bucket::new(8, LEAST);
        bucket.set(Some(rate));
        let bytes = rate as f64 / 8.0;
        let room = (burst as f64 / NANOS as f64 * bytes).max(LEAST as f64);
        // It was made long ago.
        let start = 1 << 62;
        let mut model = Simple { rate: bytes, room, level: room, last: start };
        let mut at = Moment { now: start, burst: burst * TICKS };
        let mut taken = 0.0;
        // What rounding may come to: a tick and a part of 2^24 a time.
        let mut slack = 1.0;
        for op in ops {
            slack += bytes / (NANOS * TICKS) as f64 + model.room * 1e-6 + 1e-3;
            match op {
                Op::Later(nanos) => at.now += nanos * TICKS,
                Op::Take(tokens) => {
                    model.fill(at.now);
                    let got = bucket.take(at, tokens).is_some();
                    let close = (model.level - tokens as f64).abs() <= slack;
                    prop_assert!(close || got == (tokens as f64 <= model.level), "{} of {}", tokens, model.level);
                    if got {
                        model.level -= tokens as f64;
                        taken += tokens as f64;
                    }
                }
                Op::TakeAll { use_at_most } => {
                    model.fill(at.now);
                    let all = bucket.take_all(at);
                    let cost = bucket.price().times(use_at_most);
                    let used = if cost <= all { use_at_most } else { 0 };
                    bucket.give(if cost <= all { all - cost } else { all });
                    let close = (model.level - use_at_most as f64).abs() <= slack;
                    prop_assert!(close || (used > 0) == (use_at_most > 0 && use_at_most as f64 <= model.level));
                    model.level -= used as f64;
                    taken += used as f64;
                }
            }
            let most = room + bytes * (at.now - start) as f64 / (NANOS * TICKS) as f64;
            prop_assert!(taken <= most * (1.0 + 1e-9) + 3.0, "{} of {}", taken, most);
        }
    }

    /// Somebody always wants more than there is.
    #[test]
    fn under_load_no_less_than_its_rate(
        rate in 1_000_000..100_000_000_000_u64,
        burst in 1_000_000..100_000_000_u64,
        steps in prop::collection::vec((1_000..400_000_u64, 64..1519_u64), 20..300),
    ) {
        let bucket = Bucket::new(8, 65_557);
        bucket.set(Some(rate));
        let start = 1 << 62;
        let mut at = Moment { now: start, burst: burst * TICKS };
        let (mut taken, mut frames) = (0_u64, 0);
        bucket.take_all(at);
        let reach = burst.max(65_557 * 8 * NANOS / rate);
        for (nanos, len) in steps {
            at.now += (nanos % (reach / 2)) * TICKS;
            while bucket.take(at, len).is_some() {
                taken += len;
                frames += 1;
            }
        }
        let time = (at.now - start) as f64 / (NANOS * TICKS) as f64;
        let least = time * rate as f64 / 8.0;
        // The last frame that did not fit, and a tick a frame.
        let rounding = f64::from(frames) * (rate as f64 / 8.0 / (NANOS * TICKS) as f64 + 1e-3) + 1.0;
        prop_assert!(taken as f64 + 1519.0 + rounding >= least, "{} of {}", taken, least);
        prop_assert!(taken as f64 <= least * (1.0 + 1e-9) + 1.0, "{} of {}", taken, least);
    }

    #[test]
    fn a_change_of_rate_grants_nothing(
        changes in prop::collection::vec((prop::option::of(1..1_000_000_000_000_u64), 1..60_000_000_000_u64), 1..20),
    ) {
        let bucket = Bucket::new(8, 65_557);
        bucket.set(Some(1_000_000));
        let mut at = Moment { now: 1 << 62, burst: 100_000_000 * TICKS };
        bucket.take_all(at);
        for (rate, burst) in changes {
            bucket.set(rate);
            at.burst = burst * TICKS;
            if rate.is_some() {
                prop_assert_eq!(bucket.take_all(at), 0);
                prop_assert_eq!(bucket.take(at, 1), None);
            }
        }
    }
}

#[test]
fn the_slowest_rate_lets_the_largest_frame_through() {
    let bucket = Bucket::new(8, 65_557);
    bucket.set(Some(1));
    let second = NANOS * TICKS;
    let mut at = Moment {
        now: 65_557 * 8 * second,
        burst: 0,
    };
    assert!(bucket.take(at, 65_557).is_some());
    assert_eq!(bucket.take(at, 1), None);
    at.now += 8 * second;
    assert!(bucket.take(at, 1).is_some());
    assert_eq!(bucket.take(at, 1), None);
}

#[test]
fn a_late_look_at_the_clock_takes_nothing() {
    let bucket = Bucket::new(1, 1);
    bucket.set(Some(1));
    let burst = 10 * NANOS * TICKS;
    let now = 100 * NANOS * TICKS;
    assert_eq!(bucket.take_all(Moment { now, burst }), burst);
    let late = Moment {
        now: now - NANOS * TICKS,
        burst,
    };
    assert_eq!(bucket.take(late, 1), None);
    assert_eq!(bucket.take_all(late), 0);
    assert_eq!(bucket.take(late, 0), None);
}
