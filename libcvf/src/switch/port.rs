//! Names of ports and VLANs.

use std::fmt;
use std::sync::Arc;

use super::filter::{RxFilter, VlanTable};
use crate::limits::MAX_VLAN;
use crate::offload::{PackedMac, TagStyle};

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

    /// How a frame is seen that is in no VLAN here and might be in one elsewhere: behind what is no VLAN's tag
    /// there is another, or a service tag is in front. No frame is in a VLAN of this number.
    pub(super) const VEILED: Self = Self(0xfff);

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

/// Which source addresses frames coming in at a port may have. Group addresses and zero are never one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SourceMac {
    /// Any.
    #[default]
    Any,
    /// Those that the port owns: all in the unicast list of its filter.
    Granted,
    /// The port's [`PortConfig::reserved`] one alone, whatever else it owns.
    Assigned,
}

/// What frames may claim that come in at a port, and which VLANs it can be in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PortRules {
    /// Source addresses.
    pub source: SourceMac,
    /// `Some`: a trunk is in these VLANs and no other, whatever its filter takes. Tagged frames of others
    /// neither come in nor leave here; nor do those with a service tag, nor with a tag behind one that names no
    /// VLAN, which somebody else might take for one of a VLAN. What comes in has one tag at most. Says nothing
    /// of access ports and uplinks.
    pub vlans: Option<Arc<VlanTable>>,
}

/// A port as it is created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortConfig {
    /// What is behind it.
    pub kind: PortKind,
    /// `Some`: frames enter this VLAN untagged and leave it untagged. `None`: a trunk, whose tagged
    /// frames are in their VLAN and whose untagged ones are in none.
    pub access_vlan: Option<Vid>,
    /// How frames of an access port are tagged where they leave through a trunk. Its kind of tag is the
    /// VLAN's: all access ports of one have the same.
    pub tag: TagStyle,
    /// What it takes.
    pub filter: RxFilter,
    /// What its frames may claim.
    pub rules: PortRules,
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
            tag: TagStyle::default(),
            filter: RxFilter::station(mac),
            rules: PortRules::default(),
            reserved: None,
        }
    }

    /// A trunk uplink.
    pub fn uplink() -> Self {
        Self {
            kind: PortKind::Uplink,
            access_vlan: None,
            tag: TagStyle::default(),
            filter: RxFilter::default(),
            rules: PortRules::default(),
            reserved: None,
        }
    }
}

/// A port as the forwarding path sees it: one cache line.
#[derive(Clone, Debug)]
pub(super) struct Port {
    /// First of its own addresses if frames may come from it, else 0: a quick answer to "is it the
    /// sender's own?".
    pub(super) first_mac: PackedMac,
    /// The only source of a port that is held to it; else 0.
    pub(super) assigned: PackedMac,
    /// Access VLAN, 0 for a trunk.
    pub(super) access: Vid,
    /// As what those see its untagged frames who are held to some VLANs.
    pub(super) seen: Vid,
    pub(super) tag: TagStyle,
    pub(super) uplink: bool,
    pub(super) source: SourceMac,
    /// Addresses behind this port may be learned: uplinks and ports that take every unicast.
    pub(super) learns: bool,
    pub(super) no_unicast: bool,
    /// VLANs that a trunk takes; `None`: all.
    pub(super) vlans: Option<Arc<VlanTable>>,
    /// VLANs that a trunk can be in; `None`: all.
    pub(super) allowed: Option<Arc<VlanTable>>,
}

impl Port {
    pub(super) fn new(config: &PortConfig) -> Self {
        let (filter, rules) = (&config.filter, &config.rules);
        let uplink = config.kind == PortKind::Uplink;
        let promiscuous = !uplink && filter.promiscuous;
        let trunk = !uplink && config.access_vlan.is_none();
        let allowed = rules.vlans.as_ref().filter(|_| trunk);
        let joined = filter.vlans.as_ref().filter(|_| trunk && !promiscuous);
        let first = filter.unicast.first().copied();
        let held = rules.source == SourceMac::Assigned;
        Self {
            first_mac: first
                .filter(|mac| !held || config.reserved == Some(*mac))
                .unwrap_or_default(),
            assigned: config.reserved.filter(|_| held).unwrap_or_default(),
            access: config.access_vlan.unwrap_or_default(),
            seen: match config.access_vlan {
                Some(_) if config.tag.service => Vid::VEILED,
                access => access.unwrap_or_default(),
            },
            tag: config.tag,
            uplink,
            source: rules.source,
            learns: uplink || filter.takes_unknown_unicast(),
            no_unicast: !uplink && !promiscuous && filter.no_unicast,
            vlans: match (allowed, joined) {
                (Some(allowed), Some(joined)) => Some(Arc::new(allowed.common(joined))),
                (one, other) => one.or(other).cloned(),
            },
            allowed: allowed.cloned(),
        }
    }

    /// True when a frame that is seen as one of `vid` may leave through the port, which is in its VLAN.
    #[inline]
    pub(super) fn takes_vlan(&self, vid: Vid) -> bool {
        match (vid, &self.vlans) {
            (_, None) | (Vid::UNTAGGED, _) => true,
            (Vid::VEILED, _) => self.allowed.is_none(),
            (vid, Some(table)) => table.contains(vid),
        }
    }
}
