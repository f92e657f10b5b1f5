//! How profiles are shown.

use serde::{Deserialize, Serialize};

use super::Known;

/// One line of a list of profiles.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProfileSummary {
    /// Its name.
    pub name: String,
    /// What it is for, in its own words.
    #[serde(default)]
    pub description: String,
    /// `shipped`, or its file.
    #[serde(default)]
    pub source: String,
    /// True for the profile of devices that do not name one.
    #[serde(default)]
    pub default: bool,
    /// Devices that have it.
    #[serde(default)]
    pub devices: u64,
    /// Why what is in its file now is not in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
}

/// A profile with its text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProfileDetail {
    /// The same as in a list.
    #[serde(flatten)]
    pub summary: ProfileSummary,
    /// Its text as it is in force, comments included.
    pub text: String,
    /// The same with every key and without comments.
    pub whole: String,
}

/// What a reload did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Reloaded {
    /// Profiles that say something else now.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changed: Vec<String>,
    /// Profiles that were not there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub added: Vec<String>,
    /// Profiles that are gone.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub removed: Vec<String>,
    /// Profiles whose files are gone, and which stay in force because devices have them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub kept: Vec<String>,
    /// What was refused, with file, line and reason; the old ones stay in force.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<String>,
    /// Running devices that a changed profile was applied to.
    pub devices: u64,
    /// What devices lost by it, or do not keep: a sentence each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

impl ProfileSummary {
    /// Of a profile that can be used.
    pub(crate) fn of(name: &str, known: &Known) -> Self {
        Self {
            name: name.to_owned(),
            description: known.profile.description.clone(),
            source: known.source.to_string(),
            fault: known.fault.clone(),
            ..Self::default()
        }
    }

    /// Of a name whose file is no profile.
    pub(crate) fn broken(name: &str, fault: String) -> Self {
        Self {
            name: name.to_owned(),
            fault: Some(fault),
            ..Self::default()
        }
    }
}
