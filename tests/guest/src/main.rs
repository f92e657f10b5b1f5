//! `guest-agent`: serves the host's commands, and makes and checks traffic.
//!
//! `guest-agent serve` is started by the image's init; the other verbs are run through it, take
//! their arguments as one JSON value and print their report as one JSON line.

mod agent;
mod datagrams;
mod flow;
mod receiver;
mod sender;
mod stream;
mod sys;
mod witness;

use serde::{Serialize, de::DeserializeOwned};
use std::io::{self, Write};
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let verb = args.next().unwrap_or_default();
    let json = args.next().unwrap_or_default();
    let result = match verb.as_str() {
        "serve" => agent::serve(),
        "frames-send" => tool(&json, |a| sender::run(&a)),
        "frames-receive" => tool(&json, |a| receiver::run(&a)),
        "flow-send" => tool(&json, |a| flow::run(&a, true)),
        "flow-receive" => tool(&json, |a| flow::run(&a, false)),
        "stream-send" => tool(&json, |a| stream::send(&a)),
        "stream-receive" => tool(&json, |a| stream::receive(&a)),
        other => Err(io::Error::other(format!("unknown verb {other:?}"))),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "guest-agent {verb}: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Parses a tool's arguments, runs it with SIGTERM asking it to stop, and prints its report.
fn tool<A: DeserializeOwned, R: Serialize>(
    json: &str,
    run: impl FnOnce(A) -> io::Result<R>,
) -> io::Result<()> {
    let args = serde_json::from_str(json)?;
    sys::stop_on_sigterm()?;
    let report = run(args)?;
    let mut out = io::stdout().lock();
    serde_json::to_writer(&mut out, &report)?;
    out.write_all(b"\n")
}
