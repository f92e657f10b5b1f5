//! Definitions that leave as a document and come back, and what can be made.

use serde_json::{Value, json};

use super::*;

fn house_with_devices() -> House {
    let house = house();
    let define = |name: &str, more: fn(&mut CreateRequest)| {
        let mut device = named(name);
        more(&mut device);
        let request = DefineRequest {
            device,
            ..DefineRequest::default()
        };
        house.catalog.define(request).expect("defined");
    };
    define("b", |r| {
        r.trunk = Some("7-9".to_owned());
        r.life.start = Some("auto".to_owned());
        r.life.order = Some(-4);
    });
    define("a", |r| {
        r.vlan = Some(3.into());
        r.queue_pairs = Some(2);
        r.tx_mbit = Some(100.into());
        r.socket_mode = Some("0600".to_owned());
    });
    house.catalog.start("a").expect("started");
    house.catalog.create(named("transient")).expect("created");
    house
}

fn document(definitions: &[Value]) -> String {
    json!({ "format": FORMAT, "version": VERSION, "definitions": definitions }).to_string()
}

fn exported(engine: &dyn Engine) -> Vec<Value> {
    let page = engine.export(&[], "", 100).expect("exported");
    assert_eq!(page.next, "");
    page.definitions.into_iter().map(Value::Object).collect()
}

fn import(engine: &dyn Engine, definitions: &[Value]) -> Imported {
    let options = ImportOptions::default();
    engine
        .import(&document(definitions), options)
        .expect("a document")
}

fn results(imported: &Imported) -> Vec<(&str, ImportOutcome)> {
    let of = |device: &'_ ImportedDevice| device.result;
    imported
        .devices
        .iter()
        .map(|device| (device.name.as_str(), of(device)))
        .collect()
}

#[test]
fn what_is_exported_makes_the_same_again_elsewhere() {
    let house = house_with_devices();
    let document = exported(&house.catalog);
    let names: Vec<_> = document
        .iter()
        .map(|one| one["name"].as_str().expect("a name"))
        .collect();
    assert_eq!(names, ["a", "b"], "persistent ones, by name");
    let other = house_with(64);
    let imported = import(&other.catalog, &document);
    assert!(imported.ok);
    assert_eq!(
        results(&imported),
        [("a", ImportOutcome::Defined), ("b", ImportOutcome::Defined)]
    );
    assert_eq!(exported(&other.catalog), document);
    assert_eq!(
        other.catalog.show("a").expect("there").summary.state,
        State::Defined
    );
    let again = import(&other.catalog, &document);
    assert_eq!(
        results(&again),
        [("a", ImportOutcome::Already), ("b", ImportOutcome::Already)]
    );
    // By name, what is transient too.
    let named = house
        .catalog
        .export(&["transient".to_owned()], "", 1)
        .expect("exported");
    assert_eq!(named.definitions[0]["name"], "transient");
    let unknown = house
        .catalog
        .export(&["c".to_owned()], "", 1)
        .expect_err("unknown");
    assert_eq!(unknown.kind(), ErrorKind::NotFound);
}

#[test]
fn pages_of_an_export_join_to_the_whole() {
    let house = house_with_devices();
    let first = house.catalog.export(&[], "", 1).expect("a page");
    assert_eq!((first.definitions.len(), first.next.as_str()), (1, "a"));
    let second = house.catalog.export(&[], &first.next, 1).expect("a page");
    assert_eq!(
        (second.definitions[0]["name"].as_str(), second.next.as_str()),
        (Some("b"), "")
    );
}

#[test]
fn an_import_is_all_or_nothing() {
    let house = house_with_devices();
    let mac = house.catalog.show("a").expect("there").summary.mac;
    let before = exported(&house.catalog);
    let good = json!({ "name": "good" });
    for (wrong, part) in [
        (json!({ "name": "x", "mtu": 1 }), "mtu"),
        (json!({ "name": "x", "mtuu": 1500 }), "did you mean 'mtu'"),
        (
            json!({ "name": "x", "pf": "soft9" }),
            "there is no PF 'soft9'",
        ),
        (json!({ "name": "x", "mac": mac }), "'a' has that address"),
        (json!({ "name": "x", "profile": "nobody" }), "nobody"),
        (
            json!({ "name": "x", "socket_owner": "no-such-user" }),
            "no-such-user",
        ),
        (json!({ "mtu": 1500 }), "has a name"),
        (json!({ "name": "a", "mtu": 9000 }), "it exists with"),
        (json!({ "name": "transient" }), "cvfctl define transient"),
        (json!({ "name": "good" }), "twice"),
        (json!({ "name": "-" }), "name"),
    ] {
        let imported = import(&house.catalog, &[good.clone(), wrong.clone()]);
        assert!(!imported.ok, "{wrong}");
        assert_eq!(imported.devices[0].result, ImportOutcome::NotDone);
        let refused = &imported.devices[1];
        assert_eq!(refused.result, ImportOutcome::Refused);
        let reason = refused.reason.as_ref().expect("a reason");
        assert!(
            reason.contains(part) && reason.starts_with("cannot import"),
            "{part}: {reason}"
        );
        assert_eq!(exported(&house.catalog), before);
        assert_eq!(
            house.catalog.show("good").expect_err("nothing").kind(),
            ErrorKind::NotFound
        );
    }
    house.store.break_writes(true);
    let failed = house.catalog.import(
        &document(std::slice::from_ref(&good)),
        ImportOptions::default(),
    );
    assert_eq!(
        failed.expect_err("not stored").kind(),
        ErrorKind::StoreFailed
    );
    house.store.break_writes(false);
    assert!(import(&house.catalog, &[good]).ok, "its name is free");
}

