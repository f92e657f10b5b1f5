//! Devices started and stopped, one or several, and taken over.

use std::fmt::Write;
use std::io::{self, Write as _};
use std::time::Duration;

use serde_json::{Value as Json, json};

use super::table::printable;
use super::{Answer, DONE, Failure, REFUSED, address, render};
use crate::bus::{ManagerClient, typed};
use crate::engine::{Created, Ended, LifeOutcome, Outcome, Taken, TakenOver};
use crate::limits::CALL_DEADLINE;

/// What is done to each.
#[derive(Clone, Copy)]
pub(super) enum How {
    Start,
    Stop { force: bool },
}

/// Does it to each of the devices. One is answered as by itself; several with a list, and none keeps the others from
/// being tried.
pub(super) async fn each(
    how: How,
    names: &[String],
    at: Option<String>,
    limit: Option<Duration>,
    json: bool,
) -> Result<(Answer, u8), Failure> {
    let socket = address::socket(at).map_err(Failure::usage)?;
    let limit = limit.unwrap_or(CALL_DEADLINE);
    let client = ManagerClient::connect_within(&socket, limit).await?;
    if let [name] = names {
        return Ok((one(&client, how, name).await?, DONE));
    }
    let (mut all, mut out, mut code) = (Vec::new(), String::new(), DONE);
    for name in names {
        match one(&client, how, name).await {
            Ok(answer) => {
                out.push_str(&brief(how, name, &answer.json));
                all.push(answer.json);
            }
            Err(Failure { kind, message, .. }) => {
                code = REFUSED;
                if !json {
                    let _ = writeln!(io::stderr(), "cvfctl: {message}");
                }
                let error = json!({ "kind": kind, "message": message });
                all.push(json!({ "name": name, "error": error }));
            }
        }
    }
    let json = Json::Array(all);
    Ok((Answer { json, text: out }, code))
}

async fn one(client: &ManagerClient, how: How, name: &str) -> Result<Answer, Failure> {
    match how {
        How::Start => {
            let json = client.start(name).await?;
            let mut made: Created = typed(json.clone())?;
            if made.result == Outcome::Already {
                made.notes.push("it runs already".to_owned());
            }
            let text = render::created(&made);
            Ok(Answer { json, text })
        }
        How::Stop { force } => {
            let json = client.stop(name, force).await?;
            let text = ended(&typed(json.clone())?);
            Ok(Answer { json, text })
        }
    }
}

/// A line for one of several.
fn brief(how: How, name: &str, answer: &Json) -> String {
    let what = match (answer["result"].as_str(), how) {
        (Some("already"), How::Start) => "runs already",
        (Some("already"), How::Stop { .. }) => "is stopped already",
        (Some(done), _) => done,
        (None, _) => "?",
    };
    format!("{} {}\n", printable(name), printable(what))
}

/// Answer to `stop` and `undefine`.
pub(super) fn ended(answer: &Ended) -> String {
    let what = match (answer.result, answer.running) {
        (LifeOutcome::Stopped, _) => "stopped",
        (LifeOutcome::Undefined, true) => "undefined; it runs on until it is stopped",
        (LifeOutcome::Undefined, false) => "undefined",
        (LifeOutcome::Already, true) => "is not defined",
        (LifeOutcome::Already, false) => "is stopped already",
    };
    said(&answer.name, what, &answer.notes)
}

/// Answer to `takeover`.
pub(super) fn taken_over(answer: &TakenOver) -> String {
    let what = match answer.result {
        Taken::Taken => "taken over: the daemon works its rings",
        Taken::Already => "is taken over already: the daemon works its rings",
    };
    said(&answer.name, what, &answer.notes)
}

fn said(name: &str, what: &str, notes: &[String]) -> String {
    let mut out = format!("{} {what}\n", printable(name));
    for note in notes {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "note: {}", printable(note));
    }
    out
}
