//! Every command of `cvfctl` on a real daemon, right and wrong.

mod support;

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::Value;
use support::{House, Said, cvfctl};

#[test]
fn create_prints_what_a_vm_needs_and_again_is_already() {
    let house = House::new();
    let daemon = house.start(&[]);
    let made = daemon.json(&["create", "vm1", "--queue-pairs", "4", "--mtu", "9000"]);
    assert_eq!(made["result"], "created");
    assert_eq!(made["name"], "vm1");
    let socket = made["socket"].as_str().expect("a path");
    UnixStream::connect(socket).expect("connectable as soon as it is created");
    let device: serde_json::Value =
        serde_json::from_str(made["qemu"].as_str().expect("text")).expect("the -device JSON");
    assert_eq!(device["driver"], "vfio-user-pci");
    assert_eq!(device["socket"]["path"], socket);
    assert_eq!(device["socket"]["type"], "unix");

    let again = daemon.json(&["create", "vm1", "--queue-pairs", "4", "--mtu", "9000"]);
    assert_eq!(again["result"], "already");
    for key in ["name", "uuid", "mac", "socket", "qemu"] {
        assert_eq!(made[key], again[key], "{key}");
    }
    let said = daemon.cvfctl(&["create", "vm1", "--queue-pairs", "4", "--mtu", "9000"]);
    for part in [
        "vm1 already there",
        "uuid",
        "mac",
        socket,
        "-device '{",
        "hot-unplugged",
    ] {
        assert!(said.out.contains(part), "{part}: {said:?}");
    }
    let bare = daemon.json(&["create", "vm1"]);
    assert_eq!(bare["result"], "already", "nothing else was asked for");
    let other = daemon.cvfctl(&["create", "vm1", "--queue-pairs", "1"]);
    assert_eq!((other.code, other.out.as_str()), (1, ""));
    assert!(
        other.err.contains("queue-pairs 4, and queue-pairs 1"),
        "{other:?}"
    );
}

#[test]
fn who_works_the_rings_is_shown_and_a_soft_pf_cannot() {
    let house = House::new();
    let daemon = house.start(&[]);
    daemon.json(&["create", "vm1", "--data-path", "auto"]);
    let shown = daemon.json(&["show", "vm1"]);
    assert_eq!(shown["data_path"], "auto");
    let health = &shown["health"];
    assert_eq!(health["data_path"], "copied");
    assert!(!health["data_path_reason"].as_str().expect("why").is_empty());
    for absent in ["unenforced", "dma_faults"] {
        assert_eq!(health[absent], Value::Null, "{absent}");
    }
    let said = daemon.cvfctl(&["show", "vm1"]);
    assert!(
        said.out.contains("  data-path     copied (auto: "),
        "{said:?}"
    );
    assert_eq!(
        daemon.json(&["pf", "show", "soft0"])["exclusive"],
        Value::Null
    );
    assert_eq!(daemon.json(&["stats", "vm1"])["uncounted"], Value::Null);
    let direct = ["create", "vm2", "--data-path", "direct", "--profile"];
    let trusted = [&direct[..], &["nfv"]].concat();
    for (args, code, expected) in [
        (
            [&direct[..], &["tenant"]].concat(),
            1,
            "profile 'tenant' has shape.direct = false",
        ),
        (
            trusted.clone(),
            2,
            "cannot create 'vm2': data-path \"direct\" cannot be: PF 'soft0' cannot work a guest's rings itself: ",
        ),
        (
            [&trusted[..], &["--vlan", "7"]].concat(),
            2,
            "vlan \"7\" cannot be: tags are put on and taken off by the daemon",
        ),
        (
            vec!["create", "vm2", "--data-path", "straight"],
            2,
            "[possible values: auto, direct]",
        ),
        (
            vec!["set", "vm1", "data-path=direct"],
            1,
            "it runs, and its data-path changes only while it is stopped",
        ),
        (
            vec!["set", "vm1", "data-path=straight"],
            2,
            "data-path \"straight\" cannot be: it is one of auto, direct",
        ),
    ] {
        let said = daemon.cvfctl(&args);
        assert!(
            said.code == code && said.err.contains(expected),
            "{args:?}: {said:?}"
        );
    }
    let said = daemon.cvfctl(&["set", "vm1", "data-path=direct", "--json"]);
    let answer: Value = serde_json::from_str(&said.out).expect("JSON");
    assert_eq!(answer["error"]["kind"], "busy");
    assert_eq!(daemon.json(&["list"]).as_array().map(Vec::len), Some(1));
}

