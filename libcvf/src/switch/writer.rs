//! Changing ports.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use arc_swap::Guard;
use parking_lot::Mutex;

use super::filter::{FilterError, RxFilter, VlanTable};
use super::learned::LearnedEntry;
use super::lists::{Membership, place};
use super::permute::Permutation;
use super::port::{Port, PortConfig, PortId, PortKind, PortRules, Vid};
use super::snapshot::{CHUNK, Owner, Snapshot};
use crate::kept::{Kept, Versioned};
use crate::limits::{MAX_PORT_IDS, MAX_PORTS, MAX_VLAN};
use crate::offload::{PackedMac, TagStyle};

/// Why a port cannot be made or changed. Nothing has changed then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SwitchError {
    /// There are [`MAX_PORTS`] ports.
    #[error("the switch has {MAX_PORTS} ports, its limit: remove one first")]
    TooManyPorts,
    /// No such port.
    #[error("the switch has no {0}")]
    NoSuchPort(PortId),
    /// Not 1 to 4094.
    #[error("{} is no VLAN for an access port: give 1 to {MAX_VLAN}", .0.0)]
    BadVlan(Vid),
    /// The filter's lists.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// Another port owns the address.
    #[error("{mac} belongs to {port} in {vid}: give another address or another VLAN")]
    AddressTaken {
        /// The address.
        mac: PackedMac,
        /// Where it is taken; no VLAN: by a trunk, in all of them.
        vid: Vid,
        /// By whom.
        port: PortId,
    },
    /// Another access port of the VLAN has the other kind of tag.
    #[error(
        "{vid} has tags of {} here, because another device is in it with them: give the same protocol, or \
         another VLAN", protocol(*.service)
    )]
    OtherTags {
        /// The VLAN.
        vid: Vid,
        /// Service tags.
        service: bool,
    },
}

const fn protocol(service: bool) -> &'static str {
    if service { "802.1ad" } else { "802.1Q" }
}

/// The access ports of a VLAN.
#[derive(Clone, Copy, Default)]
struct Members {
    count: usize,
    /// They have service tags.
    service: bool,
}

/// The write side. Shared by reference; changes wait for each other, workers never wait.
pub struct Switch {
    current: Versioned<Snapshot>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    ports: HashMap<PortId, PortConfig>,
    /// Static addresses, by address first: a trunk (VLAN 0) conflicts with every VLAN.
    owners: BTreeMap<(PackedMac, Vid), PortId>,
    /// Addresses that ports keep for themselves, listed in their filters or not.
    reserved: BTreeMap<(PackedMac, Vid), PortId>,
    /// Of VLANs that have access ports.
    vlans: HashMap<Vid, Members>,
    /// Numbers never used start here.
    fresh: u32,
    /// Numbers of removed ports, oldest first.
    freed: VecDeque<u32>,
}

impl Default for Switch {
    fn default() -> Self {
        Self::new()
    }
}

impl Switch {
    /// A switch without ports.
    pub fn new() -> Self {
        Self::keyed(Permutation::random())
    }

    /// A switch whose tables are laid out by this permutation.
    pub(super) fn keyed(permute: Permutation) -> Self {
        let current = Versioned::new(Snapshot::new(permute));
        Self {
            current,
            state: Mutex::default(),
        }
    }

    /// The present snapshot, to be kept.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// The present snapshot, for one burst: does not touch its reference count.
    #[inline]
    pub fn load(&self) -> Guard<Arc<Snapshot>> {
        self.current.load()
    }

