//! What decides about a guest's requests: the profile that its device has now.

use std::sync::Arc;

use libcvf::control::{ControlRequest, Denial, DeviceFacts, Gatekeeper};
use parking_lot::RwLock;
use policies::profile::Offence;
use policies::{Profile, ProfileGatekeeper};

use super::conduct::Conduct;

/// A gatekeeper whose profile can be replaced while its device runs, and who keeps record of what its
/// guest does wrong.
pub(super) struct DeviceGate {
    current: RwLock<ProfileGatekeeper>,
    conduct: Conduct,
}

impl DeviceGate {
    pub(super) fn new(profile: Arc<Profile>) -> Self {
        Self {
            current: RwLock::new(ProfileGatekeeper::new(profile)),
            conduct: Conduct::default(),
        }
    }

    /// From the next request on.
    pub(super) fn replace(&self, profile: Arc<Profile>) {
        *self.current.write() = ProfileGatekeeper::new(profile);
    }

    /// The record of what its guest did.
    pub(super) const fn conduct(&self) -> &Conduct {
        &self.conduct
    }

    /// The guest did something wrong that many times.
    pub(super) fn offended(&self, offence: Offence, times: u64) {
        let profile = self.profile();
        self.conduct.offended(&profile.reactions, offence, times);
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
        self.offended(Offence::ExcessRequest, 1);
        let (name, rate) = (&profile.name, rate.limit().unwrap_or_default());
        Err(Denial {
            rule: "control-requests",
            reason: format!(
                "more requests than {rate} in a second (rule control-requests of profile '{name}'; to \
                 allow more, set rates.control-requests higher)"
            ),
        })
    }

    fn denied(&self, _: &ControlRequest, _: &Denial) {
        self.offended(Offence::DeniedRequest, 1);
    }

    fn was_reset(&self) {
        let rate = self.profile().rates.resets_per_minute;
        if !self.conduct.may_reset(rate) {
            self.offended(Offence::ExcessRequest, 1);
        }
    }

    fn features(&self) -> u64 {
        self.current.read().features()
    }
}
