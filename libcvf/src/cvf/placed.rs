//! A ring as its driver placed it, whatever the personality.

use crate::mem::{PlaceError, Regions, RingPlace};
use crate::personality::RingConfig;
use crate::ring::{
    AvfReceive, AvfRing, AvfTransmit, ControlRing, ReceiveRing, RingFeatures, TransmitRing,
    check_place, receive_ring, transmit_ring,
};

/// Where and how.
#[derive(Clone, Debug)]
pub(super) enum Placed {
    /// A split or packed ring.
    Virtio(RingConfig),
    /// A ring of descriptors with a tail register.
    Avf(AvfRing),
}

impl Placed {
    /// Its areas, for hardware that works such rings. None are: those of a ring that is not virtio's.
    pub(super) fn virtio(&self) -> Option<RingPlace> {
        match self {
            Self::Virtio(config) => Some(place(config)),
            Self::Avf(_) => None,
        }
    }

    /// Whether it can be used where it is.
    pub(super) fn check(&self, queue: u16, regions: &Regions) -> Result<(), PlaceError> {
        match self {
            Self::Virtio(config) => check_place(config.format, place(config), regions),
            Self::Avf(ring) if queue.is_multiple_of(2) => AvfReceive::new(ring, regions).map(drop),
            Self::Avf(ring) => AvfTransmit::new(ring, regions).map(drop),
        }
    }

    /// Takes it into use as a receive ring.
    pub(super) fn receive(
        &self,
        features: RingFeatures,
        regions: &Regions,
    ) -> Result<Box<dyn ReceiveRing>, PlaceError> {
        match self {
            Self::Virtio(config) => receive_ring(config.format, place(config), features, regions),
            Self::Avf(ring) => Ok(Box::new(AvfReceive::new(ring, regions)?)),
        }
    }

    /// Takes it into use as a transmit ring.
    pub(super) fn transmit(
        &self,
        features: RingFeatures,
        regions: &Regions,
    ) -> Result<Box<dyn TransmitRing>, PlaceError> {
        match self {
            Self::Virtio(config) => transmit_ring(config.format, place(config), features, regions),
            Self::Avf(ring) => Ok(Box::new(AvfTransmit::new(ring, regions)?)),
        }
    }

    /// Takes it into use as a control queue, if it can be one.
    pub(super) fn control(
        &self,
        features: RingFeatures,
        regions: &Regions,
    ) -> Result<Option<ControlRing>, PlaceError> {
        match self {
            Self::Virtio(config) => {
                ControlRing::new(config.format, place(config), features, regions).map(Some)
            }
            Self::Avf(_) => Ok(None),
        }
    }
}

/// The areas of virtio's rings.
const fn place(config: &RingConfig) -> RingPlace {
    RingPlace {
        size: config.size,
        descriptors: config.descriptors,
        available: config.driver,
        used: config.device,
    }
}
