//! Parts of the daemon that take a new configuration while it runs.

use std::sync::Arc;

use super::reload::{Part, Prepared};
use crate::config::Config;
use crate::engine::{Catalog, Engine};
use crate::logs::{self, LogControl};

/// What is logged.
pub struct LogLevel(pub LogControl);

impl Part for LogLevel {
    fn keys(&self) -> &'static [&'static str] {
        &["log"]
    }

    fn prepare(&self, new: &Config) -> Result<Prepared, String> {
        logs::check(&new.log)?;
        let (control, level) = (self.0.clone(), new.log.clone());
        Ok(Prepared::to(move |_| {
            if let Err(error) = control.set(&level) {
                tracing::error!("{error}");
            }
        }))
    }
}

/// Who may connect to devices that do not say so themselves. Those that are there keep what they have.
pub struct SocketDefaults(pub Arc<Catalog>);

impl Part for SocketDefaults {
    fn keys(&self) -> &'static [&'static str] {
        &["socket-owner", "socket-group", "socket-mode"]
    }

    fn prepare(&self, new: &Config) -> Result<Prepared, String> {
        let (catalog, sockets) = (self.0.clone(), new.sockets.clone());
        Ok(Prepared::to(move |_| catalog.set_socket_defaults(sockets)))
    }
}

/// The files of profiles. Each is taken or refused for itself, as by `cvfctl policy reload`.
pub struct ProfileFiles(pub Arc<Catalog>);

impl Part for ProfileFiles {
    fn keys(&self) -> &'static [&'static str] {
        &[]
    }

    fn prepare(&self, _: &Config) -> Result<Prepared, String> {
        let catalog = self.0.clone();
        Ok(Prepared::to(move |outcome| {
            let profiles = catalog.reload_profiles();
            let new = profiles.changed.iter().chain(&profiles.added);
            outcome
                .changed
                .extend(new.map(|name| format!("profile {name}")));
            let gone = profiles.removed.iter();
            outcome
                .changed
                .extend(gone.map(|name| format!("profile {name} is gone")));
            outcome.refused.extend(profiles.refused);
            outcome.notes.extend(profiles.notes);
        }))
    }
}
