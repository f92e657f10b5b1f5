//! Addresses seen as sources behind uplinks and promiscuous ports.
//!
//! One fixed table that every worker reads and writes. A set is one cache line; an entry is one
//! word, because the permuted key's other bits are the set's number. A reader can therefore never
//! see the address of one entry with the port of another, and writers need no lock: each change is
//! one compare-and-exchange, and who loses it just learns at a later frame.

use std::array;

use super::permute::{KEY_BITS, Permutation};
use super::port::{PortId, Vid};
use crate::limits::{
    LEARNED_AGEING, LEARNED_MOVE_HOLD, LEARNED_SETS, MAX_LEARNED_BEHIND_CVFS, MAX_LEARNED_PER_CVF,
    MAX_LEARNED_PER_UPLINK, MAX_LEARNS_PER_SECOND_CVF, MAX_LEARNS_PER_SECOND_UPLINK, MAX_PORT_IDS,
};
use crate::offload::PackedMac;
use crate::sync::atomic::{AtomicBool, AtomicU16, AtomicU32, AtomicU64, Ordering::*, fence};

const WAYS: usize = 6;
const SET_BITS: u32 = LEARNED_SETS.trailing_zeros();
const PORT_BITS: u32 = 64 - (KEY_BITS - SET_BITS);
const PORT_MASK: u64 = (1 << PORT_BITS) - 1;
const _: () = assert!(LEARNED_SETS.is_power_of_two() && (MAX_PORT_IDS as u64) < PORT_MASK);
// Ages are compared in 16 bits, half of them for clocks that are a little behind.
const _: () = assert!(LEARNED_AGEING < 1 << 14 && LEARNED_MOVE_HOLD <= LEARNED_AGEING);

/// Six entries and when each was last seen, in one cache line.
#[repr(align(64))]
struct Set {
    /// The key's bits above the set's number, then the port's number plus one; 0: empty.
    entries: [AtomicU64; WAYS],
    /// Low 16 bits of the second.
    seen: [AtomicU16; WAYS],
}

/// What one port has learned.
struct PortUse {
    entries: AtomicU32,
    uplink: AtomicBool,
    /// A second (high half) and the entries made in it.
    rate: AtomicU64,
}

/// One learned address, for the operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LearnedEntry {
    /// Its VLAN.
    pub vid: Vid,
    /// The address.
    pub mac: PackedMac,
    /// The port that it is behind.
    pub port: PortId,
    /// Seconds since it was last seen.
    pub age: u32,
}

pub(super) struct Learned {
    sets: Box<[Set]>,
    ports: Box<[PortUse]>,
    /// Entries behind all CVFs together.
    behind_cvfs: AtomicU32,
    /// Changes whenever an answer of [`Learned::lookup`] may.
    generation: AtomicU64,
}

/// Seconds since `seen`, negative when this worker's clock is behind the one that wrote it.
#[inline]
fn age(now: u32, seen: u16) -> i16 {
    (now as u16).wrapping_sub(seen) as i16
}

#[inline]
fn is_expired(now: u32, seen: u16) -> bool {
    age(now, seen) >= LEARNED_AGEING as i16
}

#[inline]
fn entry(key: u64, port: PortId) -> u64 {
    key >> SET_BITS << PORT_BITS | (u64::from(port.0) + 1)
}

#[inline]
fn port_of(entry: u64) -> PortId {
    PortId(((entry & PORT_MASK) as u32).wrapping_sub(1))
}

impl Learned {
    pub(super) fn new() -> Self {
        let set = |_| Set {
            entries: array::from_fn(|_| AtomicU64::new(0)),
            seen: array::from_fn(|_| AtomicU16::new(0)),
        };
        let port = |_| PortUse {
            entries: AtomicU32::new(0),
            uplink: AtomicBool::new(false),
            rate: AtomicU64::new(0),
        };
        Self {
            sets: (0..LEARNED_SETS).map(set).collect(),
            ports: (0..MAX_PORT_IDS).map(port).collect(),
            behind_cvfs: AtomicU32::new(0),
            generation: AtomicU64::new(0),
        }
    }

    #[inline]
    fn set(&self, key: u64) -> &Set {
        &self.sets[key as usize % LEARNED_SETS]
    }

