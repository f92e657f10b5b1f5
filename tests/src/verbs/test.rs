//! `cargo lab test`: every test there is, and one closing line that counts them.

use super::{TestArgs, deny, fuzz};
use crate::artifacts::cargo;
use crate::process::{self, Surroundings};
use crate::ui::{self, Step, say};
use crate::{e2e, host};
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

/// Packages with programs that are not ours and judge what we ship: units, the text of metrics, captures.
const JUDGES: [&str; 3] = ["systemd", "python3-prometheus-client", "tcpdump"];

/// Seconds of fuzzing per target, beyond the corpus.
const FUZZ_SECONDS: u64 = 5;

/// Counts over all steps; a step without tests of its own counts as one.
#[derive(Default)]
struct Tally {
    passed: u64,
    failed: u64,
    failures: Vec<String>,
    notes: Vec<String>,
}

impl Tally {
    fn step(&mut self, name: &str, result: Result<Counts>) {
        match result {
            Ok(counts) => {
                self.passed += counts.passed;
                self.failed += counts.failed;
                if counts.failed > 0 {
                    self.failures
                        .push(format!("{name}: {} failed", counts.failed));
                }
            }
            Err(error) => {
                self.failed += 1;
                self.failures.push(format!("{name}: {error:#}"));
                say(&format!("    FAILED: {name}: {error:#}"));
            }
        }
    }
}

/// How many of a step's tests did what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Tests that passed.
    pub passed: u64,
    /// Tests that failed.
    pub failed: u64,
}

impl Counts {
    /// One test that passed.
    pub const ONE: Counts = Counts {
        passed: 1,
        failed: 0,
    };
}

/// Runs the tests.
pub fn run(args: &TestArgs) -> Result<Value> {
    if args.list {
        for test in e2e::all() {
            let mark = if test.nested { " (--nested)" } else { "" };
            ui::result(&format!("{:28} {}{mark}", test.name, test.about));
        }
        return Ok(json!({"ok": true}));
    }
    let mut tally = Tally::default();
    if args.only.is_empty() {
        in_process(&mut tally);
    }
    let mut end_to_end = Value::Null;
    if args.quick {
        tally
            .notes
            .push("end-to-end tests were left out (--quick)".into());
    } else {
        let step = Step::begin("end-to-end tests in QEMU");
        let report = e2e::run(&args.only, args.nested);
        if let Ok(report) = &report {
            end_to_end = serde_json::to_value(report)?;
            tally.notes.extend(report.not_run.iter().cloned());
        }
        let counts = |r: e2e::Report| Counts {
            passed: r.passed.into(),
            failed: r.failed.into(),
        };
        tally.step("end to end", report.map(counts));
        step.done();
        if !args.nested && args.only.is_empty() {
            let nested = e2e::all().iter().filter(|test| test.nested).count();
            tally.notes.push(format!(
                "{nested} tests of machines with physical functions were left out; --nested adds them"
            ));
        }
    }
    for text in &tally.failures {
        say(&format!("failed: {text}"));
    }
    for text in &tally.notes {
        say(&format!("note: {text}"));
    }
    ui::result(&format!("{} passed, {} failed", tally.passed, tally.failed));
    Ok(json!({
        "ok": tally.failed == 0,
        "passed": tally.passed,
        "failed": tally.failed,
        "failures": tally.failures,
        "notes": tally.notes,
        "end_to_end": end_to_end,
    }))
}

