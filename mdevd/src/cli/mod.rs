//! `cvfctl`: the daemon's bus interface for people and scripts.
//!
//! Exit codes are in [`MEANINGS`].

mod address;
mod args;
mod capture;
mod clock;
mod commands;
mod doctor;
mod edit;
mod exchange;
mod exit;
mod frame;
mod help;
mod jobs;
mod lifecycle;
mod man;
mod monitor;
mod policy;
mod render;
mod service;
mod table;
mod terminal;
mod top;

use std::io::{self, Write};

use clap::FromArgMatches;
use serde_json::{Value as Json, json};

pub use args::{Args, Command, PolicyCommand};
pub use exit::{DONE, MEANINGS, REFUSED, TIMED_OUT, UNREACHABLE, USAGE};
pub use help::command;

use crate::bus::{CallError, ManagerClient};
use crate::limits::CALL_DEADLINE;

/// What a command has to say, for scripts and for people.
struct Answer {
    json: Json,
    text: String,
}

impl Answer {
    /// All has been printed.
    fn nothing() -> Self {
        Self {
            json: Json::Null,
            text: String::new(),
        }
    }
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

impl Failure {
    /// A file, or the terminal, cannot be read or written.
    fn io(message: impl Into<String>) -> Self {
        Self {
            code: REFUSED,
            kind: "failed".to_owned(),
            message: message.into(),
        }
    }
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        let (code, kind) = exit::of(&error);
        Self {
            code,
            kind: kind.to_owned(),
            message: error.to_string(),
        }
    }
}

/// Runs a command line, prints its outcome, returns the exit code.
pub fn main(arguments: impl IntoIterator<Item = std::ffi::OsString>) -> u8 {
    let arguments: Vec<_> = arguments.into_iter().collect();
    let matches = help::command().try_get_matches_from(&arguments);
    let args = match matches.and_then(|matches| Args::from_arg_matches(&matches)) {
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
        .and_then(|runtime| runtime.block_on(run(args)));
    match outcome {
        Ok(code) => code,
        Err(failure) => {
            complain(&failure, json);
            failure.code
        }
    }
}

/// Runs a command and prints its answer.
async fn run(args: Args) -> Result<u8, Failure> {
    let terminal = terminal::Terminal::detect(&args.color);
    let json = args.json;
    let reload = matches!(
        args.command,
        Command::Reload
            | Command::Policy {
                command: PolicyCommand::Reload
            }
    );
    let (answer, code) = match args.command {
        Command::Top(wanted) => {
            return top::run(terminal, wanted, args.address, args.timeout, json).await;
        }
        Command::Doctor(wanted) => {
            doctor::run(terminal, wanted, args.address, args.timeout).await?
        }
        Command::Start { names } => {
            let how = lifecycle::How::Start;
            lifecycle::each(how, &names, args.address, args.timeout, json).await?
        }
        Command::Stop { names, force } => {
            let how = lifecycle::How::Stop { force };
            lifecycle::each(how, &names, args.address, args.timeout, json).await?
        }
        Command::Import {
            file,
            dry_run,
            start,
        } => {
            let socket = address::socket(args.address).map_err(Failure::usage)?;
            let limit = args.timeout.unwrap_or(CALL_DEADLINE);
            let client = ManagerClient::connect_within(&socket, limit).await?;
            exchange::import(&client, &file, dry_run, start).await?
        }
        Command::Man { dir } => (man::write(dir.as_deref())?, DONE),
        _ => (commands::run(args).await?, DONE),
    };
    // What was good of a reload is in force, and told; what was not makes it fail.
    let refused = reload
        && answer.json["refused"]
            .as_array()
            .is_some_and(|r| !r.is_empty());
    let code = if refused { REFUSED } else { code };
    // A command that has printed everything itself has nothing left to say.
    let printed = if answer.json.is_null() {
        print(&answer.text)
    } else if json {
        print(&format!("{}\n", answer.json))
    } else {
        print(&answer.text)
    };
    Ok(if code == DONE { printed } else { code })
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
    if text.is_empty() {
        return DONE;
    }
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
