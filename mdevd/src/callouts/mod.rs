//! Scripts of the operator that are asked before commands on devices, and told afterwards.
//!
//! Executables in one directory, run in the order of their names, one after the other. Nothing of them is trusted to
//! end: each has a deadline, and is killed with everything it started when that is over; of what it prints a little
//! is kept and the rest thrown away. Where the directory is empty or absent, a look at it is all that is done.

mod directory;
mod run;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use parking_lot::RwLock;
use serde_json::json;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, SemaphorePermit, watch};
use tokio::time::timeout;

use crate::engine::jobs::{self, CutShort};
use crate::engine::{Action, Hooks, Moment, Word};
use crate::limits::{
    CALLOUT_DEADLINE, CHANGE_DEADLINE, MAX_CALLOUT_DEADLINE, MAX_CALLOUTS_AT_ONCE,
    MAX_NOTIFICATIONS,
};
use directory::scripts;
use run::{Call, Ended, run};

/// What callouts are configured with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CalloutConfig {
    /// Where they are; `None`: nowhere.
    pub dir: Option<PathBuf>,
    /// Time that each has.
    pub deadline: Duration,
}

impl Default for CalloutConfig {
    fn default() -> Self {
        Self {
            dir: None,
            deadline: CALLOUT_DEADLINE,
        }
    }
}

/// Seconds that a script may be given.
///
/// # Errors
/// A sentence.
pub fn parse_deadline(text: &str) -> Result<Duration, String> {
    let most = MAX_CALLOUT_DEADLINE.as_secs();
    let seconds = text.parse::<u64>().ok();
    let fits = seconds.filter(|seconds| (1..=most).contains(seconds));
    fits.map(Duration::from_secs)
        .ok_or_else(|| format!("write whole seconds from 1 to {most}"))
}

/// Runs callouts. Callable from any thread that may block, for several devices at once.
#[derive(Debug)]
pub struct Callouts {
    shared: Arc<Shared>,
    notifier: SyncSender<Notification>,
}

#[derive(Debug)]
struct Shared {
    config: RwLock<CalloutConfig>,
    /// The daemon's socket, for scripts that ask it.
    address: PathBuf,
    runtime: Handle,
    slots: Semaphore,
    /// No more are run, and those that do are killed.
    closed: watch::Sender<bool>,
}

/// What is told once a command is over, to whoever it may concern.
#[derive(Debug)]
struct Notification {
    scripts: Vec<PathBuf>,
    call: Call,
}

impl Callouts {
    /// Runs what `config` says; scripts find the daemon at `address`. Starts a thread that ends with the last of the
    /// callouts.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn start(config: CalloutConfig, address: &Path, runtime: Handle) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            config: RwLock::new(config),
            address: address.to_owned(),
            runtime,
            slots: Semaphore::new(MAX_CALLOUTS_AT_ONCE),
            closed: watch::Sender::new(false),
        });
        let (notifier, waiting) = sync_channel::<Notification>(MAX_NOTIFICATIONS);
        let its = shared.clone();
        std::thread::Builder::new()
            .name("mdevd-notify".to_owned())
            .spawn(move || {
                while let Ok(Notification { scripts, call }) = waiting.recv() {
                    for script in &scripts {
                        // Whatever comes of it.
                        let _ = its.run(script, &call, std::future::pending());
                    }
                }
            })?;
        Ok(Self { shared, notifier })
    }

    /// Runs no more, and has those that run killed; comes to pass when they are gone. The runtime must be there until
    /// then.
    pub async fn close(&self) {
        self.shared.closed.send_replace(true);
        let all = u32::try_from(MAX_CALLOUTS_AT_ONCE).unwrap_or(u32::MAX);
        // It is never closed.
        let _ = self.shared.slots.acquire_many(all).await;
    }

    /// What is configured from now on.
    pub fn configure(&self, config: CalloutConfig) {
        *self.shared.config.write() = config;
    }

    fn call(&self, moment: Moment<'_>, event: &'static str, state: &'static str) -> Call {
        let definition = moment.definition;
        let mut document = definition.document();
        document.insert("uuid".to_owned(), definition.uuid.to_string().into());
        let persistent = !definition.life.transient;
        document.insert("persistent".to_owned(), persistent.into());
        let action = match moment.action {
            Action::Set => "set",
            other => other.word(),
        };
        let arguments = [
            ("-t", definition.personality.word()),
            ("-e", event),
            ("-a", action),
            ("-s", state),
            ("-u", &definition.uuid.to_string()),
            ("-p", &definition.pf),
            ("-n", &definition.name),
        ];
        Call {
            arguments: arguments
                .into_iter()
                .flat_map(|(option, value)| [option.to_owned(), value.to_owned()])
                .collect(),
            input: format!("{}\n", json!(document)),
            name: definition.name.clone(),
            uuid: definition.uuid.to_string(),
            event,
        }
    }

    fn found(&self) -> Result<Vec<PathBuf>, String> {
        let dir = self.shared.config.read().dir.clone();
        dir.map_or_else(|| Ok(Vec::new()), |dir| scripts(&dir))
    }
}

