//! A switch in the most obvious form: no tables, no lists, every question answered by looking at
//! every port. [`run`] plays operations on it and on the real one and compares.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::permute::Permutation;
use super::*;
use crate::limits::{LEARNED_AGEING, LEARNED_MOVE_HOLD};
use crate::offload::{EthView, PackedMac, TagStyle, VlanEdit};

/// One thing that happens to a switch. Ports are named by their place among those that are there.
#[derive(Clone, Debug)]
pub(super) enum Op {
    Add(PortConfig),
    Remove(usize),
    Filter(usize, RxFilter),
    Access(usize, Option<Vid>, TagStyle),
    Rules(usize, PortRules),
    Frame {
        from: usize,
        dst: PackedMac,
        src: PackedMac,
        tags: Vec<(u16, u16)>,
    },
    Later(u32),
    Sweep,
    Flush(usize),
}

/// Where a frame goes.
type Answer = Result<BTreeSet<PortId>, Reason>;

#[derive(Default)]
struct Model {
    ports: BTreeMap<PortId, PortConfig>,
    /// Where an address was seen, and when last.
    learned: HashMap<(Vid, PackedMac), (PortId, u32)>,
    now: u32,
}

fn uplink(config: &PortConfig) -> bool {
    config.kind == PortKind::Uplink
}

fn learns(config: &PortConfig) -> bool {
    let filter = &config.filter;
    uplink(config) || filter.promiscuous || (filter.all_unicast && !filter.no_unicast)
}

fn is_in(config: &PortConfig, vid: Vid) -> bool {
    config.access_vlan.is_none_or(|access| access == vid)
}

/// The VLAN that a guest sees on a frame.
fn visible(config: &PortConfig, vid: Vid) -> Vid {
    if config.access_vlan.is_some() {
        Vid::UNTAGGED
    } else {
        vid
    }
}

/// The VLANs that a port is held to.
fn held(config: &PortConfig) -> Option<&VlanTable> {
    let trunk = !uplink(config) && config.access_vlan.is_none();
    config.rules.vlans.as_deref().filter(|_| trunk)
}

/// A frame's VLAN, what filters take it for, and whether ports that are held to some VLANs must not see it.
#[derive(Clone, Copy)]
struct Lane {
    vid: Vid,
    shown: Vid,
    veiled: bool,
}

fn may_see(config: &PortConfig, lane: Lane) -> bool {
    let Lane { shown, veiled, .. } = lane;
    held(config).is_none_or(|held| !veiled && (shown == Vid::UNTAGGED || held.contains(shown)))
}

impl Model {
    fn owner(&self, vid: Vid, mac: PackedMac) -> Option<PortId> {
        let owns = |config: &PortConfig| is_in(config, vid) && config.filter.unicast.contains(&mac);
        self.ports
            .iter()
            .find(|(_, config)| owns(config))
            .map(|(id, _)| *id)
    }

    /// The first address of a configuration that somebody else has.
    fn conflict(
        &self,
        id: Option<PortId>,
        config: &PortConfig,
    ) -> Option<(PackedMac, Vec<PortId>)> {
        let wanted = config.filter.unicast.iter().chain(&config.reserved);
        wanted.into_iter().find_map(|mac| {
            let meets = |other: &PortConfig| match (config.access_vlan, other.access_vlan) {
                (Some(a), Some(b)) => a == b,
                _ => true,
            };
            let has = |other: &PortConfig| {
                let own = other.filter.unicast.contains(mac) || other.reserved == Some(*mac);
                meets(other) && own
            };
            let others = self.ports.iter().filter(|(other, _)| Some(**other) != id);
            let found: Vec<_> = others.filter(|(_, c)| has(c)).map(|(id, _)| *id).collect();
            (!found.is_empty()).then_some((*mac, found))
        })
    }

    /// True when another access port of its VLAN has the other kind of tag.
    fn other_tags(&self, id: Option<PortId>, config: &PortConfig) -> bool {
        let mut others = self.ports.iter().filter(|(other, _)| Some(**other) != id);
        config.access_vlan.is_some()
            && others.any(|(_, other)| {
                other.access_vlan == config.access_vlan && other.tag.service != config.tag.service
            })
    }

    fn is_service(&self, vid: u16) -> bool {
        let mut ports = self.ports.values();
        ports.any(|port| port.access_vlan == Some(Vid(vid)) && port.tag.service)
    }

