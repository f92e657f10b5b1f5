//! What a device is made of.

use crate::control::MacAddr;
use crate::limits::{MAX_AVF_FRAME, MAX_AVF_QUEUE_PAIRS, MAX_AVF_VLANS, MIN_MTU};
use crate::pci::BuildError;
use crate::personality::Doorbells;

/// What a frame has beside its payload: Ethernet header, two tags, checksum.
pub(super) const OVERHEAD: u16 = 14 + 2 * 4 + 4;

/// Largest MTU whose frames the function lets through.
pub const MAX_AVF_MTU: u16 = MAX_AVF_FRAME as u16 - OVERHEAD;

/// Settings of a device; what is in [`Given`](crate::personality::Given) may change, the rest is fixed for its
/// life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AvfConfig {
    /// The address given at create.
    pub mac: MacAddr,
    /// MTU in bytes: the most that the driver may use.
    pub mtu: u16,
    /// Queue pairs, 1 to [`MAX_AVF_QUEUE_PAIRS`].
    pub queue_pairs: u16,
    /// Of them those that the driver is told of; `None`: all. Registers and vectors are there for all.
    pub shown_pairs: Option<u16>,
    /// Speed in Mbit/s; `None`: unknown.
    pub speed_mbps: Option<u32>,
    /// Whether tail registers are in memory that a client may map.
    pub doorbells: Doorbells,
    /// VLANs that the driver may join at a time.
    pub vlan_filters: u16,
    /// Capabilities that may be granted, as `VIRTCHNL_VF_*` bits; `VIRTCHNL_VF_OFFLOAD_L2` always is. `u64::MAX`: all
    /// that is built.
    pub features: u64,
}

impl AvfConfig {
    /// One pair, MTU 1500, unknown speed, trapped doorbells, every capability.
    pub const fn new(mac: MacAddr) -> Self {
        Self {
            mac,
            mtu: 1500,
            queue_pairs: 1,
            shown_pairs: None,
            speed_mbps: None,
            doorbells: Doorbells::Trapped,
            vlan_filters: MAX_AVF_VLANS,
            features: u64::MAX,
        }
    }

    /// Queue pairs that the driver may be told of.
    pub(super) fn shown(&self) -> u16 {
        let have = self.queue_pairs;
        self.shown_pairs.map_or(have, |pairs| pairs.clamp(1, have))
    }

    /// `max_mtu` of `struct virtchnl_vf_resource`, which means the longest frame.
    pub(super) fn longest_frame(&self) -> u16 {
        self.mtu.min(MAX_AVF_MTU) + OVERHEAD
    }

    pub(super) fn check(&self) -> Result<(), SettingsError> {
        if !self.mac.is_unicast_nonzero() {
            return Err(SettingsError::Mac(self.mac));
        }
        if !(MIN_MTU..=MAX_AVF_MTU).contains(&self.mtu) {
            return Err(SettingsError::Mtu(self.mtu));
        }
        if !(1..=MAX_AVF_QUEUE_PAIRS).contains(&self.queue_pairs) {
            return Err(SettingsError::QueuePairs(self.queue_pairs));
        }
        if self.vlan_filters > MAX_AVF_VLANS {
            return Err(SettingsError::VlanFilters(self.vlan_filters));
        }
        Ok(())
    }
}

/// Why a device cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// Group or zero address.
    #[error("{0} cannot be a device's address: give a unicast address other than zero")]
    Mac(MacAddr),
    /// MTU out of bounds.
    #[error("MTU {0} refused: give {MIN_MTU} to {MAX_AVF_MTU}")]
    Mtu(u16),
    /// Queue pairs out of bounds.
    #[error("{0} queue pairs refused: give 1 to {MAX_AVF_QUEUE_PAIRS}")]
    QueuePairs(u16),
    /// More VLANs than there are.
    #[error("{0} VLAN filters refused: give at most {MAX_AVF_VLANS}")]
    VlanFilters(u16),
    /// There is no memory for registers that a client may map.
    #[error("memory for mapped doorbells: {0}")]
    Registers(#[from] nix::errno::Errno),
    /// The tables do not make a PCI function.
    #[error("composing the PCI function: {0}")]
    Pci(#[from] BuildError),
}
