//! `VIRTIO_NET_CTRL_MQ`: receive-side scaling and hash settings (5.1.6.5.5 to 5.1.6.5.7).

use super::commands::exact;
use super::state::State;
use crate::control::{ControlRequest, HashSettings, RssSettings};
use crate::limits::{RSS_KEY_SIZE, RSS_TABLE};
use crate::offload::HashTypes;

impl State {
    /// `VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET`.
    pub(super) fn pairs_set(&self, data: &[u8]) -> Option<ControlRequest> {
        let pairs = u16::from_le_bytes(exact(data)?);
        let valid = (1..=self.config.shown()).contains(&pairs);
        valid.then_some(ControlRequest::SetQueuePairs(pairs))
    }

    /// `VIRTIO_NET_CTRL_MQ_RSS_CONFIG`: `struct virtio_net_rss_config`.
    pub(super) fn rss_config(&self, data: &[u8]) -> Option<ControlRequest> {
        let (types, data) = data.split_first_chunk()?;
        let (mask, data) = word(data)?;
        let (unclassified, data) = word(data)?;
        if mask >= RSS_TABLE || !(mask + 1).is_power_of_two() {
            return None;
        }
        let (table, data) = data.split_at_checked(2 * (usize::from(mask) + 1))?;
        let (table, _) = table.as_chunks::<2>();
        // 5.1.6.5.7.1: bits 1 to 16 of a queue's index, which is the pair; the topmost bit is zero.
        let table: Vec<u16> = table.iter().map(|id| u16::from_le_bytes(*id)).collect();
        let (pairs, data) = word(data)?;
        let settings = RssSettings {
            hash: hash_settings(u32::from_le_bytes(*types), data)?,
            unclassified,
            table,
            pairs,
        };
        let have = self.config.shown();
        let there = |queue: u16| queue < have;
        let valid = settings.table.iter().copied().all(there)
            && there(unclassified)
            && (1..=have).contains(&pairs);
        valid.then_some(ControlRequest::SetRss(settings))
    }
}

/// `VIRTIO_NET_CTRL_MQ_HASH_CONFIG`: `struct virtio_net_hash_config`, whose reserved words are zero.
pub(super) fn hash_config(data: &[u8]) -> Option<ControlRequest> {
    let (types, data) = data.split_first_chunk()?;
    let (reserved, data) = data.split_first_chunk::<8>()?;
    let settings = hash_settings(u32::from_le_bytes(*types), data)?;
    (*reserved == [0; 8]).then_some(ControlRequest::SetHash(settings))
}

/// Drivers send whole structures of their language: bytes that fill one up to its alignment may follow
/// the key. Linux (since 6.15) and DPDK do so.
const MAX_PADDING: usize = 3;

/// The key with its length in front; types that are built, and a key long enough for them.
fn hash_settings(types: u32, data: &[u8]) -> Option<HashSettings> {
    let (len, data) = data.split_first()?;
    let (key, padding) = data.split_at_checked(usize::from(*len))?;
    let types = HashTypes(types);
    let lengths = types.key_bytes()..=RSS_KEY_SIZE;
    let valid = HashTypes::ALL.contains(types)
        && padding.len() <= MAX_PADDING
        && lengths.contains(&key.len());
    valid.then(|| HashSettings {
        types,
        key: key.to_vec(),
    })
}

fn word(data: &[u8]) -> Option<(u16, &[u8])> {
    let (word, rest) = data.split_first_chunk()?;
    Some((u16::from_le_bytes(*word), rest))
}
