//! Every key of a profile with what may stand behind it: read by the parser for its refusals, by the
//! checks for their bounds, and held against the document by a test.

use std::fmt;
use std::ops::RangeInclusive;

use libcvf::limits::{
    MAX_COALESCE_USECS, MAX_FILTER_MACS, MAX_MTU, MAX_QUEUE_PAIRS, MAX_VECTORS, MAX_VLAN, MIN_MTU,
    RSS_TABLE,
};

use super::words::{
    AccessVlan, Format, FrameReaction, Listening, MacPermission, Neighbour, Permission,
    RequestReaction, RingReaction, SourceMac, SourceVlan, VlanPermission,
};
use crate::limits::{
    MAX_BURST_MILLISECONDS, MAX_DESCRIPTION, MAX_ENTRIES, MAX_EVENTS, MAX_FRAMES, MAX_MBIT,
};

/// A key.
#[derive(Clone, Debug)]
pub struct Key {
    /// Section and key with a dot between.
    pub path: &'static str,
    /// What may stand behind it.
    pub values: Values,
}

/// What may stand behind a key.
#[derive(Clone, Debug)]
pub enum Values {
    /// A text of at most so many characters.
    Text(usize),
    /// True or false.
    Switch,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A number of a range.
    Number(RangeInclusive<u32>),
    /// A number from 1 on, or `"unlimited"`.
    Rate(u32),
    /// A list of these words, at least one, each at most once.
    Words(&'static [&'static str]),
    /// A list of so many texts, as in the example.
    List(usize, &'static str),
}

impl fmt::Display for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(most) => write!(f, "a text of at most {most} characters"),
            Self::Switch => f.write_str("true or false"),
            Self::Word(words) => {
                let (last, rest) = words.split_last().unwrap_or((&"", &[]));
                let rest: Vec<_> = rest.iter().map(|word| format!("\"{word}\"")).collect();
                write!(f, "{} or \"{last}\"", rest.join(", "))
            }
            Self::Number(range) => write!(f, "a number from {} to {}", range.start(), range.end()),
            Self::Rate(most) => write!(f, "a number from 1 to {most}, or \"unlimited\""),
            Self::Words(words) => {
                let words: Vec<_> = words.iter().map(|word| format!("\"{word}\"")).collect();
                write!(f, "a list out of [{}]", words.join(", "))
            }
            Self::List(most, example) => {
                write!(f, "a list of at most {most} as in [{example}]")
            }
        }
    }
}

const fn key(path: &'static str, values: Values) -> Key {
    Key { path, values }
}

const fn upto(most: u16) -> Values {
    Values::Number(0..=most as u32)
}

/// Every key, in the order in which profiles are printed.
pub const KEYS: &[Key] = &[
    key("description", Values::Text(MAX_DESCRIPTION)),
    key(
        "shape.max-queue-pairs",
        Values::Number(1..=MAX_QUEUE_PAIRS as u32),
    ),
    key("shape.max-vectors", upto(MAX_VECTORS)),
    key("shape.max-rss-table", upto(RSS_TABLE)),
    key(
        "shape.min-mtu",
        Values::Number(MIN_MTU as u32..=MAX_MTU as u32),
    ),
    key(
        "shape.max-mtu",
        Values::Number(MIN_MTU as u32..=MAX_MTU as u32),
    ),
    key("shape.mapped-doorbells", Values::Word(Permission::WORDS)),
    key("shape.direct", Values::Switch),
    key("shape.ring-formats", Values::Words(Format::WORDS)),
    key("shape.access-vlan", Values::Word(AccessVlan::WORDS)),
    key(
        "shape.features-withheld",
        Values::List(MAX_ENTRIES, "\"GUEST_UFO\", \"HOST_UFO\""),
    ),
    key("control.mac-change", Values::Word(MacPermission::WORDS)),
    key("control.unicast-filter", Values::Word(MacPermission::WORDS)),
    key(
        "control.mac-list",
        Values::List(MAX_ENTRIES, "\"52:54:00:00:00:00/24\""),
    ),
    key("control.max-unicast", upto(MAX_FILTER_MACS as u16)),
    key("control.max-multicast", upto(MAX_FILTER_MACS as u16)),
    key("control.promiscuous", Values::Word(Listening::WORDS)),
    key("control.all-unicast", Values::Word(Listening::WORDS)),
    key("control.all-multicast", Values::Word(Listening::WORDS)),
    key("control.vlan-join", Values::Word(VlanPermission::WORDS)),
    key(
        "control.vlan-list",
        Values::List(MAX_ENTRIES, "\"100\", \"200-299\""),
    ),
    key("control.max-vlans", upto(MAX_VLAN)),
    key("control.queue-count", Values::Word(Permission::WORDS)),
    key("control.rss", Values::Word(Permission::WORDS)),
    key("control.hash-report", Values::Word(Permission::WORDS)),
    key("control.coalescing", Values::Word(Permission::WORDS)),
    key(
        "control.max-coalescing-microseconds",
        Values::Number(1..=MAX_COALESCE_USECS),
    ),
    key("control.receive-offloads", Values::Word(Permission::WORDS)),
    key("spoof.mac", Values::Word(SourceMac::WORDS)),
    key("spoof.vlan", Values::Word(SourceVlan::WORDS)),
    key("spoof.arp", Values::Word(Neighbour::WORDS)),
    key("spoof.nd", Values::Word(Neighbour::WORDS)),
    key(
        "spoof.source-networks",
        Values::List(MAX_ENTRIES, "\"192.0.2.0/24\", \"2001:db8::/32\""),
    ),
    key("rates.transmit-mbit", Values::Rate(MAX_MBIT)),
    key("rates.receive-mbit", Values::Rate(MAX_MBIT)),
    key("rates.transmit-frames", Values::Rate(MAX_FRAMES)),
    key("rates.flood-frames", Values::Rate(MAX_FRAMES)),
    key(
        "rates.burst-milliseconds",
        Values::Number(1..=MAX_BURST_MILLISECONDS as u32),
    ),
    key("rates.control-requests", Values::Rate(MAX_EVENTS)),
    key("rates.resets-per-minute", Values::Rate(MAX_EVENTS)),
    key(
        "reactions.malformed-ring",
        Values::Word(RingReaction::WORDS),
    ),
    key(
        "reactions.malformed-frame",
        Values::Word(FrameReaction::WORDS),
    ),
    key(
        "reactions.spoofed-frame",
        Values::Word(FrameReaction::WORDS),
    ),
    key(
        "reactions.denied-request",
        Values::Word(RequestReaction::WORDS),
    ),
    key(
        "reactions.excess-request",
        Values::Word(RequestReaction::WORDS),
    ),
    key(
        "reactions.tolerated-per-minute",
        Values::Number(0..=MAX_EVENTS),
    ),
];

/// The sections, in order.
pub(super) const SECTIONS: [&str; 5] = ["shape", "control", "spoof", "rates", "reactions"];

/// The key with this path.
pub(super) fn find(path: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.path == path)
}

/// Names of a section's keys; of those outside of sections, and of the sections, for "".
pub(super) fn names(section: &str) -> Vec<&'static str> {
    let keys = KEYS.iter().map(|key| key.path);
    if section.is_empty() {
        return keys
            .filter(|path| !path.contains('.'))
            .chain(SECTIONS)
            .collect();
    }
    keys.filter_map(|path| path.strip_prefix(section)?.strip_prefix('.'))
        .collect()
}
