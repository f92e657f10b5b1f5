//! The life cycle on a real daemon: definitions, boots of the host, editing, documents, callouts.

mod support;

use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::process::Command;

use serde_json::{Value, json};
use support::{House, Said};

const HERE: [&str; 2] = ["--boot-id", "00000000-0000-0000-0000-000000000001"];
const LATER: [&str; 2] = ["--boot-id", "00000000-0000-0000-0000-000000000002"];

fn states(list: &Value) -> Vec<(&str, &str)> {
    let devices = list.as_array().expect("a list").iter();
    let each = devices.map(|device| {
        let text = |key: &str| device[key].as_str().expect("a text");
        (text("name"), text("state"))
    });
    each.collect()
}

#[test]
fn a_boot_of_the_host_drops_what_is_transient_and_starts_what_is_auto() {
    let house = House::new();
    let daemon = house.start(&HERE);
    daemon.json(&["create", "transient"]);
    daemon.json(&["create", "kept", "--persistent"]);
    daemon.json(&["define", "auto", "--start", "auto", "--order", "-1"]);
    daemon.json(&["define", "manual"]);
    daemon.json(&["start", "manual"]);
    daemon.kill();
    let daemon = house.start(&HERE);
    let all = [
        ("auto", "ready"),
        ("kept", "ready"),
        ("manual", "ready"),
        ("transient", "ready"),
    ];
    // What the daemon starts by itself may be under way when it answers.
    daemon.until("all run", || states(&daemon.json(&["list"])) == all);
    daemon.stop();
    let daemon = house.start(&LATER);
    let some = [("auto", "ready"), ("kept", "ready"), ("manual", "defined")];
    daemon.until("some run", || states(&daemon.json(&["list"])) == some);
    let socket = daemon.json(&["show", "kept"])["socket"].clone();
    UnixStream::connect(socket.as_str().expect("a path")).expect("it listens");
    let log = daemon.stop();
    assert!(
        log.contains("dropped: it was transient") && log.contains("dropped=1"),
        "{log}"
    );
}

#[test]
fn several_are_started_and_stopped_and_none_keeps_the_others_from_it() {
    let house = House::new();
    let daemon = house.start(&[]);
    daemon.json(&["define", "a"]);
    daemon.json(&["define", "b"]);
    let said = daemon.cvfctl(&["start", "a", "x", "b"]);
    assert_eq!(
        (said.code, said.out.as_str()),
        (1, "a started\nb started\n")
    );
    assert!(
        said.err
            .contains("cannot start 'x': there is no device 'x'"),
        "{said:?}"
    );
    let said = daemon.cvfctl(&["--json", "stop", "a", "x", "b"]);
    let answer: Value = serde_json::from_str(&said.out).expect("JSON");
    assert_eq!(said.code, 1);
    assert_eq!(answer[0]["result"], "stopped");
    assert_eq!(answer[1]["error"]["kind"], "not-found");
    assert_eq!(daemon.json(&["stop", "b"])["result"], "already");
    let said = daemon.cvfctl(&["undefine", "a"]);
    assert_eq!((said.code, said.out.as_str()), (0, "a undefined\n"));
}

/// `cvfctl edit` with a program in the editor's place.
fn edit(house: &House, editor: &str, args: &[&str]) -> Said {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cvfctl"));
    command
        .arg("--address")
        .arg(house.bus())
        .arg("edit")
        .args(args)
        .env("VISUAL", editor)
        .env("TMPDIR", house.dir.path());
    Said::of(command.output().expect("it runs"))
}

fn left(house: &House) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(house.dir.path())
        .expect("a directory")
        .flatten();
    let paths = entries.map(|entry| entry.path());
    paths
        .filter(|path| path.to_string_lossy().contains("cvfctl-"))
        .collect()
}

