//! A request to create, and its checks.

use libcvf::control::MacAddr;
use libcvf::limits::{MAX_MTU, MAX_QUEUE_PAIRS, MAX_VLAN, MIN_MTU};
use serde::{Deserialize, Serialize};

use super::attributes::{GroupShare, RateLimits, Trunk, VlanTag};
use super::create::Base;
use super::definition::{
    DataPath, Definition, Doorbells, Interrupts, Link, Personality, RingFormat, SocketAccess,
};
use super::error::EngineError;
use super::lifecycle::{LifeDraft, LifeRequest};
use super::or_none::{NONE, OrNone};
use super::overrides::{Asked, Overrides};
use super::tuning::Tuning;
use super::values::{
    account, check_profile, check_rate, check_share, check_tag, check_tuning, group, mac, mode,
    number, qos, tuned, word,
};
use crate::limits::MAX_RATE_MBIT;
use crate::names::check_name;

/// A request to create a device, as it came: nothing is checked yet, everything is optional.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CreateRequest {
    /// Name; made if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// PF; the first configured one if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pf: Option<String>,
    /// A word of [`Personality`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub personality: Option<String>,
    /// Queue pairs; 1 if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue_pairs: Option<u64>,
    /// MAC address; made if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mac: Option<String>,
    /// MTU in bytes; 1500 if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u64>,
    /// Access VLAN, or none, as if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vlan: Option<OrNone>,
    /// Priority in the tags of its access VLAN, 0 to 7; the guest's if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vlan_qos: Option<OrNone>,
    /// Kind of those tags: a word of [`super::VlanProtocol`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vlan_protocol: Option<String>,
    /// VLANs that a device without access VLAN is confined to, as in `10,200-299`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trunk: Option<String>,
    /// Sent by the guest at most, in Mbit/s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tx_mbit: Option<OrNone>,
    /// Received by it at most, in Mbit/s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rx_mbit: Option<OrNone>,
    /// Sent by the guest at most, in frames per second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tx_frames: Option<OrNone>,
    /// Received by it at most, in frames per second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rx_frames: Option<OrNone>,
    /// Key of the hash that chooses the receive queue, in hexadecimal; its guest's if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rss_key: Option<String>,
    /// Receive queues by that hash, as in `0,1,2,3`, or `equal`; its guest's if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rss_table: Option<String>,
    /// Features that its driver is not offered, as in `-mrg_rxbuf,-rss`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub features: Option<String>,
    /// Name of a group of devices that share a rate; none if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Of that rate guaranteed to it, in Mbit/s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tx_share: Option<OrNone>,
    /// A word of [`Link`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    /// Name of its profile; the daemon's default if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// See [`Overrides::spoof_check`]: on, off, or profile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spoof_check: Option<String>,
    /// See [`Overrides::trust`]: on, off, or profile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trust: Option<String>,
    /// See [`Overrides::promiscuous`]: allow, deny, or profile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub promiscuous: Option<String>,
    /// See [`Overrides::multicast`]: allow, deny, or profile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub multicast: Option<String>,
    /// Only tell what would be done.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
    /// A word of [`Doorbells`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub doorbells: Option<String>,
    /// A word of [`Interrupts`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interrupts: Option<String>,
    /// A word of [`RingFormat`].
    pub ring_format: Option<String>,
    /// A word of [`DataPath`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_path: Option<String>,
    /// Owner of the socket; the daemon's user if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub socket_owner: Option<String>,
    /// Group of the socket; the daemon's if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub socket_group: Option<String>,
    /// Permission bits of the socket in octal; 0660 if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub socket_mode: Option<String>,
    /// When it runs, and how long it is kept.
    #[serde(flatten)]
    pub life: LifeRequest,
}

/// Attributes that are made, taken from the daemon, or about the command, where they are not said.
const DAEMONS: [&str; 11] = [
    "name",
    "pf",
    "mac",
    "profile",
    "link",
    "dry_run",
    "socket_owner",
    "socket_group",
    "socket_mode",
    "start",
    "persistent",
];

impl CreateRequest {
    /// Every attribute by its name on the bus.
    pub const KEYS: [&'static str; 36] = [
        "name",
        "pf",
        "personality",
        "queue_pairs",
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
        "rss_key",
        "rss_table",
        "features",
        "group",
        "tx_share",
        "link",
        "profile",
        "spoof_check",
        "trust",
        "promiscuous",
        "multicast",
        "dry_run",
        "doorbells",
        "interrupts",
        "ring_format",
        "data_path",
        "socket_owner",
        "socket_group",
        "socket_mode",
        "start",
        "order",
        "persistent",
    ];

