//! The catalog as a whole: counted, reloaded, closed.

use std::sync::Arc;
use std::time::Duration;

use super::catalog::{Catalog, Names};
use super::entry::Entry;
use super::error::{EngineError, ErrorKind};
use super::service::{CLIENTS_NAMED, Census, Reloaded, Service};

impl Catalog {
    /// Names the daemon around this engine. The first one stays.
    pub fn attach(&self, service: Arc<dyn Service>) {
        let _ = self.service.set(service);
    }

    pub(super) fn count(&self, patience: Duration) -> Option<Census> {
        Some(self.names.try_lock_for(patience)?.census())
    }

    pub(super) fn read_again(&self) -> Result<Reloaded, EngineError> {
        let refuse = |kind, why: String| EngineError::Daemon {
            attempted: "reload the configuration",
            kind,
            why,
        };
        let Some(service) = self.service.get() else {
            let why = "this engine runs without a daemon around it".to_owned();
            return Err(refuse(ErrorKind::NotReady, why));
        };
        service.reload().map_err(|why| {
            let why = format!("{why}; what was in force stays, mend it and repeat");
            refuse(ErrorKind::BadConfiguration, why)
        })
    }

    pub(super) fn close(&self, force: bool) -> Result<Census, EngineError> {
        let mut names = self.names.lock();
        let census = names.census();
        match census.refusal() {
            Some(refusal) if !force => Err(refusal),
            _ => {
                names.stopping = true;
                Ok(census)
            }
        }
    }
}

impl Names {
    fn census(&self) -> Census {
        let mut census = Census {
            devices: self.entries.len(),
            ..Census::default()
        };
        for (name, entry) in &self.entries {
            census.failed += usize::from(matches!(entry, Entry::Failed(_)));
            // Also while a command is at work on it: the VM is there all the same.
            if let Some(client) = entry.live().and_then(|live| live.device.client()) {
                census.connected += 1;
                if census.clients.len() < CLIENTS_NAMED {
                    census.clients.push(format!("{name} ({client})"));
                }
            }
        }
        census
    }
}