    /// The present snapshot, for a thread that keeps it from burst to burst, and a number that no other
    /// snapshot ever has; 0 while it is being replaced.
    #[inline]
    pub(crate) fn keep<'k>(&self, kept: &'k mut Kept<Snapshot>) -> (&'k Snapshot, u64) {
        let (snapshot, version) = self.current.keep_named(kept);
        (snapshot, version)
    }

    /// Lets go of a snapshot that is no longer the present one.
    #[inline]
    pub(crate) fn release(&self, kept: &mut Kept<Snapshot>) {
        kept.forget_if_old(&self.current);
    }

    /// Makes a port.
    ///
    /// # Errors
    /// [`SwitchError`], naming what is in the way.
    pub fn add_port(&self, config: PortConfig) -> Result<PortId, SwitchError> {
        let mut state = self.state.lock();
        if state.ports.len() >= MAX_PORTS {
            return Err(SwitchError::TooManyPorts);
        }
        state.check(None, &config)?;
        let id = state.take_number().ok_or(SwitchError::TooManyPorts)?;
        let snapshot = self.current.load_full();
        snapshot.learned.open(id, config.kind == PortKind::Uplink);
        self.change(&mut state, id, Some(&config));
        state.reserve(id, &config);
        state.ports.insert(id, config);
        Ok(id)
    }

    /// Removes a port and what was learned behind it. Workers that still hold an older snapshot may
    /// name it until they load the next one.
    ///
    /// # Errors
    /// [`SwitchError::NoSuchPort`].
    pub fn remove_port(&self, id: PortId) -> Result<(), SwitchError> {
        let mut state = self.state.lock();
        state.config(id)?;
        self.change(&mut state, id, None);
        if let Some(old) = state.ports.remove(&id) {
            state.release(&old);
        }
        state.freed.push_back(id.0);
        Ok(())
    }

    /// Replaces what a port takes and owns.
    ///
    /// # Errors
    /// [`SwitchError`], naming what is in the way.
    pub fn set_filter(&self, id: PortId, filter: RxFilter) -> Result<(), SwitchError> {
        self.edit(id, |config| config.filter = filter)
    }

    /// Makes a port an access port of a VLAN, whose frames leave it with such tags, or a trunk.
    ///
    /// # Errors
    /// [`SwitchError`]: the VLAN, the other kind of tag than it has, or an address that is taken there.
    pub fn set_access_vlan(
        &self,
        id: PortId,
        vid: Option<Vid>,
        tag: TagStyle,
    ) -> Result<(), SwitchError> {
        self.edit(id, |config| {
            config.access_vlan = vid;
            config.tag = tag;
        })
    }

    /// Gives a port another address of its own, which nobody else may have, with the filter that goes
    /// with it.
    ///
    /// # Errors
    /// [`SwitchError`]: an address that is taken.
    pub fn set_station(
        &self,
        id: PortId,
        own: PackedMac,
        filter: RxFilter,
    ) -> Result<(), SwitchError> {
        self.edit(id, |config| {
            config.reserved = Some(own);
            config.filter = filter;
        })
    }

    /// Changes what a port's frames may claim. What was learned behind it is forgotten: it may not be let
    /// in any more.
    ///
    /// # Errors
    /// [`SwitchError::NoSuchPort`].
    pub fn set_rules(&self, id: PortId, rules: PortRules) -> Result<(), SwitchError> {
        self.edit(id, |config| config.rules = rules)
    }

    /// A port's present configuration.
    pub fn port(&self, id: PortId) -> Option<PortConfig> {
        self.state.lock().ports.get(&id).cloned()
    }

    /// How many ports there are.
    pub fn port_count(&self) -> usize {
        self.state.lock().ports.len()
    }

    /// Forgets what was learned behind a port.
    pub fn flush_learned(&self, id: PortId) {
        self.load().learned.flush(id);
    }

    /// Forgets addresses that were not seen for [`crate::limits::LEARNED_AGEING`] seconds. They have
    /// stopped answering before; call this every few minutes, so that their places become free.
    pub fn age_learned(&self, now: u32) {
        self.load().learned.sweep(now);
    }

    /// All learned addresses.
    pub fn learned(&self, now: u32) -> Vec<LearnedEntry> {
        let snapshot = self.load();
        snapshot.learned.entries(&snapshot.permute, now)
    }

    /// How many addresses were learned behind a port.
    pub fn learned_count(&self, id: PortId) -> u32 {
        self.load().learned.count(id)
    }

    fn edit(&self, id: PortId, edit: impl FnOnce(&mut PortConfig)) -> Result<(), SwitchError> {
        let mut state = self.state.lock();
        let old = state.config(id)?;
        let mut config = old.clone();
        edit(&mut config);
        if config == *old {
            return Ok(());
        }
        state.check(Some(id), &config)?;
        self.change(&mut state, id, Some(&config));
        state.reserve(id, &config);
        if let Some(old) = state.ports.insert(id, config) {
            let new = &state.ports[&id];
            if (vid_of(&old), old.reserved) != (vid_of(new), new.reserved) {
                state.release(&old);
            }
        }
        Ok(())
    }

    /// Publishes a port's new configuration, which was checked; `None`: the port goes.
    fn change(&self, state: &mut State, id: PortId, new: Option<&PortConfig>) {
        let old = state.ports.get(&id);
        let mut next = Snapshot::clone(&self.current.load());
        next.number += 1;
        let mut change = Change {
            snapshot: &mut next,
            owners: &mut state.owners,
            id,
        };
        change.addresses(old, new);
        change.groups(old, new);
        change.lists(old, new);
        change.port(new);
        if let Some(services) = services(&mut state.vlans, old, new) {
            next.services = services;
        }

        let learned = Arc::clone(&next.learned);
        self.current.swap(Arc::new(next));
        let learns = |config: &PortConfig| Port::new(config).learns;
        if let Some(old) = old.filter(|old| learns(old)) {
            let stays = |new: &PortConfig| {
                learns(new)
                    && (new.access_vlan, new.tag.service) == (old.access_vlan, old.tag.service)
                    && new.rules == old.rules
            };
            if !new.is_some_and(stays) {
                learned.flush(id);
            }
        }
    }
}

