//! Names of ports and VLANs.

use std::fmt;
use std::sync::Arc;

use super::filter::{RxFilter, VlanTable};
use crate::limits::MAX_VLAN;
use crate::offload::PackedMac;

/// A port's number: an index below [`crate::limits::MAX_PORT_IDS`]. A number becomes free when its
/// port is removed and is used again only after many others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PortId(pub u32);

impl PortId {
    /// The number as an index.
    #[inline]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for PortId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "port {}", self.0)
    }
}

/// A VLAN id (IEEE 802.1Q 9.6). 0 stands for frames without a VLAN.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Vid(pub u16);

impl Vid {
    /// No VLAN: untagged and priority-tagged frames between trunk ports.
    pub const UNTAGGED: Self = Self(0);
    /// Largest id that names a VLAN.
    pub const MAX: Self = Self(MAX_VLAN);

    /// True for an id that names a VLAN: 1 to 4094.
    #[inline]
    pub const fn is_vlan(self) -> bool {
        self.0 != 0 && self.0 <= Self::MAX.0
    }
}

impl fmt::Display for Vid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => f.write_str("no VLAN"),
            vid => write!(f, "VLAN {vid}"),
        }
    }
}

/// What is behind a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PortKind {
    /// A device in a VM.
    Cvf,
    /// The way north-south. Takes everything that is not known to be elsewhere; its filter's flags
    /// and lists count for nothing except the unicast list, which makes addresses its own.
    Uplink,
}

/// A port as it is created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortConfig {
    /// What is behind it.
    pub kind: PortKind,
    /// `Some`: frames enter this VLAN untagged and leave it untagged. `None`: a trunk, whose tagged
    /// frames are in their VLAN and whose untagged ones are in none.
    pub access_vlan: Option<Vid>,
    /// What it takes.
    pub filter: RxFilter,
    /// Frames whose source is not an address of the port's own unicast list are dropped.
    pub spoof_check: bool,
    /// An address that no other port of the VLAN may take as its own, even while this port's
    /// filter does not list it: a device that uses another one for a while gets its own back.
    pub reserved: Option<PackedMac>,
}

impl PortConfig {
    /// A trunk CVF that owns `mac` and takes broadcast.
    pub fn cvf(mac: PackedMac) -> Self {
        Self {
            kind: PortKind::Cvf,
            access_vlan: None,
            filter: RxFilter::station(mac),
            spoof_check: false,
            reserved: None,
        }
    }

    /// A trunk uplink.
    pub fn uplink() -> Self {
        Self {
            kind: PortKind::Uplink,
            access_vlan: None,
            filter: RxFilter::default(),
            spoof_check: false,
            reserved: None,
        }
    }
}

/// A port as the forwarding path sees it: one cache line.
#[derive(Clone, Debug)]
pub(super) struct Port {
    /// First of its own addresses, or 0: a quick answer to "is it the sender's own?".
    pub(super) first_mac: PackedMac,
    /// Access VLAN, 0 for a trunk.
    pub(super) access: Vid,
    pub(super) uplink: bool,
    pub(super) spoof_check: bool,
    /// Addresses behind this port may be learned: uplinks and ports that take every unicast.
    pub(super) learns: bool,
    pub(super) no_unicast: bool,
    /// VLANs that a trunk takes; `None`: all.
    pub(super) vlans: Option<Arc<VlanTable>>,
}

impl Port {
    pub(super) fn new(config: &PortConfig) -> Self {
        let filter = &config.filter;
        let uplink = config.kind == PortKind::Uplink;
        let promiscuous = !uplink && filter.promiscuous;
        Self {
            first_mac: filter.unicast.first().copied().unwrap_or_default(),
            access: config.access_vlan.unwrap_or_default(),
            uplink,
            spoof_check: config.spoof_check,
            learns: uplink || filter.takes_unknown_unicast(),
            no_unicast: !uplink && !promiscuous && filter.no_unicast,
            vlans: match (uplink || promiscuous, config.access_vlan) {
                (false, None) => filter.vlans.clone(),
                _ => None,
            },
        }
    }

    /// True when a frame of this VLAN, in which the port is, may leave through it.
    #[inline]
    pub(super) fn takes_vlan(&self, vid: Vid) -> bool {
        match &self.vlans {
            Some(table) if vid != Vid::UNTAGGED => table.contains(vid),
            _ => true,
        }
    }
}
