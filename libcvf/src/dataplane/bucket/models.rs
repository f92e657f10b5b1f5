//! Two workers take from one bucket, one of them all there is, of which it gives part back; an operator changes
//! the rate meanwhile.

use std::sync::Arc;

use loom::thread;

use super::*;
use crate::sync::check;

/// Ten tokens of a nanosecond each fit.
const FULL: u64 = 10;
const AT: Moment = Moment {
    now: 1000 * TICKS,
    burst: FULL * TICKS,
};

fn bucket() -> Arc<Bucket> {
    let bucket = Bucket::new(1, 1);
    bucket.set(Some(1_000_000_000));
    Arc::new(bucket)
}

/// Takes `tokens` at once; how many it got.
fn whole(bucket: &Bucket, tokens: u64) -> u64 {
    bucket.take(AT, tokens).map_or(0, |_| tokens)
}

/// Takes all, and uses `tokens` of it at most.
fn part(bucket: &Bucket, tokens: u64) -> u64 {
    let all = bucket.take_all(AT);
    let used = (all / TICKS).min(tokens);
    bucket.give(all - used * TICKS);
    used
}

fn model(take: fn(&Bucket, u64) -> u64, give: fn(&Bucket, u64) -> u64) {
    check(move || {
        let bucket = bucket();
        let (one, two) = (Arc::clone(&bucket), Arc::clone(&bucket));
        let workers = [
            thread::spawn(move || take(&one, 6)),
            thread::spawn(move || give(&two, 6)),
        ];
        bucket.set(Some(1_000_000_000));
        let taken: u64 = workers.map(|w| w.join().expect("worker")).iter().sum();
        let left = part(&bucket, FULL);
        assert!(taken >= 6, "nobody got what was there");
        assert_eq!(taken + left, FULL, "tokens were made or lost");
    });
}

#[test]
fn no_token_is_made_or_lost() {
    model(whole, part);
    model(whole, whole);
    model(part, part);
}

#[test]
#[should_panic = "tokens were made or lost"]
fn the_model_sees_a_store_where_an_exchange_is_needed() {
    let careless = |bucket: &Bucket, tokens: u64| {
        let before = bucket.since.load(Ordering::Relaxed);
        let after = before.max(AT.now - AT.burst) + tokens * TICKS;
        if after > AT.now {
            return 0;
        }
        bucket.since.store(after, Ordering::Relaxed);
        tokens
    };
    model(careless, careless);
}

#[test]
#[should_panic = "tokens were made or lost"]
fn the_model_sees_a_gift_that_is_stored() {
    let careless = |bucket: &Bucket, tokens: u64| {
        let all = bucket.take_all(AT);
        let used = (all / TICKS).min(tokens);
        bucket
            .since
            .store(AT.now - (all - used * TICKS), Ordering::Relaxed);
        used
    };
    model(careless, careless);
}
