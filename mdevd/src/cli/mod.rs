//! `cvfctl`: the daemon's bus interface for people and scripts.
//!
//! Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 3 the daemon cannot be reached.

mod address;
mod args;
mod commands;
mod render;
mod service;
mod table;
mod terminal;

use std::io::{self, Write};

use clap::Parser;
use serde_json::{Value as Json, json};

pub use args::{Args, Command};

use crate::bus::CallError;

/// Done.
pub const DONE: u8 = 0;
/// The daemon refused or failed.
pub const REFUSED: u8 = 1;
/// The command line is wrong.
pub const USAGE: u8 = 2;
/// The daemon cannot be reached.
pub const UNREACHABLE: u8 = 3;

/// What a command has to say, for scripts and for people.
struct Answer {
    json: Json,
    text: String,
}

/// Why a command did not succeed.
struct Failure {
    code: u8,
    kind: String,
    message: String,
}

impl Failure {
    fn usage(message: impl Into<String>) -> Self {
        Self {
            code: USAGE,
            kind: "usage".to_owned(),
            message: message.into(),
        }
    }
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        let message = error.to_string();
        let (code, kind) = match error {
            CallError::Refused {
                kind: Some(kind), ..
            } => (REFUSED, kind.kebab()),
            CallError::Refused { kind: None, .. } => (REFUSED, "failed"),
            CallError::Unreachable { .. } => (UNREACHABLE, "unreachable"),
            CallError::Strange(_) => (REFUSED, "protocol"),
        };
        Self {
            code,
            kind: kind.to_owned(),
            message,
        }
    }
}

/// Runs a command line, prints its outcome, returns the exit code.
pub fn main(arguments: impl IntoIterator<Item = std::ffi::OsString>) -> u8 {
    let arguments: Vec<_> = arguments.into_iter().collect();
    let args = match Args::try_parse_from(&arguments) {
        Ok(args) => args,
        Err(error) => return usage(&error, arguments.iter().any(|arg| arg == "--json")),
    };
    let json = args.json;
    let outcome = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure {
            code: REFUSED,
            kind: "internal".to_owned(),
            message: format!("cannot start: {error}"),
        })
        .and_then(|runtime| runtime.block_on(commands::run(args)));
    match outcome {
        Ok(answer) if json => print(&format!("{}\n", answer.json)),
        Ok(answer) => print(&answer.text),
        Err(failure) => {
            complain(&failure, json);
            failure.code
        }
    }
}

/// Help and version are no errors; everything else is.
fn usage(error: &clap::Error, json: bool) -> u8 {
    if !error.use_stderr() || !json {
        let _ = error.print();
        return u8::try_from(error.exit_code()).unwrap_or(USAGE);
    }
    let text = error.render().to_string();
    let message = text.trim().trim_start_matches("error: ").to_owned();
    complain(&Failure::usage(message), true);
    USAGE
}

/// With `--json`, errors go where answers go: one object on standard output, whatever happens.
fn complain(failure: &Failure, json: bool) {
    let Failure { kind, message, .. } = failure;
    if json {
        print(&format!(
            "{}\n",
            json!({ "error": { "kind": kind, "message": message } })
        ));
    } else {
        let _ = writeln!(io::stderr(), "cvfctl: {message}");
    }
}

/// Prints to standard output. A reader that has gone away is no failure of the command.
fn print(text: &str) -> u8 {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            let _ = writeln!(io::stderr(), "cannot write the answer: {error}");
            REFUSED
        }
        _ => DONE,
    }
}

#[cfg(test)]
mod tests;