#[test]
fn an_edited_definition_is_taken_whole_or_kept_for_another_try() {
    let house = House::new();
    let daemon = house.start(&[]);
    daemon.json(&["define", "a", "--queue-pairs", "2"]);
    let said = edit(&house, "true", &["a"]);
    assert_eq!(
        (said.code, said.out.as_str()),
        (0, "a is as it was: nothing was changed\n")
    );
    let said = edit(&house, "sed -i 's/\"mtu\": 1500/\"mtu\": 9000/'", &["a"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.out.contains("9000 (was 1500)"), "{said:?}");
    assert_eq!(daemon.json(&["show", "a"])["mtu"], 9000);
    assert_eq!(
        left(&house),
        [""; 0].map(std::path::PathBuf::from),
        "nothing is left behind"
    );

    let said = edit(&house, "sed -i 's/\"mtu\": 9000/\"mtu\": 1/'", &["a"]);
    assert_eq!(said.code, 2, "{said:?}");
    let [path] = &left(&house)[..] else {
        panic!("{:?}", left(&house))
    };
    assert!(
        said.err.contains("mtu \"1\" cannot be") && said.err.contains(&path.display().to_string()),
        "{said:?}"
    );
    let mode = std::fs::metadata(path).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    std::fs::remove_file(path).expect("removed");
    let said = edit(&house, "printf '{' >", &["a"]);
    assert!(said.code == 2 && said.err.contains("not JSON"), "{said:?}");
    let said = edit(&house, "false", &["a"]);
    assert!(
        said.code == 1 && said.err.contains("nothing was changed"),
        "{said:?}"
    );
    assert_eq!(daemon.json(&["show", "a"])["mtu"], 9000);

    daemon.json(&["start", "a"]);
    let said = daemon.cvfctl(&[
        "edit",
        "a",
        "--patch",
        "{\"queue_pairs\": 4, \"mtu\": 1500}",
    ]);
    assert!(
        said.code == 1
            && said
                .err
                .contains("queue-pairs changes only while it is stopped"),
        "{said:?}"
    );
    assert_eq!(daemon.json(&["show", "a"])["mtu"], 9000, "nothing of it");
    let patch = ["edit", "a", "--patch", "{\"vlan\": 7}"];
    assert_eq!(daemon.json(&patch)["result"], "replaced");
    assert_eq!(daemon.json(&patch)["result"], "already");
    assert_eq!(daemon.json(&["show", "a"])["vlan"], 7);
    let patch = ["edit", "a", "--patch", "{\"vlan\": null}", "--dry-run"];
    assert_eq!(daemon.json(&patch)["result"], "would-replace");
    let said = daemon.cvfctl(&["edit", "a", "--patch", "{\"name\": \"b\"}"]);
    assert!(
        said.code == 2 && said.err.contains("cannot become"),
        "{said:?}"
    );
}

#[test]
fn devices_come_back_whatever_became_of_their_group() {
    let house = House::new();
    let with = |groups: &str| {
        let file = house.file(&format!("rate-groups = \"{groups}\"\n"));
        house.start(&["--config", &file])
    };
    let daemon = with("web=1000");
    for (name, share) in [("a", "600"), ("b", "300")] {
        daemon.json(&["create", name, "--group", "web", "--tx-share", share]);
    }
    let outside = |daemon: &support::Daemon<'_>, name: &str| {
        let shown = daemon.json(&["show", name]);
        assert_eq!(
            (&shown["state"], &shown["group"]),
            (&"ready".into(), &"web".into())
        );
        let notes = shown["notes"].to_string();
        let outside = notes.contains("runs without the share or the group");
        assert_eq!(shown["share_in_force"] == false, outside, "{shown}");
        outside
    };
    assert!(!outside(&daemon, "a") && !outside(&daemon, "b"));
    daemon.stop();
    let daemon = with("web=700");
    assert!(!outside(&daemon, "a") && outside(&daemon, "b"));
    let group = daemon.json(&["pf", "show", "soft0"])["groups"][0].clone();
    assert_eq!(
        (&group["guaranteed_mbit"], &group["devices"]),
        (&json!(600), &json!(2))
    );
    daemon.stop();
    let daemon = with("none");
    assert!(outside(&daemon, "a") && outside(&daemon, "b"));
    daemon.json(&["set", "a", "mtu=1400"]);
    let said = daemon.cvfctl(&["set", "a", "tx-share=500"]);
    assert!(
        said.code == 2 && said.err.contains("no such group is configured"),
        "{said:?}"
    );
    daemon.json(&["set", "a", "group=none", "tx-share=none"]);
    assert!(
        daemon
            .stop()
            .contains("runs without the share or the group")
    );
    // As they were defined, once the file is mended.
    let daemon = with("web=1000");
    assert!(!outside(&daemon, "b"));
}

