//! The whole daemon, killed: under load from clients of its bus, and at every step of its life.

mod clients;
mod life;

use std::time::Duration;

use super::dice::Dice;
use super::judge::Judge;
use super::support::House;
use super::{number, seed};
use life::{Life, look};

/// A client has this many names of its own.
const CLIENTS: u64 = 4;

#[test]
fn random_kills_of_the_daemon_lose_nothing() {
    let kills = number("MDEVD_DAEMON_KILLS", 30);
    let (mut dice, mut judge, house) = (Dice(seed()), Judge::default(), House::new());
    for _ in 0..kills {
        let after = Duration::from_micros(dice.below(60_000));
        let life = Life::start(&house, 0).unwrap_or_else(|died| panic!("{died}"));
        life.judge_found(&mut judge);
        clients::work(&house, &mut judge, dice.roll(), after, || life.kill());
        judge.killed();
    }
    let life = Life::start(&house, 0).unwrap_or_else(|died| panic!("{died}"));
    life.judge_found(&mut judge);
    life.kill();
    let (acknowledged, open) = judge.counts();
    println!("{kills} kills; {acknowledged} commands acknowledged, {open} left open");
    assert!(acknowledged > kills, "it was killed under load");
}

/// From the first write of a start, which finds what a kill left, to the last one of an orderly stop;
/// create, set and destroy are in between.
#[test]
fn a_kill_at_any_step_of_the_daemons_life_loses_nothing() {
    let (mut judge, house, mut places) = (Judge::default(), House::new(), Vec::new());
    loop {
        let life = Life::start(&house, 0).unwrap_or_else(|died| panic!("{died}"));
        life.judge_found(&mut judge);
        clients::prepare(&house, &mut judge);
        life.kill();
        judge.killed();
        let nth = places.len() as u64 + 1;
        assert!(nth < 400, "it never ends: {places:?}");
        let died = match Life::start(&house, nth) {
            Err(died) => Some(died),
            Ok(life) => {
                life.judge_found(&mut judge);
                clients::one_of_each(&house, &mut judge, nth);
                life.end()
            }
        };
        judge.killed();
        match died {
            Some(place) => places.push(place),
            None => break,
        }
    }
    println!("{} steps: {places:?}", places.len());
    let expected = [
        "create: reserved",
        "create: composed",
        "create: stored",
        "set: done",
        "destroy: marked",
        "destroy: removed",
        "destroy: retired",
        "define: reserved",
        "define: stored",
        "start: composed",
        "start: stored",
        "stop: marked",
        "stop: stored",
    ];
    // Steps are counted, and the store's writes are not as many every time: one may be passed over.
    let missed = expected
        .iter()
        .filter(|place| !places.iter().any(|seen| seen == **place));
    let missed: Vec<_> = missed.collect();
    assert!(missed.len() <= 1, "not killed at {missed:?}: {places:?}");
    assert_eq!(
        places.last().map(String::as_str),
        Some("store: synchronise"),
        "the stop's"
    );
}
