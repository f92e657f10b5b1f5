use super::*;

fn set(attributes: &[(&str, &str)]) -> SetRequest {
    let map: serde_json::Map<_, _> = attributes
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).into()))
        .collect();
    serde_json::from_value(map.into()).expect("a request")
}

fn told(changed: &Changed) -> Vec<String> {
    let tell = |c: &Change| format!("{} {} -> {}", c.attribute, c.from, c.to);
    changed.changes.iter().map(tell).collect()
}

#[test]
fn every_attribute_changes_is_stored_and_comes_back() {
    let house = house();
    house.catalog.create(named("vm1")).expect("created");
    let mac = house.catalog.show("vm1").expect("shown").summary.mac;
    let table: [(&[(&str, &str)], &str); 19] = [
        (&[("link", "down")], "link up -> down"),
        (&[("profile", "tenant")], "profile lab -> tenant"),
        (&[("mtu", "1280")], "mtu 1500 -> 1280"),
        (&[("trunk", "3,1-2")], "trunk none -> 1-3"),
        (&[("trunk", "none")], "trunk 1-3 -> none"),
        (&[("vlan", "7")], "vlan none -> 7"),
        (&[("vlan_qos", "5")], "vlan-qos none -> 5"),
        (
            &[("vlan_protocol", "802.1AD")],
            "vlan-protocol 802.1Q -> 802.1ad",
        ),
        (&[("tx_mbit", "100")], "tx-mbit none -> 100"),
        (&[("rx_mbit", "1000000")], "rx-mbit none -> 1000000"),
        (&[("tx_frames", "1")], "tx-frames none -> 1"),
        (&[("group", "web")], "group none -> web"),
        (&[("tx_share", "50")], "tx-share none -> 50"),
        (&[("rx_frames", "9")], "rx-frames none -> 9"),
        (&[("spoof_check", "off")], "spoof-check profile -> off"),
        (&[("trust", "on")], "trust profile -> on"),
        (&[("promiscuous", "deny")], "promiscuous profile -> deny"),
        (&[("multicast", "allow")], "multicast profile -> allow"),
        (&[("spoof_check", "profile")], "spoof-check off -> profile"),
    ];
    for (attributes, expected) in table {
        let changed = house.catalog.set("vm1", set(attributes)).expect(expected);
        assert!(changed.changed && !changed.dry_run);
        assert_eq!(told(&changed), [expected]);
        let again = house.catalog.set("vm1", set(attributes)).expect(expected);
        assert!(!again.changed && again.changes.is_empty(), "{again:?}");
    }
    let to = [("mac", "02:00:00:00:00:09"), ("rx_frames", "none")];
    let changed = house.catalog.set("vm1", set(&to)).expect("changed");
    let moved = format!("mac {mac} -> 02:00:00:00:00:09");
    assert_eq!(told(&changed), [moved.as_str(), "rx-frames 9 -> none"]);

    let check = |catalog: &Catalog| {
        let shown = catalog.show("vm1").expect("shown");
        let s = &shown.summary;
        assert_eq!(
            (s.mtu, s.vlan, s.profile.as_str()),
            (1280, Some(7), "tenant")
        );
        assert_eq!(s.mac, "02:00:00:00:00:09");
        assert_eq!(
            (shown.link.as_str(), shown.summary.trunk.as_deref()),
            ("down", None)
        );
        assert_eq!(
            (shown.vlan_qos, shown.vlan_protocol.as_deref()),
            (Some(5), Some("802.1ad"))
        );
        assert_eq!(
            (shown.group.as_deref(), shown.tx_share),
            (Some("web"), Some(50))
        );
        assert_eq!(shown.rates.rx_mbit, Some(1_000_000));
        assert_eq!(shown.rates.rx_frames, None);
        let decided = [None, Some(true), Some(false), Some(true)];
        assert_eq!(shown.overrides.all(), decided);
        let from = |key: &str| {
            let one = shown.in_force.iter().find(|one| one.key == key);
            let one = one.expect(key);
            (one.value.clone(), one.from.clone())
        };
        let told = |value: &str, from: &str| (value.to_owned(), from.to_owned());
        assert_eq!(from("control.mac-change"), told("any-unicast", "trust=on"));
        assert_eq!(
            from("control.promiscuous"),
            told("deny", "promiscuous=deny")
        );
        assert_eq!(from("spoof.arp"), told("mac", "profile"));
        let health = shown.health.expect("composed");
        assert_eq!(
            health.mac, "02:00:00:00:00:09",
            "the device, not only its definition"
        );
    };
    check(&house.catalog);
    house.catalog.shut_down();
    let next = catalog(&house.backend, &house.store);
    next.restore().expect("restored");
    check(&next);
}

