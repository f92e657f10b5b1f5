//! What the engine shows: plain values that the bus, `cvfctl` and tests read alike.
//!
//! An absent field means none. Counters count from the device's creation or the daemon's start,
//! whichever is later.

mod health;

pub use health::{DmaFaults, Hardware, Health, Memory, Refusal, Steering};

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::attributes::RateLimits;
use super::definition::Definition;
use super::events::Happening;
use super::hints;
use super::overrides::Overrides;
use super::set::Change;

fn none<T>(option: &Option<T>) -> bool {
    option.is_none()
}

/// What `create`, `define` or `start` did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// The device is new.
    Created,
    /// Nothing was done: the device would be new.
    #[serde(rename = "would-create")]
    WouldCreate,
    /// It was there, as asked for.
    Already,
    /// It was defined, and is composed now.
    Started,
    /// Nothing was done: it would be composed.
    #[serde(rename = "would-start")]
    WouldStart,
    /// It is defined now.
    Defined,
    /// Nothing was done: it would be defined.
    #[serde(rename = "would-define")]
    WouldDefine,
    /// It is defined otherwise now.
    Replaced,
    /// Nothing was done: it would be defined otherwise.
    #[serde(rename = "would-replace")]
    WouldReplace,
}

/// Answer to `create`, `define` and `start`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Created {
    /// What was done.
    pub result: Outcome,
    /// Name.
    pub name: String,
    /// UUID.
    pub uuid: String,
    /// MAC address.
    pub mac: String,
    /// PF.
    pub pf: String,
    /// Profile.
    #[serde(default)]
    pub profile: String,
    /// Path of the socket; a client can connect now. Empty where nothing was made.
    pub socket: String,
    /// Text of QEMU's `-device` option.
    pub qemu: String,
    /// What is otherwise than it was defined before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Change>,
    /// Every other attribute that it would have, by its name on the bus; empty where it was made.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
    /// What the operator should know about this choice.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

impl Created {
    /// About a definition that is not composed, or not yet.
    pub(super) fn of(result: Outcome, definition: &Definition) -> Self {
        Self {
            result,
            name: definition.name.clone(),
            uuid: definition.uuid.to_string(),
            mac: definition.mac.to_string(),
            pf: definition.pf.clone(),
            profile: definition.profile.clone(),
            socket: String::new(),
            qemu: String::new(),
            changes: Vec::new(),
            attributes: BTreeMap::new(),
            notes: hints::notes(definition),
        }
    }

    /// What is told of it.
    pub(super) fn happening(&self) -> Happening {
        Happening::Created {
            device: self.name.clone(),
            uuid: self.uuid.clone(),
            mac: self.mac.clone(),
            pf: self.pf.clone(),
        }
    }
}

/// Where a device stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Composed and listening.
    Ready,
    /// A client is connected.
    Connected,
    /// Defined, and not started.
    Defined,
    /// To be composed, and could not be; or composed, and its socket was taken away from outside.
    Failed,
    /// A command is creating or destroying it.
    Changing,
}

impl State {
    /// The state's word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Connected => "connected",
            Self::Defined => "defined",
            Self::Failed => "failed",
            Self::Changing => "changing",
        }
    }
}

/// One line of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceSummary {
    /// Name.
    pub name: String,
    /// State.
    pub state: State,
    /// UUID.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub uuid: String,
    /// PF.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub pf: String,
    /// Personality.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub personality: String,
    /// Queue pairs.
    #[serde(default)]
    pub queue_pairs: u16,
    /// MAC address as defined.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub mac: String,
    /// MTU in bytes.
    #[serde(default)]
    pub mtu: u16,
    /// Access VLAN.
    #[serde(default, skip_serializing_if = "none")]
    pub vlan: Option<u16>,
    /// VLANs that it is confined to, if given.
    #[serde(default, skip_serializing_if = "none")]
    pub trunk: Option<String>,
    /// Profile.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub profile: String,
    /// Path of the socket; empty when nothing is composed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub socket: String,
    /// What the guest's driver does; empty when nothing is composed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub driver: String,
    /// The link shown to the guest, `up` or `down`; empty when nothing is composed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub link: String,
    /// It is kept until it is undefined or destroyed; else it is transient.
    #[serde(default)]
    pub persistent: bool,
    /// Whether the daemon starts it in another boot of the host: a word of [`super::Start`].
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub start: String,
    /// Its place among those that the daemon starts, lower first.
    #[serde(default)]
    pub order: i32,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "none")]
    pub reason: Option<String>,
}

