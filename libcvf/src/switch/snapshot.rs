//! The forwarding decision.

use std::sync::Arc;

use super::filter::VlanTable;
use super::learned::{Learned, Permit};
use super::lists::{Lists, VlanLists};
use super::permute::Permutation;
use super::port::{Port, PortId, SourceMac, Vid};
use super::table::Table;
use super::verdict::{Reason, Targets, Verdict};
use crate::offload::{EthView, PackedMac, VlanEdit, VlanTag, ethertype};

/// Ports in one shared part of the port table.
pub(super) const CHUNK: usize = 64;
pub(super) type Chunk = [Option<Port>; CHUNK];

/// What a cached answer depends on. While [`Snapshot::generation`] is what it was *before* the answer
/// was computed, and the second passed to [`Snapshot::forward`] is the same too, the answer stays
/// right. (The second matters because asking also tells that the source is alive.)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Generation {
    snapshot: u64,
    learned: u64,
}

/// A static address's port, with what must be looked at before the frame is given to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) port: PortId,
    /// The port has a VLAN table or takes no unicast.
    pub(super) check: bool,
}

/// The VLAN of a frame, and as what those see it who are held to some VLANs.
#[derive(Clone, Copy, Debug)]
struct Lane {
    vid: Vid,
    seen: Vid,
}

/// All ports, addresses and lists at one moment. Immutable but for the learned addresses, which all
/// snapshots of a switch share.
#[derive(Clone)]
pub struct Snapshot {
    pub(super) statics: Arc<Table<Owner>>,
    pub(super) permute: Permutation,
    pub(super) learned: Arc<Learned>,
    pub(super) ports: Arc<[Arc<Chunk>]>,
    pub(super) number: u64,
    /// Ports that have an access VLAN.
    pub(super) access_ports: usize,
    pub(super) promiscuous_ports: usize,
    /// Of ports without access VLAN, which are in every VLAN.
    pub(super) trunks: Lists,
    pub(super) vlans: Arc<VlanLists>,
    /// VLANs whose tags are service tags.
    pub(super) services: Option<Arc<VlanTable>>,
    /// Ports that listed a group; trunks under VLAN 0.
    pub(super) groups: Arc<Table<Arc<[PortId]>>>,
}

impl Snapshot {
    pub(super) fn new(permute: Permutation) -> Self {
        Self {
            statics: Arc::new(Table::new()),
            permute,
            learned: Arc::new(Learned::new()),
            ports: Arc::new([]),
            number: 0,
            access_ports: 0,
            promiscuous_ports: 0,
            trunks: Lists::default(),
            vlans: Arc::new(VlanLists::new()),
            services: None,
            groups: Arc::new(Table::new()),
        }
    }

    /// Changes when an answer may. Read it before asking what is to be cached.
    #[inline]
    pub fn generation(&self) -> Generation {
        Generation {
            snapshot: self.number,
            learned: self.learned.generation(),
        }
    }

