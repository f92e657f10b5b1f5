//! What of a port's frames has to be looked at beside where they go: one word, read for every burst.

use super::rates::PortRates;

/// A set; empty where nothing is restricted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Policed(pub u16);

impl Policed {
    /// It has a rate for what it sends.
    pub(super) const SENT: Self = Self(1);
    /// For what it receives.
    pub(super) const RECEIVED: Self = Self(2);
    /// For what it sends to many.
    pub(super) const FLOOD: Self = Self(4);

    /// True when they have anything in common.
    #[inline]
    pub(super) const fn any(self, of: Self) -> bool {
        self.0 & of.0 != 0
    }

    const fn when(self, so: bool) -> u16 {
        if so { self.0 } else { 0 }
    }

    /// For these rates.
    pub(super) const fn by(rates: &PortRates) -> Self {
        let sent = rates.transmit_bits.is_some() || rates.transmit_frames.is_some();
        let received = rates.receive_bits.is_some() || rates.receive_frames.is_some();
        Self(
            Self::SENT.when(sent)
                | Self::RECEIVED.when(received)
                | Self::FLOOD.when(rates.flood_frames.is_some()),
        )
    }
}
