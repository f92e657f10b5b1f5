//! D-Bus on the system's message bus: the same manager as on the private socket, an object per PF and device,
//! and rules about who may do what.
//!
//! The tree of objects is ours, not zbus's: what one caller can make the daemon do at a time is bounded
//! ([`crate::limits`]), and introspection does not grow with the number of devices.

mod admission;
mod authority;
mod face;
mod fault;
mod follow;
mod introspect;
mod join;
mod methods;
mod objects;
mod path;
mod polkit;
mod properties;
mod serve;
mod standard;

pub use authority::AdminGroup;
pub use join::{JoinError, Joined, SystemBus};
pub use methods::Right;

/// The daemon's name on the bus.
pub const BUS_NAME: &str = "io.mdevd1";
/// Name of a device's interface.
pub const DEVICE_INTERFACE: &str = "io.mdevd1.Device";
/// Name of a PF's interface.
pub const PF_INTERFACE: &str = "io.mdevd1.Pf";

/// Name of a job's interface.
pub const JOB_INTERFACE: &str = "io.mdevd1.Job";

const PEER: &str = "org.freedesktop.DBus.Peer";
const INTROSPECTABLE: &str = "org.freedesktop.DBus.Introspectable";
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";
const OBJECT_MANAGER: &str = "org.freedesktop.DBus.ObjectManager";

#[cfg(test)]
mod tests;
