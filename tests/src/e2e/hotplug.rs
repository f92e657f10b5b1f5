//! Devices that come and go while the machine runs.

use super::rig::{self, Rig};
use super::{Suite, Test};
use crate::daemon::Daemon;
use crate::traffic;
use crate::ui;
use crate::vm::{Vm, VmConfig};
use anyhow::{Context, Result, bail, ensure};

/// The tests of this file.
pub fn tests() -> Vec<Test> {
    vec![
        Test::on_rig(
            "hot-add-remove",
            "a third device is added, used, removed beside traffic",
            beside,
        ),
        Test::on_rig(
            "hot-add-many",
            "a device is added and removed ten times",
            many,
        ),
        Test::alone(
            "msix-unplug",
            "expected failure: QEMU aborts at removal with MSI-X",
            msix_unplug,
        ),
    ]
}

/// Creates a device without MSI-X, adds it to a running machine, uses it, removes it, destroys it.
///
/// # Errors
/// If any of it fails.
pub fn round(rig: &Rig, name: &str) -> Result<()> {
    let device = rig.daemon.create(name, &["--interrupts", "intx"])?;
    let vm = &rig.a.vm;
    vm.qmp.device_add(&device.qemu, &[("bus", "hot0")])?;
    rig::configure(vm, &device, "203.0.113.1").context("hot-added device")?;
    let interface = rig::interface_of(vm, &device.mac)?;
    // The other side reaches it through its own first device.
    rig.b.vm.run(&format!(
        "ip addr replace 203.0.113.2/24 dev {}",
        rig.b.main.interface
    ))?;
    let used = traffic::ping_all(vm, "203.0.113.2", 5, &format!("-I {interface}"));
    rig.b.vm.run(&format!(
        "ip addr del 203.0.113.2/24 dev {}",
        rig.b.main.interface
    ))?;
    used?;
    vm.qmp.device_del(&device.qemu_id()).context("removal")?;
    rig.daemon
        .wait_show(name, "the client to be gone", |v| v["state"] == "ready")?;
    rig.daemon.destroy(name)
}

fn beside(rig: &Rig) -> Result<()> {
    let before = rig.daemon.footprint()?;
    rig.beside_traffic(|| round(rig, "third"))?;
    rig.daemon.back_to(&before)
}

fn many(rig: &Rig) -> Result<()> {
    round(rig, "warm-up")?;
    let before = rig.daemon.footprint()?;
    for number in 0..10 {
        round(rig, &format!("many{number}")).with_context(|| format!("round {number}"))?;
    }
    rig.daemon.back_to(&before)?;
    rig.ping_both_ways()
}

/// What QEMU does when a vfio-user device with MSI-X is taken out of a running machine.
///
/// # Errors
/// If it does neither of the two things it may do.
pub fn try_msix_unplug(vm: &Vm, id: &str) -> Result<bool> {
    let Err(error) = vm.qmp.device_del(id) else {
        return Ok(true);
    };
    let status = vm
        .process()
        .wait(crate::limits::SETTLE)
        .context("QEMU lives on")?;
    let said = vm.qemu_log();
    if !said.contains("memory.c") {
        bail!("QEMU ended ({status}) for another reason than the known one: {error:#}\n{said}");
    }
    Ok(false)
}

fn msix_unplug(suite: &Suite) -> Result<()> {
    let daemon = Daemon::start(suite.programs()?, suite.lab().dir(), &["soft:lab"], None)?;
    let device = daemon.create("gone", &[])?;
    let vm = Vm::boot(suite.lab(), VmConfig::new("unplug").hotplug_ports(1))?;
    vm.qmp.device_add(&device.qemu, &[("bus", "hot0")])?;
    rig::configure(&vm, &device, "192.0.2.1")?;
    if try_msix_unplug(&vm, &device.qemu_id())? {
        ui::say(
            "    NEWS: this QEMU removes vfio-user devices with MSI-X; the advice to use \
             --interrupts intx for unplugging can go",
        );
    } else {
        ui::say("    as expected, this QEMU aborts at the removal (memory.c)");
    }
    // Either way the daemon must have noticed, and live.
    let shown = daemon.wait_show("gone", "the client to be gone", |v| v["state"] == "ready")?;
    ensure!(shown["health"]["maps"] == 0, "maps are left: {shown}");
    daemon.destroy("gone")?;
    daemon.stop()
}
