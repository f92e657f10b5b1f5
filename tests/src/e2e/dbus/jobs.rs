//! Jobs, as `busctl` and `gdbus` see them while a script of the operator runs.

use super::gdbus::wait_for_line;
use super::{MANAGER, NAME, ROOT, Stage};
use crate::e2e::Suite;
use crate::process::{self, Process, Surroundings};
use anyhow::{Result, ensure};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const JOB: &str = "/io/mdevd1/job/1";

fn busctl(stage: &Stage, args: &[&str]) -> Result<String> {
    let address = format!("--address={}", stage.bus.address());
    let all: Vec<&str> = [address.as_str()].iter().chain(args).copied().collect();
    stage.bus.ask("busctl", &all)
}

fn property(stage: &Stage, job: &str, name: &str) -> Result<String> {
    busctl(stage, &["get-property", NAME, job, "io.mdevd1.Job", name])
}

/// Begins a job.
fn begin(stage: &Stage, method: &str, name: &str) -> Result<String> {
    busctl(
        stage,
        &[
            "call",
            NAME,
            MANAGER,
            "io.mdevd1.Manager",
            method,
            "sa{sv}",
            name,
            "1",
            "job",
            "b",
            "true",
        ],
    )
}

/// A script that is asked and waits for a file, or for its deadline.
fn slow_script(stage: &Stage, gate: &Path) -> Result<()> {
    let dir = stage.daemon.callout_dir();
    fs::create_dir_all(&dir)?;
    fs::create_dir_all(gate)?;
    let text = format!(
        "#!/bin/sh\n[ $4 = pre ] || exit 0\ncd {} && : > asked\n\
         while [ -e asked ] && [ ! -e open ]; do sleep 0.02; done\n",
        gate.display()
    );
    let script = dir.join("10-slow");
    fs::write(&script, text)?;
    for path in [&script, &dir] {
        fs::set_permissions(path, Permissions::from_mode(0o755))?;
    }
    Ok(())
}

fn asked(gate: &Path) -> Result<()> {
    let asked = gate.join("asked");
    process::wait_for("the script to be asked", Duration::from_secs(10), || {
        Ok(asked.exists().then_some(()))
    })
}

pub(super) fn run(suite: &Suite) -> Result<()> {
    let stage = Stage::set(suite)?;
    let gate = stage.bus.dir().join("gate");
    slow_script(&stage, &gate)?;
    let log = stage.bus.dir().join("monitor.log");
    let mut command = Command::new("gdbus");
    command
        .args(["monitor", "--system", "--dest", NAME])
        .env("DBUS_SYSTEM_BUS_ADDRESS", stage.bus.address());
    let monitor = Process::start("gdbus monitor", command, Surroundings::default(), &log)?;
    wait_for_line(&log, "is owned by")?;

    // Seen by others while the script runs, and taken back.
    let begun = begin(&stage, "Create", "vm1")?;
    ensure!(begun.contains(&format!("\"job\" o \"{JOB}\"")), "{begun}");
    asked(&gate)?;
    for (name, is) in [
        ("State", "s \"running\"\n"),
        ("Method", "s \"Create\"\n"),
        ("Device", "s \"vm1\"\n"),
        ("Progress", "(tt) 0 1\n"),
    ] {
        let said = property(&stage, JOB, name)?;
        ensure!(said == is, "{name}: {said:?}");
    }
    let tree = busctl(&stage, &["tree", "--list", NAME])?;
    ensure!(tree.lines().any(|line| line.trim() == JOB), "{tree}");
    let managed = [
        "call",
        "--system",
        "--dest",
        NAME,
        "--object-path",
        ROOT,
        "--method",
        "org.freedesktop.DBus.ObjectManager.GetManagedObjects",
    ];
    let all = stage.bus.ask("gdbus", &managed)?;
    ensure!(
        all.contains(&format!("'{JOB}': {{'io.mdevd1.Job': {{")),
        "{all}"
    );
    busctl(
        &stage,
        &["call", NAME, JOB, "io.mdevd1.Job", "Cancel", "a{sv}", "0"],
    )?;
    wait_for_line(
        &log,
        &format!("JobRemoved (uint32 1, objectpath '{JOB}', 'cancelled')"),
    )?;
    ensure!(stage.daemon.ctl(&["list"])?.as_array().map(Vec::len) == Some(0));

    // Another one is let go, and its result is there for who comes late.
    fs::write(gate.join("open"), "")?;
    begin(&stage, "Create", "vm2")?;
    wait_for_line(
        &log,
        "JobRemoved (uint32 2, objectpath '/io/mdevd1/job/2', 'done')",
    )?;
    let result = stage.bus.ask(
        "gdbus",
        &[
            "call",
            "--system",
            "--dest",
            NAME,
            "--object-path",
            "/io/mdevd1/job/2",
            "--method",
            "io.mdevd1.Job.Result",
            "{}",
        ],
    )?;
    ensure!(result.contains("'result': <'created'>"), "{result}");
    for part in [
        format!("ObjectManager.InterfacesAdded (objectpath '{JOB}'"),
        format!("io.mdevd1.Manager.JobNew (uint32 1, objectpath '{JOB}')"),
        "PropertiesChanged ('io.mdevd1.Job', {".to_owned(),
    ] {
        wait_for_line(&log, &part)?;
    }
    monitor.kill();
    stage.strike()
}
