//! Devices by name: what the bus and `cvfctl` see.
//!
//! [`Engine`] is that face. [`Catalog`] is its one implementation: names, identities, idempotence,
//! order and persistence. What it composes is a [`Backend`]'s: [`crate::device::RealBackend`]
//! (libcvf behind vfio-user sockets) or [`sim::SimBackend`] (tests of everything above).

use std::os::fd::OwnedFd;
use std::time::Duration;

mod alter;
mod attributes;
mod backend;
mod capture;
mod catalog;
mod conflict;
mod create;
mod definition;
mod direct;
mod entry;
mod error;
pub mod events;
pub mod hints;
pub mod jobs;
mod judge;
mod lifecycle;
mod or_none;
mod overrides;
mod policy;
mod request;
mod restore;
mod sample;
mod service;
mod set;
mod sharing;
pub mod sim;
mod spec;
mod takeover;
mod tuning;
mod values;
mod view;
mod wanted;
mod whole;

pub use attributes::{GroupShare, RateLimits, Trunk, VlanProtocol, VlanTag};
pub use backend::{Backend, Device, LookUp};
pub use capture::{Capture, CaptureRequest};
pub use catalog::Catalog;
pub use definition::{
    DataPath, Definition, Doorbells, Interrupts, Link, Personality, RingFormat, SocketAccess, Word,
};
pub(crate) use error::shown;
pub use error::{EngineError, ErrorKind};
pub use events::{Event, Events, Happening, Heard, Listener};
pub use jobs::{JobLimits, JobState, JobView, Jobs};
pub use lifecycle::{
    Action, BootId, DefineRequest, Due, Ended, Exported, FORMAT, Hooks, ImportOptions,
    ImportOutcome, Imported, ImportedDevice, Life, LifeDraft, LifeOutcome, LifeRequest, MAX_ORDER,
    Moment, ProfileLimits, Start, TypeView, Types, VERSION,
};
pub use or_none::OrNone;
pub use overrides::{Asked, Overrides};
pub use policy::{ExplainRequest, Explained};
pub use request::{CreateRequest, Draft};
pub use restore::Restored;
pub use sample::Sample;
pub use service::{Census, Reloaded, Service};
pub use set::{Change, Changed, Changes, SetRequest};
pub use sharing::{Sharer, possible_share};
pub use takeover::{Taken, TakenOver};
pub use tuning::{RssKey, RssTable, Tuning, Withheld};
pub use values::parse_mode;
pub use view::{
    Client, Counters, Created, DeviceSummary, DeviceView, DirectionStats, DmaFaults, GroupView,
    Hardware, Health, InForce, Memory, MostView, Outcome, Page, PairCounters, PfView, Refusal,
    Resource, State, Stats, StatsPage, Steering, UplinkView, VersionView,
};
pub(crate) use wanted::other_kind;

use crate::profiles::{ProfileDetail, ProfileSummary, Reloaded as ProfilesReloaded};