impl State {
    fn config(&self, id: PortId) -> Result<&PortConfig, SwitchError> {
        self.ports.get(&id).ok_or(SwitchError::NoSuchPort(id))
    }

    fn reserve(&mut self, id: PortId, config: &PortConfig) {
        if let Some(mac) = config.reserved {
            self.reserved.insert((mac, vid_of(config)), id);
        }
    }

    fn release(&mut self, config: &PortConfig) {
        if let Some(mac) = config.reserved {
            self.reserved.remove(&(mac, vid_of(config)));
        }
    }

    /// A number for a new port. Late reuse keeps snapshots and learned entries of the number's last
    /// owner from meaning the next one.
    fn take_number(&mut self) -> Option<PortId> {
        let rested = self.freed.len() >= MAX_PORT_IDS - MAX_PORTS;
        if !rested && (self.fresh as usize) < MAX_PORT_IDS {
            self.fresh += 1;
            return Some(PortId(self.fresh - 1));
        }
        self.freed.pop_front().map(PortId)
    }

    /// Checks a configuration for a port (`None`: a new one) against itself and all others.
    fn check(&self, id: Option<PortId>, config: &PortConfig) -> Result<(), SwitchError> {
        if let Some(vid) = config.access_vlan.filter(|vid| !vid.is_vlan()) {
            return Err(SwitchError::BadVlan(vid));
        }
        config.filter.check()?;
        self.check_tag(id, config)?;
        let own = config.filter.unicast.iter().copied();
        for mac in own.chain(config.reserved) {
            let taken = |(key, port): (&(PackedMac, Vid), &PortId)| {
                let clash = config
                    .access_vlan
                    .is_none_or(|vid| key.1 == vid || key.1.0 == 0);
                (clash && Some(*port) != id).then_some((key.1, *port))
            };
            let found = |table: &BTreeMap<(PackedMac, Vid), PortId>| match config.access_vlan {
                None => table
                    .range((mac, Vid(0))..=(mac, Vid(u16::MAX)))
                    .find_map(taken),
                // Two look-ups instead of a walk over all VLANs.
                Some(vid) => [Vid::UNTAGGED, vid]
                    .into_iter()
                    .find_map(|vid| table.get_key_value(&(mac, vid)).and_then(taken)),
            };
            if let Some((vid, port)) = found(&self.owners).or_else(|| found(&self.reserved)) {
                return Err(SwitchError::AddressTaken { mac, vid, port });
            }
        }
        Ok(())
    }
}

impl State {
    /// All access ports of a VLAN have the same kind of tag.
    fn check_tag(&self, id: Option<PortId>, config: &PortConfig) -> Result<(), SwitchError> {
        let Some(vid) = config.access_vlan else {
            return Ok(());
        };
        let own = id.and_then(|id| self.ports.get(&id));
        let own = own.is_some_and(|own| own.access_vlan == Some(vid));
        let members = self.vlans.get(&vid).copied().unwrap_or_default();
        let service = members.service;
        if members.count > usize::from(own) && service != config.tag.service {
            return Err(SwitchError::OtherTags { vid, service });
        }
        Ok(())
    }
}

/// Counts a port where it is now. What VLANs have service tags, if that is not as it was.
fn services(
    vlans: &mut HashMap<Vid, Members>,
    old: Config<'_>,
    new: Config<'_>,
) -> Option<Option<Arc<VlanTable>>> {
    let place = |config: Config<'_>| {
        let config = config?;
        config.access_vlan.map(|vid| (vid, config.tag.service))
    };
    let (old, new) = (place(old), place(new));
    if old == new {
        return None;
    }
    if let Some((vid, _)) = old
        && let Some(members) = vlans.get_mut(&vid)
    {
        members.count -= 1;
        if members.count == 0 {
            vlans.remove(&vid);
        }
    }
    if let Some((vid, service)) = new {
        let members = vlans.entry(vid).or_default();
        members.count += 1;
        members.service = service;
    }
    let is_service = |place: Option<(Vid, bool)>| place.is_some_and(|(_, service)| service);
    if !is_service(old) && !is_service(new) {
        return None;
    }
    let table: VlanTable = vlans
        .iter()
        .filter(|(_, members)| members.service)
        .map(|(vid, _)| *vid)
        .collect();
    Some((table != VlanTable::new()).then(|| Arc::new(table)))
}

