//! Benchmarks side by side with peers: `cargo lab bench`.
//!
//! What is measured together is a [`family::Family`]; its rows and their bars are data beside it.
//! Contenders take turns within one run, and only ratios within a run mean anything.
//! `docs/benchmarks/README.md` says how each row is measured and what is fair about it.

pub mod archive;
pub mod cpu;
pub mod family;
pub mod frames;
pub mod guests;
pub mod limits;
pub mod machine;
pub mod peers;
pub mod plot;
pub mod quiet;
pub mod registers;
pub mod report;
pub mod row;
pub mod scale;
pub mod stats;
mod svg;

use std::os::unix::process::CommandExt;

use anyhow::Result;
use clap::Args;
use serde_json::Value;

use self::family::{Family, Outcome, Run};
use self::peers::{Frames, Shape};
use self::report::Report;
use self::row::Spec;
use crate::fakevm::memory::{HUGE_PAGE, HugePages};
use crate::{artifacts, ui};

pub use self::frames::inside::{InsideArgs, run as inside};

/// Options of `cargo lab bench`.
#[derive(Clone, Debug, Args)]
pub struct BenchArgs {
    /// Only rows whose name contains one of these.
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
    /// How often every contender takes its turn.
    #[arg(long, default_value_t = limits::REPETITIONS, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub repetitions: u32,
    /// Fail when a row is below its bar. Without it only a failure to measure is one.
    #[arg(long)]
    pub enforce: bool,
    /// Write the result to `docs/benchmarks/`, with the machine, pictures and all single figures.
    #[arg(long)]
    pub archive: bool,
    /// Print the names of the rows.
    #[arg(long)]
    pub list: bool,
}

/// Huge pages for two guests whose frames, both ways, are several times the last-level cache: plain buffers to compare with
/// are less.
fn guest_pages() -> u64 {
    let guest = Shape {
        frames: Frames::Large,
        huge: true,
        notified: false,
    };
    let each = guest.guest().memory_plan().size() / HUGE_PAGE;
    limits::GUEST_PAGES.max(2 * each)
}

/// Runs the chosen rows and prints a table. The value is the result as one object.
///
/// # Errors
/// Fails when no row has such a name, or this machine has no two cores. A family that cannot be
/// measured does not keep the others from it, and is told in the result.
pub fn run(args: &BenchArgs) -> Result<Value> {
    let chosen = chosen(family::all(), &args.names)?;
    if args.list {
        return Ok(list(&chosen));
    }
    if cfg!(debug_assertions) {
        return Err(become_released());
    }
    let huge = HugePages::reserve(limits::DPDK_PAGES + guest_pages());
    let run = Run {
        repetitions: args.repetitions,
        cores: cpu::Cores::choose()?,
        huge: huge.is_some(),
    };
    quiet::acquaint(run.cores)?;
    let mut all = Outcome::default();
    let mut failed = Vec::new();
    for (family, wanted) in &chosen {
        match family.measure(&run, wanted) {
            Ok(outcome) => {
                all.rows.extend(outcome.rows);
                all.plots.extend(outcome.plots);
                all.took_part.extend(outcome.took_part);
            }
            Err(error) => {
                ui::say(&format!("{} was not measured: {error:#}", family.prefix()));
                failed.push((family.prefix().to_owned(), format!("{error:#}")));
            }
        }
    }
    let report = Report {
        machine: machine::describe(all.took_part, run.cores),
        rows: all.rows,
        plots: all.plots,
        failed,
    };
    ui::say(&report.table());
    let mut value = report.json(args.enforce);
    if args.archive {
        let path = archive::write(&report)?;
        ui::say(&format!("archived in {}", path.display()));
        value["archive"] = path.display().to_string().into();
    }
    Ok(value)
}

/// Goes on as the released build of this program, with the same arguments; returns only why not.
fn become_released() -> anyhow::Error {
    match artifacts::released_lab() {
        Ok(lab) => {
            let mut command = std::process::Command::new(&lab);
            let error = command.args(std::env::args_os().skip(1)).exec();
            anyhow::Error::new(error).context(format!("run {}", lab.display()))
        }
        Err(error) => error,
    }
}

type Chosen = Vec<(Box<dyn Family>, Vec<Spec>)>;

fn chosen(families: Vec<Box<dyn Family>>, names: &[String]) -> Result<Chosen> {
    let all: Vec<Spec> = families.iter().flat_map(|family| family.rows()).collect();
    let unknown = |name: &&String| !all.iter().any(|spec| spec.name.contains(*name));
    let unknown: Vec<&str> = names.iter().filter(unknown).map(String::as_str).collect();
    anyhow::ensure!(
        unknown.is_empty(),
        "no row is called {}; see --list",
        unknown.join(", ")
    );
    let wanted = |spec: &Spec| names.is_empty() || names.iter().any(|n| spec.name.contains(n));
    let mut chosen = Vec::new();
    for family in families {
        let rows: Vec<Spec> = family.rows().into_iter().filter(wanted).collect();
        if !rows.is_empty() {
            chosen.push((family, rows));
        }
    }
    Ok(chosen)
}

fn list(chosen: &Chosen) -> Value {
    let specs: Vec<&Spec> = chosen.iter().flat_map(|(_, specs)| specs).collect();
    for spec in &specs {
        let bar = spec.bar.map_or_else(String::new, |bar| {
            format!("  ({} {})", bar.kind(), bar.value())
        });
        ui::result(&format!("{}{bar}", spec.name));
    }
    let names: Vec<&str> = specs.iter().map(|spec| spec.name.as_str()).collect();
    serde_json::json!({ "ok": true, "rows": names })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_chosen_by_any_part_of_their_name() {
        let count = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
            chosen(family::all(), &names).map(|all| all.iter().map(|(_, s)| s.len()).sum::<usize>())
        };
        let all = count(&[]).unwrap();
        let some = count(&["fps-64B"]).unwrap();
        assert!(some > 0 && some < all);
        assert!(count(&["fps-64B", "fps-1518B"]).unwrap() > some);
        assert!(count(&["no such row"]).is_err());
        assert!(
            count(&["fps-64B", "no such row"]).is_err(),
            "the other would be missed"
        );
    }
}
