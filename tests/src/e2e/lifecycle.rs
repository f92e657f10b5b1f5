//! Guests that reboot, machines that crash, daemons that restart.

use super::rig::{self, Rig};
use super::{Suite, Test};
use crate::daemon::Daemon;
use crate::traffic;
use crate::vm::{Vm, VmConfig};
use anyhow::{Context, Result, ensure};

/// The tests of this file.
pub fn tests() -> Vec<Test> {
    vec![
        Test::on_rig(
            "guest-reboot",
            "a guest reboots and is reset, and finds its devices",
            reboot,
        ),
        Test::on_rig(
            "qemu-killed",
            "QEMU is killed and started again on the same device",
            killed,
        ),
        Test::on_rig(
            "destroy-connected",
            "destroying a connected device takes --force",
            destroyed,
        ),
        Test::alone(
            "daemon-restart",
            "definitions survive a stop and a kill of the daemon",
            restart,
        ),
    ]
}

fn reboot(rig: &Rig) -> Result<()> {
    rig.a.vm.reboot().context("reboot from inside")?;
    rig.reconfigure(&rig.a)?;
    rig.ping_both_ways()?;
    rig.a.vm.reset().context("reset from outside")?;
    rig.reconfigure(&rig.a)?;
    rig.ping_both_ways()
}

/// Boots a third guest on `device` and lets it reach the first.
fn third(rig: &Rig, device: &crate::daemon::Device) -> Result<Vm> {
    let vm = Vm::boot(&rig.lab, VmConfig::new("c").cpus(1).device(&device.qemu))?;
    rig::configure(&vm, device, "192.0.2.3")?;
    traffic::ping_all(&vm, &rig.a.main.address, 5, "")?;
    Ok(vm)
}

fn killed(rig: &Rig) -> Result<()> {
    let before = rig.daemon.footprint()?;
    let device = rig.daemon.create("c", &["--queue-pairs", "2"])?;
    let first = third(rig, &device)?;
    first.kill();
    rig.daemon
        .wait_show("c", "the client to be gone", |v| v["state"] == "ready")?;
    rig.ping_both_ways()?;
    let second = third(rig, &device).context("second QEMU on the same device")?;
    let shown = rig.daemon.ctl(&["show", "c"])?;
    ensure!(shown["health"]["client"]["pid"] == second.pid(), "{shown}");
    second.quit()?;
    rig.daemon
        .wait_show("c", "the client to be gone", |v| v["state"] == "ready")?;
    rig.daemon.destroy("c")?;
    rig.daemon.back_to(&before)
}

fn destroyed(rig: &Rig) -> Result<()> {
    let before = rig.daemon.footprint()?;
    let device = rig.daemon.create("c", &[])?;
    let vm = third(rig, &device)?;
    rig.daemon
        .ctl_refused(&["destroy", "c"])?
        .expect("busy", &["c", "force"])?;
    traffic::ping_all(&vm, &rig.a.main.address, 3, "")?;
    rig.daemon.ctl(&["destroy", "c", "--force"])?;
    rig.daemon
        .ctl_refused(&["show", "c"])?
        .expect("not-found", &["c"])?;
    rig.ping_both_ways()?;
    drop(vm);
    rig.daemon.back_to(&before)
}

fn restart(suite: &Suite) -> Result<()> {
    let mut daemon = Daemon::start(suite.programs()?, suite.lab().dir(), &["soft:lab"], None)?;
    let mut made = Vec::new();
    for (name, more) in [
        ("plain", &[][..]),
        (
            "shaped",
            &["--queue-pairs", "3", "--mtu", "9000", "--vlan", "7"][..],
        ),
        ("intx", &["--interrupts", "intx"][..]),
    ] {
        made.push(daemon.create(name, more)?);
    }
    daemon.destroy("intx")?;
    made.pop();
    for graceful in [true, false] {
        if graceful {
            daemon.stop()?;
            let left = daemon.sockets()?;
            ensure!(left.is_empty(), "left after a stop: {left:?}");
        } else {
            daemon.process().kill();
        }
        daemon.start_again()?;
        for device in &made {
            let shown = daemon.ctl(&["show", &device.name])?;
            for (key, value) in [
                ("uuid", &device.uuid),
                ("mac", &device.mac),
                ("socket", &device.socket),
            ] {
                ensure!(
                    shown[key] == value.as_str(),
                    "{key} changed: {device:?}, now {shown}"
                );
            }
            ensure!(shown["state"] == "ready", "{shown}");
        }
        let shaped = daemon.ctl(&["show", "shaped"])?;
        ensure!(
            shaped["queue_pairs"] == 3 && shaped["mtu"] == 9000,
            "{shaped}"
        );
        ensure!(shaped["vlan"] == 7, "{shaped}");
        daemon
            .ctl_refused(&["show", "intx"])?
            .expect("not-found", &["intx"])?;
    }
    // A MAC made for a name is the same when the name comes again.
    let mac = made[0].mac.clone();
    daemon.destroy("plain")?;
    let again = daemon.create("plain", &[])?;
    ensure!(again.mac == mac, "{} was {mac}", again.mac);
    daemon.stop()
}
