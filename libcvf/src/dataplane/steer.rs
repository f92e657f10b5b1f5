//! Who gets a frame: the receive queue, and the hash that the driver is told.
//!
//! A port's [`Steering`] is an immutable snapshot, loaded once per burst and destination. Where the
//! driver left the choice to the device (virtio 1.3 5.1.6.5.5), a flow always goes to the same queue,
//! so that its frames keep their order; with receive-side scaling (5.1.6.5.7) the driver's key and
//! table say where.

use crate::control::{HashSettings, QueuePolicy, RssSettings};
use crate::limits::{RSS_KEY_SIZE, RSS_TABLE};
use crate::offload::{FrameHash, HashTypes, Headers, Network, Toeplitz, Transport, hash};

/// The key of devices to which nobody gave one: the one that every description of the hash has.
const DEFAULT_KEY: [u8; RSS_KEY_SIZE] = [
    0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0,
    0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30, 0xf2, 0x0c,
    0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
];

/// How frames are hashed.
#[derive(Debug)]
struct Hasher {
    types: HashTypes,
    toeplitz: Toeplitz,
    /// The driver is told no hash: it would be another one than it asked for.
    silent: bool,
}

/// Who set something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SetBy {
    /// Nobody.
    #[default]
    Default,
    /// The driver.
    Guest,
    /// The operator.
    Host,
}

impl SetBy {
    /// As shown to the operator.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Guest => "guest",
            Self::Host => "host",
        }
    }
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
    key_by: SetBy,
    table_by: SetBy,
}

impl Default for Steering {
    fn default() -> Self {
        Self {
            hasher: None,
            choice: Choice::Automatic(1),
            key_by: SetBy::Default,
            table_by: SetBy::Default,
        }
    }
}

/// What an operator is shown of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SteeringState {
    /// A hash chooses the receive queue.
    pub rss: bool,
    /// Who set the hash's key.
    pub key_by: SetBy,
    /// Who set the table.
    pub table_by: SetBy,
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
            silent: false,
        })
    }
}

impl Steering {
    /// The device chooses among `pairs`; frames are hashed by `hash`.
    pub(super) fn automatic(pairs: u16, hash: Option<&HashSettings>) -> Self {
        Self {
            key_by: match hash {
                Some(hash) if hash.types != HashTypes::default() => SetBy::Guest,
                _ => SetBy::Default,
            },
            table_by: SetBy::Default,
            hasher: hash.and_then(Hasher::new),
            choice: Choice::Automatic(pairs.max(1)),
        }
    }

    /// The hash chooses among `pairs`, by what the operator set, what the driver did, or what stands for nothing.
    pub(super) fn pinned(
        host: &QueuePolicy,
        rss: Option<&RssSettings>,
        driver: Option<&HashSettings>,
        pairs: u16,
    ) -> Self {
        let pairs = pairs.max(1);
        let driver = driver.filter(|driver| driver.types != HashTypes::default());
        let (key, key_by) = match (&host.rss_key, driver) {
            (Some(key), _) => (&key[..], SetBy::Host),
            (None, Some(driver)) => (&driver.key[..], SetBy::Guest),
            (None, None) => (&DEFAULT_KEY[..], SetBy::Default),
        };
        let (table, table_by): (Vec<u16>, _) = match (&host.rss_table, rss) {
            (Some(table), _) => (table.clone(), SetBy::Host),
            (None, Some(rss)) => (rss.table.clone(), SetBy::Guest),
            (None, None) => ((0..RSS_TABLE).collect(), SetBy::Default),
        };
        let table: Box<[u16]> = match table.len().is_power_of_two() {
            // A driver that uses fewer queues than the table names has none of the others looked at.
            true => table.into_iter().map(|queue| queue % pairs).collect(),
            false => Box::new([0]),
        };
        Self {
            hasher: Some(Hasher {
                types: driver.map_or(HashTypes::ALL, |driver| driver.types),
                toeplitz: Toeplitz::new(key),
                silent: driver.is_none_or(|driver| driver.key != key),
            }),
            choice: Choice::Table {
                unclassified: rss.map_or(0, |rss| rss.unclassified) % pairs,
                table,
            },
            key_by,
            table_by,
        }
    }

    /// The hash chooses. Queues beyond `pairs` are folded into those. A table that is no power of two is the caller's
    /// mistake: frames go to the first queue then.
    pub(super) fn table(settings: &RssSettings, pairs: u16) -> Self {
        let within = |queue: u16| queue % pairs.max(1);
        let entries = settings.table.iter().map(|queue| within(*queue));
        let table: Box<[u16]> = if settings.table.len().is_power_of_two() {
            entries.collect()
        } else {
            Box::new([0])
        };
        Self {
            hasher: Hasher::new(&settings.hash),
            key_by: SetBy::Guest,
            table_by: SetBy::Guest,
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
        match &self.hasher {
            Some(hasher) if hasher.silent => (queue, FrameHash::default()),
            _ => (queue, hash),
        }
    }

    pub(super) fn state(&self) -> SteeringState {
        let types = self.hasher.as_ref().map(|h| h.types).unwrap_or_default();
        match &self.choice {
            Choice::Automatic(_) => SteeringState {
                types,
                key_by: self.key_by,
                ..SteeringState::default()
            },
            Choice::Table {
                unclassified,
                table,
            } => SteeringState {
                rss: true,
                key_by: self.key_by,
                table_by: self.table_by,
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