#[test]
fn a_group_that_is_put_back_has_its_devices_without_a_restart() {
    let house = House::new();
    let file = |groups: &str| house.file(&format!("rate-groups = \"{groups}\"\n"));
    let daemon = house.start(&["--config", &file("web=1000")]);
    daemon.json(&["create", "a", "--group", "web", "--tx-share", "600"]);
    daemon.stop();
    let daemon = house.start(&["--config", &file("none")]);
    let notes = |answer: &serde_json::Value| answer["notes"].to_string();
    let outside = || notes(&daemon.json(&["show", "a"])).contains("runs without the share");
    let devices = || daemon.json(&["pf", "show", "soft0"])["groups"][0]["devices"].clone();
    let same = ["set", "a", "group=web"];
    let said = daemon.json(&same);
    assert_eq!(said["changed"], false);
    assert!(notes(&said).contains("no such group"), "{said}");
    // Another group does not help it, and a reload says so.
    file("db=1");
    let said = daemon.json(&["reload"]);
    assert!(notes(&said).contains("'a': it runs without"), "{said}");
    assert!(outside());
    daemon.json(&["policy", "reload"]);
    // Its group without its share does, as far as that goes.
    file("web=500");
    let said = daemon.json(&["reload"]);
    assert!(notes(&said).contains("sends 500 Mbit/s at most"), "{said}");
    assert_eq!((outside(), devices()), (true, json!(1)));
    file("web=1000");
    let said = daemon.json(&["reload"]);
    assert!(notes(&said).contains("'a': it has the group"), "{said}");
    assert_eq!((outside(), devices()), (false, json!(1)));
    assert_eq!(
        daemon.json(&["pf", "show", "soft0"])["groups"][0]["guaranteed_mbit"],
        600
    );
    let said = daemon.json(&same);
    assert_eq!(
        (&said["changed"], notes(&said)),
        (&json!(false), "null".into())
    );
    let log = daemon.stop();
    assert!(
        log.contains("it has the group and the share again"),
        "{log}"
    );
}

#[test]
fn a_group_stays_as_long_as_a_device_is_defined_in_it() {
    let house = House::new();
    let file = |groups: &str| house.file(&format!("log = \"info\"\nrate-groups = \"{groups}\"\n"));
    let path = file("web=1000");
    let daemon = house.start(&["--config", &path]);
    for (name, share) in [("a", "600"), ("b", "300")] {
        daemon.json(&["define", name, "--group", "web", "--tx-share", share]);
    }
    daemon.json(&["start", "b"]);
    for (groups, expected) in [
        (
            "none",
            format!("{path}:2: rate-groups: group 'web' is gone, and 'a', 'b' are"),
        ),
        (
            "web=500",
            "to be guaranteed to 'a', which could not be started".to_owned(),
        ),
    ] {
        file(groups);
        let said = daemon.cvfctl(&["reload"]);
        assert!(said.code == 1 && said.err.contains(&expected), "{said:?}");
    }
    daemon.json(&["set", "a", "tx-share=none"]);
    file("web=200");
    let said = daemon.cvfctl(&["reload"]);
    assert!(
        said.code == 1
            && said.err.contains("guarantees 300 to its devices")
            && said.err.contains("(those of 'b')"),
        "{said:?}"
    );
    daemon.stop();
    // Where the file is changed all the same, whoever starts it is told; what ran comes back.
    let daemon = house.start(&["--config", &file("none")]);
    assert_eq!(
        states(&daemon.json(&["list"])),
        [("a", "defined"), ("b", "ready")]
    );
    let said = daemon.cvfctl(&["start", "a"]);
    assert!(
        said.code == 1
            && said
                .err
                .contains("it would run without what it is defined with")
            && said.err.contains("'cvfctl set a group=none'"),
        "{said:?}"
    );
    // What is not in force cannot be taken away: the rest of the file is.
    file("none");
    daemon.json(&["reload"]);
    daemon.json(&["set", "a", "group=none"]);
    daemon.json(&["start", "a"]);
}

#[test]
fn a_share_that_is_free_again_is_had_by_asking_for_it() {
    let house = House::new();
    let file = |groups: &str| house.file(&format!("rate-groups = \"{groups}\"\n"));
    let daemon = house.start(&["--config", &file("web=1000")]);
    for name in ["a", "b"] {
        daemon.json(&["create", name, "--group", "web", "--tx-share", "500"]);
    }
    daemon.stop();
    let daemon = house.start(&["--config", &file("web=700")]);
    let notes = |answer: serde_json::Value| answer["notes"].to_string();
    assert!(notes(daemon.json(&["show", "b"])).contains("ask for no more than 200"));
    // What it lacks holds up no other change: it can be taken off the network.
    daemon.json(&["set", "b", "link=down", "vlan=7"]);
    let shown = daemon.json(&["show", "b"]);
    assert_eq!(
        (&shown["link"], &shown["vlan"], &shown["tx_share"]),
        (&json!("down"), &json!(7), &json!(500))
    );
    let more = daemon.cvfctl(&["set", "b", "tx-share=400"]);
    assert!(
        more.code == 2 && more.err.contains("no more than 200"),
        "{more:?}"
    );
    daemon.json(&["destroy", "a"]);
    assert!(notes(daemon.json(&["show", "b"])).contains("could have it"));
    let said = notes(daemon.json(&["set", "b", "tx-share=500"]));
    assert!(said.contains("it has the group and the share"), "{said}");
    assert_eq!(
        daemon.json(&["pf", "show", "soft0"])["groups"][0]["guaranteed_mbit"],
        500
    );
}

