//! What the catalog composes devices with.

use std::os::fd::OwnedFd;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::sync::Arc;

use libcvf::control::ControlRequest;
use policies::Profile;

use super::attributes::GroupShare;
use super::capture::Capture;
use super::definition::Definition;
use super::error::EngineError;
use super::events::Events;
use super::view::{Client, Health, PfView, Stats};

/// PFs, and devices cut from them.
pub trait Backend: Send + Sync + 'static {
    /// The PFs, in configured order; never empty.
    fn pfs(&self) -> Vec<PfView>;

    /// Composes a device and prepares its socket. Nobody can connect to it yet. It has `share` of its group, which may be
    /// less than it is defined with.
    ///
    /// # Errors
    /// Says which resource, path or right refused; nothing is left of the attempt.
    fn compose(
        &self,
        definition: &Definition,
        share: &GroupShare,
        profile: &Arc<Profile>,
    ) -> Result<Arc<dyn Device>, EngineError>;

    /// Whether a device could be composed as far as its PF's resources go. Nothing is taken.
    ///
    /// # Errors
    /// Says which resource is short.
    fn fits(&self, definition: &Definition) -> Result<(), EngineError>;

    /// Whether its PF could have such a device at all, whatever is left of it. Of a PF that is not there nothing is
    /// known.
    ///
    /// # Errors
    /// Says what of the definition the PF's hardware cannot do.
    fn suits(&self, _definition: &Definition) -> Result<(), EngineError> {
        Ok(())
    }

    /// Whether what a device shares with others lets it be as it is defined; it may be composed already.
    ///
    /// # Errors
    /// Says what does not: a group that there is not, or that has too little left.
    fn takes(&self, _definition: &Definition) -> Result<(), EngineError> {
        Ok(())
    }

    /// Where devices tell what happens to them; the catalog tells its own there.
    fn events(&self) -> &Events;
}

/// Finds a profile by its name.
pub type LookUp<'a> = dyn Fn(&str) -> Option<Arc<Profile>> + 'a;

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

    /// VLANs that its driver has joined, but for the one that a request is about.
    fn joined_vlans(&self, beside: &ControlRequest) -> u16;

    /// What it has of its group, which may be less than it is defined with.
    fn share(&self) -> GroupShare;

    /// Its counters.
    fn stats(&self) -> Stats;

    /// Makes the device what `to` says, under a profile that may be another one or say something else than
    /// before. Only what [`super::SetRequest`] has is different. Returns what the operator should know about
    /// it, what its guest lost above all.
    ///
    /// # Errors
    /// Says what refused; the device is as it was.
    fn change(&self, to: &Definition, profile: &Arc<Profile>) -> Result<Vec<String>, EngineError>;

    /// Puts in force what the device's profile says now, whatever else it has become meanwhile, and what it can have of
    /// its group. `look_up` finds a profile by name; it is asked when nobody else can change the device. Returns what its
    /// guest lost by it.
    ///
    /// # Errors
    /// Says what refused; the device is as it was.
    fn repolicy(&self, look_up: &LookUp<'_>) -> Result<Vec<String>, EngineError>;

    /// Asks the guest's driver to announce itself. False: no driver runs that agreed to be asked.
    fn announce(&self) -> bool;

    /// Has a worker go on with rings that hardware works, until the driver's next reset. False: a worker works them.
    ///
    /// # Errors
    /// Why it cannot.
    fn take_over(&self) -> Result<bool, EngineError>;

    /// Begins to show what it sends and receives; tells when that begins and ends.
    ///
    /// # Errors
    /// As [`super::Engine::capture`].
    fn capture(&self, capture: Capture) -> Result<OwnedFd, EngineError>;

    /// Cuts the client off, removes the socket, gives everything back. Idempotent.
    ///
    /// # Errors
    /// [`EngineError::Stalled`]: all is released or about to be, but the data plane was late.
    fn retire(&self) -> Result<(), EngineError>;
}