#[test]
fn choices_at_create_are_kept_and_shown() {
    let house = House::new();
    let daemon = house.start(&["--pf", "soft:a", "--pf", "soft:b,queue-pairs=8"]);
    let mac = "52:54:00:AB:cd:01";
    let args = [
        "create",
        "vm1",
        "--pf",
        "b",
        "--personality",
        "virtio-net",
        "--queue-pairs",
        "2",
        "--mac",
        mac,
        "--mtu",
        "1400",
        "--vlan",
        "7",
        "--doorbells",
        "mapped",
        "--interrupts",
        "msix",
        "--ring-format",
        "any",
        "--socket-mode",
        "0600",
        "--socket-owner",
        "0",
        "--socket-group",
        "0",
    ];
    let made = daemon.json(&args);
    assert_eq!(made["mac"], mac.to_lowercase());
    assert!(
        made["notes"].to_string().contains("one core busy"),
        "{made}"
    );
    let shown = daemon.json(&["show", "vm1"]);
    for (key, value) in [
        ("pf", "b"),
        ("personality", "virtio-net"),
        ("doorbells", "mapped"),
        ("interrupts", "msix"),
        ("ring_format", "any"),
        ("socket_mode", "0600"),
        ("state", "ready"),
    ] {
        assert_eq!(shown[key], value, "{key}");
    }
    assert_eq!(
        (&shown["queue_pairs"], &shown["mtu"], &shown["vlan"]),
        (&2.into(), &1400.into(), &7.into())
    );
    assert_eq!(shown["health"]["driver"], "no driver");
    assert_eq!(shown["health"]["memory"], "unknown");
    let meta = std::fs::metadata(made["socket"].as_str().expect("a path")).expect("a socket");
    assert_eq!(meta.permissions().mode() & 0o777, 0o600);
    assert_eq!((meta.uid(), meta.gid()), (0, 0));
    let text = daemon.cvfctl(&["show", "vm1"]).out;
    for part in ["mapped", "none", "vm1", "virtio-net", "1400"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let pf = daemon.json(&["pf", "show", "b"]);
    assert_eq!(pf["devices"], 1);
    let pairs = pf["resources"]
        .as_array()
        .expect("resources")
        .iter()
        .find(|r| r["kind"] == "queue-pairs");
    assert_eq!(pairs.expect("queue pairs")["free"], 6);
}

#[test]
fn lists_and_counters() {
    let house = House::new();
    let daemon = house.start(&["--pf", "soft:soft0,queue-pairs=2000"]);
    assert_eq!(daemon.json(&["list"]), serde_json::json!([]));
    assert!(daemon.cvfctl(&["list"]).out.contains("no devices"));
    for n in 0..12 {
        daemon.json(&["create", &format!("d{n:02}")]);
    }
    let made = daemon.json(&["create"]);
    assert!(
        !made["name"].as_str().expect("a name").is_empty(),
        "one is made"
    );
    let list = daemon.json(&["list"]);
    assert_eq!(list.as_array().expect("a list").len(), 13);
    for device in list.as_array().expect("a list") {
        let name = device["name"].as_str().expect("a name");
        let socket = house.runtime().join(format!("cvf/{name}.sock"));
        assert_eq!(device["socket"], socket.display().to_string());
        assert_eq!(device["mtu"], 1500);
        assert!(device.get("vlan").is_none(), "absent where there is none");
    }
    let text = daemon.cvfctl(&["ls"]).out;
    assert_eq!(text.lines().count(), 14, "{text}");
    assert!(!text.contains('\x1b'), "no colour into a pipe");
    let stats = daemon.json(&["stats", "d00"]);
    assert_eq!(
        (&stats["name"], &stats["rx"]["frames"]),
        (&"d00".into(), &0.into())
    );
    assert_eq!(stats["pairs"].as_array().expect("pairs").len(), 1);
    assert_eq!(daemon.json(&["stats"]).as_array().expect("all").len(), 13);
    assert!(daemon.cvfctl(&["stats"]).out.contains("RX FRAMES"));
    assert!(daemon.cvfctl(&["stats", "d00"]).out.contains("PAIR"));
    assert_eq!(daemon.json(&["pf", "list"])[0]["name"], "soft0");
    assert!(daemon.cvfctl(&["pf", "list"]).out.contains("1987 of 2000"));
    assert!(
        daemon
            .cvfctl(&["pf", "show", "soft0"])
            .out
            .contains("queue-pairs")
    );
}

#[test]
fn recipes_for_qemu_and_libvirt() {
    let house = House::new();
    let daemon = house.start(&[]);
    let made = daemon.json(&["create", "vm1"]);
    let socket = made["socket"].as_str().expect("a path");
    let qemu = daemon
        .cvfctl(&["show", "vm1", "--qemu", "--memory", "512M"])
        .out;
    for part in [
        "memory-backend-memfd",
        "size=512M,share=on",
        "memory-backend=mem0",
        "pcie-root-port",
        socket,
    ] {
        assert!(qemu.contains(part), "{part}: {qemu}");
    }
    let arguments = &daemon.json(&["show", "vm1", "--qemu"])["qemu_arguments"];
    assert_eq!(arguments[0], "-machine");
    let xml = daemon.cvfctl(&["show", "vm1", "--libvirt-xml"]).out;
    for part in [
        "xmlns:qemu",
        "<access mode='shared'/>",
        "qemu:commandline",
        socket,
    ] {
        assert!(xml.contains(part), "{part}: {xml}");
    }
    assert_eq!(
        daemon
            .cvfctl(&["show", "vm1", "--qemu", "--libvirt-xml"])
            .code,
        2
    );
    assert_eq!(
        daemon
            .cvfctl(&["show", "vm1", "--qemu", "--memory", "lots"])
            .code,
        2
    );
    for ignored in [
        &["show", "vm1", "--memory", "2G"][..],
        &["show", "vm1", "--libvirt-xml", "--memory", "2G"],
    ] {
        let said = daemon.cvfctl(ignored);
        assert!(said.code == 2 && said.err.contains("--memory"), "{said:?}");
    }
    daemon.json(&["create", "vm2", "--vlan", "9"]);
    let both = daemon.json(&["show", "vm1", "vm2"]);
    assert_eq!(
        (&both[0]["name"], &both[1]["vlan"]),
        (&"vm1".into(), &9.into())
    );
    assert_eq!(daemon.json(&["list"])[1]["vlan"], 9);
    let qemu = daemon.json(&["show", "vm1", "vm2", "--qemu"]);
    assert_eq!(qemu["names"], serde_json::json!(["vm1", "vm2"]));
    let line = qemu["qemu_command_line"].as_str().expect("text");
    assert_eq!(line.matches("-object ").count(), 1, "{line}");
    assert_eq!(line.matches("vfio-user-pci").count(), 2, "{line}");
    let twice = daemon.cvfctl(&["show", "vm1", "vm1", "--qemu"]);
    assert!(
        twice.code == 2 && twice.err.contains("given twice"),
        "{twice:?}"
    );
}

#[test]
fn refusals_say_why_and_have_their_codes() {
    let house = House::new();
    let daemon = house.start(&["--pf", "soft:soft0,queue-pairs=4"]);
    daemon.json(&["create", "web", "--mac", "52:54:00:00:00:01"]);
    let refused: [(&[&str], &str, &str); 11] = [
        (
            &["create", "x", "--mac", "52:54:00:00:00:01"],
            "duplicate-mac",
            "'web' has that address",
        ),
        (
            &["create", "x", "--mac", "53:54:00:00:00:01"],
            "invalid-argument",
            "unicast",
        ),
        (
            &["create", "x", "--queue-pairs", "4"],
            "no-resources",
            "3 of 4 queue pairs",
        ),
        (
            &["create", "x", "--queue-pairs", "65"],
            "invalid-argument",
            "cannot create 'x': queue-pairs \"65\" cannot be: it is from 1 to 64",
        ),
        (
            &["create", "x", "--mtu", "18446744073709551615"],
            "invalid-argument",
            "cannot create 'x': mtu \"18446744073709551615\" cannot be: it is from 68 to 65521",
        ),
        (
            &["create", "x", "--pf", "sotf0"],
            "not-found",
            "cannot create 'x': there is no PF 'sotf0'; did you mean 'soft0'? 'cvfctl pf list'",
        ),
        (&["create", "x/y"], "invalid-argument", "letters, digits"),
        (
            &[
                "create",
                "x",
                "--doorbells",
                "mapped",
                "--interrupts",
                "intx",
            ],
            "invalid-argument",
            "intx",
        ),
        (
            &["create", "x", "--socket-owner", "no-such-user"],
            "invalid-argument",
            "no user",
        ),
        (
            &["show", "wen"],
            "not-found",
            "did you mean 'web'? 'cvfctl list' shows what there is",
        ),
        (
            &["pf", "show", "soft9"],
            "not-found",
            "did you mean 'soft0'?",
        ),
    ];
    for (args, kind, part) in refused {
        // An argument that cannot be is wrong usage, whoever finds it out.
        let code = if kind == "invalid-argument" { 2 } else { 1 };
        let said = daemon.cvfctl(args);
        assert_eq!(
            (said.code, said.out.as_str()),
            (code, ""),
            "{args:?}: {said:?}"
        );
        assert!(
            said.err.starts_with("cvfctl: ") && said.err.contains(part),
            "{args:?}: {said:?}"
        );
        assert_eq!(said.err.lines().count(), 1, "{said:?}");
        let json: Vec<_> = ["--json"].iter().chain(args).copied().collect();
        let said = daemon.cvfctl(&json);
        let object: serde_json::Value = serde_json::from_str(&said.out).expect("an object");
        assert_eq!(
            (said.code, &object["error"]["kind"]),
            (code, &kind.into()),
            "{said:?}"
        );
        assert!(
            object["error"]["message"]
                .as_str()
                .expect("text")
                .contains(part)
        );
    }
    assert_eq!(
        daemon.json(&["list"]).as_array().expect("a list").len(),
        1,
        "nothing was made"
    );
}

#[test]
fn who_has_a_vlan_with_another_protocol_is_named() {
    let house = House::new();
    let daemon = house.start(&[]);
    daemon.json(&["create", "web", "--vlan", "5"]);
    let said = daemon.cvfctl(&["create", "x", "--vlan", "5", "--vlan-protocol", "802.1ad"]);
    let why = "VLAN 5 has vlan-protocol 802.1Q on PF soft0: 'web' has it so, and 802.1ad was asked for; ask for \
               vlan-protocol 802.1Q, or for another VLAN\n";
    assert_eq!(
        (said.code, said.err),
        (1, format!("cvfctl: cannot create 'x': {why}"))
    );
    daemon.json(&["create", "x", "--vlan", "6", "--vlan-protocol", "802.1ad"]);
    let said = daemon.cvfctl(&["--json", "set", "x", "vlan=5"]);
    let object: Value = serde_json::from_str(&said.out).expect("an object");
    assert_eq!(
        (said.code, &object["error"]["kind"]),
        (1, &"conflict".into())
    );
    assert_eq!(
        object["error"]["message"],
        format!("cannot change 'x': {}", why.trim_end())
    );
}

#[test]
fn a_file_that_cannot_be_read_is_code_1_everywhere() {
    let house = House::new();
    let daemon = house.start(&[]);
    daemon.json(&["create", "web", "--persistent"]);
    let commands: [&[&str]; 3] = [
        &["import", "/no/file"],
        &["edit", "web", "--file", "/no/file"],
        &["policy", "check", "/no/file"],
    ];
    for args in commands {
        let json: Vec<_> = ["--json"].iter().chain(args).copied().collect();
        let said = daemon.cvfctl(&json);
        let object: Value = serde_json::from_str(&said.out).expect("an object");
        assert_eq!(
            (said.code, &object["error"]["kind"]),
            (1, &"failed".into()),
            "{args:?}"
        );
        let message = object["error"]["message"].as_str().expect("text");
        assert!(message.starts_with("cannot read /no/file: "), "{message}");
    }
}

#[test]
fn doctor_looks_where_the_daemon_keeps_its_definitions() {
    let house = House::new();
    let daemon = house.start(&[]);
    let said = daemon.cvfctl(&["--json", "doctor"]);
    let answer: Value = serde_json::from_str(&said.out).expect("an object");
    let checks = answer["checks"].as_array().expect("a list");
    let state = checks.iter().find(|check| check["name"] == "state-dir");
    let found = state.expect("a check")["found"].as_str().expect("text");
    let dir = house.state().display().to_string();
    assert!(found.starts_with(&format!("{dir} ")), "{found}");
}

#[test]
fn wrong_usage_is_explained_with_code_2() {
    let house = House::new();
    let wrong: [(&[&str], &str); 12] = [
        (&[], "Usage"),
        (&["craete"], "create"),
        (
            &["create", "--queue-pairs", "many"],
            "'many' for '--queue-pairs <N>': write a number from 1 to 64",
        ),
        (&["create", "--mtu", "x"], "write a number from 68 to 65521"),
        (
            &["create", "--vlan", "0x5"],
            "a number from 1 to 4094, or none",
        ),
        (&["create", "--personality", "virtio-nte"], "virtio-net"),
        (&["create", "--doorbells", "rung"], "trapped, mapped"),
        (&["create", "--mac", "nonsense"], "MAC"),
        (&["create", "--socket-mode", "rw"], "octal"),
        (&["create", ""], "NAME"),
        (&["destroy"], "<NAME>"),
        (&["completion", "tcsh"], "bash, zsh, fish"),
    ];
    for (args, part) in wrong {
        let said = cvfctl(&house.bus(), args);
        assert_eq!(said.code, 2, "{args:?}: {said:?}");
        assert!(said.err.contains(part), "{args:?}: {said:?}");
    }
    let said = cvfctl(&house.bus(), &["--json", "destroy"]);
    let object: serde_json::Value = serde_json::from_str(&said.out).expect("an object");
    assert_eq!((said.code, &object["error"]["kind"]), (2, &"usage".into()));
    let said = cvfctl(&house.bus(), &["--address", "tcp:host=x", "list"]);
    assert_eq!(said.code, 2, "{said:?}");
}

#[test]
fn without_a_daemon_code_3_says_what_to_do() {
    let house = House::new();
    let said = cvfctl(&house.bus(), &["list"]);
    assert_eq!((said.code, said.out.as_str()), (3, ""));
    assert!(
        said.err.contains("Start mdevd, or give --address"),
        "{said:?}"
    );
    let said = cvfctl(&house.bus(), &["version"]);
    assert_eq!(said.code, 0);
    assert!(said.out.contains("mdevd not reachable"), "{said:?}");
    for shell in ["bash", "zsh", "fish"] {
        let said = cvfctl(&house.bus(), &["completion", shell]);
        assert!(said.code == 0 && said.out.contains("cvfctl"), "{shell}");
    }
    let help = cvfctl(&house.bus(), &["--help"]);
    assert!(
        help.code == 0 && help.out.contains("Exit codes"),
        "{help:?}"
    );
}

#[test]
fn a_daemon_that_hangs_is_given_up_with_code_4() {
    let house = House::new();
    let daemon = house.start(&[]);
    daemon.signal(Signal::SIGSTOP);
    let begun = Instant::now();
    let said = daemon.cvfctl(&["--timeout", "0.3", "list"]);
    assert_eq!((said.code, said.out.as_str()), (4, ""), "{said:?}");
    assert!(
        said.err.contains("within 0.3 s") && said.err.contains("--timeout"),
        "{said:?}"
    );
    let said = daemon.cvfctl(&["--json", "--timeout", "0.3", "destroy", "vm1"]);
    let object: serde_json::Value = serde_json::from_str(&said.out).expect("an object");
    assert_eq!(
        (said.code, &object["error"]["kind"]),
        (4, &"timeout".into())
    );
    assert!(begun.elapsed() < Duration::from_secs(20), "not the default");
    daemon.signal(Signal::SIGCONT);
    assert_eq!(daemon.json(&["list"]), serde_json::json!([]));
    let said = daemon.cvfctl(&["--timeout", "0", "list"]);
    assert!(
        said.code == 2 && said.err.contains("0.1 to 3600"),
        "{said:?}"
    );
}

#[test]
fn colour_is_where_it_is_wanted() {
    let house = House::new();
    let daemon = house.start(&[]);
    daemon.json(&["create", "vm1"]);
    let coloured = |when: &str| {
        let said = daemon.cvfctl(&["list", "--color", when]);
        assert_eq!(said.code, 0, "{said:?}");
        said.out.contains("\x1b[1m")
    };
    assert_eq!(
        ["auto", "never", "always"].map(coloured),
        [false, false, true]
    );
    assert_eq!(daemon.cvfctl(&["list", "--color", "pink"]).code, 2);
}

#[test]
fn a_device_whose_socket_was_removed_is_not_ready() {
    let house = House::new();
    let daemon = house.start(&[]);
    let made = daemon.json(&["create", "vm1"]);
    std::fs::remove_file(made["socket"].as_str().expect("a path")).expect("removed");
    let list = daemon.cvfctl(&["list"]).out;
    assert!(
        list.contains("failed") && list.contains("removed by somebody"),
        "{list}"
    );
}

#[test]
fn an_answer_that_cannot_be_written_is_told() {
    let full = std::fs::File::create("/dev/full").expect("a device that is always full");
    let said = std::process::Command::new(env!("CARGO_BIN_EXE_cvfctl"))
        .args(["completion", "bash"])
        .stdout(full)
        .output()
        .expect("cvfctl runs");
    assert_eq!(said.status.code(), Some(1));
    let text = String::from_utf8_lossy(&said.stderr);
    assert!(text.contains("cannot write the answer"), "{text}");
}

#[test]
fn addresses_are_paths_or_dbus_addresses() {
    let house = House::new();
    let daemon = house.start(&[]);
    let path = house.bus().display().to_string();
    for address in [path.clone(), format!("unix:path={path}")] {
        let said = cvfctl(
            "/nonexistent".as_ref(),
            &["--address", &address, "--json", "version"],
        );
        let version: serde_json::Value = serde_json::from_str(&said.out).expect("an object");
        assert_eq!(version["mdevd"]["pid"], daemon.pid(), "{said:?}");
    }
}

#[test]
fn destroying_leaves_nothing_and_unknown_is_an_error() {
    let house = House::new();
    let daemon = house.start(&[]);
    let made = daemon.json(&["create", "vm1"]);
    let gone = daemon.json(&["destroy", "vm1"]);
    assert_eq!(
        gone,
        serde_json::json!({ "result": "destroyed", "name": "vm1" })
    );
    assert!(!std::path::Path::new(made["socket"].as_str().expect("a path")).exists());
    let said = daemon.cvfctl(&["destroy", "vm1", "--force"]);
    assert_eq!(said.code, 1);
    assert!(
        said.err
            .contains("cannot destroy 'vm1': there is no device 'vm1'"),
        "{said:?}"
    );
    let pf = daemon.json(&["pf", "show", "soft0"]);
    for resource in pf["resources"].as_array().expect("resources") {
        assert_eq!(resource["free"], resource["total"], "{resource}");
    }
}

#[test]
fn link_and_announcement_without_a_driver() {
    let house = House::new();
    let daemon = house.start(&[]);
    daemon.json(&["create", "vm1"]);
    for changed in [true, false] {
        let set = daemon.json(&["set", "vm1", "link=down"]);
        assert_eq!(set["changed"], changed, "{set}");
        assert_eq!(daemon.json(&["show", "vm1"])["health"]["link_up"], false);
    }
    assert_eq!(
        daemon.cvfctl(&["set", "vm1", "link=up"]).out,
        "vm1 changed\n  link          up (was down)\n"
    );
    let refused: [(&[&str], u8, &str); 10] = [
        (
            &["takeover", "vm1"],
            1,
            "cannot take over 'vm1': its data path is 'copied', not 'direct'",
        ),
        (
            &["takeover", "vm2"],
            1,
            "cannot take over 'vm2': there is no device 'vm2'",
        ),
        (&["takeover"], 2, "<NAME>"),
        (
            &["announce", "vm1"],
            1,
            "cannot announce 'vm1': no driver runs",
        ),
        (
            &["announce", "vm2"],
            1,
            "cannot announce 'vm2': there is no device 'vm2'",
        ),
        (
            &["set", "vm2", "link=up"],
            1,
            "cannot change 'vm2': there is no device 'vm2'",
        ),
        (
            &["set", "vm1", "link=upp"],
            2,
            "cannot change 'vm1': link \"upp\"",
        ),
        (&["set", "vm1", "lnik=up"], 2, "did you mean 'link'?"),
        (&["set", "vm1", "link=up", "link=down"], 2, "given twice"),
        (&["set", "vm1"], 2, "ATTRIBUTE=VALUE"),
    ];
    for (args, code, part) in refused {
        let said = daemon.cvfctl(args);
        assert_eq!(said.code, i32::from(code), "{args:?}: {said:?}");
        assert!(said.err.contains(part), "{args:?}: {said:?}");
    }
}

#[test]
fn a_made_mac_is_stable_for_its_name() {
    let house = House::new();
    let daemon = house.start(&[]);
    let first = daemon.json(&["create", "vm1"]);
    daemon.json(&["create", "vm2"]);
    daemon.json(&["destroy", "vm1"]);
    let again = daemon.json(&["create", "vm1"]);
    assert_eq!(
        (&first["mac"], &first["uuid"]),
        (&again["mac"], &again["uuid"])
    );
    assert_eq!(again["result"], "created");
}

#[test]
fn a_reload_that_refuses_a_file_fails_and_puts_the_others_in_force() {
    let house = House::new();
    std::fs::create_dir_all(house.profiles()).expect("a directory");
    let daemon = house.start(&[]);
    let write = |name: &str, text: &str| {
        std::fs::write(house.profiles().join(name), text).expect("written");
    };
    write("good.toml", "");
    assert_eq!(daemon.cvfctl(&["policy", "reload"]).code, 0);
    write("bad.toml", "[shape]\nmax-mtu = 3\n");
    write("other.toml", "");
    let said = daemon.cvfctl(&["policy", "reload"]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(
        said.out.contains("new: other") && said.out.contains("bad.toml:2:"),
        "{said:?}"
    );
    daemon.stop();
    let said = Said::of(house.run(&["--default-profile", "bad"]));
    assert_eq!(said.code, 1, "{said:?}");
    assert!(
        said.err.contains("and start again") && !said.err.contains("policy reload"),
        "{said:?}"
    );
}

#[test]
fn vlans_of_a_trunk_are_listed_and_none_is_a_vlan_too() {
    let house = House::new();
    let daemon = house.start(&[]);
    daemon.json(&["create", "vm1", "--trunk", "10,200-299"]);
    daemon.json(&["create", "vm2", "--vlan", "none"]);
    daemon.json(&["create", "vm3", "--trunk", "none"]);
    let text = daemon.cvfctl(&["list"]).out;
    assert!(text.contains("trunk 10,200-299"), "{text}");
    let list = daemon.json(&["list"]);
    assert_eq!(
        (&list[0]["trunk"], &list[1]["vlan"]),
        (&"10,200-299".into(), &Value::Null)
    );
    assert_eq!(list[2]["trunk"], Value::Null);
    let said = daemon.cvfctl(&["create", "vm4", "--vlan", "0"]);
    assert_eq!(said.code, 2, "{said:?}");
}
