//! What the operator sets of a device's queues and features beside its slice.

use std::fmt;
use std::str::FromStr;

use libcvf::cvf::QueuePolicy;
use libcvf::limits::{RSS_KEY_SIZE, RSS_TABLE};
use policies::profile::Feature;
use serde::{Deserialize, Serialize};

/// Absent: nothing is said about it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Tuning {
    /// Most queue pairs that its guest may use of the slice's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue_pairs: Option<u16>,
    /// Key of the hash that chooses the receive queue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rss_key: Option<RssKey>,
    /// Receive queues by that hash.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rss_table: Option<RssTable>,
    /// Features that its driver is not offered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub features: Option<Withheld>,
}

impl Tuning {
    /// Nothing is set.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// As the data plane takes it, for a slice with so many queue pairs.
    pub fn queues(&self, have: u16) -> QueuePolicy {
        let pairs = self.queue_pairs;
        let mut queues = QueuePolicy {
            pairs,
            rss_key: self.rss_key.as_ref().map(|key| key.0),
            rss_table: None,
        };
        let allowed = queues.allowed(have);
        queues.rss_table = self.rss_table.as_ref().map(|table| match table {
            RssTable::Equal => (0..RSS_TABLE).map(|entry| entry % allowed).collect(),
            RssTable::Entries(entries) => entries.clone(),
        });
        queues
    }

    /// Bits of the features that are withheld.
    pub fn withheld(&self) -> u64 {
        let all = self.features.iter().flat_map(|features| &features.0);
        all.fold(0, |bits, feature| bits | feature.bit())
    }
}

/// A key of [`RSS_KEY_SIZE`] bytes, written in hexadecimal, with or without colons.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RssKey(pub [u8; RSS_KEY_SIZE]);

impl FromStr for RssKey {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits: Vec<u8> = text.bytes().filter(|b| *b != b':').collect();
        let help = || {
            format!(
                "write {RSS_KEY_SIZE} bytes as {} hexadecimal digits",
                2 * RSS_KEY_SIZE
            )
        };
        if digits.len() != 2 * RSS_KEY_SIZE {
            return Err(format!("it has {} digits; {}", digits.len(), help()));
        }
        let mut key = [0; RSS_KEY_SIZE];
        for (byte, pair) in key.iter_mut().zip(digits.chunks(2)) {
            let digit = |at: usize| char::from(pair[at]).to_digit(16);
            let (Some(high), Some(low)) = (digit(0), digit(1)) else {
                return Err(help());
            };
            *byte = (high * 16 + low) as u8;
        }
        Ok(Self(key))
    }
}

impl fmt::Display for RssKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Who gets a frame.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum RssTable {
    /// Every receive queue that may be used gets as much.
    Equal,
    /// By the hash's low bits.
    Entries(Vec<u16>),
}

impl FromStr for RssTable {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "equal" {
            return Ok(Self::Equal);
        }
        let help =
            "write receive queues as in 0,1,2,3: a power of two of them, up to 128; or equal";
        let mut entries = Vec::new();
        for part in text.split(',') {
            if entries.len() == usize::from(RSS_TABLE) {
                return Err(help.to_owned());
            }
            entries.push(part.trim().parse().map_err(|_| help.to_owned())?);
        }
        match entries.len().is_power_of_two() {
            true => Ok(Self::Entries(entries)),
            false => Err(format!("it has {} entries; {help}", entries.len())),
        }
    }
}

impl fmt::Display for RssTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Equal => f.write_str("equal"),
            Self::Entries(entries) => {
                let texts: Vec<_> = entries.iter().map(ToString::to_string).collect();
                f.write_str(&texts.join(","))
            }
        }
    }
}

/// Features that are withheld, by their names in virtio: `-MRG_RXBUF,-RSS`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Withheld(Vec<Feature>);

impl FromStr for Withheld {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut features: Vec<Feature> = Vec::new();
        for part in text.split(',') {
            let name = part.trim().strip_prefix('-').ok_or_else(|| {
                format!(
                    "write '{}' as -NAME, as in -mrg_rxbuf, or none",
                    part.trim()
                )
            })?;
            let feature: Feature = name.to_ascii_uppercase().parse()?;
            if !features.contains(&feature) {
                features.push(feature);
            }
        }
        features.sort_by_key(|feature| feature.bit());
        Ok(Self(features))
    }
}

impl fmt::Display for Withheld {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<_> = self.0.iter().map(|feature| format!("-{feature}")).collect();
        f.write_str(&texts.join(","))
    }
}

macro_rules! text {
    ($($kind:ident),*) => {$(
        impl TryFrom<String> for $kind {
            type Error = String;

            fn try_from(text: String) -> Result<Self, String> {
                text.parse()
            }
        }

        impl From<$kind> for String {
            fn from(value: $kind) -> Self {
                value.to_string()
            }
        }
    )*};
}

text!(RssKey, RssTable, Withheld);

#[cfg(test)]
mod tests {
    use super::*;

    fn why<T: FromStr<Err = String>>(text: &str) -> String {
        text.parse::<T>().err().expect(text)
    }

    #[test]
    fn keys_tables_and_features_are_read_and_written() {
        let digits = "0a".repeat(40);
        let key: RssKey = digits.parse().expect("a key");
        assert_eq!((key.0, key.to_string()), ([10; 40], digits));
        let colons = vec!["0A"; 40].join(":");
        assert_eq!(colons.parse(), Ok(key));
        for text in ["equal", "0", "0,1", "3,3,0,1"] {
            let table: RssTable = text.parse().expect(text);
            assert_eq!(table.to_string(), text);
        }
        let features: Withheld = "-rss, -MRG_RXBUF,-rss".parse().expect("features");
        assert_eq!(features.to_string(), "-MRG_RXBUF,-RSS");
    }

    #[test]
    fn what_cannot_be_is_told() {
        assert!(why::<RssKey>(&"0a".repeat(39)).contains("it has 78 digits; write 40 bytes"));
        assert!(why::<RssKey>(&"0x".repeat(40)).contains("write 40 bytes"));
        assert!(why::<RssTable>("0,1,2").contains("it has 3 entries"));
        assert!(why::<RssTable>("0,x").contains("as in 0,1,2,3"));
        assert!(why::<RssTable>(&vec!["0"; 256].join(",")).contains("up to 128"));
        assert!(why::<Withheld>("mrg_rxbuf").contains("as -NAME"));
        assert!(why::<Withheld>("-mrg_rxbug").contains("did you mean 'MRG_RXBUF'?"));
        assert!(why::<Withheld>("-version_1").contains("always offered"));
    }

    #[test]
    fn an_equal_table_is_over_what_may_be_used() {
        let mut tuning = Tuning {
            rss_table: Some(RssTable::Equal),
            ..Tuning::default()
        };
        assert_eq!(
            tuning.queues(4).rss_table.expect("a table")[..5],
            [0, 1, 2, 3, 0]
        );
        tuning.queue_pairs = Some(2);
        let table = tuning.queues(4).rss_table.expect("a table");
        assert_eq!((table.len(), &table[..3]), (128, &[0, 1, 0][..]));
    }
}
