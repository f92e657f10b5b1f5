//! What can be asked about queues: who gets which frame, how often interrupts come, what was counted.

use super::request::{ControlRequest, Denial};
use crate::limits::RSS_KEY_SIZE;
use crate::offload::HashTypes;

/// How frames are hashed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HashSettings {
    /// Enabled types.
    pub types: HashTypes,
    /// Key of the Toeplitz hash, at most [`crate::limits::RSS_KEY_SIZE`] bytes and at least
    /// [`HashTypes::key_bytes`].
    pub key: Vec<u8>,
}

/// Receive-side scaling: the hash chooses the receive queue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RssSettings {
    /// How frames are hashed.
    pub hash: HashSettings,
    /// Receive queue of a frame without hash, by pair.
    pub unclassified: u16,
    /// Receive queues by the hash's low bits, by pair: a power of two of them, at most
    /// [`crate::limits::RSS_TABLE`].
    pub table: Vec<u16>,
    /// Queue pairs whose transmit queues the driver uses.
    pub pairs: u16,
}

/// What the operator sets of a device's queues. It holds whatever its driver asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueuePolicy {
    /// Most queue pairs that the driver may use; `None`: all of the slice's.
    pub pairs: Option<u16>,
    /// Key of the hash that chooses the receive queue.
    pub rss_key: Option<[u8; RSS_KEY_SIZE]>,
    /// Receive queues by the hash's low bits, by pair: a power of two of them, at most
    /// [`crate::limits::RSS_TABLE`].
    pub rss_table: Option<Vec<u16>>,
}

impl QueuePolicy {
    /// Name of the rule behind [`Self::refuses_pairs`].
    pub const PAIRS_RULE: &'static str = "queue-pairs-host";
    /// Name of the rule behind [`Self::refuses_hash`].
    pub const HASH_RULE: &'static str = "rss-host";

    /// The operator has a word in who gets a frame.
    pub const fn is_pinned(&self) -> bool {
        self.rss_key.is_some() || self.rss_table.is_some()
    }

    /// Why a driver of a device with `have` queue pairs is refused so many of them, if it is.
    pub fn refuses_pairs(&self, have: u16, request: &ControlRequest) -> Option<Denial> {
        let may = self.allowed(have);
        let asked = match request {
            ControlRequest::SetQueuePairs(pairs) => *pairs,
            ControlRequest::SetRss(settings) => {
                let named = settings.table.iter().chain([&settings.unclassified]);
                let most = named.max().map_or(0, |queue| queue.saturating_add(1));
                settings.pairs.max(most)
            }
            _ => return None,
        };
        (may < have && asked > may).then(|| Denial {
            rule: Self::PAIRS_RULE,
            reason: format!(
                "{asked} queue pairs were asked for, the operator lets the device use {may} of its slice's {have} \
                 (to allow more, 'cvfctl set' the device's queue-pairs)"
            ),
        })
    }

    /// Why it is refused a say in who gets a frame, if it is.
    pub fn refuses_hash(&self, request: &ControlRequest) -> Option<Denial> {
        let (what, pinned) = match request {
            ControlRequest::SetRss(_) => ("receive-side scaling", self.is_pinned()),
            ControlRequest::SetHash(settings) => (
                "a hash",
                self.rss_key.is_some() && settings.types != HashTypes::default(),
            ),
            _ => return None,
        };
        pinned.then(|| Denial {
            rule: Self::HASH_RULE,
            reason: format!(
                "{what} was asked for, and the operator set {} for this device ('cvfctl set' with none gives it back \
                 to its guest)",
                match (&self.rss_key, &self.rss_table) {
                    (Some(_), Some(_)) => "key and table",
                    (Some(_), None) => "the key",
                    _ => "the table",
                }
            ),
        })
    }

    /// Of a slice's queue pairs those that may be used.
    pub fn allowed(&self, have: u16) -> u16 {
        self.pairs.map_or(have, |pairs| pairs.clamp(1, have))
    }
}

/// When a queue's interrupt comes: as soon as either is reached, and at once where either is zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Coalescing {
    /// Microseconds since the first frame.
    pub max_usecs: u32,
    /// Frames.
    pub max_packets: u32,
}

/// Which queues a [`Coalescing`] is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CoalescingScope {
    /// All receive queues, and those that are enabled later.
    Receive,
    /// All transmit queues, and those that are enabled later.
    Transmit,
    /// The receive queue of a pair, until it is enabled anew.
    ReceiveQueue(u16),
    /// The transmit queue of a pair, until it is enabled anew.
    TransmitQueue(u16),
}

/// What a data queue counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueReport {
    /// Doorbells.
    pub notifications: u64,
    /// Frames.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Interrupts.
    pub interrupts: u64,
    /// Frames dropped, whatever the reason.
    pub drops: u64,
    /// Of them, those that found no buffer.
    pub overruns: u64,
    /// Of them, those that were none.
    pub malformed: u64,
    /// Frames whose checksum was said to be right.
    pub csum_valid: u64,
    /// Frames whose checksum is still to be filled in.
    pub csum_partial: u64,
    /// Large-send frames.
    pub gso_packets: u64,
    /// Their bytes.
    pub gso_bytes: u64,
    /// Large-send frames that were cut.
    pub cut_packets: u64,
    /// Their bytes.
    pub cut_bytes: u64,
    /// Segments they became.
    pub segments: u64,
    /// Bytes of those.
    pub segment_bytes: u64,
}
