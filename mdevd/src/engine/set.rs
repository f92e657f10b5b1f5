//! Attributes that change while a device runs.

use libcvf::control::MacAddr;
use libcvf::limits::{MAX_MTU, MAX_QUEUE_PAIRS, MAX_VLAN, MIN_MTU};
use serde::{Deserialize, Deserializer, Serialize};

use super::attributes::{GroupShare, RateLimits, Trunk, VlanProtocol, VlanTag};
use super::definition::{DataPath, Definition, Link};
use super::direct::check_change;
use super::error::EngineError;
use super::lifecycle::{LifeDraft, order};
use super::overrides::{Asked, Overrides};
use super::tuning::{RssKey, RssTable, Withheld};
use super::values::{
    check_profile, check_rate, check_share, check_tag, check_tuning, group, mac, number, qos,
    trunk, tuned, word,
};
use crate::limits::MAX_RATE_MBIT;

/// The attribute that changes only while a device is stopped.
pub(super) const DATA_PATH: &str = "data_path";

/// A request to change attributes of a device, as it came; what is absent stays. A value is a text or,
/// where that makes sense, a number; `none` takes away what a device may be without.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SetRequest {
    /// A word of [`Link`].
    #[serde(deserialize_with = "scalar", skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    /// Name of a profile.
    #[serde(deserialize_with = "scalar", skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// MAC address.
    #[serde(deserialize_with = "scalar", skip_serializing_if = "Option::is_none")]
    pub mac: Option<String>,
    /// MTU in bytes.
    #[serde(deserialize_with = "scalar", skip_serializing_if = "Option::is_none")]
    pub mtu: Option<String>,
    /// Access VLAN, or `none`.
    #[serde(deserialize_with = "scalar", skip_serializing_if = "Option::is_none")]
    pub vlan: Option<String>,
    /// Priority in the tags of the access VLAN, or `none`.
    #[serde(deserialize_with = "scalar", skip_serializing_if = "Option::is_none")]
    pub vlan_qos: Option<String>,
    /// Kind of those tags: a word of [`VlanProtocol`].
    #[serde(deserialize_with = "scalar", skip_serializing_if = "Option::is_none")]
    pub vlan_protocol: Option<String>,
    /// VLANs of a trunk, or `none`.
    #[serde(deserialize_with = "scalar", skip_serializing_if = "Option::is_none")]
    pub trunk: Option<String>,
    /// See [`RateLimits::tx_mbit`]; or `none`.
    #[serde(deserialize_with = "scalar", skip_serializing_if = "Option::is_none")]
    pub tx_mbit: Option<String>,
    /// See [`RateLimits::rx_mbit`]; or `none`.
    #[serde(deserialize_with = "scalar", skip_serializing_if = "Option::is_none")]
    pub rx_mbit: Option<String>,
    /// See [`RateLimits::tx_frames`]; or `none`.
    #[serde(deserialize_with = "scalar", skip_serializing_if = "Option::is_none")]
    pub tx_frames: Option<String>,
    /// See [`RateLimits::rx_frames`]; or `none`.
    #[serde(deserialize_with = "scalar", skip_serializing_if = "Option::is_none")]
    pub rx_frames: Option<String>,
    /// Queue pairs that the guest may use.
    #[serde(deserialize_with = "scalar", skip_serializing_if = "Option::is_none")]
    pub queue_pairs: Option<String>,
    /// Key of the hash that chooses the receive queue, or `none`.
    #[serde(deserialize_with = "scalar", skip_serializing_if = "Option::is_none")]
    pub rss_key: Option<String>,
    /// Receive queues by that hash, `equal`, or `none`.
    #[serde(deserialize_with = "scalar", skip_serializing_if = "Option::is_none")]
    pub rss_table: Option<String>,
    /// Features that the driver is not offered, or `none`.
    #[serde(deserialize_with = "scalar", skip_serializing_if = "Option::is_none")]
    pub features: Option<String>,
    /// Name of a group, or `none`.
    #[serde(deserialize_with = "scalar", skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// See [`GroupShare::tx_share`]; or `none`.
    #[serde(deserialize_with = "scalar", skip_serializing_if = "Option::is_none")]
    pub tx_share: Option<String>,
    /// A word of [`DataPath`]; of a device that is stopped.
    #[serde(deserialize_with = "scalar", skip_serializing_if = "Option::is_none")]
    pub data_path: Option<String>,
    /// A word of [`super::Start`].
    #[serde(deserialize_with = "scalar", skip_serializing_if = "Option::is_none")]
    pub start: Option<String>,
    /// Place among those that the daemon starts.
    #[serde(deserialize_with = "scalar", skip_serializing_if = "Option::is_none")]
    pub order: Option<String>,
    /// See [`Overrides::spoof_check`]: on, off, or profile.
    #[serde(deserialize_with = "scalar", skip_serializing_if = "Option::is_none")]
    pub spoof_check: Option<String>,
    /// See [`Overrides::trust`]: on, off, or profile.
    #[serde(deserialize_with = "scalar", skip_serializing_if = "Option::is_none")]
    pub trust: Option<String>,
    /// See [`Overrides::promiscuous`]: allow, deny, or profile.
    #[serde(deserialize_with = "scalar", skip_serializing_if = "Option::is_none")]
    pub promiscuous: Option<String>,
    /// See [`Overrides::multicast`]: allow, deny, or profile.
    #[serde(deserialize_with = "scalar", skip_serializing_if = "Option::is_none")]
    pub multicast: Option<String>,
    /// Only tell what would be done.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
}

