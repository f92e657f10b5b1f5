//! Which VLANs a guest may be in.

use libcvf::control::{ControlRequest, DeviceFacts};

use super::{Finding, OfProfile};
use crate::profile::{Profile, VlanPermission};
use crate::rule;

pub(super) const JOIN: &[OfProfile] = &[
    OfProfile {
        name: rule::VLAN_JOIN,
        key: "control.vlan-join",
        cure: "\"any\", or to \"listed\" with the VLAN in control.vlan-list",
        look: join,
    },
    OfProfile {
        name: rule::VLAN_COUNT,
        key: "control.max-vlans",
        cure: "a larger number",
        look: count,
    },
];

pub(super) const FILTER: &[OfProfile] = &[OfProfile {
    name: rule::VLAN_FILTER,
    key: "control.vlan-join",
    cure: "\"any\", or give the device an access VLAN",
    look: filter,
}];

fn join(profile: &Profile, _: &DeviceFacts, request: &ControlRequest) -> Option<Finding> {
    let ControlRequest::AddVlan(id) = request else {
        return None;
    };
    let control = &profile.control;
    match control.vlan_join {
        _ if *id == 0 => Finding::allows("0 only marks a priority"),
        VlanPermission::Any => Finding::allows("every VLAN may be joined"),
        VlanPermission::Listed if control.may_join(*id) => {
            Finding::allows("control.vlan-list has it")
        }
        VlanPermission::Listed => Finding::refuses(format!(
            "VLAN {id} was asked for, control.vlan-list does not have it"
        )),
        VlanPermission::Deny => Finding::refuses(format!(
            "VLAN {id} was asked for, and no VLAN may be joined"
        )),
    }
}

fn count(profile: &Profile, facts: &DeviceFacts, request: &ControlRequest) -> Option<Finding> {
    let ControlRequest::AddVlan(id) = request else {
        return None;
    };
    let (joined, most) = (facts.joined_vlans, profile.control.max_vlans);
    if *id == 0 {
        return Finding::allows("0 is no VLAN, and not counted");
    }
    if joined < most {
        return Finding::allows(format!("{} of at most {most} VLANs", joined + 1));
    }
    Finding::refuses(format!(
        "VLAN {id} was asked for beside {joined} others, the most is {most}"
    ))
}

/// A driver that does not filter lets every tagged frame in.
fn filter(profile: &Profile, facts: &DeviceFacts, request: &ControlRequest) -> Option<Finding> {
    let ControlRequest::FilterVlans(on) = request else {
        return None;
    };
    match (profile.control.vlan_join, facts.access_vlan) {
        _ if *on => Finding::allows("filtering only narrows"),
        (VlanPermission::Any, _) => Finding::allows("every VLAN may be joined"),
        (_, Some(vlan)) => Finding::allows(format!("nothing comes but access VLAN {vlan}")),
        _ => Finding::refuses("frames of all VLANs were asked for"),
    }
}