#[test]
fn an_old_address_is_free_and_a_new_one_taken() {
    let house = house();
    let old = house.catalog.create(named("vm1")).expect("created").mac;
    house.catalog.create(named("vm2")).expect("created");
    let new = "02:00:00:00:00:09";
    house
        .catalog
        .set("vm1", set(&[("mac", new)]))
        .expect("changed");
    let error = house
        .catalog
        .set("vm2", set(&[("mac", new)]))
        .expect_err("taken");
    assert_eq!(error.kind(), ErrorKind::DuplicateMac);
    assert!(
        error.to_string().contains("'vm1' has that address"),
        "{error}"
    );
    house
        .catalog
        .set("vm2", set(&[("mac", &old)]))
        .expect("free");
}

#[test]
fn what_cannot_be_is_refused_with_everything_else_asked_for() {
    let house = house();
    house.catalog.create(named("vm1")).expect("created");
    let before = house.catalog.show("vm1").expect("shown");
    let table: [(&[(&str, &str)], &str); 21] = [
        (&[], "nothing is to be changed; give one of link, profile"),
        (&[("link", "sideways")], "link \"sideways\" cannot be"),
        (&[("mtu", "67")], "from 68"),
        (&[("mtu", "none")], "it is a number from 68"),
        (&[("vlan", "4095")], "from 1 to 4094"),
        (&[("vlan", "x")], "or none"),
        (&[("tx_share", "50")], "give group, too"),
        (&[("tx_share", "0"), ("group", "web")], "from 1 to 1000000"),
        (&[("group", "a/b")], "group \"a/b\" cannot be"),
        (&[("vlan_qos", "8"), ("vlan", "7")], "it is from 0 to 7"),
        (&[("vlan_qos", "-1"), ("vlan", "7")], "or none"),
        (&[("vlan_qos", "5")], "give vlan, too"),
        (&[("vlan_protocol", "802.1ad")], "give vlan, too"),
        (
            &[("vlan_protocol", "802.1aad"), ("vlan", "7")],
            "did you mean '802.1ad'?",
        ),
        (&[("trunk", "0")], "as in 10,200-299"),
        (&[("mac", "01:00:00:00:00:00")], "group bit"),
        (&[("profile", "tenantt")], "did you mean 'tenant'?"),
        (&[("profile", "../x")], "it is no name of a profile"),
        (&[("tx_mbit", "0")], "from 1 to 1000000"),
        (&[("vlan", "7"), ("trunk", "8")], "set vlan=none, too"),
        (
            &[("trust", "onn")],
            "it is one of on, off, profile; did you mean 'on'?",
        ),
    ];
    for (attributes, expected) in table {
        let mut all = attributes.to_vec();
        if !attributes.is_empty() {
            all.push(("rx_mbit", "77"));
        }
        let error = house.catalog.set("vm1", set(&all)).expect_err(expected);
        let text = error.to_string();
        assert!(text.contains(expected), "{text}");
        assert!(text.starts_with("cannot change 'vm1': "), "{text}");
    }
    assert_eq!(house.catalog.show("vm1").expect("shown"), before);
    let error = house
        .catalog
        .set("vm2", set(&[("mtu", "1400")]))
        .expect_err("unknown");
    assert!(error.to_string().contains("did you mean 'vm1'?"), "{error}");
}