#[test]
fn addresses_are_compared_within_the_document_in_a_dry_run_too() {
    let house = house();
    let twice = ["x", "y"].map(|name| json!({ "name": name, "mac": "02:00:00:00:00:09" }));
    for dry_run in [true, false] {
        let options = ImportOptions {
            dry_run,
            start: false,
        };
        let imported = house
            .catalog
            .import(&document(&twice), options)
            .expect("a document");
        assert!(!imported.ok && imported.dry_run == dry_run);
        assert_eq!(
            imported.devices[1].result,
            ImportOutcome::Refused,
            "{imported:?}"
        );
    }
    let options = ImportOptions {
        dry_run: true,
        start: false,
    };
    let imported = house
        .catalog
        .import(&document(&twice[..1]), options)
        .expect("a document");
    assert_eq!(results(&imported), [("x", ImportOutcome::WouldDefine)]);
    assert_eq!(house.catalog.list("", 10).devices, []);
    assert_eq!(house.store.load().expect("readable").len(), 0);
}

#[test]
fn an_import_starts_in_order_and_tells_what_did_not() {
    let house = house_with(4);
    let definitions = [("a", 2), ("b", 1), ("c", 0)]
        .map(|(name, order)| json!({ "name": name, "order": order, "queue_pairs": 2 }));
    let options = ImportOptions {
        dry_run: false,
        start: true,
    };
    let imported = house
        .catalog
        .import(&document(&definitions), options)
        .expect("a document");
    let started: Vec<_> = imported
        .devices
        .iter()
        .map(|device| device.started)
        .collect();
    assert!(imported.ok);
    assert_eq!(
        started,
        [false, true, true],
        "the last in order has no room"
    );
    let reason = imported.devices[0].reason.as_ref().expect("a reason");
    assert!(reason.contains("0 of 4 queue pairs free"), "{reason}");
}

#[test]
fn what_is_no_document_is_refused() {
    let house = house();
    let large = "x".repeat(crate::limits::MAX_IMPORT + 1);
    let many = vec![json!({}); crate::limits::MAX_IMPORTED + 1];
    for (text, part) in [
        ("", "not an object with format"),
        ("[]", "not an object with format"),
        ("{\"format\":\"x\",\"version\":1,\"definitions\":[]}", "'x'"),
        (
            "{\"format\":\"mdevd-definitions\",\"version\":2,\"definitions\":[]}",
            "version 2",
        ),
        (
            "{\"format\":\"mdevd-definitions\",\"version\":1,\"definitions\":[],\"defintions\":[]}",
            "it has 'defintions', which is no key of such a document; did you mean 'definitions'?",
        ),
        (&large, "in parts"),
        (&document(&many), "in parts"),
    ] {
        let error = house
            .catalog
            .import(text, ImportOptions::default())
            .expect_err("none");
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        let error = error.to_string();
        assert!(error.contains(part), "{part}: {error}");
        assert!(error.starts_with("cannot import the document: "), "{error}");
    }
}

#[test]
fn what_is_refused_is_found_in_the_document() {
    let house = house();
    let imported = import(
        &house.catalog,
        &[
            json!({"name": "a"}),
            json!({}),
            json!({"mtu": 1}),
            json!({"name": "b", "mtuu": 1}),
        ],
    );
    let reasons: Vec<_> = imported
        .devices
        .iter()
        .filter_map(|one| one.reason.clone())
        .collect();
    let begins = [
        "cannot import 'definition 2': name",
        "cannot import 'definition 3': mtu",
        "cannot import 'b': ",
    ];
    assert_eq!(reasons.len(), begins.len(), "{reasons:?}");
    for (reason, begin) in reasons.iter().zip(begins) {
        assert!(reason.starts_with(begin), "{reason}");
    }
}

#[test]
fn an_imported_definition_is_whole() {
    let house = house_with_devices();
    let document = exported(&house.catalog);
    let set = SetRequest {
        trunk: Some("none".to_owned()),
        rx_mbit: Some("7".to_owned()),
        ..SetRequest::default()
    };
    house.catalog.set("b", set).expect("set");
    let imported = import(&house.catalog, &document);
    let reason = imported.devices[1].reason.as_deref().expect("refused");
    assert!(reason.contains("trunk none, and trunk 7-9"), "{reason}");
    let set = SetRequest {
        trunk: Some("7-9".to_owned()),
        ..SetRequest::default()
    };
    house.catalog.set("b", set).expect("set");
    let imported = import(&house.catalog, &document);
    let reason = imported.devices[1].reason.as_deref().expect("refused");
    assert!(reason.contains("rx-mbit 7, and rx-mbit none"), "{reason}");
}

#[test]
fn as_many_can_be_made_as_is_told() {
    let house = house_with(10);
    let of = |pairs: u64| {
        let types = house.catalog.types(pairs).expect("types");
        types
            .types
            .into_iter()
            .find(|one| one.pf == "soft0")
            .expect("a PF")
    };
    house.catalog.create(named("one")).expect("created");
    let told = of(2);
    assert_eq!(
        (told.total, told.free, told.limited_by.as_str()),
        (5, 4, "queue-pairs")
    );
    assert_eq!(told.largest, 9);
    for n in 0..told.free {
        let mut request = named(&format!("d{n}"));
        request.queue_pairs = Some(2);
        house.catalog.create(request).expect("as told");
    }
    assert_eq!((of(2).free, of(1).free, of(1).largest), (0, 1, 1));
    let profiles = house.catalog.types(1).expect("types").profiles;
    let lab = profiles
        .iter()
        .find(|profile| profile.name == "lab")
        .expect("shipped");
    assert!(lab.default && lab.max_queue_pairs >= 1 && lab.min_mtu <= lab.max_mtu);
    for wrong in [0, 65, u64::MAX] {
        let error = house.catalog.types(wrong).expect_err("none");
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    }
}
