//! `import`: every definition of a document is checked, and then all of them are stored, or none.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::super::catalog::{Catalog, Names, store_failed, unreadable_for};
use super::super::definition::Definition;
use super::super::entry::Entry;
use super::super::error::{EngineError, ErrorKind};
use super::super::events::Happening;
use super::super::jobs;
use super::super::request::Draft;
use super::define::another;
use super::document::read;
use super::exchange::parse;
use super::hooks::Action;
use crate::crash;

const ATTEMPTED: &str = "import";

/// How to import.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ImportOptions {
    /// Only tell what would be stored.
    pub dry_run: bool,
    /// Start what is defined afterwards, in the order that the definitions say.
    pub start: bool,
}

/// What became of one definition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ImportOutcome {
    /// It is defined now.
    Defined,
    /// It would be.
    WouldDefine,
    /// It was, so.
    Already,
    /// It cannot be.
    Refused,
    /// It could be, and is not because of another one.
    NotDone,
}

/// The same with its name and reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportedDevice {
    /// Device; empty where the definition has no name.
    pub name: String,
    /// What became of it.
    pub result: ImportOutcome,
    /// Whether it was started.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub started: bool,
    /// Why it was refused, or not started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Answer to `import`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Imported {
    /// Every definition could be stored; where it is no dry run, all of them are.
    pub ok: bool,
    /// Only told.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
    /// In the order of the document.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<ImportedDevice>,
}

/// One definition on its way.
enum Piece {
    /// New; its name and address are reserved unless it is a dry run.
    New(Box<Definition>),
    Already(String),
    Refused(String, EngineError),
}

impl Piece {
    fn refuse(&mut self, error: EngineError) {
        let name = match self {
            Self::New(definition) => definition.name.clone(),
            Self::Already(name) | Self::Refused(name, _) => name.clone(),
        };
        *self = Self::Refused(name, error);
    }
}

impl Catalog {
    /// [`super::super::Engine::import`].
    pub(in crate::engine) fn import_all(
        &self,
        text: &str,
        options: ImportOptions,
    ) -> Result<Imported, EngineError> {
        let document = parse(text)?;
        let mut pieces = self.laid_out(&document.definitions, options.dry_run)?;
        let rounds = 1 + u64::from(!options.dry_run) + u64::from(options.start && !options.dry_run);
        jobs::long(pieces.len() as u64 * rounds);
        let door = jobs::waits();
        for piece in &mut pieces {
            jobs::advance(1);
            let Piece::New(definition) = piece else {
                continue;
            };
            let checked = match jobs::cut_short() {
                Some(cut) => Err(cut.on(ATTEMPTED, &definition.name)),
                None => self.checked(ATTEMPTED, definition),
            };
            let ask = checked.is_ok() && !options.dry_run;
            let asked = checked.and_then(|()| match ask {
                true => self.before(Action::Define, definition),
                false => Ok(()),
            });
            let Err(error) = asked else {
                continue;
            };
            if !options.dry_run {
                self.conclude(&definition.name, None, Some(definition.mac));
            }
            // Those that accepted it are told that it came to nothing.
            if ask {
                self.after(Action::Define, definition, false);
            }
            piece.refuse(error.attempting(ATTEMPTED));
        }
        if let Err(cut) = door.shut() {
            if !options.dry_run {
                self.settle_import(&pieces, false)?;
            }
            return Err(EngineError::Daemon {
                attempted: ATTEMPTED,
                kind: cut.kind(),
                why: format!("{}; nothing of it was stored", cut.words()),
            });
        }
        let ok = !pieces
            .iter()
            .any(|piece| matches!(piece, Piece::Refused(..)));
        crash::point("import: checked");
        if !options.dry_run {
            self.settle_import(&pieces, ok)?;
        }
        let mut devices: Vec<_> = pieces
            .iter()
            .map(|piece| told(piece, ok, options.dry_run))
            .collect();
        let mut kind = pieces.iter().find_map(|piece| match piece {
            Piece::Refused(_, error) => Some(error.kind()),
            _ => None,
        });
        if ok && options.start && !options.dry_run {
            kind = self.start_imported(&mut devices);
        }
        if let Some(kind) = kind {
            jobs::fall_short(&shortfall(kind, &devices));
        }
        Ok(Imported {
            ok,
            dry_run: options.dry_run,
            devices,
        })
    }

