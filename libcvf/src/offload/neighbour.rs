//! What a frame says about who has an address: ARP (RFC 826) and neighbour discovery (RFC 4861).
//!
//! Receivers find such a message behind tags, behind the header of IEEE 802.2 with SNAP, and behind extension
//! headers of IPv6. So does this, or it says that it cannot. Decided on a frame's copied beginning; nothing here panics, and every
//! walk is bounded.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::addr::PackedMac;
use super::parse::{TCP, UDP, ethertype, window};
use crate::limits::{MAX_IPV6_EXTENSIONS, MAX_LINK_HEADERS};

/// What is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// ARP.
    pub arp: bool,
    /// Neighbour discovery.
    pub nd: bool,
}

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// The frame says nothing about it.
    None,
    /// ARP, request or reply.
    Arp {
        /// `ar$sha` is the frame's source.
        own: bool,
        /// `ar$spa`.
        protocol: Ipv4Addr,
    },
    /// Neighbour discovery.
    Discovery {
        /// Which message.
        kind: Discovery,
        /// All link-layer addresses in its options are the frame's source.
        own: bool,
        /// The packet's source.
        source: Ipv6Addr,
        /// Of solicitations and advertisements of neighbours: whom it is about; else unspecified.
        target: Ipv6Addr,
    },
    /// It might say something that somebody takes, though nobody should: it is cut off, fragmented (RFC 6980), not of
    /// Ethernet, or its headers are more than are looked at.
    Unreadable,
    /// More of the frame has to be copied to tell.
    Beyond,
}

/// Messages of neighbour discovery (RFC 4861 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Discovery {
    /// Type 133.
    RouterSolicitation,
    /// Type 134.
    RouterAdvertisement,
    /// Type 135.
    NeighbourSolicitation,
    /// Type 136.
    NeighbourAdvertisement,
    /// Type 137.
    Redirect,
}

impl Discovery {
    const fn of(kind: u8) -> Option<Self> {
        Some(match kind {
            133 => Self::RouterSolicitation,
            134 => Self::RouterAdvertisement,
            135 => Self::NeighbourSolicitation,
            136 => Self::NeighbourAdvertisement,
            137 => Self::Redirect,
            _ => return None,
        })
    }
}

/// Less than this is a length (IEEE 802.3 3.2.6).
pub const FIRST_ETHERTYPE: u16 = 0x0600;

/// True for a frame that is surely TCP or UDP in IPv6, without tag or extension header: a quick answer for
/// nearly all of IPv6.
#[inline]
pub fn is_transport(head: &[u8]) -> bool {
    const V6: [u8; 2] = ethertype::IPV6.to_be_bytes();
    // Type, version and next header.
    window::<9>(head, 12).is_some_and(|bytes| {
        bytes[..2] == V6 && bytes[2] >> 4 == 6 && matches!(bytes[8], TCP | UDP)
    })
}

/// Looks at a frame of `total` bytes that begins with `head`.
pub fn claim(head: &[u8], total: usize, look: Look) -> Claim {
    Reader {
        head: &head[..head.len().min(total)],
        end: total,
    }
    .frame(look)
    .unwrap_or_else(|found| found)
}

/// Bytes at hand, and where what is read ends.
struct Reader<'h> {
    head: &'h [u8],
    end: usize,
}

type Found<T> = Result<T, Claim>;

