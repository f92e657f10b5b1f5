//! What an administrator inside the guest does with ethtool and ip.

use super::Test;
use super::rig::{self, Guest, PAIRS, Rig};
use super::traffic::check_driver;
use crate::traffic::{self, Flow, FrameRun};
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::time::Duration;

/// The tests of this file.
pub fn tests() -> Vec<Test> {
    vec![
        Test::on_rig(
            "ethtool-channels",
            "ethtool -L changes the number of queue pairs",
            channels,
        ),
        Test::on_rig(
            "ethtool-rings",
            "ethtool -G changes ring sizes while running",
            rings,
        ),
        Test::on_rig(
            "ethtool-stats",
            "guest counters and device counters agree",
            counters,
        ),
        Test::on_rig(
            "ethtool-queues",
            "ethtool sets RSS and coalescing, and shows the device's own counters",
            queues,
        ),
        Test::on_rig(
            "mac-change",
            "the guest changes its address and is reached there",
            mac_change,
        ),
        Test::on_rig(
            "promiscuous",
            "frames for others are seen only in promiscuous mode",
            promiscuous,
        ),
        Test::on_rig(
            "mtu-in-guest",
            "a smaller MTU set in the guest is kept to",
            smaller_mtu,
        ),
        Test::on_rig(
            "unbind-rebind",
            "the driver is unbound and bound again",
            rebind,
        ),
        Test::on_rig(
            "link-down-up",
            "the interface is taken down and up",
            down_up,
        ),
    ]
}

fn shown(rig: &Rig, guest: &Guest, what: &str, look: impl Fn(&Value) -> bool) -> Result<Value> {
    rig.daemon.wait_show(&guest.main.device.name, what, look)
}

fn channels(rig: &Rig) -> Result<()> {
    let interface = &rig.a.main.interface;
    for pairs in [1, 3, 2, PAIRS] {
        rig.a
            .vm
            .run(&format!("ethtool -L {interface} combined {pairs}"))?;
        let now = rig.a.vm.run(&format!(
            "ethtool -l {interface} | grep Combined | tail -n 1"
        ))?;
        ensure!(
            now.ends_with(&format!("\t{pairs}")),
            "wanted {pairs} pairs, {now:?}"
        );
        let what = format!("{pairs} pairs to be in use");
        shown(rig, &rig.a, &what, |v| v["health"]["active_pairs"] == pairs)?;
        rig.ping_both_ways()
            .with_context(|| format!("with {pairs} pairs"))?;
    }
    let more = rig
        .a
        .vm
        .try_run(&format!("ethtool -L {interface} combined {}", PAIRS + 1))?;
    ensure!(
        more.outcome != lab_guest::wire::Outcome::Exit(0),
        "more pairs than there are"
    );
    Ok(())
}

/// Ring sizes in use, as (receive, transmit).
fn ring_sizes(guest: &Guest) -> Result<(u32, u32)> {
    let text = guest
        .vm
        .run(&format!("ethtool -g {}", guest.main.interface))?;
    let current = text
        .split("Current hardware settings:")
        .nth(1)
        .context("ethtool -g")?;
    let of = |key: &str| -> Result<u32> {
        let line = current
            .lines()
            .find(|l| l.starts_with(key))
            .context("ethtool -g")?;
        Ok(line
            .rsplit(['\t', ' '])
            .next()
            .unwrap_or_default()
            .parse()?)
    };
    Ok((of("RX:")?, of("TX:")?))
}

fn rings(rig: &Rig) -> Result<()> {
    let interface = &rig.a.main.interface;
    let before = ring_sizes(&rig.a)?;
    for (rx, tx) in [(64, 128), (32, 32), before] {
        let out = rig
            .a
            .vm
            .run(&format!("ethtool -G {interface} rx {rx} tx {tx}"));
        out.with_context(|| format!("rings of {rx} and {tx}"))?;
        let now = ring_sizes(&rig.a)?;
        ensure!(now == (rx, tx), "wanted {rx} and {tx}, got {now:?}");
        rig.ping_both_ways()
            .with_context(|| format!("rings of {rx} and {tx}"))?;
    }
    Ok(())
}

