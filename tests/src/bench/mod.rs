//! Benchmarks side by side with peers: `cargo lab bench`.
//!
//! One driver, the fake VM's, plays both guests of every contender, on a core of its own; the
//! contender forwards on another. Contenders take turns within one run, and only ratios within a
//! run mean anything. What is measured is data in [`rows`].

pub mod archive;
pub mod contender;
pub mod cpu;
pub mod direction;
pub mod limits;
pub mod machine;
pub mod mdevd;
pub mod model;
pub mod report;
pub mod rows;
pub mod stats;
pub mod testpmd;
pub mod traffic;

use anyhow::{Context, Result};
use clap::Args;
use serde_json::Value;

use self::contender::{Contender, Rig};
use self::report::Report;
use self::rows::{ContenderId, ROWS, Row, WORKLOADS, Workload};
use self::stats::Sample;
use crate::ui;

/// Options of `cargo lab bench`.
#[derive(Clone, Debug, Args)]
pub struct BenchArgs {
    /// Only rows whose name contains one of these.
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
    /// How often every contender takes its turn.
    #[arg(long, default_value_t = limits::REPETITIONS, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub repetitions: u32,
    /// Write the result to `docs/benchmarks/`, with the machine and all single figures.
    #[arg(long)]
    pub archive: bool,
    /// Print the names of the rows.
    #[arg(long)]
    pub list: bool,
}

/// Runs the chosen rows and prints a table. The value is the result as one object.
///
/// # Errors
/// Fails when a contender cannot be started or breaks, or no row has such a name.
pub fn run(args: &BenchArgs) -> Result<Value> {
    let rows = chosen(&args.names)?;
    if args.list {
        for row in &rows {
            ui::say(row.name);
        }
        return Ok(serde_json::json!({ "rows": rows.iter().map(|r| r.name).collect::<Vec<_>>() }));
    }
    let cores = cpu::Cores::choose()?;
    let contenders = needed(&rows)
        .into_iter()
        .map(|id| contender::make(id, cores));
    let contenders = contenders.collect::<Result<Vec<_>>>()?;
    let machine = machine::describe(&contenders, cores);
    let _pinned = cpu::pin_this_thread(cores.driver)?;
    let _preferred = cpu::prefer_this_thread();
    let mut samples = Vec::new();
    for repetition in 0..args.repetitions {
        // Everybody comes first once in a while.
        let first = repetition as usize % contenders.len();
        let (before, from) = contenders.split_at(first);
        for contender in from.iter().chain(before) {
            let step = format!(
                "{} of {}: {}",
                repetition + 1,
                args.repetitions,
                contender.name()
            );
            let step = ui::Step::begin(step);
            turn(contender.as_ref(), &rows, repetition, &mut samples)?;
            step.done();
        }
    }
    let report = Report::new(&rows, &samples, machine);
    ui::say(&report.table());
    let mut value = report.json();
    if args.archive {
        let path = archive::write(&report)?;
        ui::say(&format!("archived in {}", path.display()));
        value["archive"] = path.display().to_string().into();
    }
    Ok(value)
}

/// One turn of one contender: started, all its workloads, stopped.
fn turn(
    contender: &dyn Contender,
    rows: &[&Row],
    repetition: u32,
    samples: &mut Vec<Sample>,
) -> Result<()> {
    let id = contender.id();
    let mut rig = contender
        .start()
        .with_context(|| format!("start {}", contender.name()))?;
    for (run, workload) in workloads_of(rows, id).into_iter().enumerate() {
        let Rig {
            first,
            second,
            macs,
            ..
        } = &mut rig;
        let guests = traffic::Guests {
            first: first.as_mut(),
            second: second.as_mut(),
            macs: *macs,
            run: run as u16,
        };
        let measured = traffic::drive(guests, workload)
            .with_context(|| format!("{} through {}", workload.name, contender.name()))?;
        samples.push(Sample {
            contender: id,
            workload: workload.name,
            repetition,
            measured,
        });
    }
    rig.stop()
}

fn chosen(names: &[String]) -> Result<Vec<&'static Row>> {
    let wanted = |row: &&Row| names.is_empty() || names.iter().any(|name| row.name.contains(name));
    let rows: Vec<_> = ROWS.iter().filter(wanted).collect();
    anyhow::ensure!(
        !rows.is_empty(),
        "no row is called {}; see --list",
        names.join(", ")
    );
    Ok(rows)
}

fn needed(rows: &[&Row]) -> Vec<ContenderId> {
    let mut ids: Vec<_> = rows.iter().flat_map(|row| [row.peer, row.ours]).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

fn workloads_of(rows: &[&Row], id: ContenderId) -> Vec<&'static Workload> {
    let has = |workload: &&Workload| {
        rows.iter()
            .any(|row| row.workload == workload.name && (row.ours == id || row.peer == id))
    };
    WORKLOADS.iter().filter(has).collect()
}