/// A text, or a whole number as text.
fn scalar<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Scalar {
        Text(String),
        Number(u64),
        Negative(i64),
    }
    Option::<Scalar>::deserialize(from).map(|value| {
        value.map(|value| match value {
            Scalar::Text(text) => text,
            Scalar::Number(number) => number.to_string(),
            Scalar::Negative(number) => number.to_string(),
        })
    })
}

/// A checked request. `Some(None)`: to be taken away.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// The link's new state.
    pub link: Option<Link>,
    /// Another profile.
    pub profile: Option<String>,
    /// Another address.
    pub mac: Option<MacAddr>,
    /// Another MTU.
    pub mtu: Option<u16>,
    /// Another access VLAN.
    pub vlan: Option<Option<u16>>,
    /// Another priority in its tags.
    pub vlan_qos: Option<Option<u8>>,
    /// Another kind of tag.
    pub vlan_protocol: Option<VlanProtocol>,
    /// Other VLANs of a trunk.
    pub trunk: Option<Option<Trunk>>,
    /// Decisions that change.
    pub overrides: Vec<Asked>,
    /// Rates that change.
    pub rates: Vec<(&'static str, Option<u32>)>,
    /// Other queue pairs that may be used.
    pub queue_pairs: Option<u16>,
    /// Another key.
    pub rss_key: Option<Option<RssKey>>,
    /// Another table.
    pub rss_table: Option<Option<RssTable>>,
    /// Other features withheld.
    pub features: Option<Option<Withheld>>,
    /// Another group.
    pub group: Option<Option<String>>,
    /// Another share of its rate.
    pub tx_share: Option<Option<u32>>,
    /// Somebody else works its rings.
    pub data_path: Option<DataPath>,
    /// Whether the daemon starts it, and when.
    pub life: LifeDraft,
}

/// One attribute that changed, or would.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Its name, as `cvfctl set` takes it.
    pub attribute: String,
    /// What it was; `none` where there was nothing.
    pub from: String,
    /// What it is.
    pub to: String,
}

/// What `set` did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changed {
    /// Device.
    pub name: String,
    /// False: it was so already.
    pub changed: bool,
    /// Nothing was done: this is what would be.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
    /// What changed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Change>,
    /// What the operator should know about it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

impl Change {
    /// Its attribute's name on the bus.
    pub(super) fn key(&self) -> String {
        self.attribute.replace('-', "_")
    }
}

impl SetRequest {
    /// Every attribute by its name on the bus.
    pub const KEYS: [&'static str; 25] = [
        "link",
        "profile",
        "mac",
        "mtu",
        "vlan",
        "vlan_qos",
        "vlan_protocol",
        "trunk",
        "tx_mbit",
        "rx_mbit",
        "tx_frames",
        "rx_frames",
        "queue_pairs",
        "rss_key",
        "rss_table",
        "features",
        "group",
        "tx_share",
        "data_path",
        "start",
        "order",
        "spoof_check",
        "trust",
        "promiscuous",
        "multicast",
    ];

    /// Whether `set` can make of a device what another value of this attribute at its creation would have, be it that
    /// it runs. How many queue pairs its slice has it cannot: it limits how many of them are used. Who works its rings
    /// it can while the device is stopped.
    pub(super) fn changes_as_made(key: &str) -> bool {
        !["queue_pairs", DATA_PATH].contains(&key) && Self::KEYS.contains(&key)
    }