    #[inline]
    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Acquire)
    }

    /// The port that `key` was seen behind, unless too long ago.
    #[inline]
    pub(super) fn lookup(&self, key: u64, now: u32) -> Option<PortId> {
        let set = self.set(key);
        let wanted = key >> SET_BITS;
        for (word, seen) in set.entries.iter().zip(&set.seen) {
            let word = word.load(Relaxed);
            if word >> PORT_BITS == wanted && word != 0 {
                // Its age was written before it.
                fence(Acquire);
                return (!is_expired(now, seen.load(Relaxed))).then(|| port_of(word));
            }
        }
        None
    }

    /// Notes that `key` was seen behind `port`. `permits` is asked before an entry is made or kept for
    /// longer; its argument is where the address is said to be until now.
    #[inline]
    pub(super) fn learn(
        &self,
        key: u64,
        port: PortId,
        now: u32,
        permits: impl FnOnce(Option<PortId>) -> Permit,
    ) {
        let set = self.set(key);
        let new = entry(key, port);
        for (word, seen) in set.entries.iter().zip(&set.seen) {
            if word.load(Relaxed) == new {
                let seen = seen.load(Relaxed);
                if is_expired(now, seen) {
                    break;
                }
                if age(now, seen) != 0 {
                    let stays = permits(Some(port)) != Permit::No;
                    self.refresh(set, key, stays.then_some(new), now);
                }
                return;
            }
        }
        self.learn_new(set, key, port, now, permits);
    }

    /// Once a second per entry: it was seen again, or (`None`) must go.
    #[cold]
    fn refresh(&self, set: &Set, key: u64, entry: Option<u64>, now: u32) {
        let mut found = false;
        for (word, seen) in set.entries.iter().zip(&set.seen) {
            let value = word.load(Relaxed);
            if Some(value) == entry && !found {
                found = true;
                if age(now, seen.load(Relaxed)) > 0 {
                    seen.store(now as u16, Relaxed);
                }
            } else if value != 0 && value >> PORT_BITS == key >> SET_BITS {
                // Or two workers once learned the same address at the same time.
                self.clear(word, value);
            }
        }
    }

    #[cold]
    fn learn_new(
        &self,
        set: &Set,
        key: u64,
        port: PortId,
        now: u32,
        permits: impl FnOnce(Option<PortId>) -> Permit,
    ) {
        let new = entry(key, port);
        let present = set.entries.iter().enumerate().find_map(|(way, word)| {
            let word = word.load(Relaxed);
            (word != 0 && word >> PORT_BITS == key >> SET_BITS).then_some((way, word))
        });
        let live = |way: usize| !is_expired(now, set.seen[way].load(Relaxed));
        let owner = present.filter(|(way, _)| live(*way));
        match permits(owner.map(|(_, word)| port_of(word))) {
            Permit::No => return,
            Permit::IfQuiet => {
                if owner.is_some_and(|(way, _)| {
                    age(now, set.seen[way].load(Relaxed)) < LEARNED_MOVE_HOLD as i16
                }) {
                    return;
                }
            }
            Permit::Yes => {}
        }
        if !self.within_rate(port, now) {
            return;
        }
        let words = || {
            set.entries
                .iter()
                .map(|word| word.load(Relaxed))
                .enumerate()
        };
        let free = || {
            let empty = words().find(|(_, word)| *word == 0);
            empty.or_else(|| words().find(|(way, _)| !live(*way)))
        };
        let own_oldest = || {
            words()
                .filter(|(_, word)| port_of(*word) == port)
                .max_by_key(|(way, _)| age(now, set.seen[*way].load(Relaxed)))
        };
        let reserved = self.reserve(port);
        let place = match present {
            // The address moves; another entry of the port must not go for it.
            Some(present) if reserved => Some(present),
            Some(_) => None,
            None if reserved => free().or_else(own_oldest),
            None => own_oldest(),
        };
        let Some((way, old)) = place else {
            if reserved {
                self.release(port);
            }
            return;
        };
        // Before the entry, so that it never shows with an older entry's age.
        set.seen[way].store(now as u16, Relaxed);
        if set.entries[way]
            .compare_exchange(old, new, AcqRel, Relaxed)
            .is_err()
        {
            if reserved {
                self.release(port);
            }
            return;
        }
        if old != 0 && reserved {
            self.release(port_of(old));
        }
        self.changed();
    }

    /// Removes whatever is known of `key`.
    pub(super) fn forget(&self, key: u64) {
        for word in &self.set(key).entries {
            let value = word.load(Relaxed);
            if value != 0 && value >> PORT_BITS == key >> SET_BITS {
                self.clear(word, value);
            }
        }
    }

    /// Removes all entries of a port.
    pub(super) fn flush(&self, port: PortId) {
        if self.count(port) > 0 {
            self.clear_where(|word, _| port_of(word) == port);
        }
    }

    /// Removes all entries that have not been seen for too long.
    pub(super) fn sweep(&self, now: u32) {
        self.clear_where(|_, seen| is_expired(now, seen));
    }

    fn clear_where(&self, goes: impl Fn(u64, u16) -> bool) {
        for set in &self.sets {
            for (word, seen) in set.entries.iter().zip(&set.seen) {
                let value = word.load(Relaxed);
                if value != 0 && goes(value, seen.load(Relaxed)) {
                    self.clear(word, value);
                }
            }
        }
    }

    fn clear(&self, word: &AtomicU64, value: u64) {
        if word.compare_exchange(value, 0, AcqRel, Relaxed).is_ok() {
            self.release(port_of(value));
            self.changed();
        }
    }

    /// Entries that a port holds.
    pub(super) fn count(&self, port: PortId) -> u32 {
        self.ports
            .get(port.index())
            .map_or(0, |port| port.entries.load(Relaxed))
    }

    /// Says what a port is, before it may learn.
    pub(super) fn open(&self, port: PortId, uplink: bool) {
        self.flush(port);
        if let Some(port) = self.ports.get(port.index()) {
            port.uplink.store(uplink, Relaxed);
        }
    }

    /// All entries that answer at `now`.
    pub(super) fn entries(&self, permute: &Permutation, now: u32) -> Vec<LearnedEntry> {
        let mut found = Vec::new();
        for (number, set) in self.sets.iter().enumerate() {
            for (word, seen) in set.entries.iter().zip(&set.seen) {
                let (word, seen) = (word.load(Relaxed), seen.load(Relaxed));
                if word != 0 && !is_expired(now, seen) {
                    let key = word >> PORT_BITS << SET_BITS | number as u64;
                    let (vid, mac) = permute.invert(key);
                    let age = age(now, seen).max(0) as u32;
                    found.push(LearnedEntry {
                        vid,
                        mac,
                        port: port_of(word),
                        age,
                    });
                }
            }
        }
        found
    }

    /// Counts one more entry for `port`; false at its limit.
    fn reserve(&self, port: PortId) -> bool {
        let Some(used) = self.ports.get(port.index()) else {
            return false;
        };
        let uplink = used.uplink.load(Relaxed);
        let most = if uplink {
            MAX_LEARNED_PER_UPLINK
        } else {
            MAX_LEARNED_PER_CVF
        };
        if used.entries.fetch_add(1, Relaxed) >= most {
            used.entries.fetch_sub(1, Relaxed);
            return false;
        }
        if !uplink && self.behind_cvfs.fetch_add(1, Relaxed) >= MAX_LEARNED_BEHIND_CVFS {
            self.release(port);
            return false;
        }
        true
    }

    fn release(&self, port: PortId) {
        let Some(used) = self.ports.get(port.index()) else {
            return;
        };
        used.entries.fetch_sub(1, Relaxed);
        if !used.uplink.load(Relaxed) {
            self.behind_cvfs.fetch_sub(1, Relaxed);
        }
    }

    /// New entries per second are bounded, because each makes every worker forget its cached
    /// answers. Two workers may overrun the bound by one each.
    fn within_rate(&self, port: PortId, now: u32) -> bool {
        let Some(used) = self.ports.get(port.index()) else {
            return false;
        };
        let most = match used.uplink.load(Relaxed) {
            true => MAX_LEARNS_PER_SECOND_UPLINK,
            false => MAX_LEARNS_PER_SECOND_CVF,
        };
        let rate = used.rate.load(Relaxed);
        if (rate >> 32) as u32 != now {
            used.rate.store(u64::from(now) << 32 | 1, Relaxed);
            return true;
        }
        if rate as u32 >= most {
            return false;
        }
        used.rate.fetch_add(1, Relaxed);
        true
    }

    fn changed(&self) {
        self.generation.fetch_add(1, Release);
    }
}

/// Whether an address may be learned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Permit {
    /// Never.
    No,
    /// Only when its present owner was quiet for [`LEARNED_MOVE_HOLD`].
    IfQuiet,
    /// At once.
    Yes,
}

#[cfg(all(test, loom))]
mod models;
#[cfg(test)]
mod tests;
