//! `set`: a device becomes what it is asked to be, in store and data plane, or stays as it was.

use std::sync::Arc;

use libcvf::control::MacAddr;
use policies::Profile;

use super::catalog::{Catalog, Names, store_failed};
use super::definition::Definition;
use super::entry::{Entry, Live};
use super::error::EngineError;
use super::events::Happening;
use super::set::{Change, Changed, SetRequest, differences};
use crate::crash;

const ATTEMPTED: &str = "change";

impl Catalog {
    /// [`super::Engine::set`].
    pub(super) fn alter(&self, name: &str, request: SetRequest) -> Result<Changed, EngineError> {
        let dry_run = request.dry_run;
        let changes = request.check().map_err(|error| error.on(ATTEMPTED, name))?;
        let mut names = self.settle(self.names.lock(), name, ATTEMPTED)?;
        let live = match names.entries.get(name) {
            None => return Err(names.no_device(name).on(ATTEMPTED, name)),
            Some(Entry::Live(live)) => live.clone(),
            Some(Entry::Failed(failed)) => {
                return Err(EngineError::NotReady {
                    attempted: ATTEMPTED,
                    name: name.to_owned(),
                    why: format!("it is not composed: {}", failed.reason),
                });
            }
            // Nobody else is at work on what has settled.
            Some(Entry::Changing(doing, _)) => {
                return Err(EngineError::Changing {
                    attempted: ATTEMPTED,
                    name: name.to_owned(),
                    doing,
                });
            }
        };
        let from = &live.definition;
        let to = changes
            .applied_to(from)
            .map_err(|error| error.on(ATTEMPTED, name))?;
        let mut answer = Changed {
            name: name.to_owned(),
            changes: differences(from, &to),
            dry_run,
            ..Changed::default()
        };
        answer.changed = !answer.changes.is_empty();
        names.check_mac(from, &to)?;
        if !answer.changed || dry_run {
            drop(names);
            if answer.changed {
                self.admitted_change(from, &to)?;
                let takes = self.backend.takes(&to);
                takes.map_err(|error| error.on(ATTEMPTED, name))?;
            }
            return Ok(answer);
        }
        if to.mac != from.mac {
            names.macs.insert(to.mac, name.to_owned());
        }
        let changing = Entry::Changing("changing", Some(live.clone()));
        names.entries.insert(name.to_owned(), changing);
        drop(names);
        crash::point("set: checked");
        match self.apply(&live, &to) {
            Ok((notes, profile)) => {
                answer.notes = notes;
                tracing::info!(device = name, uuid = %to.uuid, changes = ?answer.changes, "changed");
                let (device, free) = (live.device.clone(), Some(from.mac));
                let free = free.filter(|mac| *mac != to.mac);
                let next = Arc::new(Live {
                    definition: to,
                    device,
                });
                let told = Happening::Changed {
                    device: name.to_owned(),
                    attributes: answer.changes.iter().map(Change::key).collect(),
                };
                self.settle_change(name, next.clone(), free, told);
                self.refresh(&next, &profile);
                crash::point("set: done");
                Ok(answer)
            }
            Err(error) => {
                let free = Some(to.mac).filter(|mac| *mac != from.mac);
                let told = Happening::changed(name, &["state"]);
                self.settle_change(name, live.clone(), free, told);
                Err(error)
            }
        }
    }

    /// Stores and applies, or neither.
    fn apply(
        &self,
        live: &Live,
        to: &Definition,
    ) -> Result<(Vec<String>, Arc<Profile>), EngineError> {
        let from = &live.definition;
        let profile = self.admitted_change(from, to)?;
        let takes = self.backend.takes(to);
        takes.map_err(|error| error.on(ATTEMPTED, &to.name))?;
        let stored = self.store.put(to);
        stored.map_err(|why| store_failed(ATTEMPTED, &to.name, &why))?;
        crash::point("set: stored");
        let changed = live.device.change(to, &profile);
        let notes = changed.inspect_err(|_| {
            if let Err(why) = self.store.put(from) {
                let device = &to.name;
                tracing::error!(device, uuid = %to.uuid, "a refused change stays stored: {why}");
            }
        })?;
        Ok((notes, profile))
    }

    /// Lists the device as it is now, and frees an address that it does not have.
    fn settle_change(&self, name: &str, live: Arc<Live>, free: Option<MacAddr>, told: Happening) {
        if let Some(mac) = free {
            let mut names = self.names.lock();
            if names.macs.get(&mac).is_some_and(|owner| owner == name) {
                names.macs.remove(&mac);
            }
        }
        self.conclude_telling(name, Some(Entry::Live(live)), None, told);
    }
}

impl Names {
    fn check_mac(&self, from: &Definition, to: &Definition) -> Result<(), EngineError> {
        let owner = self.macs.get(&to.mac).filter(|owner| **owner != from.name);
        owner.map_or(Ok(()), |other| {
            Err(EngineError::DuplicateMac {
                attempted: ATTEMPTED,
                name: from.name.clone(),
                mac: to.mac.to_string(),
                other: other.clone(),
            })
        })
    }
}
