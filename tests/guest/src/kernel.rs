//! The kernel's own counters of what went wrong, read from the texts in which it publishes them.

use std::collections::BTreeMap;

/// Counters by name, `Udp.InErrors`, `Udp6.InErrors` and so on.
pub type Counters = BTreeMap<String, u64>;

/// Counters that say that something arrived broken, and that nothing else raises in a healthy network.
pub const FAULTS: &[&str] = &[
    "Ip.InHdrErrors",
    "Ip.InAddrErrors",
    "Ip.InDiscards",
    "Ip.ReasmTimeout",
    "Ip.ReasmFails",
    "Tcp.InErrs",
    "Tcp.InCsumErrors",
    "Udp.InErrors",
    "Udp.InCsumErrors",
    "Udp.RcvbufErrors",
    "Ip6.InHdrErrors",
    "Ip6.InTruncatedPkts",
    "Ip6.InDiscards",
    "Ip6.ReasmFails",
    "Udp6.InErrors",
    "Udp6.InCsumErrors",
    "Udp6.RcvbufErrors",
    "Icmp6.InCsumErrors",
];

/// Counters of an interface that say the same, as its directory `statistics` has them.
pub const INTERFACE_FAULTS: &[&str] = &[
    "rx_errors",
    "rx_dropped",
    "rx_length_errors",
    "rx_frame_errors",
    "rx_crc_errors",
    "rx_over_errors",
    "tx_errors",
    "tx_dropped",
];

/// Reads `/proc/net/snmp`: lines of names, each followed by a line of numbers.
pub fn snmp(text: &str, into: &mut Counters) {
    let lines: Vec<&str> = text.lines().collect();
    for pair in lines.chunks_exact(2) {
        let (Some((group, names)), Some((_, values))) =
            (pair[0].split_once(": "), pair[1].split_once(": "))
        else {
            continue;
        };
        for (name, value) in names.split_whitespace().zip(values.split_whitespace()) {
            if let Ok(value) = value.parse() {
                into.insert(format!("{group}.{name}"), value);
            }
        }
    }
}

/// Reads `/proc/net/snmp6`: a name and a number in each line, the name with its group in front.
pub fn snmp6(text: &str, into: &mut Counters) {
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let (Some(word), Some(Ok(value))) = (words.next(), words.next().map(str::parse)) else {
            continue;
        };
        if let Some((group, name)) = word.split_once('6') {
            into.insert(format!("{group}6.{name}"), value);
        }
    }
}

/// What went up between two looks; a counter that was not there before began at zero.
#[must_use]
pub fn risen(before: &Counters, after: &Counters) -> Counters {
    let more = after.iter().filter_map(|(name, now)| {
        let by = now.saturating_sub(before.get(name).copied().unwrap_or(0));
        (by > 0).then(|| (name.clone(), by))
    });
    more.collect()
}

#[cfg(test)]
mod tests;
