use super::*;
use proptest::prelude::*;

#[test]
fn an_account_tells_the_share_of_time_with_work() {
    let start = Instant::now();
    let mut account = Account::new(start);
    (0..100).for_each(|turn| account.turn(turn % 4 > 0));
    assert_eq!(account.end(start + BALANCE_PERIOD / 2), None, "not yet");
    account.slept(BALANCE_PERIOD / 2);
    assert_eq!(account.end(start + BALANCE_PERIOD), Some(375));
    assert_eq!(account.end(start + 2 * BALANCE_PERIOD), Some(0));
    let mut account = Account::new(start);
    account.turn(true);
    account.slept(3 * BALANCE_PERIOD);
    assert_eq!(
        account.end(start + BALANCE_PERIOD),
        Some(0),
        "a clock that lies"
    );
}

#[test]
fn who_has_time_keeps_its_queues() {
    let idle = [(1, 0)];
    assert_eq!(choose(SATURATED - 1, &[5, 5], idle.into_iter()), None);
    assert_eq!(choose(SATURATED, &[5, 5], idle.into_iter()), Some((0, 1)));
    assert_eq!(
        choose(1000, &[10], idle.into_iter()),
        None,
        "only moved, not shared"
    );
    assert_eq!(choose(1000, &[10, 0], idle.into_iter()), None);
    assert_eq!(choose(1000, &[5, 5], [].into_iter()), None);
    assert_eq!(choose(1000, &[], idle.into_iter()), None);
    assert_eq!(
        choose(1000, &[98, 2], idle.into_iter()),
        Some((1, 1)),
        "away from a hog"
    );
    assert_eq!(choose(1000, &[98, 2], [(1, 600)].into_iter()), None);
    assert_eq!(
        choose(1000, &[7, 3, 1], [(0, 900), (2, 100)].into_iter()),
        Some((1, 2))
    );
}

proptest! {
    /// By a move the busiest has less to do, the other stays below it, and moves come to an end.
    #[test]
    fn moves_make_the_busiest_less_busy_and_end(
        mut workers in prop::collection::vec(prop::collection::vec(0u64..1_000_000, 0..12), 2..6),
    ) {
        let total = |queues: &[u64]| queues.iter().sum::<u64>();
        let mut rounds = 0;
        loop {
            let most = workers.iter().map(|w| total(w)).max().unwrap();
            // Everybody is as fast as the busiest, which has no time left.
            let load = |queues: &[u64]| (total(queues) * 1000).checked_div(most).unwrap_or(0) as u32;
            let me = (0..workers.len()).find(|w| total(&workers[*w]) == most).unwrap();
            let others = workers.iter().enumerate().filter(|(w, _)| *w != me);
            let others: Vec<_> = others.map(|(w, queues)| (w, load(queues))).collect();
            let Some((queue, to)) = choose(load(&workers[me]), &workers[me], others.into_iter()) else {
                break;
            };
            let weight = workers[me].swap_remove(queue);
            workers[to].push(weight);
            // Loads are told in thousandths.
            let slack = most / 1000 + 1;
            prop_assert!(total(&workers[me]) < most);
            prop_assert!(total(&workers[to]) <= most * 9 / 10 + slack);
            rounds += 1;
            prop_assert!(rounds < 1000, "no end");
        }
    }
}
