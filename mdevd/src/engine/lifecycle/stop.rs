//! `stop` and `destroy`: what runs is retired; its definition is kept, or forgotten.

use super::super::catalog::{Catalog, store_failed, unreadable_for};
use super::super::entry::Entry;
use super::super::error::EngineError;
use super::super::events::Happening;
use super::answer::{Ended, LifeOutcome};
use super::hooks::Action;
use crate::crash;

impl Catalog {
    /// [`super::super::Engine::stop_device`].
    pub(in crate::engine) fn stop_one(
        &self,
        name: &str,
        force: bool,
    ) -> Result<Ended, EngineError> {
        const ATTEMPTED: &str = "stop";
        let mut names = self.settle(self.names.lock(), name, ATTEMPTED)?;
        let Some(entry) = names.entries.get(name).cloned() else {
            return Err(names.no_device(name).on(ATTEMPTED, name));
        };
        let mut answer = Ended {
            result: LifeOutcome::Stopped,
            name: name.to_owned(),
            defined: true,
            running: false,
            notes: Vec::new(),
        };
        if let Entry::Defined(definition) = &entry
            // What the daemon has yet to start is not started any more.
            && !(names.due.contains_key(&definition.sequence) && self.is_to_start(definition))
        {
            answer.result = LifeOutcome::Already;
            return Ok(answer);
        }
        let definition = entry.definition().cloned();
        let definition = definition.ok_or_else(|| unreadable_for(ATTEMPTED, name))?;
        unused(ATTEMPTED, &entry, force)?;
        let changing = entry.changing("stopping");
        names.entries.insert(name.to_owned(), changing);
        drop(names);
        if definition.life.transient {
            self.forget(name, &entry, Action::Stop, force)?;
            answer.defined = false;
            answer.notes.push("it was transient: it is gone".to_owned());
            return Ok(answer);
        }
        crash::point("stop: marked");
        let mut kept = definition;
        kept.life = kept.life.stopped(self.boot);
        let asked = self.before(Action::Stop, &kept);
        // A VM may have connected while somebody was asked.
        let unused = asked.and_then(|()| unused(ATTEMPTED, &entry, force));
        let stored = unused.and_then(|()| {
            let stored = self.store.put(&kept);
            stored.map_err(|why| store_failed(ATTEMPTED, name, &why))
        });
        if let Err(error) = stored {
            let told = Happening::changed(name, &["state"]);
            self.conclude_telling(name, Some(entry), None, told);
            self.after(Action::Stop, &kept, false);
            return Err(error);
        }
        crash::point("stop: stored");
        let retired = match &entry {
            Entry::Live(live) => live.device.retire(),
            _ => Ok(()),
        };
        crash::point("stop: retired");
        let told = Happening::Stopped {
            device: name.to_owned(),
        };
        let next = Entry::Defined(kept.clone().into());
        self.conclude_telling(name, Some(next), None, told);
        tracing::info!(device = name, uuid = %kept.uuid, force, "stopped");
        self.after(Action::Stop, &kept, true);
        retired.map(|()| answer)
    }

    /// [`super::super::Engine::destroy`].
    pub(in crate::engine) fn destroy_one(
        &self,
        name: &str,
        force: bool,
    ) -> Result<(), EngineError> {
        const ATTEMPTED: &str = "destroy";
        let mut names = self.settle(self.names.lock(), name, ATTEMPTED)?;
        let Some(entry) = names.entries.get(name).cloned() else {
            return Err(names.no_device(name).on(ATTEMPTED, name));
        };
        unused(ATTEMPTED, &entry, force)?;
        let changing = entry.changing("destroying");
        names.entries.insert(name.to_owned(), changing);
        drop(names);
        self.forget(name, &entry, Action::Destroy, force)
    }

    /// Takes what is marked out of the store, retires it, and lists it no more.
    pub(super) fn forget(
        &self,
        name: &str,
        entry: &Entry,
        action: Action,
        force: bool,
    ) -> Result<(), EngineError> {
        let definition = entry.definition();
        let after = |done| {
            if let Some(definition) = definition {
                self.after(action, definition, done);
            }
        };
        crash::point("destroy: marked");
        let asked = match definition {
            Some(definition) => self.before(action, definition),
            None => Ok(()),
        };
        let unused = asked.and_then(|()| unused(action.word(), entry, force));
        let removed = unused.and_then(|()| {
            let removed = self.store.remove(name);
            removed.map_err(|why| store_failed(action.word(), name, &why))
        });
        if let Err(error) = removed {
            let told = Happening::changed(name, &["state"]);
            self.conclude_telling(name, Some(entry.clone()), None, told);
            after(false);
            return Err(error);
        }
        crash::point("destroy: removed");
        let retired = match entry {
            Entry::Live(live) => live.device.retire(),
            _ => Ok(()),
        };
        crash::point("destroy: retired");
        let device = name.to_owned();
        let told = match action {
            Action::Undefine => Happening::Undefined {
                device,
                running: false,
            },
            _ => Happening::Destroyed { device },
        };
        self.conclude_telling(name, None, definition.map(|d| d.mac), told);
        let uuid = definition.map(|d| d.uuid.to_string());
        match action {
            Action::Undefine => tracing::info!(device = name, uuid, "undefined"),
            _ => tracing::info!(device = name, uuid, force, "destroyed"),
        }
        after(true);
        retired
    }
}

/// Refuses what would cut a client off, unless that is wanted.
fn unused(attempted: &'static str, entry: &Entry, force: bool) -> Result<(), EngineError> {
    if let (Entry::Live(live), false) = (entry, force)
        && let Some(client) = live.device.client()
    {
        return Err(EngineError::Connected {
            attempted,
            name: live.definition.name.clone(),
            client: client.to_string(),
        });
    }
    Ok(())
}