/// What failed is started by hand with what it is defined with, or not at all.
#[test]
fn what_failed_is_started_with_its_share_or_refused() {
    let house = House::new();
    let file = house.file("rate-groups = \"web=100\"\n");
    let daemon = house.start(&["--config", &file, HERE[0], HERE[1]]);
    let wants = ["--group", "web", "--tx-share", "80"];
    daemon.json(&[&["define", "y", "--start", "auto"][..], &wants].concat());
    daemon.json(&[
        "create",
        "x",
        "--persistent",
        "--group",
        "web",
        "--tx-share",
        "80",
    ]);
    daemon.stop();
    let script = house.callout("10-no", "[ ${14} != y ] || exit 1\n");
    let daemon = house.start(&["--config", &file, LATER[0], LATER[1]]);
    daemon.until("it is tried", || {
        daemon.json(&["show", "y"])["state"] == "failed"
    });
    std::fs::remove_file(script).expect("removed");
    for again in [&["start", "y"][..], &["create", "y"]] {
        let said = daemon.cvfctl(again);
        let why = "it would run without what it is defined with";
        assert!(said.code == 1 && said.err.contains(why), "{said:?}");
    }
    daemon.json(&["set", "y", "tx-share=20"]);
    assert_eq!(daemon.json(&["show", "y"])["state"], "ready");
}

#[test]
fn a_document_goes_to_another_daemon_and_is_refused_whole() {
    let (house, other) = (House::new(), House::new());
    let daemon = house.start(&[]);
    for n in 0..3 {
        let (name, order) = (format!("d{n}"), format!("{}", 2 - n));
        daemon.json(&[
            "define",
            &name,
            "--order",
            &order,
            "--start",
            "auto",
            "--tx-mbit",
            "5",
        ]);
    }
    let said = daemon.cvfctl(&["export"]);
    let file = house.dir.path().join("devices.json");
    std::fs::write(&file, &said.out).expect("written");
    let file = file.display().to_string();
    let second = other.start(&[]);
    assert_eq!(
        second.json(&["import", &file, "--dry-run"])["devices"][0]["result"],
        "would-define"
    );
    let said = second.cvfctl(&["import", &file, "--start"]);
    assert_eq!(
        (said.code, said.out.as_str()),
        (
            0,
            "d0 defined, started\nd1 defined, started\nd2 defined, started\n"
        ),
        "{said:?}"
    );
    assert_eq!(second.json(&["export"]), daemon.json(&["export"]));
    let mut document = daemon.json(&["export", "d0"]);
    document["definitions"][0]["name"] = json!("new");
    std::fs::write(&file, document.to_string()).expect("written");
    let said = second.cvfctl(&["import", &file]);
    assert_eq!(said.code, 1);
    assert!(
        said.out
            .contains("new refused: cannot import 'new' with MAC"),
        "{said:?}"
    );
    assert!(said.out.contains("nothing was stored"), "{said:?}");
    assert_eq!(states(&second.json(&["list"])).len(), 3);
    let types = second.json(&["types", "--queue-pairs", "2"]);
    assert_eq!(types["types"][0]["queue_pairs"], 2);
    assert!(types["types"][0]["free"].as_u64() < types["types"][0]["total"].as_u64());
}

