//! Gatekeepers: what decides about a guest's requests.

use std::sync::Arc;

use libcvf::control::{ControlRequest, Denial, DeviceFacts, Gatekeeper};

use crate::given::{self, Given};
use crate::profile::Profile;
use crate::rule;
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
    /// With what the device was given.
    profile: Arc<Profile>,
    /// As it is for others, where that is another.
    plain: Arc<Profile>,
    given: Given,
}

impl ProfileGatekeeper {
    /// Decides by this profile.
    pub fn new(profile: Arc<Profile>) -> Self {
        Self {
            plain: profile.clone(),
            profile,
            given: Given::default(),
        }
    }

    /// Decides by this profile and what a device was given beside it.
    pub fn of(profile: &Arc<Profile>, given: Given) -> Self {
        let plain = profile.clone();
        let profile = match given == Given::default() {
            true => plain.clone(),
            false => Arc::new(given.over(profile)),
        };
        Self {
            profile,
            plain,
            given,
        }
    }

    /// The profile as it is in force for the device.
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
        if let Some(Finding::Refuses(why)) = self.given.look(request) {
            return Err(Denial {
                rule: rule::VLAN_TRUNK,
                reason: whatever(&why, rule::VLAN_TRUNK),
            });
        }
        let refuses = |rule: &OfProfile| match (rule.look)(&self.profile, facts, request) {
            Some(Finding::Refuses(why)) => Some(Denial {
                rule: rule.name,
                reason: sentence(&why, &self.plain, &self.given, rule),
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

/// A refusal of a profile's rule, or of what a device was given in its place, with what to change.
pub(crate) fn sentence(why: &str, profile: &Profile, given: &Given, rule: &OfProfile) -> String {
    if let Some(attribute) = given.decider(profile, rule.key) {
        let (name, cure) = (rule.name, given::cure(attribute));
        return format!(
            "{why} (rule {name}; the operator gave this device {attribute}; to allow it, set {cure})"
        );
    }
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