    /// Each by itself and against the others: names and addresses are reserved in one go.
    fn laid_out(
        &self,
        documents: &[Map<String, Value>],
        dry_run: bool,
    ) -> Result<Vec<Piece>, EngineError> {
        let drafts: Vec<_> = documents
            .iter()
            .enumerate()
            .map(|(n, document)| {
                let name = document.get("name").and_then(Value::as_str).unwrap_or("");
                let draft = read(document).and_then(super::super::CreateRequest::check);
                let draft = draft.and_then(|draft| match draft.name {
                    Some(_) => Ok(draft),
                    None => {
                        let why = "a definition that is imported has a name; give it one";
                        Err(EngineError::invalid("name", "", why))
                    }
                });
                let nth = format!("definition {}", n + 1);
                let on = if name.is_empty() { &nth } else { name };
                let draft = draft.map_err(|error| error.on(ATTEMPTED, on));
                (super::super::error::shown(name), draft)
            })
            .collect();
        let mut names = self.names.lock();
        if names.stopping {
            let name = String::new();
            return Err(EngineError::Stopping {
                attempted: ATTEMPTED,
                name,
            });
        }
        let (mut seen, mut macs) = (HashSet::new(), HashSet::new());
        let each = drafts.into_iter().map(|(name, draft)| {
            let piece = draft.and_then(|draft| {
                let mut draft = draft.whole();
                draft.dry_run = dry_run;
                if !seen.insert(name.clone()) {
                    let why = "the document defines it twice";
                    return Err(EngineError::invalid("name", &name, why).on(ATTEMPTED, &name));
                }
                let piece = self.lay_out(&mut names, &name, &draft);
                let piece =
                    piece.map_err(|error| error.attempting(ATTEMPTED).on(ATTEMPTED, &name))?;
                if let Piece::New(definition) = &piece
                    && !macs.insert(definition.mac)
                {
                    let why = "the document gives this address twice";
                    let error = EngineError::invalid("mac", definition.mac, why);
                    return Err(error.on(ATTEMPTED, &name));
                }
                Ok(piece)
            });
            piece.unwrap_or_else(|error| Piece::Refused(name, error))
        });
        Ok(each.collect())
    }

    fn lay_out(&self, names: &mut Names, name: &str, draft: &Draft) -> Result<Piece, EngineError> {
        let Some(entry) = names.entries.get(name) else {
            let life = draft.life.of_defined();
            let definition = self.reserve(names, name.to_owned(), draft, life, "importing")?;
            return Ok(Piece::New(definition.into()));
        };
        if let Entry::Changing(changing) = entry {
            return Err(EngineError::Changing {
                attempted: ATTEMPTED,
                name: name.to_owned(),
                doing: changing.doing,
            });
        }
        let existing = entry.definition();
        let existing = existing.ok_or_else(|| unreadable_for(ATTEMPTED, name))?;
        if let Some(refusal) = another(ATTEMPTED, draft, existing) {
            return Err(refusal);
        }
        if existing.life.transient {
            return Err(EngineError::Refused {
                attempted: ATTEMPTED,
                name: name.to_owned(),
                kind: ErrorKind::AlreadyExists,
                why: format!(
                    "it runs as a transient device; keep it first ('cvfctl define {name}'), or stop it"
                ),
            });
        }
        Ok(Piece::Already(name.to_owned()))
    }

