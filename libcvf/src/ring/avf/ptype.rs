//! What a receiver is told of a frame's headers in one number. Drivers look at checksum and hash only where it fits.

use super::writeback::Told;
use crate::offload::{Checksum, Csum, FrameHash, FrameMeta, Headers, Network, Transport};

/// A frame of which nothing is said but that it is one.
pub(super) const L2: u8 = 1;
/// IPv4 and IPv6; what follows is added.
const IPV4: u8 = 22;
const IPV6: u8 = 88;
const FRAGMENT: u8 = 0;
const OTHER: u8 = 1;
const UDP: u8 = 2;
const TCP: u8 = 4;
const SCTP: u8 = 5;
const ICMP: u8 = 6;

/// What is told of a frame that begins with `head` and has `total` bytes; no tag was taken out.
#[inline]
pub(super) fn told(meta: &FrameMeta, head: &[u8], total: usize) -> Told {
    if meta.csum == Csum::Valid
        && let Ok(headers) = Headers::parse(head, total)
    {
        let checked = is_checked(&headers);
        return Told {
            ptype: of(&headers),
            checked,
            bad_ip: checked && !is_right(&headers, head),
            hash: meta.hash,
            tag: None,
        };
    }
    by_hash(meta.hash)
}

/// The same, of a frame of which at most the hash is known.
#[inline]
pub(super) fn by_hash(hash: FrameHash) -> Told {
    // In the order of virtio's reports: addresses, and with the ports of TCP and UDP; mobile ones as others.
    let ptype = match hash.report {
        1 => IPV4 + OTHER,
        2 => IPV4 + TCP,
        3 => IPV4 + UDP,
        4 | 7 => IPV6 + OTHER,
        5 | 8 => IPV6 + TCP,
        6 | 9 => IPV6 + UDP,
        _ => L2,
    };
    Told {
        ptype,
        checked: false,
        bad_ip: false,
        hash,
        tag: None,
    }
}

/// The packet type.
pub(super) fn of(headers: &Headers) -> u8 {
    let base = match headers.network {
        Network::V4 => IPV4,
        Network::V6 => IPV6,
        Network::Other => return L2,
    };
    base + match (headers.fragment, headers.transport, headers.protocol) {
        (true, ..) => FRAGMENT,
        (_, Transport::Tcp, _) => TCP,
        (_, Transport::Udp, _) => UDP,
        (.., 132) => SCTP,
        (.., 1) if base == IPV4 => ICMP,
        (.., 58) if base == IPV6 => ICMP,
        _ => OTHER,
    }
}

/// True if the checksum of IPv4's header is right, or there is none. Whoever says that a transport's is says this, too, and
/// nobody has looked at it before.
fn is_right(headers: &Headers, head: &[u8]) -> bool {
    if headers.network != Network::V4 {
        return true;
    }
    let header = usize::from(headers.l3_offset)..usize::from(headers.l4_offset);
    let mut sum = Checksum::new();
    sum.add(head.get(header).unwrap_or_default());
    sum.verify()
}

/// True where "the checksum is right" says something: there is one, and no extension header that hardware would not
/// have looked behind.
fn is_checked(headers: &Headers) -> bool {
    let whole = headers.transport != Transport::Other && !headers.fragment;
    whole && (headers.network == Network::V4 || headers.l4_offset == headers.l3_offset + 40)
}
