//! Links that follow the uplink of their PF, in a network namespace of the test's own.

mod support;

use std::process::Command;

use support::House;

/// Tells a test that it is in its namespace.
const INSIDE: &str = "MDEVD_TEST_NETWORK";

/// Runs this test again where interfaces may be made. `None`: this is there.
fn elsewhere(test: &str) -> Option<()> {
    if std::env::var_os(INSIDE).is_some() {
        return None;
    }
    let unshare = || {
        let mut command = Command::new("unshare");
        command.arg("--net");
        if !nix::unistd::geteuid().is_root() {
            command.args(["--user", "--map-root-user"]);
        }
        command
    };
    let mut probe = unshare();
    probe.args(["ip", "tuntap", "add", "probe0", "mode", "tap"]);
    let may = probe.output();
    if !may.is_ok_and(|said| said.status.success()) {
        let ci = std::env::var_os("CI").is_some_and(|ci| ci == "true");
        assert!(!ci, "cannot make a TAP here, and must");
        println!("not run: this user may not make a TAP, not even in a namespace");
        return Some(());
    }
    let status = unshare()
        .arg(std::env::current_exe().expect("this test"))
        .args(["--exact", "--nocapture", test])
        .env(INSIDE, "1")
        .status()
        .expect("a process");
    assert!(status.success(), "{status}");
    Some(())
}

fn ip(args: &[&str]) {
    let status = Command::new("ip").args(args).status();
    assert!(status.expect("ip runs").success(), "ip {args:?}");
}

#[test]
fn an_automatic_link_is_that_of_the_uplink() {
    if elsewhere("an_automatic_link_is_that_of_the_uplink").is_some() {
        return;
    }
    let house = House::new();
    let daemon = house.start(&["--pf", "soft:soft0,uplink=tap:up0", "--pf", "soft:soft1"]);
    let up = |name: &str| daemon.json(&["show", name])["health"]["link_up"] == true;
    daemon.json(&["create", "auto", "--link", "auto"]);
    daemon.json(&["create", "fixed"]);
    daemon.json(&["create", "alone", "--pf", "soft1", "--link", "auto"]);
    assert!(up("auto") && up("fixed") && up("alone"));
    ip(&["link", "set", "up0", "down"]);
    daemon.until("down with its interface", || !up("auto"));
    let shown = daemon.json(&["show", "auto"]);
    assert_eq!(shown["link"], "auto", "{shown}");
    let text = daemon.cvfctl(&["show", "auto"]).out;
    assert!(
        text.contains("down (auto: as the uplink of its PF)"),
        "{text}"
    );
    assert_eq!(daemon.json(&["pf", "show", "soft0"])["uplink"]["up"], false);
    assert!(up("fixed") && up("alone"), "they follow nothing");
    // Made and set while it is down.
    daemon.json(&["create", "late", "--link", "auto"]);
    assert!(!up("late"));
    daemon.json(&["set", "late", "link=up"]);
    assert!(up("late"));
    daemon.json(&["set", "late", "link=auto"]);
    assert!(!up("late"));
    ip(&["link", "set", "up0", "up"]);
    daemon.until("up with its interface", || up("auto") && up("late"));
    ip(&["link", "set", "up0", "carrier", "off"]);
    daemon.until("down without carrier", || !up("auto"));
    daemon.json(&["set", "auto", "link=down"]);
    ip(&["link", "set", "up0", "carrier", "on"]);
    daemon.until("up with carrier", || up("late"));
    assert!(!up("auto"), "it does not follow any more");
    ip(&["link", "del", "up0"]);
    daemon.until("down without interface", || !up("late"));
    daemon.stop();
    let daemon = house.start(&["--pf", "soft:soft0", "--pf", "soft:soft1"]);
    let late = daemon.json(&["show", "late"]);
    assert_eq!(
        (&late["link"], &late["health"]["link_up"]),
        (&"auto".into(), &true.into()),
        "stored, and nothing to follow: {late}"
    );
}
