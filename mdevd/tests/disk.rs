//! State directories that are full or read-only: a daemon refuses changes and keeps its devices.
//!
//! Each test runs in mount namespace of its own, with a small file system made there.

mod support;

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use support::{Daemon, House, Said};

/// Tells a test that it is in its namespace.
const INSIDE: &str = "MDEVD_TEST_MOUNTS";

/// Runs this test again where it may mount. `None`: this is there.
fn elsewhere(test: &str) -> Option<()> {
    if std::env::var_os(INSIDE).is_some() {
        return None;
    }
    let unshare = || {
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private"]);
        if !nix::unistd::geteuid().is_root() {
            command.args(["--user", "--map-root-user"]);
        }
        command
    };
    let dir = tempfile::tempdir().expect("a directory");
    let mut probe = unshare();
    probe.args(["mount", "-t", "tmpfs", "none"]).arg(dir.path());
    let may = probe
        .output()
        .map_err(|error| error.to_string())
        .and_then(|said| {
            let why = || String::from_utf8_lossy(&said.stderr).into_owned();
            if said.status.success() {
                Ok(())
            } else {
                Err(why())
            }
        });
    if let Err(why) = may {
        let ci = std::env::var_os("CI").is_some_and(|ci| ci == "true");
        assert!(!ci, "cannot mount here, and must: {why}");
        println!("not run: this user may not mount a file system, not even in a namespace: {why}");
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

fn mount(args: &[&str], at: &Path) {
    let status = Command::new("mount").args(args).arg(at).status();
    assert!(status.expect("mount runs").success(), "mount {args:?}");
}

/// Directories of a daemon, the state directory on a file system of its own.
fn house() -> House {
    let house = House::new();
    std::fs::create_dir(house.state()).expect("mkdir");
    mount(
        &["-t", "tmpfs", "-o", "size=4m,mode=0700", "none"],
        &house.state(),
    );
    house
}

fn devices(daemon: &Daemon<'_>) -> Value {
    daemon.json(&["list"])
}

/// All about a device but how it fares.
fn shown(daemon: &Daemon<'_>, name: &str) -> Value {
    let mut shown = daemon.json(&["show", name]);
    shown["health"].take();
    shown
}

fn refused(said: &Said, parts: &[&str]) {
    assert_eq!(said.code, 1, "{said:?}");
    for part in parts {
        assert!(said.err.contains(part), "{part}: {said:?}");
    }
}

/// Creates devices until one is refused for want of room, and gives its name: what is free inside of the
/// store's file is used up first.
fn refused_at_last(daemon: &Daemon<'_>, prefix: &str, store: &str) -> String {
    let last = (0..500).find_map(|n| {
        let name = format!("{prefix}{n}");
        let said = daemon.cvfctl(&["create", &name]);
        (said.code != 0).then_some((name, said))
    });
    let (name, said) = last.expect("it is full at some time");
    refused(
        &said,
        &[&name, store, "No space left on device", "make room"],
    );
    name
}

/// It listens.
fn there(device: &Value) {
    UnixStream::connect(device["socket"].as_str().expect("a path")).expect("the device is there");
}

#[test]
fn a_full_state_directory_costs_the_changes_it_refused_and_nothing_else() {
    if elsewhere("a_full_state_directory_costs_the_changes_it_refused_and_nothing_else").is_some() {
        return;
    }
    let house = house();
    let store = house.state().join("definitions.redb").display().to_string();
    let daemon = house.start(&[]);
    let kept = daemon.json(&["create", "kept", "--vlan", "9", "--mtu", "9000"]);
    let filler = house.state().join("filler");
    let mut file = std::fs::File::create(&filler).expect("a file");
    while file.write_all(&[1; 4096]).is_ok() {}
    drop(file);
    let late = refused_at_last(&daemon, "late", &store);
    let full = devices(&daemon);
    assert!(!full.to_string().contains(&format!("\"{late}\"")), "{full}");
    there(&kept);
    let before = shown(&daemon, "kept");
    // Killed while it is full, and started while it is.
    daemon.kill();
    let daemon = house.start(&[]);
    assert_eq!(devices(&daemon), full);
    assert_eq!(shown(&daemon, "kept"), before);
    there(&kept);
    let later = refused_at_last(&daemon, "later", &store);
    std::fs::remove_file(filler).expect("remove");
    let made = daemon.json(&["create", &late]);
    daemon.json(&["create", &later]);
    daemon.json(&["destroy", "kept"]);
    there(&made);
    let after = devices(&daemon);
    daemon.kill();
    let daemon = house.start(&[]);
    assert_eq!(devices(&daemon), after);
    daemon.stop();
}

#[test]
fn a_read_only_state_directory_brings_devices_back_and_refuses_changes() {
    if elsewhere("a_read_only_state_directory_brings_devices_back_and_refuses_changes").is_some() {
        return;
    }
    let house = house();
    let store = house.state().join("definitions.redb").display().to_string();
    let daemon = house.start(&[]);
    let kept = daemon.json(&["create", "kept", "--vlan", "9"]);
    let (before, kept_before) = (devices(&daemon), shown(&daemon, "kept"));
    daemon.stop();
    // Found after an orderly stop, and as a kill left it.
    for _ in 0..2 {
        mount(&["-o", "remount,ro"], &house.state());
        let daemon = house.start(&[]);
        assert_eq!(devices(&daemon), before);
        assert_eq!(shown(&daemon, "kept"), kept_before);
        let why = [&*store, "Read-only file system", "make it writable"];
        refused(&daemon.cvfctl(&["create", "late"]), &why);
        refused(&daemon.cvfctl(&["destroy", "kept"]), &why);
        assert_eq!(devices(&daemon), before);
        there(&kept);
        mount(&["-o", "remount,rw"], &house.state());
        daemon.json(&["create", "late"]);
        daemon.json(&["destroy", "late"]);
        daemon.kill();
    }
    let daemon = house.start(&[]);
    assert_eq!(devices(&daemon), before);
    let log = daemon.stop();
    assert!(!log.contains("cannot be created"), "{log}");
}

#[test]
fn a_read_only_state_directory_without_a_store_is_refused() {
    if elsewhere("a_read_only_state_directory_without_a_store_is_refused").is_some() {
        return;
    }
    let house = house();
    mount(&["-o", "remount,ro"], &house.state());
    let said = Said::of(house.run(&[]));
    refused(
        &said,
        &[
            "cannot write in the state directory",
            "Read-only file system",
        ],
    );
}

#[test]
fn a_damaged_store_stops_the_start_with_the_file_and_what_to_do() {
    let house = House::new();
    let daemon = house.start(&[]);
    daemon.json(&["create", "kept"]);
    daemon.stop();
    let file = house.state().join("definitions.redb");
    let whole = std::fs::read(&file).expect("read");
    std::fs::write(&file, &whole[..whole.len() - 5000]).expect("write");
    let said = Said::of(house.run(&[]));
    refused(
        &said,
        &[
            "mdevd: the store",
            &file.display().to_string(),
            "is damaged",
            "backup",
        ],
    );
    std::fs::write(&file, &whole).expect("write");
    let daemon = house.start(&[]);
    assert_eq!(devices(&daemon)[0]["name"], "kept");
    daemon.stop();
}