/// One port's change, applied to a copy of the snapshot. Only what differs is touched, so that all
/// else stays shared with the old one.
struct Change<'a> {
    snapshot: &'a mut Snapshot,
    owners: &'a mut BTreeMap<(PackedMac, Vid), PortId>,
    id: PortId,
}

type Config<'a> = Option<&'a PortConfig>;

fn vid_of(config: &PortConfig) -> Vid {
    config.access_vlan.unwrap_or_default()
}

impl Change<'_> {
    fn addresses(&mut self, old: Config<'_>, new: Config<'_>) {
        let id = self.id;
        let owned = |config: Config<'_>| -> HashMap<(PackedMac, Vid), Owner> {
            let Some(config) = config else {
                return HashMap::new();
            };
            let port = Port::new(config);
            let owner = Owner {
                port: id,
                check: port.no_unicast || port.vlans.is_some(),
            };
            let own = config.filter.unicast.iter();
            own.map(|mac| ((*mac, vid_of(config)), owner)).collect()
        };
        let (old, new) = (owned(old), owned(new));
        if old == new {
            return;
        }
        let permute = self.snapshot.permute;
        let table = Arc::make_mut(&mut self.snapshot.statics);
        for key in old.keys().filter(|key| !new.contains_key(key)) {
            table.set(permute.apply(key.1, key.0), None);
            self.owners.remove(key);
        }
        for (key, owner) in new
            .iter()
            .filter(|(key, owner)| old.get(key) != Some(owner))
        {
            let place = permute.apply(key.1, key.0);
            table.set(place, Some(*owner));
            self.owners.insert(*key, id);
            // From now on nobody learns it, so what was learned would only lie there.
            self.snapshot.learned.forget(place);
        }
    }

    fn groups(&mut self, old: Config<'_>, new: Config<'_>) {
        let listed = |config: Config<'_>| -> HashSet<(PackedMac, Vid)> {
            let cvf = config.filter(|config| config.kind == PortKind::Cvf);
            let Some(config) = cvf else {
                return HashSet::new();
            };
            config
                .filter
                .listed_groups()
                .iter()
                .map(|mac| (*mac, vid_of(config)))
                .collect()
        };
        let (old, new) = (listed(old), listed(new));
        if old == new {
            return;
        }
        let permute = self.snapshot.permute;
        let table = Arc::make_mut(&mut self.snapshot.groups);
        for (mac, vid) in old.symmetric_difference(&new) {
            let key = permute.apply(*vid, *mac);
            let mut ports = table.get(key).cloned().unwrap_or_default();
            place(&mut ports, self.id, new.contains(&(*mac, *vid)));
            table.set(key, Some(ports).filter(|ports| !ports.is_empty()));
        }
    }

    fn lists(&mut self, old: Config<'_>, new: Config<'_>) {
        let whole =
            |config: Config<'_>| config.map(|config| (vid_of(config), Membership::of(config)));
        let (old, new) = (whole(old), whole(new));
        if old == new {
            return;
        }
        let is_access = |place: &(Vid, Membership)| place.0 != Vid::UNTAGGED;
        self.snapshot.access_ports -= usize::from(old.as_ref().is_some_and(is_access));
        self.snapshot.access_ports += usize::from(new.as_ref().is_some_and(is_access));
        let overhears = |place: &(Vid, Membership)| place.1.promiscuous;
        self.snapshot.promiscuous_ports -= usize::from(old.as_ref().is_some_and(overhears));
        self.snapshot.promiscuous_ports += usize::from(new.as_ref().is_some_and(overhears));
        if let Some((vid, _)) = old.filter(|(vid, _)| new.is_none_or(|new| new.0 != *vid)) {
            self.place(vid, Membership::default());
        }
        if let Some((vid, member)) = new {
            self.place(vid, member);
        }
    }

    fn place(&mut self, vid: Vid, member: Membership) {
        match vid {
            Vid::UNTAGGED => self.snapshot.trunks.place(self.id, member),
            vid => Arc::make_mut(&mut self.snapshot.vlans).place(vid, self.id, member),
        }
    }

    fn port(&mut self, new: Config<'_>) {
        let (chunk, at) = (self.id.index() / CHUNK, self.id.index() % CHUNK);
        let mut chunks = self.snapshot.ports.to_vec();
        while chunks.len() <= chunk {
            chunks.push(Arc::new([const { None }; CHUNK]));
        }
        Arc::make_mut(&mut chunks[chunk])[at] = new.map(Port::new);
        self.snapshot.ports = chunks.into();
    }
}

#[cfg(test)]
mod tests;
