//! Control requests of the guest, decided and applied.

use std::sync::Arc;

use super::device::Device;
use crate::control::{
    ControlReply, ControlRequest, Denial, DeviceFacts, HashSettings, MacAddr, RssSettings, UuidText,
};
use crate::limits::{MAX_COALESCE_USECS, RSS_KEY_SIZE, RSS_TABLE};
use crate::offload::{HashTypes, PackedMac};
use crate::switch::{RxFilter, Vid, VlanTable};

/// What the guest asked its filter to be.
#[derive(Clone, Debug)]
pub(super) struct Wishes {
    pub mac: MacAddr,
    unicast: Vec<MacAddr>,
    multicast: Vec<MacAddr>,
    promiscuous: bool,
    all_multicast: bool,
    all_unicast: bool,
    no_multicast: bool,
    no_unicast: bool,
    no_broadcast: bool,
    vlans: Option<VlanTable>,
}

impl Wishes {
    pub(super) fn new(mac: MacAddr) -> Self {
        Self {
            mac,
            unicast: Vec::new(),
            multicast: Vec::new(),
            promiscuous: false,
            all_multicast: false,
            all_unicast: false,
            no_multicast: false,
            no_unicast: false,
            no_broadcast: false,
            vlans: None,
        }
    }

    pub(super) fn filter(&self) -> RxFilter {
        let packed = |mac: &MacAddr| PackedMac::new(mac.0);
        let mut filter = RxFilter::station(packed(&self.mac));
        filter
            .unicast
            .extend(self.unicast.iter().filter(|m| **m != self.mac).map(packed));
        filter.multicast.extend(self.multicast.iter().map(packed));
        filter.promiscuous = self.promiscuous;
        filter.all_multicast = self.all_multicast;
        filter.all_unicast = self.all_unicast;
        filter.no_multicast = self.no_multicast;
        filter.no_unicast = self.no_unicast;
        filter.no_broadcast = self.no_broadcast;
        filter.vlans = self.vlans.clone().map(Arc::new);
        filter
    }

    /// What a reset device does not have, as the requests that led there.
    fn requests(&self, assigned: MacAddr) -> Vec<ControlRequest> {
        let mut all = Vec::new();
        if self.mac != assigned {
            all.push(ControlRequest::SetMac(self.mac));
        }
        if !(self.unicast.is_empty() && self.multicast.is_empty()) {
            all.push(ControlRequest::SetMacFilter {
                unicast: self.unicast.clone(),
                multicast: self.multicast.clone(),
            });
        }
        let switches = [
            (self.promiscuous, ControlRequest::Promiscuous(true)),
            (self.all_multicast, ControlRequest::AllMulticast(true)),
            (self.all_unicast, ControlRequest::AllUnicast(true)),
        ];
        let on = switches.into_iter().filter(|(on, _)| *on);
        all.extend(on.map(|(_, request)| request));
        let joined = self.vlans.iter().flat_map(VlanTable::iter);
        all.extend(joined.map(|vid| ControlRequest::AddVlan(vid.0)));
        all
    }

    /// VLANs that were joined, but for the one that a request is about. 0 is none.
    fn joined_beside(&self, request: &ControlRequest) -> u16 {
        let about = match request {
            ControlRequest::AddVlan(vid) => *vid,
            _ => 0,
        };
        let Some(joined) = &self.vlans else { return 0 };
        let has = |vid| u16::from(joined.contains(Vid(vid)));
        joined.len() - has(0) - if about == 0 { 0 } else { has(about) }
    }

    /// Takes back what a request led to.
    fn undo(&mut self, request: &ControlRequest, assigned: MacAddr) {
        match request {
            ControlRequest::SetMac(_) => self.mac = assigned,
            ControlRequest::SetMacFilter { .. } => {
                // The one list without the other may be allowed; the driver has to ask anew.
                self.unicast.clear();
                self.multicast.clear();
            }
            ControlRequest::Promiscuous(_) => self.promiscuous = false,
            ControlRequest::AllMulticast(_) => self.all_multicast = false,
            ControlRequest::AllUnicast(_) => self.all_unicast = false,
            ControlRequest::AddVlan(vid) => {
                if let Some(vlans) = &mut self.vlans {
                    vlans.remove(Vid(*vid));
                }
            }
            _ => {}
        }
    }