impl Shared {
    async fn slot(&self, patience: Option<Duration>) -> Option<SemaphorePermit<'_>> {
        let slot = self.slots.acquire();
        match patience {
            Some(patience) => timeout(patience, slot).await.ok()?.ok(),
            None => slot.await.ok(),
        }
    }

    /// Runs one script to its end or deadline, or until `cut` comes to pass. Where a caller waits it has so long to
    /// get its turn; else it waits for that.
    fn run(&self, script: &Path, call: &Call, cut: impl Future<Output = ()>) -> Result<(), String> {
        let deadline = self.config.read().deadline;
        let shown = script.display();
        let patience = jobs::awaited().then_some(CHANGE_DEADLINE);
        let mut closed = self.closed.subscribe();
        if *closed.borrow() {
            return Err("the daemon is stopping".to_owned());
        }
        let ended = self.runtime.block_on(async {
            let cut = async {
                tokio::select! {
                    () = cut => {}
                    _ = closed.wait_for(|closed| *closed) => {}
                }
            };
            tokio::pin!(cut);
            let slot = tokio::select! {
                biased;
                () = &mut cut => return Ended::Cut,
                slot = self.slot(patience) => slot,
            };
            match slot {
                Some(_slot) => run(script, call, &self.address, deadline, cut).await,
                None => Ended::Refused(format!(
                    "it did not get its turn: {MAX_CALLOUTS_AT_ONCE} others run, and that is the limit"
                )),
            }
        });
        let why = match ended {
            Ended::Well => return Ok(()),
            Ended::Refused(why) => why,
            Ended::Late => format!(
                "it had not ended after {} s, and was killed",
                deadline.as_secs()
            ),
            Ended::Cut => {
                let why = jobs::cut_short().map_or("it was cut short", CutShort::words);
                return Err(format!("{why} while callout {shown} was asked"));
            }
        };
        let (device, uuid, event) = (&call.name, &call.uuid, call.event);
        tracing::warn!(device, uuid, event, "callout {shown}: {why}");
        Err(format!("callout {shown}: {why}"))
    }
}

impl Hooks for Callouts {
    fn before(&self, moment: Moment<'_>) -> Result<(), String> {
        let scripts = self.found()?;
        if scripts.is_empty() {
            return Ok(());
        }
        let call = self.call(moment, "pre", "none");
        let door = jobs::waits();
        for script in &scripts {
            self.shared.run(script, &call, jobs::cancelled())?;
        }
        door.shut().map_err(|cut| cut.words().to_owned())
    }

    fn after(&self, moment: Moment<'_>, done: bool) {
        let device = &moment.definition.name;
        let uuid = moment.definition.uuid;
        let scripts = match self.found() {
            Ok(scripts) if scripts.is_empty() => return,
            Ok(scripts) => scripts,
            Err(why) => {
                tracing::warn!(device, %uuid, "callouts were not told: {why}");
                return;
            }
        };
        jobs::tells();
        let state = if done { "success" } else { "failure" };
        let call = self.call(moment, "post", state);
        for script in &scripts {
            // It is done; what they think of it was logged.
            let _ = self.shared.run(script, &call, std::future::pending());
        }
        let call = self.call(moment, "notify", state);
        match self.notifier.try_send(Notification { scripts, call }) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => {
                tracing::warn!(device, %uuid, "callouts are behind: this is not notified");
            }
            Err(TrySendError::Disconnected(_)) => {}
        }
    }
}

#[cfg(test)]
mod tests;
