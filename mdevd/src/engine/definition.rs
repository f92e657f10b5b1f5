//! What an operator decided about a device: the part that survives a restart.

use libcvf::control::MacAddr;
use libcvf::limits::{MAX_AVF_QUEUE_PAIRS, MAX_QUEUE_PAIRS};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::attributes::{GroupShare, RateLimits, Trunk, VlanTag};
use super::lifecycle::Life;
use super::overrides::Overrides;
use super::tuning::Tuning;
use crate::text::as_text;

/// The device a guest sees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Personality {
    /// virtio network device, 1af4:1041 (virtio 1.3 5.1).
    #[default]
    #[serde(rename = "virtio-net")]
    VirtioNet,
    /// Intel's adaptive virtual function, 8086:1889, which Linux' `iavf` drives.
    #[serde(rename = "avf")]
    Avf,
}

impl Personality {
    /// Most queue pairs.
    pub(super) const fn most_pairs(self) -> u16 {
        match self {
            Self::VirtioNet => MAX_QUEUE_PAIRS,
            Self::Avf => MAX_AVF_QUEUE_PAIRS,
        }
    }
}

/// How a guest's notifications reach the data plane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Doorbells {
    /// By message; the worker sleeps when idle.
    #[default]
    Trapped,
    /// By shared memory; the worker polls.
    Mapped,
}

/// How a guest is interrupted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Interrupts {
    /// A vector per queue.
    #[default]
    Msix,
    /// One level-triggered line: for VMs whose QEMU must unplug the device.
    Intx,
}

/// Which ring formats a guest's driver may choose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RingFormat {
    /// Split rings: what every driver can do.
    #[default]
    Split,
    /// Packed rings only; a driver that cannot (firmware, for example) is refused.
    Packed,
    /// The driver's choice; Linux takes packed ones.
    Any,
}

/// Who works a device's rings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DataPath {
    /// The daemon, with as much of the PF's hardware as there is: `copied` or `translated`.
    #[default]
    Auto,
    /// The PF's hardware itself. The PF is then the device's alone.
    Direct,
}

impl DataPath {
    fn is_auto(&self) -> bool {
        *self == Self::Auto
    }
}

/// A closed set of words.
pub trait Word: Copy + Eq + Default + 'static {
    /// All of them with their text.
    const WORDS: &'static [(&'static str, Self)];

    /// The value with this text.
    fn from_word(word: &str) -> Option<Self> {
        Self::WORDS
            .iter()
            .find(|(text, _)| *text == word)
            .map(|&(_, value)| value)
    }

    /// The value's text.
    fn word(self) -> &'static str {
        Self::WORDS
            .iter()
            .find(|&&(_, value)| value == self)
            .map_or("?", |&(text, _)| text)
    }
}

impl Word for Personality {
    const WORDS: &'static [(&'static str, Self)] =
        &[("virtio-net", Self::VirtioNet), ("avf", Self::Avf)];
}

impl Word for Doorbells {
    const WORDS: &'static [(&'static str, Self)] =
        &[("trapped", Self::Trapped), ("mapped", Self::Mapped)];
}

impl Word for Interrupts {
    const WORDS: &'static [(&'static str, Self)] = &[("msix", Self::Msix), ("intx", Self::Intx)];
}

impl Word for RingFormat {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("split", Self::Split),
        ("packed", Self::Packed),
        ("any", Self::Any),
    ];
}

impl Word for DataPath {
    const WORDS: &'static [(&'static str, Self)] =
        &[("auto", Self::Auto), ("direct", Self::Direct)];
}

/// Who may connect to a device's socket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SocketAccess {
    /// User name or number; absent: the daemon's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Group name or number; absent: the daemon's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Permission bits.
    pub mode: u32,
}

impl Default for SocketAccess {
    fn default() -> Self {
        Self {
            owner: None,
            group: None,
            mode: 0o660,
        }
    }
}

/// The link that a guest's driver sees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Link {
    /// There is one.
    #[default]
    Up,
    /// The cable is out.
    Down,
    /// As that of its PF's uplink; up where there is none.
    Auto,
}

impl Link {
    fn is_up(&self) -> bool {
        *self == Self::Up
    }

    /// What the guest sees where its PF has a carrier, or has none.
    pub const fn shown(self, carrier: bool) -> bool {
        match self {
            Self::Up => true,
            Self::Down => false,
            Self::Auto => carrier,
        }
    }
}

