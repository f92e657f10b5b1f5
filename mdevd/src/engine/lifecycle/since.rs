//! Whether a definition is still what somebody has read.

use serde_json::{Map, Value};

use super::super::definition::Definition;
use super::super::error::{EngineError, ErrorKind, shown};
use super::document::between;
use crate::limits::MAX_DIFFERENCES;

/// Refuses to put something in the place of `existing` unless it is what `read` says: a definition as it was exported.
///
/// # Errors
/// `read` is none; another one is there, or none that is kept.
pub(super) fn unchanged(
    attempted: &'static str,
    read: &str,
    existing: &Definition,
) -> Result<(), EngineError> {
    let name = &existing.name;
    let refuse = |kind, why| EngineError::Refused {
        attempted,
        name: name.clone(),
        kind,
        why,
    };
    if existing.life.transient {
        let why = format!(
            "it is transient, so no definition of it is kept; keep it first ('cvfctl define {name}', with --start auto \
             if the daemon is to start it), or change what runs ('cvfctl set {name}')"
        );
        return Err(refuse(ErrorKind::NotReady, why));
    }
    let read: Map<String, Value> = serde_json::from_str(read).map_err(|error| {
        let why = format!("it is not a definition as 'Export' tells it, as JSON text: {error}");
        EngineError::invalid("instead_of", "", why).on(attempted, name)
    })?;
    let changes = between(&read, &existing.document());
    if changes.is_empty() {
        return Ok(());
    }
    let each = changes.iter().take(MAX_DIFFERENCES).map(|change| {
        let [attribute, from, to] =
            [&change.attribute, &change.from, &change.to].map(|text| shown(text));
        format!("{attribute} was {from} and is {to}")
    });
    let each: Vec<_> = each.collect();
    let others = match changes.len() - each.len() {
        0 => String::new(),
        others => format!(", and {others} more"),
    };
    let why = format!(
        "it was changed since it was read: {}{others}; look at it anew, and repeat",
        each.join(", ")
    );
    Err(refuse(ErrorKind::Busy, why))
}
