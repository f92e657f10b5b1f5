//! A job, as it is shown.

use serde::{Deserialize, Serialize};

use super::super::error::EngineError;
use crate::limits::MAX_JOB_REASON;

/// How far a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum JobState {
    /// Nothing of it has begun; others run.
    Queued,
    /// It runs.
    Running,
    /// It has ended, and has an answer.
    Done,
    /// It was refused or failed.
    Failed,
    /// It was cut short.
    Cancelled,
}

impl JobState {
    /// The state's word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// It does not change any more.
    pub const fn over(self) -> bool {
        matches!(self, Self::Done | Self::Failed | Self::Cancelled)
    }
}

/// Why a job has no answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobFailure {
    /// What sort, by the name that `cvfctl --json` prints.
    pub kind: String,
    /// The same by its D-Bus name.
    pub name: String,
    /// The sentence.
    pub message: String,
}

impl From<&EngineError> for JobFailure {
    fn from(error: &EngineError) -> Self {
        Self {
            kind: error.kind().kebab().to_owned(),
            name: error.kind().dbus_name().to_owned(),
            message: cut(error.to_string()),
        }
    }
}

/// The sentence, as far as a list of many jobs has room for it. Whole it is in the job's result.
fn cut(mut sentence: String) -> String {
    if sentence.len() > MAX_JOB_REASON {
        let whole = |at: &usize| sentence.is_char_boundary(*at);
        let end = (0..=MAX_JOB_REASON).rev().find(whole);
        sentence.truncate(end.unwrap_or(0));
        sentence.push('…');
    }
    sentence
}

/// A job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobView {
    /// Its number since the daemon's start, from 1.
    pub id: u32,
    /// The method, by its D-Bus name.
    pub method: String,
    /// The device; none where there are several, or none was named.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub device: String,
    /// How far it is.
    pub state: JobState,
    /// Steps that are done.
    pub done: u64,
    /// Of so many.
    pub total: u64,
    /// The user who asked for it.
    pub uid: u32,
    /// When it was asked for, in microseconds since 1970.
    pub asked_us: u64,
    /// When it began to run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_us: Option<u64>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_us: Option<u64>,
    /// Why it has no answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<JobFailure>,
}

impl JobView {
    /// "job 7 (Start 'web1')".
    pub fn named(&self) -> String {
        let Self {
            id, method, device, ..
        } = self;
        if device.is_empty() {
            format!("job {id} ({method})")
        } else {
            format!("job {id} ({method} '{device}')")
        }
    }
}

/// One page of jobs, in the order in which they were asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobPage {
    /// The jobs.
    pub jobs: Vec<JobView>,
    /// The `after` of the next page; 0 after the last.
    pub next: u32,
}
