//! Instructions that the engine executes for a frame, counted by valgrind's callgrind: `callgrind-*`.
//!
//! A count does not depend on who else uses the machine. The engine runs in a process of its own, in one
//! thread with the driver, and only its bursts are counted (see [`super::inside`]): the same program
//! gives the same count every time. A long run less a short one leaves out the first bursts, which
//! find out where everything is.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use super::inside::{self, InsideArgs};
use crate::bench::family::{Family, Outcome, Run};
use crate::bench::limits::COUNTED_BURSTS;
use crate::bench::row::{Row, Side, Spec};
use crate::{host, ui};

const UNIT: &str = "instructions per frame";
/// Counts that are compared: they are all the same.
const ROUNDS: u32 = 2;

/// What is sent, without how often.
const fn load(size: u16, burst: u16) -> InsideArgs {
    InsideArgs {
        size,
        burst,
        bursts: 0,
        packed: false,
        v6: false,
        held: false,
        rates: false,
        neighbours: false,
        steered: false,
        translated: false,
    }
}

const fn packed(load: InsideArgs) -> InsideArgs {
    InsideArgs {
        packed: true,
        ..load
    }
}

const fn held(load: InsideArgs) -> InsideArgs {
    InsideArgs { held: true, ..load }
}

const fn rates(load: InsideArgs) -> InsideArgs {
    InsideArgs {
        rates: true,
        ..load
    }
}

const fn v6(burst: u16, neighbours: bool) -> InsideArgs {
    InsideArgs {
        v6: true,
        neighbours,
        ..load(78, burst)
    }
}

const fn steered(load: InsideArgs) -> InsideArgs {
    InsideArgs {
        steered: true,
        ..load
    }
}

const fn translated(size: u16) -> InsideArgs {
    InsideArgs {
        translated: true,
        ..load(size, 32)
    }
}

/// Which of what the engine does is counted.
#[derive(Clone, Copy)]
enum Part {
    /// A burst that it takes from the sender's ring.
    Sent,
    /// One that has come in by hardware.
    CameIn,
}

use Part::{CameIn, Sent};

/// Name behind the prefix, what it is about, and what of it is counted.
const LOADS: [(&str, InsideArgs, Part); 19] = [
    ("64B", load(64, 32), Sent),
    ("64B-alone", load(64, 1), Sent),
    ("1518B", load(1518, 32), Sent),
    ("64B-packed", packed(load(64, 32)), Sent),
    ("64B-alone-packed", packed(load(64, 1)), Sent),
    ("64B-held", held(load(64, 32)), Sent),
    ("64B-alone-held", held(load(64, 1)), Sent),
    ("64B-rates", rates(load(64, 32)), Sent),
    ("64B-alone-rates", rates(load(64, 1)), Sent),
    ("78B-v6", v6(32, false), Sent),
    ("78B-v6-nd", v6(32, true), Sent),
    ("78B-v6-steered", steered(v6(32, false)), Sent),
    ("78B-alone-v6", v6(1, false), Sent),
    ("78B-alone-v6-nd", v6(1, true), Sent),
    ("78B-alone-v6-steered", steered(v6(1, false)), Sent),
    ("64B-translated-out", translated(64), Sent),
    ("64B-translated-in", translated(64), CameIn),
    ("1518B-translated-out", translated(1518), Sent),
    ("1518B-translated-in", translated(1518), CameIn),
];

/// The family.
#[derive(Debug)]
pub struct Callgrind;

fn spec(name: &str) -> Spec {
    Spec::informative(format!("callgrind-{name}"), UNIT)
}

impl Family for Callgrind {
    fn prefix(&self) -> &'static str {
        "callgrind"
    }

    fn rows(&self) -> Vec<Spec> {
        LOADS.map(|(name, ..)| spec(name)).into()
    }

    fn measure(&self, run: &Run, wanted: &[Spec]) -> Result<Outcome> {
        if host::find_program("valgrind").is_none() {
            host::ensure_packages(&["valgrind"])?;
        }
        let mut outcome = Outcome::default();
        for (name, load, part) in LOADS {
            if !wanted.contains(&spec(name)) {
                continue;
            }
            let mut counts = Vec::new();
            for round in 0..run.repetitions.min(ROUNDS) {
                let step = ui::Step::begin(format!("instructions of {name}, {}", round + 1));
                let [short, long] = COUNTED_BURSTS.map(|bursts| InsideArgs { bursts, ..load });
                let more = count(long, part)?.saturating_sub(count(short, part)?);
                let frames = u64::from(long.bursts - short.bursts) * u64::from(load.burst);
                counts.push(more as f64 / frames as f64);
                step.done();
            }
            ensure!(
                counts.windows(2).all(|two| same(two[0], two[1])),
                "the same program took {counts:?} instructions per frame"
            );
            let ours = Side::new("mdevd-engine", counts).context("no round at all")?;
            outcome.rows.push(Row::new(spec(name), ours, None));
        }
        Ok(outcome)
    }
}

/// The same, but for what depends on where memory happens to lie: a few instructions in a million.
fn same(one: f64, other: f64) -> bool {
    (one - other).abs() <= one * 1e-5
}

/// Instructions of all bursts.
fn count(args: InsideArgs, part: Part) -> Result<u64> {
    let counted = match part {
        Sent => inside::COUNTED,
        CameIn => inside::COUNTED_LANE,
    };
    let dir = TempDir::with_prefix("mdevd-bench-").context("make a directory")?;
    let counts = dir.path().join("counts");
    let program = std::env::current_exe().context("find this program")?;
    let mut command = Command::new("valgrind");
    command
        .args(["--quiet", "--tool=callgrind"])
        .arg(format!("--toggle-collect={counted}"))
        .arg(format!("--callgrind-out-file={}", counts.display()))
        .arg(program)
        .arg("inside")
        .arg(format!("--size={}", args.size))
        .arg(format!("--burst={}", args.burst))
        .arg(format!("--bursts={}", args.bursts))
        .args(args.packed.then_some("--packed"))
        .args(args.v6.then_some("--v6"))
        .args(args.held.then_some("--held"))
        .args(args.rates.then_some("--rates"))
        .args(args.neighbours.then_some("--neighbours"))
        .args(args.steered.then_some("--steered"))
        .args(args.translated.then_some("--translated"))
        .stdin(Stdio::null());
    let output = command.output().context("start valgrind")?;
    ensure!(
        output.status.success(),
        "{command:?}: {}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    instructions(&counts, counted)
}

/// The instructions that callgrind has written down.
fn instructions(path: &Path, counted: &str) -> Result<u64> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("callgrind has not written {}", path.display()))?;
    let total = total(&text).with_context(|| format!("no total in {}", path.display()))?;
    ensure!(
        total > 0,
        "callgrind has counted nothing: it knows no function {counted}"
    );
    Ok(total)
}

fn total(text: &str) -> Option<u64> {
    let line = |name: &str| text.lines().find_map(|line| line.strip_prefix(name));
    let figures = line("totals:").or_else(|| line("summary:"))?;
    figures.split_whitespace().next()?.parse().ok()
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
