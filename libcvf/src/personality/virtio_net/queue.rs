//! One queue's registers.

use super::super::RingConfig;
use crate::ring::RingFormat;

/// `VIRTIO_MSI_NO_VECTOR` (4.1.5.1.2).
pub(super) const NO_VECTOR: u16 = 0xffff;

/// What the driver said about one queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Queue {
    pub size: u16,
    pub vector: u16,
    pub enabled: bool,
    pub descriptors: u64,
    pub driver: u64,
    pub device: u64,
}

impl Queue {
    pub(super) const fn new(max_size: u16) -> Self {
        Self {
            size: max_size,
            vector: NO_VECTOR,
            enabled: false,
            descriptors: 0,
            driver: 0,
            device: 0,
        }
    }

    /// `None` for the wire's "no vector".
    pub(super) fn vector(&self) -> Option<u16> {
        (self.vector != NO_VECTOR).then_some(self.vector)
    }

    /// The ring, if its parts are aligned as 2.7 or 2.8.10.1 wants them.
    pub(super) fn ring(&self, format: RingFormat) -> Result<RingConfig, String> {
        let parts = match format {
            RingFormat::Split => [
                ("descriptor table", self.descriptors, 16),
                ("available ring", self.driver, 2),
                ("used ring", self.device, 4),
            ],
            RingFormat::Packed => [
                ("descriptor ring", self.descriptors, 16),
                ("driver event suppression", self.driver, 4),
                ("device event suppression", self.device, 4),
            ],
        };
        for (name, at, alignment) in parts {
            if !at.is_multiple_of(alignment) {
                return Err(format!(
                    "its {name} at {at:#x} is not {alignment}-byte aligned"
                ));
            }
        }
        let Self {
            size,
            descriptors,
            driver,
            device,
            ..
        } = *self;
        Ok(RingConfig {
            format,
            size,
            descriptors,
            driver,
            device,
        })
    }
}
