//! Who may receive frames that are not addressed to it.

use libcvf::control::{ControlRequest, DeviceFacts};

use super::{Finding, OfProfile};
use crate::profile::{Listening, Profile};
use crate::rule;

const CURE: &str = "\"own-vlans\", or to \"access-vlan\" for devices with an access VLAN";

pub(super) const PROMISCUOUS: &[OfProfile] = &[OfProfile {
    name: rule::PROMISCUOUS,
    key: "control.promiscuous",
    cure: CURE,
    look: promiscuous,
}];

pub(super) const ALL_UNICAST: &[OfProfile] = &[OfProfile {
    name: rule::ALL_UNICAST,
    key: "control.all-unicast",
    cure: CURE,
    look: all_unicast,
}];

pub(super) const ALL_MULTICAST: &[OfProfile] = &[OfProfile {
    name: rule::ALL_MULTICAST,
    key: "control.all-multicast",
    cure: CURE,
    look: all_multicast,
}];

fn promiscuous(
    profile: &Profile,
    facts: &DeviceFacts,
    request: &ControlRequest,
) -> Option<Finding> {
    let ControlRequest::Promiscuous(on) = request else {
        return None;
    };
    listen(profile.control.promiscuous, facts, *on, "every frame")
}

fn all_unicast(
    profile: &Profile,
    facts: &DeviceFacts,
    request: &ControlRequest,
) -> Option<Finding> {
    let ControlRequest::AllUnicast(on) = request else {
        return None;
    };
    listen(
        profile.control.all_unicast,
        facts,
        *on,
        "every unicast frame",
    )
}

fn all_multicast(
    profile: &Profile,
    facts: &DeviceFacts,
    request: &ControlRequest,
) -> Option<Finding> {
    let ControlRequest::AllMulticast(on) = request else {
        return None;
    };
    listen(
        profile.control.all_multicast,
        facts,
        *on,
        "every multicast frame",
    )
}

fn listen(who: Listening, facts: &DeviceFacts, on: bool, what: &str) -> Option<Finding> {
    if !on {
        return Finding::allows("switching it off is always allowed");
    }
    match (who, facts.access_vlan) {
        (Listening::OwnVlans, _) => Finding::allows(format!("{what} of its VLANs may be received")),
        (Listening::AccessVlan, Some(vlan)) => {
            Finding::allows(format!("{what} of its access VLAN {vlan} may be received"))
        }
        (Listening::AccessVlan, None) => Finding::refuses(format!(
            "{what} was asked for by a device without an access VLAN"
        )),
        (Listening::Deny, _) => Finding::refuses(format!("{what} was asked for")),
    }
}