impl Word for Link {
    const WORDS: &'static [(&'static str, Self)] =
        &[("auto", Self::Auto), ("up", Self::Up), ("down", Self::Down)];
}

/// One device, as defined.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Definition {
    /// Its name: unique, and its key in the store.
    pub name: String,
    /// Its UUID.
    #[serde(with = "as_text")]
    pub uuid: Uuid,
    /// Place in the order of creation; devices come back in it.
    pub sequence: u64,
    /// The PF it is cut from.
    pub pf: String,
    /// The device the guest sees.
    pub personality: Personality,
    /// Receive/transmit queue pairs.
    pub queue_pairs: u16,
    /// Address it starts with.
    #[serde(with = "as_text")]
    pub mac: MacAddr,
    /// Largest payload of a frame, in bytes.
    pub mtu: u16,
    /// Access VLAN.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vlan: Option<u16>,
    /// How its frames are tagged outside of its access VLAN.
    #[serde(default, skip_serializing_if = "VlanTag::is_default")]
    pub vlan_tag: VlanTag,
    /// VLANs that it is confined to where it has no access VLAN; absent: those of its profile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trunk: Option<Trunk>,
    /// Rates beside its profile's.
    #[serde(default, skip_serializing_if = "RateLimits::is_none")]
    pub rates: RateLimits,
    /// With whom it shares a rate.
    #[serde(default, skip_serializing_if = "GroupShare::is_none")]
    pub share: GroupShare,
    /// What its guest may do whatever its profile says.
    #[serde(default, skip_serializing_if = "Overrides::is_none")]
    pub overrides: Overrides,
    /// What is set of its queues and features.
    #[serde(default, skip_serializing_if = "Tuning::is_none")]
    pub tuning: Tuning,
    /// Link.
    #[serde(default, skip_serializing_if = "Link::is_up")]
    pub link: Link,
    /// Name of its profile.
    pub profile: String,
    /// Notifications.
    pub doorbells: Doorbells,
    /// Interrupts.
    pub interrupts: Interrupts,
    /// Ring formats.
    #[serde(default)]
    pub ring_format: RingFormat,
    /// Who works its rings; `Direct` only with what goes with it.
    #[serde(default, skip_serializing_if = "DataPath::is_auto")]
    pub data_path: DataPath,
    /// Who may connect.
    pub socket: SocketAccess,
    /// When it runs, and how long it is kept.
    #[serde(default)]
    pub life: Life,
}

impl Definition {
    /// The attribute of that name on the bus as text; `None`: there is none, or the device is without.
    pub(super) fn attribute(&self, key: &str) -> Option<String> {
        match key {
            "pf" => Some(self.pf.clone()),
            "personality" => Some(self.personality.word().to_owned()),
            "doorbells" => Some(self.doorbells.word().to_owned()),
            "interrupts" => Some(self.interrupts.word().to_owned()),
            "ring_format" => Some(self.ring_format.word().to_owned()),
            "data_path" => Some(self.data_path.word().to_owned()),
            "socket_owner" => self.socket.owner.clone(),
            "socket_group" => self.socket.group.clone(),
            "socket_mode" => Some(format!("{:04o}", self.socket.mode)),
            "link" => Some(self.link.word().to_owned()),
            "profile" => Some(self.profile.clone()),
            "mac" => Some(self.mac.to_string()),
            "mtu" => Some(self.mtu.to_string()),
            "start" => Some(self.life.start.word().to_owned()),
            "order" => Some(self.life.order.to_string()),
            "vlan" => self.vlan.map(|vlan| vlan.to_string()),
            "vlan_qos" => self.vlan_tag.qos.map(|qos| qos.to_string()),
            "vlan_protocol" => Some(self.vlan_tag.protocol.word().to_owned()),
            "trunk" => self.trunk.as_ref().map(Trunk::to_string),
            "queue_pairs" => Some(
                self.tuning
                    .queue_pairs
                    .unwrap_or(self.queue_pairs)
                    .to_string(),
            ),
            "rss_key" => self.tuning.rss_key.as_ref().map(ToString::to_string),
            "rss_table" => self.tuning.rss_table.as_ref().map(ToString::to_string),
            "features" => self.tuning.features.as_ref().map(ToString::to_string),
            "group" => self.share.group.clone(),
            "tx_share" => self.share.tx_share.map(|share| share.to_string()),
            key => {
                let word = self.overrides.word(key).map(str::to_owned);
                word.or_else(|| Some(self.rates.get(key)?.to_string()))
            }
        }
    }
}