fn counters(rig: &Rig) -> Result<()> {
    let names = rig
        .a
        .vm
        .run(&format!("ethtool -S {}", rig.a.main.interface))?;
    for queue in 0..PAIRS {
        for direction in ["rx", "tx"] {
            let name = format!("{direction}{queue}_kicks:");
            ensure!(names.contains(&name), "no {name} in\n{names}");
        }
    }
    let guest = |key: &str| -> Result<u64> {
        let file = format!("/sys/class/net/{}/statistics/{key}", rig.a.main.interface);
        Ok(rig.a.vm.run(&format!("cat {file}"))?.parse()?)
    };
    let device = |key: &str| rig.daemon.counter(&rig.a.main.device.name, key);
    let look = || -> Result<[u64; 4]> {
        Ok([
            guest("tx_packets")?,
            guest("rx_packets")?,
            device("/tx/frames")?,
            device("/rx/frames")?,
        ])
    };
    let before = look()?;
    traffic::ping_all(&rig.a.vm, &rig.b.main.address, 50, "")?;
    // Stray frames of the guests' kernels are counted on both sides alike, a moment apart.
    crate::process::wait_for(
        "both sides to count the same",
        Duration::from_secs(10),
        || {
            let now = look()?;
            let delta: [u64; 4] = std::array::from_fn(|i| now[i] - before[i]);
            let agree =
                delta[0] == delta[2] && delta[1] == delta[3] && delta[0] >= 50 && delta[1] >= 50;
            Ok(agree.then_some(()))
        },
    )
}

/// Receive-side scaling, coalescing and device statistics, as an administrator reaches them.
fn queues(rig: &Rig) -> Result<()> {
    let (vm, interface) = (&rig.a.vm, &rig.a.main.interface);
    let steering = |v: &Value| v["health"]["steering"].clone();
    // The driver takes scaling into use by itself.
    let view = shown(rig, &rig.a, "RSS to be in use", |v| {
        steering(v)["rss"] == true
    })?;
    ensure!(view["health"]["active_pairs"] == PAIRS, "{view}");
    let table = vm.run(&format!("ethtool -x {interface}"))?;
    ensure!(table.contains("indirection table"), "{table}");
    ensure!(table.contains("toeplitz: on"), "{table}");
    vm.run(&format!("ethtool -X {interface} equal 1"))?;
    shown(rig, &rig.a, "one queue in the table", |v| {
        let steering = steering(v);
        let table = steering["table"].as_array();
        table.is_some_and(|t| t.len() == 128 && t.iter().all(|queue| *queue == 0))
    })?;
    rig.ping_both_ways()
        .context("with one queue in the table")?;
    vm.run(&format!("ethtool -X {interface} equal {PAIRS}"))?;
    shown(rig, &rig.a, "all queues in the table", |v| {
        let steering = steering(v);
        let table = steering["table"].as_array();
        table.is_some_and(|t| (0..PAIRS).all(|pair| t.iter().any(|queue| *queue == pair)))
    })?;
    rig.ping_both_ways()
        .context("with all queues in the table")?;
    // Which fields are hashed: the driver tells the device of changes while it uses the hash.
    vm.run(&format!("ethtool -K {interface} receive-hashing on"))?;
    let fields = vm.run(&format!("ethtool -n {interface} rx-flow-hash udp4"))?;
    ensure!(fields.contains("L4 bytes 0 & 1"), "{fields}");
    let has = |name: &'static str, wanted: bool| {
        move |v: &Value| {
            let types = &v["health"]["steering"]["hash_types"];
            let types = types.as_array();
            types.is_some_and(|t| t.iter().any(|one| one == name)) == wanted
        }
    };
    shown(rig, &rig.a, "UDP to be hashed", has("UDPv4", true))?;
    vm.run(&format!("ethtool -N {interface} rx-flow-hash udp4 sd"))?;
    shown(
        rig,
        &rig.a,
        "UDP no longer to be hashed",
        has("UDPv4", false),
    )?;
    vm.run(&format!("ethtool -N {interface} rx-flow-hash udp4 sdfn"))?;
    shown(rig, &rig.a, "UDP to be hashed again", has("UDPv4", true))?;
    // Interrupts held back, for all queues and for one.
    let limits = |what: &str| -> Result<String> { vm.run(&format!("ethtool {what}")) };
    vm.run(&format!("ethtool -C {interface} rx-usecs 500 rx-frames 16"))?;
    let now = limits(&format!("-c {interface}"))?;
    let says = |text: &str, key: &str, value: &str| {
        let mut lines = text.lines().filter_map(|line| line.split_once(':'));
        lines.any(|(k, v)| k.trim() == key && v.trim() == value)
    };
    ensure!(
        says(&now, "rx-usecs", "500") && says(&now, "rx-frames", "16"),
        "{now}"
    );
    rig.ping_both_ways().context("with interrupts held back")?;
    let one = format!("--per-queue {interface} queue_mask 1");
    vm.run(&format!(
        "ethtool {one} --coalesce rx-usecs 200 rx-frames 8"
    ))?;
    let now = limits(&format!("{one} --show-coalesce"))?;
    ensure!(
        says(&now, "rx-usecs", "200") && says(&now, "rx-frames", "8"),
        "{now}"
    );
    let more = vm.try_run(&format!("ethtool -C {interface} rx-usecs 1000000"))?;
    ensure!(
        more.outcome != lab_guest::wire::Outcome::Exit(0),
        "a second is longer than anybody may wait"
    );
    rig.ping_both_ways()
        .context("with one queue of its own mind")?;
    vm.run(&format!("ethtool -C {interface} rx-usecs 0 rx-frames 0"))?;
    // The device's own counters beside the driver's.
    let names = vm.run(&format!("ethtool -S {interface}"))?;
    for name in ["cq_hw_command_num", "rx0_hw_", "tx0_hw_"] {
        ensure!(names.contains(name), "no {name} in\n{names}");
    }
    rig.ping_both_ways()
}

