//! Power cuts at every write: what was acknowledged is there, what was not is there whole or not at all.

use super::images::{Disk, Fate};
use super::recorder::{Op, Recorder};
use super::script::{Change, Dice, Model, change};
use super::*;

/// How many runs, each with a seed of its own.
const RUNS: &str = "MDEVD_TORN_RUNS";
/// The first seed.
const SEED: &str = "MDEVD_SEED";
const CHANGES: usize = 24;
/// Images of each random sort, per write.
const IMAGES: usize = 2;

fn number(variable: &str, default: u64) -> u64 {
    let given = std::env::var(variable).ok();
    given.map_or(default, |text| text.parse().expect(variable))
}

/// What was written, and what had been acknowledged when.
struct Run {
    base: Vec<u8>,
    ops: Vec<Op>,
    /// Operations there were when the model became this; ascending.
    acknowledged: Vec<(usize, Model)>,
}

impl Run {
    /// Changes from a seed; in the middle the store is closed and opened.
    fn record(seed: u64) -> Self {
        let mut dice = Dice(seed);
        let recorder = Recorder::made();
        let base = recorder.base();
        let mut core = Some(Core::open(recorder.clone()).expect("a store"));
        let mut model = Model::new();
        let mut acknowledged = vec![(0, model.clone())];
        for n in 0..CHANGES {
            if n == CHANGES / 2 {
                drop(core.take());
                core = Some(Core::open(recorder.clone()).expect("a store"));
            }
            let Change { key, value } = &change(&mut dice, 6);
            let core = core.as_ref().expect("open");
            core.change(key, value.clone()).expect("done");
            Change {
                key: key.clone(),
                value: value.clone(),
            }
            .apply(&mut model);
            acknowledged.push((recorder.len(), model.clone()));
        }
        drop(core);
        Self {
            base,
            ops: recorder.ops(),
            acknowledged,
        }
    }

    /// What may be found after the first `done` operations: what was acknowledged, with or without
    /// what was on its way.
    fn allowed(&self, done: usize) -> &[(usize, Model)] {
        let after = self.acknowledged.partition_point(|(at, _)| *at <= done);
        &self.acknowledged[after - 1..self.acknowledged.len().min(after + 1)]
    }
}

/// Opens an image as a start would, and says what is in it.
fn found(image: Vec<u8>) -> Result<(Recorder, Core<Recorder>, Model), String> {
    let recorder = Recorder::of(image);
    let core = Core::open(recorder.clone()).map_err(|error| error.to_string())?;
    let all = core.all().map_err(|error| error.to_string())?;
    Ok((recorder, core, all.into_iter().collect()))
}

fn judge(
    image: Vec<u8>,
    allowed: &[(usize, Model)],
    place: &str,
) -> (Recorder, Core<Recorder>, Model) {
    let (recorder, core, model) = found(image).unwrap_or_else(|why| panic!("{place}: {why}"));
    let fine = allowed.iter().any(|(_, allowed)| *allowed == model);
    let names = |model: &Model| {
        let names = model
            .iter()
            .map(|(key, value)| (String::from_utf8_lossy(key).into_owned(), value.len()));
        names.collect::<Vec<_>>()
    };
    let wanted: Vec<_> = allowed.iter().map(|(_, model)| names(model)).collect();
    assert!(
        fine,
        "{place}: found {:?}, allowed {wanted:?}",
        names(&model)
    );
    (recorder, core, model)
}

#[test]
fn a_power_cut_at_any_write_loses_nothing_acknowledged_and_leaves_nothing_half() {
    let first = number(SEED, 1);
    let mut images = 0;
    for seed in first..first + number(RUNS, 2) {
        println!("seed {seed}");
        let run = Run::record(seed);
        let mut dice = Dice(seed ^ 0xd15c);
        let mut disk = Disk::new(run.base.clone());
        for (n, op) in run.ops.iter().enumerate() {
            disk.take(op);
            let allowed = run.allowed(n + 1);
            let mut fates = vec![Fate::Kept];
            if disk.at_risk() {
                fates.push(Fate::Dropped);
                fates.extend([Fate::Some, Fate::Torn].repeat(IMAGES));
            }
            for fate in fates {
                let place = format!("seed {seed}, operation {n}, {fate:?}");
                let (recorder, core, model) = judge(disk.cut(fate, &mut dice), allowed, &place);
                images += 1;
                if dice.below(16) == 0 {
                    cut_again(&recorder, core, &model, &mut dice, &place);
                }
            }
        }
    }
    println!("{images} images");
    assert!(images > 500, "{images}");
}

/// Another power cut, while the store is repaired and while it goes on: what was found once stays.
fn cut_again(
    recorder: &Recorder,
    core: Core<Recorder>,
    model: &Model,
    dice: &mut Dice,
    place: &str,
) {
    let base = recorder.base();
    let opened = recorder.len();
    let next = Change {
        key: b"next".to_vec(),
        value: Some(vec![9; 400]),
    };
    core.change(&next.key, next.value.clone())
        .expect("it goes on");
    let done = recorder.len();
    let mut after = model.clone();
    next.apply(&mut after);
    drop(core);
    let (before, both) = (
        [(0, model.clone())],
        [(0, model.clone()), (0, after.clone())],
    );
    let after = [(0, after)];
    let mut disk = Disk::new(base);
    for (n, op) in recorder.ops().iter().enumerate() {
        disk.take(op);
        let allowed = match n + 1 {
            n if n <= opened => &before[..],
            n if n < done => &both[..],
            _ => &after[..],
        };
        for fate in [Fate::Kept, Fate::Dropped, Fate::Torn] {
            let again = format!("{place}, again at {n}, {fate:?}");
            judge(disk.cut(fate, dice), allowed, &again);
        }
    }
}

/// The harness can fail: with every synchronisation ignored, something is lost.
#[test]
fn a_store_that_did_not_synchronise_would_be_found_out() {
    let run = Run::record(7);
    let mut dice = Dice(7);
    let mut disk = Disk::new(run.base.clone());
    let mut lost = 0;
    for (n, op) in run.ops.iter().enumerate() {
        if !matches!(op, Op::Sync) {
            disk.take(op);
        }
        if n % 8 != 0 {
            continue;
        }
        let allowed = run.allowed(n + 1);
        for fate in [Fate::Dropped, Fate::Torn] {
            let good = found(disk.cut(fate, &mut dice))
                .is_ok_and(|(_, _, model)| allowed.iter().any(|(_, allowed)| *allowed == model));
            lost += u32::from(!good);
        }
    }
    assert!(lost > 10, "{lost}");
}