#[test]
fn callouts_are_asked_by_the_daemon_and_at_a_boot() {
    let house = House::new();
    let said = house.dir.path().join("said");
    let text = format!(
        "echo \"$4 $6 ${{14}}\" >> {}\n[ ${{14}} != bad ] || {{ echo 'not this name' >&2; exit 1; }}\n",
        said.display()
    );
    house.callout("10-rule", &text);
    let daemon = house.start(&HERE);
    daemon.json(&["define", "good", "--start", "auto"]);
    let refused = daemon.cvfctl(&["define", "bad"]);
    assert_eq!(refused.code, 1);
    assert!(
        refused.err.contains("10-rule: not this name"),
        "{refused:?}"
    );
    daemon.stop();
    std::fs::remove_file(&said).expect("said");
    // Scripts are asked once the daemon is ready: what they ask, it answers.
    let hold = house.dir.path().join("hold");
    std::fs::write(&hold, "").expect("written");
    let ctl = env!("CARGO_BIN_EXE_cvfctl");
    let text = format!(
        "echo \"$4 $6 ${{14}}\" >> {}\n{ctl} --address $MDEVD_ADDRESS show good > /dev/null || exit 1\nwhile [ $4 = pre ] && [ -e {} ]; do sleep 0.01; done\n",
        said.display(),
        hold.display(),
    );
    house.callout("10-rule", &text);
    let file = house.file("callout-timeout = 60\n");
    let daemon = house.start(&["--config", &file, LATER[0], LATER[1]]);
    daemon.until("it is asked", || said.exists());
    assert_eq!(daemon.json(&["show", "good"])["state"], "changing");
    std::fs::remove_file(&hold).expect("let go");
    assert_eq!(daemon.json(&["start", "good"])["result"], "already");
    let lines = std::fs::read_to_string(&said).expect("said");
    assert!(lines.starts_with("pre start good\n"), "{lines}");
    daemon.until("it is told", || {
        let lines = std::fs::read_to_string(&said).expect("said");
        lines.contains("notify start good\n")
    });
    // It is recorded as running in this boot, so nobody is asked again.
    let lines = std::fs::read_to_string(&said).expect("said");
    daemon.kill();
    let daemon = house.start(&LATER);
    assert_eq!(daemon.json(&["show", "good"])["state"], "ready");
    assert_eq!(std::fs::read_to_string(&said).expect("said"), lines);
}

#[test]
fn what_a_definition_in_place_of_another_does_not_say_is_as_in_a_new_one() {
    let house = House::new();
    let daemon = house.start(&[]);
    let define = ["define", "a", "--start", "auto", "--order", "7"];
    daemon.json(&define);
    let life = || {
        let shown = daemon.json(&["show", "a"]);
        (shown["start"].clone(), shown["order"].clone())
    };
    daemon.json(&["edit", "a", "--patch", "{\"order\": null}"]);
    assert_eq!(life().0, "auto");
    assert_ne!(life().1, 7);
    daemon.json(&["edit", "a", "--patch", "{\"start\": null}"]);
    assert_eq!(life().0, "manual");
    let again = [&define[..], &["--replace"]].concat();
    daemon.json(&again);
    assert_eq!(life(), (json!("auto"), json!(7)));
    daemon.json(&["define", "a", "--replace"]);
    assert_eq!(life().0, "manual");
}

#[test]
fn what_is_given_wrongly_is_told_in_words_and_with_the_way() {
    let house = House::new();
    let daemon = house.start(&[]);
    daemon.json(&["define", "a"]);
    for (args, expected) in [
        (
            ["set", "a", "doorbells=mapped"].as_slice(),
            "'cvfctl stop a', then 'cvfctl edit a --patch '{\"doorbells\":\"mapped\"}'', then 'cvfctl start a'",
        ),
        (
            &["set", "a", "ring-format=any"],
            "changes only while a device is stopped",
        ),
        (
            &["set", "a", "socket-mode=0600"],
            "changes only while a device is stopped",
        ),
        (
            &["define", "b", "--order", "x"],
            "write a whole number from -1000000 to 1000000",
        ),
        (
            &["jobs", "--result", "x"],
            "a whole number from 1 to 4294967295",
        ),
        (
            &["capture", "a", "--count", "x"],
            "write a whole number, 1 or more",
        ),
        (
            &["create", "b", "--mtu", "7"],
            "mtu \"7\" cannot be: it is from 68",
        ),
        (
            &["define", "b", "--mtu", "7"],
            "mtu \"7\" cannot be: it is from 68",
        ),
        (&["set", "a", "mtu=7"], "mtu \"7\" cannot be: it is from 68"),
        (
            &["edit", "a", "--patch", "{\"mtu\":7}"],
            "mtu \"7\" cannot be: it is from 68",
        ),
    ] {
        let said = daemon.cvfctl(args);
        assert!(
            said.code == 2 && said.err.contains(expected) && !said.err.contains("invalid digit"),
            "{args:?}: {said:?}"
        );
    }
}
