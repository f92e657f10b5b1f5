use std::sync::Barrier;
use std::sync::atomic::AtomicUsize;

use super::*;

const UP: PortId = PortId(0);
const OTHER_UP: PortId = PortId(1);

/// Ports 0 and 1 are uplinks, all others CVFs.
fn table() -> Learned {
    let learned = Learned::new();
    learned.open(UP, true);
    learned.open(OTHER_UP, true);
    learned
}

/// The `n`th of keys that are spread over all sets.
fn key(n: u64) -> u64 {
    Permutation::keyed([1, 0x9e37_79b9_7f4a_7c15, 0xbf58_476d_1ce4_e5b9])
        .apply(Vid(0), PackedMac::from_bits(n))
}

/// The `n`th of keys that fall into one set.
fn same_set(n: u64) -> u64 {
    n << SET_BITS | 7
}

fn yes(_: Option<PortId>) -> Permit {
    Permit::Yes
}

fn total(learned: &Learned) -> usize {
    let used = |set: &Set| {
        set.entries
            .iter()
            .filter(|word| word.load(Relaxed) != 0)
            .count()
    };
    learned.sets.iter().map(used).sum()
}

#[test]
fn one_cache_line_per_set() {
    assert_eq!((size_of::<Set>(), align_of::<Set>()), (64, 64));
}

#[test]
fn ages_at_the_limit_and_not_before() {
    let learned = table();
    // Seconds do not start at 0, and their low 16 bits wrap.
    for start in [0, 5, 65_535, u32::MAX - 1000] {
        let key = key(u64::from(start) + 1);
        learned.learn(key, UP, start, yes);
        assert_eq!(learned.lookup(key, start + LEARNED_AGEING - 1), Some(UP));
        assert_eq!(learned.lookup(key, start + LEARNED_AGEING), None);
        learned.learn(key, UP, start + 200, yes);
        assert_eq!(
            learned.lookup(key, start + LEARNED_AGEING),
            Some(UP),
            "was seen again"
        );
        learned.sweep(start + 200 + LEARNED_AGEING - 1);
        assert_eq!(learned.count(UP), 1);
        learned.sweep(start + 200 + LEARNED_AGEING);
        assert_eq!((learned.count(UP), total(&learned)), (0, 0));
    }
}

#[test]
fn a_worker_whose_second_is_older_finds_and_keeps_what_is_newer() {
    let learned = table();
    learned.learn(key(1), UP, 100, yes);
    assert_eq!(learned.lookup(key(1), 99), Some(UP));
    learned.learn(key(1), UP, 99, yes);
    assert_eq!(
        learned.lookup(key(1), 100 + LEARNED_AGEING - 1),
        Some(UP),
        "did not become older"
    );
}

#[test]
fn the_generation_changes_when_an_answer_does() {
    let learned = table();
    let mut last = learned.generation();
    let mut changed = |learned: &Learned| {
        let now = learned.generation();
        std::mem::replace(&mut last, now) != now
    };
    learned.learn(key(1), UP, 0, yes);
    assert!(changed(&learned), "new");
    learned.learn(key(1), UP, 9, yes);
    assert!(!changed(&learned), "seen again");
    learned.learn(key(1), OTHER_UP, 9, |_| Permit::No);
    assert!(!changed(&learned), "refused");
    learned.learn(key(1), OTHER_UP, 9, yes);
    assert!(changed(&learned), "moved");
    learned.learn(key(1), OTHER_UP, 9 + LEARNED_AGEING, yes);
    assert!(changed(&learned), "came back from being too old");
    learned.flush(UP);
    learned.sweep(0);
    assert!(!changed(&learned), "nothing to remove");
    learned.flush(OTHER_UP);
    assert!(changed(&learned), "removed");
}

#[test]
fn a_cvf_reaches_its_limit_and_then_replaces_only_its_own() {
    let learned = table();
    let (quiet, flooder) = (PortId(9), PortId(10));
    for n in 0..100 {
        learned.learn(key(1_000_000 + n), UP, 0, yes);
        learned.learn(key(2_000_000 + n), quiet, 0, yes);
    }
    for n in 0..300_000 {
        // Slowly enough for the rate.
        learned.learn(key(n), flooder, (n / 100) as u32 % LEARNED_AGEING, yes);
    }
    assert_eq!(learned.count(flooder), MAX_LEARNED_PER_CVF);
    assert_eq!((learned.count(UP), learned.count(quiet)), (100, 100));
    assert_eq!(total(&learned), 200 + MAX_LEARNED_PER_CVF as usize);
    for n in 0..100 {
        assert_eq!(learned.lookup(key(1_000_000 + n), 0), Some(UP));
        assert_eq!(learned.lookup(key(2_000_000 + n), 0), Some(quiet));
    }
}

