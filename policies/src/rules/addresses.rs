//! Which addresses a guest may have.

use libcvf::control::{ControlRequest, DeviceFacts, MacAddr};

use super::{Finding, OfProfile};
use crate::profile::{MacPermission, Profile};
use crate::rule;

pub(super) const OWN: &[OfProfile] = &[OfProfile {
    name: rule::MAC_CHANGE,
    key: "control.mac-change",
    cure: "\"any-unicast\", or to \"listed\" with the address in control.mac-list",
    look: mac_change,
}];

pub(super) const FILTER: &[OfProfile] = &[
    OfProfile {
        name: rule::UNICAST_FILTER,
        key: "control.unicast-filter",
        cure: "\"any-unicast\", or to \"listed\" with the address in control.mac-list",
        look: unicast_filter,
    },
    OfProfile {
        name: rule::UNICAST_COUNT,
        key: "control.max-unicast",
        cure: "a larger number",
        look: unicast_count,
    },
    OfProfile {
        name: rule::MULTICAST_COUNT,
        key: "control.max-multicast",
        cure: "a larger number",
        look: multicast_count,
    },
];

fn mac_change(profile: &Profile, facts: &DeviceFacts, request: &ControlRequest) -> Option<Finding> {
    let (ControlRequest::SetMac(mac), assigned) = (request, facts.assigned_mac) else {
        return None;
    };
    if *mac == assigned {
        return Finding::allows("the address given at create");
    }
    match profile.control.mac_change {
        MacPermission::AnyUnicast => Finding::allows("any unicast address may be taken"),
        MacPermission::Listed if profile.control.lists_mac(*mac) => {
            Finding::allows("control.mac-list has it")
        }
        MacPermission::Listed => Finding::refuses(format!(
            "the address {mac} was asked for, control.mac-list does not have it"
        )),
        MacPermission::Deny => Finding::refuses(format!(
            "the address {mac} was asked for, the device keeps {assigned}"
        )),
    }
}

/// The addresses of a filter beside the one given at create.
fn extra<'a>(
    facts: &'a DeviceFacts,
    request: &'a ControlRequest,
) -> Option<impl Iterator<Item = MacAddr> + 'a> {
    let ControlRequest::SetMacFilter { unicast, .. } = request else {
        return None;
    };
    let assigned = facts.assigned_mac;
    Some(unicast.iter().copied().filter(move |mac| *mac != assigned))
}

fn unicast_filter(
    profile: &Profile,
    facts: &DeviceFacts,
    request: &ControlRequest,
) -> Option<Finding> {
    let mut extra = extra(facts, request)?.peekable();
    let Some(&first) = extra.peek() else {
        return Finding::allows("no unicast address beside the one given at create");
    };
    match profile.control.unicast_filter {
        MacPermission::AnyUnicast => Finding::allows("any unicast address may be received"),
        MacPermission::Listed => match extra.find(|mac| !profile.control.lists_mac(*mac)) {
            None => Finding::allows("control.mac-list has all unicast addresses"),
            Some(mac) => Finding::refuses(format!(
                "frames to {mac} were asked for, control.mac-list does not have it"
            )),
        },
        MacPermission::Deny => Finding::refuses(format!(
            "frames to {first} were asked for, the device receives for {}",
            facts.assigned_mac
        )),
    }
}

fn unicast_count(
    profile: &Profile,
    facts: &DeviceFacts,
    request: &ControlRequest,
) -> Option<Finding> {
    count(
        "unicast",
        extra(facts, request)?.count(),
        profile.control.max_unicast,
    )
}

fn multicast_count(
    profile: &Profile,
    _: &DeviceFacts,
    request: &ControlRequest,
) -> Option<Finding> {
    let ControlRequest::SetMacFilter { multicast, .. } = request else {
        return None;
    };
    count("multicast", multicast.len(), profile.control.max_multicast)
}

fn count(kind: &str, asked: usize, most: u16) -> Option<Finding> {
    if asked <= usize::from(most) {
        return Finding::allows(format!("{asked} {kind} addresses of at most {most}"));
    }
    Finding::refuses(format!(
        "{asked} {kind} addresses were asked for, the most is {most}"
    ))
}
