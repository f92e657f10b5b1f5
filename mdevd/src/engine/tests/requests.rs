use super::*;

#[test]
fn another_definition_under_the_same_name_names_what_differs() {
    let house = house();
    house.catalog.create(named("vm1")).expect("created");
    let differing = [
        (
            CreateRequest {
                pf: Some("soft1".into()),
                ..named("vm1")
            },
            "pf soft0, and pf soft1",
        ),
        (
            CreateRequest {
                queue_pairs: Some(2),
                ..named("vm1")
            },
            "queue-pairs 1, and queue-pairs 2",
        ),
        (
            CreateRequest {
                mtu: Some(9000),
                ..named("vm1")
            },
            "mtu 1500, and mtu 9000",
        ),
        (
            CreateRequest {
                vlan: Some(5.into()),
                ..named("vm1")
            },
            "vlan none, and vlan 5",
        ),
        (
            CreateRequest {
                mac: Some("02:00:00:00:00:01".into()),
                ..named("vm1")
            },
            "mac 02:00:00:00:00:01",
        ),
        (
            CreateRequest {
                doorbells: Some("mapped".into()),
                ..named("vm1")
            },
            "doorbells trapped",
        ),
        (
            CreateRequest {
                interrupts: Some("intx".into()),
                ..named("vm1")
            },
            "interrupts msix",
        ),
        (
            CreateRequest {
                ring_format: Some("packed".into()),
                ..named("vm1")
            },
            "ring-format split",
        ),
        (
            CreateRequest {
                socket_mode: Some("0600".into()),
                ..named("vm1")
            },
            "socket-mode 0660",
        ),
        (
            CreateRequest {
                socket_owner: Some("qemu".into()),
                ..named("vm1")
            },
            "socket-owner the daemon's",
        ),
    ];
    for (request, expected) in differing {
        let error = house.catalog.create(request).expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::AlreadyExists);
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[test]
fn what_was_not_asked_for_does_not_differ() {
    let house = house();
    let whole = CreateRequest {
        queue_pairs: Some(4),
        mtu: Some(9000),
        vlan: Some(5.into()),
        vlan_qos: Some(3.into()),
        vlan_protocol: Some("802.1ad".into()),
        interrupts: Some("intx".into()),
        ring_format: Some("any".into()),
        tx_mbit: Some(500.into()),
        features: Some("-rss".into()),
        ..named("vm1")
    };
    house.catalog.create(whole.clone()).expect("created");
    for request in [named("vm1"), whole] {
        let again = house.catalog.create(request).expect("there");
        assert_eq!(again.result, Outcome::Already);
    }
    let none = CreateRequest {
        tx_mbit: Some(OrNone::None),
        ..named("vm1")
    };
    let error = house.catalog.create(none).expect_err("it has a rate");
    assert_eq!(
        error.to_string(),
        "cannot create 'vm1': it exists with tx-mbit 500, and tx-mbit none was asked for; 'cvfctl set vm1 \
         tx-mbit=none' changes it, or use another name"
    );
}

#[test]
fn none_is_what_a_device_is_without_being_told() {
    let house = house();
    let none = || Some(OrNone::None);
    let word = || Some("none".to_owned());
    let request = CreateRequest {
        vlan: none(),
        vlan_qos: none(),
        trunk: word(),
        tx_mbit: none(),
        rx_mbit: none(),
        tx_frames: none(),
        rx_frames: none(),
        rss_key: word(),
        rss_table: word(),
        features: word(),
        group: word(),
        tx_share: none(),
        ..named("vm1")
    };
    house.catalog.create(request.clone()).expect("created");
    house.catalog.create(named("plain")).expect("created");
    let stored = house.store.load().expect("readable");
    let stored: Vec<_> = stored.into_iter().flat_map(|one| one.definition).collect();
    let [one, other] = stored.as_slice() else {
        panic!("two devices: {stored:?}")
    };
    for key in CreateRequest::KEYS.iter().filter(|key| **key != "mac") {
        assert_eq!(one.attribute(key), other.attribute(key), "{key}");
    }
    let again = house.catalog.create(request).expect("there");
    assert_eq!(again.result, Outcome::Already);
}

#[test]
fn every_argument_is_checked_at_its_edges() {
    let house = house();
    let some = |text: &str| Some(text.to_owned());
    let good = [
        CreateRequest {
            mtu: Some(68),
            ..named("a")
        },
        CreateRequest {
            mtu: Some(65_521),
            ..named("b")
        },
        CreateRequest {
            vlan: Some(1.into()),
            ..named("c")
        },
        CreateRequest {
            vlan: Some(4094.into()),
            ..named("d")
        },
        CreateRequest {
            queue_pairs: Some(48),
            ..named("e")
        },
        CreateRequest {
            socket_mode: some("600"),
            ..named("f")
        },
        CreateRequest {
            personality: some("virtio-net"),
            ..named("g")
        },
    ];
    for request in good {
        house.catalog.create(request).expect("possible");
    }
    let bad = [
        (named(".x"), "name"),
        (named(""), "name"),
        (
            CreateRequest {
                pf: some("no/pf"),
                ..named("z")
            },
            "pf",
        ),
        (
            CreateRequest {
                mtu: Some(67),
                ..named("z")
            },
            "mtu",
        ),
        (
            CreateRequest {
                mtu: Some(65_522),
                ..named("z")
            },
            "mtu",
        ),
        (
            CreateRequest {
                vlan: Some(0.into()),
                ..named("z")
            },
            "vlan",
        ),
        (
            CreateRequest {
                vlan: Some(4095.into()),
                ..named("z")
            },
            "vlan",
        ),
        (
            CreateRequest {
                queue_pairs: Some(0),
                ..named("z")
            },
            "queue-pairs",
        ),
        (
            CreateRequest {
                queue_pairs: Some(65),
                ..named("z")
            },
            "queue-pairs",
        ),
        (
            CreateRequest {
                queue_pairs: Some(u64::MAX),
                ..named("z")
            },
            "queue-pairs",
        ),
        (
            CreateRequest {
                mac: some("02:00:00:00:00"),
                ..named("z")
            },
            "mac",
        ),
        (
            CreateRequest {
                mac: some("03:00:00:00:00:01"),
                ..named("z")
            },
            "unicast",
        ),
        (
            CreateRequest {
                mac: some("00:00:00:00:00:00"),
                ..named("z")
            },
            "mac",
        ),
        (
            CreateRequest {
                personality: some("virtio-nte"),
                ..named("z")
            },
            "did you mean 'virtio-net'?",
        ),
        (
            CreateRequest {
                doorbells: some("rung"),
                ..named("z")
            },
            "trapped, mapped",
        ),
        (
            CreateRequest {
                interrupts: some("msi"),
                ..named("z")
            },
            "msix, intx",
        ),
        (
            CreateRequest {
                ring_format: some("round"),
                ..named("z")
            },
            "split, packed, any",
        ),
        (
            CreateRequest {
                socket_mode: some("888"),
                ..named("z")
            },
            "socket-mode",
        ),
        (
            CreateRequest {
                socket_mode: some("1777"),
                ..named("z")
            },
            "socket-mode",
        ),
        (
            CreateRequest {
                socket_owner: some("no-such-user"),
                ..named("z")
            },
            "socket-owner",
        ),
        (
            CreateRequest {
                socket_group: some(""),
                ..named("z")
            },
            "socket-group",
        ),
        (
            CreateRequest {
                doorbells: some("mapped"),
                interrupts: some("intx"),
                ..named("z")
            },
            "intx interrupts cannot map",
        ),
    ];
    for (request, expected) in bad {
        let error = house.catalog.create(request.clone()).expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{request:?}");
        let error = error.to_string();
        let name = request.name.unwrap_or_default();
        let attempted = format!("cannot create '{name}': ");
        assert!(
            error.starts_with(&attempted) && error.contains(expected),
            "{error}"
        );
    }
    let nameless = CreateRequest {
        name: None,
        mtu: Some(67),
        ..CreateRequest::default()
    };
    assert_eq!(
        house
            .catalog
            .create(nameless)
            .expect_err("refused")
            .to_string(),
        "cannot create a device: mtu \"67\" cannot be: it is from 68 to 65521"
    );
    assert_eq!(
        house.store.load().expect("readable").len(),
        7,
        "refusals leave nothing"
    );
}

#[test]
fn unknown_names_get_a_suggestion() {
    let house = house();
    house.catalog.create(named("web-1")).expect("created");
    let error = house.catalog.destroy("web1", false).expect_err("unknown");
    assert_eq!(
        error.to_string(),
        "cannot destroy 'web1': there is no device 'web1'; did you mean 'web-1'? 'cvfctl list' shows what there is"
    );
    let error = house.catalog.pf("sotf0").expect_err("unknown");
    assert_eq!(
        error.to_string(),
        "cannot show 'sotf0': there is no PF 'sotf0'; did you mean 'soft0'? 'cvfctl pf list' shows what there is"
    );
    let error = house.catalog.show("elsewhere").expect_err("unknown");
    assert_eq!(
        error.to_string(),
        "cannot show 'elsewhere': there is no device 'elsewhere'; 'cvfctl list' shows what there is"
    );
    let request = CreateRequest {
        pf: Some("soft9".into()),
        ..named("z")
    };
    assert_eq!(
        house.catalog.create(request).expect_err("unknown").kind(),
        ErrorKind::NotFound
    );
}

#[test]
fn lists_are_paged_by_name() {
    let house = house();
    for n in 0..7 {
        house
            .catalog
            .create(named(&format!("d{n}")))
            .expect("created");
    }
    let mut seen = Vec::new();
    let mut after = String::new();
    loop {
        let page = house.catalog.list(&after, 3);
        assert!(page.devices.len() <= 3);
        seen.extend(page.devices.into_iter().map(|d| d.name));
        after = page.next;
        if after.is_empty() {
            break;
        }
    }
    assert_eq!(seen, ["d0", "d1", "d2", "d3", "d4", "d5", "d6"]);
    assert_eq!(
        house.catalog.list("", 0).devices.len(),
        1,
        "a page is never empty by request"
    );
    assert_eq!(
        house.catalog.list("", usize::MAX).devices.len(),
        7,
        "nor larger than {MAX_PAGE}"
    );
    assert_eq!(house.catalog.list("d6", MAX_PAGE).devices.len(), 0);
}

#[test]
fn counters_are_paged_by_name_and_by_their_number() {
    let house = house_with(10_000);
    for n in 0..70 {
        let request = CreateRequest {
            queue_pairs: Some(64),
            ..named(&format!("d{n:02}"))
        };
        house.catalog.create(request).expect("created");
    }
    let all = house.catalog.list_stats("", MAX_PAGE, false);
    assert_eq!((all.stats.len(), all.next.as_str()), (70, ""));
    let page = house.catalog.list_stats("", MAX_PAGE, true);
    assert_eq!(
        (page.stats.len(), page.next.as_str()),
        (64, "d63"),
        "4096 pairs"
    );
    let rest = house.catalog.list_stats(&page.next, MAX_PAGE, true);
    assert_eq!((rest.stats.len(), rest.next.as_str()), (6, ""));
    let before = rest.stats[0].sequence;
    house.catalog.destroy("d64", false).expect("destroyed");
    house.catalog.create(named("d64")).expect("created");
    let again = house.catalog.list_stats("d63", 1, false);
    assert_ne!(again.stats[0].sequence, before, "another device");
}

#[test]
fn a_socket_that_somebody_removed_is_told() {
    let house = house();
    let made = house.catalog.create(named("vm1")).expect("created");
    let shown = || house.catalog.list("", 1).devices.remove(0);
    assert_eq!((shown().state, shown().link.as_str()), (State::Ready, "up"));
    std::fs::remove_file(&made.socket).expect("removed");
    let reason = shown().reason.unwrap_or_default();
    assert_eq!(shown().state, State::Failed);
    assert!(
        reason.contains(&made.socket) && reason.contains("create it again"),
        "{reason}"
    );
    house.backend.connect("vm1", QEMU);
    assert_eq!(
        shown().state,
        State::Connected,
        "a connection needs no path"
    );
    house.backend.disconnect("vm1");
    house.catalog.destroy("vm1", false).expect("destroyed");
    house.catalog.create(named("vm1")).expect("created");
    assert_eq!(shown().state, State::Ready, "as the reason promises");
}

#[test]
fn names_are_made_when_none_is_given() {
    let house = house();
    let one = house
        .catalog
        .create(CreateRequest::default())
        .expect("created");
    let two = house
        .catalog
        .create(CreateRequest::default())
        .expect("created");
    assert_ne!(one.name, two.name);
    assert_ne!(one.mac, two.mac);
    assert_ne!(one.uuid, two.uuid);
}

#[test]
fn choices_with_a_cost_are_commented() {
    let house = house();
    let notes = |request| {
        house
            .catalog
            .create(request)
            .expect("created")
            .notes
            .join("\n")
    };
    assert!(notes(named("a")).contains("hot-unplugged"));
    let intx = CreateRequest {
        interrupts: Some("intx".into()),
        ..named("b")
    };
    assert_eq!(notes(intx), "");
    let mapped = CreateRequest {
        doorbells: Some("mapped".into()),
        ..named("c")
    };
    assert!(notes(mapped).contains("one core busy"));
}

#[test]
fn features_that_a_personality_does_not_know_are_commented() {
    let house = house();
    let function = |name, features: &str| CreateRequest {
        personality: Some("avf".into()),
        features: Some(features.into()),
        ..named(name)
    };
    let notes = |request| {
        let made = house.catalog.create(request).expect("created");
        made.notes.join("\n")
    };
    let told = notes(function("a", "-csum,-host_tso4,-rss"));
    let expected = "withholding CSUM, HOST_TSO4 changes nothing for personality 'avf', whose driver has what it has in \
                    any case; CTRL_VLAN, MQ, HOST_USO, RSS can be withheld";
    assert!(told.contains(expected), "{told}");
    assert!(!notes(function("b", "-rss,-mq")).contains("changes nothing"));
    let virtio = CreateRequest {
        features: Some("-csum".into()),
        ..named("c")
    };
    assert!(!notes(virtio).contains("changes nothing"));
    let set = |features: &str| {
        let request = SetRequest {
            features: Some(features.into()),
            ..SetRequest::default()
        };
        house.catalog.set("b", request).expect("set").notes
    };
    assert!(
        set("-csum")
            .concat()
            .contains("withholding CSUM changes nothing")
    );
    assert!(set("-mq").is_empty());
}

#[test]
fn a_vm_gets_all_it_needs() {
    let house = house();
    let made = house.catalog.create(named("7vm")).expect("created");
    let view = house.catalog.show("7vm").expect("there");
    let line = hints::qemu_command_line(std::slice::from_ref(&view), "1G");
    for part in [
        "-machine q35,memory-backend=mem0",
        "-m 1G",
        "memory-backend-memfd,id=mem0,size=1G,share=on",
        "pcie-root-port,id=rp-cvf-7vm,chassis=",
        r#""bus":"rp-cvf-7vm""#,
        r#""id":"cvf-7vm""#,
        &made.socket,
    ] {
        assert!(line.contains(part), "{part} in {line}");
    }
    let xml = hints::libvirt_xml(&[view]);
    for part in [
        "xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'",
        "<source type='memfd'/>",
        "<access mode='shared'/>",
        "&quot;driver&quot;:&quot;vfio-user-pci&quot;",
        "&quot;driver&quot;:&quot;pcie-root-port&quot;",
        "<mdevd:cvf name='7vm' managed='no'/>",
        "&quot;node-name&quot;:&quot;mdevd-devices-cannot-migrate&quot;",
    ] {
        assert!(xml.contains(part), "{part} in {xml}");
    }
    for (size, good) in [
        ("1G", true),
        ("512M", true),
        ("1048576K", true),
        ("1024", false),
        ("0G", false),
        ("G", false),
        ("1,x=y", false),
        ("-1G", false),
    ] {
        assert_eq!(hints::check_memory(size).is_ok(), good, "{size}");
    }
}

#[test]
fn error_names_are_distinct_and_found_again() {
    for kind in ErrorKind::ALL {
        assert_eq!(ErrorKind::from_dbus_name(kind.dbus_name()), Some(kind));
        let kebab: String = kind
            .dbus_name()
            .rsplit('.')
            .next()
            .unwrap_or_default()
            .chars()
            .fold(String::new(), |mut text, c| {
                if c.is_ascii_uppercase() && !text.is_empty() {
                    text.push('-');
                }
                text.push(c.to_ascii_lowercase());
                text
            });
        assert_eq!(kebab, kind.kebab());
    }
    assert_eq!(
        ErrorKind::from_dbus_name("org.freedesktop.DBus.Error.Failed"),
        None
    );
}

#[test]
fn a_vm_with_several_devices_gets_machine_and_memory_once() {
    let house = house();
    let shown = |name: &str, sequence: u64| {
        house.catalog.create(named(name)).expect("created");
        let mut view = house.catalog.show(name).expect("there");
        view.sequence = sequence;
        view
    };
    // 127 apart: by themselves they would have the same chassis number.
    let views = [shown("a", 3), shown("b", 130), shown("c", 4)];
    let arguments = hints::qemu_arguments(&views, "2G");
    let count = |what: &str| arguments.iter().filter(|arg| *arg == what).count();
    assert_eq!(
        [
            count("-machine"),
            count("-m"),
            count("-object"),
            count("-device")
        ],
        [1, 1, 1, 6]
    );
    let ports: Vec<_> = arguments
        .iter()
        .filter_map(|arg| arg.strip_prefix("pcie-root-port,"))
        .collect();
    assert_eq!(
        ports,
        [
            "id=rp-cvf-a,chassis=131",
            "id=rp-cvf-b,chassis=132",
            "id=rp-cvf-c,chassis=133"
        ]
    );
    let xml = hints::libvirt_xml(&views);
    assert_eq!(xml.matches("<qemu:arg value='-device'/>").count(), 6);
    assert_eq!(xml.matches("memoryBacking>").count(), 2);
}
