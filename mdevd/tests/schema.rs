//! What `cvfctl --json` really prints is what `docs/schema` says.

mod support;

use std::collections::BTreeSet;

use serde_json::{Value, json};
use support::schema::{check, published};
use support::{House, cvfctl};

#[test]
fn every_answer_is_as_documented() {
    let house = House::new();
    let daemon = house.start(&[]);
    let schema = published();
    let commands: [(&str, &[&str]); 42] = [
        ("create", &["create", "vm1", "--queue-pairs", "2"]),
        ("create", &["create", "vm1", "--queue-pairs", "2"]),
        (
            "create",
            &["create", "vm2", "--vlan", "7", "--doorbells", "mapped"],
        ),
        ("set", &["set", "vm1", "link=down"]),
        (
            "create",
            &[
                "create",
                "vm3",
                "--queue-pairs",
                "4",
                "--rss-table",
                "0,1,2,1",
                "--features=-mrg_rxbuf,-in_order",
            ],
        ),
        (
            "set",
            &["set", "vm3", "queue-pairs=3", "features=-rss", "--dry-run"],
        ),
        (
            "set",
            &["set", "vm3", "queue-pairs=3", "vlan=7", "vlan-qos=5"],
        ),
        ("show", &["show", "vm3"]),
        ("list", &["list"]),
        ("show", &["show", "vm1"]),
        ("show", &["show", "vm1", "vm2"]),
        ("show --qemu", &["show", "vm1", "--qemu"]),
        ("show --qemu", &["show", "vm1", "vm2", "--qemu"]),
        ("show --libvirt-xml", &["show", "vm1", "--libvirt-xml"]),
        ("stats", &["stats", "vm1"]),
        ("stats", &["stats"]),
        ("pf list", &["pf", "list"]),
        ("pf show", &["pf", "show", "soft0"]),
        ("version", &["version"]),
        ("top", &["top", "--once", "--interval", "0.1"]),
        ("top", &["top", "--once", "--interval", "0.1", "--pairs"]),
        ("completion", &["completion", "fish"]),
        ("man", &["man"]),
        ("destroy", &["destroy", "vm2"]),
        ("define", &["define", "vm4", "--order", "-2"]),
        ("define", &["define", "vm4", "--order", "-2"]),
        ("define", &["define", "vm4", "--mtu", "9000", "--replace"]),
        ("define", &["define", "vm6", "--dry-run"]),
        ("list", &["list"]),
        ("show", &["show", "vm4"]),
        ("start", &["start", "vm4"]),
        ("start", &["start", "vm4", "vm1"]),
        ("edit", &["edit", "vm4", "--patch", "{\"mtu\": 1500}"]),
        ("edit", &["edit", "vm4", "--patch", "{}"]),
        ("types", &["types"]),
        ("jobs", &["jobs"]),
        ("export", &["export"]),
        ("stop", &["stop", "vm4"]),
        ("stop", &["stop", "vm4", "vm4"]),
        ("undefine", &["undefine", "vm1"]),
        ("undefine", &["undefine", "vm4"]),
        ("create", &["create", "vm5", "--persistent", "--dry-run"]),
    ];
    for (command, args) in commands {
        let name = schema["x-commands"][command].as_str().expect("documented");
        let answer = daemon.json(args);
        if let Err(why) = check(&schema, name, &answer) {
            panic!("cvfctl {}: {why}", args.join(" "));
        }
    }
    let shown = daemon.json(&["show", "vm3"]);
    assert_eq!(
        (&shown["queue_pairs"], &shown["queue_pairs_limit"]),
        (&json!(4), &json!(3))
    );
    assert_eq!(shown["rss_table"], "0,1,2,1");
    assert_eq!(shown["features_withheld"], "-MRG_RXBUF,-IN_ORDER");
    // A failed device, one whose socket is gone, and no daemon.
    std::fs::remove_file(house.runtime().join("cvf/vm1.sock")).expect("removed");
    check(&schema, "devices", &daemon.json(&["list"])).expect("documented");
    check(&schema, "views", &daemon.json(&["show", "vm1"])).expect("documented");
    let said = daemon.cvfctl(&["--json", "doctor"]);
    let answer: Value = serde_json::from_str(&said.out).expect("JSON");
    check(&schema, "doctor", &answer).expect("documented");
    assert_eq!(said.code == 0, answer["ok"] == true, "{said:?}");
    let none = cvfctl("/nonexistent/mdevd.sock".as_ref(), &["--json", "version"]);
    check(
        &schema,
        "version",
        &serde_json::from_str(&none.out).expect("JSON"),
    )
    .expect("documented");
    for wrong in [
        &["--json", "show", "nobody"][..],
        &["--json", "announce", "vm1"],
        &["--json", "takeover", "vm1"],
        &["--json", "set", "vm1", "link=upp"],
        &["--json", "set", "vm3", "queue-pairs=5"],
        &["--json", "set", "vm3", "rss-table=0,3"],
        &["--json", "set", "vm3", "features=-version_1", "--dry-run"],
        &["--json", "frobnicate"],
    ] {
        let said = daemon.cvfctl(wrong);
        assert_ne!(said.code, 0, "{wrong:?}");
        let answer = serde_json::from_str(&said.out).expect("JSON");
        check(&schema, "error", &answer).expect("documented");
    }
}

#[test]
fn every_command_is_documented() {
    let schema = published();
    let documented: BTreeSet<String> = schema["x-commands"]
        .as_object()
        .expect("a table")
        .keys()
        .map(|key| key.split(" --").next().unwrap_or_default().to_owned())
        .collect();
    let mut known = BTreeSet::new();
    for command in mdevd::cli::command().get_subcommands() {
        let name = command.get_name();
        let below: Vec<_> = command.get_subcommands().collect();
        if command.is_hide_set() || name == "help" {
            continue;
        }
        if below.is_empty() {
            known.insert(name.to_owned());
        }
        known.extend(below.iter().map(|sub| format!("{name} {}", sub.get_name())));
    }
    assert_eq!(documented, known);
}

#[test]
fn the_check_would_see_what_is_wrong() {
    let schema = published();
    let good = json!({ "result": "asked", "name": "x" });
    check(&schema, "asked", &good).expect("as documented");
    for bad in [
        json!({ "result": "asked" }),
        json!({ "result": "done", "name": "x" }),
        json!({ "result": "asked", "name": 1 }),
        json!({ "result": "asked", "name": "x", "more": 1 }),
        json!([]),
    ] {
        check(&schema, "asked", &bad).expect_err("against the schema");
    }
    for result in ["taken", "already"] {
        let taken = json!({ "result": result, "name": "x", "notes": ["y"] });
        check(&schema, "taken", &taken).expect("as documented");
    }
    let pf = json!({ "kind": "drops", "frames": -1 });
    check(&schema, "direction", &pf).expect_err("negative");
    let stats = json!([{ "name": "x" }]);
    check(&schema, "all-stats", &stats).expect_err("inside of anyOf");
    // Every definition uses only what the check knows.
    for name in schema["$defs"].as_object().expect("definitions").keys() {
        if let Err(why) = check(&schema, name, &json!({})) {
            assert!(!why.contains("not known"), "{why}");
        }
    }
}