    /// Decides about a frame that came in through `from`, and learns its source where that is
    /// allowed. `now` counts seconds of any monotonic clock, read once per burst.
    #[inline]
    pub fn forward(&self, from: PortId, frame: &EthView, now: u32) -> Verdict<'_> {
        let Some(port) = self.port(from) else {
            return Verdict::Drop(Reason::UnknownPort);
        };
        let lane = match self.lane(port, frame) {
            Ok(lane) => lane,
            Err(reason) => return Verdict::Drop(reason),
        };
        let vid = lane.vid;
        // A port's first address is a station's, so the usual sender needs no other test.
        let own = frame.src == port.first_mac && !frame.src.is_zero();
        if !own && let Err(reason) = self.admit_source(from, port, vid, frame.src, now) {
            return Verdict::Drop(reason);
        }
        if frame.dst.is_multicast() {
            return self.to_group(from, lane, frame.dst);
        }
        let key = self.permute.apply(vid, frame.dst);
        let Some(owner) = self.owner_of(key, vid, frame.dst) else {
            return self.to_unowned(from, lane, key, now);
        };
        let to = owner.port;
        if to == from {
            return Verdict::Drop(Reason::SamePort);
        }
        if owner.check || self.is_overheard(vid) {
            return self.to_known(from, lane, to, own);
        }
        Verdict::Port { to, fixed: own }
    }

    /// The VLAN that a frame coming in through `from` is in.
    ///
    /// # Errors
    /// Why it is dropped.
    #[inline]
    pub fn ingress(&self, from: PortId, frame: &EthView) -> Result<Vid, Reason> {
        let port = self.port(from).ok_or(Reason::UnknownPort)?;
        self.lane(port, frame).map(|lane| lane.vid)
    }

    /// The lane of a frame that comes in at `port`.
    #[inline]
    fn lane(&self, port: &Port, frame: &EthView) -> Result<Lane, Reason> {
        match frame.tag {
            None => Ok(Lane {
                vid: port.access,
                seen: port.seen,
            }),
            Some(tag) => self.tagged(port, frame, tag),
        }
    }

    fn tagged(&self, port: &Port, frame: &EthView, tag: VlanTag) -> Result<Lane, Reason> {
        let vid = port.ingress(tag, frame.ethertype)?;
        if port.access != Vid::UNTAGGED {
            let seen = port.seen;
            return Ok(Lane { vid, seen });
        }
        let hides = tag.vid() == 0 && ethertype::is_tag(frame.ethertype);
        let veiled = !tag.is_customer() || hides;
        let seen = if veiled { Vid::VEILED } else { vid };
        let named = Vid(tag.vid());
        let services = self.services.as_ref();
        let vid = match tag.tpid {
            _ if !services.is_some_and(|services| services.contains(named)) => vid,
            ethertype::SERVICE_VLAN => named,
            ethertype::VLAN => Vid::UNTAGGED,
            _ => vid,
        };
        Ok(Lane { vid, seen })
    }

    /// True when [`Self::egress`] may say anything but to keep the frame as it is.
    #[inline]
    pub const fn edits(&self) -> bool {
        self.access_ports > 0
    }

    /// What happens to the outer tag of a frame that came in through `from`, was not dropped, and
    /// leaves through `to`.
    #[inline]
    pub fn egress(&self, from: PortId, frame: &EthView, to: PortId) -> VlanEdit {
        if !self.edits() {
            return VlanEdit::Keep;
        }
        let (Some(from), Some(to)) = (self.port(from), self.port(to)) else {
            return VlanEdit::Keep;
        };
        let tagged = frame.tag.is_some_and(|tag| tag.is_customer());
        match (from.access, to.access, tagged) {
            (Vid::UNTAGGED, Vid::UNTAGGED, _) => VlanEdit::Keep,
            (vid, Vid::UNTAGGED, false) => VlanEdit::Insert(vid.0, from.tag),
            (vid, Vid::UNTAGGED, true) => VlanEdit::Retag(vid.0, from.tag),
            // A service tag gets here where it is its VLAN's.
            _ if frame.tag.is_some() => VlanEdit::Strip,
            _ => VlanEdit::Keep,
        }
    }

    /// The port that owns an address in a VLAN, or `None` for one that is at most learned.
    pub fn owner(&self, vid: Vid, mac: PackedMac) -> Option<PortId> {
        self.owner_of(self.permute.apply(vid, mac), vid, mac)
            .map(|owner| owner.port)
    }

    #[inline]
    pub(super) fn port(&self, port: PortId) -> Option<&Port> {
        self.ports.get(port.index() / CHUNK)?[port.index() % CHUNK].as_ref()
    }

    /// True when `port` takes frames that are `seen` as of that VLAN, and is in theirs.
    #[inline]
    pub(super) fn takes_vlan(&self, port: PortId, seen: Vid) -> bool {
        seen == Vid::UNTAGGED || self.port(port).is_some_and(|port| port.takes_vlan(seen))
    }

    /// `key` is that of `vid` and `mac`. A trunk's addresses are kept under VLAN 0 and hold in all.
    #[inline]
    fn owner_of(&self, key: u64, vid: Vid, mac: PackedMac) -> Option<Owner> {
        if let Some(owner) = self.statics.get(key) {
            return Some(*owner);
        }
        if vid == Vid::UNTAGGED {
            return None;
        }
        self.statics
            .get(self.permute.apply(Vid::UNTAGGED, mac))
            .copied()
    }

    /// Tests a source that is not the port's first address, and learns it where it may be behind the
    /// port.
    fn admit_source(
        &self,
        from: PortId,
        port: &Port,
        vid: Vid,
        src: PackedMac,
        now: u32,
    ) -> Result<(), Reason> {
        if !src.is_station() {
            return Err(Reason::BadSource);
        }
        if !port.learns && port.source == SourceMac::Any {
            return Ok(());
        }
        let key = self.permute.apply(vid, src);
        let may = match port.source {
            SourceMac::Any => true,
            SourceMac::Granted => {
                let owner = self.owner_of(key, vid, src);
                owner.is_some_and(|owner| owner.port == from)
            }
            SourceMac::Assigned => src == port.assigned,
        };
        if !may {
            return Err(Reason::Spoofed);
        }
        if port.learns {
            self.learned.learn(key, from, now, |owner| {
                if self.owner_of(key, vid, src).is_some() {
                    return Permit::No;
                }
                match owner.and_then(|owner| self.port(owner)) {
                    // A guest never takes an address from the network, only the other way round.
                    Some(owner) if owner.uplink && !port.uplink => Permit::No,
                    Some(owner) if owner.learns && !port.uplink => Permit::IfQuiet,
                    _ => Permit::Yes,
                }
            });
        }
        Ok(())
    }

    /// True when unicast of this VLAN is copied to promiscuous ports.
    #[inline]
    fn is_overheard(&self, vid: Vid) -> bool {
        self.promiscuous_ports > 0
            && (!self.trunks.promiscuous.is_empty()
                || self
                    .vlan(vid)
                    .is_some_and(|lists| !lists.promiscuous.is_empty()))
    }

    #[inline]
    fn vlan(&self, vid: Vid) -> Option<&Lists> {
        if self.access_ports == 0 {
            None
        } else {
            self.vlans.get(vid)
        }
    }

    /// Unicast to an address that no port owns: learned, or flooded to those who take such frames.
    fn to_unowned(&self, from: PortId, lane: Lane, key: u64, now: u32) -> Verdict<'_> {
        let vid = lane.vid;
        if let Some(to) = self.learned.lookup(key, now) {
            // The port may have changed since, or its number name another.
            if let Some(port) = self.port(to).filter(|port| port.learns && port.is_in(vid)) {
                if to == from {
                    return Verdict::Drop(Reason::SamePort);
                }
                if port.uplink && !self.is_overheard(vid) {
                    return Verdict::Port { to, fixed: false };
                }
                return self.to_known(from, lane, to, false);
            }
        }
        let mut targets = self.targets(from, lane);
        targets.lists[0] = &self.trunks.unknown;
        targets.lists[1] = self.vlan(vid).map_or(&[], |lists| &lists.unknown);
        targets.verdict(Reason::NoReceiver)
    }

    /// Unicast to `to`, if that port takes it, and to the promiscuous ports of the VLAN.
    fn to_known(&self, from: PortId, lane: Lane, to: PortId, fixed: bool) -> Verdict<'_> {
        let takes = self
            .port(to)
            .is_some_and(|port| !port.no_unicast && port.takes_vlan(lane.seen));
        let mut targets = self.targets(from, lane);
        targets.skip[1] = to;
        targets.flood = false;
        targets.lists[0] = &self.trunks.promiscuous;
        targets.lists[1] = self.vlan(lane.vid).map_or(&[], |lists| &lists.promiscuous);
        if !takes {
            return targets.verdict(Reason::Filtered);
        }
        if targets.is_over() {
            return Verdict::Port { to, fixed };
        }
        targets.first = Some(to);
        Verdict::Many(targets)
    }

    fn to_group(&self, from: PortId, lane: Lane, dst: PackedMac) -> Verdict<'_> {
        let vid = lane.vid;
        let mut targets = self.targets(from, lane);
        let vlan = self.vlan(vid);
        if dst.is_broadcast() {
            targets.lists[0] = &self.trunks.broadcast;
            targets.lists[1] = vlan.map_or(&[], |lists| &lists.broadcast);
            return targets.verdict(Reason::NoReceiver);
        }
        if dst.is_link_local() {
            return Verdict::Drop(Reason::LinkLocal);
        }
        targets.lists[0] = &self.trunks.multicast;
        targets.lists[1] = vlan.map_or(&[], |lists| &lists.multicast);
        let listeners = |vid| match self.groups.get(self.permute.apply(vid, dst)) {
            Some(ports) => &ports[..],
            None => &[],
        };
        targets.lists[2] = listeners(Vid::UNTAGGED);
        if vid != Vid::UNTAGGED && self.access_ports > 0 {
            targets.lists[3] = listeners(vid);
        }
        targets.verdict(Reason::NoReceiver)
    }

    fn targets(&self, from: PortId, lane: Lane) -> Targets<'_> {
        Targets {
            snapshot: self,
            first: None,
            skip: [from, from],
            lists: [&[]; 4],
            seen: lane.seen,
            flood: true,
        }
    }
}

