//! `cargo lab demo`: the main job from nothing, shown step by step.
//!
//! A daemon with a software PF and an uplink, two stock guests on composed devices, traffic between
//! them and to the host, a third device that comes and goes meanwhile, and nothing left at the end.

use crate::daemon::Daemon;
use crate::e2e::rig::{HOST, PAIRS, Rig};
use crate::e2e::{Suite, hotplug, traffic as e2e_traffic};
use crate::traffic;
use crate::ui::{self, Step, say};
use crate::vm::{Vm, VmConfig};
use anyhow::{Context, Result, bail, ensure};
use serde::Serialize;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Echo requests of each ping.
const PINGS: u32 = 10;

/// Runs the demonstration.
pub fn run() -> Result<Value> {
    let start = Instant::now();
    let suite = Suite::prepare()?;
    suite.programs()?;
    let prepared = start.elapsed().as_secs_f64();
    let mut checked = Checked::default();

    let step = Step::begin("compose two devices and boot two stock guests on them");
    let rig = Rig::build(&suite)?;
    for guest in [&rig.a, &rig.b] {
        e2e_traffic::check_driver(&guest.vm, &guest.main.interface, PAIRS)?;
    }
    say(&format!(
        "    virtio_net drives 1af4:1041 with {PAIRS} queue pairs in both"
    ));
    checked.note(
        "driver virtio_net bound to 1af4:1041",
        json!({"queue_pairs": PAIRS}),
    );
    step.done();

    let report = on_rig(&rig, &mut checked).map_err(|error| rig.explain(error))?;

    let step = Step::begin("take everything away");
    let left = Left::of(&rig);
    take_away(rig)?;
    let unplug = msix(&suite)?;
    checked.note("removal with MSI-X (expected failure of QEMU)", unplug);
    let dir = suite.lab().dir().to_owned();
    drop(suite);
    left.check(&dir)?;
    checked.note("nothing left: process, socket, tap, namespace, file", true);
    step.done();

    let seconds = start.elapsed().as_secs_f64();
    ui::result(&format!(
        "demo: all well in {seconds:.0} s; {} frames sent, {} received, {} lost beside hot-plug",
        report.sent, report.received, report.lost
    ));
    Ok(json!({
        "ok": true,
        "checked": checked.0,
        "frames": {"sent": report.sent, "received": report.received, "lost": report.lost},
        "seconds": (seconds * 10.0).round() / 10.0,
        "seconds_preparing": (prepared * 10.0).round() / 10.0,
    }))
}

/// What was shown, in order.
#[derive(Default)]
struct Checked(Vec<Value>);

impl Checked {
    fn note(&mut self, what: &str, value: impl Serialize) {
        self.0.push(json!({"what": what, "value": value}));
    }
}

fn on_rig(rig: &Rig, checked: &mut Checked) -> Result<traffic::FrameReport> {
    let step = Step::begin("ping between the guests and to the host");
    let (a, b) = (&rig.a, &rig.b);
    traffic::ping_all(&a.vm, &b.main.address, PINGS, "")?;
    traffic::ping_all(&b.vm, &a.main.address, PINGS, "")?;
    for guest in [a, b] {
        traffic::ping_all(&guest.vm, HOST, PINGS, "")?;
        let back = rig.netns.ping(&guest.main.address, PINGS)?;
        ensure!(
            back == PINGS,
            "{back} of {PINGS} echo requests from the host were answered"
        );
    }
    checked.note(
        "ping between guests and to the host without loss",
        json!({"each": PINGS}),
    );
    step.done();

    let step = Step::begin("iperf3 both ways");
    for (from, to) in [(a, b), (b, a)] {
        let (megabits, seen) = e2e_traffic::bulk(rig, from, to, "-t 3")?;
        e2e_traffic::check_uncut(&seen)?;
        checked.note(
            "large sends arrive uncut",
            json!({
                "from": from.vm.name(),
                "megabits_per_second": megabits.round(),
                "large_frames": seen.large,
                "average_frame": seen.bytes / seen.frames.max(1),
            }),
        );
    }
    step.done();

    let step = Step::begin("a third device is added, used and removed beside numbered frames");
    let ((), report) = rig.beside_traffic(|| hotplug::round(rig, "third"))?;
    say(&format!(
        "    {} frames sent, {} received, {} lost",
        report.sent, report.received, report.lost
    ));
    ensure!(report.lost == 0, "{report:?}");
    checked.note("no frame lost beside hot-add and removal", report);
    step.done();

    for guest in [a, b] {
        let stats = rig.daemon.ctl(&["stats", &guest.main.device.name])?;
        say(&format!(
            "    {}: rx {} frames {} bytes, tx {} frames {} bytes, {} doorbells, {} interrupts",
            guest.main.device.name,
            stats["rx"]["frames"],
            stats["rx"]["bytes"],
            stats["tx"]["frames"],
            stats["tx"]["bytes"],
            stats["doorbells"],
            stats["interrupts"]
        ));
    }
    Ok(report)
}

