//! One definition as bytes: JSON with a version, upgraded step by step when read.

use serde_json::{Value, json};

use crate::engine::Definition;

/// Why a record cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Not a record at all.
    #[error("its stored record is damaged ({0}); destroy it and create it again")]
    Damaged(String),
    /// Written by a later version of the daemon.
    #[error(
        "its stored record has version {found}, and this daemon knows versions up to {known}; run \
         the daemon that wrote it, or destroy and create it again"
    )]
    TooNew {
        /// The record's version.
        found: u64,
        /// Ours.
        known: u64,
    },
}

/// A step from one version of the definition to the next.
pub(super) type Step = fn(Value) -> Result<Value, RecordError>;

/// `STEPS[n]` turns version `n + 1` into version `n + 2`. A new version of [`Definition`] adds one, and
/// `tests/records-v*.jsonl` with what it writes; a field that is only added has a step that changes nothing, or
/// says what older devices were like. A daemon before it refuses such records instead of forgetting the field.
const STEPS: &[Step] = &[profiles, as_it_was, as_it_was];

/// Devices of before there were profiles go on with what they were allowed then.
fn profiles(mut definition: Value) -> Result<Value, RecordError> {
    let fields = definition
        .as_object_mut()
        .ok_or_else(|| RecordError::Damaged("no definition".to_owned()))?;
    fields
        .entry("profile")
        .or_insert_with(|| Value::from("lab"));
    Ok(definition)
}

/// Fields that are only added: an older device is what their defaults say.
fn as_it_was(definition: Value) -> Result<Value, RecordError> {
    Ok(definition)
}

/// The definition as a record of the current version.
pub fn encode(definition: &Definition) -> Vec<u8> {
    json!({ "version": STEPS.len() + 1, "definition": definition })
        .to_string()
        .into_bytes()
}

/// Reads a record of this or any earlier version.
///
/// # Errors
/// [`RecordError`].
pub fn decode(bytes: &[u8]) -> Result<Definition, RecordError> {
    let value = upgrade(bytes, STEPS)?;
    serde_json::from_value(value).map_err(|error| RecordError::Damaged(error.to_string()))
}

/// The definition in a record, brought to the version after the last step.
pub(super) fn upgrade(bytes: &[u8], steps: &[Step]) -> Result<Value, RecordError> {
    let damaged = |why: &str| RecordError::Damaged(why.to_owned());
    let mut record: Value =
        serde_json::from_slice(bytes).map_err(|error| RecordError::Damaged(error.to_string()))?;
    let version = record
        .get("version")
        .and_then(Value::as_u64)
        .ok_or_else(|| damaged("no version"))?;
    let definition = record
        .get_mut("definition")
        .map(Value::take)
        .ok_or_else(|| damaged("no definition"))?;
    let known = steps.len() as u64 + 1;
    let too_new = RecordError::TooNew {
        found: version,
        known,
    };
    let done = match usize::try_from(version) {
        Ok(0) => return Err(damaged("version 0")),
        Ok(version) => version - 1,
        Err(_) => return Err(too_new),
    };
    let pending = steps.get(done..).ok_or(too_new)?;
    pending
        .iter()
        .try_fold(definition, |value, step| step(value))
}
