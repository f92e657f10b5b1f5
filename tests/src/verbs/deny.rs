//! `cargo deny`: licences, bans and sources of dependencies, and advisories where the database
//! can be had.

use crate::artifacts::cargo;
use crate::process::{self, Output, Surroundings};
use crate::ui::{Step, say};
use crate::{host, limits};
use anyhow::{Context, Result, bail};
use std::process::{Command, Stdio};
use std::time::Duration;

/// How long the advisory database may take.
const FETCH: Duration = Duration::from_secs(60);

/// Checks the dependencies; a note if something could not be checked.
///
/// # Errors
/// If a check fails, or cargo-deny can neither be found nor installed.
pub fn run() -> Result<Option<String>> {
    let step = Step::begin("dependencies: licences, bans, sources, advisories");
    let tool = Tool::find()?;
    let out = tool.run(
        &["check", "licenses", "bans", "sources"],
        limits::HOST_COMMAND,
    )?;
    if !out.status.success() {
        bail!("{}{}", out.stdout, out.stderr);
    }
    say(&format!("    {}", reason(&out.stderr)));
    let note = tool.advisories()?;
    if let Some(note) = &note {
        say(&format!("    {note}"));
    }
    step.done();
    Ok(note)
}

/// cargo-deny, wherever it is.
struct Tool(Option<std::path::PathBuf>);

impl Tool {
    /// Finds it on the path or in the lab's cache; installs it there if it is in neither.
    fn find() -> Result<Self> {
        let mut probe = cargo();
        probe.args(["deny", "--version"]);
        if process::check(probe, Surroundings::default()).is_ok() {
            return Ok(Tool(None));
        }
        let root = host::cache_dir()?.join("tools");
        let program = root.join("bin/cargo-deny");
        if !program.is_file() {
            let step = Step::begin("install cargo-deny (once; some minutes)");
            let mut install = cargo();
            install
                .args(["install", "--quiet", "--locked", "cargo-deny", "--root"])
                .arg(&root);
            install.env("CARGO_TARGET_DIR", root.join("build"));
            install.stdin(Stdio::null()).stdout(std::io::stderr());
            let status = process::run_visible("cargo install", install)?;
            let _ = std::fs::remove_dir_all(root.join("build"));
            if !status.success() {
                bail!("cargo-deny could not be installed: {status}");
            }
            step.done();
        }
        Ok(Tool(Some(program)))
    }

    fn command(&self) -> Command {
        match &self.0 {
            None => {
                let mut command = cargo();
                command.arg("deny");
                command
            }
            Some(program) => {
                let mut command = Command::new(program);
                command.current_dir(host::repository());
                command
            }
        }
    }

    fn run(&self, args: &[&str], limit: Duration) -> Result<Output> {
        let mut command = self.command();
        command.args(["--all-features"]).args(args);
        process::output(command, Surroundings::default(), limit)
    }

    /// Checks advisories; a note, in plain words, if their database cannot be had.
    fn advisories(&self) -> Result<Option<String>> {
        let fetched = self.run(&["fetch", "db"], FETCH);
        let why = match fetched {
            Ok(out) if out.status.success() => None,
            Ok(out) => Some(reason(&out.stderr)),
            Err(error) => Some(error.to_string()),
        };
        if let Some(why) = why {
            return Ok(Some(format!(
                "advisories were NOT checked: their database could not be fetched ({why})"
            )));
        }
        let out = self.run(
            &["check", "--disable-fetch", "advisories"],
            limits::HOST_COMMAND,
        );
        let out = out.context("check advisories")?;
        if !out.status.success() {
            bail!("advisories: {}{}", out.stdout, out.stderr);
        }
        Ok(None)
    }
}

/// The innermost reason in an error chain printed over several lines.
fn reason(stderr: &str) -> String {
    let mut lines = stderr.lines().map(str::trim).filter(|l| !l.is_empty());
    lines.next_back().unwrap_or("no reason given").to_owned()
}