#[test]
fn a_profile_refuses_with_every_key_and_a_dry_run_says_so_too() {
    let house = house();
    house.catalog.create(named("vm1")).expect("created");
    let asked = [("profile", "container"), ("mtu", "9001")];
    for dry_run in [true, false] {
        let request = SetRequest {
            dry_run,
            ..set(&asked)
        };
        let error = house.catalog.set("vm1", request).expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::Denied);
        let text = error.to_string();
        assert!(
            text.contains("profile 'container' has shape.max-mtu"),
            "{text}"
        );
    }
    let request = SetRequest {
        dry_run: true,
        ..set(&[("mtu", "1400")])
    };
    let would = house.catalog.set("vm1", request).expect("told");
    assert!(would.dry_run && would.changed);
    assert_eq!(told(&would), ["mtu 1500 -> 1400"]);
    assert_eq!(house.catalog.show("vm1").expect("shown").summary.mtu, 1500);
}

#[test]
fn a_store_or_a_device_that_refuses_leaves_everything_as_it_was() {
    let house = house();
    house.catalog.create(named("vm1")).expect("created");
    let before = house.catalog.show("vm1").expect("shown");
    let asked = [("mac", "02:00:00:00:00:09"), ("mtu", "1400")];
    house.store.break_writes(true);
    let error = house.catalog.set("vm1", set(&asked)).expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::StoreFailed);
    house.store.break_writes(false);
    house.backend.refuse_changes(true);
    let error = house.catalog.set("vm1", set(&asked)).expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::NotReady);
    house.backend.refuse_changes(false);
    assert_eq!(house.catalog.show("vm1").expect("shown"), before);
    let stored = house.store.load().expect("readable").remove(0);
    assert_eq!(stored.definition.expect("a definition").mtu, 1500);
    let request = CreateRequest {
        mac: Some("02:00:00:00:00:09".into()),
        ..named("vm2")
    };
    house.catalog.create(request).expect("the address is free");
}

#[test]
fn what_is_made_can_be_told_without_making_it() {
    let house = house_with(2);
    let request = CreateRequest {
        queue_pairs: Some(2),
        dry_run: true,
        ..named("vm1")
    };
    let would = house.catalog.create(request.clone()).expect("it could be");
    assert_eq!(would.result, Outcome::WouldCreate);
    assert_eq!(would.socket, "");
    assert!(house.catalog.show("vm1").is_err());
    assert_eq!(free_pairs(&house.catalog), 2);
    assert_eq!(files(house.dir.path()), 0);
    let made = house.catalog.create(CreateRequest {
        dry_run: false,
        ..request.clone()
    });
    let made = made.expect("created");
    assert_eq!((made.mac, made.uuid), (would.mac, would.uuid));
    let again = house.catalog.create(request).expect("there");
    assert_eq!(again.result, Outcome::Already);
    let more = CreateRequest {
        dry_run: true,
        ..named("vm2")
    };
    let error = house.catalog.create(more).expect_err("nothing is left");
    assert_eq!(error.kind(), ErrorKind::NoResources);
}

#[test]
fn threads_that_change_one_device_leave_store_and_device_alike() {
    let house = house();
    house.catalog.create(named("vm1")).expect("created");
    std::thread::scope(|scope| {
        for n in 0..8_u16 {
            let catalog = &house.catalog;
            scope.spawn(move || {
                for round in 0..20 {
                    let mtu = (1300 + n * 20 + round).to_string();
                    catalog.set("vm1", set(&[("mtu", &mtu)])).expect("changed");
                }
            });
        }
    });
    let shown = house.catalog.show("vm1").expect("shown").summary.mtu;
    let stored = house.store.load().expect("readable").remove(0);
    assert_eq!(stored.definition.expect("a definition").mtu, shown);
}

