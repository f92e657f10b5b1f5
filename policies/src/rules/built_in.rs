//! What cannot be right for any device.

use libcvf::control::{ControlRequest, DeviceFacts};
use libcvf::limits::{MAX_COALESCE_USECS, MAX_FILTER_MACS, MAX_VLAN, RSS_TABLE};

use super::{BuiltIn, Finding};
use crate::rule;

const fn rule(
    name: &'static str,
    look: fn(&DeviceFacts, &ControlRequest) -> Option<Finding>,
) -> BuiltIn {
    BuiltIn { name, look }
}

pub(super) const MAC: &[BuiltIn] = &[rule(rule::MAC_VALID, mac_valid)];
pub(super) const FILTER: &[BuiltIn] = &[
    rule(rule::FILTER_SIZE, filter_size),
    rule(rule::FILTER_VALID, filter_valid),
];
pub(super) const JOIN: &[BuiltIn] = &[
    rule(rule::VLAN_ID, vlan_id),
    rule(rule::VLAN_ACCESS, vlan_access),
];
pub(super) const LEAVE: &[BuiltIn] = &[rule(rule::VLAN_ID, vlan_id)];
pub(super) const PAIRS: &[BuiltIn] = &[rule(rule::QUEUE_PAIRS, queue_pairs)];
pub(super) const RSS: &[BuiltIn] = &[
    rule(rule::QUEUE_PAIRS, queue_pairs),
    rule(rule::RSS_TABLE_SIZE, rss_table_size),
    rule(rule::RSS_QUEUES, rss_queues),
];
pub(super) const COALESCING: &[BuiltIn] = &[rule(rule::COALESCE_TIME, coalesce_time)];

fn mac_valid(_: &DeviceFacts, request: &ControlRequest) -> Option<Finding> {
    let ControlRequest::SetMac(mac) = request else {
        return None;
    };
    if mac.is_unicast_nonzero() {
        return Finding::allows("a unicast address other than zero");
    }
    Finding::refuses(format!(
        "{mac} cannot be a device's address: it is a group address or zero"
    ))
}

fn filter_size(_: &DeviceFacts, request: &ControlRequest) -> Option<Finding> {
    let ControlRequest::SetMacFilter { unicast, multicast } = request else {
        return None;
    };
    for (kind, list) in [("unicast", unicast), ("multicast", multicast)] {
        let n = list.len();
        if n > MAX_FILTER_MACS {
            return Finding::refuses(format!(
                "{n} {kind} addresses were asked for, a filter holds {MAX_FILTER_MACS}"
            ));
        }
    }
    Finding::allows("no more of each kind than a filter holds")
}

fn filter_valid(_: &DeviceFacts, request: &ControlRequest) -> Option<Finding> {
    let ControlRequest::SetMacFilter { unicast, multicast } = request else {
        return None;
    };
    if let Some(mac) = unicast.iter().find(|mac| !mac.is_unicast_nonzero()) {
        return Finding::refuses(format!(
            "{mac} in the unicast list is a group address or zero"
        ));
    }
    if let Some(mac) = multicast.iter().find(|mac| !mac.is_multicast()) {
        return Finding::refuses(format!(
            "{mac} in the multicast list is not a group address"
        ));
    }
    Finding::allows("each list holds addresses of its kind")
}

/// Stock Linux adds id 0 as soon as its 802.1Q module is there: frames with only a priority.
fn vlan_id(_: &DeviceFacts, request: &ControlRequest) -> Option<Finding> {
    let (ControlRequest::AddVlan(id) | ControlRequest::DelVlan(id)) = request else {
        return None;
    };
    if *id <= MAX_VLAN {
        return Finding::allows("an id that exists");
    }
    Finding::refuses(format!(
        "VLAN id {id} does not exist: ids are 1 to {MAX_VLAN}"
    ))
}

fn vlan_access(facts: &DeviceFacts, request: &ControlRequest) -> Option<Finding> {
    let ControlRequest::AddVlan(id) = request else {
        return None;
    };
    match facts.access_vlan {
        None => Finding::allows("the device has no access VLAN"),
        Some(_) if *id == 0 => Finding::allows("0 only marks a priority"),
        Some(access) => Finding::refuses(format!(
            "VLAN {id} was asked for by a device that the operator put into VLAN {access}"
        )),
    }
}

fn queue_pairs(facts: &DeviceFacts, request: &ControlRequest) -> Option<Finding> {
    let (has, pairs) = (facts.queue_pairs, super::queues::pairs(request)?);
    if (1..=has).contains(&pairs) {
        return Finding::allows(format!("{pairs} of the slice's {has}"));
    }
    Finding::refuses(format!(
        "{pairs} queue pairs were asked for, the device's slice has {has}"
    ))
}

fn rss_table_size(_: &DeviceFacts, request: &ControlRequest) -> Option<Finding> {
    let ControlRequest::SetRss(settings) = request else {
        return None;
    };
    let entries = settings.table.len();
    if (1..=usize::from(RSS_TABLE)).contains(&entries) {
        return Finding::allows(format!("{entries} entries of at most {RSS_TABLE}"));
    }
    Finding::refuses(format!(
        "an indirection table of {entries} entries was asked for, one holds {RSS_TABLE}"
    ))
}

fn rss_queues(facts: &DeviceFacts, request: &ControlRequest) -> Option<Finding> {
    let ControlRequest::SetRss(settings) = request else {
        return None;
    };
    let has = facts.queue_pairs;
    let mut named = settings.table.iter().chain([&settings.unclassified]);
    match named.find(|queue| **queue >= has) {
        None => Finding::allows("every queue named is one of the slice's"),
        Some(queue) => Finding::refuses(format!(
            "receive queue {queue} was named, the device's slice has {has}"
        )),
    }
}

fn coalesce_time(_: &DeviceFacts, request: &ControlRequest) -> Option<Finding> {
    let ControlRequest::SetCoalescing(_, to) = request else {
        return None;
    };
    let usecs = to.max_usecs;
    if usecs <= MAX_COALESCE_USECS {
        return Finding::allows(format!("{usecs} µs of at most {MAX_COALESCE_USECS}"));
    }
    Finding::refuses(format!(
        "interrupts were to be held back for {usecs} µs, the most is {MAX_COALESCE_USECS}"
    ))
}