impl Reader<'_> {
    /// `N` bytes at `at`.
    fn bytes<const N: usize>(&self, at: usize) -> Found<&[u8; N]> {
        if at + N > self.end {
            return Err(Claim::Unreadable);
        }
        window(self.head, at).ok_or(Claim::Beyond)
    }

    fn word(&self, at: usize) -> Found<u16> {
        self.bytes(at).map(|bytes| u16::from_be_bytes(*bytes))
    }

    fn frame(&self, look: Look) -> Found<Claim> {
        let mut at = 12;
        for _ in 0..MAX_LINK_HEADERS {
            let kind = match self.word(at) {
                // It ends among its tags: there is nothing behind them.
                Err(Claim::Unreadable) => return Ok(Claim::None),
                kind => kind?,
            };
            at += 2;
            match kind {
                ethertype::ARP if look.arp => return self.arp(at),
                ethertype::IPV6 if look.nd => return self.v6(at),
                kind if ethertype::is_tag(kind) => at += 2,
                0..FIRST_ETHERTYPE => match self.bytes::<3>(at) {
                    // Receivers differ in which organisations' numbers they take for an EtherType.
                    Ok([0xaa, 0xaa, 0x03]) => at += 6,
                    Err(Claim::Beyond) => return Err(Claim::Beyond),
                    _ => return Ok(Claim::None),
                },
                _ => return Ok(Claim::None),
            }
        }
        Ok(Claim::Unreadable)
    }

    fn source(&self) -> Found<PackedMac> {
        self.bytes(6).copied().map(PackedMac::new)
    }

    fn arp(&self, at: usize) -> Found<Claim> {
        // Of Ethernet and IPv4: nobody speaks another.
        const KIND: [u8; 6] = [0, 1, 8, 0, 6, 4];
        if *self.bytes(at)? != KIND {
            return Ok(Claim::Unreadable);
        }
        // As long as the whole message is.
        self.bytes::<28>(at)?;
        Ok(Claim::Arp {
            own: PackedMac::new(*self.bytes(at + 8)?) == self.source()?,
            protocol: Ipv4Addr::from(*self.bytes(at + 14)?),
        })
    }

    fn v6(&self, l3: usize) -> Found<Claim> {
        const ICMP: u8 = 58;
        const FRAGMENT: u8 = 44;
        const AUTHENTICATION: u8 = 51;
        let header = self.bytes::<40>(l3)?;
        if header[0] >> 4 != 6 {
            return Ok(Claim::Unreadable);
        }
        // Without a length (RFC 2675) receivers take what there is, or nothing.
        let end = match u16::from_be_bytes([header[4], header[5]]) {
            0 => self.end,
            length => l3 + 40 + usize::from(length),
        };
        if end > self.end {
            return Ok(Claim::Unreadable);
        }
        let packet = Reader {
            head: self.head,
            end,
        };
        let (mut next, mut at, mut fragment) = (header[6], l3 + 40, false);
        for _ in 0..=MAX_IPV6_EXTENSIONS {
            let length = match next {
                ICMP => return packet.icmp(at, fragment, header),
                FRAGMENT => {
                    fragment = true;
                    // What is behind was looked at in the first one: nothing is made of fragments without it.
                    packet.bytes::<8>(at)?;
                    if packet.word(at + 2)? >> 3 != 0 {
                        return Ok(Claim::None);
                    }
                    8
                }
                AUTHENTICATION => (usize::from(packet.bytes::<2>(at)?[1]) + 2) * 4,
                // Hop-by-hop, routing, destination; mobility, HIP, shim6 (RFC 6564).
                0 | 43 | 60 | 135 | 139 | 140 => (usize::from(packet.bytes::<2>(at)?[1]) + 1) * 8,
                _ => return Ok(Claim::None),
            };
            next = packet.bytes::<1>(at)?[0];
            at += length;
        }
        Ok(Claim::Unreadable)
    }

    fn icmp(&self, at: usize, fragment: bool, header: &[u8; 40]) -> Found<Claim> {
        let Some(kind) = Discovery::of(self.bytes::<1>(at)?[0]) else {
            return Ok(Claim::None);
        };
        if fragment {
            return Ok(Claim::Unreadable);
        }
        let address = |bytes: &[u8; 16]| Ipv6Addr::from(*bytes);
        let source = window(header, 8).map(address);
        let (target, options) = match kind {
            Discovery::NeighbourSolicitation | Discovery::NeighbourAdvertisement => {
                (address(self.bytes(at + 8)?), at + 24)
            }
            Discovery::RouterSolicitation => (Ipv6Addr::UNSPECIFIED, at + 8),
            Discovery::RouterAdvertisement => (Ipv6Addr::UNSPECIFIED, at + 16),
            Discovery::Redirect => (Ipv6Addr::UNSPECIFIED, at + 40),
        };
        Ok(Claim::Discovery {
            kind,
            own: self.options(options)?,
            source: source.ok_or(Claim::Unreadable)?,
            target,
        })
    }

    /// RFC 4861 4.6: true when every link-layer address is the frame's source.
    fn options(&self, mut at: usize) -> Found<bool> {
        let mut own = true;
        if at > self.end {
            return Err(Claim::Unreadable);
        }
        while at < self.end {
            let [kind, length] = *self.bytes(at)?;
            let next = at + usize::from(length) * 8;
            // RFC 4861 6.1 and 7.1: nobody must take a message with an option of no length.
            if length == 0 || next > self.end {
                return Err(Claim::Unreadable);
            }
            if matches!(kind, 1 | 2) {
                let named = PackedMac::new(*self.bytes(at + 2)?);
                own &= length == 1 && named == self.source()?;
            }
            at = next;
        }
        Ok(own)
    }
}

#[cfg(test)]
mod tests;
