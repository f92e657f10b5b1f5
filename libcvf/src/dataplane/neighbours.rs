//! What a guest may say about who has an address: ARP and neighbour discovery.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use super::deliver::Batch;
use super::policed::Policed;
use crate::limits::{HEADER_COPY, MAX_SEGMENT_HEADERS};
use crate::offload::{Claim, Discovery, Look, claim};

/// What of it is checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NeighbourCheck {
    /// Nothing.
    #[default]
    Off,
    /// The hardware address named is the frame's source.
    Mac,
    /// And the protocol address is one of the port's networks.
    MacAndNetwork,
}

/// Addresses that begin alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// One of them.
    pub address: IpAddr,
    /// In how many bits.
    pub bits: u8,
}

impl Network {
    /// True when its address has so many bits.
    pub const fn is_valid(&self) -> bool {
        self.bits <= if self.address.is_ipv4() { 32 } else { 128 }
    }

    /// True for an address in it.
    pub fn contains(&self, address: IpAddr) -> bool {
        let differ = match (self.address, address) {
            (IpAddr::V4(one), IpAddr::V4(other)) => {
                u128::from(one.to_bits() ^ other.to_bits()) << 96
            }
            (IpAddr::V6(one), IpAddr::V6(other)) => one.to_bits() ^ other.to_bits(),
            _ => return false,
        };
        u32::from(self.bits) <= differ.leading_zeros()
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

/// A port's checks, as a burst looks at them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Neighbours {
    /// Of ARP.
    pub arp: NeighbourCheck,
    /// Of neighbour discovery.
    pub nd: NeighbourCheck,
    /// What protocol addresses are of, where they are checked.
    pub networks: Vec<Network>,
}

impl Neighbours {
    /// True for what the port's guest may say.
    pub(super) fn admit(&self, claim: &Claim) -> bool {
        match *claim {
            Claim::None => true,
            Claim::Unreadable | Claim::Beyond => false,
            Claim::Arp { own, protocol } => {
                // Without an address somebody asks whether it is free (RFC 5227).
                let free = self.arp != NeighbourCheck::MacAndNetwork || protocol.is_unspecified();
                own && (free || self.lists(protocol.into()))
            }
            Claim::Discovery {
                kind,
                own,
                source,
                target,
            } => {
                let networks = self.nd == NeighbourCheck::MacAndNetwork;
                own && kind.is_for_hosts() && (!networks || self.owns(kind, source, target))
            }
        }
    }

    fn lists(&self, address: IpAddr) -> bool {
        self.networks
            .iter()
            .any(|network| network.contains(address))
    }

    fn owns(&self, kind: Discovery, source: Ipv6Addr, target: Ipv6Addr) -> bool {
        match kind {
            // RFC 4861 4.1: sent without an address, too.
            Discovery::RouterSolicitation => source.is_unspecified() || self.may_have(source),
            // RFC 4862 5.4.2: without an address it claims its target.
            Discovery::NeighbourSolicitation if source.is_unspecified() => self.may_have(target),
            Discovery::NeighbourSolicitation => self.may_have(source),
            Discovery::NeighbourAdvertisement => self.may_have(source) && self.may_have(target),
            Discovery::RouterAdvertisement | Discovery::Redirect => false,
        }
    }

    /// True for addresses of the networks, and for link-local ones unless a network says which.
    fn may_have(&self, address: Ipv6Addr) -> bool {
        if self.lists(address.into()) {
            return true;
        }
        let local = |address| matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local());
        let said = |of: &Network| of.bits >= 10 && local(of.address);
        local(address.into()) && !self.networks.iter().any(said)
    }
}

impl Discovery {
    /// False for what routers say.
    const fn is_for_hosts(self) -> bool {
        !matches!(self, Self::RouterAdvertisement | Self::Redirect)
    }
}

impl Batch<'_, '_> {
    /// True when a frame says nothing about neighbours but what its sender may. Where a part of it does not
    /// tell, a longer one is copied. Its metadata was checked: a large-send frame is TCP or UDP.
    #[inline(never)]
    pub(super) fn may_say(
        &mut self,
        index: usize,
        neighbours: &Neighbours,
        policed: Policed,
    ) -> bool {
        let Some(frame) = self.burst.frame(index) else {
            return false;
        };
        if frame.meta.is_large() {
            return true;
        }
        let look = Look {
            arp: policed.any(Policed::ARP),
            nd: policed.any(Policed::ND),
        };
        let head = self.burst.copy_head(index, HEADER_COPY);
        let mut found = claim(head, frame.len(), look);
        if found == Claim::Beyond {
            let head = self.burst.copy_head(index, MAX_SEGMENT_HEADERS);
            found = claim(head, frame.len(), look);
        }
        neighbours.admit(&found)
    }
}

#[cfg(test)]
mod tests;
