//! What a command says about itself while it runs, from its own thread. Without a command around, nothing.

use std::cell::RefCell;
use std::sync::Arc;

use super::super::error::{EngineError, ErrorKind};
use super::ticket::Inner;

thread_local! {
    static CURRENT: RefCell<Option<Arc<Inner>>> = const { RefCell::new(None) };
}

/// Why a command ends before it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CutShort {
    /// Somebody wanted that.
    Cancelled,
    /// The daemon is stopping.
    Stopping,
}

impl CutShort {
    /// The sort of refusal.
    pub const fn kind(self) -> ErrorKind {
        match self {
            Self::Cancelled => ErrorKind::Cancelled,
            Self::Stopping => ErrorKind::Stopping,
        }
    }

    /// A half of a sentence.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Cancelled => "it was cancelled",
            Self::Stopping => "the daemon is stopping",
        }
    }

    /// The refusal of what was `attempted` on `name`.
    pub fn on(self, attempted: &'static str, name: &str) -> EngineError {
        EngineError::Refused {
            attempted,
            name: name.to_owned(),
            kind: self.kind(),
            why: self.words().to_owned(),
        }
    }
}

/// Does `work` as `command`.
pub(super) fn with<T>(command: Arc<Inner>, work: impl FnOnce() -> T) -> T {
    struct Back(Option<Arc<Inner>>);
    impl Drop for Back {
        fn drop(&mut self) {
            CURRENT.set(self.0.take());
        }
    }
    let _back = Back(CURRENT.replace(Some(command)));
    work()
}

fn current() -> Option<Arc<Inner>> {
    CURRENT.with_borrow(Clone::clone)
}

/// The command on this thread is long, and has so many steps.
pub fn long(steps: u64) {
    if let Some(command) = current()
        && let Some((id, _)) = command.show_up()
    {
        command.jobs.set_total(*id, steps);
    }
}

/// So many more of them are done.
pub fn advance(steps: u64) {
    if let Some(command) = current()
        && let Some((id, _)) = command.job()
    {
        command.jobs.advance(*id, steps);
    }
}

/// The command on this thread takes long from here on; until the door is shut it can be cancelled.
pub fn waits() -> Door {
    let shown = current().filter(|command| command.show_up().is_some());
    if let Some(command) = &shown
        && let Some((id, _)) = command.job()
    {
        command.jobs.open_door(*id);
    }
    Door(shown)
}

/// The command on this thread takes long from here on, and cannot be cancelled.
pub fn tells() {
    if let Some(command) = current() {
        command.show_up();
    }
}

/// The command on this thread has an answer, and that tells of a failure.
pub fn fall_short(why: &EngineError) {
    if let Some(command) = current()
        && let Some((id, _)) = command.job()
    {
        command.jobs.fall_short(*id, why);
    }
}

/// A caller waits for the command on this thread, and would rather have it refused than late.
pub fn awaited() -> bool {
    current().is_some_and(|command| command.awaited)
}

/// Why the command on this thread is to end before it is done, if it is.
pub fn cut_short() -> Option<CutShort> {
    let command = current()?;
    let (_, heard) = command.job()?;
    *heard.borrow()
}

/// Comes to pass when the command on this thread is to end before it is done, wherever it is waited for.
pub fn cancelled() -> impl Future<Output = ()> + Send + 'static {
    let heard = current().and_then(|command| Some(command.job()?.1.clone()));
    async move {
        if let Some(mut heard) = heard
            && heard.wait_for(Option::is_some).await.is_ok()
        {
            return;
        }
        std::future::pending::<()>().await;
    }
}

/// While it is open, the command can be cancelled. Doors may stand within one another.
#[derive(Debug)]
pub struct Door(Option<Arc<Inner>>);

impl Door {
    /// Whoever cancels comes too late from here on, unless another door stands open.
    ///
    /// # Errors
    /// Somebody came in time: the command is to go back.
    pub fn shut(self) -> Result<(), CutShort> {
        let command = self.0.clone();
        drop(self);
        let heard = command.as_ref().and_then(|command| command.job());
        heard
            .and_then(|(_, heard)| *heard.borrow())
            .map_or(Ok(()), Err)
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        if let Some(command) = self.0.take()
            && let Some((id, _)) = command.job()
        {
            command.jobs.shut_door(*id);
        }
    }
}
