use std::fs;

use super::*;

const STRICT: &str = "description = \"strict\"\n[shape]\nmax-mtu = 1500\n";
const WIDE: &str = "description = \"wide\"\n[shape]\nmax-mtu = 9000\n";

/// A house with a directory of profiles.
fn house_of(files: &[(&str, &str)]) -> (House, TempDir) {
    let profiles = tempdir().expect("a directory");
    for (name, text) in files {
        fs::write(profiles.path().join(name), text).expect("written");
    }
    let House {
        dir,
        backend,
        store,
        ..
    } = house();
    let catalog = catalog_with(
        &backend,
        &store,
        Profiles::new(Some(profiles.path()), "lab"),
    );
    let house = House {
        dir,
        backend,
        store,
        catalog,
    };
    (house, profiles)
}

/// One whose device has a profile that would no longer let it be made, once it is reloaded.
fn narrowed() -> (House, TempDir) {
    let (house, dir) = house_of(&[("a.toml", WIDE)]);
    let request = CreateRequest {
        mtu: Some(9000),
        ..of("vm1", "a")
    };
    house.catalog.create(request).expect("created");
    fs::write(dir.path().join("a.toml"), STRICT).expect("written");
    (house, dir)
}

fn of(name: &str, profile: &str) -> CreateRequest {
    CreateRequest {
        profile: Some(profile.to_owned()),
        ..named(name)
    }
}

#[test]
fn a_device_has_the_profile_it_names_or_the_default() {
    let (house, _profiles) = house_of(&[("edge.toml", STRICT)]);
    let made = house.catalog.create(of("vm1", "edge")).expect("created");
    assert_eq!(made.profile, "edge");
    let made = house.catalog.create(named("vm2")).expect("created");
    assert_eq!(made.profile, "lab");
    let error = house
        .catalog
        .create(of("vm2", "edge"))
        .expect_err("differs");
    assert!(
        error.to_string().contains("profile lab, and profile edge"),
        "{error}"
    );
    let again = house.catalog.create(named("vm1")).expect("whatever it has");
    assert_eq!(again.result, Outcome::Already);
    let users: Vec<_> = house
        .catalog
        .profiles()
        .into_iter()
        .filter(|profile| profile.devices > 0)
        .map(|profile| (profile.name, profile.devices, profile.default))
        .collect();
    assert_eq!(
        users,
        [("edge".to_owned(), 1, false), ("lab".to_owned(), 1, true)]
    );
}

#[test]
fn a_profile_limits_what_is_made_and_says_all_that_is_wrong() {
    let (house, _profiles) = house_of(&[("edge.toml", STRICT)]);
    let request = CreateRequest {
        mtu: Some(9000),
        queue_pairs: Some(2),
        doorbells: Some("mapped".into()),
        ..of("vm1", "edge")
    };
    let error = house.catalog.create(request).expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::Denied);
    let text = error.to_string();
    for key in [
        "shape.max-mtu = 1500",
        "shape.max-queue-pairs = 1",
        "shape.mapped-doorbells",
    ] {
        assert!(text.contains(key), "{text}");
    }
    assert!(text.contains("'cvfctl policy show edge'"), "{text}");
    assert_eq!(files(house.dir.path()), 0);
    house
        .catalog
        .create(of("vm1", "edge"))
        .expect("the name is free");
}

#[test]
fn reloading_changes_adds_removes_and_refuses() {
    let (house, dir) = house_of(&[("a.toml", STRICT), ("b.toml", STRICT), ("c.toml", STRICT)]);
    house.catalog.create(of("vm1", "a")).expect("created");
    house.catalog.create(of("vm2", "b")).expect("created");
    let nothing = house.catalog.reload_profiles();
    assert_eq!(nothing, crate::profiles::Reloaded::default());

    let at = |name: &str| dir.path().join(name);
    fs::write(at("a.toml"), WIDE).expect("written");
    fs::remove_file(at("b.toml")).expect("removed");
    fs::remove_file(at("c.toml")).expect("removed");
    fs::write(at("d.toml"), WIDE).expect("written");
    fs::write(at("e.toml"), "[shape]\nmax-mut = 1\n").expect("written");
    let report = house.catalog.reload_profiles();
    assert_eq!(report.changed, ["a"]);
    assert_eq!(report.added, ["d"]);
    assert_eq!(report.removed, ["c"]);
    assert_eq!(report.kept, ["b"]);
    assert_eq!(report.devices, 1);
    let place = format!("{}:2:1: ", at("e.toml").display());
    assert!(
        report.refused[0].starts_with(&place),
        "{:?}",
        report.refused
    );
    assert!(
        report.refused[0].contains("did you mean 'max-mtu'"),
        "{:?}",
        report.refused
    );

    let jumbo = |name: &str, profile: &str| CreateRequest {
        mtu: Some(9000),
        ..of(name, profile)
    };
    house
        .catalog
        .create(jumbo("vm3", "a"))
        .expect("a is wide now");
    let error = house.catalog.create(of("vm4", "c")).expect_err("c is gone");
    assert!(
        error
            .to_string()
            .contains("there is no profile of that name"),
        "{error}"
    );
    let error = house.catalog.create(of("vm4", "e")).expect_err("e is none");
    assert!(
        error.to_string().contains("its file cannot be used"),
        "{error}"
    );
    house.catalog.destroy("vm2", false).expect("destroyed");
    assert_eq!(house.catalog.reload_profiles().removed, ["b"]);
}

