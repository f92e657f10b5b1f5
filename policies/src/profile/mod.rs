//! Profiles: what an operator lets devices be and their guests do.

mod check;
mod error;
mod features;
pub mod keys;
mod membership;
mod parse;
mod react;
mod sections;
mod values;
mod words;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use error::{Fault, ProfileError};
pub use parse::check_name;
pub use react::{Offence, Reaction};
pub use sections::{Permissions, Rates, Reactions, ShapeLimits, SpoofChecks};
pub use values::{Feature, MacPattern, Network, Rate, VlanRange};
pub use words::{
    AccessVlan, Format, FrameReaction, Listening, MacPermission, Neighbour, Permission,
    RequestReaction, RingReaction, SourceMac, SourceVlan, VlanPermission,
};

/// A named policy. What its text leaves out is as strict as makes sense.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Profile {
    /// Its name: not part of the text, but that of the file.
    #[serde(skip)]
    pub name: String,
    /// A sentence for people who choose one.
    pub description: String,
    /// What a device may be made of.
    pub shape: ShapeLimits,
    /// What its guest may ask for.
    pub control: Permissions,
    /// What frames of the guest may claim.
    pub spoof: SpoofChecks,
    /// How much it may send, receive and ask.
    pub rates: Rates,
    /// What follows from misbehaviour.
    pub reactions: Reactions,
}

impl Profile {
    /// Its text, every key written out, without comments.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).unwrap_or_default()
    }
}

impl fmt::Display for Profile {
    /// Writes [`Profile::to_toml`].
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_toml())
    }
}

#[cfg(test)]
mod tests;
