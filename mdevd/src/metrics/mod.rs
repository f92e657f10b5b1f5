//! Counters and states for Prometheus, in its text format, over HTTP.
//!
//! A scrape takes one snapshot of all devices, and is written from it piece by piece: the text of many devices is never
//! in memory as a whole.

mod families;
mod family;
mod http;
mod process;
mod snapshot;
mod text;

pub use families::FAMILIES;
pub use family::{Family, Kind};
pub use http::{MetricsError, MetricsServer};
pub use snapshot::{DeviceShot, Snapshot};
pub use text::{Exposition, Samples};

#[cfg(test)]
mod tests;