#[test]
fn in_a_full_set_a_port_replaces_its_own_oldest() {
    let learned = table();
    for n in 0..5 {
        learned.learn(same_set(n), UP, 10, yes);
    }
    let cvf = PortId(9);
    learned.learn(same_set(5), cvf, 10, yes);
    learned.learn(same_set(6), cvf, 11, yes);
    assert_eq!(learned.lookup(same_set(5), 11), None, "gave way");
    assert_eq!(learned.lookup(same_set(6), 11), Some(cvf));
    learned.learn(same_set(7), PortId(10), 11, yes);
    assert_eq!(learned.lookup(same_set(7), 11), None, "no room but others'");
    assert_eq!(
        (
            learned.count(PortId(10)),
            learned.count(cvf),
            learned.count(UP)
        ),
        (0, 1, 5)
    );
    learned.learn(same_set(2), UP, 12, yes);
    learned.learn(same_set(8), UP, 12, yes);
    assert_eq!(
        learned.lookup(same_set(2), 12),
        Some(UP),
        "the oldest goes, not this"
    );
    assert_eq!(learned.count(UP), 5);
    // What is too old is room for everybody.
    learned.learn(same_set(9), PortId(10), 11 + LEARNED_AGEING, yes);
    assert_eq!(
        learned.lookup(same_set(9), 11 + LEARNED_AGEING),
        Some(PortId(10))
    );
    let counted: u32 = [UP, cvf, PortId(10)]
        .map(|port| learned.count(port))
        .iter()
        .sum();
    assert_eq!(counted as usize, total(&learned));
}

#[test]
fn all_cvfs_together_leave_half_of_the_table() {
    let learned = table();
    let ports = MAX_LEARNED_BEHIND_CVFS / MAX_LEARNED_PER_CVF + 4;
    for port in 0..ports {
        for n in 0..2 * u64::from(MAX_LEARNED_PER_CVF) {
            let now = (n / 200) as u32;
            learned.learn(key(u64::from(port) << 32 | n), PortId(10 + port), now, yes);
        }
    }
    assert!(total(&learned) <= MAX_LEARNED_BEHIND_CVFS as usize);
    assert!(total(&learned) > MAX_LEARNED_BEHIND_CVFS as usize * 9 / 10);
    assert_eq!(learned.behind_cvfs.load(Relaxed) as usize, total(&learned));
    let counts: u32 = (0..ports)
        .map(|port| learned.count(PortId(10 + port)))
        .sum();
    assert_eq!(counts as usize, total(&learned));
}

#[test]
fn an_uplink_s_limit_and_the_rates() {
    let learned = table();
    for n in 0..4 * u64::from(MAX_LEARNED_PER_UPLINK) {
        learned.learn(key(n), UP, (n / 10_000) as u32, yes);
    }
    assert!(learned.count(UP) <= MAX_LEARNED_PER_UPLINK);
    assert!(learned.count(UP) > MAX_LEARNED_PER_UPLINK * 9 / 10);
    assert_eq!(learned.count(UP) as usize, total(&learned));

    for (port, rate) in [
        (UP, MAX_LEARNS_PER_SECOND_UPLINK),
        (PortId(9), MAX_LEARNS_PER_SECOND_CVF),
    ] {
        let learned = table();
        let before = learned.generation();
        for n in 0..100_000 {
            learned.learn(key(n), port, 5, yes);
        }
        assert!(learned.generation() - before <= u64::from(rate));
        assert!(learned.count(port) > rate * 8 / 10);
        learned.flush(port);
        learned.learn(key(1), port, 5, yes);
        assert_eq!(learned.count(port), 0, "still that second");
        learned.learn(key(1), port, 6, yes);
        assert_eq!(learned.count(port), 1, "the next allows more");
    }
}

#[test]
fn numbers_out_of_range_learn_nothing() {
    let learned = table();
    learned.learn(key(1), PortId(MAX_PORT_IDS as u32), 0, yes);
    learned.learn(key(1), PortId(u32::MAX), 0, yes);
    learned.open(PortId(u32::MAX), true);
    assert_eq!((total(&learned), learned.lookup(key(1), 0)), (0, None));
}

/// Key `n` is only ever seen behind ports that leave the remainder `n % 4`. A reader that saw the
/// key of one entry with the port of another would find a wrong remainder.
#[test]
fn readers_among_writers_never_see_a_torn_pair() {
    const KEYS: u64 = 400;
    let learned = table();
    // Few sets, so that entries replace each other all the time.
    let crowded = |n: u64| ((n / 8) << SET_BITS) | (n % 8);
    let barrier = Barrier::new(4);
    let writing = AtomicUsize::new(3);
    let mut found = 0;
    std::thread::scope(|scope| {
        for seed in 1..=3_u64 {
            let (learned, barrier, writing) = (&learned, &barrier, &writing);
            scope.spawn(move || {
                let mut random = seed;
                barrier.wait();
                for step in 0..200_000_u64 {
                    random = random
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(seed);
                    let n = (random >> 33) % KEYS;
                    let port = PortId((n % 4 + 4 * ((random >> 50) % 3)) as u32);
                    let now = (step / 100) as u32;
                    match random >> 60 {
                        0 => learned.flush(port),
                        1 => learned.forget(crowded(n)),
                        _ => learned.learn(crowded(n), port, now, yes),
                    }
                }
                writing.fetch_sub(1, Release);
            });
        }
        barrier.wait();
        loop {
            let last = writing.load(Acquire) == 0;
            for n in 0..KEYS {
                if let Some(port) = learned.lookup(crowded(n), 0) {
                    assert_eq!(u64::from(port.0) % 4, n % 4, "key {n} behind {port}");
                    found += 1;
                }
            }
            if last {
                break;
            }
        }
    });
    assert!(found > 0);
    // The books are right in the end.
    let counts: u32 = (0..12).map(|port| learned.count(PortId(port))).sum();
    assert_eq!(counts as usize, total(&learned));
    let cvfs: u32 = (2..12).map(|port| learned.count(PortId(port))).sum();
    assert_eq!(learned.behind_cvfs.load(Relaxed), cvfs);
    for port in 0..12 {
        learned.flush(PortId(port));
    }
    assert_eq!((total(&learned), learned.behind_cvfs.load(Relaxed)), (0, 0));
}