    fn configure(&mut self, id: PortId, config: Option<PortConfig>) {
        let old = self.ports.get(&id).cloned();
        let keeps = |new: &PortConfig| {
            learns(new)
                && old.as_ref().is_some_and(|old| {
                    old.access_vlan == new.access_vlan
                        && old.tag.service == new.tag.service
                        && old.rules == new.rules
                })
        };
        if !config.as_ref().is_some_and(keeps) {
            self.learned.retain(|_, (port, _)| *port != id);
        }
        for mac in config.iter().flat_map(|config| &config.filter.unicast) {
            let vid = config
                .as_ref()
                .and_then(|config| config.access_vlan)
                .unwrap_or_default();
            let had = old.as_ref().is_some_and(|old| {
                old.access_vlan.unwrap_or_default() == vid && old.filter.unicast.contains(mac)
            });
            if !had {
                self.learned.remove(&(vid, *mac));
            }
        }
        match config {
            Some(config) => drop(self.ports.insert(id, config)),
            None => drop(self.ports.remove(&id)),
        }
    }

    fn live(&self, key: (Vid, PackedMac)) -> Option<(PortId, u32)> {
        let (port, seen) = *self.learned.get(&key)?;
        (self.now - seen < LEARNED_AGEING).then_some((port, seen))
    }

    fn learn(&mut self, from: PortId, vid: Vid, src: PackedMac) {
        let key = (vid, src);
        if self.live(key) == Some((from, self.now)) {
            return;
        }
        if self.owner(vid, src).is_some() {
            if self.live(key).is_some_and(|(port, _)| port == from) {
                self.learned.remove(&key);
            }
            return;
        }
        let from_uplink = uplink(&self.ports[&from]);
        if let Some((port, seen)) = self.live(key)
            && port != from
            && let Some(owner) = self.ports.get(&port)
            && !from_uplink
            && (uplink(owner) || (learns(owner) && self.now - seen < LEARNED_MOVE_HOLD))
        {
            return;
        }
        self.learned.insert(key, (from, self.now));
    }

    fn ingress(&self, from: PortId, tags: &[(u16, u16)]) -> Result<Lane, Reason> {
        let port = &self.ports[&from];
        let foreign = |held: &VlanTable| match tags {
            [] | [(0x8100, 0)] => false,
            [(0x8100, vid)] => !held.contains(Vid(*vid)),
            _ => true,
        };
        match (port.access_vlan, tags) {
            (Some(vid), [] | [(0x8100, 0)]) => Ok(Lane {
                vid,
                shown: if port.tag.service { Vid::UNTAGGED } else { vid },
                veiled: port.tag.service,
            }),
            (Some(_), _) => Err(Reason::TaggedOnAccessPort),
            (None, [(0x8100, 0xfff), ..]) => Err(Reason::ReservedVlan),
            _ if held(port).is_some_and(foreign) => Err(Reason::ForeignVlan),
            (None, [(0x8100, vid), rest @ ..]) => Ok(Lane {
                vid: Vid(if self.is_service(*vid) { 0 } else { *vid }),
                shown: Vid(*vid),
                veiled: *vid == 0 && !rest.is_empty(),
            }),
            (None, [(tpid, vid), ..]) => Ok(Lane {
                vid: Vid(if *tpid == 0x88a8 && self.is_service(*vid) {
                    *vid
                } else {
                    0
                }),
                shown: Vid::UNTAGGED,
                veiled: true,
            }),
            (None, []) => Ok(Lane {
                vid: Vid::UNTAGGED,
                shown: Vid::UNTAGGED,
                veiled: false,
            }),
        }
    }

