use super::*;

const MILLI: u64 = 1_000_000 * super::super::bucket::TICKS;
const LEN: usize = 1000;
const ALL: Frames = Frames::row(0, 20);

/// A bit a frame of [`LEN`] bytes.
const fn frames(a_second: u64) -> u64 {
    a_second * LEN as u64 * 8
}

fn share(rate: Option<u64>) -> Bucket {
    let share = Bucket::new(BITS, 1);
    share.set(rate);
    share
}

/// Sends 20 frames each millisecond through every one of `shares`; how many passed for each.
fn run(group: &RateGroup, shares: &[Bucket], start: u64, millis: u64) -> Vec<u64> {
    let mut passed = vec![0; shares.len()];
    for milli in 1..=millis {
        let at = Moment {
            now: start + milli * MILLI,
            burst: 10 * MILLI,
        };
        for (share, passed) in shares.iter().zip(&mut passed) {
            let refused = group.refuse(at, share, ALL, |_| LEN);
            *passed += (ALL.count() - refused.count()) as u64;
        }
    }
    passed
}

#[test]
fn a_share_is_there_whatever_others_take_and_the_group_keeps_to_its_rate() {
    // 10 frames a millisecond, of which 6 are guaranteed to the last in the row.
    let group = RateGroup::new("g", frames(10_000));
    let shares = [share(None), share(None), share(Some(frames(6000)))];
    let start = 1 << 62;
    // What was saved up is used first.
    run(&group, &shares, start, 300);
    let passed = run(&group, &shares, start + 300 * MILLI, 1000);
    let total: u64 = passed.iter().sum();
    assert!((9_900..=10_100).contains(&total), "{passed:?}");
    assert!((5_990..=6_100).contains(&passed[2]), "{passed:?}");
    assert!(
        passed[0] + passed[1] >= 3_900,
        "what is left is used: {passed:?}"
    );
}

#[test]
fn what_is_guaranteed_and_not_used_is_everybodys() {
    let group = RateGroup::new("g", frames(10_000));
    let busy = [share(None)];
    let start = 1 << 62;
    run(&group, &busy, start, 300);
    let passed = run(&group, &busy, start + 300 * MILLI, 1000);
    assert!((9_900..=10_100).contains(&passed[0]), "{passed:?}");
    // Another rate, from now on.
    group.set_rate(frames(2000));
    let passed = run(&group, &busy, start + 1300 * MILLI, 1000);
    assert!((1_900..=2_100).contains(&passed[0]), "{passed:?}");
}

#[test]
fn no_more_is_guaranteed_than_there_is() {
    let group = RateGroup::new("web", 1000);
    let (a, b) = ([1; 16], [2; 16]);
    group.admit(&a, Some(600)).expect("there is enough");
    let refused = group.admit(&b, Some(401)).expect_err("there is not");
    assert_eq!(
        refused.to_string(),
        "group 'web' sends 0.001 Mbit/s at most, of which 0.0006 are guaranteed to other devices, and 0.000401 were to be \
         guaranteed to this one: ask for no more than 0.0004, or give the group a higher rate"
    );
    assert_eq!(group.census(), (1000, 600, 1), "nothing has changed");
    group.admit(&b, Some(400)).expect("there is enough");
    group
        .admit(&a, Some(500))
        .expect("its own share is not in its way");
    assert_eq!(group.census(), (1000, 900, 2));
    assert!(group.check_rate(899).is_err() && group.check_rate(900).is_ok());
    group.leave(&a);
    group.admit(&[3; 16], None).expect("asks for nothing");
    assert_eq!(group.census(), (1000, 400, 2));
}
