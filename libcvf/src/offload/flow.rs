//! What of a frame is hashed: which fields, by which of the enabled hash types.
//!
//! Unlike [`super::Headers`] it only wants addresses and ports, so that a frame whose headers reach
//! beyond the bytes at hand is still hashed by what is there. It never panics and its walk is bounded.

use super::parse::{TCP, UDP, ethertype, window};
use super::toeplitz::{MAX_INPUT, Toeplitz};
use super::{EthView, Network};
use crate::limits::MAX_IPV6_EXTENSIONS;

/// `VIRTIO_NET_HASH_TYPE_*` (virtio 1.3 5.1.6.4.3.1) as a set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HashTypes(pub u32);

impl HashTypes {
    /// IPv4 addresses.
    pub const IPV4: Self = Self(1);
    /// IPv4 addresses and TCP ports.
    pub const TCPV4: Self = Self(1 << 1);
    /// IPv4 addresses and UDP ports.
    pub const UDPV4: Self = Self(1 << 2);
    /// IPv6 addresses.
    pub const IPV6: Self = Self(1 << 3);
    /// IPv6 addresses and TCP ports.
    pub const TCPV6: Self = Self(1 << 4);
    /// IPv6 addresses and UDP ports.
    pub const UDPV6: Self = Self(1 << 5);
    /// Mobile IPv6 addresses.
    pub const IP_EX: Self = Self(1 << 6);
    /// Mobile IPv6 addresses and TCP ports.
    pub const TCP_EX: Self = Self(1 << 7);
    /// Mobile IPv6 addresses and UDP ports.
    pub const UDP_EX: Self = Self(1 << 8);
    /// All that are built.
    pub const ALL: Self = Self(0x1ff);

    const NAMES: [&'static str; 9] = [
        "IPv4", "TCPv4", "UDPv4", "IPv6", "TCPv6", "UDPv6", "IP_EX", "TCP_EX", "UDP_EX",
    ];

    /// True when every type of `other` is in it.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Key bytes that the longest input of these types uses: its own and a word.
    pub const fn key_bytes(self) -> usize {
        match self.0 {
            0 => 0,
            types if types & !0x7 != 0 => MAX_INPUT + 4,
            _ => 12 + 4,
        }
    }

    /// The names of the types, in bit order.
    pub fn names(self) -> Vec<&'static str> {
        let set = Self::NAMES.iter().enumerate();
        set.filter(|(bit, _)| self.0 >> bit & 1 != 0)
            .map(|(_, name)| *name)
            .collect()
    }
}

/// A frame's hash.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FrameHash {
    /// `hash_value`.
    pub value: u32,
    /// `hash_report` (virtio 1.3 5.1.6.4.4): 0 for no hash, else the type's bit number plus one.
    pub report: u8,
}

/// Addresses and ports of a frame.
#[derive(Clone, Copy, Debug)]
struct Flow {
    network: Network,
    /// IPv6 with extension headers.
    extended: bool,
    /// [`TCP`], [`UDP`], or something without ports here.
    protocol: u8,
    source: [u8; 16],
    target: [u8; 16],
    /// Home address, or the source.
    home: [u8; 16],
    /// Address of a routing header of type 2, or the target.
    routed: [u8; 16],
    ports: [u8; 4],
}

/// Hashes the frame that begins with `head`, by the most specific of the enabled `types`.
pub fn hash(toeplitz: &Toeplitz, types: HashTypes, head: &[u8]) -> FrameHash {
    let Some(flow) = Flow::of(head) else {
        return FrameHash::default();
    };
    let Some((kind, mobile)) = flow.kind(types) else {
        return FrameHash::default();
    };
    let mut input = [0; MAX_INPUT];
    let (source, target) = if mobile {
        (&flow.home, &flow.routed)
    } else {
        (&flow.source, &flow.target)
    };
    let width = match flow.network {
        Network::V4 => 4,
        _ => 16,
    };
    input[..width].copy_from_slice(&source[..width]);
    input[width..2 * width].copy_from_slice(&target[..width]);
    let mut len = 2 * width;
    // Every third type, beginning with the first, is of addresses alone.
    if kind.trailing_zeros() % 3 != 0 {
        input[len..len + 4].copy_from_slice(&flow.ports);
        len += 4;
    }
    FrameHash {
        value: toeplitz.hash(&input[..len]),
        report: kind.trailing_zeros() as u8 + 1,
    }
}

impl Flow {
    fn of(head: &[u8]) -> Option<Self> {
        let eth = EthView::parse(head).ok()?;
        let (mut kind, mut l3) = (eth.ethertype, usize::from(eth.offset));
        if eth.tag.is_some() && ethertype::is_tag(kind) {
            let [_, _, a, b] = *window::<4>(head, l3)?;
            kind = u16::from_be_bytes([a, b]);
            l3 += 4;
        }
        match kind {
            ethertype::IPV4 => Self::v4(head, l3),
            ethertype::IPV6 => Self::v6(head, l3),
            _ => None,
        }
    }

