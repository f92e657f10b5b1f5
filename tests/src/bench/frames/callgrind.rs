//! Instructions that mdevd executes for a frame, counted by valgrind's callgrind: `callgrind-*`.
//!
//! A count does not depend on who else uses the machine. The daemon itself runs under valgrind,
//! the guests do not, so its rings are always full; the difference of a long and a short run
//! leaves out everything that is not for frames. Doorbells are trapped: a worker that looks at
//! pages looks on when there is nothing, and that would be counted, too.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tempfile::TempDir;

use super::direction::Direction;
use super::traffic::{Guests, collect, introduce};
use super::{Size, Workload};
use crate::artifacts::{self, Programs};
use crate::bench::family::{Family, Outcome, Run};
use crate::bench::limits::COUNTED;
use crate::bench::peers::mdevd::Mdevd;
use crate::bench::peers::{Contender, Frames, Peer, Shape};
use crate::bench::row::{Row, Side, Spec};
use crate::{host, ui};

const UNIT: &str = "instructions per frame";
const SIZES: [usize; 2] = [64, 1518];
/// Rounds at most: a count is steady.
const ROUNDS: u32 = 2;

/// The family.
#[derive(Debug)]
pub struct Callgrind;

fn spec(bytes: usize) -> Spec {
    Spec::informative(format!("callgrind-{bytes}B"), UNIT)
}

impl Family for Callgrind {
    fn prefix(&self) -> &'static str {
        "callgrind"
    }

    fn rows(&self) -> Vec<Spec> {
        SIZES.map(spec).into()
    }

    fn measure(&self, run: &Run, wanted: &[Spec]) -> Result<Outcome> {
        if host::find_program("valgrind").is_none() {
            host::ensure_packages(&["valgrind"])?;
        }
        let programs = artifacts::programs()?;
        let mut outcome = Outcome::default();
        for bytes in SIZES
            .into_iter()
            .filter(|bytes| wanted.contains(&spec(*bytes)))
        {
            let mut counts = Vec::new();
            for round in 0..run.repetitions.min(ROUNDS) {
                let step = format!("instructions of {bytes} B, {}", round + 1);
                let step = ui::Step::begin(step);
                let [short, long] = COUNTED;
                let short = count(run, &programs, bytes, short)?;
                let long = count(run, &programs, bytes, long)?;
                let instructions = long.0.saturating_sub(short.0) as f64;
                counts.push(instructions / long.1.saturating_sub(short.1).max(1) as f64);
                step.done();
            }
            let ours = Side::new(Peer::MdevdTrapped.name(), counts).context("no round at all")?;
            outcome.rows.push(Row::new(spec(bytes), ours, None));
        }
        Ok(outcome)
    }
}

/// Forwards about `frames` frames; instructions of the whole daemon, and frames.
fn count(run: &Run, programs: &Programs, bytes: usize, frames: u64) -> Result<(u64, u64)> {
    let dir = TempDir::with_prefix("mdevd-bench-").context("make a directory")?;
    let counted = Programs {
        mdevd: wrap(dir.path(), &programs.mdevd)?,
        cvfctl: programs.cvfctl.clone(),
    };
    let contender = Mdevd::with(Peer::MdevdTrapped, run.cores, counted);
    let mut rig = contender.start(Shape::polling(Frames::Plain, run))?;
    let workload = Workload {
        size: Size::Wire(bytes),
        both_ways: true,
    };
    let received = forward(Guests::of(&mut rig, 0, run.cores), workload, frames)?;
    rig.stop()?;
    Ok((instructions(dir.path())?, received))
}

/// A program that is `mdevd` under callgrind.
fn wrap(dir: &Path, mdevd: &Path) -> Result<PathBuf> {
    let path = dir.join("mdevd");
    let script = format!(
        "#!/bin/sh\nexec valgrind --quiet --tool=callgrind --callgrind-out-file='{}/counts.%p' '{}' \"$@\"\n",
        dir.display(),
        mdevd.display()
    );
    std::fs::write(&path, script).context("write a script")?;
    let mode = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(&path, mode).context("make a script a program")?;
    Ok(path)
}

/// The instructions that callgrind has written down in `dir`.
fn instructions(dir: &Path) -> Result<u64> {
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.file_stem().is_some_and(|stem| stem == "counts") {
            let text = std::fs::read_to_string(&path)?;
            return total(&text).with_context(|| format!("no total in {}", path.display()));
        }
    }
    anyhow::bail!("callgrind has written nothing; does valgrind run this build?")
}

fn total(text: &str) -> Option<u64> {
    let line = |name: &str| text.lines().find_map(|line| line.strip_prefix(name));
    let figures = line("totals:").or_else(|| line("summary:"))?;
    figures.split_whitespace().next()?.parse().ok()
}

/// Sends about `frames` frames, both ways together; how many came.
fn forward(guests: Guests<'_>, workload: Workload, frames: u64) -> Result<u64> {
    let Guests {
        first,
        second,
        macs,
        ..
    } = guests;
    introduce(first, second, macs)?;
    let load = |to: usize, from: usize| workload.load(macs[to], macs[from]);
    let mut forth = Direction::new(first, load(1, 0), 2);
    let mut back = Direction::new(second, load(0, 1), 3);
    while forth.sent + back.sent < frames {
        forth.send(first)?;
        back.receive(first)?;
        back.send(second)?;
        forth.receive(second)?;
    }
    collect(first, second, &mut forth, &mut back)?;
    Ok(forth.received + back.received)
}

#[cfg(test)]
mod tests {
    #[test]
    fn totals_are_found_in_what_callgrind_writes() {
        let text = "version: 1\nevents: Ir\nsummary: 7\n\nfn=x\n1 2\ntotals: 123456\n";
        assert_eq!(super::total(text), Some(123_456));
        assert_eq!(super::total("summary: 7 8\n"), Some(7));
        assert_eq!(super::total("fn=x"), None);
    }
}
