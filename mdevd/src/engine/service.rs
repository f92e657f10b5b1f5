//! The daemon around the engine: how it fares as a whole, reloads, and stops.

use serde::{Deserialize, Serialize};

use super::error::{EngineError, ErrorKind};

/// What the engine asks of the daemon around it. Callable from any thread; may block for the time that
/// reading files takes.
pub trait Service: Send + Sync + 'static {
    /// Reads the configuration again; all of its file is in force afterwards, or nothing of it. Files of
    /// profiles are taken or refused one by one.
    ///
    /// # Errors
    /// A sentence about what is wrong, with file and line.
    fn reload(&self) -> Result<Reloaded, String>;

    /// Has the daemon stop in order, soon.
    fn stop(&self);
}

/// What a reload did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Reloaded {
    /// Keys, and other things, whose new values are in force now.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changed: Vec<String>,
    /// Keys whose new values wait for a restart; the old ones are in force until then.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub restart: Vec<String>,
    /// Files of profiles that were refused, with line and reason; the profiles stay as they were.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<String>,
    /// What devices lost by it, or do not keep: a sentence each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// The file that was read; none, if the daemon was started without.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
}

/// How many devices there are, and who uses them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// Defined.
    pub devices: usize,
    /// With a client connected.
    pub connected: usize,
    /// Defined, and not composed.
    pub failed: usize,
    /// The first few of those with a client: "web1 (process 17 (uid 0))".
    pub clients: Vec<String>,
}

/// As many clients are named in a refusal.
pub(super) const CLIENTS_NAMED: usize = 3;

impl Census {
    /// In a sentence, for the service manager and the log.
    pub fn status(&self) -> String {
        let failed = match self.failed {
            0 => String::new(),
            failed => format!(", {failed} failed"),
        };
        let plural = if self.devices == 1 { "" } else { "s" };
        format!(
            "{} device{plural}, {} connected{failed}",
            self.devices, self.connected
        )
    }

    /// Why the daemon is not stopped while clients are connected, if any are.
    pub(super) fn refusal(&self) -> Option<EngineError> {
        let named = self.clients.join(", ");
        let others = match self.connected.saturating_sub(self.clients.len()) {
            0 => String::new(),
            others => format!(" and {others} more"),
        };
        (self.connected > 0).then(|| EngineError::Daemon {
            attempted: "stop the daemon",
            kind: ErrorKind::Busy,
            why: format!(
                "clients are connected to {} of its devices: {named}{others}; their VMs would lose these devices for \
                 good; stop them first (or unplug the devices, if they have interrupts=intx), or repeat with --force",
                self.connected
            ),
        })
    }
}