    fn new(network: Network, source: &[u8], target: &[u8]) -> Self {
        let wide = |address: &[u8]| {
            let mut all = [0; 16];
            all[..address.len()].copy_from_slice(address);
            all
        };
        let (source, target) = (wide(source), wide(target));
        Self {
            network,
            extended: false,
            protocol: 0,
            source,
            target,
            home: source,
            routed: target,
            ports: [0; 4],
        }
    }

    /// Ports, unless the bytes at hand end before them: then the frame goes by its addresses.
    fn transport(&mut self, head: &[u8], at: usize, protocol: u8) {
        if let Some(ports) = window::<4>(head, at)
            && matches!(protocol, TCP | UDP)
        {
            self.protocol = protocol;
            self.ports = *ports;
        }
    }

    fn v4(head: &[u8], l3: usize) -> Option<Self> {
        let header = window::<20>(head, l3)?;
        let length = usize::from(header[0] & 0xf) * 4;
        if header[0] >> 4 != 4 || length < 20 {
            return None;
        }
        let mut flow = Self::new(Network::V4, &header[12..16], &header[16..20]);
        // All fragments of a packet go the same way, so none goes by its ports.
        let fragment = u16::from_be_bytes([header[6], header[7]]) & 0x3fff != 0;
        if !fragment {
            flow.transport(head, l3 + length, header[9]);
        }
        Some(flow)
    }

    /// 5.1.6.4.3.4: the home address option and the routing header of type 2 (RFC 6275) count for the
    /// `_EX` types.
    fn v6(head: &[u8], l3: usize) -> Option<Self> {
        const HOP_BY_HOP: u8 = 0;
        const ROUTING: u8 = 43;
        const FRAGMENT: u8 = 44;
        const DESTINATION: u8 = 60;
        let header = window::<40>(head, l3)?;
        if header[0] >> 4 != 6 {
            return None;
        }
        let mut flow = Self::new(Network::V6, &header[8..24], &header[24..40]);
        let (mut protocol, mut at) = (header[6], l3 + 40);
        for _ in 0..MAX_IPV6_EXTENSIONS {
            if !matches!(protocol, HOP_BY_HOP | ROUTING | FRAGMENT | DESTINATION) {
                flow.transport(head, at, protocol);
                return Some(flow);
            }
            flow.extended = true;
            let Some(extension) = window::<8>(head, at) else {
                break;
            };
            if protocol == FRAGMENT {
                break;
            }
            let length = (usize::from(extension[1]) + 1) * 8;
            let Some(bytes) = head.get(at..at + length) else {
                break;
            };
            if protocol == ROUTING && bytes[2] == 2 {
                flow.routed = window(bytes, 8).copied().unwrap_or(flow.routed);
            }
            if protocol == DESTINATION {
                flow.home = home_address(bytes).unwrap_or(flow.home);
            }
            protocol = extension[0];
            at += length;
        }
        Some(flow)
    }

    /// The type that applies, as its bit, and whether mobile addresses are meant
    /// (5.1.6.4.3.2 to 5.1.6.4.3.4).
    fn kind(&self, types: HashTypes) -> Option<(u32, bool)> {
        let pick = |ip: HashTypes| {
            // Beside each type of addresses alone are those with ports.
            let ports = match self.protocol {
                TCP => ip.0 << 1,
                UDP => ip.0 << 2,
                _ => 0,
            };
            let enabled = |kind: u32| (types.0 & kind != 0).then_some(kind);
            enabled(ports).or_else(|| enabled(ip.0))
        };
        if self.network == Network::V4 {
            return pick(HashTypes::IPV4).map(|kind| (kind, false));
        }
        let mobile = pick(HashTypes::IP_EX).filter(|_| self.extended);
        mobile
            .map(|kind| (kind, true))
            .or_else(|| pick(HashTypes::IPV6).map(|kind| (kind, false)))
    }
}

/// The home address option (RFC 6275 6.3) of a destination options header.
fn home_address(header: &[u8]) -> Option<[u8; 16]> {
    const PAD1: u8 = 0;
    const HOME_ADDRESS: u8 = 201;
    let mut at = 2;
    loop {
        match *header.get(at)? {
            PAD1 => at += 1,
            HOME_ADDRESS if header.get(at + 1) == Some(&16) => {
                return window(header, at + 2).copied();
            }
            _ => at += 2 + usize::from(*header.get(at + 1)?),
        }
    }
}

#[cfg(test)]
mod tests;
