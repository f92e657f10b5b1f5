//! Any device, request, profile and text.

use libcvf::control::{
    Coalescing, CoalescingScope, ControlRequest, DeviceFacts, HashSettings, MacAddr, RssSettings,
};
use libcvf::limits::{MAX_COALESCE_USECS, MAX_FILTER_MACS, RSS_TABLE};
use libcvf::offload::{Accepts, HashTypes};
use policies::Profile;
use policies::limits::MAX_FRAMES;
use policies::profile::{
    AccessVlan, Feature, Format, FrameReaction, Listening, MacPermission, Neighbour, Permission,
    Permissions, Rate, Rates, Reactions, RequestReaction, RingReaction, ShapeLimits, SourceMac,
    SourceVlan, SpoofChecks, VlanPermission,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

/// Few addresses, so that they meet: the device's own, its like, groups and zero.
fn mac() -> impl Strategy<Value = MacAddr> {
    let known = [
        "52:54:00:12:34:56",
        "52:54:00:00:00:01",
        "02:00:00:00:00:01",
        "01:00:5e:00:00:01",
        "ff:ff:ff:ff:ff:ff",
        "00:00:00:00:00:00",
    ];
    let known = known.map(|text| text.parse().expect(text));
    prop_oneof![4 => select(known.to_vec()), 1 => any::<[u8; 6]>().prop_map(MacAddr)]
}

/// A device.
pub fn facts() -> impl Strategy<Value = DeviceFacts> {
    let pairs = select(vec![1, 2, 4, 8, 64]);
    let vlan = proptest::option::of(select(vec![1, 7, 4094]));
    let joined = select(vec![0, 0, 7, 8, 4093]);
    (pairs, vlan, joined).prop_map(|(queue_pairs, access_vlan, joined_vlans)| DeviceFacts {
        assigned_mac: MacAddr([0x52, 0x54, 0, 0x12, 0x34, 0x56]),
        queue_pairs,
        access_vlan,
        joined_vlans,
    })
}

fn vlan() -> impl Strategy<Value = u16> {
    select(vec![0, 1, 7, 100, 250, 4094, 4095, 65535])
}

fn hash() -> impl Strategy<Value = HashSettings> {
    (0..=HashTypes::ALL.0, 0_usize..=40).prop_map(|(types, key)| HashSettings {
        types: HashTypes(types),
        key: vec![1; key],
    })
}

fn pairs() -> impl Strategy<Value = u16> {
    prop_oneof![4 => 0_u16..=9, 1 => any::<u16>()]
}

fn rss() -> impl Strategy<Value = RssSettings> {
    let table = (0..=usize::from(RSS_TABLE) + 1).prop_flat_map(|len| vec(0_u16..5, len));
    (hash(), 0_u16..5, table, pairs()).prop_map(|(hash, unclassified, table, pairs)| RssSettings {
        hash,
        unclassified,
        table,
        pairs,
    })
}

fn coalescing() -> impl Strategy<Value = (CoalescingScope, Coalescing)> {
    let scope = prop_oneof![
        Just(CoalescingScope::Receive),
        Just(CoalescingScope::Transmit),
        (0_u16..5).prop_map(CoalescingScope::ReceiveQueue),
        (0_u16..5).prop_map(CoalescingScope::TransmitQueue),
    ];
    (scope, 0..=MAX_COALESCE_USECS + 1, 0_u32..3).prop_map(|(scope, max_usecs, max_packets)| {
        (
            scope,
            Coalescing {
                max_usecs,
                max_packets,
            },
        )
    })
}

/// A request of any kind.
pub fn asked() -> impl Strategy<Value = ControlRequest> {
    use ControlRequest::*;
    let list = || {
        let full = MAX_FILTER_MACS - 1..=MAX_FILTER_MACS + 1;
        prop_oneof![3 => vec(mac(), 0..4), 1 => vec(mac(), full)]
    };
    prop_oneof![
        mac().prop_map(SetMac),
        (list(), list()).prop_map(|(unicast, multicast)| SetMacFilter { unicast, multicast }),
        any::<bool>().prop_map(Promiscuous),
        any::<bool>().prop_map(AllMulticast),
        any::<bool>().prop_map(AllUnicast),
        any::<bool>().prop_map(NoMulticast),
        any::<bool>().prop_map(NoUnicast),
        any::<bool>().prop_map(NoBroadcast),
        vlan().prop_map(AddVlan),
        vlan().prop_map(DelVlan),
        any::<bool>().prop_map(FilterVlans),
        pairs().prop_map(SetQueuePairs),
        rss().prop_map(SetRss),
        hash().prop_map(SetHash),
        coalescing().prop_map(|(scope, to)| SetCoalescing(scope, to)),
        (0_u16..0x80).prop_map(|bits| SetReceiveOffloads(Accepts(bits))),
    ]
}

fn permission() -> impl Strategy<Value = Permission> {
    select(vec![Permission::Deny, Permission::Allow])
}

fn macs() -> impl Strategy<Value = MacPermission> {
    select(vec![
        MacPermission::Deny,
        MacPermission::Listed,
        MacPermission::AnyUnicast,
    ])
}

fn listening() -> impl Strategy<Value = Listening> {
    select(vec![
        Listening::Deny,
        Listening::AccessVlan,
        Listening::OwnVlans,
    ])
}

fn shape() -> impl Strategy<Value = ShapeLimits> {
    let formats = vec![
        vec![Format::Split],
        vec![Format::Packed],
        vec![Format::Packed, Format::Split],
    ];
    let access = vec![
        AccessVlan::Optional,
        AccessVlan::Required,
        AccessVlan::Forbidden,
    ];
    let features = vec(select(Feature::all().collect::<Vec<_>>()), 0..5);
    (
        1_u16..=64,
        0_u16..=2048,
        0..=RSS_TABLE,
        (68_u16..=1500, 1500_u16..=65_521),
        (permission(), any::<bool>()),
        select(formats),
        select(access),
        features,
    )
        .prop_map(
            |(pairs, vectors, table, mtu, doorbells, formats, access, features)| ShapeLimits {
                max_queue_pairs: pairs,
                max_vectors: vectors,
                max_rss_table: table,
                min_mtu: mtu.0,
                max_mtu: mtu.1,
                mapped_doorbells: doorbells.0,
                direct: doorbells.1,
                ring_formats: formats,
                access_vlan: access,
                features_withheld: features,
            },
        )
}

fn control() -> impl Strategy<Value = Permissions> {
    let patterns = [
        "52:54:00:00:00:00/24",
        "02:00:00:00:00:01",
        "00:00:00:00:00:00/0",
    ];
    let patterns = patterns.map(|text| text.parse().expect(text)).to_vec();
    let ranges = ["1", "100", "200-299", "4000-4094"]
        .map(|text| text.parse().expect(text))
        .to_vec();
    let joins = vec![
        VlanPermission::Deny,
        VlanPermission::Listed,
        VlanPermission::Any,
    ];
    (
        (
            macs(),
            macs(),
            vec(select(patterns), 1..4),
            1_u16..=64,
            0_u16..=64,
        ),
        (
            listening(),
            listening(),
            listening(),
            select(joins),
            (vec(select(ranges), 1..4), 1_u16..=4094),
        ),
        (
            permission(),
            permission(),
            permission(),
            permission(),
            permission(),
        ),
        1..=MAX_COALESCE_USECS,
    )
        .prop_map(|(addresses, receive, queues, usecs)| Permissions {
            mac_change: addresses.0,
            unicast_filter: addresses.1,
            mac_list: addresses.2,
            max_unicast: addresses.3,
            max_multicast: addresses.4,
            promiscuous: receive.0,
            all_unicast: receive.1,
            all_multicast: receive.2,
            vlan_join: receive.3,
            vlan_list: receive.4.0,
            max_vlans: receive.4.1,
            queue_count: queues.0,
            rss: queues.1,
            hash_report: queues.2,
            coalescing: queues.3,
            max_coalescing_microseconds: usecs,
            receive_offloads: queues.4,
        })
}

fn spoof() -> impl Strategy<Value = SpoofChecks> {
    let networks = [
        "0.0.0.0/0",
        "192.0.2.0/24",
        "2001:db8::/32",
        "::/0",
        "fe80::1/128",
    ];
    let networks = networks.map(|text| text.parse().expect(text)).to_vec();
    let neighbours = || {
        select(vec![
            Neighbour::Mac,
            Neighbour::MacAndNetwork,
            Neighbour::Off,
        ])
    };
    (
        select(vec![
            SourceMac::Assigned,
            SourceMac::Granted,
            SourceMac::Any,
        ]),
        select(vec![SourceVlan::Joined, SourceVlan::Any]),
        neighbours(),
        neighbours(),
        vec(select(networks), 1..4),
    )
        .prop_map(|(mac, vlan, arp, nd, source_networks)| SpoofChecks {
            mac,
            vlan,
            arp,
            nd,
            source_networks,
        })
}

fn rates() -> impl Strategy<Value = Rates> {
    let rate = |most| prop_oneof![Just(Rate::Unlimited), (1..=most).prop_map(Rate::Limited)];
    let mbit = || rate(1_000_000);
    let events = || rate(1_000_000);
    let frames = || rate(MAX_FRAMES);
    (
        mbit(),
        mbit(),
        frames(),
        frames(),
        1_u16..=1000,
        events(),
        events(),
    )
        .prop_map(|all| Rates {
            transmit_mbit: all.0,
            receive_mbit: all.1,
            transmit_frames: all.2,
            flood_frames: all.3,
            burst_milliseconds: all.4,
            control_requests: all.5,
            resets_per_minute: all.6,
        })
}

fn reactions() -> impl Strategy<Value = Reactions> {
    use FrameReaction::{Audit, Count, Disconnect, StopDevice};
    let frame = || select(vec![Count, Audit, StopDevice, Disconnect]);
    let requests = vec![
        RequestReaction::Audit,
        RequestReaction::StopDevice,
        RequestReaction::Disconnect,
    ];
    let request = || select(requests.clone());
    let ring = select(vec![
        RingReaction::StopDevice,
        RingReaction::ResetDevice,
        RingReaction::Disconnect,
    ]);
    (
        ring,
        frame(),
        frame(),
        request(),
        request(),
        0_u32..=1_000_000,
    )
        .prop_map(|all| Reactions {
            malformed_ring: all.0,
            malformed_frame: all.1,
            spoofed_frame: all.2,
            denied_request: all.3,
            excess_request: all.4,
            tolerated_per_minute: all.5,
        })
}

/// A profile that can be.
pub fn profile() -> impl Strategy<Value = Profile> {
    let description = "[^\\p{C}]{0,40}";
    (
        description,
        shape(),
        control(),
        spoof(),
        rates(),
        reactions(),
    )
        .prop_map(|all| Profile {
            name: "any".into(),
            description: all.0,
            shape: all.1,
            control: all.2,
            spoof: all.3,
            rates: all.4,
            reactions: all.5,
        })
}

/// Text that often is nearly a profile.
pub fn nearly_toml() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        select(
            policies::profile::keys::KEYS
                .iter()
                .map(|key| key.path)
                .collect::<Vec<_>>()
        )
        .prop_map(str::to_owned),
        select(vec![
            "[", "]", "[[", "]]", "=", "\"", "'''", "\n", "#", ",", "{", "}", ".", "\\", "\r"
        ])
        .prop_map(str::to_owned),
        select(vec![
            "shape",
            "control",
            "spoof",
            "rates",
            "\"deny\"",
            "\"listed\"",
            "-1",
            "1e9",
            "0x10"
        ])
        .prop_map(str::to_owned),
        "\\PC{0,6}",
    ];
    vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}
