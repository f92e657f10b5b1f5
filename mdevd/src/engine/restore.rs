//! Devices that come back: at the start, and by another attempt later.

use std::sync::Arc;

use policies::Profile;

use super::backend::Device;
use super::catalog::{Catalog, created, failed};
use super::definition::Definition;
use super::entry::{Entry, Live};
use super::error::EngineError;
use super::events::Happening;
use super::judge;
use super::view::{Created, Outcome};

/// How many definitions a restart found, and what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// Composed and listening.
    pub ready: usize,
    /// Kept as failed.
    pub failed: usize,
}

/// A device, and the profile that it was composed with.
pub(super) type Composed = (Arc<dyn Device>, Arc<Profile>);

impl Catalog {
    /// Rebuilds what the store defines, in the order of creation. What cannot be rebuilt is kept as
    /// failed and stops nobody else.
    ///
    /// # Errors
    /// The store cannot be read at all.
    pub fn restore(&self) -> Result<Restored, crate::store::StoreError> {
        let mut records = self.store.load()?;
        records.sort_by_key(|record| match &record.definition {
            Ok(definition) => (definition.sequence, record.name.clone()),
            Err(_) => (u64::MAX, record.name.clone()),
        });
        let mut restored = Restored::default();
        for record in records {
            let entry = match record.definition {
                Err(error) => failed(None, error.to_string()),
                Ok(definition) => self.rebuild(definition),
            };
            match &entry {
                Entry::Failed(failed) => {
                    let uuid = failed.definition.as_ref().map(|d| d.uuid.to_string());
                    tracing::error!(device = record.name, uuid, "not rebuilt: {}", failed.reason);
                    restored.failed += 1;
                }
                _ => restored.ready += 1,
            }
            let mut names = self.names.lock();
            if let Some(definition) = entry.definition() {
                names
                    .macs
                    .entry(definition.mac)
                    .or_insert_with(|| record.name.clone());
                names.next_sequence = names.next_sequence.max(definition.sequence + 1);
            }
            names.entries.insert(record.name, entry);
        }
        Ok(restored)
    }

    fn rebuild(&self, definition: Definition) -> Entry {
        let other = self.names.lock().macs.get(&definition.mac).cloned();
        if let Some(other) = other {
            let reason = EngineError::DuplicateMac {
                attempted: "create",
                name: definition.name.clone(),
                mac: definition.mac.to_string(),
                other,
            };
            return failed(Some(definition), reason.to_string());
        }
        let composed = self.recompose(&definition);
        match composed {
            Ok((device, _)) => Entry::Live(Arc::new(Live { definition, device })),
            Err(error) => failed(Some(definition), error.to_string()),
        }
    }

    /// A device that was made before. What its profile does not let be any more is told and no reason to
    /// leave its VM without it.
    pub(super) fn recompose(&self, definition: &Definition) -> Result<Composed, EngineError> {
        let profile = self.profile_of(definition)?;
        if let Err(why) = judge::admit(&profile, definition) {
            let device = &definition.name;
            tracing::warn!(device, uuid = %definition.uuid, "it could not be made so any more: {why}");
        }
        let device = self.backend.compose(definition, &profile)?;
        device.open()?;
        Ok((device, profile))
    }

    /// Another attempt at a device that failed to come back.
    pub(super) fn revive(&self, definition: Definition) -> Result<Created, EngineError> {
        let name = definition.name.clone();
        let spare = definition.clone();
        let owner = self.names.lock().macs.get(&definition.mac).cloned();
        let attempt = match owner.filter(|owner| *owner != name) {
            Some(other) => Err(EngineError::DuplicateMac {
                attempted: "create",
                name: name.clone(),
                mac: definition.mac.to_string(),
                other,
            }),
            None => self
                .recompose(&definition)
                .map(|(device, profile)| (Arc::new(Live { definition, device }), profile)),
        };
        match attempt {
            Ok((live, profile)) => {
                let answer = created(Outcome::Already, &live);
                let told = Happening::changed(&name, &["state"]);
                let entry = Some(Entry::Live(live.clone()));
                self.conclude_telling(&name, entry, None, told);
                self.refresh(&live, &profile);
                Ok(answer)
            }
            Err(error) => {
                let entry = failed(Some(spare), error.to_string());
                let told = Happening::changed(&name, &["state"]);
                self.conclude_telling(&name, Some(entry), None, told);
                Err(error)
            }
        }
    }
}
