//! The answer to "where does this frame go".

use super::port::{PortId, Vid};
use super::snapshot::Snapshot;

/// Where a frame goes. Borrows from the snapshot that gave it.
#[derive(Clone, Copy, Debug)]
pub enum Verdict<'a> {
    /// To one port.
    Port {
        /// Which.
        to: PortId,
        /// The same frame goes there for as long as the snapshot is the present one: nothing that was or
        /// could be learned had a part in it.
        fixed: bool,
    },
    /// A copy to each of these, at least one.
    Many(Targets<'a>),
    /// Nowhere.
    Drop(Reason),
}

/// Why a frame goes nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// The sender is no port (any more).
    UnknownPort,
    /// The source is a group or zero.
    BadSource,
    /// The source is not an address that the port may use.
    Spoofed,
    /// A frame of an access port carries a tag with a VLAN, a service tag, or two tags.
    TaggedOnAccessPort,
    /// VLAN id 4095.
    ReservedVlan,
    /// A tag that the port may not use: of a VLAN that it cannot be in, a service tag, or a second one.
    ForeignVlan,
    /// 01:80:c2:00:00:0x is never forwarded.
    LinkLocal,
    /// The destination is behind the port that the frame came from.
    SamePort,
    /// The port that owns the destination does not take the frame.
    Filtered,
    /// Nobody takes it.
    NoReceiver,
}

impl Reason {
    /// How many there are.
    pub const COUNT: usize = 10;
    /// Names in the order of [`Reason::index`], for counters.
    pub const NAMES: [&'static str; Self::COUNT] = [
        "unknown_port",
        "bad_source",
        "spoofed",
        "tagged_on_access_port",
        "reserved_vlan",
        "foreign_vlan",
        "link_local",
        "same_port",
        "filtered",
        "no_receiver",
    ];

    /// A small number, below [`Reason::COUNT`].
    #[inline]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The counter's name.
    pub const fn name(self) -> &'static str {
        Self::NAMES[self.index()]
    }
}

/// Ports that get a copy each: every port once, never the sender. An iterator over lists that stand
/// ready in the snapshot; `Copy`, so it can be walked again.
#[derive(Clone, Copy)]
pub struct Targets<'a> {
    pub(super) snapshot: &'a Snapshot,
    pub(super) first: Option<PortId>,
    /// Never in the lists' output: the sender, and a port that was `first`.
    pub(super) skip: [PortId; 2],
    pub(super) lists: [&'a [PortId]; 4],
    /// As what the frame is seen.
    pub(super) seen: Vid,
    /// See [`Self::is_flood`].
    pub(super) flood: bool,
}

impl Targets<'_> {
    /// True for frames to everybody, to a group and to an address that nobody is known to have.
    #[inline]
    pub const fn is_flood(&self) -> bool {
        self.flood
    }
}

impl Iterator for Targets<'_> {
    type Item = PortId;

    #[inline]
    fn next(&mut self) -> Option<PortId> {
        if let Some(first) = self.first.take() {
            return Some(first);
        }
        for list in &mut self.lists {
            while let [port, rest @ ..] = *list {
                *list = rest;
                if !self.skip.contains(port) && self.snapshot.takes_vlan(*port, self.seen) {
                    return Some(*port);
                }
            }
        }
        None
    }
}

impl std::fmt::Debug for Targets<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(*self).finish()
    }
}
