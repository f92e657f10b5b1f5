//! `undefine`: a definition is forgotten, and what runs goes on.

use std::sync::Arc;

use super::super::catalog::{Catalog, store_failed};
use super::super::entry::{Entry, Live};
use super::super::error::EngineError;
use super::super::events::Happening;
use super::answer::{Ended, LifeOutcome};
use super::hooks::Action;
use super::life::Life;
use crate::crash;

const ATTEMPTED: &str = "undefine";

impl Catalog {
    /// [`super::super::Engine::undefine`].
    pub(in crate::engine) fn undefine_device(&self, name: &str) -> Result<Ended, EngineError> {
        let mut names = self.settle(self.names.lock(), name, ATTEMPTED)?;
        let Some(entry) = names.entries.get(name).cloned() else {
            return Err(names.no_device(name).on(ATTEMPTED, name));
        };
        let Some(live) = entry.live().cloned() else {
            names
                .entries
                .insert(name.to_owned(), entry.changing("undefining"));
            drop(names);
            self.forget(name, &entry, Action::Undefine, false)?;
            return Ok(Ended {
                result: LifeOutcome::Undefined,
                name: name.to_owned(),
                defined: false,
                running: false,
                notes: Vec::new(),
            });
        };
        let mut answer = Ended {
            result: LifeOutcome::Already,
            name: name.to_owned(),
            defined: false,
            running: true,
            notes: vec![
                "it is transient: it goes on until it is stopped, or this boot of the host ends"
                    .to_owned(),
            ],
        };
        if live.definition.life.transient {
            return Ok(answer);
        }
        let changing = entry.changing("undefining");
        names.entries.insert(name.to_owned(), changing);
        drop(names);
        crash::point("undefine: marked");
        let mut definition = live.definition.clone();
        definition.life = Life::transient(self.boot);
        let stored = self.before(Action::Undefine, &definition).and_then(|()| {
            let stored = self.store.put(&definition);
            stored.map_err(|why| store_failed(ATTEMPTED, name, &why))
        });
        match &stored {
            Err(_) => self.conclude(name, Some(entry), None),
            Ok(()) => {
                crash::point("undefine: stored");
                let next = Live {
                    definition: definition.clone(),
                    device: live.device.clone(),
                };
                let told = Happening::Undefined {
                    device: name.to_owned(),
                    running: true,
                };
                self.conclude_telling(name, Some(Entry::Live(Arc::new(next))), None, told);
                tracing::info!(device = name, uuid = %definition.uuid, "undefined: it runs on as a transient one");
            }
        }
        self.after(Action::Undefine, &definition, stored.is_ok());
        stored?;
        answer.result = LifeOutcome::Undefined;
        Ok(answer)
    }
}
