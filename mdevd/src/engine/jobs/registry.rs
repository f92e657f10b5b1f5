//! The daemon's jobs.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde_json::Value as Json;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast, watch};

use super::super::error::{EngineError, ErrorKind};
use super::super::events::now_us;
use super::current::CutShort;
use super::table::{Current, Kept, Outcome, Table};
use super::ticket::{About, Heard, Ticket};
use super::view::{JobFailure, JobPage, JobState, JobView};
use crate::limits::{
    JOB_KEPT, MAX_ENDED_JOBS, MAX_JOB_BYTES, MAX_JOB_NEWS, MAX_JOBS, MAX_JOBS_AT_ONCE,
    MAX_JOBS_OF_ONE, MAX_PAGE,
};

/// How many jobs there are, and how long they are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobLimits {
    /// Queued and running.
    pub all: usize,
    /// Of those, asked for by one user.
    pub of_one: usize,
    /// Of those that were asked for, running.
    pub at_once: usize,
    /// Ended ones that are shown.
    pub kept: usize,
    /// For so long.
    pub kept_for: Duration,
    /// Bytes of what they are about and of their answers, as JSON.
    pub bytes: usize,
}

impl Default for JobLimits {
    fn default() -> Self {
        Self {
            all: MAX_JOBS,
            of_one: MAX_JOBS_OF_ONE,
            at_once: MAX_JOBS_AT_ONCE,
            kept: MAX_ENDED_JOBS,
            kept_for: JOB_KEPT,
            bytes: MAX_JOB_BYTES,
        }
    }
}

/// A number that no job has.
const NO_JOB: u32 = 0;

/// Something about a job.
#[derive(Clone, Debug)]
pub struct JobNews {
    /// Place in their order, counted from 1 without gaps.
    pub sequence: u64,
    /// What.
    pub news: News,
}

/// What there is to tell.
#[derive(Clone, Debug)]
pub enum News {
    /// It is new, or so now.
    Now(Box<JobView>),
    /// It is not shown any more.
    Forgotten(u32),
}

/// All jobs of a daemon; clones are the same. Callable from any thread; nothing blocks.
#[derive(Clone, Debug)]
pub struct Jobs(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    limits: JobLimits,
    table: Mutex<Table>,
    told: broadcast::Sender<Arc<JobNews>>,
    turns: Arc<Semaphore>,
}

impl Default for Jobs {
    fn default() -> Self {
        Self::with(JobLimits::default())
    }
}

impl Jobs {
    /// None yet, and never more than `limits` say.
    pub fn with(limits: JobLimits) -> Self {
        Self(Arc::new(Shared {
            limits,
            table: Mutex::default(),
            told: broadcast::Sender::new(MAX_JOB_NEWS),
            turns: Arc::new(Semaphore::new(limits.at_once)),
        }))
    }

    /// A command that was asked for as a job: it is queued.
    ///
    /// # Errors
    /// [`ErrorKind::NoResources`]: names the limit; [`ErrorKind::Stopping`].
    pub fn ask(&self, about: About) -> Result<Ticket, EngineError> {
        const ATTEMPTED: &str = "begin a job";
        let JobLimits { all, of_one, .. } = self.0.limits;
        let refuse = |kind, why| EngineError::Daemon {
            attempted: ATTEMPTED,
            kind,
            why,
        };
        let mut table = self.0.table.lock();
        if table.closed {
            let why = "the daemon is stopping; repeat when it runs again".to_owned();
            return Err(refuse(ErrorKind::Stopping, why));
        }
        let uid = about.uid;
        if table.of(uid) >= of_one {
            let why = format!(
                "{of_one} jobs of uid {uid} are queued or run, and that is the limit for one user; wait for one to \
                 end or cancel it ('cvfctl jobs'), or repeat without 'job'"
            );
            return Err(refuse(ErrorKind::NoResources, why));
        }
        if table.current.len() >= all {
            let why = format!(
                "{all} jobs are queued or run, and that is the limit; wait for some to end, or repeat without 'job'"
            );
            return Err(refuse(ErrorKind::NoResources, why));
        }
        let (cut, heard) = watch::channel(None);
        let id = self.enter(&mut table, &about, JobState::Queued, cut);
        drop(table);
        Ok(Ticket::of_job(self.clone(), about, (id, heard)))
    }

