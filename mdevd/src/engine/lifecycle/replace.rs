//! A definition in place of another one: whole, or not at all.

use parking_lot::MutexGuard;

use super::super::catalog::{Catalog, Names};
use super::super::create::Base;
use super::super::definition::Definition;
use super::super::direct::stopped_first;
use super::super::entry::Entry;
use super::super::error::EngineError;
use super::super::request::Draft;
use super::super::set::{Changed, SetRequest};
use super::super::view::{Created, Outcome};
use super::define::told;
use super::document::differences;
use super::hooks::Action;

impl Catalog {
    /// Has `draft` take the place of `existing`, which is `entry`'s: at once where it can be, for the next start
    /// where it does not run. What a running device would have to be stopped for is refused.
    pub(super) fn replace(
        &self,
        names: MutexGuard<'_, Names>,
        entry: Entry,
        existing: &Definition,
        draft: &Draft,
    ) -> Result<Created, EngineError> {
        let pf = match &draft.pf {
            Some(pf) => self.choose_pf(Some(pf))?,
            None => existing.pf.clone(),
        };
        let mut to = draft.definition(Base {
            name: existing.name.clone(),
            uuid: existing.uuid,
            sequence: existing.sequence,
            pf,
            mac: draft.mac.unwrap_or(existing.mac),
            life: draft.life.instead_of(existing.life),
            profile: self.profiles.default_name().to_owned(),
            socket: self.defaults.read().clone(),
        });
        // A document says what makes the device: how many of its pairs are used is not in it.
        let limit = existing.tuning.queue_pairs;
        to.tuning.queue_pairs = limit.filter(|limit| *limit < to.queue_pairs);
        let changes = differences(existing, &to);
        if entry.live().is_some() {
            let live = |key: &str| SetRequest::changes_as_made(&key.replace('-', "_"));
            if let Some(change) = changes.iter().find(|change| !live(&change.attribute)) {
                return Err(stopped_first("define", existing, change));
            }
        }
        let answer = Changed {
            name: existing.name.clone(),
            changed: !changes.is_empty(),
            dry_run: draft.dry_run,
            changes,
            notes: Vec::new(),
        };
        let done = self.become_other(names, entry, &to, answer, Action::Define)?;
        let result = match (done.changed, done.dry_run) {
            (false, _) => Outcome::Already,
            (true, true) => Outcome::WouldReplace,
            (true, false) => Outcome::Replaced,
        };
        let mut answer = told(result, &to);
        answer.changes = done.changes;
        answer.notes.extend(done.notes);
        Ok(answer)
    }
}
