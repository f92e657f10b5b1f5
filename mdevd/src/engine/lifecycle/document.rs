//! A definition as the options that make it: what `export` prints, `edit` shows, and callouts read.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::super::attributes::VlanProtocol;
use super::super::definition::{DataPath, Definition, Word};
use super::super::error::EngineError;
use super::super::overrides::Overrides;
use super::super::request::CreateRequest;
use super::super::set::Change;
use super::super::wanted::other_kind;
use crate::nearest;

/// Options of a creation that are none of a definition.
const NOT_DEFINED: [&str; 2] = ["dry_run", "persistent"];

impl Definition {
    /// The options of `define` that make it again, on this host or another. Nothing in it depends on whether it
    /// runs.
    pub fn document(&self) -> Map<String, Value> {
        let mut all = match serde_json::to_value(self) {
            Ok(Value::Object(all)) => all,
            // It is a struct of texts and numbers.
            _ => Map::new(),
        };
        for key in [
            "uuid",
            "sequence",
            "life",
            "socket",
            "vlan_tag",
            "overrides",
        ] {
            all.remove(key);
        }
        for parts in ["rates", "share", "tuning"] {
            if let Some(Value::Object(mut parts)) = all.remove(parts) {
                // How many of its pairs may be used is set while it is there; what makes it is the slice.
                parts.remove("queue_pairs");
                all.extend(parts);
            }
        }
        let mut say = |key: &str, value: Value| all.insert(key.to_owned(), value);
        say("link", self.link.word().into());
        if let Some(qos) = self.vlan_tag.qos {
            say("vlan_qos", qos.into());
        }
        if self.vlan_tag.protocol != VlanProtocol::default() {
            say("vlan_protocol", self.vlan_tag.protocol.word().into());
        }
        for ((key, [yes, no]), decided) in Overrides::KEYS.into_iter().zip(self.overrides.all()) {
            if let Some(decided) = decided {
                say(key, if decided { yes } else { no }.into());
            }
        }
        if let Some(owner) = &self.socket.owner {
            say("socket_owner", owner.as_str().into());
        }
        if let Some(group) = &self.socket.group {
            say("socket_group", group.as_str().into());
        }
        say("socket_mode", format!("{:04o}", self.socket.mode).into());
        if !self.life.transient {
            say("start", self.life.start.word().into());
            if self.life.order != 0 {
                say("order", self.life.order.into());
            }
        }
        all
    }
}

/// Reads a definition's document.
///
/// # Errors
/// [`EngineError::InvalidArgument`]: a key that is none, or a value that cannot be.
pub(in crate::engine) fn read(document: &Map<String, Value>) -> Result<CreateRequest, EngineError> {
    let known: Vec<_> = CreateRequest::KEYS
        .into_iter()
        .filter(|key| !NOT_DEFINED.contains(key))
        .collect();
    for (key, value) in document {
        if !known.contains(&key.as_str()) {
            let hint = nearest::hint(key, known.iter().copied());
            let why = format!("there is no such attribute{hint}");
            return Err(EngineError::invalid("attribute", key, why));
        }
        let one = Value::Object([(key.clone(), value.clone())].into_iter().collect());
        if let Err(error) = serde_json::from_value::<CreateRequest>(one) {
            return Err(other_kind(key, value, &error));
        }
    }
    let all = Value::Object(document.clone());
    serde_json::from_value(all).map_err(|error| EngineError::invalid("definition", "", error))
}

/// What is different in `to`, attribute by attribute.
pub(super) fn differences(from: &Definition, to: &Definition) -> Vec<Change> {
    between(&from.document(), &to.document())
}

/// The same of their documents.
pub(super) fn between(from: &Map<String, Value>, to: &Map<String, Value>) -> Vec<Change> {
    let keys: BTreeSet<_> = from.keys().chain(to.keys()).collect();
    let told = |key: &str, value: Option<&Value>| match value {
        // What a document need not say.
        None if key == "order" => "0".to_owned(),
        None if key == "data_path" => DataPath::default().word().to_owned(),
        None => "none".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    let changes = keys.into_iter().map(|key| Change {
        attribute: key.replace('_', "-"),
        from: told(key, from.get(key)),
        to: told(key, to.get(key)),
    });
    changes.filter(|change| change.from != change.to).collect()
}

#[cfg(test)]
mod tests;
