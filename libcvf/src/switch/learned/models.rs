//! One set of the table, six entries. Readers are the threads that are spawned: a writer that looks before it
//! writes hides from the model checker whoever has looked before it.

use std::sync::Arc;

use loom::thread;

use super::*;
use crate::sync::{check, without_fences};

const NOW: u32 = 1000;
const A: PortId = PortId(0);
const B: PortId = PortId(1);

/// The `n`th of keys that fall into the set.
fn key(n: u64) -> u64 {
    n << SET_BITS
}

/// Nothing is known, and every age is too old at [`NOW`].
fn table() -> Learned {
    let port = |_| PortUse {
        entries: AtomicU32::new(0),
        uplink: AtomicBool::new(true),
        rate: AtomicU64::new(0),
    };
    Learned {
        sets: Box::new([Set {
            entries: array::from_fn(|_| AtomicU64::new(0)),
            seen: array::from_fn(|_| AtomicU16::new(0)),
        }]),
        ports: (0..2).map(port).collect(),
        behind_cvfs: AtomicU32::new(0),
        generation: AtomicU64::new(0),
    }
}

/// A table whose only entry that may be replaced at [`NOW`] is the first: `key(1)` behind `A`.
fn full_table() -> Learned {
    let learned = table();
    for n in 1..=WAYS as u64 {
        let at = if n == 1 { 0 } else { NOW };
        learned.learn(key(n), A, at, |_| Permit::Yes);
    }
    learned
}

fn held(learned: &Learned, port: PortId) -> u32 {
    let words = learned.sets[0].entries.iter();
    words
        .filter(|word| port_of(word.load(Relaxed)) == port)
        .count() as u32
}

/// Whoever sees an entry does not take its age from the one before.
fn age_of_what_is_seen() {
    check(|| {
        let learned = Arc::new(table());
        let at = Arc::clone(&learned);
        let reader = thread::spawn(move || {
            let is_seen = at.sets[0].entries[0].load(Relaxed) == entry(key(1), A);
            let answer = at.lookup(key(1), NOW);
            assert!(!is_seen || answer == Some(A), "an older entry's age");
        });
        learned.learn(key(1), A, NOW, |_| Permit::Yes);
        reader.join().expect("reader");
        assert_eq!(learned.lookup(key(1), NOW), Some(A));
    });
}

#[test]
fn an_entry_never_shows_with_an_older_ones_age() {
    age_of_what_is_seen();
}

#[test]
#[should_panic = "an older entry's age"]
fn the_model_sees_the_fence_missing() {
    without_fences(age_of_what_is_seen);
}

/// One address takes another's place, while somebody whose clock is behind asks for both.
fn replaced(lookup: fn(&Learned, u64) -> Option<PortId>) {
    check(move || {
        let learned = Arc::new(full_table());
        let at = Arc::clone(&learned);
        let reader = thread::spawn(move || {
            let (old, new) = (lookup(&at, key(1)), lookup(&at, key(9)));
            assert!(old != Some(B) && new != Some(A), "another address's port");
        });
        learned.learn(key(9), B, NOW, |_| Permit::Yes);
        reader.join().expect("reader");
        assert_eq!(learned.lookup(key(9), NOW), Some(B));
    });
}

#[test]
fn no_answer_is_of_two_entries() {
    replaced(|learned, key| learned.lookup(key, 0));
}

#[test]
#[should_panic = "another address's port"]
fn the_model_sees_an_entry_that_is_read_twice() {
    replaced(|learned, key| {
        let mut words = learned.sets[0].entries.iter();
        let word = words.find(|word| word.load(Relaxed) >> PORT_BITS == key >> SET_BITS)?;
        Some(port_of(word.load(Relaxed)))
    });
}

/// Two learn into one place, and one of the two is told to forget.
fn counted(forget: fn(&Learned, u64)) {
    check(move || {
        let learned = Arc::new(full_table());
        let (one, two) = (Arc::clone(&learned), Arc::clone(&learned));
        let workers = [
            thread::spawn(move || one.learn(key(9), B, NOW, |_| Permit::Yes)),
            thread::spawn(move || forget(&two, key(1))),
        ];
        forget(&learned, key(1));
        for worker in workers {
            worker.join().expect("worker");
        }
        for port in [A, B] {
            assert_eq!(learned.count(port), held(&learned, port), "miscounted");
        }
    });
}

#[test]
fn ports_are_counted_what_they_hold() {
    counted(Learned::forget);
}

#[test]
#[should_panic = "miscounted"]
fn the_model_sees_a_store_where_an_exchange_is_needed() {
    counted(|learned, key| {
        for word in &learned.sets[0].entries {
            let value = word.load(Relaxed);
            if value != 0 && value >> PORT_BITS == key >> SET_BITS {
                word.store(0, Release);
                learned.release(port_of(value));
            }
        }
    });
}

/// Whoever remembers an answer compares generations: behind a new one is the new answer.
fn told(learn: fn(&Learned)) {
    check(move || {
        let learned = Arc::new(table());
        let at = Arc::clone(&learned);
        let reader = thread::spawn(move || {
            let generation = at.generation();
            let answer = at.lookup(key(1), NOW);
            assert!(generation == 0 || answer == Some(A), "an answer of before");
        });
        learn(&learned);
        reader.join().expect("reader");
        assert_eq!(learned.generation(), 1);
    });
}

#[test]
fn behind_a_new_generation_is_the_new_answer() {
    told(|learned| learned.learn(key(1), A, NOW, |_| Permit::Yes));
}

#[test]
#[should_panic = "an answer of before"]
fn the_model_sees_a_generation_that_comes_too_early() {
    told(|learned| {
        learned.changed();
        learned.sets[0].seen[0].store(NOW as u16, Relaxed);
        learned.sets[0].entries[0].store(entry(key(1), A), Release);
    });
}
