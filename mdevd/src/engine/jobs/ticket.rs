//! A command from the moment it is asked for until it has ended.

use std::sync::{Arc, OnceLock};

use serde_json::Value as Json;
use tokio::sync::{OwnedSemaphorePermit, watch};

use super::super::error::EngineError;
use super::current::{self, CutShort};
use super::registry::Jobs;
use super::table::Outcome;

/// What a command is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// Its method, by its D-Bus name.
    pub method: &'static str,
    /// The device; empty where there are several.
    pub device: String,
    /// Who asks.
    pub uid: u32,
}

/// A command. Dropped without having run, its job has failed.
#[derive(Debug)]
pub struct Ticket(Arc<Inner>);

/// What the command's own thread knows about it.
#[derive(Debug)]
pub(super) struct Inner {
    pub(super) jobs: Jobs,
    about: About,
    /// A caller waits for it to end.
    pub(super) awaited: bool,
    /// Its job, once it has one: a number, and whether it is to be cut short.
    job: OnceLock<Option<(u32, Heard)>>,
}

pub(super) type Heard = watch::Receiver<Option<CutShort>>;

impl Inner {
    /// Its job; one is made if there is none.
    pub(super) fn show_up(&self) -> Option<&(u32, Heard)> {
        let job = self.job.get_or_init(|| self.jobs.show_up(&self.about));
        job.as_ref()
    }

    /// Its job, if it has one.
    pub(super) fn job(&self) -> Option<&(u32, Heard)> {
        self.job.get().and_then(Option::as_ref)
    }
}

impl Ticket {
    /// Of what is a job from the beginning.
    pub(super) fn of_job(jobs: Jobs, about: About, job: (u32, Heard)) -> Self {
        Self(Arc::new(Inner {
            jobs,
            about,
            awaited: false,
            job: OnceLock::from(Some(job)),
        }))
    }

    /// Of what may become one.
    pub(super) fn of_command(jobs: Jobs, about: About, awaited: bool) -> Self {
        Self(Arc::new(Inner {
            jobs,
            about,
            awaited,
            job: OnceLock::new(),
        }))
    }

    /// Its job's number, if it has one.
    pub fn id(&self) -> Option<u32> {
        self.0.job().map(|(id, _)| *id)
    }

    /// Waits for its turn among the jobs; `None`: it was cancelled before that came, and has ended.
    pub async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        self.unless_cut(self.0.jobs.turn()).await.flatten()
    }

    /// Waits for something before it begins; `None`: it was cancelled before that came, and has ended.
    pub async fn unless_cut<T>(&self, what: impl Future<Output = T>) -> Option<T> {
        let (_, heard) = self.0.job()?;
        let mut heard = heard.clone();
        tokio::select! {
            biased;
            _ = heard.wait_for(Option::is_some) => None,
            came = what => Some(came),
        }
    }

    /// Does `work` on this thread, which may block; its job ends with it.
    ///
    /// # Errors
    /// Those of `work`; or it was cancelled before.
    pub fn run(self, work: impl FnOnce() -> Outcome) -> Result<Json, EngineError> {
        if let Some((id, heard)) = self.0.job()
            && !self.0.jobs.begin(*id)
        {
            let why = heard.borrow().unwrap_or(CutShort::Cancelled);
            return Err(why.on(self.0.about.method, &self.0.about.device));
        }
        let outcome = current::with(self.0.clone(), work);
        if let Some((id, _)) = self.0.job() {
            self.0.jobs.end(*id, &outcome);
        }
        outcome
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        // Nothing where it has ended, as it has unless its thread panicked or the daemon goes down.
        if let Some((id, _)) = self.0.job() {
            let error = EngineError::Internal {
                attempted: self.0.about.method,
                name: self.0.about.device.clone(),
                why: "the command did not end well".to_owned(),
            };
            self.0.jobs.end(*id, &Err(error));
        }
    }
}