#[test]
fn tags_go_with_their_vlan() {
    let house = house();
    let request = CreateRequest {
        vlan: Some(7.into()),
        vlan_qos: Some(3.into()),
        vlan_protocol: Some("802.1ad".into()),
        ..named("vm1")
    };
    house.catalog.create(request.clone()).expect("created");
    let again = house.catalog.create(request.clone()).expect("there");
    assert_eq!(again.result, Outcome::Already);
    let other = CreateRequest {
        vlan_qos: Some(4.into()),
        ..request
    };
    let error = house.catalog.create(other).expect_err("another");
    assert!(error.to_string().contains("vlan-qos"), "{error}");
    let changed = house.catalog.set("vm1", set(&[("vlan", "none")]));
    assert_eq!(
        told(&changed.expect("changed")),
        [
            "vlan 7 -> none",
            "vlan-qos 3 -> none",
            "vlan-protocol 802.1ad -> 802.1Q"
        ]
    );
    let shown = house.catalog.show("vm1").expect("shown");
    assert_eq!((shown.vlan_qos, shown.vlan_protocol), (None, None));
    let bare = CreateRequest {
        vlan_qos: Some(3.into()),
        ..named("vm2")
    };
    let error = house.catalog.create(bare).expect_err("refused");
    assert!(error.to_string().contains("give vlan, too"), "{error}");
}

#[test]
fn queues_and_features_are_set_within_the_slice() {
    let house = house_with(4);
    let request = CreateRequest {
        queue_pairs: Some(4),
        rss_table: Some("0,3".into()),
        features: Some("-hash_report".into()),
        ..named("vm1")
    };
    house.catalog.create(request.clone()).expect("created");
    let again = house.catalog.create(request).expect("there");
    assert_eq!(again.result, Outcome::Already);
    let refused: [(&[(&str, &str)], &str); 8] = [
        (&[("queue_pairs", "5")], "slice has 4 for its life"),
        (&[("queue_pairs", "0")], "from 1 to 64"),
        (
            &[("queue_pairs", "2")],
            "names receive queue 3, and the device may use 2",
        ),
        (&[("rss_table", "0,4")], "names receive queue 4"),
        (&[("rss_table", "0,1,2")], "it has 3 entries"),
        (&[("rss_key", "0a")], "it has 2 digits"),
        (&[("features", "-version_1")], "always offered"),
        (&[("features", "-rsss")], "did you mean 'RSS'?"),
    ];
    for (attributes, expected) in refused {
        for dry_run in [true, false] {
            let request = SetRequest {
                dry_run,
                ..set(attributes)
            };
            let error = house.catalog.set("vm1", request).expect_err(expected);
            assert!(error.to_string().contains(expected), "{error}");
        }
    }
    let key = "0a".repeat(40);
    type Row<'a> = (&'a [(&'a str, &'a str)], &'a [&'a str]);
    let changes: [Row<'_>; 4] = [
        (
            &[("queue_pairs", "2"), ("rss_table", "equal")],
            &["queue-pairs 4 -> 2", "rss-table 0,3 -> equal"],
        ),
        (
            &[("features", "-rss,-mrg_rxbuf")],
            &["features -HASH_REPORT -> -MRG_RXBUF,-RSS"],
        ),
        (&[("rss_table", "none")], &["rss-table equal -> none"]),
        (&[("queue_pairs", "4")], &["queue-pairs 2 -> 4"]),
    ];
    for (attributes, expected) in changes {
        let changed = house.catalog.set("vm1", set(attributes)).expect("changed");
        assert_eq!(told(&changed), expected);
    }
    let changed = house.catalog.set("vm1", set(&[("rss_key", &key)]));
    assert_eq!(
        told(&changed.expect("changed")),
        [format!("rss-key none -> {key}")]
    );
    house.catalog.shut_down();
    let next = catalog(&house.backend, &house.store);
    next.restore().expect("restored");
    let shown = next.show("vm1").expect("shown");
    assert_eq!((shown.rss_key, shown.rss_table), (Some(key), None));
    assert_eq!(shown.features_withheld.as_deref(), Some("-MRG_RXBUF,-RSS"));
    assert_eq!(
        (shown.summary.queue_pairs, shown.queue_pairs_limit),
        (4, None)
    );
}
