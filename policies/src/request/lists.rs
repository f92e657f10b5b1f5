//! Lists in requests: addresses, and sets of named bits.

use libcvf::control::MacAddr;
use libcvf::offload::{Accepts, HashTypes};

use crate::limits::MAX_REQUEST_MACS;
use crate::nearest::{hint, shown};

/// Names of bits.
pub(super) type Bits = &'static [(&'static str, u32)];

/// Types of hashes.
pub(super) const HASHES: Bits = &[
    ("ipv4", HashTypes::IPV4.0),
    ("tcpv4", HashTypes::TCPV4.0),
    ("udpv4", HashTypes::UDPV4.0),
    ("ipv6", HashTypes::IPV6.0),
    ("tcpv6", HashTypes::TCPV6.0),
    ("udpv6", HashTypes::UDPV6.0),
    ("ip-ex", HashTypes::IP_EX.0),
    ("tcp-ex", HashTypes::TCP_EX.0),
    ("udp-ex", HashTypes::UDP_EX.0),
];

/// Receive offloads.
pub(super) const ACCEPTS: Bits = &[
    ("csum", Accepts::CSUM.0 as u32),
    ("tso4", Accepts::TSO4.0 as u32),
    ("tso6", Accepts::TSO6.0 as u32),
    ("ecn", Accepts::ECN.0 as u32),
    ("ufo", Accepts::UFO.0 as u32),
    ("uso4", Accepts::USO4.0 as u32),
    ("uso6", Accepts::USO6.0 as u32),
];

/// `none`, `all`, or names.
pub(super) fn set(text: &str, names: Bits) -> Result<u32, String> {
    match text {
        "none" => return Ok(0),
        "all" => return Ok(names.iter().fold(0, |all, (_, bit)| all | bit)),
        _ => {}
    }
    text.split(',').try_fold(0, |all, word| {
        let known = names.iter().find(|(name, _)| *name == word);
        known.map(|(_, bit)| all | bit).ok_or_else(|| {
            let (word, words) = (shown(word), names.iter().map(|(name, _)| *name));
            let near = hint(&word, words.clone());
            let words: Vec<_> = words.collect();
            format!("'{word}' is none of {}{near}", words.join(", "))
        })
    })
}

/// The names of set bits, as [`set`] reads them.
pub(super) fn names(bits: u32, names: Bits) -> String {
    let set = names.iter().filter(|(_, bit)| bits & bit != 0);
    let set: Vec<_> = set.map(|(name, _)| *name).collect();
    match set.is_empty() {
        true => "none".to_owned(),
        false => set.join(","),
    }
}

/// `none`, or addresses; `MAC+N` for `N` of them from `MAC` on.
pub(super) fn macs(text: &str) -> Result<Vec<MacAddr>, String> {
    let mut macs = Vec::new();
    if text == "none" {
        return Ok(macs);
    }
    for entry in text.split(',') {
        let (first, count) = entry.split_once('+').unwrap_or((entry, "1"));
        let first: MacAddr = first
            .parse()
            .map_err(|_| format!("'{}' is no MAC address", shown(first)))?;
        let digits = count.bytes().all(|b| b.is_ascii_digit());
        let count: usize = count
            .parse()
            .ok()
            .filter(|_| digits)
            .ok_or_else(|| format!("'+{}' is no number of addresses", shown(count)))?;
        if count > MAX_REQUEST_MACS - macs.len() {
            return Err(format!(
                "more than {MAX_REQUEST_MACS} addresses of one kind"
            ));
        }
        macs.extend((0..count as u64).map(|n| later(first, n)));
    }
    Ok(macs)
}

fn later(mac: MacAddr, by: u64) -> MacAddr {
    let [a, b, c, d, e, f] = mac.0;
    let number = u64::from_be_bytes([0, 0, a, b, c, d, e, f]).wrapping_add(by);
    let [_, _, bytes @ ..] = number.to_be_bytes();
    MacAddr(bytes)
}