/// A page of a list, in the order of names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// The entries.
    pub devices: Vec<DeviceSummary>,
    /// Name to pass as `after` for the next page; empty: this was the last.
    pub next: String,
}

/// Who is connected to a device's socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Client {
    /// Process, 0 if it lives in a namespace that is not ours.
    pub pid: u32,
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

impl std::fmt::Display for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "process {} (uid {})", self.pid, self.uid)
    }
}

/// A key of a device's profile as it is in force for the device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InForce {
    /// The key, as in `spoof.mac`.
    pub key: String,
    /// Its value.
    pub value: String,
    /// The attribute of the device that says so, as in `trust=on`, or `profile`.
    pub from: String,
}

/// Everything about one device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceView {
    /// The line of the list.
    #[serde(flatten)]
    pub summary: DeviceSummary,
    /// Notifications.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub doorbells: String,
    /// Interrupts.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub interrupts: String,
    /// Ring formats the driver may choose.
    #[serde(default)]
    pub ring_format: String,
    /// Who works its rings, as defined: a word of [`super::DataPath`].
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub data_path: String,
    /// Owner of the socket, if chosen.
    #[serde(default, skip_serializing_if = "none")]
    pub socket_owner: Option<String>,
    /// Group of the socket, if chosen.
    #[serde(default, skip_serializing_if = "none")]
    pub socket_group: Option<String>,
    /// Permission bits of the socket, in octal.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub socket_mode: String,
    /// Text of QEMU's `-device` option.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub qemu: String,
    /// Place in the order of creation.
    #[serde(default)]
    pub sequence: u64,
    /// Link as defined: a word of [`super::Link`].
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub link: String,
    /// Priority in the tags of its access VLAN, if given.
    #[serde(default, skip_serializing_if = "none")]
    pub vlan_qos: Option<u8>,
    /// Kind of those tags, where there is one: a word of [`super::VlanProtocol`].
    #[serde(default, skip_serializing_if = "none")]
    pub vlan_protocol: Option<String>,
    /// Rates that it was given beside its profile's.
    #[serde(default, skip_serializing_if = "RateLimits::is_none")]
    pub rates: RateLimits,
    /// Most queue pairs that its guest may use, where those are fewer than its slice's.
    #[serde(default, skip_serializing_if = "none")]
    pub queue_pairs_limit: Option<u16>,
    /// Key of the hash that chooses the receive queue, if set.
    #[serde(default, skip_serializing_if = "none")]
    pub rss_key: Option<String>,
    /// Receive queues by that hash, if set.
    #[serde(default, skip_serializing_if = "none")]
    pub rss_table: Option<String>,
    /// Features that its driver is not offered, as given.
    #[serde(default, skip_serializing_if = "none")]
    pub features_withheld: Option<String>,
    /// The group of devices that it shares a rate with, if it is in one.
    #[serde(default, skip_serializing_if = "none")]
    pub group: Option<String>,
    /// Of that rate guaranteed to it, in Mbit/s.
    #[serde(default, skip_serializing_if = "none")]
    pub tx_share: Option<u32>,
    /// False: it runs without what these two say; `notes` has why.
    #[serde(default = "yes", skip_serializing_if = "Clone::clone")]
    pub share_in_force: bool,
    /// Decisions of the operator about it, beside its profile's.
    #[serde(default, skip_serializing_if = "Overrides::is_none")]
    pub overrides: Overrides,
    /// What its guest may do and its frames may claim, and who says so.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub in_force: Vec<InForce>,
    /// How it fares; absent when it is not composed.
    #[serde(default, skip_serializing_if = "none")]
    pub health: Option<Health>,
    /// What the operator should know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// Counters of one direction.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DirectionStats {
    /// Frames passed.
    pub frames: u64,
    /// Their bytes, without virtio headers.
    pub bytes: u64,
    /// Large-send frames among them that passed uncut.
    pub large_frames: u64,
    /// Multicast frames among them.
    pub multicast: u64,
    /// Broadcast frames among them.
    pub broadcast: u64,
    /// Frames dropped, by reason; reasons with zero are left out.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub drops: BTreeMap<String, u64>,
}

