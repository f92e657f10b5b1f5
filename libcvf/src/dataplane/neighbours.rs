//! What a guest may say about who has an address: ARP and neighbour discovery.

use std::fmt;
use std::net::IpAddr;

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
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}
