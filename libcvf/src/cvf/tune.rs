//! What reaches a device from outside, told to hardware that filters.

use super::device::{Assigned, Device};
use crate::control::{MacAddr, UuidText};
use crate::pf::Station;
use crate::switch::{PortRules, RxFilter};

/// Bytes in front of what an MTU counts: addresses, type, a tag.
const LINK: u32 = 18;

/// What a device with this filter takes.
fn station(filter: &RxFilter, assigned: &Assigned, rules: &PortRules, longest: u32) -> Station {
    let vlans = match (assigned.vlan, &filter.vlans, &rules.vlans) {
        (Some(vlan), ..) => Some(vec![vlan]),
        (None, Some(wanted), Some(allowed)) => {
            Some(wanted.common(allowed).iter().map(|vid| vid.0).collect())
        }
        (None, Some(some), None) | (None, None, Some(some)) => {
            Some(some.iter().map(|vid| vid.0).collect())
        }
        (None, None, None) => None,
    };
    let all = filter.promiscuous;
    Station {
        unicast: filter
            .unicast
            .iter()
            .map(|mac| MacAddr(mac.octets()))
            .collect(),
        vlans,
        untagged: assigned.vlan.is_none(),
        multicast: all
            || !filter.no_multicast && (filter.all_multicast || !filter.multicast.is_empty()),
        broadcast: all || !filter.no_broadcast,
        longest,
    }
}

impl Device {
    /// Has hardware let pass what a filter takes, with address, VLAN and policy as they are.
    ///
    /// # Errors
    /// What the PF says; nothing has changed.
    pub(super) fn tune(&self, filter: &RxFilter) -> Result<(), String> {
        let assigned = *self.assigned.lock();
        let rules = self.policy.lock().rules();
        self.port.set_edited(assigned.vlan.is_some());
        let longest = self.port.longest();
        let mut station = station(filter, &assigned, &rules, longest);
        if !self.port.running() {
            // Nobody is there to take them; a filter that all devices share is not switched off for that.
            station.vlans = Some(Vec::new());
        }
        match &*self.slice.lock() {
            Some(slice) => self.pf.tune(slice, &station),
            None => Ok(()),
        }
    }

    /// Takes its MTU as the length of frames from outside: hardware has none of its buffers now.
    pub(super) fn measure(&self) {
        let mtu = self.assigned.lock().mtu;
        self.port.set_longest(u32::from(mtu) + LINK);
    }

    /// The same for what is so already, and for less than before: there is room for that.
    pub(super) fn retune(&self) {
        let filter = self.wishes.lock().filter();
        if let Err(why) = self.tune(&filter) {
            tracing::warn!(device = self.spec.name, uuid = %UuidText(self.spec.uuid), why, "hardware filters as before");
        }
    }
}
