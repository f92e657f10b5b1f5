//! A persistent hash table: changing one entry shares all but one part of it with the old table.

use std::sync::Arc;

/// Parts, chosen by a key's low bits.
const SHARD_BITS: u32 = 8;
const SHARDS: usize = 1 << SHARD_BITS;
/// No key: keys have 60 bits.
const EMPTY: u64 = u64::MAX;

/// Keys are evenly spread already (see [`super::permute`]).
#[derive(Clone, Debug)]
pub(super) struct Table<V> {
    /// Each a power of two of slots, probed linearly, at most half full: most look-ups end at the first.
    shards: [Arc<[Slot<V>]>; SHARDS],
}

#[derive(Clone, Debug)]
struct Slot<V> {
    key: u64,
    value: V,
}

impl<V: Clone + Default> Table<V> {
    pub(super) fn new() -> Self {
        let empty: Arc<[Slot<V>]> = build(std::iter::empty());
        Self {
            shards: std::array::from_fn(|_| empty.clone()),
        }
    }

    #[inline]
    pub(super) fn get(&self, key: u64) -> Option<&V> {
        let slots = &self.shards[(key as usize) % SHARDS];
        let mask = slots.len() - 1;
        let mut at = (key >> SHARD_BITS) as usize;
        // A shard always has an empty slot, so this ends.
        loop {
            let slot = &slots[at & mask];
            if slot.key == key {
                return Some(&slot.value);
            }
            if slot.key == EMPTY {
                return None;
            }
            at += 1;
        }
    }

    /// Sets (`Some`) or removes (`None`) the value of `key`.
    pub(super) fn set(&mut self, key: u64, value: Option<V>) {
        let shard = &mut self.shards[(key as usize) % SHARDS];
        let kept = shard
            .iter()
            .filter(|slot| slot.key != key && slot.key != EMPTY)
            .cloned();
        *shard = build(kept.chain(value.map(|value| Slot { key, value })));
    }
}

fn build<V: Clone + Default>(entries: impl Iterator<Item = Slot<V>> + Clone) -> Arc<[Slot<V>]> {
    let count = entries.clone().count();
    let size = (count * 2 + 1).next_power_of_two();
    let mut slots = vec![
        Slot {
            key: EMPTY,
            value: V::default()
        };
        size
    ];
    for entry in entries {
        let mut at = (entry.key >> SHARD_BITS) as usize;
        while slots[at & (size - 1)].key != EMPTY {
            at += 1;
        }
        slots[at & (size - 1)] = entry;
    }
    slots.into()
}

#[cfg(test)]
mod tests;
