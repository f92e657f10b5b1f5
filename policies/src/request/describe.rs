//! A request as a line.

use libcvf::control::{CoalescingScope, ControlRequest, MacAddr};

use super::lists::{ACCEPTS, HASHES, names};
use crate::limits::MAX_TOLD;

/// A request as [`parse`](super::parse) reads it, for people: long lists are cut, keys of hashes left
/// out, and of a table its length and highest queue are told.
pub fn describe(request: &ControlRequest) -> String {
    match request {
        ControlRequest::SetMac(mac) => format!("mac={mac}"),
        ControlRequest::SetMacFilter { unicast, multicast } => {
            format!("unicast={} multicast={}", list(unicast), list(multicast))
        }
        ControlRequest::Promiscuous(on) => flag("promiscuous", *on),
        ControlRequest::AllMulticast(on) => flag("all-multicast", *on),
        ControlRequest::AllUnicast(on) => flag("all-unicast", *on),
        ControlRequest::NoMulticast(on) => flag("no-multicast", *on),
        ControlRequest::NoUnicast(on) => flag("no-unicast", *on),
        ControlRequest::NoBroadcast(on) => flag("no-broadcast", *on),
        ControlRequest::AddVlan(id) => format!("vlan={id}"),
        ControlRequest::DelVlan(id) => format!("vlan-leave={id}"),
        ControlRequest::FilterVlans(on) => flag("vlan-filter", *on),
        ControlRequest::SetQueuePairs(pairs) => format!("queue-pairs={pairs}"),
        ControlRequest::SetRss(settings) => {
            let (pairs, entries) = (settings.pairs, settings.table.len());
            let queues = settings
                .table
                .iter()
                .max()
                .map_or(0, |queue| u32::from(*queue) + 1);
            let unclassified = settings.unclassified;
            format!("rss={pairs},table={entries},queues={queues},unclassified={unclassified}")
        }
        ControlRequest::SetHash(settings) => {
            format!("hash-report={}", names(settings.types.0, HASHES))
        }
        ControlRequest::SetCoalescing(scope, to) => {
            let scope = match scope {
                CoalescingScope::Receive => "receive".to_owned(),
                CoalescingScope::Transmit => "transmit".to_owned(),
                CoalescingScope::ReceiveQueue(pair) => format!("receive-queue:{pair}"),
                CoalescingScope::TransmitQueue(pair) => format!("transmit-queue:{pair}"),
            };
            format!(
                "coalescing={scope},usecs={},packets={}",
                to.max_usecs, to.max_packets
            )
        }
        ControlRequest::SetReceiveOffloads(accepts) => {
            format!("receive-offloads={}", names(accepts.0.into(), ACCEPTS))
        }
    }
}

fn flag(name: &str, on: bool) -> String {
    format!("{name}={}", if on { "on" } else { "off" })
}

fn list(macs: &[MacAddr]) -> String {
    if macs.is_empty() {
        return "none".to_owned();
    }
    let told: Vec<_> = macs.iter().take(MAX_TOLD).map(MacAddr::to_string).collect();
    match macs.len() - told.len() {
        0 => told.join(","),
        more => format!("{},...({more} more)", told.join(",")),
    }
}