    /// Takes up a request that is about the filter; false for others.
    fn take(&mut self, request: &ControlRequest) -> bool {
        match request {
            ControlRequest::SetMac(mac) => self.mac = *mac,
            ControlRequest::SetMacFilter { unicast, multicast } => {
                self.unicast.clone_from(unicast);
                self.multicast.clone_from(multicast);
            }
            ControlRequest::Promiscuous(on) => self.promiscuous = *on,
            ControlRequest::AllMulticast(on) => self.all_multicast = *on,
            ControlRequest::AllUnicast(on) => self.all_unicast = *on,
            ControlRequest::NoMulticast(on) => self.no_multicast = *on,
            ControlRequest::NoUnicast(on) => self.no_unicast = *on,
            ControlRequest::NoBroadcast(on) => self.no_broadcast = *on,
            ControlRequest::FilterVlans(on) => self.vlans = on.then(VlanTable::new),
            ControlRequest::AddVlan(vid) => {
                self.vlans.get_or_insert_default().insert(Vid(*vid));
            }
            ControlRequest::DelVlan(vid) => {
                if let Some(vlans) = &mut self.vlans {
                    vlans.remove(Vid(*vid));
                }
            }
            ControlRequest::SetQueuePairs(_)
            | ControlRequest::SetReceiveOffloads(_)
            | ControlRequest::SetRss(_)
            | ControlRequest::SetHash(_)
            | ControlRequest::SetCoalescing(..) => return false,
        }
        true
    }
}

impl Device {
    fn facts(&self, request: &ControlRequest) -> DeviceFacts {
        let joined_vlans = match request {
            ControlRequest::AddVlan(_) => self.wishes.lock().joined_beside(request),
            _ => 0,
        };
        let assigned = *self.assigned.lock();
        DeviceFacts {
            assigned_mac: assigned.mac,
            queue_pairs: self.spec.queue_pairs,
            access_vlan: assigned.vlan,
            joined_vlans,
        }
    }

    /// Decides and applies one request; `counted` says that it is part of one that was counted.
    pub(super) fn request(&self, request: &ControlRequest, counted: bool) -> ControlReply {
        let _deciding = self.deciding.read();
        if !counted && let Err(denial) = self.gate.asked() {
            // Neither told nor logged one by one: they may be many.
            return ControlReply::Denied(denial);
        }
        let decided = self
            .overruled(request)
            .and_then(|()| self.gate.decide(&self.facts(request), request));
        if let Err(denial) = decided {
            self.tell(&denial, "a request of the guest was denied");
            self.gate.denied(request, &denial);
            return ControlReply::Denied(denial);
        }
        self.apply(request)
    }

    /// Decides and applies what the personality sets by itself.
    pub(super) fn settle(&self, request: &ControlRequest) -> ControlReply {
        let _deciding = self.deciding.read();
        let decided = self
            .overruled(request)
            .and_then(|()| self.gate.decide(&self.facts(request), request));
        match decided {
            Ok(()) => self.apply(request),
            Err(denial) => {
                let Denial { rule, reason } = &denial;
                tracing::debug!(device = self.spec.name, uuid = %UuidText(self.spec.uuid), rule, reason, "a default is not allowed");
                ControlReply::Denied(denial)
            }
        }
    }

    /// Applies what was allowed.
    fn apply(&self, request: &ControlRequest) -> ControlReply {
        match request {
            ControlRequest::SetQueuePairs(pairs) => {
                if *pairs == 0 || *pairs > self.spec.queue_pairs {
                    return ControlReply::Failed(format!(
                        "{pairs} queue pairs asked for, the slice has {}",
                        self.spec.queue_pairs
                    ));
                }
                self.port.set_active_pairs(*pairs);
                ControlReply::Done
            }
            ControlRequest::SetRss(settings) => match self.check_rss(settings) {
                Ok(()) => {
                    self.port.set_rss(settings.clone());
                    ControlReply::Done
                }
                Err(why) => ControlReply::Failed(why),
            },
            ControlRequest::SetHash(settings) => match check_hash(settings) {
                Ok(()) => {
                    self.port.set_hash(settings.clone());
                    ControlReply::Done
                }
                Err(why) => ControlReply::Failed(why),
            },
            ControlRequest::SetCoalescing(scope, to) => {
                if to.max_usecs > MAX_COALESCE_USECS {
                    return ControlReply::Failed(format!(
                        "interrupts were to be held back for {} µs, the most is {MAX_COALESCE_USECS}",
                        to.max_usecs
                    ));
                }
                self.port.set_coalescing(*scope, *to);
                ControlReply::Done
            }
            ControlRequest::SetReceiveOffloads(accepts) => {
                self.port.set_accepts(*accepts);
                ControlReply::Done
            }
            _ => {
                let mut wishes = self.wishes.lock();
                let mut next = wishes.clone();
                next.take(request);
                let switch = self.fabric().switch();
                if let Err(error) = switch.set_filter(self.port.id(), next.filter()) {
                    self.refused(format!("{request:?}: {error}"));
                    return ControlReply::Failed(error.to_string());
                }
                // Hardware lets in what the switch has granted, and nothing else.
                if let Err(why) = self.tune(&next.filter()) {
                    if let Err(error) = switch.set_filter(self.port.id(), wishes.filter()) {
                        tracing::error!(device = self.spec.name, uuid = %UuidText(self.spec.uuid), %error, "a filter cannot be taken back");
                    }
                    self.refused(format!("{request:?}: {why}"));
                    return ControlReply::Failed(why);
                }
                *wishes = next;
                ControlReply::Done
            }
        }
    }

