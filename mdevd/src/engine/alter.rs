//! `set`: a device becomes what it is asked to be, in store and data plane, or stays as it was.

use std::sync::Arc;

use libcvf::control::MacAddr;
use parking_lot::MutexGuard;
use policies::Profile;

use super::catalog::{Catalog, Names, failed, store_failed, unreadable_for};
use super::definition::Definition;
use super::direct::stopped_first;
use super::entry::{Entry, Live};
use super::error::EngineError;
use super::events::Happening;
use super::hints;
use super::jobs;
use super::lifecycle::Action;
use super::set::{Change, Changed, DATA_PATH, SetRequest, differences};
use crate::crash;

const ATTEMPTED: &str = "change";

/// A device as it has become, what there is to say about it, and its profile if one was put in force.
type Became = (Entry, Vec<String>, Option<Arc<Profile>>);

impl Catalog {
    /// [`super::Engine::set`].
    pub(super) fn alter(&self, name: &str, request: SetRequest) -> Result<Changed, EngineError> {
        let dry_run = request.dry_run;
        let changes = request.check().map_err(|error| error.on(ATTEMPTED, name))?;
        let names = self.settle(self.names.lock(), name, ATTEMPTED)?;
        let Some(entry) = names.entries.get(name).cloned() else {
            return Err(names.no_device(name).on(ATTEMPTED, name));
        };
        let from = entry.definition();
        let from = from.ok_or_else(|| unreadable_for(ATTEMPTED, name))?;
        let to = changes
            .applied_to(from)
            .map_err(|error| error.on(ATTEMPTED, name))?;
        let changes = differences(from, &to);
        let fixed = |change: &&Change| change.key() == DATA_PATH;
        if entry.live().is_some()
            && let Some(change) = changes.iter().find(fixed)
        {
            return Err(stopped_first(ATTEMPTED, from, change));
        }
        let answer = Changed {
            name: name.to_owned(),
            changed: !changes.is_empty(),
            changes,
            dry_run,
            ..Changed::default()
        };
        self.become_other(names, entry, &to, answer, Action::Set)
    }

    /// Makes `entry` be `to`, for which `answer` has the changes: in force at once where it runs; tried at once where
    /// it failed; else for the next start.
    pub(super) fn become_other(
        &self,
        mut names: MutexGuard<'_, Names>,
        entry: Entry,
        to: &Definition,
        mut answer: Changed,
        action: Action,
    ) -> Result<Changed, EngineError> {
        let name = to.name.clone();
        let from = entry.definition().cloned();
        let from = from.ok_or_else(|| unreadable_for(ATTEMPTED, &name))?;
        names.free_mac(ATTEMPTED, &name, to.mac)?;
        // Who replaces a definition is told of all of it elsewhere.
        let without_meaning = (matches!(action, Action::Set)
            && from.tuning.features != to.tuning.features)
            .then(|| hints::without_meaning(to))
            .flatten();
        if !answer.changed || answer.dry_run {
            drop(names);
            if answer.changed {
                self.admitted_change(&from, to)?;
                self.takes_change(&from, to)?;
                Self::socket_is_someones(ATTEMPTED, to)?;
                answer.notes.extend(without_meaning);
            } else if let (Entry::Live(live), false) = (&entry, answer.dry_run) {
                answer.notes.extend(self.regroup(live));
            }
            return Ok(answer);
        }
        names.mark(to, "changing");
        drop(names);
        crash::point("set: checked");
        let became = self
            .before(action, to)
            .and_then(|()| self.remade(&entry, &from, to));
        let done = became.is_ok();
        match became {
            Ok((next, notes, profile)) => {
                answer.notes = notes;
                answer.notes.extend(without_meaning);
                tracing::info!(device = name, uuid = %to.uuid, changes = ?answer.changes, "changed");
                let free = Some(from.mac).filter(|mac| *mac != to.mac);
                let told = Happening::Changed {
                    device: name.clone(),
                    attributes: answer.changes.iter().map(Change::key).collect(),
                };
                self.settle_change(&name, next.clone(), free, told);
                if let (Entry::Live(live), Some(profile)) = (&next, &profile) {
                    self.refresh(live, profile);
                }
                crash::point("set: done");
                self.after(action, to, done);
                Ok(answer)
            }
            Err(error) => {
                let free = Some(to.mac).filter(|mac| *mac != from.mac);
                let told = Happening::changed(&name, &["state"]);
                self.settle_change(&name, entry, free, told);
                self.after(action, to, done);
                Err(error)
            }
        }
    }

    fn remade(
        &self,
        entry: &Entry,
        from: &Definition,
        to: &Definition,
    ) -> Result<Became, EngineError> {
        if let Entry::Live(live) = entry {
            let (notes, profile) = self.apply(live, to)?;
            let device = live.device.clone();
            let next = Live {
                definition: to.clone(),
                device,
            };
            return Ok((Entry::Live(Arc::new(next)), notes, Some(profile)));
        }
        self.admitted_change(from, to)?;
        self.takes_change(from, to)?;
        Self::socket_is_someones(ATTEMPTED, to)?;
        let starts = matches!(entry, Entry::Failed(_));
        // Asked before anything is stored, so that whoever takes the command back meanwhile finds nothing done.
        let asked = match starts {
            true => self.before(Action::Start, to),
            false => Ok(()),
        };
        if asked.is_err()
            && let Some(cut) = jobs::cut_short()
        {
            self.after(Action::Start, to, false);
            return Err(cut.on(ATTEMPTED, &to.name));
        }
        let stored = self.store.put(to).map_err(|why| {
            if starts {
                self.after(Action::Start, to, false);
            }
            store_failed(ATTEMPTED, &to.name, &why)
        });
        stored?;
        crash::point("set: stored");
        if !starts {
            let note = "it is not started: this is what it will be".to_owned();
            return Ok((Entry::Defined(to.clone().into()), vec![note], None));
        }
        let launched = asked.and_then(|()| self.launch(to.clone(), true));
        self.after(Action::Start, to, launched.is_ok());
        Ok(match launched {
            Ok((live, profile)) => {
                let note = "it had failed; with this change it runs".to_owned();
                (Entry::Live(live), vec![note], Some(profile))
            }
            Err(error) => {
                let why = error.attempting("start").on("start", &to.name).to_string();
                let note = format!("it had failed, and still does: {why}");
                (failed(Some(to.clone()), why), vec![note], None)
            }
        })
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
        self.takes_change(from, to)?;
        let stored = self.store.put(to);
        stored.map_err(|why| store_failed(ATTEMPTED, &to.name, &why))?;
        crash::point("set: stored");
        let changed = live.device.change(to, &profile);
        let changed = changed.map_err(|error| self.naming_holder(error, to));
        let notes = changed.inspect_err(|_| {
            if let Err(why) = self.store.put(from) {
                let device = &to.name;
                tracing::error!(device, uuid = %to.uuid, "a refused change stays stored: {why}");
            }
        })?;
        Ok((notes, profile))
    }

    /// Lists the device as it is now, and frees an address that it does not have.
    fn settle_change(&self, name: &str, entry: Entry, free: Option<MacAddr>, told: Happening) {
        if let Some(mac) = free {
            self.free(name, mac);
        }
        self.conclude_telling(name, Some(entry), None, told);
    }
}
