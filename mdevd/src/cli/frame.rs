//! A captured frame for people and scripts: what its link header says.

use serde_json::{Value as Json, json};

use super::clock::utc;
use crate::pcapng::Packet;
use crate::text::counted;

/// A frame's link header, as far as there is one.
#[derive(Debug, Default, PartialEq, Eq)]
struct Link {
    to: Option<String>,
    from: Option<String>,
    /// Ids, the outer one first.
    vlans: Vec<u16>,
    ethertype: Option<u16>,
}

/// Most tags that are looked behind.
const MAX_TAGS: usize = 2;

fn mac(bytes: &[u8]) -> String {
    let pairs: Vec<_> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    pairs.join(":")
}

fn word(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

impl Link {
    fn of(bytes: &[u8]) -> Self {
        let mut link = Self {
            to: bytes.get(..6).map(mac),
            from: bytes.get(6..12).map(mac),
            ..Self::default()
        };
        let mut at = 12;
        while let Some(0x8100 | 0x88a8) = word(bytes, at)
            && link.vlans.len() < MAX_TAGS
        {
            if let Some(tag) = word(bytes, at + 2) {
                link.vlans.push(tag & 0xfff);
            }
            at += 4;
        }
        link.ethertype = word(bytes, at);
        link
    }
}

/// What an EtherType is called, for those that one meets.
const fn called(ethertype: u16) -> &'static str {
    match ethertype {
        0..0x600 => " 802.3",
        0x0800 => " IPv4",
        0x0806 => " ARP",
        0x86dd => " IPv6",
        0x88cc => " LLDP",
        _ => "",
    }
}

const fn way(packet: &Packet<'_>) -> &'static str {
    match packet.out {
        Some(true) => "out",
        Some(false) => "in",
        None => "?",
    }
}

/// A line: time, direction, length, addresses, VLAN, EtherType, and why it was dropped.
pub(super) fn line(packet: &Packet<'_>) -> String {
    let link = Link::of(packet.bytes);
    let time = utc(packet.time / 1000);
    let mut line = format!("{time} {:<3} {:>5}", way(packet), packet.len);
    if let (Some(from), Some(to)) = (&link.from, &link.to) {
        line.push_str(&format!(" {from} > {to}"));
    }
    for vlan in &link.vlans {
        line.push_str(&format!(" vlan {vlan}"));
    }
    if let Some(ethertype) = link.ethertype {
        line.push_str(&format!(" 0x{ethertype:04x}{}", called(ethertype)));
    }
    if let Some(reason) = packet.dropped {
        line.push_str(&format!(" dropped: {reason}"));
    }
    line.push('\n');
    if packet.lost > 0 {
        line.insert_str(
            0,
            &format!("{time} {} lost here\n", counted(packet.lost, "frame")),
        );
    }
    line
}

/// The same as an object.
pub(super) fn json(packet: &Packet<'_>) -> Json {
    let link = Link::of(packet.bytes);
    let mut json = json!({
        "time_us": packet.time / 1000,
        "direction": way(packet),
        "length": packet.len,
    });
    for (key, value) in [("source", link.from), ("destination", link.to)] {
        if let Some(value) = value {
            json[key] = json!(value);
        }
    }
    if !link.vlans.is_empty() {
        json["vlans"] = json!(link.vlans);
    }
    if let Some(ethertype) = link.ethertype {
        json["ethertype"] = json!(ethertype);
    }
    if let Some(reason) = packet.dropped {
        json["dropped"] = json!(reason);
    }
    if packet.lost > 0 {
        json["lost_before"] = json!(packet.lost);
    }
    json
}

#[cfg(test)]
mod tests;
