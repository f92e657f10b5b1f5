//! What running devices have of their groups' rates: what they are defined with, or less where that cannot be.

use std::sync::Arc;

use policies::Profile;

use super::attributes::GroupShare;
use super::backend::Device;
use super::catalog::Catalog;
use super::definition::Definition;
use super::entry::{Entry, Live};
use super::error::EngineError;

/// What there is less than a share: the group without one, and no group.
const LESSER: usize = 2;

/// What a definition can have of its group, where `takes` says what can be: all of it, the group without a share, or no
/// group. And why it is not all.
pub fn possible_share(
    definition: &Definition,
    takes: impl Fn(&Definition) -> Result<(), EngineError>,
) -> (GroupShare, Option<EngineError>) {
    let Err(why) = takes(definition) else {
        return (definition.share.clone(), None);
    };
    let mut lesser = definition.clone();
    lesser.share.tx_share = None;
    if takes(&lesser).is_err() {
        lesser.share.group = None;
    }
    (lesser.share, Some(why))
}

impl Catalog {
    /// Composes what was let be before. That its group is gone from the configuration, or has less to guarantee, is told
    /// and no reason to leave a VM without its device: it has no share then, or no group.
    pub(super) fn compose_as_it_can(
        &self,
        definition: &Definition,
        profile: &Arc<Profile>,
    ) -> Result<Arc<dyn Device>, EngineError> {
        let possible = || possible_share(definition, |one| self.backend.takes(one));
        let (mut share, mut why) = possible();
        let mut device = self.composed(definition, &share, profile);
        for _ in 0..LESSER {
            if device.is_ok() {
                break;
            }
            // Another one may have taken it since.
            let (left, because) = possible();
            if left == share {
                break;
            }
            (share, why) = (left, because);
            device = self.composed(definition, &share, profile);
        }
        let device = device?;
        if let Some(why) = why {
            tracing::warn!(device = definition.name, uuid = %definition.uuid, "{}", outside(&why));
        }
        Ok(device)
    }

    /// Whether its PF can be what it is to become, and its group takes it; nothing is asked of either that it has, or
    /// was to have, anyway.
    pub(super) fn takes_change(
        &self,
        from: &Definition,
        to: &Definition,
    ) -> Result<(), EngineError> {
        let on = |error: EngineError| error.on("change", &to.name);
        let asked = |of: &Definition| {
            let model = (of.personality, of.ring_format, of.doorbells, of.interrupts);
            (of.pf.clone(), of.mtu, of.queue_pairs, of.data_path, model)
        };
        if asked(from) != asked(to) {
            self.backend.suits(to).map_err(on)?;
        }
        if (&from.share, &from.pf) == (&to.share, &to.pf) {
            return Ok(());
        }
        self.backend.takes(to).map_err(on)
    }

    /// Refuses to start what would run without what it is defined with: whoever asks is there to mend it.
    pub(super) fn shares_as_defined(&self, definition: &Definition) -> Result<(), EngineError> {
        let name = &definition.name;
        self.backend.takes(definition).map_err(|why| EngineError::NotReady {
            attempted: "start",
            name: name.clone(),
            why: format!(
                "it would run without what it is defined with: {why}; mend the configuration and 'cvfctl reload', or give \
                 it another group or share first ('cvfctl set {name} group=none')"
            ),
        })
    }

    /// What there is to say of a running device that has not what it is defined with.
    pub(super) fn group_note(&self, live: &Live) -> Option<String> {
        if !live.lacks() {
            return None;
        }
        Some(match self.backend.takes(&live.definition) {
            Err(why) => outside(&why),
            Ok(()) => {
                format!("{WITHOUT}, and could have it: 'cvfctl reload' gives it")
            }
        })
    }

    /// Gives a running device what it is defined with, as far as that can be now; a sentence, where there is anything to
    /// say.
    pub(super) fn regroup(&self, live: &Live) -> Option<String> {
        if !live.lacks() {
            return None;
        }
        let Definition { name, uuid, .. } = &live.definition;
        if let Err(error) = live.device.repolicy(&|name| self.profiles.get(name).ok()) {
            tracing::warn!(device = name, %uuid, "{error}");
            return Some(error.to_string());
        }
        let note = self.group_note(live);
        match &note {
            Some(note) => tracing::warn!(device = name, %uuid, "{note}"),
            None => tracing::info!(device = name, %uuid, "{WITHIN}"),
        }
        Some(note.unwrap_or_else(|| WITHIN.to_owned()))
    }

    /// The same for every device, after groups were configured otherwise. Devices that are being made or changed look
    /// for themselves afterwards, as after a reload of profiles.
    pub fn regroup_all(&self) -> Vec<String> {
        let live: Vec<Arc<Live>> = {
            let names = self.names.lock();
            let live = names.entries.values().filter_map(Entry::live);
            live.cloned().collect()
        };
        let told = live.iter().filter_map(|live| {
            let note = self.regroup(live)?;
            Some(format!("'{}': {note}", live.definition.name))
        });
        told.collect()
    }
}

/// A device that is defined in a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sharer {
    /// Its name.
    pub name: String,
    /// Its PF.
    pub pf: String,
    /// Its group and share, as defined.
    pub share: GroupShare,
    /// Whether it runs.
    pub runs: bool,
}

impl Catalog {
    /// Every device that is defined in a group, by name.
    pub fn sharers(&self) -> Vec<Sharer> {
        let names = self.names.lock();
        let sharers = names.entries.values().filter_map(|entry| {
            let definition = entry.definition()?;
            definition.share.group.as_ref()?;
            Some(Sharer {
                name: definition.name.clone(),
                pf: definition.pf.clone(),
                share: definition.share.clone(),
                runs: entry.live().is_some(),
            })
        });
        sharers.collect()
    }
}

impl Live {
    /// Whether it has less of its group's rate than it is defined with, or something else.
    pub(super) fn lacks(&self) -> bool {
        self.device.share() != self.definition.share
    }
}

const WITHOUT: &str = "it runs without the share or the group that it is defined with";
const WITHIN: &str = "it has the group and the share again that it is defined with";

fn outside(why: &EngineError) -> String {
    format!(
        "{WITHOUT}: {why}; mend the configuration and 'cvfctl reload', or set another group or share"
    )
}