    /// Checks every attribute by itself.
    ///
    /// # Errors
    /// [`EngineError::InvalidArgument`]: a value that cannot be, or nothing to change.
    pub fn check(self) -> Result<Changes, EngineError> {
        let asked = Self {
            dry_run: false,
            ..self.clone()
        };
        if asked == Self::default() {
            let keys: Vec<_> = Self::KEYS.iter().map(|key| key.replace('_', "-")).collect();
            let why = format!("nothing is to be changed; give one of {}", keys.join(", "));
            return Err(EngineError::invalid("attributes", "", why));
        }
        if let Some(profile) = &self.profile {
            check_profile(profile)?;
        }
        let rates = [
            &self.tx_mbit,
            &self.rx_mbit,
            &self.tx_frames,
            &self.rx_frames,
        ];
        let rates = RateLimits::KEYS.into_iter().zip(rates);
        let rate = |((key, most), text): ((&'static str, u32), &Option<String>)| {
            let text = text.as_deref()?;
            let rate = removable(text, |text| {
                check_rate(key, whole(key, text, most.into())?, most)
            });
            Some(rate.map(|rate| (key, rate)))
        };
        Ok(Changes {
            link: self
                .link
                .as_deref()
                .map(|text| word("link", Some(text)))
                .transpose()?,
            mac: self.mac.as_deref().map(mac).transpose()?,
            mtu: self.mtu.as_deref().map(mtu).transpose()?,
            vlan: self
                .vlan
                .as_deref()
                .map(|text| removable(text, vlan))
                .transpose()?,
            vlan_qos: self
                .vlan_qos
                .as_deref()
                .map(|text| removable(text, priority))
                .transpose()?,
            vlan_protocol: self
                .vlan_protocol
                .as_deref()
                .map(|text| word("vlan_protocol", Some(text)))
                .transpose()?,
            trunk: self
                .trunk
                .as_deref()
                .map(|text| removable(text, trunk))
                .transpose()?,
            overrides: Overrides::asked([
                &self.spoof_check,
                &self.trust,
                &self.promiscuous,
                &self.multicast,
            ])?,
            rates: rates.filter_map(rate).collect::<Result<_, _>>()?,
            queue_pairs: self.queue_pairs.as_deref().map(pairs).transpose()?,
            rss_key: tuning("rss_key", self.rss_key.as_deref())?,
            rss_table: tuning("rss_table", self.rss_table.as_deref())?,
            features: tuning("features", self.features.as_deref())?,
            group: self
                .group
                .as_deref()
                .map(|text| removable(text, group))
                .transpose()?,
            tx_share: self
                .tx_share
                .as_deref()
                .map(|text| removable(text, share))
                .transpose()?,
            data_path: self
                .data_path
                .as_deref()
                .map(|text| word("data_path", Some(text)))
                .transpose()?,
            life: LifeDraft {
                start: self
                    .start
                    .as_deref()
                    .map(|text| word("start", Some(text)))
                    .transpose()?,
                order: self.order.as_deref().map(order).transpose()?,
                persistent: false,
            },
            profile: self.profile,
        })
    }
}

fn removable<T>(
    text: &str,
    read: impl FnOnce(&str) -> Result<T, EngineError>,
) -> Result<Option<T>, EngineError> {
    match text {
        "none" => Ok(None),
        text => read(text).map(Some),
    }
}

fn whole(key: &str, text: &str, most: u64) -> Result<u64, EngineError> {
    let refuse = || EngineError::invalid(key, text, format!("it is a number from 1 to {most}"));
    text.parse().map_err(|_| refuse())
}

fn mtu(text: &str) -> Result<u16, EngineError> {
    let why = format!("it is a number from {MIN_MTU} to {MAX_MTU}");
    let value = text
        .parse()
        .map_err(|_| EngineError::invalid("mtu", text, why))?;
    number("mtu", value, MIN_MTU.into(), MAX_MTU.into())
}

fn vlan(text: &str) -> Result<u16, EngineError> {
    let why = format!("it is a number from 1 to {MAX_VLAN}, or none");
    let value = text
        .parse()
        .map_err(|_| EngineError::invalid("vlan", text, why))?;
    number("vlan", value, 1, MAX_VLAN.into())
}

fn tuning<T: std::str::FromStr<Err = String>>(
    key: &str,
    text: Option<&str>,
) -> Result<Option<Option<T>>, EngineError> {
    match text {
        Some("none") => Ok(Some(None)),
        text => Ok(tuned(key, text)?.map(Some)),
    }
}

fn pairs(text: &str) -> Result<u16, EngineError> {
    let most = MAX_QUEUE_PAIRS.into();
    number("queue_pairs", whole("queue_pairs", text, most)?, 1, most)
}

fn share(text: &str) -> Result<u32, EngineError> {
    let mbit = whole("tx_share", text, MAX_RATE_MBIT.into())?;
    check_rate("tx_share", mbit, MAX_RATE_MBIT)
}

fn priority(text: &str) -> Result<u8, EngineError> {
    let refuse = |_| EngineError::invalid("vlan_qos", text, "it is from 0 to 7, or none");
    qos(text.parse().map_err(refuse)?)
}

impl Changes {
    /// The definition with these changes.
    ///
    /// # Errors
    /// [`EngineError::InvalidArgument`]: a trunk's VLANs beside an access VLAN, tags without one, a share without a
    /// group, queues that the slice does not have, what does not go with its data path.
    pub fn applied_to(&self, definition: &Definition) -> Result<Definition, EngineError> {
        let mut next = definition.clone();
        next.life = self.life.set_upon(&definition.name, definition.life)?;
        if let Some(link) = self.link {
            next.link = link;
        }
        if let Some(profile) = &self.profile {
            next.profile.clone_from(profile);
        }
        if let Some(mac) = self.mac {
            next.mac = mac;
        }
        if let Some(mtu) = self.mtu {
            next.mtu = mtu;
        }
        if let Some(vlan) = self.vlan {
            next.vlan = vlan;
            if vlan.is_none() {
                // It was about that VLAN's tags.
                next.vlan_tag = VlanTag::default();
            }
        }
        if let Some(qos) = self.vlan_qos {
            next.vlan_tag.qos = qos;
        }
        if let Some(protocol) = self.vlan_protocol {
            next.vlan_tag.protocol = protocol;
        }
        check_tag(next.vlan.is_some(), next.vlan_tag)?;
        if let Some(trunk) = &self.trunk {
            next.trunk.clone_from(trunk);
        }
        if let Some(pairs) = self.queue_pairs {
            next.tuning.queue_pairs = (pairs != next.queue_pairs).then_some(pairs);
        }
        if let Some(key) = &self.rss_key {
            next.tuning.rss_key.clone_from(key);
        }
        if let Some(table) = &self.rss_table {
            next.tuning.rss_table.clone_from(table);
        }
        if let Some(features) = &self.features {
            next.tuning.features.clone_from(features);
        }
        check_tuning(next.queue_pairs, &next.tuning)?;
        if let Some(group) = &self.group {
            next.share.group.clone_from(group);
            if group.is_none() {
                // It was one of that group's rate.
                next.share = GroupShare::default();
            }
        }
        if let Some(share) = self.tx_share {
            next.share.tx_share = share;
        }
        check_share(&next.share)?;
        if let Some(data_path) = self.data_path.filter(|to| *to != next.data_path) {
            next.data_path = data_path;
            // Those of hardware are its own; without it they are as where nothing is said.
            next.doorbells = data_path.doorbells();
        }
        next.overrides = next.overrides.with(&self.overrides);
        for &(key, rate) in &self.rates {
            next.rates.set(key, rate);
        }
        if let (Some(vlan), Some(trunk)) = (next.vlan, &next.trunk) {
            let (attribute, value, cure) = match self.trunk {
                Some(_) => ("trunk", trunk.to_string(), "vlan=none"),
                None => ("vlan", vlan.to_string(), "trunk=none"),
            };
            let why = format!(
                "a device with an access VLAN is in no other: this one would have access VLAN {vlan} \
                 and trunk {trunk}; set {cure}, too"
            );
            return Err(EngineError::invalid(attribute, value, why));
        }
        check_change(definition, &next)?;
        Ok(next)
    }
}

/// What is different in `to`, attribute by attribute.
pub(super) fn differences(from: &Definition, to: &Definition) -> Vec<Change> {
    let told = |definition: &Definition| -> Vec<String> {
        SetRequest::KEYS
            .iter()
            .map(|key| {
                definition
                    .attribute(key)
                    .unwrap_or_else(|| "none".to_owned())
            })
            .collect()
    };
    let both = told(from).into_iter().zip(told(to));
    let named = SetRequest::KEYS.iter().zip(both);
    named
        .filter(|(_, (from, to))| from != to)
        .map(|(key, (from, to))| Change {
            attribute: key.replace('_', "-"),
            from,
            to,
        })
        .collect()
}
