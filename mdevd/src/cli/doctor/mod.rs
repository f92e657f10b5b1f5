//! `cvfctl doctor`: what this host can do, why not, and what to change.
//!
//! Every check is a pure function of what was found; what is found is read below a root directory, so that a test
//! gives a tree of its own.

mod daemon;
mod functions;
mod host;
mod kernel;
mod places;
mod process;
mod qemu;

use std::fmt::Write;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::json;

use self::host::Host;
use super::args::Doctor;
use super::table::{printable, wrap};
use super::terminal::{Terminal, Tone};
use super::{Answer, Failure, REFUSED, address};
use crate::limits::CALL_DEADLINE;

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Level {
    /// As it should be.
    Ok,
    /// Works, with less than could be.
    Warn,
    /// Devices do not work here until it is changed.
    Bad,
}

impl Level {
    const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Bad => "bad",
        }
    }

    const fn tone(self) -> Tone {
        match self {
            Self::Ok => Tone::Good,
            Self::Warn => Tone::Warn,
            Self::Bad => Tone::Bad,
        }
    }
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Check {
    name: String,
    level: Level,
    /// What there is.
    found: String,
    /// What to change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    advice: Option<String>,
}

impl Check {
    fn ok(name: &str, found: impl Into<String>) -> Self {
        Self {
            name: name.to_owned(),
            level: Level::Ok,
            found: found.into(),
            advice: None,
        }
    }

    fn warn(name: &str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self {
            level: Level::Warn,
            advice: Some(advice.into()),
            ..Self::ok(name, found)
        }
    }

    fn bad(name: &str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self {
            level: Level::Bad,
            ..Self::warn(name, found, advice)
        }
    }
}

/// Runs every check. The answer's code is 1 if something is bad.
pub(super) async fn run(
    terminal: Terminal,
    wanted: Doctor,
    given: Option<String>,
    timeout: Option<std::time::Duration>,
) -> Result<(Answer, u8), Failure> {
    let socket = address::socket(given).map_err(Failure::usage)?;
    let host = Host::new(wanted.root.unwrap_or_else(|| PathBuf::from("/")));
    let limit = timeout.unwrap_or(CALL_DEADLINE);
    let daemon = daemon::look(&socket, limit).await;
    let mut checks = daemon.checks();
    checks.extend(places::checks(
        &socket,
        wanted.state_dir.or_else(|| daemon.state_dir()),
        daemon.pid(),
    ));
    checks.extend(qemu::checks(&host, wanted.qemu).await);
    checks.extend(kernel::checks(&host, &kernel::Memory::of(&host)));
    checks.extend(functions::checks(&host));
    checks.extend(process::checks(&host, daemon.pid()));
    let worst = checks.iter().map(|check| check.level).max();
    let bad = worst == Some(Level::Bad);
    let answer = Answer {
        text: text(terminal, &checks),
        json: json!({ "ok": !bad, "checks": checks }),
    };
    Ok((answer, if bad { REFUSED } else { super::DONE }))
}

/// Columns before what was found.
const INDENT: usize = 22;

fn text(terminal: Terminal, checks: &[Check]) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    for check in checks {
        let word = check.level.word();
        let painted = terminal.paint(check.level.tone(), word);
        let pad = " ".repeat(6 - word.len());
        let found = wrap(&printable(&check.found), terminal.width, INDENT);
        let _ = writeln!(out, "{painted}{pad}{:<16}{found}", check.name);
        if let Some(advice) = &check.advice {
            let advice = wrap(&format!("-> {}", printable(advice)), terminal.width, INDENT);
            let _ = writeln!(out, "{:INDENT$}{advice}", "");
        }
    }
    let count = |level| checks.iter().filter(|check| check.level == level).count();
    let (bad, warn, all) = (count(Level::Bad), count(Level::Warn), checks.len());
    let _ = writeln!(out, "{all} checks: {bad} bad, {warn} to look at");
    out
}

#[cfg(test)]
mod tests;
