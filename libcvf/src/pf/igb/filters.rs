//! What the function lets pass to whom: its tables of addresses and VLANs, shared by all pools.

use super::regs::{self, RAR_ENTRIES, VLVF_ENTRIES};
use crate::control::MacAddr;

/// What one pool takes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PoolFilter {
    /// Unicast addresses.
    pub macs: Vec<MacAddr>,
    /// VLANs whose tagged frames it takes; `None`: of all.
    pub vlans: Option<Vec<u16>>,
    /// It takes frames without tag.
    pub untagged: bool,
    /// It takes multicast.
    pub multicast: bool,
    /// It takes broadcast.
    pub broadcast: bool,
    /// Bytes of the longest frame, without its check sequence.
    pub longest: u16,
}

/// Addresses of a pool: the table is everybody's, and a guest that fills it would keep other devices from theirs.
pub(super) const SHARE: usize = RAR_ENTRIES / regs::POOLS as usize;

/// More addresses than a pool's share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{asked} addresses were asked for, and a device of this PF has {SHARE} at most, its own among them"
)]
pub struct AddressesFull {
    /// As many as were asked for.
    pub asked: usize,
}

/// Content of the tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tables {
    /// Address and pools, by entry.
    pub addresses: [(MacAddr, u8); RAR_ENTRIES],
    /// VLAN and pools, by entry.
    pub vlans: [(u16, u8); VLVF_ENTRIES],
    /// What a pool takes besides, as `VMOLR` has it.
    pub takes: [u32; regs::POOLS as usize],
    /// There are more VLANs than entries, or somebody takes all: software filters alone.
    pub vlans_overflow: bool,
}

impl Default for Tables {
    fn default() -> Self {
        Self {
            addresses: [(MacAddr([0; 6]), 0); RAR_ENTRIES],
            vlans: [(0, 0); VLVF_ENTRIES],
            takes: [0; regs::POOLS as usize],
            vlans_overflow: false,
        }
    }
}

impl Tables {
    /// The tables for what all pools take. An entry that was there `before` stays where it is: while it moved, nobody
    /// would have it. So addresses have places of their pool's own.
    ///
    /// # Errors
    /// [`AddressesFull`].
    pub(super) fn of(pools: &[Option<PoolFilter>], before: &Self) -> Result<Self, AddressesFull> {
        let mut tables = Self::default();
        for (pool, filter) in pools.iter().enumerate().take(regs::POOLS.into()) {
            let Some(filter) = filter else { continue };
            let bit = 1 << pool;
            let full = AddressesFull {
                asked: filter.macs.len(),
            };
            if full.asked > SHARE {
                return Err(full);
            }
            let own = pool * SHARE..(pool + 1) * SHARE;
            let was = &before.addresses[own.clone()];
            let mine = &mut tables.addresses[own];
            let known = |mac: &MacAddr| {
                was.iter()
                    .position(|(other, pools)| *pools != 0 && other == mac)
            };
            for mac in &filter.macs {
                if let Some(entry) = known(mac) {
                    mine[entry] = (*mac, bit);
                }
            }
            for mac in filter.macs.iter().filter(|mac| known(mac).is_none()) {
                let free = mine.iter().position(|(_, pools)| *pools == 0);
                let entry = free.and_then(|free| mine.get_mut(free)).ok_or(full)?;
                *entry = (*mac, bit);
            }
            tables.vlans_overflow |= filter.vlans.is_none();
            for vlan in filter.vlans.iter().flatten() {
                let of = |entry: &(u16, u8)| entry.1 != 0 && entry.0 == *vlan;
                let entry = tables
                    .vlans
                    .iter()
                    .position(of)
                    .or_else(|| before.vlans.iter().position(of));
                let free = |(now, was): (&(u16, u8), &(u16, u8))| now.1 == 0 && was.1 == 0;
                let entry = entry.or_else(|| tables.vlans.iter().zip(&before.vlans).position(free));
                // No place that was free before: one that is free now.
                let entry =
                    entry.or_else(|| tables.vlans.iter().position(|(_, pools)| *pools == 0));
                match entry.and_then(|entry| tables.vlans.get_mut(entry)) {
                    Some((id, pools)) if *pools == 0 || *id == *vlan => {
                        *id = *vlan;
                        *pools |= bit;
                    }
                    _ => tables.vlans_overflow = true,
                }
            }
            let mut takes = regs::VMOLR_LPE;
            // The check sequence counts here.
            takes |= (u32::from(filter.longest) + 4).min(regs::VMOLR_RLPML);
            for (wanted, bit) in [
                (filter.untagged, regs::VMOLR_AUPE),
                (filter.multicast, regs::VMOLR_ROMPE),
                (filter.broadcast, regs::VMOLR_BAM),
            ] {
                takes |= if wanted { bit } else { 0 };
            }
            tables.takes[pool] = takes;
        }
        Ok(tables)
    }

    /// Writes what differs from `before` by `write`, register and value.
    pub(super) fn put(&self, before: &Self, mut write: impl FnMut(u32, u32)) {
        for (entry, (new, old)) in (0..).zip(self.addresses.iter().zip(&before.addresses)) {
            if new != old {
                let (MacAddr(mac), pools) = new;
                let low = u32::from_le_bytes([mac[0], mac[1], mac[2], mac[3]]);
                let high = u32::from(u16::from_le_bytes([mac[4], mac[5]]));
                // Not valid while it is half written.
                write(regs::rah(entry), 0);
                if *pools != 0 {
                    write(regs::ral(entry), low);
                    write(
                        regs::rah(entry),
                        high | u32::from(*pools) << regs::RAH_POOLS | regs::RAH_VALID,
                    );
                }
            }
        }
        for (entry, (new, old)) in (0..).zip(self.vlans.iter().zip(&before.vlans)) {
            if new != old {
                let (vlan, pools) = *new;
                let value =
                    u32::from(vlan) | u32::from(pools) << regs::VLVF_POOLS | regs::VLVF_ENABLE;
                write(regs::vlvf(entry), if pools == 0 { 0 } else { value });
            }
        }
        let (new, old) = (self.vlan_bits(), before.vlan_bits());
        for (word, (new, old)) in (0..).zip(new.iter().zip(&old)) {
            if new != old {
                write(regs::vfta(word), *new);
            }
        }
        for (pool, (new, old)) in (0..).zip(self.takes.iter().zip(&before.takes)) {
            if new != old {
                write(regs::vmolr(pool), *new);
            }
        }
    }

    fn vlan_bits(&self) -> [u32; regs::VFTA_WORDS as usize] {
        let mut bits = [0; regs::VFTA_WORDS as usize];
        for (vlan, _) in self.vlans.iter().filter(|(_, pools)| *pools != 0) {
            if let Some(word) = bits.get_mut(usize::from(*vlan >> 5)) {
                *word |= 1 << (vlan & 31);
            }
        }
        bits
    }
}

#[cfg(test)]
mod tests;
