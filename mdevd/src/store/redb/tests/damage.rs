//! A file that is not what was written.

use super::super::medium::Medium;
use super::script::{Dice, Model, change};
use super::*;

/// A closed store with definitions, some replaced and some gone.
fn closed() -> (Vec<u8>, Model) {
    let (recorder, core) = recorded();
    let (mut dice, mut model) = (Dice(11), Model::new());
    for _ in 0..200 {
        let change = change(&mut dice, 60);
        core.change(&change.key, change.value.clone())
            .expect("done");
        change.apply(&mut model);
    }
    drop(core);
    (Medium::bytes(&recorder).expect("bytes"), model)
}

/// Refused, or as good as new. Gives whether it was refused.
fn refused(bytes: Vec<u8>, model: &Model, place: &str) -> bool {
    let recorder = Recorder::of(bytes);
    match Core::open(recorder.clone()) {
        Ok(core) => {
            let found: Model = core.all().expect("readable").into_iter().collect();
            assert!(
                found == *model,
                "{place}: {} of {} are there",
                found.len(),
                model.len()
            );
            core.change(b"next", Some(vec![1])).expect("it goes on");
            false
        }
        Err(error) => {
            assert!(
                matches!(error, StoreError::Damaged { .. }),
                "{place}: {error}"
            );
            assert_eq!(recorder.len(), 0, "{place}: it was written to");
            true
        }
    }
}

#[test]
fn flipped_bits_are_found_or_harmless() {
    let (bytes, model) = closed();
    assert!(!refused(bytes.clone(), &model, "as it was"));
    let used: Vec<_> = (0..bytes.len()).filter(|at| bytes[*at] != 0).collect();
    let mut dice = Dice(12);
    let header = (0..320).flat_map(|at| (0..8).map(move |bit| (at, bit)));
    let anywhere = (0..1500).map(|_| {
        let at = dice.below(used.len() as u64);
        (used[usize::try_from(at).expect("fits")], dice.below(8))
    });
    let (mut found, mut harmless) = (0, 0);
    for (at, bit) in header.chain(anywhere.collect::<Vec<_>>()) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1 << bit;
        match refused(damaged, &model, &format!("byte {at}, bit {bit}")) {
            true => found += 1,
            false => harmless += 1,
        }
    }
    println!("{found} found, {harmless} harmless");
    assert!(
        found > 300 && harmless > 0,
        "{found} found, {harmless} harmless"
    );
}

#[test]
fn a_file_cut_short_or_overwritten_is_refused() {
    let (bytes, model) = closed();
    let mut dice = Dice(13);
    let len = bytes.len() as u64;
    let cuts = [0, 1, 100, 320, 4096, len - 1].into_iter();
    for cut in cuts.chain((0..200).map(|_| dice.below(len))) {
        let cut = usize::try_from(cut).expect("fits");
        assert!(refused(
            bytes[..cut].to_vec(),
            &model,
            &format!("{cut} bytes")
        ));
    }
    for _ in 0..200 {
        let mut damaged = bytes.clone();
        let at = usize::try_from(dice.below(len / 4096)).expect("fits") * 4096;
        for byte in &mut damaged[at..at + 4096] {
            *byte = dice.roll().to_le_bytes()[0];
        }
        refused(damaged, &model, &format!("the page at {at}"));
    }
    assert!(refused(b"gibberish".repeat(1000), &model, "gibberish"));
}

#[test]
fn a_damaged_file_is_named_with_the_reason_and_what_to_do_and_left_alone() {
    let dir = tempfile::tempdir().expect("a directory");
    drop(RedbStore::open(dir.path()).expect("a store"));
    let path = file(dir.path());
    let whole = std::fs::read(&path).expect("read");
    let mut damaged = whole.clone();
    damaged.truncate(whole.len() / 2);
    std::fs::write(&path, &damaged).expect("write");
    let error = RedbStore::open(dir.path())
        .expect_err("damaged")
        .to_string();
    for part in [
        &*path.display().to_string(),
        "is damaged",
        "truncated",
        "backup",
    ] {
        assert!(error.contains(part), "{error}");
    }
    assert!(
        std::fs::read(&path).expect("read") == damaged,
        "it was changed"
    );
    std::fs::write(&path, whole).expect("the backup");
    RedbStore::open(dir.path()).expect("the backup is good");
}
