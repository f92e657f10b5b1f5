//! Parts of the daemon that take a new configuration while it runs.

use std::sync::Arc;

use super::reload::{Part, Prepared};
use crate::config::Config;
use crate::engine::Catalog;
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
        Ok(Prepared::to(move || {
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
        Ok(Prepared::to(move || catalog.set_socket_defaults(sockets)))
    }
}
