//! Requests, replies and the gatekeeper.

use std::fmt;

use super::queues::{Coalescing, CoalescingScope, HashSettings, RssSettings};
use crate::limits::MAX_SHOWN;

/// An IEEE 802 MAC address.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct MacAddr(pub [u8; 6]);

impl MacAddr {
    /// ff:ff:ff:ff:ff:ff
    pub const BROADCAST: Self = Self([0xff; 6]);

    /// Group bit: multicast or broadcast.
    pub const fn is_multicast(self) -> bool {
        self.0[0] & 1 != 0
    }

    /// Fit to be a device's own address: neither group nor zero.
    pub fn is_unicast_nonzero(self) -> bool {
        !self.is_multicast() && self.0 != [0; 6]
    }
}

impl fmt::Display for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text was not six hexadecimal bytes separated by colons.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a MAC address: write six hexadecimal bytes as in 52:54:00:12:34:56")]
pub struct ParseMacError(String);

impl std::str::FromStr for MacAddr {
    type Err = ParseMacError;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let refuse = || ParseMacError(s.chars().take(MAX_SHOWN).collect());
        let mut bytes = [0; 6];
        let mut parts = s.split(':');
        for byte in &mut bytes {
            let part = parts.next().filter(|p| p.len() == 2).ok_or_else(refuse)?;
            if !part.bytes().all(|b| b.is_ascii_hexdigit()) {
                return Err(refuse());
            }
            *byte = u8::from_str_radix(part, 16).map_err(|_| refuse())?;
        }
        if parts.next().is_some() {
            Err(refuse())
        } else {
            Ok(Self(bytes))
        }
    }
}

/// What a guest driver can ask of its device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ControlRequest {
    /// Use this as the device's own address.
    SetMac(MacAddr),
    /// Replace the filter's unicast and multicast lists.
    SetMacFilter {
        /// Unicast addresses beside the device's own.
        unicast: Vec<MacAddr>,
        /// Multicast addresses.
        multicast: Vec<MacAddr>,
    },
    /// Receive every frame of the port's VLANs.
    Promiscuous(bool),
    /// Receive every multicast frame.
    AllMulticast(bool),
    /// Receive every unicast frame (`VIRTIO_NET_CTRL_RX_ALLUNI`).
    AllUnicast(bool),
    /// Receive no multicast frame (`..._NOMULTI`).
    NoMulticast(bool),
    /// Receive no unicast frame (`..._NOUNI`).
    NoUnicast(bool),
    /// Receive no broadcast frame (`..._NOBCAST`).
    NoBroadcast(bool),
    /// Let frames tagged with this VLAN id in.
    AddVlan(u16),
    /// Shut them out again.
    DelVlan(u16),
    /// The driver joined VLAN filtering (`CTRL_VLAN` negotiated): only added VLANs pass.
    FilterVlans(bool),
    /// Use this many queue pairs, and let the device choose the receive queue of a flow.
    SetQueuePairs(u16),
    /// Let a hash choose the receive queue.
    SetRss(RssSettings),
    /// Hash frames for the driver's sake; the device chooses the receive queue of a flow.
    SetHash(HashSettings),
    /// Hold interrupts back.
    SetCoalescing(CoalescingScope, Coalescing),
    /// The receive offloads the driver takes from now on.
    SetReceiveOffloads(crate::offload::Accepts),
}

/// The answer to a [`ControlRequest`], truthful to the guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ControlReply {
    /// Done, and in force.
    Done,
    /// Refused by policy.
    Denied(Denial),
    /// Could not be done: the sentence says which resource or rule.
    Failed(String),
}

impl ControlReply {
    /// True when the request took effect.
    pub const fn is_done(&self) -> bool {
        matches!(self, Self::Done)
    }
}

/// Why a request is refused by policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// Name of the rule, as an operator finds it in the profile.
    pub rule: &'static str,
    /// A sentence.
    pub reason: String,
}

/// What a decision may depend on besides the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceFacts {
    /// The address given at create.
    pub assigned_mac: MacAddr,
    /// Queue pairs of the slice.
    pub queue_pairs: u16,
    /// Access VLAN, if the operator gave one.
    pub access_vlan: Option<u16>,
    /// VLANs that its driver has joined, but for the one that a request is about.
    pub joined_vlans: u16,
}

/// Decides about control requests. Pure: same facts and request, same answer.
pub trait Gatekeeper: Send + Sync {
    /// Allows or denies `request` for a device with these `facts`.
    ///
    /// # Errors
    /// The rule that refuses.
    fn decide(&self, facts: &DeviceFacts, request: &ControlRequest) -> Result<(), Denial>;

    /// A guest asks for something, whatever it is; before it is decided about.
    ///
    /// # Errors
    /// It asks too often.
    fn asked(&self) -> Result<(), Denial> {
        Ok(())
    }

    /// A request of the guest was refused, by [`Gatekeeper::decide`].
    fn denied(&self, request: &ControlRequest, denial: &Denial) {
        let _ = (request, denial);
    }

    /// The device was reset while its client was there: by the guest's driver, or by the client.
    fn was_reset(&self) {}

    /// Features that the device may offer.
    fn features(&self) -> u64 {
        u64::MAX
    }
}

/// A gatekeeper that allows everything.
#[derive(Clone, Copy, Debug, Default)]
pub struct Permit;

impl Gatekeeper for Permit {
    fn decide(&self, _: &DeviceFacts, _: &ControlRequest) -> Result<(), Denial> {
        Ok(())
    }
}
