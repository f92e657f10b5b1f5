//! `cargo lab fuzz`: the fuzz targets with their corpora.
//!
//! The targets live in a workspace of their own, `tests/fuzz`, whose README explains the flags used
//! here. The corpus in the repository is only read; new inputs go to a directory in the cache.

use super::FuzzArgs;
use super::test::Counts;
use crate::artifacts::cargo;
use crate::host;
use crate::process;
use crate::ui::{Step, say};
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// Makes rustc instrument the code the way libFuzzer expects, without a nightly compiler.
const FLAGS: &str = "-Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares \
    --cfg fuzzing";

/// Naming the target keeps the flags away from build scripts.
const TARGET: &str = "x86_64-unknown-linux-gnu";

fn home() -> PathBuf {
    host::repository().join("tests/fuzz")
}

/// Names of the targets, from the files that define them.
fn targets() -> Vec<String> {
    let Ok(entries) = fs::read_dir(home().join("fuzz_targets")) else {
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
        if let Err(error) = one(target, args.seconds) {
            say(&format!("    FAILED: {error:#}"));
            failed.push(target.clone());
        }
    }
    let ok = failed.is_empty();
    Ok(json!({"ok": ok, "targets": chosen, "failed": failed, "seconds": args.seconds}))
}

/// Every target's corpus, and `seconds` more of each.
pub fn smoke(seconds: u64) -> Result<Counts> {
    let targets = targets();
    if targets.is_empty() {
        bail!("no fuzz targets in {}", home().display());
    }
    for target in &targets {
        one(target, seconds)?;
    }
    Ok(Counts {
        passed: targets.len() as u64,
        failed: 0,
    })
}

/// Runs the corpus of a target, then `seconds` of new inputs.
fn one(target: &str, seconds: u64) -> Result<()> {
    let step = Step::begin(format!("fuzz {target}: corpus, then {seconds} s"));
    let program = build(target)?;
    let new = host::cache_dir()?.join("fuzz").join(target);
    fs::create_dir_all(&new).with_context(|| format!("create {}", new.display()))?;
    let artifacts = home().join("artifacts");
    fs::create_dir_all(&artifacts)?;
    let fuzz = |words: &[&str], dirs: &[&PathBuf]| -> Result<()> {
        let mut command = Command::new(&program);
        command
            .args(words)
            .args(["-max_len=1500", "-verbosity=0", "-print_final_stats=1"]);
        command
            .arg(format!("-artifact_prefix={}/", artifacts.display()))
            .args(dirs);
        command.stdout(std::io::stderr());
        let status = process::run_visible(&format!("fuzz {target}"), command)?;
        if !status.success() {
            bail!(
                "{target}: {status}; the input is in {}",
                artifacts.display()
            );
        }
        Ok(())
    };
    let corpus = home().join("corpus").join(target);
    fuzz(&["-runs=0"], &[&corpus])?;
    if seconds > 0 {
        fuzz(&[&format!("-max_total_time={seconds}")], &[&new, &corpus])?;
    }
    step.done();
    Ok(())
}

fn build(target: &str) -> Result<PathBuf> {
    host::ensure_packages(&["g++"])?;
    let dir = match std::env::var_os("CARGO_TARGET_DIR") {
        Some(dir) => PathBuf::from(dir).join("fuzz"),
        None => home().join("target"),
    };
    let mut command = cargo();
    command
        .current_dir(home())
        .env("RUSTFLAGS", FLAGS)
        .env("CARGO_TARGET_DIR", &dir);
    command.args(["build", "--release", "--target", TARGET, "--bin", target]);
    command.stdout(std::io::stderr());
    let status = process::run_visible("cargo build", command)?;
    if !status.success() {
        bail!("fuzz target {target} does not build; tests/fuzz/README.md says what it takes");
    }
    let program = dir.join(TARGET).join("release").join(target);
    if !program.is_file() {
        bail!("{} was not built", program.display());
    }
    Ok(program)
}