    /// A command whose caller waits: it is a job once it turns out to be long.
    pub fn attend(&self, about: About) -> Ticket {
        Ticket::of_command(self.clone(), about, true)
    }

    /// The same of what the daemon does by itself.
    pub fn undertake(&self, about: About) -> Ticket {
        Ticket::of_command(self.clone(), about, false)
    }

    /// One that is long after all; `None`: there are too many to show it. Where no more are taken it is cut short from
    /// the beginning, and shown to nobody.
    pub(super) fn show_up(&self, about: &About) -> Option<(u32, Heard)> {
        let mut table = self.0.table.lock();
        if table.closed {
            let (_, heard) = watch::channel(Some(CutShort::Stopping));
            return Some((NO_JOB, heard));
        }
        if table.current.len() >= self.0.limits.all {
            return None;
        }
        let (cut, heard) = watch::channel(None);
        let id = self.enter(&mut table, about, JobState::Running, cut);
        Some((id, heard))
    }

    fn enter(
        &self,
        table: &mut Table,
        about: &About,
        state: JobState,
        cut: watch::Sender<Option<CutShort>>,
    ) -> u32 {
        let id = table.next_id();
        let now = now_us();
        let view = JobView {
            id,
            method: about.method.to_owned(),
            device: about.device.clone(),
            state,
            done: 0,
            total: 1,
            uid: about.uid,
            asked_us: now,
            started_us: (state == JobState::Running).then_some(now),
            ended_us: None,
            error: None,
        };
        let job = Current {
            view: view.clone(),
            asked: state == JobState::Queued,
            doors: 0,
            shortfall: None,
            cut,
        };
        table.current.insert(id, job);
        self.tell(table, News::Now(view.into()));
        id
    }

