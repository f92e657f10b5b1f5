//! Who may change something over the system bus.
//!
//! Root and the daemon's own user always. Everybody else as polkit says; where there is no polkit, members of
//! one configured group. A refusal says which of them refused.

use std::collections::HashMap;
use std::time::Instant;

use nix::unistd::Uid;
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use zbus::Connection;
use zbus::fdo::DBusProxy;
use zbus::names::{BusName, UniqueName};

use super::super::error::BusError;
use super::methods::Method;
use super::polkit::{Polkit, Verdict};
use crate::engine::ErrorKind;
use crate::limits::{CREDENTIALS_DEADLINE, DENIAL_LOG_PAUSE, MAX_PROMPTS, MAX_SHOWN};

/// A group whose members may manage devices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminGroup {
    /// As configured.
    pub name: String,
    /// Its number.
    pub gid: u32,
}

/// Decides. Its questions go over a connection of their own, so that answers come while calls wait.
#[derive(Debug)]
pub(super) struct Authority {
    connection: Connection,
    group: Option<AdminGroup>,
    /// Questions that a person is asked at a time.
    prompts: Semaphore,
    log: Mutex<DenialLog>,
}

/// Refusals in the log: whoever is refused without end does not fill it.
#[derive(Debug, Default)]
struct DenialLog {
    last: Option<Instant>,
    left_out: u64,
}

impl DenialLog {
    fn note(&mut self, sender: &UniqueName<'_>, message: &str) {
        if self
            .last
            .is_some_and(|last| last.elapsed() < DENIAL_LOG_PAUSE)
        {
            self.left_out += 1;
            return;
        }
        self.last = Some(Instant::now());
        let before = std::mem::take(&mut self.left_out);
        tracing::info!(%sender, unlogged_before = before, "denied: {message}");
    }
}

/// Who asks for what.
#[derive(Debug)]
pub(super) struct Ask<'a> {
    pub(super) sender: &'a UniqueName<'a>,
    /// The caller can wait while a person is asked.
    pub(super) interactive: bool,
    pub(super) method: &'a Method,
    /// The device.
    pub(super) name: &'a str,
}

impl Ask<'_> {
    fn denied(&self, why: &str) -> BusError {
        let name: String = self.name.chars().take(MAX_SHOWN).collect();
        let verb = self.method.verb;
        let message = match name.as_str() {
            "" => format!("cannot {verb} a device: {why}"),
            name => format!("cannot {verb} '{name}': {why}"),
        };
        BusError {
            kind: ErrorKind::Denied,
            message,
        }
    }
}

impl Authority {
    pub(super) fn new(connection: Connection, group: Option<AdminGroup>) -> Self {
        Self {
            connection,
            group,
            prompts: Semaphore::new(MAX_PROMPTS),
            log: Mutex::default(),
        }
    }

    /// Lets the call pass, or says who did not. Returns the user who asks, where that was a question.
    pub(super) async fn allow(&self, ask: Ask<'_>) -> Result<Option<u32>, BusError> {
        let decided = self.decide(&ask).await;
        if let Err(denied) = &decided {
            self.log.lock().note(ask.sender, &denied.message);
        }
        decided
    }

    async fn decide(&self, ask: &Ask<'_>) -> Result<Option<u32>, BusError> {
        let Some(action) = ask.method.right.action() else {
            return Ok(None);
        };
        let caller = match timeout(CREDENTIALS_DEADLINE, self.caller(ask.sender)).await {
            Ok(Ok(caller)) => caller,
            Ok(Err(error)) => {
                return Err(ask.denied(&format!("the bus does not say who is asking: {error}")));
            }
            Err(_) => {
                return Err(ask.denied("the bus does not say in time who is asking; repeat"));
            }
        };
        let Some(uid) = caller.uid else {
            return Err(ask.denied("the bus does not know which user is asking"));
        };
        if uid == 0 || uid == Uid::effective().as_raw() {
            return Ok(Some(uid));
        }
        // No question to a person where too many have been asked already.
        let prompt = ask.interactive.then(|| self.prompts.try_acquire().ok());
        let prompt = prompt.flatten();
        let polkit = Polkit {
            connection: &self.connection,
            interactive: prompt.is_some(),
        };
        let mut details = HashMap::new();
        // polkit takes details from root only.
        if Uid::effective().is_root() {
            details.insert("device", ask.name);
            details.insert("method", ask.method.rule);
        }
        match polkit.check(ask.sender, action, details).await {
            Verdict::Granted => Ok(Some(uid)),
            Verdict::Refused(why) => {
                let why = format!("polkit action {action} is not granted to uid {uid}: {why}");
                Err(ask.denied(&why))
            }
            Verdict::Absent => self
                .by_group(uid, &caller.groups)
                .map(|()| Some(uid))
                .map_err(|why| ask.denied(&why)),
        }
    }

    /// The user who asks, if the bus tells in time.
    pub(super) async fn uid(&self, sender: &UniqueName<'_>) -> Option<u32> {
        let caller = timeout(CREDENTIALS_DEADLINE, self.caller(sender)).await;
        caller.ok()?.ok()?.uid
    }

    fn by_group(&self, uid: u32, groups: &[u32]) -> Result<(), String> {
        let root = format!("there is no polkit on this bus, and uid {uid} is neither root");
        match &self.group {
            Some(group) if groups.contains(&group.gid) => Ok(()),
            Some(AdminGroup { name, .. }) => Err(format!(
                "{root} nor in group '{name}' (bus-admin-group); add it to that group, or ask root"
            )),
            None => Err(format!(
                "{root} nor in an admin group, for none is configured (bus-admin-group); ask root"
            )),
        }
    }

    async fn caller(&self, sender: &UniqueName<'_>) -> zbus::Result<Caller> {
        let bus = DBusProxy::new(&self.connection).await?;
        let name = BusName::Unique(sender.clone());
        let credentials = bus.get_connection_credentials(name).await?;
        Ok(Caller {
            uid: credentials.unix_user_id(),
            groups: credentials.into_unix_group_ids().unwrap_or_default(),
        })
    }
}

struct Caller {
    uid: Option<u32>,
    groups: Vec<u32>,
}
