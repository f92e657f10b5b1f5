//! What a profile and a definition say of frames and rates, as the data plane takes it.

use std::time::Duration;

use libcvf::cvf::{NeighbourCheck, Network, PortPolicy, PortRates, SourceMac, Vid, VlanSet};
use libcvf::limits::MAX_VLAN;
use policies::Profile;
use policies::profile::{self, Rate, SourceVlan, VlanPermission};

use crate::engine::Definition;

/// Bits in a Mbit.
const MBIT: u64 = 1_000_000;

/// The stricter of both, everywhere; of what its frames may claim, what the definition says.
pub(super) fn port_policy(definition: &Definition, profile: &Profile) -> PortPolicy {
    let profile = &definition.given().over(profile);
    let spoof = &profile.spoof;
    PortPolicy {
        source_mac: match spoof.mac {
            profile::SourceMac::Assigned => SourceMac::Assigned,
            profile::SourceMac::Granted => SourceMac::Granted,
            profile::SourceMac::Any => SourceMac::Any,
        },
        vlans: vlans(definition, profile),
        arp: neighbours(spoof.arp),
        nd: neighbours(spoof.nd),
        networks: spoof.source_networks.iter().map(network).collect(),
        rates: rates(definition, profile),
        queues: definition.tuning.queues(definition.queue_pairs),
        withheld: definition.tuning.withheld(),
        // Groups are the back end's to know.
        group: None,
    }
}

/// The VLANs of a device without access VLAN: those that its guest may join, where its tags are checked,
/// and those of its trunk.
fn vlans(definition: &Definition, profile: &Profile) -> Option<VlanSet> {
    let control = &profile.control;
    let joinable: Option<VlanSet> = match (profile.spoof.vlan, control.vlan_join) {
        (SourceVlan::Any, _) | (_, VlanPermission::Any) => None,
        (_, VlanPermission::Deny) => Some(VlanSet::new()),
        (_, VlanPermission::Listed) => {
            let listed = |id: &u16| control.vlan_list.iter().any(|range| range.contains(*id));
            Some((1..=MAX_VLAN).filter(listed).map(Vid).collect())
        }
    };
    let Some(trunk) = &definition.trunk else {
        return joinable;
    };
    let may = |vid: &Vid| joinable.as_ref().is_none_or(|set| set.contains(*vid));
    Some(trunk.vlans().map(Vid).filter(may).collect())
}

const fn neighbours(check: profile::Neighbour) -> NeighbourCheck {
    match check {
        profile::Neighbour::Off => NeighbourCheck::Off,
        profile::Neighbour::Mac => NeighbourCheck::Mac,
        profile::Neighbour::MacAndNetwork => NeighbourCheck::MacAndNetwork,
    }
}

fn network(network: &profile::Network) -> Network {
    Network {
        address: network.address(),
        bits: network.bits(),
    }
}

fn rates(definition: &Definition, profile: &Profile) -> PortRates {
    let (own, rates) = (&definition.rates, &profile.rates);
    let lower = |own: Option<u32>, of: Rate| {
        let both = own.into_iter().chain(of.limit());
        both.min().map(u64::from)
    };
    let bits = |own, of| lower(own, of).map(|mbit| mbit * MBIT);
    PortRates {
        transmit_bits: bits(own.tx_mbit, rates.transmit_mbit),
        receive_bits: bits(own.rx_mbit, rates.receive_mbit),
        transmit_frames: lower(own.tx_frames, rates.transmit_frames),
        receive_frames: own.rx_frames.map(u64::from),
        flood_frames: lower(None, rates.flood_frames),
        burst: Duration::from_millis(rates.burst_milliseconds.into()),
    }
}

#[cfg(test)]
pub(super) mod tests;
