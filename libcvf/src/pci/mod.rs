//! A synthetic PCI function built from register tables; it does not know what device it is.
//!
//! [`ConfigSpace`] owns the 4096 bytes a client reads and writes and reports what a write set in
//! motion as [`Effects`]; it never acts on them. [`RegTable`] is the one place where partial and
//! unaligned accesses are widened to whole registers. Nothing here is synchronised: the owner holds
//! one lock around all of it.

mod access;
mod bar;
mod builder;
mod capability;
mod config;
mod effects;
mod header;
mod msix;
mod regs;

pub use access::AccessError;
pub(crate) use access::check;
pub use bar::{BarKind, BarSpec};
pub use builder::{BuildError, ConfigBuilder};
pub use capability::{Capability, MsixLayout, PlacedCapability, cap_id};
pub use config::ConfigSpace;
pub use effects::{Effects, MsixControl, PowerChange, PowerState};
pub use header::{Identity, InterruptPin};
pub use msix::{MsixEntry, MsixTable};
pub use regs::{RegTable, Registers};
