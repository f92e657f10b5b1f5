//! VLANs that the driver joined.
//!
//! As with PFs, a driver that has joined none gets frames of all of them, if policy lets it; filtering begins with the
//! first it joins. VLAN 0 means untagged frames, which always come.

use super::super::Host;
use super::message::{Outcome, check_vsi};
use super::refusal::{Refusal, VirtchnlStatus, granted};
use super::state::State;
use super::wire::vlan::VlanList;
use super::wire::vlan_v2::FilterList;
use crate::control::ControlRequest;
use crate::limits::MAX_VLAN;

fn parse(bytes: &[u8]) -> Result<Vec<u16>, Refusal> {
    let list = VlanList::parse(bytes).ok_or_else(Refusal::length)?;
    check_vsi(list.vsi)?;
    Ok(list.ids)
}

fn parse_v2(bytes: &[u8]) -> Result<Vec<u16>, Refusal> {
    let list = FilterList::parse(bytes).ok_or_else(Refusal::length)?;
    check_vsi(list.vsi)?;
    let ids = list.filters.iter().map(|filter| {
        filter.id().ok_or_else(|| {
            Refusal::new(
                VirtchnlStatus::ErrNotSupported,
                format!("{filter:?} is no filter of the kind that is offered"),
            )
        })
    });
    ids.collect()
}

impl State {
    /// No VLAN is joined: all of them come, or none where policy wants that.
    pub(super) fn unfilter(&self, host: &mut dyn Host) {
        if self.vlans.is_empty() && !host.settle(ControlRequest::FilterVlans(false)).is_done() {
            let _ = host.settle(ControlRequest::FilterVlans(true));
        }
    }

    pub(super) fn add_vlans(
        &mut self,
        host: &mut dyn Host,
        bytes: &[u8],
    ) -> Result<Outcome, Refusal> {
        self.join(host, &parse(bytes)?)
    }

    pub(super) fn add_vlans_v2(
        &mut self,
        host: &mut dyn Host,
        bytes: &[u8],
    ) -> Result<Outcome, Refusal> {
        self.join(host, &parse_v2(bytes)?)
    }

    pub(super) fn delete_vlans(
        &mut self,
        host: &mut dyn Host,
        bytes: &[u8],
    ) -> Result<Outcome, Refusal> {
        self.leave(host, &parse(bytes)?)
    }

    pub(super) fn delete_vlans_v2(
        &mut self,
        host: &mut dyn Host,
        bytes: &[u8],
    ) -> Result<Outcome, Refusal> {
        self.leave(host, &parse_v2(bytes)?)
    }

    /// All or none.
    fn join(&mut self, host: &mut dyn Host, ids: &[u16]) -> Result<Outcome, Refusal> {
        if let Some(id) = ids.iter().find(|id| **id > MAX_VLAN) {
            return Err(Refusal::param(format!("{id} is no VLAN")));
        }
        let mut new: Vec<u16> = ids.to_vec();
        new.sort_unstable();
        new.dedup();
        new.retain(|id| *id != 0 && !self.vlans.contains(id));
        let most = usize::from(self.config.vlan_filters);
        if self.vlans.len() + new.len() > most {
            return Err(Refusal::param(format!(
                "more than {most} VLANs were asked for"
            )));
        }
        for (n, id) in new.iter().enumerate() {
            if let Err(refusal) = granted(host.control(ControlRequest::AddVlan(*id))) {
                for id in &new[..n] {
                    let _ = host.settle(ControlRequest::DelVlan(*id));
                }
                if n > 0 {
                    self.unfilter(host);
                }
                return Err(refusal);
            }
        }
        self.vlans.extend(new);
        Ok(Outcome::done())
    }

    /// VLANs that were not joined are left already.
    fn leave(&mut self, host: &mut dyn Host, ids: &[u16]) -> Result<Outcome, Refusal> {
        for id in ids {
            if self.vlans.contains(id) {
                granted(host.control(ControlRequest::DelVlan(*id)))?;
                self.vlans.remove(id);
                self.unfilter(host);
            }
        }
        Ok(Outcome::done())
    }
}
