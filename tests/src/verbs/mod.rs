//! The verbs of `cargo lab`, one file each, and what they have in common: a result that is told to
//! the person and, with `--json`, as one object on the last line of standard output.

mod demo;
mod deny;
mod fuzz;
mod inside;
mod shell;
mod test;

use crate::ui;
use anyhow::Result;
use clap::{Args, Parser, Subcommand};
use serde_json::{Value, json};
use std::io::Write;
use std::process::ExitCode;

/// Tries mdevd for real, in QEMU with stock guests.
#[derive(Debug, Parser)]
#[command(name = "cargo lab", bin_name = "cargo lab", version)]
pub struct Cli {
    #[command(subcommand)]
    verb: Verb,
    /// Print the result as one JSON object on the last line.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// The main job from nothing: two stock guests on composed devices, traffic, hot-plug.
    Demo,
    /// Every test: formatting, lints, documents, unit, integration, fuzz smoke, end to end.
    Test(TestArgs),
    /// An interactive guest with composed devices attached.
    Shell(ShellArgs),
    /// Benchmarks side by side with peers.
    Bench(crate::bench::BenchArgs),
    /// Fuzz targets with their corpora.
    Fuzz(FuzzArgs),
    /// What the lab starts of itself elsewhere: under a profiler, or inside a machine.
    #[command(hide = true)]
    Inside(inside::InsideVerb),
    /// Fetch QEMU and guest kernel, and nothing else.
    Fetch,
}

/// Options of `cargo lab test`.
#[derive(Clone, Debug, Args)]
pub struct TestArgs {
    /// Leave out what boots a virtual machine.
    #[arg(long)]
    pub quick: bool,
    /// Add the tests of machines that are hosts with physical functions; `--only nested-...` implies it.
    #[arg(long, conflicts_with = "quick")]
    pub nested: bool,
    /// Only the end-to-end test of this name, or else those whose name contains it (may be given several times).
    #[arg(long, value_name = "NAME")]
    pub only: Vec<String>,
    /// Print the names of the end-to-end tests.
    #[arg(long)]
    pub list: bool,
}

/// Options of `cargo lab shell`.
#[derive(Clone, Debug, Args)]
pub struct ShellArgs {
    /// Devices to attach.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(0..=8))]
    pub devices: u32,
    /// Virtual CPUs of the guest.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub cpus: u32,
}

/// Options of `cargo lab fuzz`.
#[derive(Clone, Debug, Args)]
pub struct FuzzArgs {
    /// The target; all if none is named.
    pub target: Option<String>,
    /// How long each target runs, beyond its corpus.
    #[arg(long, default_value_t = 60)]
    pub seconds: u64,
}

/// Runs the chosen verb; tells the result.
#[must_use]
pub fn run(cli: &Cli) -> ExitCode {
    let result = match &cli.verb {
        Verb::Demo => demo::run(),
        Verb::Test(args) => test::run(args),
        Verb::Fuzz(args) => fuzz::run(args),
        Verb::Bench(args) => crate::bench::run(args),
        Verb::Inside(args) => inside::run(args),
        Verb::Shell(args) => shell::run(args),
        Verb::Fetch => fetch(),
    };
    let (value, ok) = match result {
        Ok(value) => {
            let ok = value["ok"] != json!(false);
            (value, ok)
        }
        Err(error) => {
            ui::say(&format!("lab: {error:#}"));
            (json!({"ok": false, "error": format!("{error:#}")}), false)
        }
    };
    if cli.json {
        let _ = writeln!(std::io::stdout().lock(), "{value}");
    }
    if ok {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn fetch() -> Result<Value> {
    let tree = crate::fetch::ensure()?;
    Ok(json!({"ok": true, "kernel": tree.kernel().release()}))
}