fn mac_change(rig: &Rig) -> Result<()> {
    let (interface, own) = (&rig.a.main.interface, &rig.a.main.device.mac);
    let other = "02:00:5e:00:53:77";
    for mac in [other, own.as_str()] {
        rig.a
            .vm
            .run(&format!("ip link set {interface} address {mac}"))?;
        shown(rig, &rig.a, "the new address in force", |v| {
            v["health"]["mac"] == mac
        })?;
        rig.b
            .vm
            .run(&format!("ip neigh flush dev {}", rig.b.main.interface))?;
        rig.ping_both_ways()
            .with_context(|| format!("with address {mac}"))?;
    }
    Ok(())
}

fn promiscuous(rig: &Rig) -> Result<()> {
    // Nobody has this address: the switch floods, the receiver's filter decides.
    let nobody = "02:00:5e:00:53:99";
    let limit = Duration::from_secs(30);
    let (from, to) = (rig.a.end(), rig.b.end());
    let count = |stream: u32| -> Result<u64> {
        let run = FrameRun {
            stream,
            size: 100,
            rate: 500,
            count: 200,
            limit,
        };
        let flow = Flow::start_to(from, to, nobody, &run)?;
        let report = flow.finish_within(Duration::from_secs(2))?;
        Ok(report.receive.received)
    };
    let hidden = count(21)?;
    ensure!(
        hidden == 0,
        "{hidden} frames for another address reached the guest"
    );
    rig.b
        .vm
        .run(&format!("ip link set {} promisc on", to.interface))?;
    let seen = count(22);
    rig.b
        .vm
        .run(&format!("ip link set {} promisc off", to.interface))?;
    let seen = seen?;
    ensure!(
        seen == 200,
        "in promiscuous mode {seen} of 200 frames were seen"
    );
    Ok(())
}

fn smaller_mtu(rig: &Rig) -> Result<()> {
    for guest in [&rig.a, &rig.b] {
        guest
            .vm
            .run(&format!("ip link set {} mtu 1280", guest.main.interface))?;
    }
    let result = traffic::ping_all(&rig.a.vm, &rig.b.main.address, 5, "-s 3000");
    for guest in [&rig.a, &rig.b] {
        guest
            .vm
            .run(&format!("ip link set {} mtu 1500", guest.main.interface))?;
    }
    result
}

fn rebind(rig: &Rig) -> Result<()> {
    let device = format!("/sys/class/net/{}/device", rig.a.main.interface);
    let virtio = rig.a.vm.run(&format!("basename $(readlink {device})"))?;
    let pci = rig
        .a
        .vm
        .run(&format!("basename $(dirname $(readlink -f {device}))"))?;
    for (driver, name) in [
        ("virtio/drivers/virtio_net", &virtio),
        ("pci/drivers/virtio-pci", &pci),
    ] {
        for round in 1..=3 {
            rig.a
                .vm
                .run(&format!("echo {name} > /sys/bus/{driver}/unbind"))?;
            shown(rig, &rig.a, "the driver to be gone", |v| {
                v["driver"] != "running"
            })?;
            rig.a
                .vm
                .run(&format!("echo {name} > /sys/bus/{driver}/bind"))?;
            let nic = rig::configure(&rig.a.vm, &rig.a.main.device, &rig.a.main.address)?;
            ensure!(
                nic.interface == rig.a.main.interface,
                "the name changed to {}",
                nic.interface
            );
            rig.ping_both_ways()
                .with_context(|| format!("{driver}, round {round}"))?;
        }
    }
    check_driver(&rig.a.vm, &rig.a.main.interface, PAIRS)
}

fn down_up(rig: &Rig) -> Result<()> {
    for _ in 0..5 {
        rig.a
            .vm
            .run(&format!("ip link set {} down", rig.a.main.interface))?;
        rig::configure(&rig.a.vm, &rig.a.main.device, &rig.a.main.address)?;
    }
    rig.ping_both_ways()
}