/// Everything that must be gone at the end.
struct Left {
    processes: Vec<u32>,
    sockets: Vec<PathBuf>,
}

impl Left {
    fn of(rig: &Rig) -> Self {
        let devices = [&rig.a, &rig.b]
            .into_iter()
            .flat_map(|g| [&g.main, &g.jumbo]);
        Left {
            processes: vec![rig.a.vm.pid(), rig.b.vm.pid(), rig.daemon.pid()],
            sockets: devices
                .map(|nic| PathBuf::from(&nic.device.socket))
                .collect(),
        }
    }

    fn check(&self, run_dir: &Path) -> Result<()> {
        for pid in &self.processes {
            ensure!(
                !Path::new(&format!("/proc/{pid}")).exists(),
                "process {pid} is left"
            );
        }
        for path in self.sockets.iter().map(PathBuf::as_path).chain([run_dir]) {
            ensure!(!path.exists(), "{} is left", path.display());
        }
        Ok(())
    }
}

/// Ends guests, devices and daemon in the order in which an operator would.
fn take_away(rig: Rig) -> Result<()> {
    let Rig {
        a,
        b,
        daemon,
        netns,
        lab: _,
    } = rig;
    for guest in [a, b] {
        let names = [
            guest.main.device.name.clone(),
            guest.jumbo.device.name.clone(),
        ];
        guest.vm.quit()?;
        for name in names {
            daemon.wait_show(&name, "the client to be gone", |v| v["state"] == "ready")?;
            daemon.destroy(&name)?;
        }
    }
    let list = daemon.ctl(&["list"])?;
    ensure!(
        list["devices"].as_array().is_none_or(Vec::is_empty),
        "still there: {list}"
    );
    daemon.stop()?;
    let sockets = daemon.sockets()?;
    ensure!(sockets.is_empty(), "sockets are left: {sockets:?}");
    let links = netns.links()?;
    if !links.is_empty() {
        bail!("interfaces are left on the host's side: {links:?}");
    }
    Ok(())
}

/// The recorded expected failure: what QEMU does when a device with MSI-X is removed.
fn msix(suite: &Suite) -> Result<&'static str> {
    let daemon = Daemon::start(suite.programs()?, suite.lab().dir(), &["soft:lab"], None)?;
    let device = daemon.create("msix", &[])?;
    let vm = Vm::boot(suite.lab(), VmConfig::new("msix").cpus(1).hotplug_ports(1))?;
    vm.qmp.device_add(&device.qemu, &[("bus", "hot0")])?;
    crate::e2e::rig::configure(&vm, &device, "192.0.2.1").context("hot-added device")?;
    let mended = hotplug::try_msix_unplug(&vm, &device.qemu_id())?;
    say(if mended {
        "    NEWS: this QEMU removes devices with MSI-X; --interrupts intx is no longer needed for it"
    } else {
        "    as known, this QEMU aborts when a device with MSI-X is removed: use --interrupts intx"
    });
    drop(vm);
    daemon.ctl(&["destroy", "msix", "--force"])?;
    daemon.stop()?;
    Ok(if mended {
        "works: QEMU is mended"
    } else {
        "aborts QEMU, as known"
    })
}
