//! What the operator changes while a device lives.

use super::device::Assigned;
use super::policy::PolicyError;
use super::whole::Cvf;
use crate::control::{Denial, MacAddr};
use crate::limits::{MAX_MTU, MAX_VLAN, MIN_MTU};
use crate::offload::{PackedMac, TagStyle};
use crate::personality::Given;
use crate::switch::{SwitchError, Vid};

/// Why a device stays as it was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// Not an address a device can have.
    #[error("{0} cannot be a device's address: give a unicast address other than zero")]
    Mac(MacAddr),
    /// Out of range.
    #[error("MTU {0} refused: give {MIN_MTU} to {MAX_MTU}")]
    Mtu(u16),
    /// More than the PF's buffers hold.
    #[error("MTU {asked} refused: PF {pf} can have {most} at most")]
    MostMtu {
        /// The PF.
        pf: String,
        /// Asked for.
        asked: u16,
        /// What it can have.
        most: u16,
    },
    /// Out of range.
    #[error("VLAN {0} refused: give 1 to {MAX_VLAN}")]
    Vlan(u16),
    /// The switch refuses: an address is taken.
    #[error("{0}")]
    Switch(#[from] SwitchError),
    /// A policy that cannot be.
    #[error("{0}")]
    Policy(#[from] PolicyError),
}

impl Cvf {
    /// Gives the device another address. Its guest's driver reads it when it starts, or when it looks
    /// again after being told; until then what it sends has the old one. An address that the guest had
    /// taken itself stays.
    ///
    /// # Errors
    /// [`ChangeError`]; nothing has changed.
    pub fn set_mac(&self, mac: MacAddr) -> Result<bool, ChangeError> {
        if !mac.is_unicast_nonzero() {
            return Err(ChangeError::Mac(mac));
        }
        let device = &self.device;
        {
            let mut wishes = device.wishes.lock();
            let mut assigned = device.assigned.lock();
            if assigned.mac == mac {
                return Ok(false);
            }
            let mut next = wishes.clone();
            if next.mac == assigned.mac {
                next.mac = mac;
            }
            let own = PackedMac::new(mac.0);
            let switch = device.fabric().switch();
            switch.set_station(device.port.id(), own, next.filter())?;
            *wishes = next;
            assigned.mac = mac;
        }
        device.retune();
        self.give();
        Ok(true)
    }

    /// Gives the device another MTU, which counts from its driver's next reset on.
    ///
    /// # Errors
    /// [`ChangeError::Mtu`], [`ChangeError::MostMtu`].
    pub fn set_mtu(&self, mtu: u16) -> Result<bool, ChangeError> {
        if !(MIN_MTU..=MAX_MTU).contains(&mtu) {
            return Err(ChangeError::Mtu(mtu));
        }
        let pf = &self.device.pf;
        if let Some(most) = pf.capabilities().most_mtu.filter(|most| *most < mtu) {
            return Err(ChangeError::MostMtu {
                pf: pf.name().to_owned(),
                asked: mtu,
                most,
            });
        }
        if std::mem::replace(&mut self.device.assigned.lock().mtu, mtu) == mtu {
            return Ok(false);
        }
        self.give();
        Ok(true)
    }

    /// Moves the device into another access VLAN, or out of any, from the next burst on. Its frames leave
    /// that VLAN with such tags.
    ///
    /// # Errors
    /// [`ChangeError`]; nothing has changed.
    pub fn set_vlan(&self, vlan: Option<u16>, tag: TagStyle) -> Result<bool, ChangeError> {
        if let Some(vlan) = vlan.filter(|vlan| !(1..=MAX_VLAN).contains(vlan)) {
            return Err(ChangeError::Vlan(vlan));
        }
        let device = &self.device;
        let mut assigned = device.assigned.lock();
        if (assigned.vlan, assigned.vlan_tag) == (vlan, tag) {
            return Ok(false);
        }
        let switch = device.fabric().switch();
        switch.set_access_vlan(device.port.id(), vlan.map(Vid), tag)?;
        assigned.vlan = vlan;
        assigned.vlan_tag = tag;
        drop(assigned);
        device.retune();
        Ok(true)
    }

    /// Takes up what its gatekeeper says now: features for the driver's next start, and what the guest
    /// was allowed before and is no longer, which is taken back and told.
    pub fn reconsider(&self) -> Vec<Denial> {
        self.give();
        let denials = self.device.reconsider();
        if !denials.is_empty() {
            let mac = self.device.wishes.lock().mac;
            self.act(|personality, host| personality.ask_anew(host, mac));
        }
        denials
    }

    /// Stops the device until its driver resets it, with a reason for the operator.
    pub fn stop(&self, reason: String) {
        self.device.port.stop(reason);
        if let Some(direct) = self.device.hardware() {
            // It would go on for a driver that does not care.
            direct.end();
        }
    }

    /// MTU as given now, and as its driver sees it.
    pub fn mtu(&self) -> (u16, u16) {
        let Assigned { mtu, .. } = *self.device.assigned.lock();
        (mtu, self.status().mtu)
    }

    fn give(&self) {
        let Assigned { mac, mtu, .. } = *self.device.assigned.lock();
        let have = self.device.spec.queue_pairs;
        let (pairs, masked) = {
            let policy = self.device.policy.lock();
            (policy.queues.allowed(have), policy.masked())
        };
        let hardware = self.device.direct.as_ref().map(|direct| direct.features());
        let features = self.device.spec.model.features(
            pairs,
            self.device.port.lane_count(),
            hardware,
            self.device.gate.features() & !masked,
        );
        let given = Given {
            mac,
            mtu,
            pairs,
            features,
        };
        self.act(|personality, host| personality.give(host, given));
    }
}
