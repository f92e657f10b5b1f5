//! An Ethernet address in one machine word.

use std::fmt;

/// An IEEE 802 MAC address in the low 48 bits of a word, first octet most significant, so that
/// comparing, hashing and testing bits are single instructions.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct PackedMac(u64);

impl PackedMac {
    /// ff:ff:ff:ff:ff:ff
    pub const BROADCAST: Self = Self(0xffff_ffff_ffff);
    /// 00:00:00:00:00:00
    pub const ZERO: Self = Self(0);

    /// Packs six octets as they stand in a frame.
    #[inline]
    pub const fn new(octets: [u8; 6]) -> Self {
        let [a, b, c, d, e, f] = octets;
        Self(u64::from_be_bytes([0, 0, a, b, c, d, e, f]))
    }

    /// Takes the low 48 bits of `word`.
    #[inline]
    pub const fn from_bits(word: u64) -> Self {
        Self(word & Self::BROADCAST.0)
    }

    /// The address as a number below 2^48.
    #[inline]
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// The six octets as they stand in a frame.
    #[inline]
    pub const fn octets(self) -> [u8; 6] {
        let [_, _, a, b, c, d, e, f] = self.0.to_be_bytes();
        [a, b, c, d, e, f]
    }

    /// Group bit: multicast or broadcast.
    #[inline]
    pub const fn is_multicast(self) -> bool {
        self.0 & (1 << 40) != 0
    }

    /// ff:ff:ff:ff:ff:ff
    #[inline]
    pub const fn is_broadcast(self) -> bool {
        self.0 == Self::BROADCAST.0
    }

    /// 00:00:00:00:00:00
    #[inline]
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// Fit to be a station's own address: neither group nor zero.
    #[inline]
    pub const fn is_station(self) -> bool {
        !self.is_multicast() && !self.is_zero()
    }

    /// 01:80:c2:00:00:00 to 01:80:c2:00:00:0f: spanning tree, pause, LACP, LLDP and the like, which
    /// a bridge never forwards (IEEE 802.1Q table 8-1).
    #[inline]
    pub const fn is_link_local(self) -> bool {
        self.0 & !0xf == 0x0180_c200_0000
    }
}

impl From<[u8; 6]> for PackedMac {
    fn from(octets: [u8; 6]) -> Self {
        Self::new(octets)
    }
}

impl fmt::Display for PackedMac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.octets();
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for PackedMac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
