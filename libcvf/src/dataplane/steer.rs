//! Who gets a frame: the receive queue, and the hash that the driver is told.
//!
//! A port's [`Steering`] is an immutable snapshot, loaded once per burst and destination. Where the
//! driver left the choice to the device (virtio 1.3 5.1.6.5.5), a flow always goes to the same queue,
//! so that its frames keep their order; with receive-side scaling (5.1.6.5.7) the driver's key and
//! table say where.

use crate::control::{HashSettings, RssSettings};
use crate::offload::{FrameHash, HashTypes, Headers, Network, Toeplitz, Transport, hash};

/// How frames are hashed.
#[derive(Debug)]
struct Hasher {
    types: HashTypes,
    toeplitz: Toeplitz,
}

/// Who chooses the receive queue.
#[derive(Debug)]
enum Choice {
    /// The device, among this many pairs.
    Automatic(u16),
    /// The hash.
    Table {
        unclassified: u16,
        /// A power of two of entries.
        table: Box<[u16]>,
    },
}

/// A port's snapshot.
#[derive(Debug)]
pub struct Steering {
    hasher: Option<Hasher>,
    choice: Choice,
}

impl Default for Steering {
    fn default() -> Self {
        Self {
            hasher: None,
            choice: Choice::Automatic(1),
        }
    }
}

/// What an operator is shown of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SteeringState {
    /// The driver chose receive-side scaling.
    pub rss: bool,
    /// Enabled hash types.
    pub types: HashTypes,
    /// Receive queues, by the hash's low bits; empty without receive-side scaling.
    pub table: Vec<u16>,
    /// Receive queue of frames without hash.
    pub unclassified: u16,
}

impl Hasher {
    fn new(settings: &HashSettings) -> Option<Self> {
        (settings.types != HashTypes::default()).then(|| Self {
            types: settings.types,
            toeplitz: Toeplitz::new(&settings.key),
        })
    }
}

impl Steering {
    /// The device chooses among `pairs`; frames are hashed by `hash`.
    pub(super) fn automatic(pairs: u16, hash: Option<&HashSettings>) -> Self {
        Self {
            hasher: hash.and_then(Hasher::new),
            choice: Choice::Automatic(pairs.max(1)),
        }
    }

    /// The hash chooses. A table that is no power of two, or names a queue beyond `pairs`, is the
    /// caller's mistake: frames go to the first queue then.
    pub(super) fn table(settings: &RssSettings, pairs: u16) -> Self {
        let within = |queue: u16| if queue < pairs { queue } else { 0 };
        let entries = settings.table.iter().map(|queue| within(*queue));
        let table: Box<[u16]> = if settings.table.len().is_power_of_two() {
            entries.collect()
        } else {
            Box::new([0])
        };
        Self {
            hasher: Hasher::new(&settings.hash),
            choice: Choice::Table {
                unclassified: within(settings.unclassified),
                table,
            },
        }
    }

    /// True when there is nothing to choose and nothing to tell: every frame goes to queue 0.
    #[inline]
    pub(super) const fn is_trivial(&self) -> bool {
        self.hasher.is_none() && matches!(self.choice, Choice::Automatic(1))
    }

    /// Receive queue and hash of a frame that starts with `head`.
    #[inline]
    pub(super) fn place(&self, head: &[u8]) -> (u16, FrameHash) {
        let hash = match &self.hasher {
            Some(hasher) => hash(&hasher.toeplitz, hasher.types, head),
            None => FrameHash::default(),
        };
        let queue = match &self.choice {
            Choice::Automatic(1) => 0,
            Choice::Automatic(pairs) => automatic(head, *pairs),
            Choice::Table { unclassified, .. } if hash.report == 0 => *unclassified,
            Choice::Table { table, .. } => table[hash.value as usize & (table.len() - 1)],
        };
        (queue, hash)
    }

    pub(super) fn state(&self) -> SteeringState {
        let types = self.hasher.as_ref().map(|h| h.types).unwrap_or_default();
        match &self.choice {
            Choice::Automatic(_) => SteeringState {
                types,
                ..SteeringState::default()
            },
            Choice::Table {
                unclassified,
                table,
            } => SteeringState {
                rss: true,
                types,
                table: table.to_vec(),
                unclassified: *unclassified,
            },
        }
    }
}

/// The receive queue among `pairs` for a frame that starts with `head`. Frames that are not IP,
/// and later fragments, go by their addresses alone.
fn automatic(head: &[u8], pairs: u16) -> u16 {
    let mut mix = 0x9e37_79b9_7f4a_7c15u64;
    let mut add = |bytes: &[u8]| {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            mix = (mix ^ u64::from_le_bytes(word)).wrapping_mul(0xff51_afd7_ed55_8ccd);
            mix ^= mix >> 32;
        }
    };
    match Headers::parse(head, head.len().max(usize::from(u16::MAX))) {
        Ok(headers) if headers.network != Network::Other => {
            let l3 = usize::from(headers.l3_offset);
            let addresses = match headers.network {
                Network::V4 => l3 + 12..l3 + 20,
                _ => l3 + 8..l3 + 40,
            };
            add(head.get(addresses).unwrap_or_default());
            let ports = matches!(headers.transport, Transport::Tcp | Transport::Udp);
            if ports && !headers.fragment {
                let l4 = usize::from(headers.l4_offset);
                add(head.get(l4..l4 + 4).unwrap_or_default());
            }
        }
        _ => add(head.get(..12).unwrap_or_default()),
    }
    // The high bits are the mixed ones.
    (((mix >> 32) * u64::from(pairs)) >> 32) as u16
}

#[cfg(all(test, loom))]
mod models;
#[cfg(test)]
mod tests;
