//! `cvfctl monitor`: events as they happen, a line each.

use std::io::{self, Write};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value as Json;
use tokio::sync::mpsc;

use super::args::count;
use super::clock::utc;
use super::{Answer, Failure, REFUSED};
use crate::bus::ManagerClient;
use crate::text::counted;

/// Lines that wait to be written; while more would, the daemon is not listened to.
const MAX_LINES: usize = 256;

/// How long to watch.
#[derive(Clone, Debug, clap::Args)]
pub struct Monitor {
    /// End after so many events
    #[arg(long, value_name = "N", value_parser = count(1))]
    pub count: Option<u64>,
    /// End after so many seconds; with --count, fail then
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub timeout: Option<Duration>,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let refuse = || "write a number of seconds above 0, as in 10 or 0.5".to_owned();
    let seconds: f64 = text.parse().map_err(|_| refuse())?;
    let time = Duration::try_from_secs_f64(seconds).map_err(|_| refuse())?;
    if time.is_zero() {
        Err(refuse())
    } else {
        Ok(time)
    }
}

/// Prints events until interrupted, or as long as `options` say.
pub(super) async fn run(
    client: &ManagerClient,
    options: &Monitor,
    json: bool,
) -> Result<Answer, Failure> {
    let interrupted = tokio::signal::ctrl_c();
    let over = async {
        match options.timeout {
            Some(timeout) => tokio::time::sleep(timeout).await,
            None => std::future::pending().await,
        }
    };
    tokio::pin!(interrupted, over);
    let mut events = client.watch().await?;
    let (lines, writer) = writer();
    let mut seen = 0;
    loop {
        if options.count.is_some_and(|count| seen >= count) {
            drop(lines);
            return written(writer);
        }
        let event = tokio::select! {
            biased;
            // Whatever the writer still waits for is given up: nobody is reading it.
            _ = &mut interrupted => return Ok(Answer::nothing()),
            () = &mut over => {
                drop(lines);
                written(writer)?;
                return too_few(seen, options);
            }
            event = events.next() => event?,
        };
        seen += 1;
        let line = if json {
            format!("{event}\n")
        } else {
            text(&event)
        };
        let sent = tokio::select! {
            biased;
            _ = &mut interrupted => return Ok(Answer::nothing()),
            sent = lines.send(line) => sent,
        };
        if sent.is_err() {
            return written(writer);
        }
    }
}

/// A thread that writes, so that a reader who does not read cannot keep this program from ending.
fn writer() -> (mpsc::Sender<String>, JoinHandle<io::Result<()>>) {
    let (lines, mut waiting) = mpsc::channel::<String>(MAX_LINES);
    let writer = std::thread::spawn(move || {
        while let Some(line) = waiting.blocking_recv() {
            let mut out = io::stdout().lock();
            out.write_all(line.as_bytes())?;
            out.flush()?;
        }
        Ok(())
    });
    (lines, writer)
}

/// Waits until all is written. A reader that has gone away is no failure.
fn written(writer: JoinHandle<io::Result<()>>) -> Result<Answer, Failure> {
    match writer.join() {
        Ok(Ok(())) => Ok(Answer::nothing()),
        Ok(Err(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Answer::nothing()),
        Ok(Err(error)) => Err(failed(format!("cannot write the events: {error}"))),
        Err(_) => Err(failed("cannot write the events".to_owned())),
    }
}

fn too_few(seen: u64, options: &Monitor) -> Result<Answer, Failure> {
    match options.count {
        Some(count) => Err(failed(format!(
            "{seen} of {count} events came within the time given by --timeout"
        ))),
        None => Ok(Answer::nothing()),
    }
}

fn failed(message: String) -> Failure {
    Failure {
        code: REFUSED,
        kind: "failed".to_owned(),
        message,
    }
}

/// An event as a line for people: time, device, event, and what belongs to it.
pub(super) fn text(event: &Json) -> String {
    let word = |key: &str| event[key].as_str().unwrap_or_default();
    if word("event") == "missed" {
        let count = counted(event["count"].as_u64().unwrap_or_default(), "event");
        return format!("missed {count}: they came faster than they were taken\n");
    }
    let more = match word("event") {
        "undefined" if event["running"] == true => "it runs on".to_owned(),
        "created" | "defined" => {
            format!("{}, uuid {}, pf {}", word("mac"), word("uuid"), word("pf"))
        }
        "changed" => {
            let names = event["attributes"].as_array().into_iter().flatten();
            let names: Vec<_> = names.filter_map(Json::as_str).collect();
            names.join(", ")
        }
        "connected" => format!(
            "process {} (uid {})",
            event["client"]["pid"], event["client"]["uid"]
        ),
        "disconnected" => word("reason").to_owned(),
        "driver" => word("driver").to_owned(),
        "capture-begun" => format!("by {}", word("by")),
        "capture-ended" => format!(
            "{}, {} lost, by {}: {}",
            counted(event["frames"].as_u64().unwrap_or_default(), "frame"),
            event["lost"],
            word("by"),
            word("reason")
        ),
        "denied" => denied(event),
        _ => String::new(),
    };
    let time = utc(event["time_us"].as_u64().unwrap_or(0));
    let line = format!("{time} {} {}", word("device"), word("event"));
    match more.as_str() {
        "" => format!("{line}\n"),
        more => format!("{line}: {more}\n"),
    }
}

/// A denial: the last one, how many there were, and what followed.
fn denied(event: &Json) -> String {
    let message = event["message"].as_str().unwrap_or_default();
    let times = match event["count"].as_u64() {
        Some(count) if count > 1 => format!(" ({count} times since the last such event)"),
        _ => String::new(),
    };
    let then = match event["reaction"].as_str() {
        Some("reset-device") => "; the device is reset, if its kind can be",
        Some("stop-device") => "; the device is stopped",
        Some("disconnect") => "; its client is cut off",
        _ => "",
    };
    format!("{message}{times}{then}")
}
