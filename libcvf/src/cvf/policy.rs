//! What an operator lets a device's frames be and claim. Plain data; the data plane keeps to it.

use std::sync::Arc;
use std::time::Duration;

use super::device::Device;
use crate::control::QueuePolicy;
use crate::dataplane::{Neighbours, Port};
use crate::limits::{MAX_POLICY_NETWORKS, MAX_RATE_BURST, RSS_TABLE};
use crate::personality::virtio_net::bits;
use crate::switch::{PortRules, SwitchError};

pub use crate::dataplane::{GroupError, NeighbourCheck, Network, PortRates, RateGroup};
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
    /// With whom it shares a rate.
    pub group: Option<GroupRate>,
    /// Its queues.
    pub queues: QueuePolicy,
    /// Features that are not offered to its driver, beside those of its gatekeeper: from its next reset on.
    pub withheld: u64,
}

/// A place in a group.
#[derive(Clone, Debug)]
pub struct GroupRate {
    /// The group.
    pub group: Arc<RateGroup>,
    /// What the device may send whatever the others do, in bits a second.
    pub share_bits: Option<u64>,
}

impl PartialEq for GroupRate {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.group, &other.group) && self.share_bits == other.share_bits
    }
}

impl Eq for GroupRate {}

/// A place in a group that is given up again unless it is kept.
pub(super) struct Seat<'p> {
    place: Option<&'p GroupRate>,
    uuid: [u8; 16],
}

impl<'p> Seat<'p> {
    pub(super) fn take(policy: &'p PortPolicy, uuid: [u8; 16]) -> Result<Self, GroupError> {
        let place = policy.group.as_ref();
        if let Some(place) = place {
            place.group.admit(&uuid, place.share_bits)?;
        }
        Ok(Self { place, uuid })
    }

    pub(super) fn keep(mut self) {
        self.place = None;
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            place.group.leave(&self.uuid);
        }
    }
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
    /// More queue pairs than the slice has, or none.
    #[error(
        "{asked} queue pairs refused: the device's slice has {have} for its life; give 1 to {have}, or make a device \
         with more"
    )]
    Pairs {
        /// What was asked for.
        asked: u16,
        /// What the slice has.
        have: u16,
    },
    /// Not a power of two, or too many.
    #[error(
        "an indirection table of {0} entries refused: give a power of two of them, up to {RSS_TABLE}"
    )]
    Table(usize),
    /// A receive queue beyond those that may be used.
    #[error(
        "the indirection table names receive queue {queue}, and the device may use {pairs}: name 0 to {}, or let it \
         use more", .pairs - 1
    )]
    TableQueue {
        /// The queue.
        queue: u16,
        /// Queue pairs that may be used.
        pairs: u16,
    },
    /// Its group refuses.
    #[error("{0}")]
    Group(#[from] GroupError),
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
        let (group, share) = match &self.group {
            Some(place) => (Some(Arc::clone(&place.group)), place.share_bits),
            None => (None, None),
        };
        port.set_queue_policy(self.queues.clone());
        port.join(group, share);
        port.police(&self.rates, neighbours);
    }

    /// Features that a driver is not offered because of it. What the operator decides about hashes is nothing
    /// that a driver could be told, so it is not asked.
    pub(super) const fn masked(&self) -> u64 {
        let hash = if self.queues.rss_key.is_some() {
            bits::HASH_REPORT
        } else {
            0
        };
        let rss = if self.queues.is_pinned() {
            bits::RSS
        } else {
            0
        };
        self.withheld | hash | rss
    }

    /// Whether a device whose slice has so many queue pairs can have it.
    ///
    /// # Errors
    /// [`PolicyError`]: pairs or queues that it does not have.
    pub fn check_queues(&self, have: u16) -> Result<(), PolicyError> {
        let queues = &self.queues;
        if let Some(asked) = queues.pairs.filter(|pairs| !(1..=have).contains(pairs)) {
            return Err(PolicyError::Pairs { asked, have });
        }
        let Some(table) = &queues.rss_table else {
            return Ok(());
        };
        if !table.len().is_power_of_two() || table.len() > usize::from(RSS_TABLE) {
            return Err(PolicyError::Table(table.len()));
        }
        let pairs = queues.allowed(have);
        match table.iter().find(|queue| **queue >= pairs) {
            Some(&queue) => Err(PolicyError::TableQueue { queue, pairs }),
            None => Ok(()),
        }
    }

    pub(super) fn check(&self) -> Result<(), PolicyError> {
        let many = self.networks.len();
        if many > MAX_POLICY_NETWORKS {
            return Err(PolicyError::TooManyNetworks(many));
        }
        if let Some(network) = self.networks.iter().find(|network| !network.is_valid()) {
            return Err(PolicyError::Network(*network));
        }
        if self
            .group
            .as_ref()
            .is_some_and(|place| place.share_bits == Some(0))
        {
            return Err(PolicyError::ZeroRate("share"));
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
        policy.check_queues(self.spec.queue_pairs)?;
        let mut present = self.policy.lock();
        let seat = Seat::take(&policy, self.spec.uuid)?;
        let switch = self.fabric().switch();
        if let Err(error) = switch.set_rules(self.port.id(), policy.rules()) {
            drop(seat);
            if let Ok(seat) = Seat::take(&present, self.spec.uuid) {
                seat.keep();
            }
            return Err(error.into());
        }
        seat.keep();
        policy.apply(&self.port);
        let stays = |old: &GroupRate| {
            let new = policy.group.as_ref();
            new.is_some_and(|new| Arc::ptr_eq(&new.group, &old.group))
        };
        if let Some(old) = present.group.as_ref().filter(|old| !stays(old)) {
            old.group.leave(&self.spec.uuid);
        }
        *present = policy;
        drop(present);
        self.retune();
        Ok(())
    }

    /// Leaves its group, if it is in one.
    pub(super) fn leave_group(&self) {
        if let Some(place) = self.policy.lock().group.take() {
            place.group.leave(&self.spec.uuid);
        }
    }
}

#[cfg(test)]
mod tests;
