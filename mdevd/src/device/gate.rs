//! What decides about a guest's requests: the profile that its device has now.

use std::sync::Arc;

use libcvf::control::{ControlRequest, Denial, DeviceFacts, Gatekeeper};
use parking_lot::RwLock;
use policies::profile::Offence;
use policies::request::describe;
use policies::{Given, Profile, ProfileGatekeeper};

use super::conduct::{Conduct, What};
use crate::engine::Events;

/// A gatekeeper whose profile can be replaced while its device runs, and who keeps record of what its
/// guest does wrong.
pub(super) struct DeviceGate {
    current: RwLock<ProfileGatekeeper>,
    conduct: Conduct,
}

impl DeviceGate {
    /// Decides by `profile` and what the device was given beside it, and tells denials to `events`.
    pub(super) fn new(profile: &Arc<Profile>, given: Given, events: Events) -> Self {
        Self {
            current: RwLock::new(ProfileGatekeeper::of(profile, given)),
            conduct: Conduct::new(events),
        }
    }

    /// From the next request on.
    pub(super) fn replace(&self, profile: &Arc<Profile>, given: Given) {
        *self.current.write() = ProfileGatekeeper::of(profile, given);
    }

    /// The record of what its guest did.
    pub(super) const fn conduct(&self) -> &Conduct {
        &self.conduct
    }

    /// Its frames or rings were wrong that many times.
    pub(super) fn misbehaved(&self, offence: Offence, times: u64) {
        if times > 0 {
            self.offended(offence, times, What::of(offence));
        }
    }

    fn offended(&self, offence: Offence, times: u64, what: What<'_>) {
        let profile = self.profile();
        let reactions = &profile.reactions;
        self.conduct.offended(reactions, offence, times, what);
    }

    fn profile(&self) -> Arc<Profile> {
        self.current.read().profile().clone()
    }
}

impl Gatekeeper for DeviceGate {
    fn decide(&self, facts: &DeviceFacts, request: &ControlRequest) -> Result<(), Denial> {
        let current = self.current.read().clone();
        current.decide(facts, request)
    }

    fn asked(&self) -> Result<(), Denial> {
        let profile = self.profile();
        let rate = profile.rates.control_requests;
        if self.conduct.may_ask(rate) {
            return Ok(());
        }
        let (name, rate) = (&profile.name, rate.limit().unwrap_or_default());
        let denial = Denial {
            rule: "control-requests",
            reason: format!(
                "more requests than {rate} in a second (rule control-requests of profile '{name}'; to \
                 allow more, set rates.control-requests higher)"
            ),
        };
        let what = What::denied("any request", &denial);
        self.offended(Offence::ExcessRequest, 1, what);
        Err(denial)
    }

    fn denied(&self, request: &ControlRequest, denial: &Denial) {
        let request = describe(request);
        self.offended(Offence::DeniedRequest, 1, What::denied(&request, denial));
    }

    fn was_reset(&self) {
        let rate = self.profile().rates.resets_per_minute;
        if !self.conduct.may_reset(rate) {
            let what = What {
                request: "reset",
                rule: "resets-per-minute",
                message: "the device was reset more often than its profile allows (rates.resets-per-minute)",
            };
            self.offended(Offence::ExcessRequest, 1, what);
        }
    }

    fn features(&self) -> u64 {
        self.current.read().features()
    }
}