/// Commands on devices, PFs and profiles.
///
/// Callable from any thread; may block for as long as a store flush or a quiescence takes (bounded
/// by [`crate::limits`]), so asynchronous callers use a blocking pool.
pub trait Engine: Send + Sync + 'static {
    /// Makes a device, or finds it made: on return it is stored, composed and listening.
    ///
    /// # Errors
    /// Says what was refused; nothing is left of the attempt.
    fn create(&self, request: CreateRequest) -> Result<Created, EngineError>;

    /// Takes a device away for good; `force` cuts a connected client off.
    ///
    /// # Errors
    /// [`ErrorKind::Busy`] with a client connected and no `force`; [`ErrorKind::NotFound`].
    fn destroy(&self, name: &str, force: bool) -> Result<(), EngineError>;

    /// Stores a definition without composing it, or another one in its place; keeps a transient device.
    ///
    /// # Errors
    /// Says what was refused; nothing has changed.
    fn define(&self, request: DefineRequest) -> Result<Created, EngineError>;

    /// Forgets a definition; a device that runs goes on as a transient one.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`]; [`ErrorKind::Busy`] while it changes; [`ErrorKind::StoreFailed`].
    fn undefine(&self, name: &str) -> Result<Ended, EngineError>;

    /// Composes what is defined: on return it is stored as running, and listening.
    ///
    /// # Errors
    /// Says what was refused; it stays as it was.
    fn start(&self, name: &str) -> Result<Created, EngineError>;

    /// Retires a device and keeps its definition; a transient one is gone. `force` cuts a connected client off.
    ///
    /// # Errors
    /// [`ErrorKind::Busy`] with a client connected and no `force`; [`ErrorKind::NotFound`];
    /// [`ErrorKind::StoreFailed`].
    fn stop_device(&self, name: &str, force: bool) -> Result<Ended, EngineError>;

    /// Up to `limit` definitions with names after `after`, of everything persistent; or those of `names`.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`]: one of the names.
    fn export(&self, names: &[String], after: &str, limit: usize) -> Result<Exported, EngineError>;

    /// Defines what a document says: all of it, or nothing.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`]: it is no document; [`ErrorKind::StoreFailed`]. What is wrong with single
    /// definitions is in the answer.
    fn import(&self, document: &str, options: ImportOptions) -> Result<Imported, EngineError>;

    /// What can be made, and how many more with so many queue pairs.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`].
    fn types(&self, queue_pairs: u64) -> Result<Types, EngineError>;

    /// Changes attributes of a device while it runs: on return they are stored and in force.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`]; [`ErrorKind::NotFound`]; [`ErrorKind::Busy`] while it changes;
    /// [`ErrorKind::NotReady`]: it is not composed; [`ErrorKind::Denied`] by its profile;
    /// [`ErrorKind::DuplicateMac`]; [`ErrorKind::StoreFailed`]. Nothing has changed then.
    fn set(&self, name: &str, request: SetRequest) -> Result<Changed, EngineError>;

    /// Asks the guest's driver to announce its addresses to the network.
    ///
    /// # Errors
    /// [`ErrorKind::NotReady`]: no driver runs that agreed to be asked; [`ErrorKind::NotFound`];
    /// [`ErrorKind::Busy`] while it changes.
    fn announce(&self, name: &str) -> Result<(), EngineError>;

    /// Has the daemon work rings that hardware works, until the driver's next reset.
    ///
    /// # Errors
    /// [`ErrorKind::NotReady`]: its data path is not `direct`, it is not composed, no driver runs, or the driver does not
    /// have buffers used in order; [`ErrorKind::NotFound`]; [`ErrorKind::Busy`] while it changes.
    fn take_over(&self, name: &str) -> Result<TakenOver, EngineError>;

    /// Shows what a device sends and receives, for whom the log and events call `by`: the end of a pipe from which
    /// it can be read as pcapng. It goes on until its reader closes that, the device is gone, or what was asked for
    /// is there. Nothing waits for the reader.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`]; [`ErrorKind::NotFound`]; [`ErrorKind::Busy`] while it changes;
    /// [`ErrorKind::NotReady`]: it is not composed; [`ErrorKind::NoResources`]: as many run as may.
    fn capture(
        &self,
        name: &str,
        request: &CaptureRequest,
        by: &str,
    ) -> Result<OwnedFd, EngineError>;

    /// Up to `limit` devices with names after `after`.
    fn list(&self, after: &str, limit: usize) -> Page;

    /// Everything about one device.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`].
    fn show(&self, name: &str) -> Result<DeviceView, EngineError>;

    /// Counters of one device.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`]; [`ErrorKind::Busy`] while it changes or is not composed.
    fn stats(&self, name: &str) -> Result<Stats, EngineError>;

    /// The profiles, by name, those whose files are broken too.
    fn profiles(&self) -> Vec<ProfileSummary>;

    /// One profile with its text.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`]; [`ErrorKind::NotReady`]: its file is broken.
    fn profile(&self, name: &str) -> Result<ProfileDetail, EngineError>;

    /// What would become of a guest's request, rule by rule.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`]; [`ErrorKind::NotFound`]; [`ErrorKind::NotReady`].
    fn explain(&self, request: &str, about: &ExplainRequest) -> Result<Explained, EngineError>;

    /// Reads the profiles' files anew and gives running devices what they say now.
    fn reload_profiles(&self) -> ProfilesReloaded;

    /// Counters of up to `limit` devices with names after `after`, by queue pair only with `pairs`. A device
    /// that is changing is left out.
    fn list_stats(&self, after: &str, limit: usize, pairs: bool) -> StatsPage;

    /// The PFs, in configured order.
    fn pfs(&self) -> Vec<PfView>;

    /// One PF.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`].
    fn pf(&self, name: &str) -> Result<PfView, EngineError>;

    /// The directory where definitions are kept.
    fn state_dir(&self) -> Option<String>;

    /// Where everything that happens to devices is told.
    fn events(&self) -> &Events;

    /// Commands that take long, as others see them.
    fn jobs(&self) -> &Jobs;

    /// Up to `limit` devices with names after `after`, as a monitoring system wants them. Fewer: they were the last.
    fn samples(&self, after: &str, limit: usize) -> Vec<Sample>;

    /// Devices and clients, counted within `patience`; `None`: the names were locked all that time.
    fn census(&self, patience: Duration) -> Option<Census>;

    /// Reads the daemon's configuration again.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`]: with file, line and reason; what was in force stays.
    /// [`ErrorKind::NotReady`]: there is no daemon around this engine.
    fn reload(&self) -> Result<Reloaded, EngineError>;

    /// Refuses commands from here on, unless clients are connected and there is no `force`. Then
    /// [`Engine::stop`] may follow.
    ///
    /// # Errors
    /// [`ErrorKind::Busy`]: names the clients; nothing has changed.
    fn prepare_stop(&self, force: bool) -> Result<Census, EngineError>;

    /// Has the daemon stop in order, soon.
    fn stop(&self);
}

#[cfg(test)]
mod tests;
