//! Addresses and promiscuous modes.

use super::super::Host;
use super::message::{Outcome, check_vsi};
use super::refusal::{Refusal, granted};
use super::state::State;
use super::wire::addresses::{Address, AddressList, Kind, Promiscuous};
use crate::control::{ControlRequest, MacAddr};
use crate::limits::MAX_FILTER_MACS;

/// What the driver was granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Filters {
    /// The device's own address.
    pub own: MacAddr,
    unicast: Vec<MacAddr>,
    multicast: Vec<MacAddr>,
    promiscuous: bool,
    all_multicast: bool,
    /// The unicast address that a driver added last which does not say what an address is for.
    legacy: Option<MacAddr>,
}

/// Puts an address in, once.
fn insert(list: &mut Vec<MacAddr>, mac: MacAddr) -> Result<(), Refusal> {
    if list.contains(&mac) {
        return Ok(());
    }
    if list.len() == MAX_FILTER_MACS {
        return Err(Refusal::param(format!(
            "more than {MAX_FILTER_MACS} addresses were asked for"
        )));
    }
    list.push(mac);
    Ok(())
}

impl Filters {
    pub(super) const fn new(own: MacAddr) -> Self {
        Self {
            own,
            unicast: Vec::new(),
            multicast: Vec::new(),
            promiscuous: false,
            all_multicast: false,
            legacy: None,
        }
    }

    fn lists(&self) -> ControlRequest {
        ControlRequest::SetMacFilter {
            unicast: self.unicast.clone(),
            multicast: self.multicast.clone(),
        }
    }

    fn become_own(&mut self, mac: MacAddr) {
        self.own = mac;
        self.unicast.retain(|other| *other != mac);
    }

    /// Broadcast is always received. `shown` is the address that the driver was told, which is its own again
    /// after a reset.
    fn add(&mut self, shown: MacAddr, Address { mac, kind }: Address) -> Result<(), Refusal> {
        if mac == MacAddr::BROADCAST || mac == self.own {
            return Ok(());
        }
        if mac.is_multicast() {
            return insert(&mut self.multicast, mac);
        }
        if !mac.is_unicast_nonzero() {
            return Err(Refusal::param(format!("{mac} is no station's address")));
        }
        if kind == Kind::Primary || mac == shown {
            self.become_own(mac);
            return Ok(());
        }
        if kind == Kind::Legacy {
            self.legacy = Some(mac);
        }
        insert(&mut self.unicast, mac)
    }

    /// The own address can be replaced, not deleted: a driver that deletes it disables its queues, too. An old one,
    /// which does not say what an address is for, replaces it by adding the new one and deleting the old.
    fn delete(&mut self, address: Address, all: &[Address]) {
        let Address { mac, kind } = address;
        let list = if mac.is_multicast() {
            &mut self.multicast
        } else {
            &mut self.unicast
        };
        list.retain(|other| *other != mac);
        let leaves = |mac: &MacAddr| all.iter().any(|address| address.mac == *mac);
        let heir = self.legacy.filter(|mac| self.unicast.contains(mac));
        if kind == Kind::Legacy
            && mac == self.own
            && let Some(heir) = heir.filter(|mac| !leaves(mac))
        {
            self.become_own(heir);
            self.legacy = None;
        }
    }
}

fn parse(bytes: &[u8]) -> Result<Vec<Address>, Refusal> {
    let list = AddressList::parse(bytes).ok_or_else(Refusal::length)?;
    check_vsi(list.vsi)?;
    Ok(list.addresses)
}

impl State {
    pub(super) fn add_addresses(
        &mut self,
        host: &mut dyn Host,
        bytes: &[u8],
    ) -> Result<Outcome, Refusal> {
        let mut next = self.filters.clone();
        for address in parse(bytes)? {
            next.add(self.mac, address)?;
        }
        self.take_filters(host, next)
    }

    pub(super) fn delete_addresses(
        &mut self,
        host: &mut dyn Host,
        bytes: &[u8],
    ) -> Result<Outcome, Refusal> {
        let mut next = self.filters.clone();
        let addresses = parse(bytes)?;
        for address in &addresses {
            next.delete(*address, &addresses);
        }
        self.take_filters(host, next)
    }

    /// All of it or nothing: a driver that is refused forgets all that it asked for.
    fn take_filters(&mut self, host: &mut dyn Host, next: Filters) -> Result<Outcome, Refusal> {
        let (before, after) = (self.filters.lists(), next.lists());
        let lists = before != after;
        if lists {
            granted(host.control(after))?;
        }
        if next.own != self.filters.own {
            if let Err(refusal) = granted(host.control(ControlRequest::SetMac(next.own))) {
                if lists {
                    let _ = host.settle(before);
                }
                return Err(refusal);
            }
            self.mac = next.own;
        }
        self.filters = next;
        Ok(Outcome::done())
    }

    pub(super) fn config_promiscuous(
        &mut self,
        host: &mut dyn Host,
        bytes: &[u8],
    ) -> Result<Outcome, Refusal> {
        let wanted = Promiscuous::parse(bytes).ok_or_else(Refusal::length)?;
        check_vsi(wanted.vsi)?;
        let was = self.filters.all_multicast;
        let multicast = wanted.multicast != was;
        if multicast {
            granted(host.control(ControlRequest::AllMulticast(wanted.multicast)))?;
        }
        if wanted.unicast != self.filters.promiscuous {
            let asked = host.control(ControlRequest::Promiscuous(wanted.unicast));
            if let Err(refusal) = granted(asked) {
                if multicast {
                    let _ = host.settle(ControlRequest::AllMulticast(was));
                }
                return Err(refusal);
            }
        }
        self.filters.all_multicast = wanted.multicast;
        self.filters.promiscuous = wanted.unicast;
        Ok(Outcome::done())
    }
}
