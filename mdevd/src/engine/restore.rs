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
    /// To be started by [`Catalog::start_due`]; defined until then.
    pub due: usize,
    /// Not started: by their definition, or because they were stopped.
    pub defined: usize,
    /// Transient ones of another boot of the host: gone.
    pub dropped: usize,
}

impl Catalog {
    /// Rebuilds what the store defines and what ran in this boot, in the order that the definitions say, and among equals
    /// in that of their creation. What cannot be rebuilt is kept as failed and stops nobody else. Nobody is asked:
    /// [`Catalog::start_due`] starts the others that are to run.
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
                Ok(definition) if self.is_to_start(&definition) => {
                    let due = (definition.life.order, record.name.clone());
                    let entry = Entry::Defined(definition.clone().into());
                    let mut names = self.names.lock();
                    names.due.insert(definition.sequence, due);
                    names.entries.insert(record.name, entry);
                    restored.due += 1;
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

    /// What ran in this boot, as it was, for its VM wants it back; or nothing but a definition.
    fn rebuild(&self, mut definition: Definition) -> Entry {
        if !definition.life.comes_back(self.boot) {
            return Entry::Defined(definition.into());
        }
        let composed = self
            .address_is_its_own("start", &definition)
            .and_then(|()| self.recompose(&mut definition));
        match composed {
            Ok(device) => Entry::Live(Arc::new(Live { definition, device })),
            Err(error) => {
                let error = error.attempting("start").on("start", &definition.name);
                failed(Some(definition), error.to_string())
            }
        }
    }

    fn address_is_its_own(
        &self,
        attempted: &'static str,
        definition: &Definition,
    ) -> Result<(), EngineError> {
        let names = self.names.lock();
        names.free_mac(attempted, &definition.name, definition.mac)
    }

    /// A device that ran. Nothing is written: its record says so already.
    fn recompose(
        &self,
        definition: &mut Definition,
    ) -> Result<Arc<dyn super::backend::Device>, EngineError> {
        let profile = self.profile_as_before(definition)?;
        let device = self.compose_as_it_can(definition, &profile)?;
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
            .and_then(|()| self.shares_as_defined(&definition))
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
