//! Devices that cannot be beside each other: who has what.

use std::sync::Arc;

use policies::Profile;

use super::attributes::GroupShare;
use super::backend::Device;
use super::catalog::Catalog;
use super::definition::{Definition, Word};
use super::error::{EngineError, ErrorKind};

impl Catalog {
    /// The device of that definition, composed; with `share` of its group.
    pub(super) fn composed(
        &self,
        definition: &Definition,
        share: &GroupShare,
        profile: &Arc<Profile>,
    ) -> Result<Arc<dyn Device>, EngineError> {
        let device = self.backend.compose(definition, share, profile);
        device.map_err(|error| self.naming_holder(error, definition))
    }

    /// The same refusal of `wanted`; where another device has its VLAN with other tags, with that device's name.
    pub(super) fn naming_holder(&self, error: EngineError, wanted: &Definition) -> EngineError {
        let EngineError::Refused {
            attempted,
            kind: kind @ ErrorKind::Conflict,
            ..
        } = error
        else {
            return error;
        };
        let Some(vlan) = wanted.vlan else {
            return error;
        };
        let names = self.names.lock();
        let live = names.entries.values().filter_map(|entry| entry.live());
        let mut holders = live.map(|live| &live.definition).filter(|other| {
            other.name != wanted.name
                && (&other.pf, other.vlan) == (&wanted.pf, wanted.vlan)
                && other.vlan_tag.protocol != wanted.vlan_tag.protocol
        });
        let Some(holder) = holders.next() else {
            return error;
        };
        let protocol = holder.vlan_tag.protocol.word();
        let others = match holders.count() {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        EngineError::Refused {
            attempted,
            name: wanted.name.clone(),
            kind,
            why: format!(
                "VLAN {vlan} has vlan-protocol {protocol} on PF {}: '{}'{others} has it so, and {} was asked for; ask for \
                 vlan-protocol {protocol}, or for another VLAN",
                wanted.pf,
                holder.name,
                wanted.vlan_tag.protocol.word()
            ),
        }
    }
}
