//! What a port takes.

use std::fmt;
use std::sync::Arc;

use super::port::Vid;
use crate::limits::MAX_FILTER_MACS;
use crate::offload::PackedMac;

/// A set of VLAN ids: one bit each.
#[derive(Clone, PartialEq, Eq)]
pub struct VlanTable([u64; 64]);

impl VlanTable {
    /// The empty set.
    pub const fn new() -> Self {
        Self([0; 64])
    }

    /// True when `vid` is in the set.
    #[inline]
    pub const fn contains(&self, vid: Vid) -> bool {
        let bit = vid.0 & 0xfff;
        self.0[(bit / 64) as usize] & (1 << (bit % 64)) != 0
    }

    /// Puts `vid` (its low 12 bits) in; false when it was.
    pub fn insert(&mut self, vid: Vid) -> bool {
        let was = self.contains(vid);
        let bit = vid.0 & 0xfff;
        self.0[usize::from(bit / 64)] |= 1 << (bit % 64);
        !was
    }

    /// Takes `vid` out; false when it was not in.
    pub fn remove(&mut self, vid: Vid) -> bool {
        let was = self.contains(vid);
        let bit = vid.0 & 0xfff;
        self.0[usize::from(bit / 64)] &= !(1 << (bit % 64));
        was
    }

    /// How many are in it.
    pub fn len(&self) -> u16 {
        self.0.iter().map(|word| word.count_ones() as u16).sum()
    }

    /// True without any.
    pub fn is_empty(&self) -> bool {
        self.0 == [0; 64]
    }

    /// The ids that are in both sets.
    #[must_use]
    pub fn common(&self, other: &Self) -> Self {
        Self(std::array::from_fn(|at| self.0[at] & other.0[at]))
    }

    /// The ids in the set, ascending.
    pub fn iter(&self) -> impl Iterator<Item = Vid> {
        (0..4096).map(Vid).filter(|vid| self.contains(*vid))
    }
}

impl Default for VlanTable {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for VlanTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(|vid| vid.0)).finish()
    }
}

impl FromIterator<Vid> for VlanTable {
    fn from_iter<I: IntoIterator<Item = Vid>>(ids: I) -> Self {
        let mut table = Self::new();
        for vid in ids {
            table.insert(vid);
        }
        table
    }
}

/// What a port takes of the frames that reach it (virtio 1.3 5.1.6.5.1 to 5.1.6.5.3). Precedence:
/// `promiscuous` over everything, then the VLAN table, then the `no_` flags, then the `all_` flags,
/// then the lists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RxFilter {
    /// The port's own addresses; the first is the device's. Nobody else in the VLAN may have them.
    pub unicast: Vec<PackedMac>,
    /// Groups it listens to.
    pub multicast: Vec<PackedMac>,
    /// Every frame of its VLANs, those known to be for another port included.
    pub promiscuous: bool,
    /// Every multicast frame.
    pub all_multicast: bool,
    /// Every unicast frame that is not known to be for another port.
    pub all_unicast: bool,
    /// No unicast frame.
    pub no_unicast: bool,
    /// No multicast frame.
    pub no_multicast: bool,
    /// No broadcast frame.
    pub no_broadcast: bool,
    /// `Some`: of tagged frames only those of these VLANs. Untagged ones always pass.
    pub vlans: Option<Arc<VlanTable>>,
}

/// Why a filter cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// Group or zero address in the unicast list.
    #[error("{0} cannot be a station's own address: give one that is neither a group nor zero")]
    NotUnicast(PackedMac),
    /// Unicast or broadcast address in the multicast list.
    #[error("{0} is not a multicast address: list groups only, broadcast has its own flag")]
    NotMulticast(PackedMac),
    /// An address is listed twice.
    #[error("{0} is listed twice in a receive filter")]
    Twice(PackedMac),
    /// More addresses than [`MAX_FILTER_MACS`] (one more for the device's own).
    #[error("a receive filter lists {0} addresses, more than {MAX_FILTER_MACS}: use all-multicast")]
    TooMany(usize),
}

impl RxFilter {
    /// One own address, broadcast, nothing else.
    pub fn station(mac: PackedMac) -> Self {
        Self {
            unicast: vec![mac],
            ..Self::default()
        }
    }

    /// True when a port with this filter takes a frame to `dst` in the guest-visible VLAN `vid` (0
    /// when it reaches the guest untagged). The reference for what the snapshot does; a frame to a
    /// *learned* address is for the port regardless of its list.
    pub fn accepts(&self, dst: PackedMac, vid: Vid) -> bool {
        if self.promiscuous {
            return true;
        }
        if !self.takes_vlan(vid) {
            return false;
        }
        if dst.is_broadcast() {
            !self.no_broadcast
        } else if dst.is_multicast() {
            !self.no_multicast && (self.all_multicast || self.multicast.contains(&dst))
        } else {
            !self.no_unicast && (self.all_unicast || self.unicast.contains(&dst))
        }
    }

    /// True when the VLAN table, if any, lets `vid` in.
    pub fn takes_vlan(&self, vid: Vid) -> bool {
        match &self.vlans {
            Some(table) if vid != Vid::UNTAGGED => table.contains(vid),
            _ => true,
        }
    }

    /// Frames to addresses that nobody is known to have.
    pub(super) fn takes_unknown_unicast(&self) -> bool {
        self.promiscuous || (self.all_unicast && !self.no_unicast)
    }

    /// Every group, listed or not.
    pub(super) fn takes_every_multicast(&self) -> bool {
        self.promiscuous || (self.all_multicast && !self.no_multicast)
    }

    /// Broadcast.
    pub(super) fn takes_broadcast(&self) -> bool {
        self.promiscuous || !self.no_broadcast
    }

    /// The groups for which the port must be found by address.
    pub(super) fn listed_groups(&self) -> &[PackedMac] {
        match self.no_multicast || self.takes_every_multicast() {
            true => &[],
            false => &self.multicast,
        }
    }

    /// Checks the lists.
    ///
    /// # Errors
    /// See [`FilterError`].
    pub fn check(&self) -> Result<(), FilterError> {
        // The device's own address does not count against the guest's list.
        for (list, most) in [
            (&self.unicast, MAX_FILTER_MACS + 1),
            (&self.multicast, MAX_FILTER_MACS),
        ] {
            if list.len() > most {
                return Err(FilterError::TooMany(list.len()));
            }
            for (at, mac) in list.iter().enumerate() {
                if list[..at].contains(mac) {
                    return Err(FilterError::Twice(*mac));
                }
            }
        }
        if let Some(mac) = self.unicast.iter().find(|mac| !mac.is_station()) {
            return Err(FilterError::NotUnicast(*mac));
        }
        let group = |mac: &PackedMac| mac.is_multicast() && !mac.is_broadcast();
        match self.multicast.iter().find(|mac| !group(mac)) {
            Some(mac) => Err(FilterError::NotMulticast(*mac)),
            None => Ok(()),
        }
    }
}
