//! The small process, and those who kill it.

mod child;
mod parent;

use std::collections::BTreeSet;
use std::time::Duration;

use super::dice::Dice;
use super::judge::Judge;
use super::{number, seed};
use parent::{Home, Moment};

/// Not a test: the process that the others start. Without its variables it does nothing.
#[test]
fn child() {
    child::run_if_asked();
}

#[test]
fn random_kills_lose_nothing() {
    let kills = number("MDEVD_KILLS", 1000);
    let (mut dice, mut judge, home) = (Dice(seed()), Judge::default(), Home::new());
    let mut early = 0;
    for _ in 0..kills {
        // Some hit the start itself: opening, repairing, restoring.
        let moment = match dice.below(4) {
            0 => Moment::AfterStart(Duration::from_micros(dice.below(20_000))),
            _ => Moment::AfterReady(Duration::from_micros(dice.below(15_000))),
        };
        early += u64::from(!home.live(&mut judge, dice.roll(), moment).ready);
    }
    let last = home.live(&mut judge, dice.roll(), Moment::AfterReady(Duration::ZERO));
    assert!(last.ready);
    let (acknowledged, open) = judge.counts();
    println!(
        "{kills} kills, {early} of them before it was ready; {acknowledged} commands acknowledged, {open} left open"
    );
    assert!(
        early < kills && acknowledged > kills,
        "it was killed under load"
    );
    assert!(open > kills / 4, "{open}");
}

/// Where each command must have been killed at least; the store's own places come several times.
const PLACES: [(&str, &[&str]); 8] = [
    (
        "create",
        &[
            "create: reserved",
            "create: composed",
            "store: write",
            "store: synchronise",
            "create: stored",
            "create: open",
        ],
    ),
    (
        "set",
        &[
            "set: checked",
            "store: write",
            "store: synchronise",
            "set: stored",
            "set: done",
        ],
    ),
    (
        "destroy",
        &[
            "destroy: marked",
            "store: write",
            "store: synchronise",
            "destroy: removed",
            "destroy: retired",
        ],
    ),
    (
        "define",
        &[
            "define: reserved",
            "store: write",
            "store: synchronise",
            "define: stored",
        ],
    ),
    (
        "keep",
        &["store: write", "store: synchronise", "define: kept"],
    ),
    (
        "start",
        &[
            "start: marked",
            "start: composed",
            "store: write",
            "store: synchronise",
            "start: stored",
            "start: open",
        ],
    ),
    (
        "stop",
        &[
            "stop: marked",
            "store: write",
            "store: synchronise",
            "stop: stored",
            "stop: retired",
        ],
    ),
    (
        "undefine",
        &[
            "undefine: marked",
            "store: write",
            "store: synchronise",
            "undefine: stored",
        ],
    ),
];

#[test]
fn a_kill_at_any_step_of_a_command_loses_nothing() {
    for (command, places) in PLACES {
        let (mut judge, home) = (Judge::default(), Home::new());
        let mut seen = Vec::new();
        while let Some(place) = home.step(&mut judge, command, seen.len() as u64 + 1) {
            seen.push(place);
            assert!(seen.len() < 200, "{command} never ends: {seen:?}");
        }
        println!("{command}: {seen:?}");
        let distinct: BTreeSet<_> = seen.iter().map(String::as_str).collect();
        for place in places {
            assert!(
                distinct.contains(place),
                "{command} was not killed at '{place}': {seen:?}"
            );
        }
    }
}

#[test]
fn a_kill_at_any_step_of_a_start_loses_nothing() {
    let (mut judge, home) = (Judge::default(), Home::new());
    // Of the first start of all, which makes the store.
    let mut first = Vec::new();
    loop {
        let home = Home::new();
        let Some(place) = home.step(&mut Judge::default(), "begin", first.len() as u64 + 1) else {
            break;
        };
        first.push(place);
        let after = home.live(&mut Judge::default(), 0, Moment::AfterReady(Duration::ZERO));
        assert!(after.ready, "killed at {first:?}");
    }
    println!("first start: {first:?}");
    assert!(
        first.contains(&"store: made".to_owned()) && first.contains(&"store: named".to_owned())
    );
    // Of one that finds a killed store with devices.
    home.live(
        &mut judge,
        1,
        Moment::AfterReady(Duration::from_millis(100)),
    );
    let killed = std::fs::read(home.file()).expect("a store");
    let mut later = Vec::new();
    while let Some(place) = home.step(&mut judge, "begin", later.len() as u64 + 1) {
        later.push(place);
        assert_eq!(
            home.step(&mut judge, "begin", 0),
            None,
            "one that is not killed"
        );
        std::fs::write(home.file(), &killed).expect("as it was");
    }
    println!("later start: {later:?}");
    assert!(later.len() > 5, "{later:?}");
    assert!(judge.counts().0 > 0, "there was something to lose");
}
