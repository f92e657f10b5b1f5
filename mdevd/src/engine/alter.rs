//! `set`: a device becomes what it is asked to be, in store and data plane, or stays as it was.

use std::sync::Arc;

use libcvf::control::MacAddr;
use parking_lot::MutexGuard;
use policies::Profile;

use super::catalog::{Catalog, Names, store_failed};
use super::definition::Definition;
use super::entry::{Entry, Failed, Live};
use super::error::EngineError;
use super::events::Happening;
use super::set::{Change, Changed, Changes, SetRequest, differences};
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
                let failed = failed.clone();
                return self.mend(names, name, (&changes, dry_run), &failed);
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
            }
            return Ok(answer);
        }
        if to.mac != from.mac {
            names.macs.insert(to.mac, name.to_owned());
        }
        names.pending.insert(name.to_owned(), to.profile.clone());
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

    /// Changes a device that could not be rebuilt, and rebuilds it; or neither.
    fn mend(
        &self,
        mut names: MutexGuard<'_, Names>,
        name: &str,
        (changes, dry_run): (&Changes, bool),
        failed: &Failed,
    ) -> Result<Changed, EngineError> {
        let not_composed = |why: &str| EngineError::NotReady {
            attempted: ATTEMPTED,
            name: name.to_owned(),
            why: format!("it is not composed: {why}"),
        };
        let Some(from) = &failed.definition else {
            return Err(not_composed(&failed.reason));
        };
        let to = changes
            .applied_to(from)
            .map_err(|error| error.on(ATTEMPTED, name))?;
        let mut answer = Changed {
            name: name.to_owned(),
            changed: true,
            changes: differences(from, &to),
            dry_run,
            notes: vec!["it could not be rebuilt before, and is composed now".to_owned()],
        };
        if answer.changes.is_empty() {
            return Err(not_composed(&failed.reason));
        }
        names.check_mac(from, &to)?;
        if dry_run {
            drop(names);
            self.admitted_anew(ATTEMPTED, &to)?;
            self.backend.fits(&to)?;
            answer.notes.clear();
            return Ok(answer);
        }
        names.macs.insert(to.mac, name.to_owned());
        names.pending.insert(name.to_owned(), to.profile.clone());
        let changing = Entry::Changing("changing", None);
        names.entries.insert(name.to_owned(), changing);
        drop(names);
        let mended = self.rebuild_as(&to);
        let (entry, free) = match &mended {
            Ok((live, _)) => (Entry::Live(live.clone()), from.mac),
            Err(_) => (Entry::Failed(Arc::new(failed.again())), to.mac),
        };
        if from.mac != to.mac {
            self.free(name, free);
        }
        let told = Happening::Changed {
            device: name.to_owned(),
            attributes: answer
                .changes
                .iter()
                .map(Change::key)
                .chain(["state".to_owned()])
                .collect(),
        };
        self.conclude_telling(name, Some(entry), None, told);
        let (live, profile) = mended?;
        self.refresh(&live, &profile);
        tracing::info!(device = name, uuid = %to.uuid, changes = ?answer.changes, "mended");
        Ok(answer)
    }

    /// Composes, then stores what has been composed.
    fn rebuild_as(&self, to: &Definition) -> Result<(Arc<Live>, Arc<Profile>), EngineError> {
        self.admitted_anew(ATTEMPTED, to)?;
        let (device, profile) = self.recompose(to)?;
        if let Err(why) = self.store.put(to) {
            if let Err(late) = device.retire() {
                tracing::warn!(device = to.name, uuid = %to.uuid, "{late}");
            }
            return Err(store_failed(ATTEMPTED, &to.name, &why));
        }
        let definition = to.clone();
        Ok((Arc::new(Live { definition, device }), profile))
    }

    /// Frees an address that the device does not have.
    fn free(&self, name: &str, mac: MacAddr) {
        let mut names = self.names.lock();
        if names.macs.get(&mac).is_some_and(|owner| owner == name) {
            names.macs.remove(&mac);
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
            self.free(name, mac);
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
