//! What an operator gave one device beside its profile.

use std::fmt;
use std::ops::RangeInclusive;

use libcvf::control::ControlRequest;
use libcvf::limits::MAX_FILTER_MACS;

use crate::profile::{Listening, MacPermission, Neighbour, Profile, SourceMac, SourceVlan};
use crate::rules::Finding;

/// An operator's decisions about one device. They count whatever its profile says; `None` leaves a matter to the
/// profile. The narrower ones (`promiscuous`, `multicast`) count before `trust`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Given {
    /// Whether the senders of its frames are checked: addresses, and who speaks in ARP and neighbour discovery.
    pub spoof_check: Option<bool>,
    /// Whether its guest may take other addresses, and receive what is not addressed to it.
    pub trust: Option<bool>,
    /// Whether it may receive every frame, and every unicast frame.
    pub promiscuous: Option<bool>,
    /// Whether it may receive groups.
    pub multicast: Option<bool>,
    /// VLANs that a device without access VLAN is confined to.
    pub trunk: Option<Vec<RangeInclusive<u16>>>,
}

/// A key of a profile as it is in force for one device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InForce {
    /// The key.
    pub key: &'static str,
    /// Its value.
    pub value: String,
    /// The attribute that says so, as in `trust=on`; `None`: the profile.
    pub from: Option<&'static str>,
}

/// Keys that attributes decide about, in the order in which they are told.
const KEYS: [&str; 11] = [
    "spoof.mac",
    "spoof.vlan",
    "spoof.arp",
    "spoof.nd",
    "control.mac-change",
    "control.unicast-filter",
    "control.max-unicast",
    "control.promiscuous",
    "control.all-unicast",
    "control.all-multicast",
    "control.max-multicast",
];

const fn listening(allowed: bool) -> Listening {
    if allowed {
        Listening::OwnVlans
    } else {
        Listening::Deny
    }
}

const fn macs(allowed: bool) -> MacPermission {
    if allowed {
        MacPermission::AnyUnicast
    } else {
        MacPermission::Deny
    }
}

const MOST: u16 = MAX_FILTER_MACS as u16;

impl Given {
    /// The profile as it is in force for this device; its name stays.
    pub fn over(&self, profile: &Profile) -> Profile {
        let mut next = profile.clone();
        let (control, spoof) = (&mut next.control, &mut next.spoof);
        if let Some(trust) = self.trust {
            control.mac_change = macs(trust);
            control.unicast_filter = macs(trust);
            control.max_unicast = if trust { MOST } else { 0 };
            control.promiscuous = listening(trust);
            control.all_unicast = listening(trust);
            control.all_multicast = listening(trust);
            if trust {
                control.max_multicast = MOST;
                // An address that may be taken may be sent from.
                if spoof.mac == SourceMac::Assigned {
                    spoof.mac = SourceMac::Granted;
                }
            }
        }
        if let Some(allowed) = self.promiscuous {
            control.promiscuous = listening(allowed);
            control.all_unicast = listening(allowed);
        }
        if let Some(allowed) = self.multicast {
            control.all_multicast = listening(allowed);
            control.max_multicast = if allowed { MOST } else { 0 };
        }
        match self.spoof_check {
            None => {}
            Some(false) => {
                // Which VLANs it is in is another matter: that of its profile and its trunk.
                spoof.mac = SourceMac::Any;
                spoof.arp = Neighbour::Off;
                spoof.nd = Neighbour::Off;
            }
            Some(true) => {
                if spoof.mac == SourceMac::Any {
                    spoof.mac = SourceMac::Granted;
                }
                if spoof.vlan == SourceVlan::Any {
                    spoof.vlan = SourceVlan::Joined;
                }
                for check in [&mut spoof.arp, &mut spoof.nd] {
                    if *check == Neighbour::Off {
                        *check = Neighbour::Mac;
                    }
                }
            }
        }
        next
    }

