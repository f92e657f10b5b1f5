//! Gatekeepers: what decides about a guest's requests.

use std::sync::Arc;

use libcvf::control::{ControlRequest, Denial, DeviceFacts, Gatekeeper};

use crate::profile::Profile;
use crate::rules::{self, BuiltIn, Finding, OfProfile};

/// Refuses what cannot be right for any device; allows everything else.
#[derive(Clone, Copy, Debug, Default)]
pub struct DefaultGatekeeper;

impl Gatekeeper for DefaultGatekeeper {
    fn decide(&self, facts: &DeviceFacts, request: &ControlRequest) -> Result<(), Denial> {
        let refuses = |rule: &BuiltIn| match (rule.look)(facts, request) {
            Some(Finding::Refuses(reason)) => Some(Denial {
                rule: rule.name,
                reason,
            }),
            _ => None,
        };
        let rules = rules::about(request).built_in;
        rules.iter().find_map(refuses).map_or(Ok(()), Err)
    }
}

/// Refuses what [`DefaultGatekeeper`] refuses, and then what a profile does.
#[derive(Clone, Debug)]
pub struct ProfileGatekeeper {
    profile: Arc<Profile>,
}

impl ProfileGatekeeper {
    /// Decides by this profile.
    pub const fn new(profile: Arc<Profile>) -> Self {
        Self { profile }
    }

    /// The profile.
    pub const fn profile(&self) -> &Arc<Profile> {
        &self.profile
    }
}

impl Gatekeeper for ProfileGatekeeper {
    fn decide(&self, facts: &DeviceFacts, request: &ControlRequest) -> Result<(), Denial> {
        DefaultGatekeeper
            .decide(facts, request)
            .map_err(|denial| Denial {
                reason: whatever(&denial.reason, denial.rule),
                ..denial
            })?;
        let refuses = |rule: &OfProfile| match (rule.look)(&self.profile, facts, request) {
            Some(Finding::Refuses(why)) => Some(Denial {
                rule: rule.name,
                reason: sentence(&why, &self.profile, rule),
            }),
            _ => None,
        };
        let rules = rules::about(request).of_profile;
        rules.iter().find_map(refuses).map_or(Ok(()), Err)
    }

    fn features(&self) -> u64 {
        self.profile.feature_mask()
    }
}

/// A refusal that no profile can lift.
pub(crate) fn whatever(why: &str, rule: &str) -> String {
    format!("{why} (rule {rule}, which holds for every profile)")
}

/// A refusal of a profile's rule, with what to change.
pub(crate) fn sentence(why: &str, profile: &Profile, rule: &OfProfile) -> String {
    let (
        name,
        OfProfile {
            name: rule,
            key,
            cure,
            ..
        },
    ) = (&profile.name, rule);
    format!("{why} (rule {rule} of profile '{name}'; to allow it, set {key} to {cure})")
}

#[cfg(test)]
mod tests;
