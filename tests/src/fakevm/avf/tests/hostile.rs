//! Lies are told, whatever becomes of them: the model only listens.

use std::collections::BTreeSet;

use super::*;
use crate::fakevm::avf::hostile::{Scenario, of_mail, of_rings, of_setup};
use crate::fakevm::avf::model::Seen;

fn told(scenarios: &[Scenario<Model>], rings: bool, mail: bool) -> BTreeSet<&'static str> {
    let mut names = BTreeSet::new();
    for scenario in scenarios {
        let mut vm = started(config(InterruptMode::Polling));
        (
            vm.client.behaviour.still_rings,
            vm.client.behaviour.still_mail,
        ) = (rings, mail);
        let before = vm.client.seen.len();
        let outcome = (scenario.play)(&mut vm);
        outcome.unwrap_or_else(|error| panic!("{scenario:?}: {error}"));
        let writes = vm.client.seen[before..].iter();
        let writes = writes
            .filter(|seen| matches!(seen, Seen::Write(..)))
            .count();
        assert!(writes > 0, "{scenario:?}");
        (
            vm.client.behaviour.still_rings,
            vm.client.behaviour.still_mail,
        ) = (false, false);
        vm.start().unwrap();
        assert!(names.insert(scenario.name), "{scenario:?} twice");
    }
    names
}

#[test]
fn all_lies_are_told_and_the_device_comes_up_again() {
    let rings = told(&of_rings(), true, false);
    let setup = told(&of_setup(), true, false);
    let mail = told(&of_mail(), false, true);
    let all: BTreeSet<_> = [&rings, &setup, &mail].into_iter().flatten().collect();
    assert_eq!(all.len(), rings.len() + setup.len() + mail.len());
}
