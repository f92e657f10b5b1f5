//! A disk that refuses: at any operation, once or for a while.

use std::io::ErrorKind;

use super::script::{Change, Dice, Model, change};
use super::*;

fn all(core: &Core<Recorder>) -> Model {
    core.all().expect("readable").into_iter().collect()
}

/// A store with something in it.
fn filled(dice: &mut Dice) -> (Recorder, Core<Recorder>, Model) {
    let (recorder, core) = recorded();
    let mut model = Model::new();
    for _ in 0..8 {
        let change = change(dice, 6);
        core.change(&change.key, change.value.clone())
            .expect("done");
        change.apply(&mut model);
    }
    (recorder, core, model)
}

/// Fails after `left` operations until healed; gives whether anything was refused by then.
fn refused(left: u64, kind: ErrorKind, seed: u64) -> bool {
    let mut dice = Dice(seed);
    let (recorder, core, mut model) = filled(&mut dice);
    recorder.fail_after(left, kind);
    let mut refused: Vec<Change> = Vec::new();
    for _ in 0..4 {
        let change = change(&mut dice, 6);
        match core.change(&change.key, change.value.clone()) {
            Ok(()) => change.apply(&mut model),
            Err(error) => {
                let said = error.to_string();
                let system = std::io::Error::from(kind).to_string();
                assert!(said.contains("the recorded file"), "{said}");
                assert!(said.contains(&system), "{said}");
                refused.push(change);
                // Killed while it cannot write, so that nothing could be taken back: whole, and no
                // more than one that was refused.
                let found = all(&Core::open(recorder.copy()).expect("a store"));
                let late = refused.iter().any(|change| {
                    let mut with = model.clone();
                    change.apply(&mut with);
                    found == with
                });
                assert!(found == model || late, "after {left} operations");
            }
        }
    }
    let was = recorder.heal();
    assert_eq!(all(&core), model, "after {left} operations");
    for _ in 0..4 {
        let change = change(&mut dice, 6);
        core.change(&change.key, change.value.clone())
            .expect("it works again");
        change.apply(&mut model);
    }
    assert_eq!(all(&core), model, "after {left} operations");
    drop(core);
    let again = Core::open(recorder.copy()).expect("a store");
    assert_eq!(all(&again), model, "after {left} operations");
    was
}

#[test]
fn what_a_disk_refused_leaves_no_trace_and_the_rest_goes_on() {
    let kinds = [
        ErrorKind::StorageFull,
        ErrorKind::ReadOnlyFilesystem,
        ErrorKind::Other,
    ];
    for kind in kinds {
        let mut left = 0;
        while refused(left, kind, left) {
            left += 1;
        }
        // Each of four changes writes and synchronises more than once.
        assert!(left > 12, "{left} operations");
    }
}

/// The way a refused change would come back: it stays on the disk, and the store is closed before the
/// disk works again. It is taken back as soon as anything can be written.
#[test]
fn a_refused_change_is_taken_back_when_the_store_is_closed() {
    let mut left = 0;
    loop {
        let (recorder, core, model) = filled(&mut Dice(3));
        recorder.fail_after(left, ErrorKind::StorageFull);
        let done = core.change(b"late", Some(vec![1; 300])).is_ok();
        recorder.heal();
        drop(core);
        if done {
            break;
        }
        let again = Core::open(recorder.copy()).expect("a store");
        assert_eq!(all(&again), model, "after {left} operations");
        left += 1;
    }
    assert!(left > 3, "{left}");
}

#[test]
fn what_can_only_be_read_is_served_and_can_be_changed_as_soon_as_it_can_be_written() {
    let (recorder, core, model) = filled(&mut Dice(5));
    // A clean file, and one that a kill left.
    let killed = recorder.copy();
    drop(core);
    for medium in [recorder.copy(), killed] {
        for kind in [ErrorKind::StorageFull, ErrorKind::ReadOnlyFilesystem] {
            let medium = medium.copy();
            medium.fail_after(0, kind);
            let core = Core::open(medium.clone()).expect("it can be read");
            assert_eq!(all(&core), model);
            let error = core
                .change(b"late", Some(vec![1]))
                .expect_err("refused")
                .to_string();
            assert!(error.contains("then repeat the command"), "{error}");
            assert_eq!(all(&core), model);
            assert!(medium.heal());
            core.change(b"late", Some(vec![1]))
                .expect("it can be written");
            assert_eq!(all(&core).len(), model.len() + 1);
        }
    }
}
