//! The manager's signals about jobs: each is told once when it is new, and once when it has ended.

use std::collections::HashMap;

use zbus::Connection;
use zbus::zvariant::ObjectPath;

use super::commands::job_path;
use super::{MANAGER_INTERFACE, MANAGER_PATH};
use crate::engine::jobs::{JobNews, JobState, JobView, News};

/// What one listener has been told.
#[derive(Debug, Default)]
pub(super) struct JobSignals {
    /// Jobs that are shown; whether their end was told.
    known: HashMap<u32, bool>,
}

/// A signal that is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum JobSignal {
    New(u32),
    Removed(u32, JobState),
}

impl JobSignals {
    /// Nothing is to be told about these any more but that they end.
    pub(super) fn of(views: &[JobView]) -> Self {
        let known = views.iter().map(|view| (view.id, view.state.over()));
        Self {
            known: known.collect(),
        }
    }

    /// What is due now.
    pub(super) fn about(&mut self, news: &JobNews) -> Vec<JobSignal> {
        match &news.news {
            News::Now(view) => self.seen(view),
            News::Forgotten(id) => {
                self.known.remove(id);
                Vec::new()
            }
        }
    }

    /// The same where news were missed and these are all jobs.
    pub(super) fn about_all(&mut self, views: &[JobView]) -> Vec<JobSignal> {
        let due = views.iter().flat_map(|view| self.seen(view)).collect();
        *self = Self::of(views);
        due
    }

    fn seen(&mut self, view: &JobView) -> Vec<JobSignal> {
        let mut due = Vec::new();
        let told = self.known.insert(view.id, view.state.over());
        if told.is_none() {
            due.push(JobSignal::New(view.id));
        }
        if view.state.over() && told != Some(true) {
            due.push(JobSignal::Removed(view.id, view.state));
        }
        due
    }
}

impl JobSignal {
    /// Sends it.
    ///
    /// # Errors
    /// The connection has ended.
    pub(super) async fn send(&self, connection: &Connection) -> zbus::Result<()> {
        let (Self::New(id) | Self::Removed(id, _)) = self;
        let path = ObjectPath::try_from(job_path(*id))?;
        let (bus, to) = (connection, None::<&str>);
        let (at, of) = (MANAGER_PATH, MANAGER_INTERFACE);
        match self {
            Self::New(id) => bus.emit_signal(to, at, of, "JobNew", &(id, path)).await,
            Self::Removed(id, state) => {
                let body = (id, path, state.word());
                bus.emit_signal(to, at, of, "JobRemoved", &body).await
            }
        }
    }
}
