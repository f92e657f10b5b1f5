//! The jobs there are, and the ended ones that are still shown. Bounded in number, in time, and in bytes.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use serde_json::Value as Json;
use tokio::sync::watch;

use super::super::error::EngineError;
use super::current::CutShort;
use super::registry::JobLimits;
use super::view::{JobFailure, JobState, JobView};

/// What a command comes to.
pub(super) type Outcome = Result<Json, EngineError>;

/// The same as it is kept: an answer is its text, as JSON, for a tree of values takes many times that.
pub(super) type Kept = Result<Box<str>, EngineError>;

/// One that is queued or runs.
#[derive(Debug)]
pub(super) struct Current {
    pub(super) view: JobView,
    /// It was asked for as a job, and counts against its user's share.
    pub(super) asked: bool,
    /// Open doors.
    pub(super) doors: u32,
    /// What its answer, which is none of an error, will tell of.
    pub(super) shortfall: Option<JobFailure>,
    pub(super) cut: watch::Sender<Option<CutShort>>,
}

impl Current {
    /// It would be true to say that it was cancelled.
    pub(super) fn cancellable(&self) -> bool {
        self.view.state == JobState::Queued || self.doors > 0
    }
}

/// One that has ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) view: JobView,
    pub(super) outcome: Arc<Kept>,
    bytes: usize,
    until: Instant,
}

#[derive(Debug, Default)]
pub(super) struct Table {
    pub(super) last: u32,
    pub(super) sequence: u64,
    pub(super) current: BTreeMap<u32, Current>,
    /// The oldest first.
    pub(super) ended: VecDeque<Ended>,
    bytes: usize,
    pub(super) closed: bool,
}

impl Table {
    pub(super) fn view(&self, id: u32) -> Option<&JobView> {
        let current = self.current.get(&id).map(|job| &job.view);
        current.or_else(|| self.ended(id).map(|ended| &ended.view))
    }

    pub(super) fn ended(&self, id: u32) -> Option<&Ended> {
        self.ended.iter().find(|ended| ended.view.id == id)
    }

    /// A number that no job has.
    pub(super) fn next_id(&mut self) -> u32 {
        loop {
            self.last = self.last.checked_add(1).unwrap_or(1);
            if self.view(self.last).is_none() {
                return self.last;
            }
        }
    }

    /// Jobs that `uid` asked for and that have not ended.
    pub(super) fn of(&self, uid: u32) -> usize {
        let asked = |job: &&Current| job.asked && job.view.uid == uid;
        self.current.values().filter(asked).count()
    }

    /// Keeps what has ended until there is no room for it; the numbers of those that had to give way.
    pub(super) fn keep(
        &mut self,
        view: JobView,
        outcome: Kept,
        now: Instant,
        limits: &JobLimits,
    ) -> Vec<u32> {
        let answer = match &outcome {
            Ok(answer) => answer.len(),
            Err(error) => error.to_string().len(),
        };
        let why = view.error.as_ref().map_or(0, |error| error.message.len());
        let bytes = view.device.len() + why + answer;
        self.bytes += bytes;
        self.ended.push_back(Ended {
            view,
            outcome: Arc::new(outcome),
            bytes,
            until: now + limits.kept_for,
        });
        let mut gone = self.expire(now);
        loop {
            let at = if self.ended.len() > limits.kept {
                self.oldest_of_the_greediest(|_| 1)
            } else if self.bytes > limits.bytes && self.ended.len() > 1 {
                self.oldest_of_the_greediest(|ended| ended.bytes)
            } else {
                break;
            };
            let Some(at) = at else { break };
            gone.extend(self.forget(at));
        }
        gone
    }

    /// Who has most of what there is too much of gives up an ended job: nobody's are pushed out by another user's while
    /// that one has others. What has ended last stays.
    fn oldest_of_the_greediest(&self, cost: impl Fn(&Ended) -> usize) -> Option<usize> {
        let mut costs: HashMap<u32, usize> = HashMap::new();
        for ended in &self.ended {
            *costs.entry(ended.view.uid).or_default() += cost(ended);
        }
        let older = self.ended.len().saturating_sub(1);
        let older = self.ended.iter().take(older).map(|ended| ended.view.uid);
        let uid = older.clone().max_by_key(|uid| (costs.get(uid), *uid))?;
        older.into_iter().position(|its| its == uid)
    }

    fn forget(&mut self, at: usize) -> Option<u32> {
        let ended = self.ended.remove(at)?;
        self.bytes -= ended.bytes;
        Some(ended.view.id)
    }

    /// Forgets those whose time is over.
    pub(super) fn expire(&mut self, now: Instant) -> Vec<u32> {
        let mut gone = Vec::new();
        while self.ended.front().is_some_and(|ended| ended.until <= now) {
            gone.extend(self.forget(0));
        }
        gone
    }

    /// When the next one is forgotten.
    pub(super) fn next_expiry(&self) -> Option<Instant> {
        self.ended.front().map(|ended| ended.until)
    }
}