#[test]
fn a_broken_file_leaves_what_was_in_force() {
    let (house, dir) = house_of(&[("a.toml", STRICT)]);
    let before = house.catalog.profile("a").expect("there");
    fs::write(dir.path().join("a.toml"), "[shape]\nmax-mtu = 1\n").expect("written");
    let report = house.catalog.reload_profiles();
    assert_eq!((report.refused.len(), report.changed.len()), (1, 0));
    let now = house.catalog.profile("a").expect("there");
    assert_eq!(now.text, before.text);
    assert_eq!(now.summary.fault.as_ref(), report.refused.first());
    house.catalog.create(of("vm1", "a")).expect("created");
    fs::write(dir.path().join("a.toml"), STRICT).expect("written");
    assert_eq!(
        house.catalog.reload_profiles().refused,
        Vec::<String>::new()
    );
    assert_eq!(
        house.catalog.profile("a").expect("there").summary.fault,
        None
    );
}

#[test]
fn a_file_takes_a_shipped_profiles_place_even_when_broken_from_the_start() {
    let (house, dir) = house_of(&[("tenant.toml", "nonsense")]);
    let error = house
        .catalog
        .create(of("vm1", "tenant"))
        .expect_err("refused");
    assert!(
        error.to_string().contains("its file cannot be used"),
        "{error}"
    );
    fs::write(dir.path().join("tenant.toml"), STRICT).expect("written");
    house.catalog.reload_profiles();
    let shown = house.catalog.profile("tenant").expect("there");
    assert_eq!(shown.summary.description, "strict");
    fs::remove_file(dir.path().join("tenant.toml")).expect("removed");
    house.catalog.reload_profiles();
    let shown = house.catalog.profile("tenant").expect("there");
    assert_eq!(shown.summary.source, "shipped");
}

#[test]
fn a_device_whose_profile_narrowed_stays_and_is_told_about() {
    let (house, dir) = narrowed();
    let report = house.catalog.reload_profiles();
    assert_eq!(report.devices, 1);
    assert!(
        report.notes[0].contains("'vm1' stays as it is"),
        "{:?}",
        report.notes
    );
    house.catalog.shut_down();
    let profiles = Profiles::new(Some(dir.path()), "lab");
    let next = catalog_with(&house.backend, &house.store, profiles);
    let restored = next.restore().expect("restored");
    assert_eq!((restored.ready, restored.failed), (1, 0));
}

#[test]
fn a_device_whose_profile_is_not_there_waits_for_it() {
    let (house, dir) = house_of(&[("a.toml", STRICT)]);
    house.catalog.create(of("vm1", "a")).expect("created");
    house.catalog.shut_down();
    fs::remove_file(dir.path().join("a.toml")).expect("removed");
    let profiles = Profiles::new(Some(dir.path()), "lab");
    let next = catalog_with(&house.backend, &house.store, profiles);
    let restored = next.restore().expect("restored");
    assert_eq!((restored.ready, restored.failed), (0, 1));
    let reason = next
        .show("vm1")
        .expect("listed")
        .summary
        .reason
        .expect("a reason");
    assert!(reason.contains("profile \"a\" cannot be"), "{reason}");
    fs::write(dir.path().join("a.toml"), STRICT).expect("written");
    next.reload_profiles();
    next.create(named("vm1")).expect("it comes back");
}

