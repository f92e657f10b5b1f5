//! What a device is made of.

use super::super::{Doorbells, Interrupts, RingFormats};
use crate::control::MacAddr;
use crate::limits::{MAX_MTU, MAX_QUEUE_PAIRS, MAX_RING_SIZE, MIN_MTU, MIN_RING_SIZE};
use crate::pci::BuildError;

/// Settings of a device; what is in [`Given`](crate::personality::Given) may change, the rest is
/// fixed for its life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VirtioNetConfig {
    /// The address given at create.
    pub mac: MacAddr,
    /// MTU in bytes, shown to the driver.
    pub mtu: u16,
    /// Queue pairs, 1 to [`MAX_QUEUE_PAIRS`].
    pub queue_pairs: u16,
    /// Of them those that the driver is told of; `None`: all. Pages and vectors are there for all.
    pub shown_pairs: Option<u16>,
    /// Speed in Mbit/s; `None`: unknown.
    pub speed_mbps: Option<u32>,
    /// Interrupts.
    pub interrupts: Interrupts,
    /// Doorbells.
    pub doorbells: Doorbells,
    /// Ring formats.
    pub ring_formats: RingFormats,
    /// Most entries of a ring: a power of two up to [`MAX_RING_SIZE`].
    pub max_ring_size: u16,
    /// Features that may be offered; what depends on a masked one is not offered either, and
    /// `VIRTIO_F_VERSION_1` always is. `u64::MAX`: all that is built.
    pub features: u64,
}

impl VirtioNetConfig {
    /// One pair, MTU 1500, MSI-X, trapped doorbells, either ring format, every feature.
    pub fn new(mac: MacAddr) -> Self {
        Self {
            mac,
            mtu: 1500,
            queue_pairs: 1,
            shown_pairs: None,
            speed_mbps: None,
            interrupts: Interrupts::Msix,
            doorbells: Doorbells::Trapped,
            ring_formats: RingFormats::Any,
            max_ring_size: MAX_RING_SIZE,
            features: u64::MAX,
        }
    }

    /// Queue pairs that the driver is told of.
    pub(super) fn shown(&self) -> u16 {
        let have = self.queue_pairs;
        self.shown_pairs.map_or(have, |pairs| pairs.clamp(1, have))
    }

    pub(super) fn check(&self) -> Result<(), SettingsError> {
        if !self.mac.is_unicast_nonzero() {
            return Err(SettingsError::Mac(self.mac));
        }
        if !(MIN_MTU..=MAX_MTU).contains(&self.mtu) {
            return Err(SettingsError::Mtu(self.mtu));
        }
        if !(1..=MAX_QUEUE_PAIRS).contains(&self.queue_pairs) {
            return Err(SettingsError::QueuePairs(self.queue_pairs));
        }
        let sizes = MIN_RING_SIZE..=MAX_RING_SIZE;
        if !sizes.contains(&self.max_ring_size) || !self.max_ring_size.is_power_of_two() {
            return Err(SettingsError::RingSize(self.max_ring_size));
        }
        // 5.1.4.1: speed is 0 to 0x7fffffff or unknown.
        if let Some(speed) = self.speed_mbps.filter(|&speed| speed > i32::MAX as u32) {
            return Err(SettingsError::Speed(speed));
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
    #[error("MTU {0} refused: give {MIN_MTU} to {MAX_MTU}")]
    Mtu(u16),
    /// Queue pairs out of bounds.
    #[error("{0} queue pairs refused: give 1 to {MAX_QUEUE_PAIRS}")]
    QueuePairs(u16),
    /// Ring size out of bounds or not a power of two.
    #[error("ring size {0} refused: give a power of two from {MIN_RING_SIZE} to {MAX_RING_SIZE}")]
    RingSize(u16),
    /// Speed out of bounds.
    #[error("speed {0} Mbit/s refused: give at most 2147483647, or none for unknown")]
    Speed(u32),
    /// The tables do not make a PCI function.
    #[error("composing the PCI function: {0}")]
    Pci(#[from] BuildError),
}
