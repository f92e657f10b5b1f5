//! Control requests of the guest, decided and applied.

use std::sync::Arc;

use super::device::Device;
use crate::control::{ControlReply, ControlRequest, DeviceFacts, MacAddr};
use crate::offload::PackedMac;
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
            ControlRequest::SetQueuePairs(_) | ControlRequest::SetReceiveOffloads(_) => {
                return false;
            }
        }
        true
    }
}

impl Device {
    fn facts(&self) -> DeviceFacts {
        DeviceFacts {
            assigned_mac: self.spec.mac,
            queue_pairs: self.spec.queue_pairs,
            access_vlan: self.spec.vlan,
        }
    }

    /// Decides and applies one request.
    pub(super) fn request(&self, request: &ControlRequest) -> ControlReply {
        if let Err(denial) = self.gate.decide(&self.facts(), request) {
            tracing::info!(
                target: "audit",
                cvf = self.spec.name,
                rule = denial.rule,
                reason = denial.reason,
                "denied a request of the guest"
            );
            self.refused(format!(
                "{request:?} denied by rule {}: {}",
                denial.rule, denial.reason
            ));
            return ControlReply::Denied(denial);
        }
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
            ControlRequest::SetReceiveOffloads(accepts) => {
                self.port.set_accepts(*accepts);
                ControlReply::Done
            }
            _ => {
                let mut wishes = self.wishes.lock();
                let mut next = wishes.clone();
                next.take(request);
                match self
                    .fabric()
                    .switch()
                    .set_filter(self.port.id(), next.filter())
                {
                    Ok(()) => {
                        *wishes = next;
                        ControlReply::Done
                    }
                    Err(error) => {
                        self.refused(format!("{request:?}: {error}"));
                        ControlReply::Failed(error.to_string())
                    }
                }
            }
        }
    }

    /// Back to what a reset device takes.
    pub(super) fn reset_filter(&self) {
        let mut wishes = self.wishes.lock();
        *wishes = Wishes::new(self.spec.mac);
        if let Err(error) = self
            .fabric()
            .switch()
            .set_filter(self.port.id(), wishes.filter())
        {
            tracing::debug!(cvf = self.spec.name, %error, "the filter stays as it was");
        }
    }
}