#[test]
fn requests_are_explained_for_a_device_or_for_one_that_might_be() {
    let (house, _profiles) = house_of(&[]);
    let request = CreateRequest {
        vlan: Some(7.into()),
        ..of("vm1", "tenant")
    };
    let mac = house.catalog.create(request).expect("created").mac;
    let about = ExplainRequest {
        device: Some("vm1".into()),
        ..ExplainRequest::default()
    };
    let told = house.catalog.explain("vlan=9", &about).expect("told");
    assert!(told.text.starts_with("refused: vlan=9"), "{}", told.text);
    let told = told.explanation;
    assert_eq!(
        (told.profile.as_str(), told.access_vlan),
        ("tenant", Some(7))
    );
    assert_eq!(
        (told.assigned_mac.as_str(), told.allowed),
        (mac.as_str(), false)
    );
    let request = CreateRequest {
        trunk: Some("10,20-29".into()),
        trust: Some("on".into()),
        ..of("vm3", "lab")
    };
    house.catalog.create(request).expect("created");
    let trunk = ExplainRequest {
        device: Some("vm3".into()),
        ..ExplainRequest::default()
    };
    for (asked, rule) in [("vlan=9", Some("vlan-trunk")), ("vlan=25", None)] {
        let told = house.catalog.explain(asked, &trunk).expect("told");
        assert_eq!(told.explanation.rule, rule, "{}", told.text);
        assert!(
            told.text.contains("trunk 10,20-29, trust=on"),
            "{}",
            told.text
        );
    }
    let about = ExplainRequest {
        profile: Some("nfv".into()),
        ..ExplainRequest::default()
    };
    assert!(
        house
            .catalog
            .explain("vlan=9", &about)
            .expect("told")
            .explanation
            .allowed
    );
    let error = house
        .catalog
        .explain("vlna=9", &about)
        .expect_err("no request");
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    for (about, expected) in [
        (
            ExplainRequest {
                device: Some("vm2".into()),
                ..ExplainRequest::default()
            },
            "did you mean 'vm1'?",
        ),
        (
            ExplainRequest {
                device: Some("vm1".into()),
                vlan: Some(3),
                ..ExplainRequest::default()
            },
            "leave those out",
        ),
        (
            ExplainRequest {
                queue_pairs: Some(0),
                ..ExplainRequest::default()
            },
            "from 1 to 64",
        ),
        (
            ExplainRequest {
                profile: Some("nfw".into()),
                ..ExplainRequest::default()
            },
            "did you mean 'nfv'?",
        ),
    ] {
        let error = house.catalog.explain("vlan=9", &about).expect_err(expected);
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[test]
fn the_file_of_a_shipped_name_stays_in_force_for_those_who_have_it_when_it_is_gone() {
    let (house, dir) = house_of(&[("tenant.toml", STRICT)]);
    house.catalog.create(of("vm1", "tenant")).expect("created");
    fs::remove_file(dir.path().join("tenant.toml")).expect("removed");
    let report = house.catalog.reload_profiles();
    assert_eq!(
        (report.kept.len(), report.changed.len()),
        (1, 0),
        "{report:?}"
    );
    let shown = house.catalog.profile("tenant").expect("there");
    assert_eq!(shown.summary.description, "strict");
    assert!(
        shown
            .summary
            .fault
            .is_some_and(|fault| fault.ends_with("is gone"))
    );
    house.catalog.destroy("vm1", false).expect("destroyed");
    house.catalog.reload_profiles();
    let shown = house.catalog.profile("tenant").expect("there");
    assert_eq!(shown.summary.source, "shipped");
}

#[test]
fn a_stricter_profile_keeps_nobody_from_taking_a_device_off_the_network() {
    let (house, _dir) = narrowed();
    house.catalog.reload_profiles();
    let link = SetRequest {
        link: Some("down".into()),
        ..SetRequest::default()
    };
    house.catalog.set("vm1", link).expect("taken off");
    let wider = SetRequest {
        mtu: Some("8999".into()),
        ..SetRequest::default()
    };
    let error = house.catalog.set("vm1", wider).expect_err("still too much");
    assert_eq!(error.kind(), ErrorKind::Denied);
    let enough = SetRequest {
        mtu: Some("1500".into()),
        ..SetRequest::default()
    };
    house.catalog.set("vm1", enough).expect("within it");
}

#[test]
fn a_profile_whose_file_is_gone_is_for_those_that_have_it() {
    let (house, dir) = house_of(&[("a.toml", "")]);
    house.catalog.create(of("vm1", "a")).expect("created");
    house.catalog.create(of("vm2", "lab")).expect("created");
    fs::remove_file(dir.path().join("a.toml")).expect("removed");
    assert_eq!(house.catalog.reload_profiles().kept, ["a"]);
    let to = |text: &str| SetRequest {
        profile: Some(text.to_owned()),
        ..SetRequest::default()
    };
    let dry = CreateRequest {
        dry_run: true,
        ..of("vm3", "a")
    };
    for error in [
        house.catalog.create(of("vm3", "a")).expect_err("gone"),
        house.catalog.create(dry).expect_err("gone"),
        house.catalog.set("vm2", to("a")).expect_err("gone"),
    ] {
        assert_eq!(error.kind(), ErrorKind::Denied);
        let text = error.to_string();
        assert!(
            text.contains("is gone") && text.contains("policy reload"),
            "{text}"
        );
    }
    // Who has it keeps it, and may be changed otherwise.
    house.catalog.create(of("vm1", "a")).expect("already");
    let slower = SetRequest {
        rx_mbit: Some("5".to_owned()),
        ..SetRequest::default()
    };
    house.catalog.set("vm1", slower).expect("changed");
    fs::write(dir.path().join("a.toml"), "").expect("written");
    house.catalog.reload_profiles();
    house.catalog.create(of("vm3", "a")).expect("created");
}

#[test]
fn a_device_that_could_not_be_rebuilt_is_mended_by_another_profile() {
    let (house, dir) = house_of(&[("a.toml", "")]);
    house.catalog.create(of("vm1", "a")).expect("created");
    house.catalog.shut_down();
    fs::remove_file(dir.path().join("a.toml")).expect("removed");
    let profiles = Profiles::new(Some(dir.path()), "lab");
    let next = catalog_with(&house.backend, &house.store, profiles);
    next.restore().expect("restored");
    let to = |profile: &str, dry_run| SetRequest {
        profile: Some(profile.to_owned()),
        dry_run,
        ..SetRequest::default()
    };
    let same = next.set("vm1", to("a", false)).expect("nothing to do");
    assert!(!same.changed);
    let bad = next.set("vm1", to("nowhere", false)).expect_err("no such");
    assert!(bad.to_string().contains("no profile of that name"), "{bad}");
    let state = |catalog: &Catalog| catalog.show("vm1").expect("shown").summary.state;
    assert_eq!(state(&next), State::Failed, "a refusal leaves it as it was");
    let would = next.set("vm1", to("tenant", true)).expect("it would do");
    assert!(would.changed && would.dry_run);
    assert_eq!(state(&next), State::Failed);
    let changed = next.set("vm1", to("tenant", false)).expect("mended");
    assert_eq!(changed.changes[0].to, "tenant");
    assert_eq!(state(&next), State::Ready);
    next.shut_down();
    let third = catalog(&house.backend, &house.store);
    third.restore().expect("restored");
    assert_eq!(state(&third), State::Ready, "and stored");
}

/// A profile that is removed while a device is being made with it stays in force for that device.
#[test]
fn a_reload_sees_devices_that_are_being_made() {
    let (house, dir) = house_of(&[("a.toml", ""), ("b.toml", "")]);
    house.catalog.create(of("vm2", "lab")).expect("created");
    let record = house.store.load().expect("readable").remove(0);
    let record = record.definition.expect("a definition");
    let making = |device: &str, profile: &str| {
        let mut definition = record.clone();
        definition.name = device.to_owned();
        definition.profile = profile.to_owned();
        house.catalog.names.lock().mark(&definition, "creating");
    };
    making("vm1", "a");
    making("vm2", "b");
    for file in ["a.toml", "b.toml"] {
        fs::remove_file(dir.path().join(file)).expect("removed");
    }
    let report = house.catalog.reload_profiles();
    assert_eq!(
        (report.kept.len(), report.removed.len()),
        (2, 0),
        "{report:?}"
    );
    house.catalog.conclude("vm1", None, None);
    house.catalog.conclude("vm2", None, None);
    assert_eq!(house.catalog.reload_profiles().removed, ["a", "b"]);
}

#[test]
fn whoever_asks_for_a_device_that_is_another_is_told_how_to_change_it() {
    let (house, _dir) = house_of(&[]);
    house.catalog.create(of("vm1", "lab")).expect("created");
    let asked = |mtu, pairs| CreateRequest {
        mtu,
        queue_pairs: pairs,
        ..of("vm1", "lab")
    };
    let error = house
        .catalog
        .create(asked(Some(1400), None))
        .expect_err("another");
    assert!(
        error
            .to_string()
            .contains("'cvfctl set vm1 mtu=1400' changes it"),
        "{error}"
    );
    let error = house
        .catalog
        .create(asked(None, Some(2)))
        .expect_err("another");
    assert!(error.to_string().contains("destroy it first"), "{error}");
    let dry = CreateRequest {
        dry_run: true,
        trunk: Some("none".into()),
        tx_mbit: Some(5.into()),
        ..of("vm9", "lab")
    };
    let would = house.catalog.create(dry).expect("it would do").attributes;
    let has = |key: &str| would.get(key).map(String::as_str);
    assert_eq!((has("mtu"), has("tx_mbit")), (Some("1500"), Some("5")));
    assert_eq!((has("trust"), has("trunk")), (Some("profile"), None));
}
