//! What profiles do to stock guests, and what the operator changes while they run.

use super::Test;
use super::rig::{Guest, PAIRS, Rig};
use crate::traffic::{self, Flow, FrameRun};
use anyhow::{Context, Result, ensure};
use std::fs;
use std::time::Duration;

/// The tests of this file.
pub fn tests() -> Vec<Test> {
    vec![
        Test::on_rig(
            "profile-denies-and-takes-back",
            "a stock guest is told what its profile refuses, and what it had is taken back",
            refusals,
        ),
        Test::on_rig(
            "profile-reload",
            "profiles are reloaded under traffic without a lost frame",
            reload,
        ),
        Test::on_rig(
            "profile-set-while-running",
            "address, VLAN and MTU change while a guest runs",
            attributes,
        ),
    ]
}

/// Another address for the guest.
const OTHER: &str = "02:00:5e:00:53:78";

fn set(rig: &Rig, guest: &Guest, attributes: &[&str]) -> Result<serde_json::Value> {
    let mut args = vec!["set", &guest.main.device.name];
    args.extend(attributes);
    rig.daemon.ctl(&args)
}

fn refusals(rig: &Rig) -> Result<()> {
    let (vm, interface) = (&rig.a.vm, &rig.a.main.interface);
    let name = &rig.a.main.device.name;
    let own = &rig.a.main.device.mac;
    let take = |mac: &str| format!("ip link set {interface} address {mac}");

    vm.run(&take(OTHER))?;
    let changed = set(rig, &rig.a, &["profile=tenant"])?;
    let notes = changed["notes"].to_string();
    ensure!(
        notes.contains("lost what it had been allowed") && notes.contains("mac-change"),
        "{changed}"
    );
    rig.daemon
        .wait_show(name, "the address to be taken back", |shown| {
            shown["health"]["mac"] == own.as_str()
        })?;
    vm.run(&take(own))
        .context("back to the address given at create")?;
    rig.ping_both_ways()?;

    let refused = vm.try_run(&take(OTHER))?;
    ensure!(
        refused.outcome != lab_guest::wire::Outcome::Exit(0),
        "a tenant took another address"
    );
    let shown = rig.daemon.ctl(&["show", name])?;
    let last = shown["health"]["last_refusal"]["what"].to_string();
    ensure!(
        last.contains("rule mac-change of profile 'tenant'"),
        "{last}"
    );
    ensure!(shown["health"]["mac"] == own.as_str(), "{shown}");
    // What a tenant may do goes on.
    for pairs in [1, PAIRS] {
        vm.run(&format!("ethtool -L {interface} combined {pairs}"))?;
    }
    rig.ping_both_ways()?;

    set(rig, &rig.a, &["profile=lab"])?;
    vm.run(&take(OTHER)).context("under profile lab")?;
    vm.run(&take(own))?;
    rig.ping_both_ways()
}

fn reload(rig: &Rig) -> Result<()> {
    let dir = rig.daemon.profile_dir();
    fs::create_dir_all(&dir)?;
    let file = dir.join("edge.toml");
    let texts = [
        "description = \"one\"\n[shape]\nmax-queue-pairs = 8\nmax-vectors = 18\nmax-mtu = 9000\n\
         ring-formats = [\"split\", \"packed\"]\n\
         [control]\nall-multicast = \"own-vlans\"\nqueue-count = \"allow\"\nrss = \"allow\"\n\
         [rates]\ntransmit-mbit = \"unlimited\"\nreceive-mbit = \"unlimited\"\n",
        "description = \"two\"\n[shape]\nmax-queue-pairs = 8\nmax-vectors = 18\nmax-mtu = 9000\n\
         ring-formats = [\"split\", \"packed\"]\n\
         [control]\nall-multicast = \"own-vlans\"\nqueue-count = \"allow\"\n\
         [rates]\ntransmit-mbit = \"unlimited\"\nreceive-mbit = \"unlimited\"\n",
    ];
    fs::write(&file, texts[0])?;
    rig.daemon.ctl(&["policy", "reload"])?;
    for guest in [&rig.a, &rig.b] {
        set(rig, guest, &["profile=edge"])?;
    }
    let run = FrameRun {
        stream: 31,
        size: 200,
        rate: 2000,
        count: 10_000,
        limit: Duration::from_secs(60),
    };
    let flow = Flow::start(rig.a.end(), rig.b.end(), &run)?;
    let mut applied = 0;
    for round in 1..=20 {
        fs::write(&file, texts[round % 2])?;
        let report = rig.daemon.ctl(&["policy", "reload"])?;
        ensure!(
            report["changed"][0] == "edge" && report["devices"] == 2,
            "{report}"
        );
        fs::write(&file, "[shape]\nmax-mtu = 3\n")?;
        let output = rig.daemon.try_ctl(&["policy", "reload"])?;
        ensure!(!output.is_ok(), "a file was refused");
        let refused = output.report()?;
        let place = format!("{}:2:", file.display());
        let fault = refused["refused"][0].as_str().unwrap_or_default();
        ensure!(fault.starts_with(&place), "{refused}");
        applied += 1;
    }
    let report = flow.finish()?;
    ensure!(
        report.is_perfect(),
        "{applied} reloads under traffic: {report:?}"
    );
    for guest in [&rig.a, &rig.b] {
        set(rig, guest, &["profile=lab"])?;
    }
    fs::remove_file(&file)?;
    let report = rig.daemon.ctl(&["policy", "reload"])?;
    ensure!(report["removed"][0] == "edge", "{report}");
    rig.ping_both_ways()
}

fn attributes(rig: &Rig) -> Result<()> {
    let (a, b) = (&rig.a, &rig.b);
    rig.ping_both_ways()?;
    set(rig, a, &["vlan=7"])?;
    let lonely = traffic::ping(&a.vm, &b.main.address, 2, "-W 1")?;
    ensure!(lonely == 0, "a device in another VLAN is reached");
    set(rig, b, &["vlan=7"])?;
    rig.ping_both_ways().context("both in VLAN 7")?;
    for guest in [a, b] {
        set(rig, guest, &["vlan=none"])?;
    }
    rig.ping_both_ways().context("both out of it")?;

    let (name, own) = (&a.main.device.name, &a.main.device.mac);
    let changed = set(rig, a, &[&format!("mac={OTHER}"), "mtu=1400"])?;
    let notes = changed["notes"].to_string();
    ensure!(
        notes.contains(&format!("goes on with address {own}")) && notes.contains("MTU 1500"),
        "{changed}"
    );
    // The driver starts anew and reads what there is.
    let interface = &a.main.interface;
    let device = a.vm.run(&format!(
        "basename $(readlink /sys/class/net/{interface}/device)"
    ))?;
    let driver = "/sys/bus/virtio/drivers/virtio_net";
    a.vm.run(&format!("echo {device} > {driver}/unbind"))?;
    a.vm.run(&format!("echo {device} > {driver}/bind"))?;
    let now = super::rig::interface_of(&a.vm, OTHER)?;
    let mtu = a.vm.run(&format!("cat /sys/class/net/{now}/mtu"))?;
    ensure!(mtu == "1400", "the driver starts with MTU {mtu}");
    set(rig, a, &[&format!("mac={own}"), "mtu=1500"])?;
    a.vm.run(&format!("echo {device} > {driver}/unbind"))?;
    a.vm.run(&format!("echo {device} > {driver}/bind"))?;
    rig.reconfigure(a)?;
    let shown = rig.daemon.ctl(&["show", name])?;
    ensure!(
        shown["mac"] == own.as_str() && shown["mtu"] == 1500,
        "{shown}"
    );
    rig.ping_both_ways()
}