    fn forward(&mut self, from: PortId, frame: &EthView, tags: &[(u16, u16)]) -> Answer {
        let lane = self.ingress(from, tags)?;
        let Lane { vid, shown, .. } = lane;
        let (dst, src, port) = (frame.dst, frame.src, &self.ports[&from]);
        if !src.is_station() {
            return Err(Reason::BadSource);
        }
        let may = match port.rules.source {
            SourceMac::Any => true,
            SourceMac::Granted => self.owner(vid, src) == Some(from),
            SourceMac::Assigned => port.reserved == Some(src),
        };
        if !may {
            return Err(Reason::Spoofed);
        }
        if learns(port) && port.filter.unicast.first() != Some(&src) {
            self.learn(from, vid, src);
        }
        if dst.is_link_local() {
            return Err(Reason::LinkLocal);
        }
        let there = |to: PortId, takes: &dyn Fn(&PortConfig) -> bool| {
            let config = &self.ports[&to];
            to != from && is_in(config, vid) && may_see(config, lane) && takes(config)
        };
        let all = |takes: &dyn Fn(&PortConfig) -> bool| -> BTreeSet<PortId> {
            self.ports
                .keys()
                .copied()
                .filter(|to| there(*to, takes))
                .collect()
        };
        let nonempty =
            |set: BTreeSet<PortId>, reason| if set.is_empty() { Err(reason) } else { Ok(set) };
        if dst.is_multicast() {
            let takes = |c: &PortConfig| uplink(c) || c.filter.accepts(dst, visible(c, shown));
            return nonempty(all(&takes), Reason::NoReceiver);
        }
        let learned = self.live((vid, dst)).map(|(port, _)| port);
        let usable = |port: &PortId| {
            self.ports
                .get(port)
                .is_some_and(|c| learns(c) && is_in(c, vid))
        };
        let Some(to) = self.owner(vid, dst).or(learned.filter(usable)) else {
            // An address that nobody lists.
            let takes = |c: &PortConfig| {
                uplink(c)
                    || (learns(c) && c.filter.accepts(PackedMac::from_bits(2), visible(c, shown)))
            };
            return nonempty(all(&takes), Reason::NoReceiver);
        };
        if to == from {
            return Err(Reason::SamePort);
        }
        let mut set = all(&|c| !uplink(c) && c.filter.promiscuous);
        let config = &self.ports[&to];
        let filter = &config.filter;
        let takes = filter.takes_vlan(visible(config, shown)) && !filter.no_unicast;
        if may_see(config, lane) && (uplink(config) || filter.promiscuous || takes) {
            set.insert(to);
        }
        nonempty(set, Reason::Filtered)
    }

    /// The tags that a frame has when it leaves.
    fn tags_out(&self, from: PortId, to: PortId, tags: &[(u16, u16)]) -> Vec<(u16, u16)> {
        let style = self.ports[&from].tag;
        let (from, to) = (self.ports[&from].access_vlan, self.ports[&to].access_vlan);
        match (from, to) {
            (None, None) => tags.to_vec(),
            // The priority tag is part of what was in front.
            (Some(vid), None) => {
                let tpid = if style.service { 0x88a8 } else { 0x8100 };
                vec![(tpid, u16::from(style.priority.unwrap_or(0)) << 13 | vid.0)]
            }
            (Some(_), Some(_)) => Vec::new(),
            (None, Some(_)) => tags[1..].to_vec(),
        }
    }
}

/// A frame's bytes.
pub(super) fn frame(dst: PackedMac, src: PackedMac, tags: &[(u16, u16)]) -> Vec<u8> {
    let mut bytes = [dst.octets(), src.octets()].concat();
    for (tpid, tci) in tags {
        bytes.extend(tpid.to_be_bytes());
        bytes.extend(tci.to_be_bytes());
    }
    bytes.extend([0x88, 0xb5, 1, 2, 3, 4]);
    bytes
}

pub(super) fn answer(verdict: Verdict<'_>) -> Answer {
    match verdict {
        Verdict::Port { to, .. } => Ok([to].into()),
        Verdict::Many(targets) => {
            let set: BTreeSet<_> = targets.collect();
            assert_eq!(
                set.len(),
                targets.count(),
                "a port is named twice: {targets:?}"
            );
            assert!(!set.is_empty(), "nobody is not many");
            Ok(set)
        }
        Verdict::Drop(reason) => Err(reason),
    }
}

