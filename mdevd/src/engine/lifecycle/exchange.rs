//! `export` and `import`: definitions as one document, to keep and to bring to another host.

use std::ops::Bound;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::super::catalog::Catalog;
use super::super::entry::Entry;
use super::super::error::{EngineError, ErrorKind, shown};
use crate::limits::{MAX_IMPORT, MAX_IMPORTED, MAX_PAGE};
use crate::nearest;
use crate::unique::Unique;

/// What a document calls itself.
pub const FORMAT: &str = "mdevd-definitions";
/// Its keys.
const KEYS: [&str; 3] = ["format", "version", "definitions"];
/// Its version.
pub const VERSION: u64 = 1;

/// A page of definitions, in the order of names, each as the options that make it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Exported {
    /// The definitions.
    pub definitions: Vec<Map<String, Value>>,
    /// Name to pass as `after` for the next page; empty: this was the last.
    pub next: String,
}

/// A document, taken apart as far as its frame goes.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Document {
    format: String,
    version: u64,
    pub(super) definitions: Vec<Map<String, Value>>,
}

impl Catalog {
    /// Up to `limit` definitions with names after `after`: of `names`, or of everything persistent.
    pub(in crate::engine) fn exported(
        &self,
        names: &[String],
        after: &str,
        limit: usize,
    ) -> Result<Exported, EngineError> {
        if names.len() > MAX_PAGE {
            let why = format!("{MAX_PAGE} names can be given at once; ask for them in parts");
            return Err(EngineError::invalid("names", names.len(), why).to("export definitions"));
        }
        if !names.is_empty() {
            let each = names.iter().map(|name| self.document_of(name));
            return Ok(Exported {
                definitions: each.collect::<Result<_, _>>()?,
                next: String::new(),
            });
        }
        let after = match after {
            "" => Bound::Unbounded,
            after => Bound::Excluded(after),
        };
        let limit = limit.clamp(1, MAX_PAGE);
        let names = self.names.lock();
        let range = names.entries.range::<str, _>((after, Bound::Unbounded));
        let kept = range.filter_map(|(name, entry)| {
            let definition = entry.kept()?;
            (!definition.life.transient).then(|| (name.clone(), definition.document()))
        });
        let mut page: Vec<_> = kept.take(limit + 1).collect();
        let more = page.len() > limit;
        page.truncate(limit);
        let next = page.last().filter(|_| more);
        let next = next.map_or_else(String::new, |(name, _)| name.clone());
        let definitions = page.into_iter().map(|(_, document)| document).collect();
        Ok(Exported { definitions, next })
    }

    fn document_of(&self, name: &str) -> Result<Map<String, Value>, EngineError> {
        let names = match self.settle(self.names.lock(), name, "export") {
            Ok(names) => names,
            // Somebody takes long to change it: it is as it is until then.
            Err(error @ EngineError::Changing { .. }) => {
                let names = self.names.lock();
                match names.entries.get(name).and_then(Entry::kept) {
                    Some(_) => names,
                    None => return Err(error),
                }
            }
            Err(error) => return Err(error),
        };
        let Some(entry) = names.entries.get(name) else {
            return Err(names.no_device(name).on("export", name));
        };
        let document = entry.definition().map(super::super::Definition::document);
        document.ok_or_else(|| super::super::catalog::unreadable_for("export", name))
    }
}

/// Takes a document apart.
///
/// # Errors
/// [`EngineError::InvalidArgument`]: it is none, or too large.
pub(super) fn parse(text: &str) -> Result<Document, EngineError> {
    let refuse = |why: String| EngineError::Daemon {
        attempted: "import the document",
        kind: ErrorKind::InvalidArgument,
        why,
    };
    if text.len() > MAX_IMPORT {
        let why = format!(
            "it has {} bytes, and {MAX_IMPORT} can be taken at once; import it in parts",
            text.len()
        );
        return Err(refuse(why));
    }
    let frame = "an object with format, version and definitions, as 'cvfctl export' prints";
    let no_frame = |error: serde_json::Error| refuse(format!("it is not {frame}: {error}"));
    let Unique(read) = serde_json::from_str(text).map_err(no_frame)?;
    let mut keys = read.as_object().into_iter().flat_map(Map::keys);
    if let Some(key) = keys.find(|key| !KEYS.contains(&key.as_str())) {
        let hint = nearest::hint(key, KEYS);
        let stop = if hint.is_empty() { ";" } else { "" };
        return Err(refuse(format!(
            "it has '{}', which is no key of such a document{hint}{stop} take it out (it is {frame})",
            shown(key)
        )));
    }
    let document: Document = serde_json::from_value(read).map_err(no_frame)?;
    if document.format != FORMAT {
        let found = shown(&document.format);
        let why = format!("it is a '{found}', and not {frame}");
        return Err(refuse(why));
    }
    if document.version != VERSION {
        return Err(refuse(format!(
            "it has version {}, and this daemon reads version {VERSION}",
            document.version
        )));
    }
    if document.definitions.len() > MAX_IMPORTED {
        return Err(refuse(format!(
            "it has {} definitions, and {MAX_IMPORTED} can be taken at once; import it in parts",
            document.definitions.len()
        )));
    }
    Ok(document)
}
