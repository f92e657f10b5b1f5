//! The sections of a profile, field by field. What a field may be is said once, in
//! [`super::keys`], and checked by it.

use libcvf::limits::{MAX_FILTER_MACS, RSS_TABLE};
use serde::{Deserialize, Serialize};

use super::values::{Feature, MacPattern, Network, Rate, VlanRange};
use super::words::{
    AccessVlan, Format, FrameReaction, Listening, MacPermission, Neighbour, Permission,
    RequestReaction, RingReaction, SourceMac, SourceVlan, VlanPermission,
};
use crate::limits::DEFAULT_VLANS;

/// What a device may be made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct ShapeLimits {
    /// Most queue pairs, at create and in use.
    pub max_queue_pairs: u16,
    /// Most interrupt vectors: a device with `n` queue pairs takes `2n + 2`.
    pub max_vectors: u16,
    /// Most entries of the indirection table of receive-side scaling; 0: none.
    pub max_rss_table: u16,
    /// Smallest MTU, in bytes.
    pub min_mtu: u16,
    /// Largest MTU, in bytes.
    pub max_mtu: u16,
    /// Doorbells in shared memory: a worker polls them and keeps a processor busy.
    pub mapped_doorbells: Permission,
    /// Hardware may work the device's rings: its VM and VMM have the function's own descriptor, and are trusted
    /// with the whole function.
    pub direct: bool,
    /// Ring formats a driver may be offered; `any` at create needs both.
    pub ring_formats: Vec<Format>,
    /// Whether the device has an access VLAN.
    pub access_vlan: AccessVlan,
    /// Features that are not offered, nor what depends on them.
    pub features_withheld: Vec<Feature>,
}

impl Default for ShapeLimits {
    fn default() -> Self {
        Self {
            max_queue_pairs: 1,
            max_vectors: 4,
            max_rss_table: RSS_TABLE,
            min_mtu: 1280,
            max_mtu: 1500,
            mapped_doorbells: Permission::Deny,
            direct: false,
            ring_formats: vec![Format::Split],
            access_vlan: AccessVlan::Optional,
            features_withheld: Vec::new(),
        }
    }
}

/// What its guest may ask for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Permissions {
    /// Which addresses the guest may take as the device's own.
    pub mac_change: MacPermission,
    /// Which addresses it may receive frames for beside its own.
    pub unicast_filter: MacPermission,
    /// The addresses that `listed` means.
    pub mac_list: Vec<MacPattern>,
    /// Most unicast addresses in its filter beside its own.
    pub max_unicast: u16,
    /// Most groups in its filter.
    pub max_multicast: u16,
    /// Who may receive every frame.
    pub promiscuous: Listening,
    /// Who may receive every unicast frame that is not known to be for another.
    pub all_unicast: Listening,
    /// Who may receive every multicast frame.
    pub all_multicast: Listening,
    /// Which VLANs it may join.
    pub vlan_join: VlanPermission,
    /// The VLANs that `listed` means.
    pub vlan_list: Vec<VlanRange>,
    /// Most VLANs that it may have joined at a time.
    pub max_vlans: u16,
    /// Whether it may use more than the first queue pair.
    pub queue_count: Permission,
    /// Whether it may have a hash choose the receive queue.
    pub rss: Permission,
    /// Whether it may have hashes reported.
    pub hash_report: Permission,
    /// Whether it may have interrupts held back.
    pub coalescing: Permission,
    /// Longest time for that, in microseconds.
    pub max_coalescing_microseconds: u32,
    /// Whether it may choose receive offloads while it runs; it may always switch them all off.
    pub receive_offloads: Permission,
}

impl Default for Permissions {
    fn default() -> Self {
        Self {
            mac_change: MacPermission::Deny,
            unicast_filter: MacPermission::Deny,
            mac_list: Vec::new(),
            max_unicast: 0,
            max_multicast: MAX_FILTER_MACS as u16,
            promiscuous: Listening::Deny,
            all_unicast: Listening::Deny,
            all_multicast: Listening::Deny,
            vlan_join: VlanPermission::Deny,
            vlan_list: Vec::new(),
            max_vlans: DEFAULT_VLANS,
            queue_count: Permission::Deny,
            rss: Permission::Deny,
            hash_report: Permission::Deny,
            coalescing: Permission::Deny,
            max_coalescing_microseconds: 1000,
            receive_offloads: Permission::Deny,
        }
    }
}

/// What frames of the guest may claim.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct SpoofChecks {
    /// Source addresses.
    pub mac: SourceMac,
    /// Tags.
    pub vlan: SourceVlan,
    /// Senders of ARP.
    pub arp: Neighbour,
    /// Sources and targets of neighbour discovery.
    pub nd: Neighbour,
    /// The networks that `mac-and-network` means.
    pub source_networks: Vec<Network>,
}

/// How much it may send, receive and ask.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Rates {
    /// Sent by the guest, in Mbit/s.
    pub transmit_mbit: Rate,
    /// Received by the guest, in Mbit/s.
    pub receive_mbit: Rate,
    /// Sent by the guest, in frames per second.
    pub transmit_frames: Rate,
    /// Sent by the guest to everybody: broadcast, multicast and unknown addresses, in frames per second.
    pub flood_frames: Rate,
    /// How long the rates above may be exceeded after a pause, in milliseconds.
    pub burst_milliseconds: u16,
    /// Control requests of the guest, per second; all of them may come at once.
    pub control_requests: Rate,
    /// Resets by the driver, per minute; all of them may come at once.
    pub resets_per_minute: Rate,
}

impl Default for Rates {
    fn default() -> Self {
        Self {
            transmit_mbit: Rate::Limited(1000),
            receive_mbit: Rate::Limited(1000),
            transmit_frames: Rate::Limited(1_000_000),
            flood_frames: Rate::Limited(100),
            burst_milliseconds: 100,
            control_requests: Rate::Limited(1000),
            resets_per_minute: Rate::Limited(60),
        }
    }
}

/// What follows from misbehaviour.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Reactions {
    /// A ring or descriptor that cannot be.
    pub malformed_ring: RingReaction,
    /// A frame that is none, or whose offloads cannot be.
    pub malformed_frame: FrameReaction,
    /// A frame that a spoof check drops.
    pub spoofed_frame: FrameReaction,
    /// A request that is refused.
    pub denied_request: RequestReaction,
    /// A request or reset above its rate.
    pub excess_request: RequestReaction,
    /// How many of each kind are tolerated in a minute, before `stop-device` or `disconnect` happen.
    pub tolerated_per_minute: u32,
}

impl Default for Reactions {
    fn default() -> Self {
        Self {
            malformed_ring: RingReaction::StopDevice,
            malformed_frame: FrameReaction::Audit,
            spoofed_frame: FrameReaction::Audit,
            denied_request: RequestReaction::Audit,
            excess_request: RequestReaction::Audit,
            tolerated_per_minute: 100,
        }
    }
}
