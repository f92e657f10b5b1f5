//! What an operator lets a device's frames be and claim. Plain data; the data plane keeps to it.

use std::sync::Arc;
use std::time::Duration;

use super::device::Device;
use crate::dataplane::{Neighbours, Port};
use crate::limits::{MAX_POLICY_NETWORKS, MAX_RATE_BURST};
use crate::switch::{PortRules, SwitchError};

pub use crate::dataplane::{NeighbourCheck, Network, PortRates};
pub use crate::switch::{SourceMac, Vid, VlanTable as VlanSet};

/// What a device's frames may claim, and how many there may be. By default nothing is restricted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PortPolicy {
    /// Source addresses of the guest's frames.
    pub source_mac: SourceMac,
    /// `Some`: the VLANs that the device can be in, in both directions, whatever its driver joined. Frames of the
    /// guest have one tag at most then, and no service tag. `None`: all. Says nothing of a device with an access
    /// VLAN, which is in that one.
    pub vlans: Option<VlanSet>,
    /// Senders of ARP.
    pub arp: NeighbourCheck,
    /// Sources and targets of neighbour discovery in IPv6.
    pub nd: NeighbourCheck,
    /// The networks that [`NeighbourCheck::MacAndNetwork`] means.
    pub networks: Vec<Network>,
    /// How much it may send and receive.
    pub rates: PortRates,
}

/// Why a policy cannot be in force; nothing has changed then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// More bits than an address of its kind has.
    #[error("{0} is no network: give at most as many bits as the address has")]
    Network(Network),
    /// More than [`MAX_POLICY_NETWORKS`].
    #[error("a device was to have {0} networks, the most is {MAX_POLICY_NETWORKS}")]
    TooManyNetworks(usize),
    /// A rate of zero.
    #[error("a rate of zero for {0} refused: take the link down instead")]
    ZeroRate(&'static str),
    /// A burst beyond [`MAX_RATE_BURST`].
    #[error("rates were to be exceeded for {0:?}, the most is {MAX_RATE_BURST:?}")]
    Burst(Duration),
    /// The device has left the switch.
    #[error("{0}")]
    Switch(#[from] SwitchError),
}

impl PortPolicy {
    /// What of it the switch keeps to.
    pub(super) fn rules(&self) -> PortRules {
        PortRules {
            source: self.source_mac,
            vlans: self.vlans.clone().map(Arc::new),
        }
    }

    /// What of it the data plane keeps to.
    pub(super) fn apply(&self, port: &Port) {
        let neighbours = Neighbours {
            arp: self.arp,
            nd: self.nd,
            networks: self.networks.clone(),
        };
        port.police(&self.rates, neighbours);
    }

    pub(super) fn check(&self) -> Result<(), PolicyError> {
        let many = self.networks.len();
        if many > MAX_POLICY_NETWORKS {
            return Err(PolicyError::TooManyNetworks(many));
        }
        if let Some(network) = self.networks.iter().find(|network| !network.is_valid()) {
            return Err(PolicyError::Network(*network));
        }
        if let Some((name, _)) = self.rates.all().into_iter().find(|(_, r)| *r == Some(0)) {
            return Err(PolicyError::ZeroRate(name));
        }
        match self.rates.burst {
            burst if burst > MAX_RATE_BURST => Err(PolicyError::Burst(burst)),
            _ => Ok(()),
        }
    }
}

impl Device {
    /// Puts a policy in force; whoever changes it meanwhile waits.
    pub(super) fn set_policy(&self, policy: PortPolicy) -> Result<(), PolicyError> {
        policy.check()?;
        let mut present = self.policy.lock();
        let switch = self.fabric().switch();
        switch.set_rules(self.port.id(), policy.rules())?;
        policy.apply(&self.port);
        *present = policy;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
