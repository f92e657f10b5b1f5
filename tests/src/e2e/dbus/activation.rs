//! A call starts the daemon.

use super::bus::{Bus, Kind, shipped};
use super::{MANAGER, NAME};
use crate::e2e::Suite;
use crate::process;
use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::path::Path;
use std::time::Duration;

pub(super) fn run(suite: &Suite) -> Result<()> {
    let bus = Bus::start(suite.lab().dir(), Kind::Session)?;
    let service = std::fs::read_to_string(shipped().join("io.mdevd1.service"))?;
    let program = &suite.programs()?.mdevd;
    // As shipped, but for the program's place and directories of the test's own.
    let exec = format!(
        "Exec={} --system-bus on --state-dir {dir}/state --runtime-dir {dir}/run",
        program.display(),
        dir = bus.dir().display()
    );
    let lines: Vec<&str> = service
        .lines()
        .map(|line| match line.starts_with("Exec=") {
            true => exec.as_str(),
            false => line,
        })
        .collect();
    ensure!(lines.contains(&exec.as_str()), "no Exec= in {service}");
    std::fs::write(
        bus.services().join("io.mdevd1.service"),
        lines.join("\n") + "\n",
    )?;
    let address = format!("--address={}", bus.address());
    let on_bus = [
        &address,
        "call",
        "org.freedesktop.DBus",
        "/org/freedesktop/DBus",
        "org.freedesktop.DBus",
    ];
    let ask_bus = |more: &[&str]| {
        let args: Vec<&str> = on_bus.iter().chain(more).copied().collect();
        bus.ask("busctl", &args)
    };
    // What is started by the bus is told that this one is the system's.
    let variable = ["DBUS_SYSTEM_BUS_ADDRESS", bus.address()];
    ask_bus(&[
        "UpdateActivationEnvironment",
        "a{ss}",
        "1",
        variable[0],
        variable[1],
    ])?;
    ask_bus(&["ReloadConfig"])?;

    let reply = bus.ask(
        "busctl",
        &[
            &address,
            "--json=short",
            "call",
            NAME,
            MANAGER,
            "io.mdevd1.Manager",
            "Version",
            "a{sv}",
            "0",
        ],
    )?;
    let reply: serde_json::Value = serde_json::from_str(&reply)?;
    let pid = reply["data"][0]["pid"]["data"].as_u64().context("a pid")?;
    let program = std::fs::read_link(format!("/proc/{pid}/exe"))?;
    ensure!(
        program.file_name() == Some("mdevd".as_ref()),
        "{}",
        program.display()
    );
    // The bus started it; the test has to end it.
    kill(Pid::from_raw(i32::try_from(pid)?), Signal::SIGTERM)?;
    process::wait_for("the daemon to end", Duration::from_secs(10), || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
        let gone = stat.map_or(true, |stat| stat.contains(") Z "));
        Ok((gone || !Path::new(&format!("/proc/{pid}")).exists()).then_some(()))
    })
}
