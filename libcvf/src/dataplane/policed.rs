//! What of a port's frames has to be looked at beside where they go: one word, read for every burst.

use super::neighbours::{NeighbourCheck, Neighbours};
use super::rates::PortRates;
use crate::offload::{FIRST_ETHERTYPE, ethertype};

/// A set; empty where nothing is restricted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Policed(pub u16);

impl Policed {
    /// It has a rate for what it sends.
    pub(super) const SENT: Self = Self(1);
    /// For what it receives.
    pub(super) const RECEIVED: Self = Self(2);
    /// For what it sends to many.
    pub(super) const FLOOD: Self = Self(4);
    /// What it says in ARP is checked.
    pub(super) const ARP: Self = Self(8);
    /// What it says in neighbour discovery is.
    pub(super) const ND: Self = Self(16);
    /// Either.
    pub(super) const NEIGHBOURS: Self = Self(8 | 16);
    /// It is in a group that has a rate.
    pub(super) const GROUP: Self = Self(32);
    /// Somebody looks at what passes there.
    pub(super) const TAPPED: Self = Self(64);
    /// What it sends is looked at before it is known where it goes.
    pub(super) const BEFORE: Self = Self(1 | 32 | 64);
    /// What it receives is looked at before it is delivered.
    pub(super) const BEHIND: Self = Self(2 | 64);

    /// True when they have anything in common.
    #[inline]
    pub(super) const fn any(self, of: Self) -> bool {
        self.0 & of.0 != 0
    }

    /// True when nothing has to be looked at of a frame for one port.
    #[inline]
    pub(super) const fn passes(from: Self, to: Self) -> bool {
        (from.0 & (Self::BEFORE.0 | Self::NEIGHBOURS.0)) | (to.0 & Self::BEHIND.0) == 0
    }

    const fn when(self, so: bool) -> u16 {
        if so { self.0 } else { 0 }
    }

    /// True when every frame with this EtherType behind its addresses has to be looked at for itself, tags aside:
    /// those are never of a flow that is known.
    #[inline]
    pub(super) const fn looks_at(self, kind: u16) -> bool {
        self.any(Self::NEIGHBOURS)
            && match kind {
                ethertype::ARP => self.any(Self::ARP),
                ethertype::IPV6 => self.any(Self::ND),
                kind => kind < FIRST_ETHERTYPE,
            }
    }

    /// True when a frame with this EtherType must not go the way of the one before it without a look: as
    /// [`Self::looks_at`], and whatever somebody looks at.
    #[inline]
    pub(super) const fn detours(self, kind: u16) -> bool {
        self.any(Self(Self::NEIGHBOURS.0 | Self::TAPPED.0))
            && (self.any(Self::TAPPED) || self.looks_at(kind))
    }

    /// For these rates and checks, and whether it is in a group.
    pub(super) fn by(rates: &PortRates, neighbours: &Neighbours, group: bool) -> Self {
        let sent = rates.transmit_bits.is_some() || rates.transmit_frames.is_some();
        let received = rates.receive_bits.is_some() || rates.receive_frames.is_some();
        Self(
            Self::SENT.when(sent)
                | Self::RECEIVED.when(received)
                | Self::GROUP.when(group)
                | Self::FLOOD.when(rates.flood_frames.is_some())
                | Self::ARP.when(neighbours.arp != NeighbourCheck::Off)
                | Self::ND.when(neighbours.nd != NeighbourCheck::Off),
        )
    }
}
