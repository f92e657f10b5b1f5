use std::sync::Arc;

use proptest::prelude::*;

use super::model::{Op, answer, frame, run};
use super::*;
use crate::limits::LEARNED_AGEING;
use crate::offload::{EthView, PackedMac, TagStyle, VlanEdit};

fn mac(n: u8) -> PackedMac {
    PackedMac::new([0x52, 0x54, 0, 0, 0, n])
}

fn group(n: u8) -> PackedMac {
    PackedMac::new([0x33, 0x33, 0, 0, 0, n])
}

fn macs(make: fn(u8) -> PackedMac, most: usize) -> impl Strategy<Value = Vec<PackedMac>> {
    prop::sample::subsequence((1..6).map(make).collect::<Vec<_>>(), 0..=most).prop_shuffle()
}

fn rarely() -> impl Strategy<Value = bool> {
    prop::bool::weighted(0.15)
}

fn filter() -> impl Strategy<Value = RxFilter> {
    let flags = [(); 6].map(|()| rarely());
    let table = prop::option::of(prop::collection::vec((1..4_u16).prop_map(Vid), 0..3));
    (macs(mac, 2), macs(group, 3), flags, table).prop_map(|(unicast, multicast, flags, table)| {
        let [
            promiscuous,
            all_multicast,
            all_unicast,
            no_unicast,
            no_multicast,
            no_broadcast,
        ] = flags;
        RxFilter {
            unicast,
            multicast,
            promiscuous,
            all_multicast,
            all_unicast,
            no_unicast,
            no_multicast,
            no_broadcast,
            vlans: table.map(|ids| Arc::new(ids.into_iter().collect())),
        }
    })
}

fn access() -> impl Strategy<Value = Option<Vid>> {
    prop_oneof![3 => Just(None), 2 => (1..3_u16).prop_map(|vid| Some(Vid(vid)))]
}

fn rules() -> impl Strategy<Value = PortRules> {
    let source = prop_oneof![
        6 => Just(SourceMac::Any),
        2 => Just(SourceMac::Granted),
        2 => Just(SourceMac::Assigned),
    ];
    let ids = prop::collection::vec((1..4_u16).prop_map(Vid), 0..3);
    let vlans = prop::option::weighted(0.3, ids);
    (source, vlans).prop_map(|(source, vlans)| PortRules {
        source,
        vlans: vlans.map(|ids| Arc::new(ids.into_iter().collect())),
    })
}

fn tag() -> impl Strategy<Value = TagStyle> {
    (prop::option::of(0..8_u8), rarely())
        .prop_map(|(priority, service)| TagStyle { priority, service })
}

fn port() -> impl Strategy<Value = PortConfig> {
    let kind = prop_oneof![4 => Just(PortKind::Cvf), 1 => Just(PortKind::Uplink)];
    // A port's own address is mostly the one that it was given.
    let reserved = prop_oneof![3 => Just(None), 1 => (1..6_u8).prop_map(|n| Some(mac(n)))];
    let access = (access(), tag());
    (kind, access, filter(), rules(), reserved, any::<bool>()).prop_map(
        |(kind, (access_vlan, tag), filter, rules, other, first)| PortConfig {
            kind,
            access_vlan,
            tag,
            rules,
            reserved: filter.unicast.first().copied().filter(|_| first).or(other),
            filter,
        },
    )
}

