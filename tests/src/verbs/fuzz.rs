//! `cargo lab fuzz`: the fuzz targets with their corpora.
//!
//! The targets live in a crate of their own, outside the workspace; its `lab` program runs a
//! target's corpus and then goes on for some seconds, so that nothing but cargo is needed.

use super::FuzzArgs;
use super::test::{Counts, counted};
use crate::artifacts::cargo;
use crate::host;
use anyhow::{Result, bail};
use serde_json::{Value, json};
use std::path::PathBuf;

fn home() -> PathBuf {
    host::repository().join("tests/fuzz")
}

/// Names of the targets, from the files that define them.
fn targets() -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(home().join("fuzz_targets")) else {
        return Vec::new();
    };
    let mut names: Vec<String> = entries
        .filter_map(|e| {
            e.ok()?
                .file_name()
                .to_str()?
                .strip_suffix(".rs")
                .map(str::to_owned)
        })
        .collect();
    names.sort();
    names
}

/// Runs one target or all.
pub fn run(args: &FuzzArgs) -> Result<Value> {
    let known = targets();
    let chosen = match &args.target {
        None => known,
        Some(name) if known.contains(name) => vec![name.clone()],
        Some(name) => bail!("no fuzz target {name:?}; there are: {}", known.join(", ")),
    };
    let mut failed = Vec::new();
    for target in &chosen {
        if one(target, args.seconds)?.failed > 0 {
            failed.push(target.clone());
        }
    }
    Ok(json!({"ok": failed.is_empty(), "targets": chosen, "failed": failed}))
}

/// Every target's corpus, and `seconds` more of each.
pub fn smoke(seconds: u64) -> Result<Counts> {
    let mut counts = Counts::default();
    let targets = targets();
    if targets.is_empty() {
        bail!("no fuzz targets in {}", home().display());
    }
    for target in targets {
        let more = one(&target, seconds)?;
        counts.passed += more.passed;
        counts.failed += more.failed;
    }
    Ok(counts)
}

fn one(target: &str, seconds: u64) -> Result<Counts> {
    let mut command = cargo();
    command.current_dir(home());
    command.args(["run", "--release", "--quiet", "--bin", target, "--"]);
    command.args(["--seconds", &seconds.to_string()]);
    counted(&format!("fuzz {target} for {seconds} s"), command)
}