    /// A request for `name` with everything else left to the defaults.
    pub fn named(name: &str) -> Self {
        Self {
            name: Some(name.to_owned()),
            ..Self::default()
        }
    }

    /// Attributes that were said, be it that the device is to be without.
    fn asked(&self) -> Vec<&'static str> {
        let said = serde_json::to_value(self).unwrap_or_default();
        let keys = Self::KEYS.into_iter();
        let keys = keys.filter(|key| !["name", "dry_run", "persistent"].contains(key));
        keys.filter(|key| said.get(key).is_some_and(|value| !value.is_null()))
            .collect()
    }

    /// Checks every attribute by itself and fills in the defaults that need no knowledge of others.
    ///
    /// # Errors
    /// [`EngineError::InvalidArgument`] for the first attribute that cannot be.
    pub fn check(self) -> Result<Draft, EngineError> {
        if let Some(name) = &self.name {
            check_name(name).map_err(|why| EngineError::invalid("name", name, why))?;
        }
        if let Some(pf) = &self.pf {
            check_name(pf).map_err(|why| EngineError::invalid("pf", pf, why))?;
        }
        let personality = word("personality", self.personality.as_deref())?;
        let data_path: DataPath = word("data_path", self.data_path.as_deref())?;
        let doorbells = match &self.doorbells {
            None => data_path.doorbells(),
            text => word("doorbells", text.as_deref())?,
        };
        let interrupts = word("interrupts", self.interrupts.as_deref())?;
        let ring_format = word("ring_format", self.ring_format.as_deref())?;
        // With hardware's own doorbells it is said what those need.
        let polled = doorbells == Doorbells::Mapped && data_path == DataPath::Auto;
        if polled && interrupts == Interrupts::Intx {
            return Err(EngineError::invalid(
                "doorbells",
                "mapped",
                "a device with intx interrupts cannot map its doorbells, because the client takes \
                 the mapping away around each interrupt; leave one of the two out",
            ));
        }
        if let Some(profile) = &self.profile {
            check_profile(profile)?;
        }
        let asked = self.asked();
        let text = |text: &Option<String>| text.clone().filter(|text| text != NONE);
        let trunk = text(&self.trunk);
        let trunk = trunk.as_deref().map(super::values::trunk).transpose()?;
        let vlan = self.vlan.and_then(OrNone::number);
        if let (Some(trunk), Some(vlan)) = (&trunk, vlan) {
            let why = format!(
                "a device with access VLAN {vlan} is in no other; leave one of the two out"
            );
            return Err(EngineError::invalid("trunk", trunk, why));
        }
        let vlan_tag = VlanTag {
            qos: self
                .vlan_qos
                .and_then(OrNone::number)
                .map(qos)
                .transpose()?,
            protocol: word("vlan_protocol", self.vlan_protocol.as_deref())?,
        };
        check_tag(vlan.is_some(), vlan_tag)?;
        let mut rates = RateLimits::default();
        let each = [self.tx_mbit, self.rx_mbit, self.tx_frames, self.rx_frames];
        for ((key, most), rate) in RateLimits::KEYS.into_iter().zip(each) {
            let rate = rate.and_then(OrNone::number);
            rates.set(
                key,
                rate.map(|rate| check_rate(key, rate, most)).transpose()?,
            );
        }
        let share = GroupShare {
            group: text(&self.group).map(|name| group(&name)).transpose()?,
            tx_share: self
                .tx_share
                .and_then(OrNone::number)
                .map(|share| check_rate("tx_share", share, MAX_RATE_MBIT))
                .transpose()?,
        };
        check_share(&share)?;
        let pairs = self.queue_pairs.unwrap_or(1);
        let tuning = Tuning {
            queue_pairs: None,
            rss_key: tuned("rss_key", text(&self.rss_key).as_deref())?,
            rss_table: tuned("rss_table", text(&self.rss_table).as_deref())?,
            features: tuned("features", text(&self.features).as_deref())?,
        };
        let link = self.link.as_deref().map(|text| word("link", Some(text)));
        let max_pairs = u64::from(MAX_QUEUE_PAIRS);
        let draft = Draft {
            asked,
            vlan_tag,
            trunk,
            rates,
            share,
            link: link.transpose()?,
            overrides: Overrides::asked([
                &self.spoof_check,
                &self.trust,
                &self.promiscuous,
                &self.multicast,
            ])?,
            profile: self.profile,
            dry_run: self.dry_run,
            queue_pairs: {
                let pairs = number("queue_pairs", pairs, 1, max_pairs)?;
                check_tuning(pairs, &tuning)?;
                pairs
            },
            mtu: number(
                "mtu",
                self.mtu.unwrap_or(1500),
                MIN_MTU.into(),
                MAX_MTU.into(),
            )?,
            vlan: vlan
                .map(|vlan| number("vlan", vlan, 1, MAX_VLAN.into()))
                .transpose()?,
            mac: self.mac.as_deref().map(mac).transpose()?,
            socket_owner: account("socket_owner", self.socket_owner)?,
            socket_group: account("socket_group", self.socket_group)?,
            socket_mode: self.socket_mode.as_deref().map(mode).transpose()?,
            life: self.life.check()?,
            name: self.name,
            pf: self.pf,
            personality,
            doorbells,
            interrupts,
            ring_format,
            data_path,
            tuning,
        };
        draft.check_data_path()?;
        Ok(draft)
    }
}