/// Everything that needs no virtual machine.
fn in_process(tally: &mut Tally) {
    let deny_warnings: &[(&str, &str)] = &[("RUSTDOCFLAGS", "-D warnings")];
    tally.step(
        "formatting",
        cargo_step("formatting", &["fmt", "--all", "--check"], &[]),
    );
    let clippy = [
        "clippy",
        "--workspace",
        "--all-targets",
        "--all-features",
        "--",
        "-D",
        "warnings",
    ];
    tally.step("lints", cargo_step("lints", &clippy, &[]));
    let doc = ["doc", "--workspace", "--no-deps"];
    tally.step("documents", cargo_step("documents", &doc, deny_warnings));
    // Without them the tests say that they were not run, and fail where they must run.
    if let Err(error) = host::ensure_packages(&JUDGES) {
        tally.notes.push(format!("{error:#}"));
    }
    tally.step("unit and integration tests", unit_tests());
    tally.step("models", models());
    let doctests = ["test", "--workspace", "--doc", "--all-features"];
    tally.step(
        "document examples",
        cargo_step("document examples", &doctests, &[]),
    );
    match deny::run() {
        Ok(note) => {
            tally.step("dependencies", Ok(Counts::ONE));
            tally.notes.extend(note);
        }
        Err(error) => tally.step("dependencies", Err(error)),
    }
    tally.step("fuzz smoke", fuzz::smoke(FUZZ_SECONDS));
}

fn unit_tests() -> Result<Counts> {
    let mut probe = cargo();
    probe.args(["nextest", "--version"]);
    let nextest = process::check(probe, Surroundings::default()).is_ok();
    if nextest {
        let args = [
            "nextest",
            "run",
            "--workspace",
            "--all-features",
            "--no-fail-fast",
        ];
        return cargo_step("unit and integration tests", &args, &[]);
    }
    let args = [
        "test",
        "--workspace",
        "--all-targets",
        "--all-features",
        "--no-fail-fast",
    ];
    cargo_step("unit and integration tests", &args, &[])
}

/// The model checker's run of what threads do to each other. A folder of its own, so that its flags do not
/// have everything else built again.
fn models() -> Result<Counts> {
    let args = [
        "test",
        "--release",
        "--package",
        "libcvf",
        "--lib",
        "models::",
    ];
    let env = [
        ("RUSTFLAGS", "--cfg loom"),
        ("CARGO_TARGET_DIR", "target/loom"),
        ("CARGO_PROFILE_RELEASE_LTO", "off"),
    ];
    cargo_step("models", &args, &env)
}

/// Runs cargo, shows what it says, and counts the tests in it.
fn cargo_step(what: &str, args: &[&str], env: &[(&str, &str)]) -> Result<Counts> {
    let mut command = cargo();
    command.args(args).envs(env.iter().copied());
    counted(what, command)
}

/// Runs a command whose output the person sees, and counts the tests it reports.
///
/// A success without any count is one passed test; a failure without any, one failed.
pub fn counted(what: &str, mut command: Command) -> Result<Counts> {
    let step = Step::begin(what);
    // One pipe for both streams keeps their lines in order.
    let (read, write) = std::io::pipe().context("make a pipe")?;
    command
        .stdin(Stdio::null())
        .stdout(write.try_clone()?)
        .stderr(write);
    let mut child = process::spawn(command, Surroundings::default())?;
    let mut counts = Counts::default();
    for line in BufReader::new(read).lines() {
        let line = line?;
        if let Some(more) = summary(&line) {
            counts.passed += more.passed;
            counts.failed += more.failed;
        }
        say(&line);
    }
    let ok = child.wait()?.success();
    match (ok, counts.passed + counts.failed) {
        (true, 0) => counts.passed = 1,
        (false, _) if counts.failed == 0 => counts.failed = 1,
        _ => {}
    }
    step.done();
    Ok(counts)
}

/// The counts in a summary line of nextest or of the standard test harness.
fn summary(line: &str) -> Option<Counts> {
    let line = line.trim();
    let counts = match line.strip_prefix("test result: ") {
        Some(rest) => rest.split_once(". ")?.1,
        None => line.strip_prefix("Summary [")?.split_once(" run: ")?.1,
    };
    let mut found = Counts::default();
    for part in counts.split([',', ';']) {
        let mut words = part.split_whitespace();
        let (Some(number), Some(word)) = (words.next(), words.next()) else {
            continue;
        };
        let Ok(number) = number.parse::<u64>() else {
            continue;
        };
        match word {
            "passed" => found.passed += number,
            "failed" | "timed" | "exec" => found.failed += number,
            _ => {}
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests;
