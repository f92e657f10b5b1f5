//! The signal handler is one more thread, the address space a row of numbers.

use std::sync::Arc;

use loom::thread;

use super::*;
use crate::sync::{check, without_fences};

/// Start and length of the mapping that is touched.
const OURS: (usize, usize) = (10, 2);
/// In the slot before it, one after the other: the start of the first with the length of the second
/// reaches over ours.
const THEIRS: [(usize, usize); 2] = [(8, 2), (4, 5)];

type Slots = Table<Vec<Slot>>;

fn table() -> Slots {
    Table::new((0..2).map(|_| Slot::new()).collect())
}

fn enter(table: &Slots, (start, len): (usize, usize)) -> usize {
    table.enter((start, len), None, || {}).expect("room")
}

/// What `contain` has replaced is `expected`, and nothing else.
fn expect(expected: (usize, usize)) -> impl Fn(usize, usize) -> bool {
    move |start, len| {
        assert_eq!((start, len), expected, "somebody else's memory");
        true
    }
}

/// Somebody touches our mapping while another's slot gets a new owner.
fn touched(handler: fn(&Slots)) {
    check(move || {
        let table = Arc::new(table());
        let theirs = enter(&table, THEIRS[0]);
        let ours = enter(&table, OURS);
        let at = Arc::clone(&table);
        let worker = thread::spawn(move || {
            handler(&at);
            assert!(at.faulted(ours) && at.faults() == 1, "not contained");
        });
        table.leave(theirs);
        let theirs = enter(&table, THEIRS[1]);
        worker.join().expect("worker");
        assert!(!table.faulted(theirs) && table.faulted(ours));
    });
}

fn contain(table: &Slots) {
    let contained = table.contain(OURS.0 + 1, expect(OURS), |_| {});
    assert!(contained, "not contained");
}

#[test]
fn the_handler_replaces_what_was_touched() {
    touched(contain);
}

#[test]
#[should_panic = "somebody else's memory"]
fn the_model_sees_the_fences_missing() {
    without_fences(|| touched(contain));
}

#[test]
#[should_panic = "somebody else's memory"]
fn the_model_sees_a_second_look_left_out() {
    touched(|table| {
        let slot = &table.slots[0];
        let is_stable = slot.version.load(Ordering::Acquire).is_multiple_of(2);
        let start = slot.start.load(Ordering::Relaxed);
        let len = slot.len.load(Ordering::Relaxed);
        if is_stable && (start..start + len).contains(&(OURS.0 + 1)) {
            expect(OURS)(start, len);
        }
        contain(table);
    });
}

/// A mapping goes and another comes to where it was, which is touched. The kernel orders the two.
fn followed(go: fn(&Slots, usize, &Mutex<bool>)) {
    check(move || {
        let (table, taken) = (Arc::new(table()), Arc::new(Mutex::new(true)));
        let first = enter(&table, OURS);
        let (at, place) = (Arc::clone(&table), Arc::clone(&taken));
        let next = (OURS.0, OURS.1 + 1);
        let worker = thread::spawn(move || {
            let is_free = !std::mem::replace(&mut *place.lock(), true);
            if is_free {
                let slot = enter(&at, next);
                let contained = at.contain(next.0, expect(next), |_| {});
                assert!(contained, "not contained");
                assert!(at.faulted(slot));
            }
        });
        go(&table, first, &taken);
        worker.join().expect("worker");
    });
}

#[test]
fn an_entry_goes_before_its_mapping() {
    followed(|table, slot, taken| {
        table.leave(slot);
        *taken.lock() = false;
    });
}

#[test]
#[should_panic = "somebody else's memory"]
fn the_model_sees_an_entry_that_goes_too_late() {
    followed(|table, slot, taken| {
        *taken.lock() = false;
        table.leave(slot);
    });
}
