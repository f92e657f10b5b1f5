//! `busctl`: sd-bus, as root and as nobody.

use super::{MANAGER, NAME, ROOT, Stage};
use crate::e2e::Suite;
use anyhow::{Context, Result, ensure};
use serde_json::Value;

const INTERFACE: &str = "io.mdevd1.Manager";

/// `busctl` on this bus.
fn busctl(stage: &Stage, args: &[&str]) -> Result<String> {
    let address = format!("--address={}", stage.bus.address());
    let all: Vec<&str> = [address.as_str()].iter().chain(args).copied().collect();
    stage.bus.ask("busctl", &all)
}

/// A method of the manager, and its answer as JSON.
fn call(stage: &Stage, method: &str, args: &[&str]) -> Result<Value> {
    let head = ["--json=short", "call", NAME, MANAGER, INTERFACE, method];
    let all: Vec<&str> = head.iter().chain(args).copied().collect();
    let text = busctl(stage, &all)?;
    serde_json::from_str(&text).with_context(|| format!("{method}: {text:?}"))
}

/// What `busctl` complains about as nobody.
fn refused(stage: &Stage, args: &[&str]) -> Result<String> {
    let address = format!("--address={}", stage.bus.address());
    let head = [
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
        "busctl",
        &address,
    ];
    let all: Vec<&str> = head.iter().chain(args).copied().collect();
    let said = stage.bus.client("setpriv", &all)?;
    ensure!(
        !said.status.success(),
        "was accepted: {args:?}: {}",
        said.stdout
    );
    Ok(said.stderr)
}

pub(super) fn run(suite: &Suite) -> Result<()> {
    let stage = Stage::set(suite)?;
    let made = call(
        &stage,
        "Create",
        &[
            "sa{sv}",
            "web-1",
            "2",
            "queue_pairs",
            "q",
            "2",
            "vlan",
            "q",
            "5",
        ],
    )?;
    ensure!(made["data"][0]["result"]["data"] == "created", "{made}");
    let made = call(
        &stage,
        "Create",
        &[
            "sa{sv}",
            "web-1",
            "2",
            "queue_pairs",
            "u",
            "2",
            "vlan",
            "x",
            "5",
        ],
    )?;
    ensure!(made["data"][0]["result"]["data"] == "already", "{made}");
    let listed = call(&stage, "List", &["sua{sv}", "", "10", "0"])?;
    ensure!(listed["data"][0][0]["name"]["data"] == "web-1", "{listed}");
    for (method, key) in [("Show", "doorbells"), ("Stats", "rx")] {
        let shown = call(&stage, method, &["sa{sv}", "web-1", "0"])?;
        ensure!(!shown["data"][0][key].is_null(), "{method}: {shown}");
    }
    let pfs = call(&stage, "ListPfs", &["a{sv}", "0"])?;
    ensure!(pfs["data"][0][0]["name"]["data"] == "soft0", "{pfs}");

    // What introspection promises is there.
    let device = "/io/mdevd1/device/web_2d1";
    let tree = busctl(&stage, &["tree", "--list", NAME])?;
    for path in [MANAGER, "/io/mdevd1/pf/soft0", device] {
        ensure!(
            tree.lines().any(|line| line.trim() == path),
            "{path} in {tree}"
        );
    }
    let described = busctl(&stage, &["introspect", NAME, device])?;
    for part in [
        ".Destroy",
        ".Set",
        ".Announce",
        ".Vlan",
        ".PropertiesChanged",
    ] {
        ensure!(described.contains(part), "{part} in {described}");
    }
    let vlan = busctl(
        &stage,
        &[
            "get-property",
            NAME,
            device,
            "io.mdevd1.Device",
            "Vlan",
            "State",
        ],
    )?;
    ensure!(vlan == "q 5\ns \"ready\"\n", "{vlan:?}");
    let left = busctl(
        &stage,
        &["get-property", NAME, MANAGER, INTERFACE, "ObjectsLeftOut"],
    )?;
    ensure!(left == "t 0\n", "{left:?}");
    let managed = [
        "call",
        NAME,
        ROOT,
        "org.freedesktop.DBus.ObjectManager",
        "GetManagedObjects",
    ];
    ensure!(busctl(&stage, &managed)?.starts_with("a{oa{sa{sv}}} 3 "));

    // Nobody reads, and is told why it may not write.
    let create = [
        "call", NAME, MANAGER, INTERFACE, "Create", "sa{sv}", "web2", "0",
    ];
    let why = refused(&stage, &create)?;
    ensure!(
        why.contains("cannot create 'web2'") && why.contains("bus-admin-group"),
        "{why}"
    );
    let destroy = [
        "call",
        NAME,
        device,
        "io.mdevd1.Device",
        "Destroy",
        "a{sv}",
        "0",
    ];
    let why = refused(&stage, &destroy)?;
    ensure!(why.contains("cannot destroy 'web-1'"), "{why}");
    let write = [
        "set-property",
        NAME,
        device,
        "io.mdevd1.Device",
        "Mtu",
        "q",
        "9000",
    ];
    let why = refused(&stage, &write)?;
    ensure!(why.contains("cannot be written"), "{why}");
    ensure!(stage.daemon.ctl(&["list"])?.as_array().map(Vec::len) == Some(1));

    busctl(&stage, &destroy)?;
    ensure!(stage.daemon.ctl(&["list"])?.as_array().map(Vec::len) == Some(0));
    stage.strike()
}
