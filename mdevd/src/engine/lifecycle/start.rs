//! `start`: what is defined is composed.

use std::sync::Arc;

use policies::Profile;

use super::super::catalog::{Catalog, created, failed, store_failed, unreadable_for};
use super::super::definition::Definition;
use super::super::entry::{Entry, Live};
use super::super::error::EngineError;
use super::super::events::Happening;
use super::super::judge;
use super::super::view::{Created, Outcome};
use super::hooks::Action;
use crate::crash;

const ATTEMPTED: &str = "start";

/// A device that runs, and the profile that it was composed with.
pub(in crate::engine) type Launched = (Arc<Live>, Arc<Profile>);

/// Whose wish a start is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum Wish {
    /// Somebody is there to mend what it lacks of its group.
    Operators,
    /// Nobody is: better with less than not at all.
    Daemons,
}

impl Catalog {
    /// [`super::super::Engine::start`].
    pub(in crate::engine) fn start_device(&self, name: &str) -> Result<Created, EngineError> {
        let mut names = self.settle(self.names.lock(), name, ATTEMPTED)?;
        let Some(entry) = names.entries.get(name).cloned() else {
            return Err(names.no_device(name).on(ATTEMPTED, name));
        };
        if let Entry::Live(live) = &entry {
            return Ok(created(Outcome::Already, live));
        }
        let definition = entry.definition().cloned();
        let definition = definition.ok_or_else(|| unreadable_for(ATTEMPTED, name))?;
        names.free_mac(ATTEMPTED, name, definition.mac)?;
        names.mark(&definition, "starting");
        drop(names);
        self.start_marked(entry, definition, Wish::Operators)
    }

    /// Starts what is marked as starting.
    pub(in crate::engine) fn start_marked(
        &self,
        entry: Entry,
        definition: Definition,
        wish: Wish,
    ) -> Result<Created, EngineError> {
        let name = definition.name.clone();
        crash::point("start: marked");
        // What failed to come back was let be before; so it is now.
        let before = matches!(entry, Entry::Failed(_));
        let spare = definition.clone();
        let launched = self
            .before(Action::Start, &definition)
            .and_then(|()| match wish {
                Wish::Operators => self.shares_as_defined(&definition),
                Wish::Daemons => Ok(()),
            })
            .and_then(|()| self.launch(definition, before));
        match launched {
            Ok((live, profile)) => {
                let answer = created(Outcome::Started, &live);
                let told = Happening::Started {
                    device: name.clone(),
                };
                self.conclude_telling(&name, Some(Entry::Live(live.clone())), None, told);
                self.refresh(&live, &profile);
                tracing::info!(device = name, uuid = answer.uuid, "started");
                self.after(Action::Start, &live.definition, true);
                Ok(answer)
            }
            Err(error) => {
                let error = error.attempting(ATTEMPTED).on(ATTEMPTED, &name);
                let entry = match entry {
                    Entry::Failed(_) => failed(Some(spare.clone()), error.to_string()),
                    entry => entry,
                };
                let told = Happening::changed(&name, &["state"]);
                self.conclude_telling(&name, Some(entry), None, told);
                self.after(Action::Start, &spare, false);
                Err(error)
            }
        }
    }

    /// Composes, stores that it runs, and opens: all or nothing. `before`: it ran before, so what its profile does
    /// not let be any more is told and no reason to leave its VM without it.
    pub(in crate::engine) fn launch(
        &self,
        mut definition: Definition,
        before: bool,
    ) -> Result<Launched, EngineError> {
        let profile = if before {
            self.profile_as_before(&definition)?
        } else {
            self.admitted(ATTEMPTED, &definition)?
        };
        let device = if before {
            self.compose_as_it_can(&definition, &profile)?
        } else {
            self.composed(&definition, &definition.share, &profile)?
        };
        crash::point("start: composed");
        let (name, uuid) = (definition.name.clone(), definition.uuid);
        let undo = |error: EngineError| {
            if let Err(late) = device.retire() {
                tracing::warn!(device = name, %uuid, "{late}");
            }
            error
        };
        let was = definition.clone();
        definition.life = was.life.started(self.boot);
        if definition != was {
            let stored = self.store.put(&definition);
            stored.map_err(|why| undo(store_failed(ATTEMPTED, &name, &why)))?;
        }
        crash::point("start: stored");
        device.open().map_err(|error| {
            if definition != was
                && let Err(why) = self.store.put(&was)
            {
                tracing::error!(device = name, %uuid, "it stays stored as started: {why}");
            }
            undo(error)
        })?;
        crash::point("start: open");
        Ok((Arc::new(Live { definition, device }), profile))
    }

    /// The profile of a device that was made before. What it does not let be any more is told and no reason to
    /// leave a VM without its device.
    pub(in crate::engine) fn profile_as_before(
        &self,
        definition: &Definition,
    ) -> Result<Arc<Profile>, EngineError> {
        let profile = self.profile_of(definition)?;
        if let Err(why) = judge::admit(&profile, definition) {
            let device = &definition.name;
            tracing::warn!(device, uuid = %definition.uuid, "it could not be made so any more: {why}");
        }
        Ok(profile)
    }
}