impl<'a> Targets<'a> {
    /// Many, or `none` when the lists hold nobody who takes the frame.
    fn verdict(self, none: Reason) -> Verdict<'a> {
        if self.is_over() {
            Verdict::Drop(none)
        } else {
            Verdict::Many(self)
        }
    }

    fn is_over(mut self) -> bool {
        self.next().is_none()
    }
}

impl Port {
    /// The VLAN of a frame coming in here with this tag, and that EtherType behind it.
    #[inline]
    fn ingress(&self, tag: VlanTag, ethertype: u16) -> Result<Vid, Reason> {
        if self.access != Vid::UNTAGGED {
            // A priority tag is all that may be there; removing it must not lay open another tag.
            let bare = tag.is_customer() && tag.vid() == 0 && !ethertype::is_tag(ethertype);
            return if bare {
                Ok(self.access)
            } else {
                Err(Reason::TaggedOnAccessPort)
            };
        }
        match (tag.vid(), &self.allowed) {
            (_, None) if !tag.is_customer() => Ok(Vid::UNTAGGED),
            (0xfff, _) if tag.is_customer() => Err(Reason::ReservedVlan),
            (vid, None) => Ok(Vid(vid)),
            (_, Some(_)) if !tag.is_customer() || ethertype::is_tag(ethertype) => {
                Err(Reason::ForeignVlan)
            }
            (0, Some(_)) => Ok(Vid::UNTAGGED),
            (vid, Some(allowed)) if allowed.contains(Vid(vid)) => Ok(Vid(vid)),
            (_, Some(_)) => Err(Reason::ForeignVlan),
        }
    }

    /// True when frames of this VLAN can come in here.
    #[inline]
    fn is_in(&self, vid: Vid) -> bool {
        self.access == Vid::UNTAGGED || self.access == vid
    }
}