fn tags() -> impl Strategy<Value = Vec<(u16, u16)>> {
    prop_oneof![
        5 => Just(vec![]),
        4 => (1..4_u16).prop_map(|vid| vec![(0x8100, vid)]),
        1 => prop::sample::select(vec![
            vec![(0x8100, 0)],
            vec![(0x8100, 0xfff)],
            vec![(0x88a8, 1)],
            vec![(0x88a8, 2), (0x8100, 1)],
            vec![(0x8100, 0), (0x8100, 2)],
            vec![(0x8100, 1), (0x8100, 2)],
            vec![(0x9100, 1), (0x8100, 2)],
            vec![(0x8100, 0), (0x88a8, 1)],
            vec![(0x8100, 0), (0x8100, 0)],
        ]),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    // Addresses 6 to 9 are nobody's: they can only be learned.
    let dst = prop_oneof![
        8 => (1..10_u8).prop_map(mac),
        3 => (1..7_u8).prop_map(group),
        2 => Just(PackedMac::BROADCAST),
        1 => Just(PackedMac::new([1, 0x80, 0xc2, 0, 0, 2])),
    ];
    let src = prop_oneof![
        15 => (1..10_u8).prop_map(mac),
        1 => prop::sample::select(vec![PackedMac::ZERO, group(1), PackedMac::BROADCAST]),
    ];
    let at = 0..16_usize;
    let later = prop_oneof![0..5_u32, Just(LEARNED_AGEING - 1), Just(LEARNED_AGEING)];
    prop_oneof![
        5 => port().prop_map(Op::Add),
        1 => at.clone().prop_map(Op::Remove),
        2 => (at.clone(), filter()).prop_map(|(at, filter)| Op::Filter(at, filter)),
        1 => (at.clone(), access(), tag()).prop_map(|(at, vid, tag)| Op::Access(at, vid, tag)),
        1 => (at.clone(), rules()).prop_map(|(at, rules)| Op::Rules(at, rules)),
        20 => (at.clone(), dst, src, tags())
            .prop_map(|(from, dst, src, tags)| Op::Frame { from, dst, src, tags }),
        1 => later.prop_map(Op::Later),
        1 => Just(Op::Sweep),
        1 => at.prop_map(Op::Flush),
    ]
}

proptest! {
    #[test]
    fn behaves_like_the_model(ops in prop::collection::vec(op(), 1..120)) {
        run(&ops);
    }
}

fn ask(switch: &Switch, from: PortId, dst: PackedMac, src: PackedMac, now: u32) -> Vec<u32> {
    let view = EthView::parse(&frame(dst, src, &[])).unwrap();
    let ports = answer(switch.load().forward(from, &view, now)).unwrap_or_default();
    ports.into_iter().map(|port| port.0).collect()
}

fn promiscuous(own: PackedMac) -> PortConfig {
    let mut config = PortConfig::cvf(own);
    config.filter.promiscuous = true;
    config
}

#[test]
fn two_guests_and_an_uplink() {
    let switch = Switch::new();
    let up = switch.add_port(PortConfig::uplink()).unwrap();
    let a = switch.add_port(PortConfig::cvf(mac(1))).unwrap();
    let b = switch.add_port(PortConfig::cvf(mac(2))).unwrap();
    assert_eq!(ask(&switch, a, mac(2), mac(1), 0), [b.0]);
    assert_eq!(ask(&switch, b, mac(1), mac(2), 0), [a.0]);
    assert_eq!(
        ask(&switch, a, mac(77), mac(1), 0),
        [up.0],
        "unknown goes up, not everywhere"
    );
    assert_eq!(
        ask(&switch, a, PackedMac::BROADCAST, mac(1), 0),
        [up.0, b.0]
    );
    assert_eq!(ask(&switch, up, mac(1), mac(77), 0), [a.0]);
    assert_eq!(
        ask(&switch, up, mac(78), mac(77), 0),
        [0_u32; 0],
        "never back up"
    );
    assert_eq!(switch.learned(0).len(), 1);
    switch.remove_port(b).unwrap();
    assert_eq!(ask(&switch, a, mac(2), mac(1), 0), [up.0]);
}

#[test]
fn an_address_is_owned_once_per_vlan() {
    let switch = Switch::new();
    let access = |vid| PortConfig {
        access_vlan: Some(Vid(vid)),
        ..PortConfig::cvf(mac(1))
    };
    let taken = |vid, port| SwitchError::AddressTaken {
        mac: mac(1),
        vid: Vid(vid),
        port,
    };
    let ten = switch.add_port(access(10)).unwrap();
    let eleven = switch.add_port(access(11)).unwrap();
    assert_eq!(switch.add_port(access(11)), Err(taken(11, eleven)));
    assert_eq!(
        switch.set_access_vlan(ten, Some(Vid(11)), TagStyle::default()),
        Err(taken(11, eleven))
    );
    assert_eq!(
        switch.add_port(PortConfig::cvf(mac(1))),
        Err(taken(10, ten)),
        "a trunk is in all"
    );
    assert_eq!(
        switch.set_access_vlan(eleven, None, TagStyle::default()),
        Err(taken(10, ten))
    );
    switch.remove_port(ten).unwrap();
    switch
        .set_access_vlan(eleven, None, TagStyle::default())
        .unwrap();
    assert_eq!(switch.add_port(access(12)), Err(taken(0, eleven)));
    let error = switch.add_port(access(12)).unwrap_err().to_string();
    assert_eq!(
        error,
        "52:54:00:00:00:01 belongs to port 1 in no VLAN: give another address or another VLAN"
    );
    for vid in [0, 4095, u16::MAX] {
        assert_eq!(
            switch.add_port(access(vid)),
            Err(SwitchError::BadVlan(Vid(vid)))
        );
    }
    assert_eq!(switch.port_count(), 1, "refusals change nothing");
}

#[test]
fn priority_tags_enter_the_access_vlan_with_their_priority() {
    let switch = Switch::new();
    let access = PortConfig {
        access_vlan: Some(Vid(10)),
        ..PortConfig::cvf(mac(1))
    };
    let a = switch.add_port(access).unwrap();
    let up = switch.add_port(PortConfig::uplink()).unwrap();
    let bytes = frame(mac(9), mac(1), &[(0x8100, 0xa000)]);
    let view = EthView::parse(&bytes).unwrap();
    let snapshot = switch.load();
    assert_eq!(answer(snapshot.forward(a, &view, 0)), Ok([up].into()));
    assert_eq!(
        snapshot.egress(a, &view, up),
        VlanEdit::Retag(10, TagStyle::default())
    );
}

/// VLAN hopping: whatever an access port sends is in its VLAN or nowhere.
#[test]
fn an_access_port_cannot_leave_its_vlan() {
    let switch = Switch::new();
    let access = |n: u8| PortConfig {
        access_vlan: Some(Vid(n.into())),
        ..PortConfig::cvf(mac(n))
    };
    let a = switch.add_port(access(10)).unwrap();
    switch.add_port(access(20)).unwrap();
    switch.add_port(PortConfig::uplink()).unwrap();
    let stacks: [&[(u16, u16)]; 6] = [
        &[(0x8100, 20)],
        &[(0x8100, 10), (0x8100, 20)],
        &[(0x8100, 0), (0x8100, 20)],
        &[(0x88a8, 20)],
        &[(0x9100, 0), (0x8100, 20)],
        &[(0x8100, 0xfff)],
    ];
    for tags in stacks {
        for dst in [mac(20), PackedMac::BROADCAST] {
            let view = EthView::parse(&frame(dst, mac(10), tags)).unwrap();
            let given = answer(switch.load().forward(a, &view, 0));
            assert_eq!(given, Err(Reason::TaggedOnAccessPort), "{tags:x?}");
        }
    }
    assert_eq!(ask(&switch, a, mac(20), mac(10), 0), [2], "only up, tagged");
}

#[test]
fn a_static_address_is_never_learned_elsewhere() {
    let switch = Switch::new();
    let up = switch.add_port(PortConfig::uplink()).unwrap();
    let victim = switch.add_port(PortConfig::cvf(mac(1))).unwrap();
    let thief = switch.add_port(promiscuous(mac(2))).unwrap();
    let peer = switch.add_port(PortConfig::cvf(mac(3))).unwrap();
    for now in 0..400 {
        ask(&switch, thief, mac(3), mac(1), now);
        ask(&switch, up, mac(3), mac(1), now);
    }
    assert!(switch.learned(400).is_empty());
    // The thief overhears, as it would without trying.
    assert_eq!(ask(&switch, peer, mac(1), mac(3), 400), [victim.0, thief.0]);
    switch.set_filter(thief, RxFilter::station(mac(2))).unwrap();
    assert_eq!(ask(&switch, peer, mac(1), mac(3), 400), [victim.0]);
    assert!(matches!(
        switch.set_filter(thief, RxFilter { unicast: vec![mac(2), mac(1)], ..RxFilter::default() }),
        Err(SwitchError::AddressTaken { port, .. }) if port == victim
    ));
}

#[test]
fn an_address_learned_first_goes_to_its_later_owner() {
    let switch = Switch::new();
    let squatter = switch.add_port(promiscuous(mac(2))).unwrap();
    let peer = switch.add_port(PortConfig::cvf(mac(3))).unwrap();
    ask(&switch, squatter, mac(3), mac(1), 0);
    assert_eq!(switch.learned(0).len(), 1);
    let owner = switch.add_port(PortConfig::cvf(mac(1))).unwrap();
    assert!(switch.learned(0).is_empty());
    ask(&switch, squatter, mac(3), mac(1), 1);
    assert!(ask(&switch, peer, mac(1), mac(3), 1).contains(&owner.0));
    switch.remove_port(owner).unwrap();
    assert!(switch.learned(1).is_empty());
}

#[test]
fn a_guest_never_takes_an_address_from_the_network() {
    let switch = Switch::new();
    let up = switch.add_port(PortConfig::uplink()).unwrap();
    let nested = switch.add_port(promiscuous(mac(2))).unwrap();
    let other = switch.add_port(promiscuous(mac(4))).unwrap();
    let gateway = mac(50);
    ask(&switch, up, mac(2), gateway, 0);
    for now in 0..LEARNED_AGEING {
        ask(&switch, nested, PackedMac::BROADCAST, gateway, now);
        assert_eq!(switch.learned(now)[0].port, up, "at {now}");
    }
    ask(
        &switch,
        nested,
        PackedMac::BROADCAST,
        gateway,
        LEARNED_AGEING,
    );
    assert_eq!(
        switch.learned(LEARNED_AGEING)[0].port,
        nested,
        "silent for the whole time"
    );
    ask(&switch, up, PackedMac::BROADCAST, gateway, LEARNED_AGEING);
    assert_eq!(
        switch.learned(LEARNED_AGEING)[0].port,
        up,
        "the network takes it back at once"
    );

    // Between guests it moves once the first is quiet: a nested VM that migrates.
    let vm = mac(60);
    let hold = crate::limits::LEARNED_MOVE_HOLD;
    let place = |now| {
        switch
            .learned(now)
            .iter()
            .find(|entry| entry.mac == vm)
            .map(|entry| entry.port)
    };
    ask(&switch, nested, PackedMac::BROADCAST, vm, 1000);
    ask(&switch, other, PackedMac::BROADCAST, vm, 1000 + hold - 1);
    assert_eq!(place(1000 + hold - 1), Some(nested));
    ask(&switch, other, PackedMac::BROADCAST, vm, 1000 + hold);
    assert_eq!(place(1000 + hold), Some(other));
}

#[test]
fn spoofed_sources_are_dropped_where_checked() {
    let switch = Switch::new();
    let checked = |source| PortRules {
        source,
        ..PortRules::default()
    };
    let config = PortConfig {
        rules: checked(SourceMac::Granted),
        reserved: Some(mac(1)),
        ..PortConfig::cvf(mac(1))
    };
    let a = switch.add_port(config).unwrap();
    switch.add_port(PortConfig::cvf(mac(2))).unwrap();
    let verdict = |src| {
        let view = EthView::parse(&frame(mac(2), src, &[])).unwrap();
        answer(switch.load().forward(a, &view, 0)).map(|ports| ports.len())
    };
    assert_eq!(verdict(mac(1)), Ok(1));
    assert_eq!(verdict(mac(2)), Err(Reason::Spoofed), "another's");
    assert_eq!(verdict(mac(3)), Err(Reason::Spoofed), "nobody's");
    let filter = RxFilter {
        unicast: vec![mac(1), mac(3)],
        ..RxFilter::default()
    };
    switch.set_filter(a, filter).unwrap();
    assert_eq!(verdict(mac(3)), Ok(1), "its own now");
    switch.set_rules(a, checked(SourceMac::Assigned)).unwrap();
    assert_eq!(verdict(mac(3)), Err(Reason::Spoofed), "allowed, not given");
    assert_eq!(verdict(mac(1)), Ok(1), "given");
    switch.set_filter(a, RxFilter::station(mac(3))).unwrap();
    assert_eq!(
        verdict(mac(3)),
        Err(Reason::Spoofed),
        "its first one, not given"
    );
    assert_eq!(verdict(mac(1)), Ok(1), "given, though it does not list it");
    switch.set_rules(a, PortRules::default()).unwrap();
    assert_eq!(verdict(mac(2)), Ok(1));
}

/// A trunk that is held to VLANs 1 and 2, and its peers.
fn held(filter: RxFilter) -> (Switch, [PortId; 3]) {
    let switch = Switch::new();
    let up = switch.add_port(PortConfig::uplink()).unwrap();
    let config = PortConfig {
        rules: PortRules {
            vlans: Some(Arc::new([Vid(1), Vid(2)].into_iter().collect())),
            ..PortRules::default()
        },
        filter,
        ..PortConfig::cvf(mac(1))
    };
    let held = switch.add_port(config).unwrap();
    let free = switch.add_port(PortConfig::cvf(mac(2))).unwrap();
    (switch, [up, held, free])
}

#[test]
fn a_trunk_sends_in_its_vlans_alone() {
    let (switch, [up, held, free]) = held(RxFilter::station(mac(1)));
    let verdict = |from, tags: &[(u16, u16)]| {
        let src = if from == held { mac(1) } else { mac(2) };
        let view = EthView::parse(&frame(PackedMac::BROADCAST, src, tags)).unwrap();
        answer(switch.load().forward(from, &view, 0))
    };
    let all = |tags: &[(u16, u16)]| assert_eq!(verdict(held, tags), Ok([up, free].into()));
    all(&[]);
    all(&[(0x8100, 0xa000)]);
    all(&[(0x8100, 1)]);
    all(&[(0x8100, 0x6002)]);
    let stacks: [&[(u16, u16)]; 7] = [
        &[(0x8100, 3)],
        &[(0x8100, 0), (0x8100, 3)],
        &[(0x8100, 0), (0x8100, 1)],
        &[(0x8100, 1), (0x8100, 3)],
        &[(0x88a8, 1)],
        &[(0x9100, 0), (0x8100, 1)],
        &[(0x8100, 1), (0x88a8, 1)],
    ];
    for tags in stacks {
        assert_eq!(verdict(held, tags), Err(Reason::ForeignVlan), "{tags:x?}");
        // Of those that others send it hears what is in its VLANs.
        let heard = tags[0] == (0x8100, 1);
        let given = verdict(free, tags).unwrap().contains(&held);
        assert_eq!(given, heard, "{tags:x?}");
    }
    assert_eq!(verdict(held, &[(0x8100, 0xfff)]), Err(Reason::ReservedVlan));
}

#[test]
fn a_trunk_hears_its_vlans_alone_whatever_its_driver_joined() {
    let joined = |ids: &[u16]| Some(Arc::new(ids.iter().copied().map(Vid).collect()));
    let station = || RxFilter::station(mac(1));
    let filters = [
        (station(), vec![1, 2]),
        (
            RxFilter {
                promiscuous: true,
                ..station()
            },
            vec![1, 2],
        ),
        (
            RxFilter {
                vlans: joined(&[2, 3]),
                ..station()
            },
            vec![2],
        ),
        (
            RxFilter {
                vlans: joined(&[3]),
                ..station()
            },
            vec![],
        ),
        (
            RxFilter {
                vlans: joined(&[3]),
                promiscuous: true,
                ..station()
            },
            vec![1, 2],
        ),
    ];
    for (filter, wanted) in filters {
        let (switch, [_, held, free]) = held(filter.clone());
        for dst in [mac(1), PackedMac::BROADCAST] {
            let heard: Vec<u16> = (1..5)
                .filter(|vid| {
                    let view = EthView::parse(&frame(dst, mac(2), &[(0x8100, *vid)])).unwrap();
                    let given = answer(switch.load().forward(free, &view, 0));
                    given.is_ok_and(|ports| ports.contains(&held))
                })
                .collect();
            assert_eq!(heard, wanted, "{dst} {filter:?}");
        }
        assert!(
            ask(&switch, free, mac(1), mac(2), 0).contains(&held.0),
            "untagged"
        );
    }
}

/// What was learned in a VLAN does not stay in the way when its port may not be in there any more.
#[test]
fn rules_that_change_forget_what_was_learned() {
    let switch = Switch::new();
    let nested = switch.add_port(promiscuous(mac(1))).unwrap();
    ask(&switch, nested, PackedMac::BROADCAST, mac(60), 0);
    assert_eq!(switch.learned(0).len(), 1);
    let rules = PortRules {
        source: SourceMac::Granted,
        ..PortRules::default()
    };
    switch.set_rules(nested, rules.clone()).unwrap();
    assert!(switch.learned(0).is_empty());
    ask(&switch, nested, PackedMac::BROADCAST, mac(60), 0);
    assert!(switch.learned(0).is_empty());
}

#[test]
fn filter_precedence() {
    let base = RxFilter {
        multicast: vec![group(1)],
        ..RxFilter::station(mac(1))
    };
    let with = |change: &dyn Fn(&mut RxFilter)| {
        let mut filter = base.clone();
        change(&mut filter);
        [mac(1), mac(2), group(1), group(2), PackedMac::BROADCAST]
            .map(|dst| u8::from(filter.accepts(dst, Vid(5))))
    };
    assert_eq!(with(&|_| ()), [1, 0, 1, 0, 1]);
    assert_eq!(with(&|f| f.all_unicast = true), [1, 1, 1, 0, 1]);
    assert_eq!(with(&|f| f.all_multicast = true), [1, 0, 1, 1, 1]);
    assert_eq!(
        with(&|f| (f.no_unicast, f.all_unicast) = (true, true)),
        [0, 0, 1, 0, 1]
    );
    assert_eq!(
        with(&|f| (f.no_multicast, f.all_multicast) = (true, true)),
        [1, 0, 0, 0, 1]
    );
    assert_eq!(with(&|f| f.no_broadcast = true), [1, 0, 1, 0, 0]);
    let closed = |f: &mut RxFilter| {
        (f.no_unicast, f.no_multicast, f.no_broadcast) = (true, true, true);
        f.vlans = Some(Arc::default());
    };
    assert_eq!(with(&closed), [0; 5]);
    assert_eq!(
        with(&|f| {
            closed(f);
            f.promiscuous = true;
        }),
        [1; 5]
    );
    let table = RxFilter {
        vlans: Some(Arc::new([Vid(5)].into_iter().collect())),
        ..base
    };
    assert!(table.accepts(mac(1), Vid(5)) && table.accepts(mac(1), Vid::UNTAGGED));
    assert!(!table.accepts(mac(1), Vid(6)));
}

#[test]
fn filter_limits() {
    use crate::limits::MAX_FILTER_MACS;
    let many = |count: usize, lead| -> Vec<_> {
        (0..count)
            .map(|n| PackedMac::new([lead, 0, 0, 0, (n >> 8) as u8, n as u8 + 1]))
            .collect()
    };
    let unicast = |count| {
        RxFilter {
            unicast: many(count, 2),
            ..RxFilter::default()
        }
        .check()
    };
    let multicast = |count| {
        RxFilter {
            multicast: many(count, 3),
            ..RxFilter::default()
        }
        .check()
    };
    assert_eq!(unicast(MAX_FILTER_MACS + 1), Ok(()));
    assert_eq!(
        unicast(MAX_FILTER_MACS + 2),
        Err(FilterError::TooMany(MAX_FILTER_MACS + 2))
    );
    assert_eq!(multicast(MAX_FILTER_MACS), Ok(()));
    assert_eq!(
        multicast(MAX_FILTER_MACS + 1),
        Err(FilterError::TooMany(MAX_FILTER_MACS + 1))
    );
    let bad = |unicast: &[PackedMac], multicast: &[PackedMac]| {
        let (unicast, multicast) = (unicast.to_vec(), multicast.to_vec());
        RxFilter {
            unicast,
            multicast,
            ..RxFilter::default()
        }
        .check()
    };
    assert_eq!(
        bad(&[group(1)], &[]),
        Err(FilterError::NotUnicast(group(1)))
    );
    assert_eq!(
        bad(&[PackedMac::ZERO], &[]),
        Err(FilterError::NotUnicast(PackedMac::ZERO))
    );
    assert_eq!(bad(&[], &[mac(1)]), Err(FilterError::NotMulticast(mac(1))));
    let broadcast = PackedMac::BROADCAST;
    assert_eq!(
        bad(&[], &[broadcast]),
        Err(FilterError::NotMulticast(broadcast))
    );
    assert_eq!(bad(&[mac(1), mac(1)], &[]), Err(FilterError::Twice(mac(1))));
}

#[test]
fn vlan_tables() {
    let mut table = VlanTable::new();
    assert!(table.insert(Vid(0)) && table.insert(Vid(4095)) && table.insert(Vid(63)));
    assert!(!table.insert(Vid(63)) && table.contains(Vid(63)) && !table.contains(Vid(64)));
    assert_eq!(
        table.iter().map(|vid| vid.0).collect::<Vec<_>>(),
        [0, 63, 4095]
    );
    assert!(table.remove(Vid(63)) && !table.remove(Vid(63)));
}

#[test]
fn an_idempotent_change_keeps_every_cached_answer() {
    let switch = Switch::new();
    let a = switch.add_port(PortConfig::cvf(mac(1))).unwrap();
    let before = switch.load().generation();
    switch.set_filter(a, RxFilter::station(mac(1))).unwrap();
    switch
        .set_access_vlan(a, None, TagStyle::default())
        .unwrap();
    assert_eq!(switch.load().generation(), before);
    switch
        .set_access_vlan(a, Some(Vid(3)), TagStyle::default())
        .unwrap();
    assert_ne!(switch.load().generation(), before);
}

#[test]
fn reasons_have_names() {
    assert_eq!(Reason::NoReceiver.index() + 1, Reason::COUNT);
    assert_eq!(Reason::Filtered.name(), "filtered");
    assert_eq!(Reason::UnknownPort.name(), "unknown_port");
}

#[test]
fn a_port_that_is_gone_sends_nothing() {
    let switch = Switch::new();
    let a = switch.add_port(PortConfig::cvf(mac(1))).unwrap();
    switch.remove_port(a).unwrap();
    let view = EthView::parse(&frame(mac(2), mac(1), &[])).unwrap();
    for id in [a, PortId(u32::MAX), PortId(100_000)] {
        let snapshot = switch.snapshot();
        assert_eq!(
            answer(snapshot.forward(id, &view, 0)),
            Err(Reason::UnknownPort)
        );
        assert_eq!(snapshot.egress(id, &view, a), VlanEdit::Keep);
    }
}

/// Found by the model: the port is in no ready list of its VLAN, only at the group.
#[test]
fn a_group_reaches_an_access_port_that_takes_nothing_else() {
    let switch = Switch::new();
    let trunk = switch.add_port(PortConfig::cvf(mac(1))).unwrap();
    let filter = RxFilter {
        multicast: vec![group(1)],
        no_broadcast: true,
        ..RxFilter::default()
    };
    let access = PortConfig {
        filter,
        access_vlan: Some(Vid(2)),
        ..PortConfig::cvf(mac(2))
    };
    let access = switch.add_port(access).unwrap();
    let view = EthView::parse(&frame(group(1), mac(1), &[(0x8100, 2)])).unwrap();
    let given = answer(switch.load().forward(trunk, &view, 0));
    assert_eq!(given, Ok([access].into()));
}

#[test]
fn the_tag_of_an_access_vlan_is_written_as_it_was_given() {
    let switch = Switch::new();
    let access = |n: u8, priority, service| PortConfig {
        access_vlan: Some(Vid(10)),
        tag: TagStyle { priority, service },
        ..PortConfig::cvf(mac(n))
    };
    let a = switch.add_port(access(1, Some(5), true)).unwrap();
    let b = switch.add_port(access(2, None, true)).unwrap();
    let refused = switch.add_port(access(3, None, false)).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "VLAN 10 has tags of 802.1ad here, because another device is in it with them: give the same \
         protocol, or another VLAN"
    );
    let held = PortConfig {
        rules: PortRules {
            vlans: Some(Arc::new([Vid(10)].into_iter().collect())),
            ..PortRules::default()
        },
        ..PortConfig::cvf(mac(4))
    };
    let held = switch.add_port(held).unwrap();
    let trunk = switch.add_port(PortConfig::cvf(mac(5))).unwrap();
    let up = switch.add_port(PortConfig::uplink()).unwrap();
    let snapshot = switch.snapshot();
    let go = |from, dst, tags: &[(u16, u16)]| {
        let bytes = frame(dst, mac(9), tags);
        let view = EthView::parse(&bytes).unwrap();
        let to = answer(snapshot.forward(from, &view, 0)).unwrap_or_default();
        let edit = |to: &PortId| (*to, snapshot.egress(from, &view, *to));
        to.iter().map(edit).collect::<Vec<_>>()
    };
    let all = PackedMac::BROADCAST;
    let tag = TagStyle {
        priority: Some(5),
        service: true,
    };
    let inserted = VlanEdit::Insert(10, tag);
    assert_eq!(
        go(a, all, &[]),
        [(b, VlanEdit::Keep), (trunk, inserted), (up, inserted)],
        "who is held to the customer's VLAN 10 is not in it"
    );
    assert_eq!(go(a, all, &[(0x8100, 0)])[1].1, VlanEdit::Retag(10, tag));
    assert_eq!(
        go(up, mac(1), &[(0x88a8, 10)]),
        [(a, VlanEdit::Strip)],
        "the way back"
    );
    assert_eq!(
        go(up, all, &[(0x8100, 10)]),
        [(held, VlanEdit::Keep), (trunk, VlanEdit::Keep)],
        "a customer's VLAN of that number is another one"
    );
    assert_eq!(go(up, mac(4), &[(0x88a8, 10)]), []);
    // Whoever is alone in it may change it.
    switch.remove_port(b).unwrap();
    let customer = TagStyle::default();
    switch.set_access_vlan(a, Some(Vid(10)), customer).unwrap();
    let view = EthView::parse(&frame(all, mac(9), &[(0x8100, 10)])).unwrap();
    let to = answer(switch.load().forward(up, &view, 0)).unwrap();
    assert!(to.contains(&a));
}
