use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::offload::EthView;
use crate::switch::Verdict;

fn mac(n: u64) -> PackedMac {
    PackedMac::from_bits(0x5254_0000_0000 | n)
}

fn silent(n: u64) -> PortConfig {
    let mut config = PortConfig::cvf(mac(n));
    config.filter.no_broadcast = true;
    config
}

#[test]
fn numbers_rest_before_they_are_used_again() {
    let rest = MAX_PORT_IDS - MAX_PORTS;
    let switch = Switch::new();
    let mut seen = HashSet::new();
    for n in 0..rest as u64 {
        let id = switch.add_port(silent(n)).unwrap();
        assert!(seen.insert(id), "{id} came back after {n} removals");
        switch.remove_port(id).unwrap();
    }
    assert_eq!(
        switch.add_port(silent(1)),
        Ok(PortId(0)),
        "the one that rested longest"
    );
}

#[test]
fn a_number_used_again_inherits_nothing() {
    let switch = Switch::new();
    let learning = |n| {
        let mut config = silent(n);
        config.filter.all_unicast = true;
        config
    };
    let first = switch.add_port(learning(1)).unwrap();
    let late = switch.snapshot();
    switch.remove_port(first).unwrap();
    // A worker that still holds the old snapshot learns once more.
    late.learned
        .learn(late.permute.apply(Vid(0), mac(77)), first, 0, |_| {
            super::super::learned::Permit::Yes
        });
    assert_eq!(switch.learned_count(first), 1);
    let view = |dst, src| {
        let bytes = [dst, src].map(PackedMac::octets).concat();
        EthView::parse(&[&bytes[..], &[8, 0]].concat()).unwrap()
    };
    let asker = switch.add_port(silent(2)).unwrap();
    assert!(matches!(
        switch.load().forward(asker, &view(mac(77), mac(2)), 0),
        Verdict::Drop(_)
    ));
    let mut last = asker;
    while last != first {
        switch.remove_port(last).unwrap();
        last = switch.add_port(learning(3)).unwrap();
    }
    assert_eq!(switch.learned_count(first), 0);
    assert!(switch.learned(0).is_empty());
}

/// A worker that still holds an older snapshot may learn where the port was.
#[test]
fn an_address_learned_late_does_not_lead_into_another_vlan() {
    let switch = Switch::new();
    let access = |n, vid| PortConfig {
        access_vlan: Some(Vid(vid)),
        ..silent(n)
    };
    let mut config = access(1, 5);
    config.filter.all_unicast = true;
    let moves = switch.add_port(config).unwrap();
    let asker = switch.add_port(access(2, 5)).unwrap();
    let late = switch.snapshot();
    switch
        .set_access_vlan(moves, Some(Vid(6)), TagStyle::default())
        .unwrap();
    let frame = |dst: PackedMac, src: PackedMac| {
        let bytes = [dst, src].map(PackedMac::octets).concat();
        EthView::parse(&[&bytes[..], &[8, 0]].concat()).unwrap()
    };
    late.forward(moves, &frame(mac(2), mac(77)), 0);
    assert_eq!(switch.learned_count(moves), 1);
    let snapshot = switch.load();
    let verdict = snapshot.forward(asker, &frame(mac(77), mac(2)), 0);
    assert!(
        matches!(verdict, Verdict::Drop(crate::switch::Reason::NoReceiver)),
        "{verdict:?}"
    );
}

#[test]
fn the_limit_of_ports() {
    let switch = Switch::new();
    for n in 0..MAX_PORTS as u64 {
        switch.add_port(silent(n)).unwrap();
    }
    assert_eq!(
        switch.add_port(silent(u64::from(u32::MAX))),
        Err(SwitchError::TooManyPorts)
    );
    let snapshot = switch.snapshot();
    for n in 0..MAX_PORTS as u64 {
        assert_eq!(snapshot.owner(Vid(9), mac(n)), Some(PortId(n as u32)));
    }
    switch.remove_port(PortId(5)).unwrap();
    let id = switch.add_port(silent(5)).unwrap();
    assert!(id.index() < MAX_PORT_IDS);
    assert_eq!(switch.load().owner(Vid(9), mac(5)), Some(id));
    assert_eq!(
        snapshot.owner(Vid(9), mac(5)),
        Some(PortId(5)),
        "an old snapshot stays as it was"
    );
}

#[test]
fn an_unknown_number_is_refused() {
    let switch = Switch::new();
    let id = PortId(7);
    let refused = Err(SwitchError::NoSuchPort(id));
    assert_eq!(switch.remove_port(id), refused);
    assert_eq!(switch.set_filter(id, RxFilter::default()), refused);
    assert_eq!(
        switch.set_access_vlan(id, None, TagStyle::default()),
        refused
    );
    assert_eq!(switch.set_rules(id, PortRules::default()), refused);
    assert_eq!((switch.port(id), switch.learned_count(id)), (None, 0));
    switch.flush_learned(id);
}

/// Workers ask while ports come and go: an answer is always one of a moment's.
#[test]
fn readers_among_changes() {
    let switch = Switch::new();
    let asker = switch.add_port(silent(1)).unwrap();
    let stays = switch.add_port(silent(2)).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let bytes = [mac(2), mac(1)].map(PackedMac::octets).concat();
                let view = EthView::parse(&[&bytes[..], &[8, 0]].concat()).unwrap();
                let mut asked = 0;
                while !done.load(Ordering::Relaxed) || asked == 0 {
                    let snapshot = switch.load();
                    let verdict = snapshot.forward(asker, &view, 0);
                    assert!(
                        matches!(verdict, Verdict::Port { to, .. } if to == stays),
                        "{verdict:?}"
                    );
                    asked += 1;
                }
            });
        }
        for n in 0..3000 {
            let id = switch.add_port(PortConfig::cvf(mac(100 + n % 50))).unwrap();
            switch
                .set_access_vlan(id, Some(Vid(5)), TagStyle::default())
                .unwrap();
            switch.remove_port(id).unwrap();
        }
        done.store(true, Ordering::Relaxed);
    });
    assert_eq!(switch.port_count(), 2);
}