    /// Waits for a queued job's turn.
    pub(super) async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        self.0.turns.clone().acquire_owned().await.ok()
    }

    /// A queued job begins; false: it was cancelled before.
    pub(super) fn begin(&self, id: u32) -> bool {
        self.change(id, |job| {
            job.view.state = JobState::Running;
            job.view.started_us = Some(now_us());
            true
        })
        .is_some()
    }

    /// Changes a job that has not ended, and tells it where `how` says so.
    fn change(&self, id: u32, how: impl FnOnce(&mut Current) -> bool) -> Option<()> {
        let mut table = self.0.table.lock();
        let job = table.current.get_mut(&id)?;
        if how(job) {
            let view = Box::new(job.view.clone());
            self.tell(&mut table, News::Now(view));
        }
        Some(())
    }

    pub(super) fn open_door(&self, id: u32) {
        let mut table = self.0.table.lock();
        let closed = table.closed;
        if let Some(job) = table.current.get_mut(&id) {
            job.doors += 1;
            // It could not be cut when the others were.
            if closed {
                job.cut.send_replace(Some(CutShort::Stopping));
            }
        }
    }

    pub(super) fn shut_door(&self, id: u32) {
        self.change(id, |job| {
            job.doors = job.doors.saturating_sub(1);
            false
        });
    }

    pub(super) fn set_total(&self, id: u32, total: u64) {
        self.change(id, |job| {
            job.view.total = total;
            true
        });
    }

    /// So many more steps are done. Told a hundred times at most.
    pub(super) fn advance(&self, id: u32, steps: u64) {
        self.change(id, |job| {
            let view = &mut job.view;
            let percent = |view: &JobView| view.done.saturating_mul(100) / view.total.max(1);
            let before = percent(view);
            view.done = view.done.saturating_add(steps).min(view.total);
            percent(view) != before
        });
    }

    /// Its answer will tell of a failure.
    pub(super) fn fall_short(&self, id: u32, why: &EngineError) {
        self.change(id, |job| {
            job.shortfall = Some(JobFailure::from(why));
            false
        });
    }

    /// It has come to `outcome`.
    pub(super) fn end(&self, id: u32, outcome: &Outcome) {
        let kept = match outcome {
            Ok(answer) => Ok(answer.to_string().into()),
            Err(error) => Err(error.clone()),
        };
        let mut table = self.0.table.lock();
        self.end_in(&mut table, id, kept);
    }

    fn end_in(&self, table: &mut Table, id: u32, outcome: Kept) {
        let Some(job) = table.current.remove(&id) else {
            return;
        };
        let Current {
            mut view,
            cut,
            shortfall,
            ..
        } = job;
        view.ended_us = Some(now_us());
        view.error = outcome.as_ref().err().map(JobFailure::from).or(shortfall);
        view.state = match (&view.error, &*cut.borrow()) {
            (_, Some(_)) => JobState::Cancelled,
            (None, None) => JobState::Done,
            (Some(_), None) => JobState::Failed,
        };
        // What has no steps of its own is one.
        if view.total == 1 && view.state == JobState::Done {
            view.done = 1;
        }
        let named = view.named();
        tracing::debug!(job = id, state = view.state.word(), "{named} has ended");
        self.tell(table, News::Now(view.clone().into()));
        for gone in table.keep(view, outcome, Instant::now(), &self.0.limits) {
            self.tell(table, News::Forgotten(gone));
        }
    }

    fn tell(&self, table: &mut Table, news: News) {
        table.sequence += 1;
        let sequence = table.sequence;
        // Nobody listening is no failure.
        let _ = self.0.told.send(Arc::new(JobNews { sequence, news }));
    }

    /// Up to `limit` jobs with numbers after `after`.
    pub fn list(&self, after: u32, limit: usize) -> JobPage {
        let limit = limit.clamp(1, MAX_PAGE);
        let table = self.expired();
        let current = table.current.values().map(|job| &job.view);
        let all = current.chain(table.ended.iter().map(|ended| &ended.view));
        let mut views: Vec<_> = all.filter(|view| view.id > after).collect();
        views.sort_by_key(|view| view.id);
        let more = views.len() > limit;
        views.truncate(limit);
        JobPage {
            next: views.last().filter(|_| more).map_or(0, |view| view.id),
            jobs: views.into_iter().cloned().collect(),
        }
    }

    /// One job.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`].
    pub fn show(&self, id: u32) -> Result<JobView, EngineError> {
        let table = self.expired();
        table.view(id).cloned().ok_or_else(|| unknown(id))
    }

    /// What a job has come to: the answer of its method.
    ///
    /// # Errors
    /// The error of its method; [`ErrorKind::NotReady`]: it has not ended; [`ErrorKind::NotFound`].
    pub fn result(&self, id: u32) -> Result<Json, EngineError> {
        let table = self.expired();
        if let Some(ended) = table.ended(id) {
            let outcome = ended.outcome.clone();
            drop(table);
            return match &*outcome {
                Ok(text) => serde_json::from_str(text).map_err(|error| EngineError::Daemon {
                    attempted: "tell the result",
                    kind: ErrorKind::Internal,
                    why: error.to_string(),
                }),
                Err(error) => Err(error.clone()),
            };
        }
        let view = table.view(id).ok_or_else(|| unknown(id))?;
        Err(EngineError::Daemon {
            attempted: "tell the result",
            kind: ErrorKind::NotReady,
            why: format!(
                "{} is {}; wait for JobRemoved, or look at its state ('cvfctl jobs')",
                view.named(),
                view.state.word()
            ),
        })
    }

    /// Has a job end as soon as it can: with nothing done, or between two devices. It tells so when it has.
    ///
    /// # Errors
    /// [`ErrorKind::NotCancellable`]: it is where it cannot go back, or has ended; [`ErrorKind::NotFound`].
    pub fn cancel(&self, id: u32) -> Result<(), EngineError> {
        let mut table = self.expired();
        let named = table.view(id).ok_or_else(|| unknown(id))?.named();
        let refuse = |why: &str| EngineError::Daemon {
            attempted: "cancel",
            kind: ErrorKind::NotCancellable,
            why: format!("{named} {why}"),
        };
        let Some(job) = table.current.get(&id) else {
            return Err(refuse("has ended; 'cvfctl jobs' shows how"));
        };
        if job.cut.borrow().is_some() {
            return Ok(());
        }
        if !job.cancellable() {
            return Err(refuse(
                "is where it cannot go back: it waits for nobody, or what it was to do is done and scripts are \
                 being told; it ends by itself",
            ));
        }
        self.cut(&mut table, id, CutShort::Cancelled);
        tracing::info!(job = id, "{named} is cancelled");
        Ok(())
    }

    /// What has not begun ends at once; what runs sees it at its next look.
    fn cut(&self, table: &mut Table, id: u32, why: CutShort) {
        let Some(job) = table.current.get(&id) else {
            return;
        };
        job.cut.send_replace(Some(why));
        if job.view.state == JobState::Queued {
            let error = EngineError::Daemon {
                attempted: "begin",
                kind: why.kind(),
                why: format!("{}, before anything of it had begun", why.words()),
            };
            self.end_in(table, id, Err(error));
        }
    }

    /// Takes no more jobs, and has those end that can.
    pub fn close(&self) {
        let mut table = self.0.table.lock();
        table.closed = true;
        let ids: Vec<u32> = {
            let open = table.current.iter().filter(|(_, job)| job.cancellable());
            open.map(|(&id, _)| id).collect()
        };
        for id in ids {
            self.cut(&mut table, id, CutShort::Stopping);
        }
    }

    /// Waits until none is queued or runs.
    pub async fn settled(&self) {
        let (mut listener, ..) = self.listen();
        while !self.0.table.lock().current.is_empty() {
            // Heard or missed: there is something to look at.
            let _ = listener.next().await;
        }
    }

    /// Forgets ended jobs whose time is over.
    pub fn expire(&self) {
        drop(self.expired());
    }

    /// When the next one is forgotten.
    pub fn next_expiry(&self) -> Option<Instant> {
        self.0.table.lock().next_expiry()
    }

    fn expired(&self) -> parking_lot::MutexGuard<'_, Table> {
        let mut table = self.0.table.lock();
        for gone in table.expire(Instant::now()) {
            self.tell(&mut table, News::Forgotten(gone));
        }
        table
    }

    /// Number of the last news.
    pub fn last_sequence(&self) -> u64 {
        self.0.table.lock().sequence
    }

    /// Listens from now on: all jobs there are, and the number of the last news before.
    pub fn listen(&self) -> (JobListener, Vec<JobView>, u64) {
        let table = self.0.table.lock();
        let current = table.current.values().map(|job| job.view.clone());
        let ended = table.ended.iter().map(|ended| ended.view.clone());
        let listener = JobListener(self.0.told.subscribe());
        (listener, ended.chain(current).collect(), table.sequence)
    }
}

fn unknown(id: u32) -> EngineError {
    EngineError::NotFound {
        attempted: String::new(),
        what: "job",
        name: id.to_string(),
        hint: String::new(),
    }
}

/// One ear at the news.
#[derive(Debug)]
pub struct JobListener(broadcast::Receiver<Arc<JobNews>>);

impl JobListener {
    /// Waits for the next; `Err`: some were missed, and everything is to be looked at anew.
    ///
    /// # Errors
    /// It was too slow.
    pub async fn next(&mut self) -> Result<Arc<JobNews>, Missed> {
        match self.0.recv().await {
            Ok(news) => Ok(news),
            Err(RecvError::Lagged(_)) => Err(Missed),
            // The jobs end with the daemon.
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }

    /// The next, if there is one.
    pub fn try_next(&mut self) -> Option<Result<Arc<JobNews>, Missed>> {
        match self.0.try_recv() {
            Ok(news) => Some(Ok(news)),
            Err(TryRecvError::Lagged(_)) => Some(Err(Missed)),
            Err(TryRecvError::Empty | TryRecvError::Closed) => None,
        }
    }
}

/// News were missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missed;