    /// Stores all that is new, or gives back what was reserved for it.
    fn settle_import(&self, pieces: &[Piece], ok: bool) -> Result<(), EngineError> {
        let new: Vec<_> = pieces
            .iter()
            .filter_map(|piece| match piece {
                Piece::New(definition) => Some(definition),
                _ => None,
            })
            .collect();
        let mut failed = None;
        let mut stored = Vec::new();
        for definition in &new {
            if !ok || failed.is_some() {
                break;
            }
            match self.store.put(definition) {
                Ok(()) => stored.push(definition),
                Err(why) => failed = Some(store_failed(ATTEMPTED, &definition.name, &why)),
            }
            crash::point("import: stored one");
        }
        let done = ok && failed.is_none();
        jobs::advance(pieces.len().saturating_sub(new.len()) as u64);
        if !done {
            for definition in stored {
                if let Err(why) = self.store.remove(&definition.name) {
                    let device = &definition.name;
                    tracing::error!(device, uuid = %definition.uuid, "a refused definition stays stored: {why}");
                }
            }
        }
        for definition in new {
            let name = &definition.name;
            if done {
                let told = Happening::defined(definition);
                let entry = Entry::Defined(definition.as_ref().clone().into());
                self.conclude_telling(name, Some(entry), None, told);
                tracing::info!(device = name, uuid = %definition.uuid, "defined by an import");
            } else {
                self.conclude(name, None, Some(definition.mac));
            }
            self.after(Action::Define, definition, done);
            jobs::advance(1);
        }
        failed.map_or(Ok(()), Err)
    }

    /// The kind of the first refusal, if there was one.
    fn start_imported(&self, devices: &mut [ImportedDevice]) -> Option<ErrorKind> {
        let order = |device: &ImportedDevice| {
            let entry = self.entry(&device.name).ok();
            let definition = entry.as_ref().and_then(Entry::definition);
            definition.map(|definition| (definition.life.order, definition.sequence))
        };
        let mut each: Vec<_> = devices.iter_mut().collect();
        each.sort_by_key(|device| order(device));
        let last = each.len().saturating_sub(1);
        let mut refused = None;
        let mut door = Some(jobs::waits());
        for (n, device) in each.into_iter().enumerate() {
            // Behind the last one there is nothing left to be cut short.
            let door = if n == last { door.take() } else { None };
            let cut = door.map_or_else(|| jobs::cut_short().map_or(Ok(()), Err), jobs::Door::shut);
            let started = match cut {
                Err(cut) => Err(cut.on("start", &device.name)),
                Ok(()) => {
                    let started = self.start_device(&device.name);
                    jobs::advance(1);
                    started
                }
            };
            match started {
                Ok(_) => device.started = true,
                Err(error) => {
                    refused = refused.or(Some(error.kind()));
                    device.reason = Some(error.to_string());
                }
            }
        }
        refused
    }
}

/// What a look at the list of jobs is to tell of definitions that were refused, or not started.
fn shortfall(kind: ErrorKind, devices: &[ImportedDevice]) -> EngineError {
    let all = devices.len();
    let count =
        |which: fn(&ImportedDevice) -> bool| devices.iter().filter(|one| which(one)).count();
    let what = match count(|device| device.result == ImportOutcome::Refused) {
        0 => {
            let left = count(|device| device.reason.is_some());
            format!("{left} of {all} definitions were stored and not started")
        }
        refused => format!("{refused} of {all} definitions were refused, and none was stored"),
    };
    EngineError::Daemon {
        attempted: ATTEMPTED,
        kind,
        why: format!("{what}; its result tells which, and why ('cvfctl jobs --result')"),
    }
}

fn told(piece: &Piece, ok: bool, dry_run: bool) -> ImportedDevice {
    let (name, result, reason) = match piece {
        Piece::New(definition) => {
            let result = match (ok, dry_run) {
                (false, _) => ImportOutcome::NotDone,
                (true, true) => ImportOutcome::WouldDefine,
                (true, false) => ImportOutcome::Defined,
            };
            (&definition.name, result, None)
        }
        Piece::Already(name) => (name, ImportOutcome::Already, None),
        Piece::Refused(name, error) => (name, ImportOutcome::Refused, Some(error.to_string())),
    };
    ImportedDevice {
        name: name.clone(),
        result,
        started: false,
        reason,
    }
}
