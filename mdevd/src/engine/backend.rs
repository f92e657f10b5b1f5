//! What the catalog composes devices with.

use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::sync::Arc;

use super::definition::Definition;
use super::error::EngineError;
use super::view::{Client, Health, PfView, Stats};

/// PFs, and devices cut from them.
pub trait Backend: Send + Sync + 'static {
    /// The PFs, in configured order; never empty.
    fn pfs(&self) -> Vec<PfView>;

    /// Composes a device and prepares its socket. Nobody can connect to it yet.
    ///
    /// # Errors
    /// Says which resource, path or right refused; nothing is left of the attempt.
    fn compose(&self, definition: &Definition) -> Result<Arc<dyn Device>, EngineError>;
}

/// A composed device. Dropping it retires it.
pub trait Device: Send + Sync {
    /// Path of its socket.
    fn socket(&self) -> &Path;

    /// Lets clients connect. Called once.
    ///
    /// # Errors
    /// The socket's path was taken meanwhile.
    fn open(&self) -> Result<(), EngineError>;

    /// Clients find its socket where it was put. Anybody with the right to may have removed it.
    fn reachable(&self) -> bool {
        let found = self.socket().symlink_metadata();
        found.is_ok_and(|found| found.file_type().is_socket())
    }

    /// Who is connected.
    fn client(&self) -> Option<Client>;

    /// How it fares.
    fn health(&self) -> Health;

    /// Its counters.
    fn stats(&self) -> Stats;

    /// Sets the link that the guest's driver sees. True if it changed.
    fn set_link(&self, up: bool) -> bool;

    /// Asks the guest's driver to announce itself. False: no driver runs that agreed to be asked.
    fn announce(&self) -> bool;

    /// Cuts the client off, removes the socket, gives everything back. Idempotent.
    ///
    /// # Errors
    /// [`EngineError::Stalled`]: all is released or about to be, but the data plane was late.
    fn retire(&self) -> Result<(), EngineError>;
}
