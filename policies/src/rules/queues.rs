//! What a guest may do with its queues and offloads.

use libcvf::control::{ControlRequest, DeviceFacts};
use libcvf::offload::{Accepts, HashTypes};

use super::{Finding, OfProfile};
use crate::profile::{Permission, Profile};
use crate::rule;

const ALLOW: &str = "\"allow\"";
const LARGER: &str = "a larger number";

const QUEUE_COUNT: OfProfile = OfProfile {
    name: rule::QUEUE_COUNT,
    key: "control.queue-count",
    cure: ALLOW,
    look: queue_count,
};

const QUEUE_LIMIT: OfProfile = OfProfile {
    name: rule::QUEUE_LIMIT,
    key: "shape.max-queue-pairs",
    cure: LARGER,
    look: queue_limit,
};

pub(super) const PAIRS: &[OfProfile] = &[QUEUE_COUNT, QUEUE_LIMIT];

pub(super) const RSS: &[OfProfile] = &[
    QUEUE_COUNT,
    QUEUE_LIMIT,
    OfProfile {
        name: rule::RSS,
        key: "control.rss",
        cure: ALLOW,
        look: rss,
    },
    OfProfile {
        name: rule::RSS_TABLE,
        key: "shape.max-rss-table",
        cure: LARGER,
        look: rss_table,
    },
];

pub(super) const HASH: &[OfProfile] = &[OfProfile {
    name: rule::HASH_REPORT,
    key: "control.hash-report",
    cure: ALLOW,
    look: hash_report,
}];

pub(super) const COALESCING: &[OfProfile] = &[
    OfProfile {
        name: rule::COALESCING,
        key: "control.coalescing",
        cure: ALLOW,
        look: coalescing,
    },
    OfProfile {
        name: rule::COALESCING_TIME,
        key: "control.max-coalescing-microseconds",
        cure: LARGER,
        look: coalescing_time,
    },
];

pub(super) const OFFLOADS: &[OfProfile] = &[OfProfile {
    name: rule::RECEIVE_OFFLOADS,
    key: "control.receive-offloads",
    cure: ALLOW,
    look: receive_offloads,
}];

/// The queue pairs that a request asks for.
pub(super) const fn pairs(request: &ControlRequest) -> Option<u16> {
    match request {
        ControlRequest::SetQueuePairs(pairs) => Some(*pairs),
        ControlRequest::SetRss(settings) => Some(settings.pairs),
        _ => None,
    }
}

fn queue_count(profile: &Profile, _: &DeviceFacts, request: &ControlRequest) -> Option<Finding> {
    let pairs = pairs(request)?;
    match profile.control.queue_count {
        _ if pairs <= 1 => Finding::allows("every driver begins with one queue pair"),
        Permission::Allow => Finding::allows("their number may be chosen"),
        Permission::Deny => Finding::refuses(format!(
            "{pairs} queue pairs were asked for, and no more than the first may be used"
        )),
    }
}

fn queue_limit(profile: &Profile, _: &DeviceFacts, request: &ControlRequest) -> Option<Finding> {
    let (pairs, most) = (pairs(request)?, profile.shape.max_queue_pairs);
    if pairs <= most {
        return Finding::allows(format!("{pairs} queue pairs of at most {most}"));
    }
    Finding::refuses(format!(
        "{pairs} queue pairs were asked for, the most is {most}"
    ))
}

fn rss(profile: &Profile, _: &DeviceFacts, request: &ControlRequest) -> Option<Finding> {
    let ControlRequest::SetRss(_) = request else {
        return None;
    };
    match profile.control.rss {
        Permission::Allow => Finding::allows("a hash may choose the receive queue"),
        Permission::Deny => Finding::refuses("receive-side scaling was asked for"),
    }
}

fn rss_table(profile: &Profile, _: &DeviceFacts, request: &ControlRequest) -> Option<Finding> {
    let ControlRequest::SetRss(settings) = request else {
        return None;
    };
    let (entries, most) = (settings.table.len(), profile.shape.max_rss_table);
    if entries <= usize::from(most) {
        return Finding::allows(format!("{entries} entries of at most {most}"));
    }
    Finding::refuses(format!(
        "an indirection table of {entries} entries was asked for, the most is {most}"
    ))
}

fn hash_report(profile: &Profile, _: &DeviceFacts, request: &ControlRequest) -> Option<Finding> {
    let ControlRequest::SetHash(settings) = request else {
        return None;
    };
    match profile.control.hash_report {
        _ if settings.types == HashTypes::default() => Finding::allows("no hash is asked for"),
        Permission::Allow => Finding::allows("hashes may be reported"),
        Permission::Deny => Finding::refuses("a hash beside every frame was asked for"),
    }
}

/// Interrupts at once, as every driver begins.
const AT_ONCE: &str = "interrupts come at once";

fn coalescing(profile: &Profile, _: &DeviceFacts, request: &ControlRequest) -> Option<Finding> {
    let ControlRequest::SetCoalescing(_, to) = request else {
        return None;
    };
    match profile.control.coalescing {
        _ if to.max_usecs == 0 || to.max_packets == 0 => Finding::allows(AT_ONCE),
        Permission::Allow => Finding::allows("interrupts may be held back"),
        Permission::Deny => Finding::refuses("interrupts were to be held back"),
    }
}

fn coalescing_time(
    profile: &Profile,
    _: &DeviceFacts,
    request: &ControlRequest,
) -> Option<Finding> {
    let ControlRequest::SetCoalescing(_, to) = request else {
        return None;
    };
    let (usecs, most) = (to.max_usecs, profile.control.max_coalescing_microseconds);
    if usecs == 0 || to.max_packets == 0 {
        return Finding::allows(AT_ONCE);
    }
    if usecs <= most {
        return Finding::allows(format!("{usecs} µs of at most {most}"));
    }
    Finding::refuses(format!(
        "interrupts were to be held back for {usecs} µs, the most is {most}"
    ))
}

fn receive_offloads(
    profile: &Profile,
    _: &DeviceFacts,
    request: &ControlRequest,
) -> Option<Finding> {
    let ControlRequest::SetReceiveOffloads(accepts) = request else {
        return None;
    };
    match profile.control.receive_offloads {
        _ if *accepts == Accepts::default() => Finding::allows("taking none is always allowed"),
        Permission::Allow => Finding::allows("receive offloads may be chosen"),
        Permission::Deny => Finding::refuses("other receive offloads were asked for"),
    }
}
