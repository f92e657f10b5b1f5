//! `gdbus`: GDBus, and its monitor of signals.

use super::{MANAGER, NAME, ROOT, Stage};
use crate::e2e::Suite;
use crate::process::{self, Process, Surroundings};
use anyhow::{Context, Result, bail, ensure};
use std::process::Command;
use std::time::Duration;

fn gdbus(stage: &Stage, args: &[&str]) -> Result<String> {
    stage.bus.ask("gdbus", args)
}

fn call(stage: &Stage, path: &str, method: &str, args: &[&str]) -> Result<String> {
    let head = [
        "call",
        "--system",
        "--dest",
        NAME,
        "--object-path",
        path,
        "--method",
        method,
    ];
    let all: Vec<&str> = head.iter().chain(args).copied().collect();
    gdbus(stage, &all)
}

pub(super) fn run(suite: &Suite) -> Result<()> {
    let stage = Stage::set(suite)?;
    let log = stage.bus.dir().join("monitor.log");
    let mut command = Command::new("gdbus");
    command
        .args(["monitor", "--system", "--dest", NAME])
        .env("DBUS_SYSTEM_BUS_ADDRESS", stage.bus.address());
    let monitor = Process::start("gdbus monitor", command, Surroundings::default(), &log)?;
    wait_for_line(&log, "is owned by")?;

    let create = "io.mdevd1.Manager.Create";
    let made = call(&stage, MANAGER, create, &["vm1", "{'mtu': <uint32 9000>}"])?;
    ensure!(made.contains("'result': <'created'>"), "{made}");
    let path = "/io/mdevd1/device/vm1";
    let set = call(
        &stage,
        path,
        "io.mdevd1.Device.Set",
        &["{'link': <'down'>}"],
    )?;
    ensure!(set.contains("'changed': <true>"), "{set}");
    let all = call(
        &stage,
        path,
        "org.freedesktop.DBus.Properties.GetAll",
        &["io.mdevd1.Device"],
    )?;
    for part in [
        "'Mtu': <uint16 9000>",
        "'LinkUp': <false>",
        "'State': <'ready'>",
    ] {
        ensure!(all.contains(part), "{part} in {all}");
    }
    let described = gdbus(
        &stage,
        &[
            "introspect",
            "--system",
            "--dest",
            NAME,
            "--object-path",
            ROOT,
            "--recurse",
        ],
    )?;
    for part in ["io.mdevd1.Manager", "io.mdevd1.Device", "io.mdevd1.Pf"] {
        ensure!(
            described.contains(&format!("interface {part} {{")),
            "{part} in {described}"
        );
    }
    let wrong = stage.bus.client(
        "gdbus",
        &[
            "call",
            "--system",
            "--dest",
            NAME,
            "--object-path",
            MANAGER,
            "--method",
            create,
            "vm1",
            "{'mtu': <68>}",
        ],
    )?;
    ensure!(
        wrong.stderr.contains("io.mdevd1.Error.AlreadyExists"),
        "{}",
        wrong.stderr
    );
    call(&stage, path, "io.mdevd1.Device.Destroy", &["{}"])?;
    for part in [
        "org.freedesktop.DBus.ObjectManager.InterfacesAdded (objectpath '/io/mdevd1/device/vm1'",
        "org.freedesktop.DBus.Properties.PropertiesChanged ('io.mdevd1.Device', {'LinkUp': <false>}",
        "io.mdevd1.Manager.Event ({'",
        "org.freedesktop.DBus.ObjectManager.InterfacesRemoved (objectpath '/io/mdevd1/device/vm1'",
    ] {
        wait_for_line(&log, part)?;
    }
    monitor.kill();
    stage.strike()
}

pub(super) fn wait_for_line(log: &std::path::Path, part: &str) -> Result<()> {
    let mut last = String::new();
    let found = process::wait_for(part, Duration::from_secs(10), || {
        last = std::fs::read_to_string(log)?;
        Ok(last.contains(part).then_some(()))
    });
    if found.is_err() {
        bail!("{part:?} is not in what gdbus saw:\n{last}");
    }
    found.context("what gdbus saw")
}