/// Plays operations on both.
///
/// # Panics
/// When they differ.
pub(super) fn run(ops: &[Op]) {
    let switch = Switch::keyed(Permutation::keyed([
        0x9e37_79b9,
        0x94d0_49bb_1331_11eb,
        0xbf58_476d_1ce4_e5b9,
    ]));
    let mut model = Model::default();
    let mut cached: Option<(PortId, EthView, u32, Generation, Answer)> = None;
    for op in ops {
        let ids: Vec<PortId> = model.ports.keys().copied().collect();
        let pick = |at: usize| ids.get(at % ids.len().max(1)).copied();
        match op {
            Op::Add(config) => {
                let added = switch.add_port(config.clone());
                if let Some(id) = agree(&model, None, config, added) {
                    assert!(!ids.contains(&id));
                    model.configure(id, Some(config.clone()));
                }
            }
            Op::Remove(at) => {
                let Some(id) = pick(*at) else { continue };
                switch.remove_port(id).unwrap();
                assert_eq!(switch.remove_port(id), Err(SwitchError::NoSuchPort(id)));
                model.configure(id, None);
            }
            Op::Filter(at, filter) => {
                let Some(id) = pick(*at) else { continue };
                let config = PortConfig {
                    filter: filter.clone(),
                    ..model.ports[&id].clone()
                };
                let done = switch.set_filter(id, filter.clone());
                if agree(&model, Some(id), &config, done).is_some() {
                    model.configure(id, Some(config));
                }
            }
            Op::Access(at, access_vlan, tag) => {
                let Some(id) = pick(*at) else { continue };
                let config = PortConfig {
                    access_vlan: *access_vlan,
                    tag: *tag,
                    ..model.ports[&id].clone()
                };
                let done = switch.set_access_vlan(id, *access_vlan, *tag);
                if agree(&model, Some(id), &config, done).is_some() {
                    model.configure(id, Some(config));
                }
            }
            Op::Rules(at, rules) => {
                let Some(id) = pick(*at) else { continue };
                switch.set_rules(id, rules.clone()).unwrap();
                let config = PortConfig {
                    rules: rules.clone(),
                    ..model.ports[&id].clone()
                };
                model.configure(id, Some(config));
            }
            Op::Frame {
                from,
                dst,
                src,
                tags,
            } => {
                let Some(from) = pick(*from) else { continue };
                let bytes = frame(*dst, *src, tags);
                let view = EthView::parse(&bytes).unwrap();
                let snapshot = switch.load();
                let generation = snapshot.generation();
                let verdict = snapshot.forward(from, &view, model.now);
                // The data plane counts by it: what is for one port is never for a group.
                let one = matches!(verdict, Verdict::Port { .. });
                assert!(!(one && dst.is_multicast()), "{dst} is for one port");
                let given = answer(verdict);
                let wanted = model.forward(from, &view, tags);
                assert_eq!(given, wanted, "{from} {dst} <- {src} {tags:x?}");
                for to in given.iter().flatten() {
                    let edit = snapshot.egress(from, &view, *to);
                    let mut out = [&bytes[..], &[0; 4]].concat();
                    let len = edit.apply(&mut out, bytes.len()).unwrap();
                    let wanted = frame(*dst, *src, &model.tags_out(from, *to, tags));
                    assert_eq!(out[..len], wanted, "{from} to {to}: {edit:?} of {tags:x?}");
                    assert!(edit != VlanEdit::Keep || len == bytes.len());
                }
                cached = Some((from, view, model.now, generation, given));
            }
            Op::Later(seconds) => model.now += seconds,
            Op::Sweep => {
                switch.age_learned(model.now);
                let now = model.now;
                model
                    .learned
                    .retain(|_, (_, seen)| now - *seen < LEARNED_AGEING);
            }
            Op::Flush(at) => {
                let Some(id) = pick(*at) else { continue };
                switch.flush_learned(id);
                model.learned.retain(|_, (port, _)| *port != id);
            }
        }
        assert_eq!(switch.port_count(), model.ports.len());
        let mut listed: Vec<_> = switch
            .learned(model.now)
            .into_iter()
            .map(|e| (e.vid, e.mac, e.port))
            .collect();
        let live = |key: &(Vid, PackedMac)| Some((key.0, key.1, model.live(*key)?.0));
        let mut wanted: Vec<_> = model.learned.keys().filter_map(live).collect();
        listed.sort_unstable();
        wanted.sort_unstable();
        assert_eq!(listed, wanted);

        // What was answered before stays right while the generation and the second stay.
        let snapshot = switch.load();
        if let Some((from, view, now, generation, given)) = &cached
            && *now == model.now
            && snapshot.generation() == *generation
        {
            assert_eq!(
                &answer(snapshot.forward(*from, view, *now)),
                given,
                "cached"
            );
        }
    }
}

/// Both must take a configuration, or refuse it for the same reason.
fn agree<T>(
    model: &Model,
    id: Option<PortId>,
    config: &PortConfig,
    done: Result<T, SwitchError>,
) -> Option<T> {
    if model.other_tags(id, config) {
        let refused = done.map(|_| ()).unwrap_err();
        assert!(
            matches!(refused, SwitchError::OtherTags { .. }),
            "{refused}"
        );
        return None;
    }
    // An edit that changes nothing is never refused, nor is what is there in conflict.
    match (model.conflict(id, config), done) {
        (None, Ok(done)) => Some(done),
        (
            Some((mac, owners)),
            Err(SwitchError::AddressTaken {
                mac: named, port, ..
            }),
        ) => {
            assert_eq!(mac, named);
            assert!(owners.contains(&port), "{port} does not own {mac}");
            None
        }
        (conflict, done) => {
            panic!(
                "{config:?}: conflict {conflict:?}, outcome {:?}",
                done.map(|_| ())
            )
        }
    }
}