    /// VLANs that its driver has joined, but for the one that a request is about.
    pub(super) fn joined_vlans(&self, beside: &ControlRequest) -> u16 {
        self.wishes.lock().joined_beside(beside)
    }

    /// What the operator set of queues is not for the guest to change.
    pub(super) fn overruled(&self, request: &ControlRequest) -> Result<(), Denial> {
        let queues = self.policy.lock().queues.clone();
        let denial = queues.refuses_pairs(self.spec.queue_pairs, request);
        denial
            .or_else(|| queues.refuses_hash(request))
            .map_or(Ok(()), Err)
    }

    /// Decides anew about what its guest was allowed before, and takes back what is no longer. What it
    /// has of queues, scaling, hashes and held-back interrupts stays until its driver's next reset; an adaptive virtual function's
    /// driver keeps the queue pairs that it was told of until it starts anew.
    pub(super) fn reconsider(&self) -> Vec<Denial> {
        let _alone = self.deciding.write();
        let mut facts = self.facts(&ControlRequest::FilterVlans(true));
        let mut wishes = self.wishes.lock();
        let mut next = wishes.clone();
        let mut denials = Vec::new();
        for request in wishes.requests(facts.assigned_mac) {
            if let Err(denial) = self.gate.decide(&facts, &request) {
                next.undo(&request, facts.assigned_mac);
                denials.push(denial);
            } else if matches!(request, ControlRequest::AddVlan(vid) if vid != 0) {
                // Those that it joins last by their numbers are too many.
                facts.joined_vlans += 1;
            }
        }
        if denials.is_empty() {
            return denials;
        }
        let switch = self.fabric().switch();
        match switch.set_filter(self.port.id(), next.filter()) {
            Ok(()) => *wishes = next,
            Err(error) => {
                tracing::error!(device = self.spec.name, uuid = %UuidText(self.spec.uuid), %error, "a filter cannot be narrowed");
            }
        }
        drop(wishes);
        self.retune();
        for denial in &denials {
            self.tell(denial, "what the guest was allowed before was taken back");
        }
        denials
    }

    /// An audit event, and what `show` tells as the last refusal.
    fn tell(&self, denial: &Denial, what: &str) {
        let Denial { rule, reason } = denial;
        tracing::info!(target: "audit", device = self.spec.name, uuid = %UuidText(self.spec.uuid), rule, reason, "{what}");
        self.refused(format!("{what}: {reason}"));
    }

    /// A table that can be looked up in, of queues that the slice has.
    fn check_rss(&self, settings: &RssSettings) -> Result<(), String> {
        check_hash(&settings.hash)?;
        let (entries, have) = (settings.table.len(), self.spec.queue_pairs);
        if !entries.is_power_of_two() || entries > usize::from(RSS_TABLE) {
            return Err(format!(
                "an indirection table of {entries} entries is no power of two up to {RSS_TABLE}"
            ));
        }
        let named = settings.table.iter().chain([&settings.unclassified]);
        if let Some(queue) = named.copied().find(|queue| *queue >= have) {
            return Err(format!(
                "receive queue {queue} is not there, the slice has {have}"
            ));
        }
        if !(1..=have).contains(&settings.pairs) {
            let pairs = settings.pairs;
            return Err(format!(
                "{pairs} queue pairs asked for, the slice has {have}"
            ));
        }
        Ok(())
    }

    /// Back to what a reset device takes.
    pub(super) fn reset_filter(&self) {
        let mut wishes = self.wishes.lock();
        *wishes = Wishes::new(self.assigned.lock().mac);
        if let Err(error) = self
            .fabric()
            .switch()
            .set_filter(self.port.id(), wishes.filter())
        {
            tracing::debug!(device = self.spec.name, uuid = %UuidText(self.spec.uuid), %error, "the filter stays as it was");
        }
        drop(wishes);
        self.measure();
        self.retune();
    }
}

/// Types that are built, and a key that is long enough for them.
fn check_hash(settings: &HashSettings) -> Result<(), String> {
    let (types, len) = (settings.types, settings.key.len());
    if !HashTypes::ALL.contains(types) {
        return Err(format!("hash types {:#x} are not all known", types.0));
    }
    if len > RSS_KEY_SIZE || len < types.key_bytes() {
        let need = types.key_bytes();
        return Err(format!(
            "a hash key of {len} bytes: these types need {need} to {RSS_KEY_SIZE}"
        ));
    }
    Ok(())
}
