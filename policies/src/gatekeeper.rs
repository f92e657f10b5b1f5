//! The gatekeeper that applies where no profile says otherwise.

use libcvf::control::{
    Coalescing, ControlRequest, Denial, DeviceFacts, Gatekeeper, MacAddr, RssSettings,
};
use libcvf::limits::{MAX_COALESCE_USECS, MAX_FILTER_MACS, MAX_VLAN, RSS_TABLE};

/// Names of the rules, as refusals carry them.
pub mod rule {
    /// A device's own address is unicast and not zero.
    pub const MAC_VALID: &str = "mac-valid";
    /// Filter lists hold addresses of their kind.
    pub const FILTER_VALID: &str = "filter-valid";
    /// Filter lists are bounded.
    pub const FILTER_SIZE: &str = "filter-size";
    /// VLAN ids are 1 to 4094; 0, the priority tag, is no VLAN and may be named.
    pub const VLAN_ID: &str = "vlan-id";
    /// A device with an access VLAN joins no other.
    pub const VLAN_ACCESS: &str = "vlan-access";
    /// Queue pairs come from the device's slice.
    pub const QUEUE_PAIRS: &str = "queue-pairs";
    /// Receive-side scaling names queues of the device's slice.
    pub const RSS_QUEUES: &str = "rss-queues";
    /// Indirection tables are bounded.
    pub const RSS_TABLE_SIZE: &str = "rss-table-size";
    /// Interrupts are not held back for ever.
    pub const COALESCE_TIME: &str = "coalesce-time";
}

/// Refuses what cannot be right for any device; allows everything else.
#[derive(Clone, Copy, Debug, Default)]
pub struct DefaultGatekeeper;

impl Gatekeeper for DefaultGatekeeper {
    fn decide(&self, facts: &DeviceFacts, request: &ControlRequest) -> Result<(), Denial> {
        match request {
            ControlRequest::SetMac(mac) => own_mac(*mac),
            ControlRequest::SetMacFilter { unicast, multicast } => filter(unicast, multicast),
            ControlRequest::AddVlan(id) => add_vlan(facts, *id),
            ControlRequest::DelVlan(id) => vlan_id(*id),
            ControlRequest::SetQueuePairs(pairs) => queue_pairs(facts, *pairs),
            ControlRequest::SetRss(settings) => rss(facts, settings),
            ControlRequest::SetCoalescing(_, to) => coalescing(*to),
            ControlRequest::Promiscuous(_)
            | ControlRequest::AllMulticast(_)
            | ControlRequest::AllUnicast(_)
            | ControlRequest::NoMulticast(_)
            | ControlRequest::NoUnicast(_)
            | ControlRequest::NoBroadcast(_)
            | ControlRequest::FilterVlans(_)
            | ControlRequest::SetHash(_)
            | ControlRequest::SetReceiveOffloads(_) => Ok(()),
        }
    }
}

fn allow(allowed: bool, rule: &'static str, reason: impl FnOnce() -> String) -> Result<(), Denial> {
    if allowed {
        Ok(())
    } else {
        Err(Denial {
            rule,
            reason: reason(),
        })
    }
}

fn own_mac(mac: MacAddr) -> Result<(), Denial> {
    allow(mac.is_unicast_nonzero(), rule::MAC_VALID, || {
        format!("{mac} cannot be a device's address: it is a group address or zero")
    })
}

fn filter(unicast: &[MacAddr], multicast: &[MacAddr]) -> Result<(), Denial> {
    for (kind, list) in [("unicast", unicast), ("multicast", multicast)] {
        allow(list.len() <= MAX_FILTER_MACS, rule::FILTER_SIZE, || {
            let n = list.len();
            format!("{n} {kind} addresses were asked for, a filter holds {MAX_FILTER_MACS}")
        })?;
    }
    if let Some(mac) = unicast.iter().find(|mac| !mac.is_unicast_nonzero()) {
        return allow(false, rule::FILTER_VALID, || {
            format!("{mac} in the unicast list is a group address or zero")
        });
    }
    if let Some(mac) = multicast.iter().find(|mac| !mac.is_multicast()) {
        return allow(false, rule::FILTER_VALID, || {
            format!("{mac} in the multicast list is not a group address")
        });
    }
    Ok(())
}

/// Stock Linux adds id 0 as soon as its 802.1Q module is there: frames with only a priority.
fn vlan_id(id: u16) -> Result<(), Denial> {
    allow(id <= MAX_VLAN, rule::VLAN_ID, || {
        format!("VLAN id {id} does not exist: ids are 1 to {MAX_VLAN}")
    })
}

fn add_vlan(facts: &DeviceFacts, id: u16) -> Result<(), Denial> {
    vlan_id(id)?;
    match facts.access_vlan {
        Some(access) => allow(id == 0, rule::VLAN_ACCESS, || {
            format!("VLAN {id} was asked for by a device that the operator put into VLAN {access}")
        }),
        None => Ok(()),
    }
}

fn queue_pairs(facts: &DeviceFacts, pairs: u16) -> Result<(), Denial> {
    let has = facts.queue_pairs;
    allow((1..=has).contains(&pairs), rule::QUEUE_PAIRS, || {
        format!("{pairs} queue pairs were asked for, the device's slice has {has}")
    })
}

fn rss(facts: &DeviceFacts, settings: &RssSettings) -> Result<(), Denial> {
    queue_pairs(facts, settings.pairs)?;
    let (entries, has) = (settings.table.len(), facts.queue_pairs);
    let sizes = 1..=usize::from(RSS_TABLE);
    allow(sizes.contains(&entries), rule::RSS_TABLE_SIZE, || {
        format!("an indirection table of {entries} entries was asked for, one holds {RSS_TABLE}")
    })?;
    let named = settings.table.iter().chain([&settings.unclassified]);
    let foreign = named.copied().find(|queue| *queue >= has);
    allow(foreign.is_none(), rule::RSS_QUEUES, || {
        let queue = foreign.unwrap_or_default();
        format!("receive queue {queue} was named, the device's slice has {has}")
    })
}

fn coalescing(to: Coalescing) -> Result<(), Denial> {
    let usecs = to.max_usecs;
    allow(usecs <= MAX_COALESCE_USECS, rule::COALESCE_TIME, || {
        format!("interrupts were to be held back for {usecs} µs, the most is {MAX_COALESCE_USECS}")
    })
}

#[cfg(test)]
mod tests;
