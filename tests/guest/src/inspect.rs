//! Looks at one IPv4 or IPv6 packet as it came off an interface: lengths, header checksum, and the
//! checksum of TCP or UDP, all computed here. Owns no socket; the kernel's opinion is only asked for
//! whether it holds the checksum to be unfinished.

use std::fmt;

const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMP6: u8 = 58;
const FRAGMENT: u8 = 44;

/// What kind of packet was found to be in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// TCP or UDP with a checksum that is right.
    Finished,
    /// TCP or UDP whose checksum field holds the pseudo header's sum.
    Partial,
    /// A piece of a datagram; its checksum spans all pieces.
    Fragment,
    /// Another protocol over IP, of which only IP was checked.
    Other,
    /// Not IP.
    NotIp,
}

/// What is wrong with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Headers do not fit into the packet, or are not what they must be.
    Header,
    /// A length field says more than came, or more came than Ethernet pads.
    Length,
    /// The packet is longer than the interface's MTU though nothing may have joined it.
    AboveMtu,
    /// The checksum of the IPv4 header.
    IpChecksum,
    /// The checksum of TCP, UDP or ICMPv6.
    Checksum,
    /// The kernel calls the checksum unfinished, and the field is not the pseudo header's sum.
    PartialChecksum,
    /// UDP without a checksum, which no sender here makes.
    NoChecksum,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Fault::Header => "headers do not fit",
            Fault::Length => "a length field does not fit what came",
            Fault::AboveMtu => "longer than the MTU",
            Fault::IpChecksum => "wrong IPv4 header checksum",
            Fault::Checksum => "wrong checksum",
            Fault::PartialChecksum => "unfinished checksum is not the pseudo header's sum",
            Fault::NoChecksum => "no checksum",
        })
    }
}

/// Where a packet's parts are.
struct Parts<'a> {
    protocol: u8,
    addresses: &'a [u8],
    body: &'a [u8],
    fragment: bool,
    header: usize,
}

/// Checks the frame `data`, Ethernet header included. `unfinished` says that its kernel takes the
/// checksum for partial; no packet may be longer than `longest`.
///
/// # Errors
/// With the first fault found.
pub fn frame(data: &[u8], unfinished: bool, longest: usize) -> Result<Kind, Fault> {
    let (Some(kind), Some(packet)) = (data.get(12..14), data.get(14..)) else {
        return Err(Fault::Header);
    };
    let parts = match kind {
        [0x08, 0x00] => version4(packet)?,
        [0x86, 0xdd] => version6(packet)?,
        _ => return Ok(Kind::NotIp),
    };
    let length = parts.header + parts.body.len();
    // Ethernet pads to 60 bytes, and nothing else may be behind a packet.
    if data.len() > (14 + length).max(60) {
        return Err(Fault::Length);
    }
    if length > longest {
        return Err(Fault::AboveMtu);
    }
    if parts.fragment {
        return Ok(Kind::Fragment);
    }
    transport(&parts, unfinished)
}

fn version4(packet: &[u8]) -> Result<Parts<'_>, Fault> {
    let first = *packet.first().ok_or(Fault::Header)?;
    let header = usize::from(first & 15) * 4;
    let head = packet.get(..header.max(20)).ok_or(Fault::Header)?;
    if first >> 4 != 4 || header < 20 {
        return Err(Fault::Header);
    }
    if fold(sum(head, 0)) != 0xffff {
        return Err(Fault::IpChecksum);
    }
    let total = usize::from(u16::from_be_bytes([head[2], head[3]]));
    Ok(Parts {
        protocol: head[9],
        addresses: &packet[12..20],
        body: packet.get(header..total).ok_or(Fault::Length)?,
        fragment: u16::from_be_bytes([head[6], head[7]]) & 0x3fff != 0,
        header,
    })
}

fn version6(packet: &[u8]) -> Result<Parts<'_>, Fault> {
    let head = packet.get(..40).ok_or(Fault::Header)?;
    if head[0] >> 4 != 6 {
        return Err(Fault::Header);
    }
    let length = usize::from(u16::from_be_bytes([head[4], head[5]]));
    let mut parts = Parts {
        protocol: head[6],
        addresses: &packet[8..40],
        body: packet.get(40..40 + length).ok_or(Fault::Length)?,
        fragment: head[6] == FRAGMENT,
        header: 40,
    };
    // Hop-by-hop options, as neighbours' reports carry them.
    if parts.protocol == 0 {
        let [next, units, ..] = *parts.body else {
            return Err(Fault::Header);
        };
        let options = 8 + usize::from(units) * 8;
        parts.protocol = next;
        parts.header += options;
        parts.body = parts.body.get(options..).ok_or(Fault::Header)?;
    }
    Ok(parts)
}

fn transport(parts: &Parts<'_>, unfinished: bool) -> Result<Kind, Fault> {
    let body = parts.body;
    let (shortest, at) = match parts.protocol {
        TCP => (20, 16),
        UDP => (8, 6),
        ICMP6 => (4, 2),
        _ => return Ok(Kind::Other),
    };
    let field = match body.get(at..at + 2) {
        Some(field) if body.len() >= shortest => u16::from_be_bytes([field[0], field[1]]),
        _ => return Err(Fault::Header),
    };
    if parts.protocol == TCP && !(20..=body.len()).contains(&(usize::from(body[12] >> 4) * 4)) {
        return Err(Fault::Header);
    }
    if parts.protocol == UDP {
        if usize::from(u16::from_be_bytes([body[4], body[5]])) != body.len() {
            return Err(Fault::Length);
        }
        if field == 0 {
            return Err(Fault::NoChecksum);
        }
    }
    let pseudo = sum(parts.addresses, 0) + u64::from(parts.protocol) + body.len() as u64;
    if unfinished {
        return if fold(pseudo) == field {
            Ok(Kind::Partial)
        } else {
            Err(Fault::PartialChecksum)
        };
    }
    if fold(sum(body, pseudo)) == 0xffff {
        Ok(if parts.protocol == ICMP6 {
            Kind::Other
        } else {
            Kind::Finished
        })
    } else {
        Err(Fault::Checksum)
    }
}

/// Adds `bytes` as 16-bit words, an odd last byte as the upper half of one.
fn sum(bytes: &[u8], start: u64) -> u64 {
    let (words, rest) = bytes.as_chunks::<2>();
    let sum = words.iter().fold(start, |sum, word| {
        sum + u64::from(u16::from_be_bytes(*word))
    });
    rest.first()
        .map_or(sum, |last| sum + (u64::from(*last) << 8))
}

fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

#[cfg(test)]
mod tests;
