//! Many devices: what two busy ones notice of them (`scale-*`), and what they cost while they do
//! nothing (`idle-*`).

pub mod crowd;
pub mod fleet;
pub mod idle;
pub mod process;
pub mod rates;

/// Devices of the largest fleet.
pub const DEVICES: usize = 1024;
