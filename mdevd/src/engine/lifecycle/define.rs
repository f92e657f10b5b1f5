//! `define`: a definition is checked and stored, and nothing is composed.

use serde::{Deserialize, Serialize};

use super::super::catalog::{Catalog, Names, store_failed, unreadable_for};
use super::super::definition::Definition;
use super::super::entry::Entry;
use super::super::error::{EngineError, ErrorKind, instead};
use super::super::events::Happening;
use super::super::request::{CreateRequest, Draft};
use super::super::view::{Created, Outcome};
use super::hooks::Action;
use super::since::unchanged;
use crate::crash;
use crate::device::socket_error;
use crate::session::Access;

const ATTEMPTED: &str = "define";

/// A request to define a device.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DefineRequest {
    /// What it is to be.
    #[serde(flatten)]
    pub device: CreateRequest,
    /// In place of what is defined under that name.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub replace: bool,
    /// In place of this one, and of no other: as it was exported, as JSON text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instead_of: Option<String>,
}

impl DefineRequest {
    /// Says nothing about what the device is.
    fn is_bare(&self) -> bool {
        let bare = CreateRequest {
            name: self.device.name.clone(),
            dry_run: self.device.dry_run,
            life: self.device.life.clone(),
            ..CreateRequest::default()
        };
        self.device == bare
    }
}

impl Catalog {
    /// [`super::super::Engine::define`].
    pub(in crate::engine) fn define_device(
        &self,
        request: DefineRequest,
    ) -> Result<Created, EngineError> {
        let bare = request.is_bare();
        let draft = request.device.check()?;
        let mut names = self.names.lock();
        let name = draft
            .name
            .clone()
            .unwrap_or_else(|| Self::generated_name(&names));
        names = self.settle(names, &name, ATTEMPTED)?;
        let Some(entry) = names.entries.get(&name).cloned() else {
            if request.instead_of.is_some() {
                return Err(names.no_device(&name).on(ATTEMPTED, &name));
            }
            let life = draft.life.of_defined();
            let definition = self
                .reserve(&mut names, name, &draft, life, "defining")
                .map_err(|error| error.attempting(ATTEMPTED))?;
            drop(names);
            return self.store_new(&definition, draft.dry_run);
        };
        let existing = entry.definition().cloned();
        let existing = existing.ok_or_else(|| unreadable_for(ATTEMPTED, &name))?;
        if let Some(read) = &request.instead_of {
            unchanged(ATTEMPTED, read, &existing)?;
        }
        let replace = request.replace || request.instead_of.is_some();
        if replace && !existing.life.transient {
            return self.replace(names, entry, &existing, &draft);
        }
        // Who gives a transient device's name alone wants it kept as it is.
        let refusal = another(ATTEMPTED, &draft, &existing);
        if let Some(refusal) = refusal.filter(|_| !(bare && existing.life.transient)) {
            return Err(refusal);
        }
        if existing.life.transient {
            if draft.dry_run {
                return Ok(told(Outcome::WouldDefine, &existing));
            }
            return self.promote(names, entry, draft.life.of_defined());
        }
        Ok(told(Outcome::Already, &existing))
    }

    /// Checks and stores a reserved definition, or only checks.
    fn store_new(&self, definition: &Definition, dry_run: bool) -> Result<Created, EngineError> {
        if dry_run {
            self.checked(ATTEMPTED, definition)?;
            return Ok(told(Outcome::WouldDefine, definition));
        }
        crash::point("define: reserved");
        let stored = self
            .before(Action::Define, definition)
            .and_then(|()| self.checked(ATTEMPTED, definition))
            .and_then(|()| {
                let stored = self.store.put(definition);
                stored.map_err(|why| store_failed(ATTEMPTED, &definition.name, &why))
            });
        let name = definition.name.clone();
        match &stored {
            Ok(()) => {
                crash::point("define: stored");
                let told = Happening::defined(definition);
                let entry = Entry::Defined(definition.clone().into());
                self.conclude_telling(&name, Some(entry), None, told);
                tracing::info!(device = name, uuid = %definition.uuid, "defined");
            }
            Err(_) => self.conclude(&name, None, Some(definition.mac)),
        }
        self.after(Action::Define, definition, stored.is_ok());
        stored.map(|()| told(Outcome::Defined, definition))
    }

    /// All that a creation would be checked for, apart from what must be free for it.
    pub(super) fn checked(
        &self,
        attempted: &'static str,
        definition: &Definition,
    ) -> Result<(), EngineError> {
        self.admitted_anew(attempted, definition)?;
        let on = |error: EngineError| error.on(attempted, &definition.name);
        self.backend.suits(definition).map_err(on)?;
        self.backend.takes(definition).map_err(on)?;
        Self::socket_is_someones(attempted, definition)
    }

    /// Looks up who may connect; may ask other hosts, so never under a lock.
    pub(in crate::engine) fn socket_is_someones(
        attempted: &'static str,
        definition: &Definition,
    ) -> Result<(), EngineError> {
        match Access::resolve(&definition.socket) {
            Ok(_) => Ok(()),
            Err(error) => {
                let name = &definition.name;
                Err(socket_error(name, &error)
                    .attempting(attempted)
                    .on(attempted, name))
            }
        }
    }
}

/// Why what was asked for is not what is defined, if it is not.
pub(super) fn another(
    attempted: &'static str,
    draft: &Draft,
    existing: &Definition,
) -> Option<EngineError> {
    let (attribute, is, asked) = draft.difference(existing)?;
    let name = &existing.name;
    let advice = if existing.life.transient {
        format!(
            "it is transient: keep it as it is first ('cvfctl define {name}'), or use another name"
        )
    } else {
        let instead = instead(name, &attribute.replace('_', "-"), &asked.to_string());
        format!("{instead}, or put it in its place ('cvfctl define --replace')")
    };
    Some(EngineError::Refused {
        attempted,
        name: name.clone(),
        kind: ErrorKind::AlreadyExists,
        why: format!(
            "it exists with {attribute} {is}, and {attribute} {asked} was asked for; {advice}"
        ),
    })
}

/// The answer about a definition that is not composed.
pub(super) fn told(result: Outcome, definition: &Definition) -> Created {
    let mut told = Created::of(result, definition);
    if matches!(result, Outcome::Defined | Outcome::WouldDefine) {
        told.notes.push(format!(
            "nothing of PF {} is reserved for it before 'cvfctl start {}'",
            definition.pf, definition.name
        ));
    }
    told
}

impl Names {
    /// Whether `mac` may be `name`'s.
    pub(in crate::engine) fn free_mac(
        &self,
        attempted: &'static str,
        name: &str,
        mac: libcvf::control::MacAddr,
    ) -> Result<(), EngineError> {
        let owner = self.macs.get(&mac).filter(|owner| **owner != name);
        owner.map_or(Ok(()), |other| {
            Err(EngineError::DuplicateMac {
                attempted,
                name: name.to_owned(),
                mac: mac.to_string(),
                other: other.clone(),
            })
        })
    }
}
