//! Programs that the lab itself has inside the machine: verbs below `cargo lab inside`.

pub mod domains;
mod north_south;
mod plain;
mod plain_igb;
mod rough;
pub mod stray;
mod vfio;

pub use domains::DomainsArgs;
pub use north_south::{Exchange, NorthSouthArgs, NorthSouthReport, run as north_south};
pub use plain::{PlainArgs, run as plain_vfio};
pub use plain_igb::{PlainIgbArgs, run as plain_igb};
pub use rough::{
    RECEIVE, StrayArgs, StrayReport, Taken, UnmapArgs, UnmapReport, stray_descriptor, unmap,
};
pub use vfio::{VfioArgs, VfioReport, run as vfio_ready};
