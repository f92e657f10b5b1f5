//! Jobs: shown, cancelled, asked what they came to, and followed on a terminal.

use std::io::{self, IsTerminal, Write};

use serde_json::{Value as Json, json};
use tokio::signal::unix::{SignalKind, signal};

use super::commands::{PAGE, answer};
use super::table::{Cell, cut, number, number_text, ranked, text, toned};
use super::terminal::{Terminal, Tone};
use super::{Answer, Failure, REFUSED};
use crate::bus::{CallError, ManagerClient, Options, typed};
use crate::engine::{ErrorKind, JobState, JobView};
use crate::limits::{MAX_PROGRESS_PAUSE, MIN_PAUSE};

/// What to do with jobs.
#[derive(Clone, Debug, clap::Args)]
pub struct Jobs {
    /// Have this one end with nothing done, or between two devices
    #[arg(long, value_name = "ID", value_parser = id)]
    pub cancel: Option<u32>,
    /// Print what this one has come to: the answer of its command
    #[arg(long, value_name = "ID", value_parser = id, conflicts_with = "cancel")]
    pub result: Option<u32>,
}

fn id(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| {
        format!(
            "write the number of a job, a whole number from 1 to {}; 'cvfctl jobs' shows them",
            u32::MAX
        )
    })
}

/// Answer to `jobs`.
pub(super) async fn run(
    client: &ManagerClient,
    terminal: Terminal,
    wanted: &Jobs,
) -> Result<Answer, Failure> {
    if let Some(id) = wanted.cancel {
        client.cancel_job(id).await?;
        return Ok(Answer {
            json: json!({ "result": "asked", "id": id }),
            text: format!("job {id} was asked to end; 'cvfctl jobs' shows when it has\n"),
        });
    }
    if let Some(id) = wanted.result {
        let json = client.job_result(id).await?;
        let text = serde_json::to_string_pretty(&json).map_err(|error| Failure {
            code: REFUSED,
            kind: "internal".to_owned(),
            message: format!("cannot print the answer: {error}"),
        })?;
        return Ok(Answer {
            json,
            text: format!("{text}\n"),
        });
    }
    let mut jobs = Vec::new();
    let mut after = 0;
    loop {
        let (page, next) = client.jobs(after, PAGE).await?;
        jobs.extend(page);
        if next == 0 {
            break;
        }
        after = next;
    }
    answer(Json::Array(jobs), |jobs: &Vec<_>| list(terminal, jobs))
}

fn list(terminal: Terminal, jobs: &[JobView]) -> String {
    if jobs.is_empty() {
        return "no jobs; imports, and commands that wait for callouts, are jobs while they run\n"
            .to_owned();
    }
    let rows: Vec<Vec<Cell>> = jobs
        .iter()
        .map(|job| {
            let tone = match job.state {
                JobState::Queued => Tone::Plain,
                JobState::Running => Tone::Busy,
                JobState::Done => Tone::Good,
                JobState::Failed => Tone::Bad,
                JobState::Cancelled => Tone::Warn,
            };
            let why = job.error.as_ref().map(|error| error.message.as_str());
            vec![
                number(job.id),
                text(job.method.to_lowercase()),
                text(&job.device),
                toned(tone, job.state.word()),
                number_text(format!("{}/{}", job.done, job.total)),
                number(job.uid),
                text(why.unwrap_or_default()),
            ]
        })
        .collect();
    let heading = ["ID", "COMMAND", "DEVICE", "STATE", "STEPS", "UID", "REASON"];
    ranked(terminal, &heading, &[0, 0, 0, 0, 1, 2, 0], &rows)
}

/// Somebody looks on while a command takes long.
pub(super) fn watched() -> bool {
    io::stderr().is_terminal()
}

/// Does an import as a job, and shows how far it is. SIGINT cancels it; a second one leaves it to itself.
pub(super) async fn import(
    client: &ManagerClient,
    document: &str,
    mut options: Options,
    refused: impl Fn(CallError) -> Failure,
) -> Result<Json, Failure> {
    let interrupt = signal(SignalKind::interrupt());
    let mut interrupt = interrupt.map_err(|error| Failure {
        code: REFUSED,
        kind: "internal".to_owned(),
        message: format!("cannot wait for signals: {error}"),
    })?;
    let plainly = options.clone();
    options.insert("job", true.into());
    let begun = match client.import(document, options).await {
        // There are too many jobs: those who wait are served all the same, only not shown.
        Err(CallError::Refused {
            kind: Some(ErrorKind::NoResources),
            ..
        }) => return client.import(document, plainly).await.map_err(&refused),
        begun => begun.map_err(&refused)?,
    };
    let id = begun["id"].as_u64().and_then(|id| u32::try_from(id).ok());
    let id = id.ok_or_else(|| CallError::Strange("it names no job".to_owned()))?;
    let mut pause = MIN_PAUSE;
    let mut cancelled = false;
    loop {
        let job: JobView = typed(client.job(id).await?)?;
        if job.state.over() {
            show("");
            return client.job_result(id).await.map_err(&refused);
        }
        show(&progress(&job));
        tokio::select! {
            () = tokio::time::sleep(pause) => pause = (pause * 2).min(MAX_PROGRESS_PAUSE),
            _ = interrupt.recv() => {
                show("");
                if cancelled {
                    return Err(Failure {
                        code: REFUSED,
                        kind: "interrupted".to_owned(),
                        message: format!("interrupted; {} goes on, see 'cvfctl jobs'", job.named()),
                    });
                }
                cancelled = true;
                if let Err(error) = client.cancel_job(id).await {
                    let _ = writeln!(io::stderr(), "cvfctl: {error}");
                }
            }
        }
    }
}

/// "import: 120 of 300 steps (40 %)".
fn progress(job: &JobView) -> String {
    let JobView { done, total, .. } = job;
    let percent = done.saturating_mul(100) / (*total).max(1);
    match job.state {
        JobState::Queued => "import: waits for other jobs".to_owned(),
        _ => format!("import: {done} of {total} steps ({percent} %)"),
    }
}

/// In place of what stood in the line.
fn show(line: &str) {
    let mut out = io::stderr().lock();
    let _ = write!(out, "\r\x1b[K{}", cut(line, 79));
    let _ = out.flush();
}

#[cfg(test)]
mod tests;
