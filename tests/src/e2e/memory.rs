//! Guests on other kinds of memory.

use super::rig::{self, Rig};
use super::{CannotRun, Suite, Test};
use crate::daemon::Daemon;
use crate::traffic::{self, End, Flow, FrameRun};
use crate::vm::{Memory, Vm, VmConfig};
use crate::{cleanup, host};
use anyhow::{Context, Result, anyhow, ensure};
use std::fs;
use std::time::Duration;

const HUGE_PAGES: &str = "/proc/sys/vm/nr_hugepages";

/// The tests of this file.
pub fn tests() -> Vec<Test> {
    vec![
        Test::alone("hugepages", "guests on huge pages", huge),
        Test::on_rig(
            "memory-not-shared",
            "a guest whose memory is not shared is told so",
            not_shared,
        ),
    ]
}

/// Sets huge pages aside and gives them back on drop.
fn reserve(mebibytes: u64) -> Result<cleanup::Guard> {
    if !host::is_root() {
        return Err(anyhow!(CannotRun(
            "huge pages are set aside by root".into()
        )));
    }
    let info = fs::read_to_string("/proc/meminfo")?;
    let line = info.lines().find_map(|l| l.strip_prefix("Hugepagesize:"));
    let size: u64 = line
        .context("no huge pages")?
        .trim()
        .trim_end_matches(" kB")
        .parse()?;
    let before: u64 = fs::read_to_string(HUGE_PAGES)?.trim().parse()?;
    let wanted = before + (mebibytes * 1024).div_ceil(size);
    let guard = cleanup::on_drop(move || drop(fs::write(HUGE_PAGES, before.to_string())));
    fs::write(HUGE_PAGES, wanted.to_string()).context("set huge pages aside")?;
    let got: u64 = fs::read_to_string(HUGE_PAGES)?.trim().parse()?;
    if got < wanted {
        return Err(anyhow!(CannotRun(format!(
            "only {got} of {wanted} huge pages could be had"
        ))));
    }
    Ok(guard)
}

fn huge(suite: &Suite) -> Result<()> {
    let size = VmConfig::new("x").memory_mib;
    let _pages = reserve(2 * u64::from(size))?;
    let daemon = Daemon::start(suite.programs()?, suite.lab().dir(), &["soft:lab"], None)?;
    let mut starting = Vec::new();
    for name in ["huge1", "huge2"] {
        let device = daemon.create(name, &["--queue-pairs", "2"])?;
        let config = VmConfig::new(name)
            .memory(Memory::Huge)
            .device(&device.qemu);
        starting.push((Vm::start(suite.lab(), config)?, device));
    }
    let mut guests = Vec::new();
    for (number, (vm, device)) in (1..).zip(starting) {
        vm.ready()?;
        let nic = rig::configure(&vm, &device, &format!("192.0.2.{number}"))?;
        let shown = daemon.ctl(&["show", &device.name])?;
        ensure!(shown["health"]["memory"] == "shared", "{shown}");
        guests.push((vm, nic));
    }
    let end = |i: usize| End {
        vm: &guests[i].0,
        interface: &guests[i].1.interface,
    };
    traffic::ping_all(&guests[0].0, "192.0.2.2", 5, "")?;
    let limit = Duration::from_secs(60);
    let run = FrameRun {
        stream: 1,
        size: 1514,
        rate: 2000,
        count: 3000,
        limit,
    };
    let report = Flow::start(end(0), end(1), &run)?.finish()?;
    ensure!(report.is_perfect(), "{report:?}");
    for (vm, _) in guests {
        vm.quit()?;
    }
    daemon.stop()
}

fn not_shared(rig: &Rig) -> Result<()> {
    for (memory, word) in [
        (Memory::Anonymous, "without-fd"),
        (Memory::PrivateMemfd, "not-shared"),
    ] {
        let device = rig.daemon.create("c", &[])?;
        let vm = Vm::boot(
            &rig.lab,
            VmConfig::new("c").memory(memory).device(&device.qemu),
        )?;
        // The first doorbell shows it. The driver may wait for its answer for ever: not awaited.
        let up = "ip link set $(ls /sys/class/net | grep -v lo) up; ping -c 1 -W 1 192.0.2.1";
        let _using = vm.start_shell(up, Duration::from_secs(5))?;
        let shown = rig.daemon.wait_show("c", "the memory to be told", |v| {
            v["health"]["memory"] == word
        })?;
        let advice = shown["health"]["memory_advice"]
            .as_str()
            .unwrap_or_default();
        ensure!(advice.contains("share=on"), "no advice: {shown}");
        // The guest itself lives, and so do the others.
        ensure!(vm.run("echo alive")? == "alive");
        rig.ping_both_ways()
            .with_context(|| format!("beside a guest with {memory:?} memory"))?;
        vm.quit()?;
        rig.daemon
            .wait_show("c", "the client to be gone", |v| v["state"] == "ready")?;
        rig.daemon.destroy("c")?;
    }
    Ok(())
}