/// A checked request: each attribute is possible by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// Attributes that were said; of the others the definition has the defaults.
    pub asked: Vec<&'static str>,
    /// See [`CreateRequest::name`].
    pub name: Option<String>,
    /// See [`CreateRequest::pf`].
    pub pf: Option<String>,
    /// The device the guest sees.
    pub personality: Personality,
    /// Queue pairs.
    pub queue_pairs: u16,
    /// Unicast, not zero.
    pub mac: Option<MacAddr>,
    /// Bytes.
    pub mtu: u16,
    /// 1 to [`MAX_VLAN`].
    pub vlan: Option<u16>,
    /// Of that VLAN; the default without.
    pub vlan_tag: VlanTag,
    /// See [`CreateRequest::trunk`]; only without an access VLAN.
    pub trunk: Option<Trunk>,
    /// Rates that were given.
    pub rates: RateLimits,
    /// With whom it shares a rate.
    pub share: GroupShare,
    /// What is set of its queues and features; what goes with its queue pairs is not checked.
    pub tuning: Tuning,
    /// Link, if it was given.
    pub link: Option<Link>,
    /// See [`CreateRequest::profile`].
    pub profile: Option<String>,
    /// Decisions that were asked for.
    pub overrides: Vec<Asked>,
    /// Nothing is to be made.
    pub dry_run: bool,
    /// Notifications.
    pub doorbells: Doorbells,
    /// Interrupts; `Intx` only with trapped doorbells.
    pub interrupts: Interrupts,
    /// Ring formats.
    pub ring_format: RingFormat,
    /// Who works its rings; `Direct` only with what goes with it.
    pub data_path: DataPath,
    /// User name or number.
    pub socket_owner: Option<String>,
    /// Group name or number.
    pub socket_group: Option<String>,
    /// Permission bits.
    pub socket_mode: Option<u32>,
    /// See [`CreateRequest::life`].
    pub life: LifeDraft,
}

impl Draft {
    /// The same as a whole definition: what it does not say is to be as it is where nothing is said, apart from what
    /// is made or taken from the daemon.
    #[must_use]
    pub fn whole(mut self) -> Self {
        let said = |key: &&'static str| self.asked.contains(key) || !DAEMONS.contains(key);
        self.asked = CreateRequest::KEYS.into_iter().filter(said).collect();
        self
    }

    /// The first attribute in which `existing` is not what this asks for: (attribute, existing, asked). What was
    /// not asked for may be anything.
    pub fn difference(&self, existing: &Definition) -> Option<(String, String, String)> {
        let asked = self.definition(Base {
            name: existing.name.clone(),
            uuid: existing.uuid,
            sequence: existing.sequence,
            pf: self.pf.clone().unwrap_or_else(|| existing.pf.clone()),
            mac: self.mac.unwrap_or(existing.mac),
            profile: existing.profile.clone(),
            socket: existing.socket.clone(),
            life: self.life.upon(existing.life),
        });
        let told = |definition: &Definition, key: &str| match key {
            "queue_pairs" => definition.queue_pairs.to_string(),
            key => definition.attribute(key).unwrap_or_else(|| {
                let daemons = ["socket_owner", "socket_group"].contains(&key);
                if daemons { "the daemon's" } else { NONE }.to_owned()
            }),
        };
        // What is transient is not started by the daemon.
        let counts = |key: &&&str| !(existing.life.transient && ["start", "order"].contains(*key));
        self.asked.iter().filter(counts).find_map(|key| {
            let (is, asked) = (told(existing, key), told(&asked, key));
            (is != asked).then(|| (key.replace('_', "-"), is, asked))
        })
    }

    /// Who may connect, with the daemon's `defaults` for what was not asked for.
    pub fn access(&self, defaults: &SocketAccess) -> SocketAccess {
        SocketAccess {
            owner: self.socket_owner.clone().or_else(|| defaults.owner.clone()),
            group: self.socket_group.clone().or_else(|| defaults.group.clone()),
            mode: self.socket_mode.unwrap_or(defaults.mode),
        }
    }
}
