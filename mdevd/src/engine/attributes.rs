//! Attributes that are more than a word or a number: VLANs of a trunk, tags, rates.

use std::fmt;
use std::ops::RangeInclusive;

use libcvf::limits::MAX_VLAN;
use serde::{Deserialize, Serialize};

use super::definition::Word;
use crate::limits::{MAX_RATE_FRAMES, MAX_RATE_MBIT, MAX_TRUNK_RANGES};

/// VLANs that a device without access VLAN is confined to: ranges in order, none touching another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Trunk(Vec<RangeInclusive<u16>>);

impl Trunk {
    /// The ranges.
    pub fn ranges(&self) -> &[RangeInclusive<u16>] {
        &self.0
    }

    /// Every VLAN in it.
    pub fn vlans(&self) -> impl Iterator<Item = u16> + '_ {
        self.0.iter().cloned().flatten()
    }
}

impl std::str::FromStr for Trunk {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let help = || format!("write VLANs from 1 to {MAX_VLAN} and ranges, as in 10,200-299");
        let number = |text: &str| {
            let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
            let vlan = text.parse().ok().filter(|_| digits);
            vlan.filter(|vlan| (1..=MAX_VLAN).contains(vlan))
                .ok_or_else(help)
        };
        let mut ranges = Vec::new();
        for part in text.split(',') {
            if ranges.len() == MAX_TRUNK_RANGES {
                return Err(format!("give at most {MAX_TRUNK_RANGES} VLANs and ranges"));
            }
            let range = match part.trim().split_once('-') {
                Some((first, last)) => number(first)?..=number(last)?,
                None => {
                    let vlan = number(part.trim())?;
                    vlan..=vlan
                }
            };
            if range.is_empty() {
                return Err(format!(
                    "'{}' ends before it begins; {}",
                    part.trim(),
                    help()
                ));
            }
            ranges.push(range);
        }
        ranges.sort_by_key(|range| *range.start());
        let mut merged: Vec<RangeInclusive<u16>> = Vec::new();
        for range in ranges {
            match merged.last_mut() {
                Some(last) if *range.start() <= *last.end() + 1 => {
                    *last = *last.start()..=*last.end().max(range.end());
                }
                _ => merged.push(range),
            }
        }
        Ok(Self(merged))
    }
}

impl TryFrom<String> for Trunk {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Trunk> for String {
    fn from(trunk: Trunk) -> Self {
        trunk.to_string()
    }
}

impl fmt::Display for Trunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, range) in self.0.iter().enumerate() {
            let comma = if n == 0 { "" } else { "," };
            match (range.start(), range.end()) {
                (first, last) if first == last => write!(f, "{comma}{first}")?,
                (first, last) => write!(f, "{comma}{first}-{last}")?,
            }
        }
        Ok(())
    }
}

/// Which tags frames of an access VLAN have outside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum VlanProtocol {
    /// Customer tags, 0x8100.
    #[default]
    #[serde(rename = "802.1Q")]
    Customer,
    /// Service tags, 0x88a8.
    #[serde(rename = "802.1ad")]
    Service,
}

impl Word for VlanProtocol {
    const WORDS: &'static [(&'static str, Self)] =
        &[("802.1Q", Self::Customer), ("802.1ad", Self::Service)];

    fn from_word(word: &str) -> Option<Self> {
        let found = Self::WORDS.iter();
        let mut found = found.filter(|(text, _)| text.eq_ignore_ascii_case(word));
        found.next().map(|&(_, value)| value)
    }
}

/// How frames of an access VLAN are tagged where they leave through a trunk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct VlanTag {
    /// Priority, 0 to 7; absent: that of the guest's priority tag, else 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub qos: Option<u8>,
    /// Kind of tag.
    pub protocol: VlanProtocol,
}

impl VlanTag {
    /// What a device has to which nothing else was given.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Rates that the operator gives one device; its profile's count too, and the lower of both holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RateLimits {
    /// Sent by the guest, in Mbit/s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tx_mbit: Option<u32>,
    /// Received by it, in Mbit/s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rx_mbit: Option<u32>,
    /// Sent by the guest, in frames per second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tx_frames: Option<u32>,
    /// Received by it, in frames per second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rx_frames: Option<u32>,
}

impl RateLimits {
    /// Every rate by its name on the bus, with the highest that can be.
    pub const KEYS: [(&'static str, u32); 4] = [
        ("tx_mbit", MAX_RATE_MBIT),
        ("rx_mbit", MAX_RATE_MBIT),
        ("tx_frames", MAX_RATE_FRAMES),
        ("rx_frames", MAX_RATE_FRAMES),
    ];

    /// No rate at all.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// The rate of that name.
    pub fn get(&self, key: &str) -> Option<u32> {
        match key {
            "tx_mbit" => self.tx_mbit,
            "rx_mbit" => self.rx_mbit,
            "tx_frames" => self.tx_frames,
            "rx_frames" => self.rx_frames,
            _ => None,
        }
    }

    /// Sets the rate of that name.
    pub fn set(&mut self, key: &str, rate: Option<u32>) {
        match key {
            "tx_mbit" => self.tx_mbit = rate,
            "rx_mbit" => self.rx_mbit = rate,
            "tx_frames" => self.tx_frames = rate,
            "rx_frames" => self.rx_frames = rate,
            _ => {}
        }
    }
}

/// A device's place among those that share a rate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct GroupShare {
    /// Name of the group, as mdevd's configuration has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// What its guest may send whatever the others do, in Mbit/s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tx_share: Option<u32>,
}

impl GroupShare {
    /// It is in no group.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

#[cfg(test)]
mod tests;
