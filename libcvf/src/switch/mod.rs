//! Where a frame goes.
//!
//! [`Switch`] is the write side: ports, filters and VLANs change under one lock and are published
//! as a new immutable [`Snapshot`]. Workers load a snapshot once per burst and ask it per frame:
//! [`Snapshot::forward`] and [`Snapshot::egress`] take no lock, allocate nothing and touch a few
//! cache lines. Addresses that ports own are *static* entries in the snapshot; addresses seen
//! behind uplinks and promiscuous ports are *learned* into one shared table of atomics.
//!
//! VLANs are those of 802.1Q customer tags, but for those whose access ports have service tags (802.1ad): a
//! service tag of such a number is its VLAN's, and a customer tag of that number names none here. Any other service
//! tag is payload: a frame with one is untagged. Ports that are held to some VLANs ([`PortRules::vlans`]) neither
//! send nor get frames with service tags.

mod filter;
mod learned;
mod lists;
mod permute;
mod port;
mod snapshot;
mod table;
mod verdict;
mod writer;

pub use filter::{FilterError, RxFilter, VlanTable};
pub use learned::LearnedEntry;
pub use port::{PortConfig, PortId, PortKind, PortRules, SourceMac, Vid};
pub use snapshot::{Generation, Snapshot};
pub use verdict::{Reason, Targets, Verdict};
pub use writer::{Switch, SwitchError};

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
