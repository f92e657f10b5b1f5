//! Devices that come back: at the start, and by another attempt later.

use std::sync::Arc;

use super::catalog::{Catalog, created, failed};
use super::definition::Definition;
use super::entry::{Entry, Live};
use super::error::EngineError;
use super::events::Happening;
use super::lifecycle::Action;
use super::view::{Created, Outcome};

/// How many definitions a restart found, and what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// Composed and listening.
    pub ready: usize,
    /// Kept as failed.
    pub failed: usize,
    /// Not started: by their definition, or because they were stopped.
    pub defined: usize,
    /// Transient ones of another boot of the host: gone.
    pub dropped: usize,
}

impl Catalog {
    /// Rebuilds what the store defines and what is to run, in the order that the definitions say, and among equals in
    /// that of their creation. What cannot be rebuilt is kept as failed and stops nobody else.
    ///
    /// # Errors
    /// The store cannot be read at all.
    pub fn restore(&self) -> Result<Restored, crate::store::StoreError> {
        let mut records = self.store.load()?;
        records.sort_by_key(|record| match &record.definition {
            Ok(definition) => {
                let (order, sequence) = (i64::from(definition.life.order), definition.sequence);
                (order, sequence, record.name.clone())
            }
            Err(_) => (i64::MAX, u64::MAX, record.name.clone()),
        });
        if self.boot.is_unknown() {
            tracing::warn!(
                "the kernel does not tell which boot this is; it is taken to be that of all devices"
            );
        }
        let mut restored = Restored::default();
        // Addresses are theirs who were there first, whether they are started first or not.
        {
            let mut names = self.names.lock();
            let mut defined: Vec<_> = records
                .iter()
                .filter_map(|record| record.definition.as_ref().ok())
                .filter(|definition| !definition.life.is_over(self.boot))
                .collect();
            defined.sort_by_key(|definition| definition.sequence);
            for definition in defined {
                names
                    .macs
                    .entry(definition.mac)
                    .or_insert_with(|| definition.name.clone());
                names.next_sequence = names.next_sequence.max(definition.sequence + 1);
            }
        }
        for record in records {
            let entry = match record.definition {
                Err(error) => failed(None, error.to_string()),
                Ok(definition) if definition.life.is_over(self.boot) => {
                    self.drop_over(&definition);
                    restored.dropped += 1;
                    continue;
                }
                Ok(definition) => self.rebuild(definition),
            };
            match &entry {
                Entry::Failed(failed) => {
                    let uuid = failed.definition.as_ref().map(|d| d.uuid.to_string());
                    tracing::error!(device = record.name, uuid, "not rebuilt: {}", failed.reason);
                    restored.failed += 1;
                }
                Entry::Defined(_) => restored.defined += 1,
                _ => restored.ready += 1,
            }
            self.names.lock().entries.insert(record.name, entry);
        }
        Ok(restored)
    }

    /// A transient device of another boot is no more.
    fn drop_over(&self, definition: &Definition) {
        let (device, uuid) = (&definition.name, definition.uuid);
        match self.store.remove(device) {
            Ok(()) => {
                tracing::info!(device, %uuid, "dropped: it was transient, and the host was booted since");
            }
            Err(why) => tracing::error!(device, %uuid, "what is over stays stored: {why}"),
        }
        self.backend.events().publish(Happening::Destroyed {
            device: device.clone(),
        });
    }

    fn rebuild(&self, mut definition: Definition) -> Entry {
        let back = definition.life.comes_back(self.boot);
        if let Err(error) = self.address_is_its_own("start", &definition) {
            return match back {
                true => failed(Some(definition), error.to_string()),
                false => Entry::Defined(definition.into()),
            };
        }
        if !back {
            return Entry::Defined(definition.into());
        }
        // What ran in this boot has not been stopped since, and its start was let be: its VM wants it back.
        let starts = !definition.life.boot.is_some_and(|boot| boot.is(self.boot));
        let asked = match starts {
            true => self.before(Action::Start, &definition),
            false => Ok(()),
        };
        let composed = asked.and_then(|()| self.recompose(&mut definition));
        let done = composed.is_ok();
        let spare = definition.clone();
        let entry = match composed {
            Ok(device) => Entry::Live(Arc::new(Live { definition, device })),
            Err(error) => {
                let error = error.attempting("start").on("start", &definition.name);
                failed(Some(definition), error.to_string())
            }
        };
        if starts {
            self.after(Action::Start, &spare, done);
        }
        entry
    }

    fn address_is_its_own(
        &self,
        attempted: &'static str,
        definition: &Definition,
    ) -> Result<(), EngineError> {
        let names = self.names.lock();
        names.free_mac(attempted, &definition.name, definition.mac)
    }

    /// A device that ran, or starts by itself. Nothing is written: its record says so already.
    fn recompose(
        &self,
        definition: &mut Definition,
    ) -> Result<Arc<dyn super::backend::Device>, EngineError> {
        let profile = self.profile_as_before(definition)?;
        let device = self.composed(definition, &profile)?;
        device.open()?;
        definition.life = definition.life.started(self.boot);
        Ok(device)
    }

    /// Another attempt at a device that failed to come back.
    pub(super) fn revive(&self, definition: Definition) -> Result<Created, EngineError> {
        let name = definition.name.clone();
        let spare = definition.clone();
        let attempt = self
            .address_is_its_own("create", &definition)
            .and_then(|()| self.before(Action::Start, &definition))
            .and_then(|()| self.launch(definition, true));
        match attempt {
            Ok((live, profile)) => {
                let answer = created(Outcome::Already, &live);
                let told = Happening::changed(&name, &["state"]);
                let entry = Some(Entry::Live(live.clone()));
                self.conclude_telling(&name, entry, None, told);
                self.refresh(&live, &profile);
                self.after(Action::Start, &live.definition, true);
                Ok(answer)
            }
            Err(error) => {
                let error = error.attempting("create");
                let entry = failed(Some(spare.clone()), error.to_string());
                let told = Happening::changed(&name, &["state"]);
                self.conclude_telling(&name, Some(entry), None, told);
                self.after(Action::Start, &spare, false);
                Err(error)
            }
        }
    }
}
