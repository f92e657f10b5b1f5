//! A transient device becomes a persistent one while it runs.

use std::sync::Arc;

use parking_lot::MutexGuard;

use super::super::catalog::{Catalog, Names, created, failed, store_failed};
use super::super::entry::{Entry, Live};
use super::super::error::EngineError;
use super::super::events::Happening;
use super::super::view::{Created, Outcome};
use super::define::told;
use super::hooks::Action;
use super::life::Life;
use crate::crash;

impl Catalog {
    /// Keeps what runs under `life`'s start and order.
    pub(in crate::engine) fn promote(
        &self,
        mut names: MutexGuard<'_, Names>,
        entry: Entry,
        life: Life,
    ) -> Result<Created, EngineError> {
        let Some(definition) = entry.definition() else {
            // Whoever calls has looked at it.
            return Err(EngineError::invalid("name", "", "it has no definition"));
        };
        let name = definition.name.clone();
        let mut kept = definition.clone();
        kept.life = life.started(self.boot);
        let changing = entry.changing("defining");
        names.entries.insert(name.clone(), changing);
        drop(names);
        let stored = self
            .before(Action::Define, &kept)
            .and_then(|()| self.checked("define", &kept))
            .and_then(|()| {
                let stored = self.store.put(&kept);
                stored.map_err(|why| store_failed("define", &name, &why))
            });
        let (next, told_by, answer) = match (stored, &entry) {
            (Err(error), _) => {
                self.conclude_telling(&name, Some(entry), None, None);
                self.after(Action::Define, &kept, false);
                return Err(error);
            }
            (Ok(()), Entry::Live(live)) => {
                let device = live.device.clone();
                let next = Arc::new(Live {
                    definition: kept.clone(),
                    device,
                });
                let answer = created(Outcome::Defined, &next);
                (Entry::Live(next), Happening::defined(&kept), answer)
            }
            (Ok(()), Entry::Failed(was)) => {
                let next = failed(Some(kept.clone()), was.reason.clone());
                (
                    next,
                    Happening::defined(&kept),
                    told(Outcome::Defined, &kept),
                )
            }
            (Ok(()), _) => {
                let next = Entry::Defined(kept.clone().into());
                (
                    next,
                    Happening::defined(&kept),
                    told(Outcome::Defined, &kept),
                )
            }
        };
        crash::point("define: kept");
        self.conclude_telling(&name, Some(next), None, told_by);
        tracing::info!(device = name, uuid = %kept.uuid, "defined: it is persistent now");
        self.after(Action::Define, &kept, true);
        Ok(answer)
    }
}