    /// The attribute that decides about a key of `profile`, as in `trust=on`; `None`: the profile does.
    pub fn decider(&self, profile: &Profile, key: &str) -> Option<&'static str> {
        let on = |given: Option<bool>, on, off| Some(if given? { on } else { off });
        let trust = on(self.trust, "trust=on", "trust=off");
        let narrow = match key {
            "control.promiscuous" | "control.all-unicast" => {
                on(self.promiscuous, "promiscuous=allow", "promiscuous=deny")
            }
            "control.all-multicast" | "control.max-multicast" => {
                on(self.multicast, "multicast=allow", "multicast=deny")
            }
            _ => None,
        };
        match key {
            "control.mac-change" | "control.unicast-filter" | "control.max-unicast" => trust,
            "control.promiscuous" | "control.all-unicast" | "control.all-multicast" => {
                narrow.or(trust)
            }
            "control.max-multicast" => narrow.or(trust.filter(|_| self.trust == Some(true))),
            key if key.starts_with("spoof.") => {
                let check = on(self.spoof_check, "spoof-check=on", "spoof-check=off");
                // They raise or lower what the profile says, and may have nothing to do.
                let changed = value(&self.over(profile), key) != value(profile, key);
                let trusted = key == "spoof.mac" && self.spoof_check != Some(false);
                let by_trust =
                    trust.filter(|_| trusted && profile.spoof.mac == SourceMac::Assigned);
                by_trust.or(check).filter(|_| changed)
            }
            _ => None,
        }
    }

    /// Every key that attributes may decide about.
    pub fn in_force(&self, profile: &Profile) -> Vec<InForce> {
        let effective = self.over(profile);
        let one = |key| InForce {
            key,
            value: value(&effective, key),
            from: self.decider(profile, key),
        };
        KEYS.into_iter().map(one).collect()
    }

    /// What the trunk says about a request; `None`: nothing.
    pub(crate) fn look(&self, request: &ControlRequest) -> Option<Finding> {
        let ControlRequest::AddVlan(id) = request else {
            return None;
        };
        match &self.trunk {
            None => Finding::allows("the device was given no trunk"),
            Some(_) if *id == 0 => Finding::allows("0 only marks a priority"),
            Some(trunk) if trunk.iter().any(|range| range.contains(id)) => {
                Finding::allows("its trunk has it")
            }
            Some(trunk) => Finding::refuses(format!(
                "VLAN {id} was asked for by a device whose trunk is {}",
                ranges(trunk)
            )),
        }
    }
}

impl fmt::Display for Given {
    /// The attributes as they are set, each after a comma; nothing where there are none.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(trunk) = &self.trunk {
            write!(f, ", trunk {}", ranges(trunk))?;
        }
        let all = [
            (self.spoof_check, "spoof-check", ["on", "off"]),
            (self.trust, "trust", ["on", "off"]),
            (self.promiscuous, "promiscuous", ["allow", "deny"]),
            (self.multicast, "multicast", ["allow", "deny"]),
        ];
        for (given, name, [yes, no]) in all {
            if let Some(given) = given {
                write!(f, ", {name}={}", if given { yes } else { no })?;
            }
        }
        Ok(())
    }
}

/// What to set instead, so that more is allowed.
pub(crate) fn cure(attribute: &str) -> &'static str {
    match attribute.split('=').next() {
        Some("promiscuous") => "promiscuous=allow",
        Some("multicast") => "multicast=allow",
        _ => "trust=on",
    }
}

fn ranges(trunk: &[RangeInclusive<u16>]) -> String {
    let one = |range: &RangeInclusive<u16>| match (range.start(), range.end()) {
        (first, last) if first == last => first.to_string(),
        (first, last) => format!("{first}-{last}"),
    };
    trunk.iter().map(one).collect::<Vec<_>>().join(",")
}

/// A key's value as its profile's text has it, without quotes.
fn value(profile: &Profile, key: &str) -> String {
    let Ok(table) = toml::Table::try_from(profile) else {
        return String::new();
    };
    let found = key
        .split_once('.')
        .and_then(|(part, key)| table.get(part)?.get(key));
    match found {
        Some(toml::Value::String(word)) => word.clone(),
        Some(other) => other.to_string(),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests;