/// Counters of a device, or of one of its queue pairs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counters {
    /// To the guest.
    pub rx: DirectionStats,
    /// From the guest.
    pub tx: DirectionStats,
    /// Notifications from the guest that reached the data plane.
    pub doorbells: u64,
    /// Interrupts sent to the guest.
    pub interrupts: u64,
}

/// Counters of one queue pair.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PairCounters {
    /// The pair.
    pub pair: u16,
    /// Its counters.
    #[serde(flatten)]
    pub counters: Counters,
}

/// Counters of a device.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    /// Device.
    pub name: String,
    /// Its place in the order of creation: another one under the same name is another device, whose
    /// counters begin anew.
    #[serde(default)]
    pub sequence: u64,
    /// Messages of its clients so far. Each is a trap of the guest or a doing of its VMM; a driver
    /// under load causes few, with mapped doorbells none.
    #[serde(default)]
    pub messages: u64,
    /// Hardware works its rings: what frames it has sent and received nobody knows.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub uncounted: bool,
    /// The whole device.
    #[serde(flatten)]
    pub total: Counters,
    /// By queue pair.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pairs: Vec<PairCounters>,
}

/// A page of counters, in the order of names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatsPage {
    /// Counters of devices.
    pub stats: Vec<Stats>,
    /// Name to pass as `after` for the next page; empty: this was the last.
    pub next: String,
}

/// Something countable of a PF.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resource {
    /// Its name: `queue-pairs`, `rss-domains`, `vectors`, `doorbell-pages`, `filters`.
    pub kind: String,
    /// How many the PF has.
    pub total: u64,
    /// How many are not part of a device.
    pub free: u64,
}

/// The way north-south.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UplinkView {
    /// `none` or `tap`.
    pub kind: String,
    /// Interface.
    #[serde(default, skip_serializing_if = "none")]
    pub name: Option<String>,
    /// Bridge it was put into.
    #[serde(default, skip_serializing_if = "none")]
    pub bridge: Option<String>,
    /// Frames can pass.
    pub up: bool,
    /// What came in through it.
    #[serde(default)]
    pub rx: DirectionStats,
    /// What went out through it.
    #[serde(default)]
    pub tx: DirectionStats,
}

/// A PF and what is left of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PfView {
    /// Name.
    pub name: String,
    /// `soft`, or the driver of the function behind it: `igb`.
    pub kind: String,
    /// Data-plane workers.
    pub workers: u64,
    /// What share of its time each had something to do lately, in thousandths; queues move from one that has no
    /// time left.
    #[serde(default)]
    pub worker_loads: Vec<u64>,
    /// The way north-south.
    pub uplink: UplinkView,
    /// Devices cut from it.
    pub devices: u64,
    /// What it has and what is left.
    pub resources: Vec<Resource>,
    /// What of these one device gets at most, whatever is left, where its hardware says so.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub most_each: Vec<MostView>,
    /// MTU of its devices at most, where its hardware says so.
    #[serde(default, skip_serializing_if = "none")]
    pub most_mtu: Option<u64>,
    /// The device that has it as a whole.
    #[serde(default, skip_serializing_if = "none")]
    pub exclusive: Option<String>,
    /// Groups of its devices that share a rate.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<GroupView>,
    /// Why its function is not to be had any more; absent: it is, or there is none.
    #[serde(default, skip_serializing_if = "none")]
    pub lost: Option<String>,
}

/// The most of a resource that one device gets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MostView {
    /// The resource.
    pub kind: String,
    /// How many.
    pub count: u64,
}

/// Devices of a PF that share a rate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupView {
    /// Name.
    pub name: String,
    /// What they send together at most, in Mbit/s.
    pub tx_mbit: u64,
    /// What of it is guaranteed to one of them or another, in Mbit/s.
    pub guaranteed_mbit: u64,
    /// How many they are.
    pub devices: u64,
}

/// The daemon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionView {
    /// Version of the program.
    pub version: String,
    /// Version of the bus interface.
    pub api: u64,
    /// Process.
    pub pid: u32,
    /// Where it keeps definitions; an older daemon does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state_dir: Option<String>,
}

const fn yes() -> bool {
    true
}
