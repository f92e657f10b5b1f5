//! Devices whose rings hardware works: what goes with that, who may have it, and what it keeps others from.

use libcvf::pf::Capabilities;

use super::*;

/// PFs whose hardware works rings.
fn house() -> House {
    let house = super::house();
    house.backend.give_each(Capabilities {
        direct: true,
        ..Capabilities::default()
    });
    house
}

fn direct(name: &str) -> CreateRequest {
    CreateRequest {
        data_path: Some("direct".to_owned()),
        ..named(name)
    }
}

fn set(attributes: &[(&str, &str)]) -> SetRequest {
    let map: serde_json::Map<_, _> = attributes
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).into()))
        .collect();
    serde_json::from_value(map.into()).expect("a request")
}

fn define(device: CreateRequest) -> DefineRequest {
    DefineRequest {
        device,
        ..DefineRequest::default()
    }
}

fn refusal<T: std::fmt::Debug>(result: Result<T, EngineError>) -> (ErrorKind, String) {
    let error = result.expect_err("refused");
    (error.kind(), error.to_string())
}

#[test]
fn what_is_not_hardwares_does_not_go_with_it() {
    let house = house();
    type Case = (fn(&mut CreateRequest), &'static str);
    let table: [Case; 16] = [
        (
            |r| r.queue_pairs = Some(2),
            "queue-pairs \"2\" cannot be: hardware works the rings of one queue pair, with data path 'direct'; leave \
             one of the two out",
        ),
        (
            |r| r.interrupts = Some("intx".into()),
            "interrupts \"intx\" cannot be: hardware interrupts by MSI-X only, with",
        ),
        (
            |r| r.doorbells = Some("trapped".into()),
            "doorbells \"trapped\" cannot be: the doorbells are hardware's own pages, mapped into the VM, with",
        ),
        (
            |r| r.vlan = Some(7.into()),
            "vlan \"7\" cannot be: tags are put on and taken off by the daemon, which no frame passes, with",
        ),
        (
            |r| r.trunk = Some("7-9".into()),
            "trunk \"7-9\" cannot be: frames are held to VLANs by the daemon, which no frame passes, with",
        ),
        (
            |r| r.tx_mbit = Some(5.into()),
            "tx-mbit \"5\" cannot be: rates are kept by the daemon, which no frame passes, with",
        ),
        (|r| r.rx_mbit = Some(5.into()), "rx-mbit \"5\" cannot be"),
        (
            |r| r.tx_frames = Some(5.into()),
            "tx-frames \"5\" cannot be",
        ),
        (
            |r| r.rx_frames = Some(5.into()),
            "rx-frames \"5\" cannot be",
        ),
        (
            |r| r.group = Some("web".into()),
            "group \"web\" cannot be: rates are kept by the daemon",
        ),
        (
            |r| r.rss_key = Some("01".repeat(40)),
            "cannot be: the receive queue is chosen by the daemon",
        ),
        (
            |r| r.rss_table = Some("0".into()),
            "rss-table \"0\" cannot be: the receive queue is chosen by the daemon",
        ),
        (
            |r| r.spoof_check = Some("on".into()),
            "spoof-check \"on\" cannot be: senders are checked by the daemon, which no frame passes, with",
        ),
        (
            |r| r.trust = Some("off".into()),
            "trust \"off\" cannot be: what is heard is decided by the daemon",
        ),
        (
            |r| r.promiscuous = Some("deny".into()),
            "promiscuous \"deny\" cannot be",
        ),
        (
            |r| r.multicast = Some("deny".into()),
            "multicast \"deny\" cannot be",
        ),
    ];
    for (change, why) in table {
        let mut request = direct("vm1");
        change(&mut request);
        for dry_run in [true, false] {
            request.dry_run = dry_run;
            let (kind, text) = refusal(house.catalog.create(request.clone()));
            assert_eq!(kind, ErrorKind::InvalidArgument, "{text}");
            assert!(text.starts_with("cannot create 'vm1': "), "{text}");
            assert!(text.contains(why), "{text}");
        }
        request.dry_run = false;
        let (kind, text) = refusal(house.catalog.define(define(request.clone())));
        assert_eq!(kind, ErrorKind::InvalidArgument, "{text}");
        assert!(text.contains(why), "{text}");
        // By itself it is possible.
        request.data_path = None;
        let made = house.catalog.create(request);
        made.unwrap_or_else(|error| panic!("{why}: {error}"));
        house.catalog.destroy("vm1", false).expect("destroyed");
    }
    let word = CreateRequest {
        data_path: Some("drect".to_owned()),
        ..named("vm1")
    };
    assert_eq!(
        refusal(house.catalog.create(word)).1,
        "cannot create 'vm1': data-path \"drect\" cannot be: it is one of auto, direct; did you mean 'direct'?"
    );
}

#[test]
fn what_does_not_need_the_daemon_goes_with_it() {
    let house = house();
    let request = CreateRequest {
        mtu: Some(1400),
        doorbells: Some("mapped".into()),
        features: Some("-mrg_rxbuf".into()),
        link: Some("auto".into()),
        spoof_check: Some("off".into()),
        trust: Some("on".into()),
        promiscuous: Some("allow".into()),
        multicast: Some("profile".into()),
        ..direct("vm1")
    };
    let made = house.catalog.create(request.clone()).expect("created");
    let notes = made.notes.join("\n");
    assert!(notes.contains("the descriptor of the whole function behind PF 'soft0'"));
    assert!(notes.contains("PF 'soft0' is this device's alone while it runs"));
    assert!(
        !notes.contains("polls"),
        "nobody polls hardware's pages: {notes}"
    );
    let again = house.catalog.create(request).expect("there");
    assert_eq!(again.result, Outcome::Already);
    let shown = house.catalog.show("vm1").expect("shown");
    assert_eq!(
        (shown.data_path.as_str(), shown.doorbells.as_str()),
        ("direct", "mapped")
    );
    assert_eq!(shown.health.expect("composed").data_path, "direct");
    assert!(
        !shown
            .in_force
            .iter()
            .any(|one| one.key.starts_with("spoof")),
        "nothing is checked: {:?}",
        shown.in_force
    );
    let other = house.catalog.create(CreateRequest {
        pf: Some("soft1".into()),
        ..named("vm2")
    });
    other.expect("created");
    let shown = house.catalog.show("vm2").expect("shown");
    assert_eq!(shown.data_path, "auto");
    assert!(shown.in_force.iter().any(|one| one.key == "spoof.mac"));
}

#[test]
fn the_pf_is_that_devices_alone() {
    let house = house();
    house.catalog.create(direct("fast")).expect("created");
    let pf = house.catalog.pf("soft0").expect("a PF");
    assert_eq!(pf.exclusive.as_deref(), Some("fast"));
    assert_eq!(house.catalog.pf("soft1").expect("a PF").exclusive, None);
    let types = house.catalog.types(1).expect("types");
    let of = |pf: &str| {
        let one = types.types.iter().find(|one| one.pf == pf);
        let one = one.expect("a type");
        (one.free, one.limited_by.as_str(), one.largest)
    };
    assert_eq!(of("soft0"), (0, "exclusive", 0));
    assert_eq!(of("soft1").0, 4);
    for request in [named("vm1"), direct("vm1")] {
        let dry = CreateRequest {
            dry_run: true,
            ..request.clone()
        };
        for request in [dry, request] {
            assert_eq!(
                refusal(house.catalog.create(request)),
                (
                    ErrorKind::Conflict,
                    "cannot create 'vm1': 'fast' has PF 'soft0' as a whole, whose hardware works its rings (data path \
                     'direct'); use another PF, or stop 'fast'"
                        .to_owned()
                )
            );
        }
    }
    house.catalog.define(define(named("vm1"))).expect("defined");
    let (kind, text) = refusal(house.catalog.start("vm1"));
    assert_eq!(kind, ErrorKind::Conflict);
    assert!(
        text.starts_with("cannot start 'vm1': 'fast' has PF"),
        "{text}"
    );
    house.catalog.destroy("fast", false).expect("destroyed");
    house.catalog.start("vm1").expect("the PF is free again");
    let (kind, text) = refusal(house.catalog.create(direct("fast")));
    assert_eq!(kind, ErrorKind::Conflict);
    assert_eq!(
        text,
        "cannot create 'fast': data path 'direct' takes PF 'soft0' as a whole, and 'vm1' is on it; stop what is on it, \
         or use another PF"
    );
    house.catalog.create(named("vm2")).expect("created");
    let (_, text) = refusal(house.catalog.create(direct("fast")));
    assert!(
        text.contains("and 2 devices are on it, 'vm1' among them"),
        "{text}"
    );
}

#[test]
fn only_who_is_trusted_may_have_it() {
    let house = house();
    let of = |profile: &str| CreateRequest {
        profile: Some(profile.to_owned()),
        ..direct("vm1")
    };
    for profile in ["container", "tenant", "trusted"] {
        let why = format!(
            "'vm1': data path 'direct' was asked for, which hands the VM and its VMM the whole function, profile \
             '{profile}' has shape.direct = false; ask for what it allows ('cvfctl policy show {profile}'), or give \
             another profile"
        );
        let refused = |verb: &str| (ErrorKind::Denied, format!("cannot {verb} {why}"));
        assert_eq!(
            refusal(house.catalog.create(of(profile))),
            refused("create")
        );
        let defined = house.catalog.define(define(of(profile)));
        assert_eq!(refusal(defined), refused("define"));
    }
    house.catalog.create(of("nfv")).expect("created");
    let (kind, text) = refusal(house.catalog.set("vm1", set(&[("profile", "trusted")])));
    assert_eq!(kind, ErrorKind::Denied);
    assert!(text.contains("shape.direct = false"), "{text}");
    let defined = CreateRequest {
        profile: Some("tenant".to_owned()),
        ..named("vm2")
    };
    house.catalog.define(define(defined)).expect("defined");
    let (kind, text) = refusal(house.catalog.set("vm2", set(&[("data_path", "direct")])));
    assert_eq!(kind, ErrorKind::Denied);
    assert!(
        text.starts_with("cannot change 'vm2': data path 'direct'"),
        "{text}"
    );
    let both = set(&[("data_path", "direct"), ("profile", "nfv")]);
    house.catalog.set("vm2", both).expect("a profile that may");
}

#[test]
fn it_changes_only_while_the_device_is_stopped() {
    let house = house();
    house.catalog.define(define(named("vm1"))).expect("defined");
    house.catalog.start("vm1").expect("started");
    for dry_run in [true, false] {
        let request = SetRequest {
            dry_run,
            ..set(&[("data_path", "direct"), ("mtu", "1400")])
        };
        assert_eq!(
            refusal(house.catalog.set("vm1", request)),
            (
                ErrorKind::Busy,
                "cannot change 'vm1': it runs, and its data-path changes only while it is stopped (it is auto, and direct \
                 was asked for); stop it first ('cvfctl stop vm1'), or leave that as it is"
                    .to_owned()
            )
        );
    }
    let replace = DefineRequest {
        replace: true,
        ..define(direct("vm1"))
    };
    let (kind, text) = refusal(house.catalog.define(replace.clone()));
    assert_eq!(kind, ErrorKind::Busy);
    assert!(
        text.starts_with("cannot define 'vm1': it runs, and its data-path"),
        "{text}"
    );
    let shown = house.catalog.show("vm1").expect("shown");
    assert_eq!(
        (shown.data_path.as_str(), shown.summary.mtu),
        ("auto", 1500)
    );
    let same = house.catalog.set("vm1", set(&[("data_path", "auto")]));
    assert!(!same.expect("it is so").changed);

    house.catalog.stop_device("vm1", false).expect("stopped");
    let changed = house.catalog.set("vm1", set(&[("data_path", "direct")]));
    let changed = changed.expect("changed");
    let told: Vec<_> = changed
        .changes
        .iter()
        .map(|c| (c.attribute.as_str(), c.from.as_str(), c.to.as_str()))
        .collect();
    assert_eq!(told, [("data-path", "auto", "direct")]);
    let shown = house.catalog.show("vm1").expect("shown");
    assert_eq!(
        (shown.data_path.as_str(), shown.doorbells.as_str()),
        ("direct", "mapped")
    );
    let again = house.catalog.define(replace).expect("so already");
    assert_eq!(again.result, Outcome::Already);
    house.catalog.start("vm1").expect("started");
    let (kind, text) = refusal(house.catalog.set("vm1", set(&[("tx_mbit", "5")])));
    assert_eq!(kind, ErrorKind::InvalidArgument);
    assert_eq!(
        text,
        "cannot change 'vm1': tx-mbit \"5\" cannot be: rates are kept by the daemon, which no frame passes, and the \
         device's data path is 'direct'; stop it and set data-path=auto to have that"
    );
    house
        .catalog
        .set("vm1", set(&[("link", "down")]))
        .expect("what hardware leaves");
    house.catalog.stop_device("vm1", false).expect("stopped");
    house
        .catalog
        .set("vm1", set(&[("data_path", "auto"), ("tx_mbit", "5")]))
        .expect("changed");
    let shown = house.catalog.show("vm1").expect("shown");
    assert_eq!(shown.doorbells, "trapped", "hardware's went with it");
    let (_, text) = refusal(house.catalog.set("vm1", set(&[("data_path", "direct")])));
    assert_eq!(
        text,
        "cannot change 'vm1': data-path \"direct\" cannot be: rates are kept by the daemon, which no frame passes, and \
         the device has tx-mbit 5; take that away first"
    );
    house
        .catalog
        .set("vm1", set(&[("data_path", "direct"), ("tx_mbit", "none")]))
        .expect("both at once");
}

#[test]
fn a_transient_device_is_kept_before_it_is_stopped() {
    let house = house();
    house.catalog.create(named("vm1")).expect("created");
    let (_, text) = refusal(house.catalog.set("vm1", set(&[("data_path", "direct")])));
    assert!(
        text.contains(
            "; keep it first ('cvfctl define vm1'), for it is transient, then stop it ('cvfctl stop vm1'), or"
        ),
        "{text}"
    );
    // Made again with another one it is another device.
    let (kind, text) = refusal(house.catalog.create(direct("vm1")));
    assert_eq!(kind, ErrorKind::AlreadyExists);
    assert!(
        text.ends_with("destroy it first") && text.contains("data-path auto, and data-path direct"),
        "{text}"
    );
}

#[test]
fn none_of_its_frames_can_be_looked_at() {
    let house = house();
    house.catalog.create(direct("vm1")).expect("created");
    let refused = house
        .catalog
        .capture("vm1", &CaptureRequest::default(), "uid 0");
    assert_eq!(
        refusal(refused),
        (
            ErrorKind::NotReady,
            "cannot capture 'vm1': hardware works its rings (data path 'direct'), and none of its frames passes the \
             daemon; have the daemon work them meanwhile ('cvfctl takeover vm1'), or look at its frames inside its VM or on \
             the wire"
                .to_owned()
        )
    );
}

fn taken(result: Result<TakenOver, EngineError>) -> Taken {
    result.expect("taken over").result
}

#[test]
fn the_daemon_takes_over_until_the_drivers_next_reset() {
    let house = house();
    house.catalog.create(direct("vm1")).expect("created");
    let path = || {
        let shown = house.catalog.show("vm1").expect("shown");
        (shown.data_path, shown.health.expect("composed").data_path)
    };
    let capture = || {
        let request = CaptureRequest::default();
        house.catalog.capture("vm1", &request, "uid 0")
    };
    house.backend.connect("vm1", QEMU);
    let (mut heard, _) = house.catalog.events().listen();
    assert_eq!(taken(house.catalog.take_over("vm1")), Taken::Taken);
    let told = heard.try_next();
    let Some(Heard::Event(event)) = told else {
        panic!("nobody was told: {told:?}");
    };
    assert_eq!(event.what, Happening::changed("vm1", &["data_path"]));
    assert_eq!(path(), ("direct".to_owned(), "copied".to_owned()));
    let checked = || {
        let shown = house.catalog.show("vm1").expect("shown");
        shown.in_force.iter().any(|one| one.key == "spoof.mac")
    };
    assert!(checked(), "frames pass what checks them");
    capture().expect("its frames pass the daemon");
    // Again it is so, and nobody is told.
    assert_eq!(taken(house.catalog.take_over("vm1")), Taken::Already);
    assert!(heard.try_next().is_none());
    house.backend.disconnect("vm1");
    assert_eq!(path(), ("direct".to_owned(), "direct".to_owned()));
    capture().expect_err("they are hardware's again");
    assert!(!checked());
    house.backend.connect("vm1", QEMU);
    assert_eq!(taken(house.catalog.take_over("vm1")), Taken::Taken);
}

#[test]
fn what_cannot_be_taken_over_says_why() {
    let house = house();
    house.catalog.create(direct("vm1")).expect("created");
    let other = CreateRequest {
        pf: Some("soft1".into()),
        ..named("vm2")
    };
    house.catalog.create(other).expect("created");
    let stored = CreateRequest {
        pf: Some("soft1".into()),
        ..named("vm3")
    };
    house.catalog.define(define(stored)).expect("defined");
    let refused = |name: &str| refusal(house.catalog.take_over(name));
    assert_eq!(
        refused("vm2"),
        (
            ErrorKind::NotReady,
            "cannot take over 'vm2': its data path is 'copied', not 'direct': the daemon works its rings, and there is \
             nothing to take over"
                .to_owned()
        )
    );
    let table = [
        ("vm1", ErrorKind::NotReady, "no driver runs"),
        ("vm3", ErrorKind::NotReady, "it is not started; start it"),
        ("vm4", ErrorKind::NotFound, "there is no device 'vm4'"),
    ];
    for (name, kind, why) in table {
        let (is, text) = refused(name);
        assert_eq!(is, kind, "{text}");
        let start = format!("cannot take over '{name}': {why}");
        assert!(text.starts_with(&start), "{text}");
    }
    house.backend.connect("vm1", QEMU);
    house.backend.use_out_of_order(true);
    let (kind, text) = refused("vm1");
    assert_eq!(kind, ErrorKind::NotReady);
    assert!(text.contains("buffers used in order"), "{text}");
    let shown = house.catalog.show("vm1").expect("shown");
    assert_eq!(shown.health.expect("composed").data_path, "direct");
}

#[test]
fn it_survives_and_travels() {
    let house = house();
    let request = CreateRequest {
        profile: Some("nfv".into()),
        life: LifeRequest {
            persistent: true,
            ..LifeRequest::default()
        },
        ..direct("vm1")
    };
    house.catalog.create(request).expect("created");
    let exported = house.catalog.export(&[], "", 10).expect("exported");
    let [document] = exported.definitions.as_slice() else {
        panic!("one: {exported:?}");
    };
    assert_eq!(document["data_path"], "direct");
    house.catalog.shut_down();
    let again = catalog(&house.backend, &house.store);
    again.restore().expect("restored");
    assert_eq!(again.show("vm1").expect("shown").data_path, "direct");
    assert_eq!(
        again.pf("soft0").expect("a PF").exclusive.as_deref(),
        Some("vm1")
    );

    let elsewhere = self::house();
    let text = serde_json::json!({
        "format": FORMAT, "version": VERSION, "definitions": [document],
    });
    let imported = elsewhere
        .catalog
        .import(&text.to_string(), ImportOptions::default())
        .expect("imported");
    assert!(imported.ok, "{imported:?}");
    let shown = elsewhere.catalog.show("vm1").expect("shown");
    assert_eq!(
        (shown.data_path.as_str(), shown.doorbells.as_str()),
        ("direct", "mapped")
    );
}
