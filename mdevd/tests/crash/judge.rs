//! What may be found after a kill, name by name.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// Each name with every definition that it may have; `None`: it may be absent.
#[derive(Debug, Default)]
pub struct Judge {
    names: BTreeMap<String, Vec<Option<Value>>>,
    /// Changes on their way: a name, and what it would become.
    on_its_way: BTreeMap<String, Option<Value>>,
    acknowledged: u64,
    open: u64,
}

impl Judge {
    /// The store was asked to make `name` so.
    pub fn begun(&mut self, name: &str, becomes: Option<Value>) {
        self.on_its_way.insert(name.to_owned(), becomes);
    }

    /// What was on its way to `name` has these further attributes.
    pub fn chosen(&mut self, name: &str, attributes: &serde_json::Map<String, Value>) {
        if let Some(Some(Value::Object(becomes))) = self.on_its_way.get_mut(name) {
            becomes.extend(attributes.clone());
        }
    }

    /// A command on `name` succeeded: what it asked the store for, if anything, is so from here on.
    pub fn acknowledged(&mut self, name: &str) {
        self.acknowledged += 1;
        if let Some(becomes) = self.on_its_way.remove(name) {
            self.names.insert(name.to_owned(), vec![becomes]);
        }
    }

    /// A command on `name` was refused: nothing changed.
    pub fn refused(&mut self, name: &str) {
        self.on_its_way.remove(name);
    }

    /// The process was killed: what was on its way may have happened or not.
    pub fn killed(&mut self) {
        for (name, becomes) in std::mem::take(&mut self.on_its_way) {
            self.open += 1;
            let may = self.names.entry(name).or_insert_with(|| vec![None]);
            may.push(becomes);
        }
    }

    /// Everything that a start found. From here on it is settled: another start must find the same.
    pub fn found(&mut self, found: &BTreeMap<String, Value>) {
        let all: BTreeSet<_> = self.names.keys().chain(found.keys()).cloned().collect();
        for name in all {
            let is = found.get(&name).cloned();
            let may = self.names.get(&name).cloned().unwrap_or_else(|| vec![None]);
            let fits = may.iter().any(|may| fits(may.as_ref(), is.as_ref()));
            assert!(fits, "'{name}' is {is:#?}\nand may be {may:#?}");
            self.names.insert(name, vec![is]);
        }
    }

    /// Commands that were acknowledged, and commands that a kill left open.
    pub fn counts(&self) -> (u64, u64) {
        (self.acknowledged, self.open)
    }
}

/// Whether all that is known is so.
fn fits(known: Option<&Value>, is: Option<&Value>) -> bool {
    match (known, is) {
        (Some(Value::Object(known)), Some(is)) => {
            known.iter().all(|(key, known)| is[key] == *known)
        }
        (known, is) => known == is,
    }
}

#[test]
fn losses_traces_and_changed_definitions_are_seen() {
    use serde_json::json;
    let seen = |found: &[(&str, Value)], judge: fn(&mut Judge)| {
        let found: BTreeMap<_, _> = found
            .iter()
            .map(|(name, is)| ((*name).to_owned(), is.clone()))
            .collect();
        let caught = std::panic::catch_unwind(|| {
            let mut fresh = Judge::default();
            judge(&mut fresh);
            fresh.killed();
            fresh.found(&found);
        });
        caught.is_err()
    };
    let made: fn(&mut Judge) = |judge| {
        judge.begun("a", Some(json!(1)));
        judge.acknowledged("a");
    };
    let making: fn(&mut Judge) = |judge| judge.begun("a", Some(json!(1)));
    let refused: fn(&mut Judge) = |judge| {
        judge.begun("a", Some(json!(1)));
        judge.refused("a");
    };
    assert!(!seen(&[("a", json!(1))], made));
    assert!(seen(&[], made), "lost");
    assert!(seen(&[("a", json!(2))], made), "changed");
    assert!(seen(&[("a", json!(1)), ("b", json!(1))], made), "a trace");
    assert!(!seen(&[], making) && !seen(&[("a", json!(1))], making));
    assert!(seen(&[("a", json!(2))], making), "half");
    assert!(seen(&[("a", json!(1))], refused), "a trace");
    let whole: fn(&mut Judge) = |judge| {
        judge.begun("a", Some(json!({ "mtu": 1500, "vlan": null })));
        judge.chosen(
            "a",
            json!({ "mac": "02::1" }).as_object().expect("an object"),
        );
        judge.acknowledged("a");
    };
    assert!(!seen(
        &[("a", json!({ "mtu": 1500, "mac": "02::1", "uuid": 1 }))],
        whole
    ));
    assert!(
        seen(&[("a", json!({ "mtu": 1500, "mac": "02::2" }))], whole),
        "another MAC"
    );
    assert!(
        seen(
            &[("a", json!({ "mtu": 1500, "mac": "02::1", "vlan": 3 }))],
            whole
        ),
        "a VLAN"
    );
}
