//! D-Bus, peer to peer over the daemon's private socket. Thin: it translates, and decides nothing.

mod client;
mod commands;
mod convert;
mod error;
mod event;
mod events_client;
mod gate;
mod guard;
mod job_signals;
mod jobs_client;
mod manager;
mod sasl;
mod server;
pub mod system;
mod turns;
mod watch;

pub(crate) use client::typed;
pub use client::{CallError, ManagerClient, Options};
pub use commands::JOBS_PATH;
pub use convert::{dict_to_json, to_dict};
pub use error::BusError;
pub use events_client::EventStream;
pub use gate::{BusSocket, ServeError};
pub use guard::LastHeard;
pub use manager::Manager;
pub use sasl::{Sasl, SaslStep};
pub use server::serve_peer;
pub use watch::Watch;

/// Path of the manager's object.
pub const MANAGER_PATH: &str = "/io/mdevd1/Manager";
/// Name of the manager's interface.
pub const MANAGER_INTERFACE: &str = "io.mdevd1.Manager";
/// Version of the interface: rises with every addition; what exists is never changed.
pub const API: u64 = 7;

#[cfg(test)]
mod tests;
