//! What a device is to be, and why it cannot be.

use super::policy::{PolicyError, PortPolicy};
use crate::control::{Identity, MacAddr};
use crate::ledger::{Request, Shortage};
use crate::limits::{MAX_FILTER_MACS, MAX_MTU, MAX_QUEUE_PAIRS, MAX_VLAN, MIN_MTU};
use crate::offload::TagStyle;
use crate::personality::virtio_net::SettingsError;
use crate::personality::{Doorbells, Interrupts, RingFormats};
use crate::switch::SwitchError;

/// A device as it was asked for; fixed for its life, but for its policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CvfSpec {
    /// Name, unique in the daemon.
    pub name: String,
    /// UUID.
    pub uuid: [u8; 16],
    /// The device's address.
    pub mac: MacAddr,
    /// MTU in bytes.
    pub mtu: u16,
    /// Access VLAN, 1 to 4094.
    pub vlan: Option<u16>,
    /// How its frames are tagged where they leave that VLAN through a trunk.
    pub vlan_tag: TagStyle,
    /// Queue pairs.
    pub queue_pairs: u16,
    /// How doorbells reach the device.
    pub doorbells: Doorbells,
    /// How the device interrupts.
    pub interrupts: Interrupts,
    /// Ring formats that its driver may choose.
    pub ring_formats: RingFormats,
    /// What its frames may claim, and how many there may be, to begin with.
    pub policy: PortPolicy,
}

impl CvfSpec {
    /// Who it is, in the log.
    pub fn identity(&self) -> Identity {
        Identity {
            device: self.name.clone(),
            uuid: self.uuid,
        }
    }

    /// MSI-X vectors: one for configuration, one per queue.
    pub const fn vectors(&self) -> u16 {
        match self.interrupts {
            Interrupts::Msix => 2 * self.queue_pairs + 2,
            Interrupts::Intx => 0,
        }
    }

    /// What it takes from a PF.
    pub fn request(&self) -> Request {
        Request {
            queue_pairs: self.queue_pairs.into(),
            rss_domains: 1,
            vectors: u32::from(self.vectors()).max(1),
            doorbell_pages: 2 * u32::from(self.queue_pairs) + 1,
            filters: MAX_FILTER_MACS as u32,
        }
    }

    pub(super) fn check(&self) -> Result<(), ComposeError> {
        if !(1..=MAX_QUEUE_PAIRS).contains(&self.queue_pairs) {
            return Err(ComposeError::QueuePairs(self.queue_pairs));
        }
        if !(MIN_MTU..=MAX_MTU).contains(&self.mtu) {
            return Err(ComposeError::Mtu(self.mtu));
        }
        if !self.mac.is_unicast_nonzero() {
            return Err(ComposeError::Mac(self.mac));
        }
        self.policy.check()?;
        self.policy.check_queues(self.queue_pairs)?;
        match self.vlan {
            Some(vlan) if !(1..=MAX_VLAN).contains(&vlan) => Err(ComposeError::Vlan(vlan)),
            _ => Ok(()),
        }
    }
}

/// Why a device could not be composed; nothing was taken.
#[derive(Debug, thiserror::Error)]
pub enum ComposeError {
    /// Out of range.
    #[error("{0} queue pairs refused: give 1 to {MAX_QUEUE_PAIRS}")]
    QueuePairs(u16),
    /// Out of range.
    #[error("MTU {0} refused: give {MIN_MTU} to {MAX_MTU}")]
    Mtu(u16),
    /// Not an address a device can have.
    #[error("{0} cannot be a device's address: give a unicast address other than zero")]
    Mac(MacAddr),
    /// Out of range.
    #[error("VLAN {0} refused: give 1 to {MAX_VLAN}")]
    Vlan(u16),
    /// Its policy cannot be.
    #[error("{0}")]
    Policy(#[from] PolicyError),
    /// The PF has too little left.
    #[error("{0}: destroy a device, ask for less, or use another PF")]
    Shortage(#[from] Shortage),
    /// The switch refuses: the address is taken, no port is free.
    #[error("{0}")]
    Switch(#[from] SwitchError),
    /// The device model refuses.
    #[error("{0}")]
    Settings(#[from] SettingsError),
    /// The kernel refuses memory for doorbell pages.
    #[error("cannot make the memory for doorbell pages: {0}")]
    Doorbells(nix::errno::Errno),
}
