//! What the engine sees of the daemon around it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use super::notify::reloaded;
use super::reload::Reloader;
use crate::engine::{Catalog, Engine, Reloaded, Service};

/// Reloads the daemon and stops it.
pub struct Around {
    reloader: Reloader,
    stop: Arc<Notify>,
    catalog: std::sync::Weak<Catalog>,
}

impl Around {
    /// Reloads by `reloader`, and stops by telling `stop`. The catalog has it, so it has not the catalog.
    pub fn new(reloader: Reloader, stop: Arc<Notify>, catalog: &Arc<Catalog>) -> Self {
        Self {
            reloader,
            stop,
            catalog: Arc::downgrade(catalog),
        }
    }
}

impl Service for Around {
    fn reload(&self) -> Result<Reloaded, String> {
        let outcome = self.reloader.reload();
        match &outcome {
            Ok(done) => tracing::info!(
                changed = done.changed.join(","),
                needs_restart = done.restart.join(","),
                refused = done.refused.join("; "),
                "configuration read again"
            ),
            Err(why) => tracing::error!("the configuration stays as it was: {why}"),
        }
        let census = self
            .catalog
            .upgrade()
            .and_then(|catalog| catalog.census(Duration::ZERO));
        // Also after a refusal: it runs as before.
        reloaded(&census.unwrap_or_default().status());
        outcome
    }

    fn stop(&self) {
        self.stop.notify_one();
    }
}
