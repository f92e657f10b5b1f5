//! The lab tries itself on QEMU's own devices, so that a failure elsewhere is not the lab's.

use super::{Suite, Test};
use crate::lab::Lab;
use crate::traffic::{self, End, Flow, FrameRun};
use crate::ui;
use crate::vm::{Vm, VmConfig};
use anyhow::{Result, ensure};
use lab_guest::wire::StreamArgs;
use serde_json::json;
use std::time::{Duration, Instant};

/// The tests of this file.
pub fn tests() -> Vec<Test> {
    vec![Test::alone(
        "lab-itself",
        "two guests on QEMU's own virtio-net: boot, agent, traffic tools, hot-plug",
        stock_pair,
    )]
}

fn config(lab: &Lab, name: &str, number: u8) -> VmConfig {
    let mac = format!("52:54:00:00:00:0{number}");
    let config = VmConfig::new(name).hotplug_ports(2);
    config.own_nic(&lab.dir().join("wire"), number == 1, &mac)
}

fn stock_pair(suite: &Suite) -> Result<()> {
    let lab = suite.lab();
    let start = Instant::now();
    let a = Vm::start(lab, config(lab, "a", 1))?;
    let b = Vm::start(lab, config(lab, "b", 2))?;
    a.ready()?;
    b.ready()?;
    ui::say(&format!(
        "    two guests up after {:.1} s",
        start.elapsed().as_secs_f64()
    ));
    a.run("ip link set eth0 up && ip addr add 192.0.2.1/24 dev eth0")?;
    b.run("ip link set eth0 up && ip addr add 192.0.2.2/24 dev eth0")?;
    traffic::ping_all(&a, "192.0.2.2", 5, "")?;

    let (from, to) = (
        End {
            vm: &a,
            interface: "eth0",
        },
        End {
            vm: &b,
            interface: "eth0",
        },
    );
    let limit = Duration::from_secs(60);
    let run = FrameRun {
        stream: 1,
        size: 200,
        rate: 500,
        count: 1000,
        limit,
    };
    let report = Flow::start(from, to, &run)?.finish()?;
    ensure!(report.is_perfect(), "{report:?}");
    let rate = traffic::loss_free_rate(from, to, 200)?;
    ui::say(&format!("    loss-free rate {rate} frames/s"));

    let stream = StreamArgs {
        address: "192.0.2.2".into(),
        port: 7000,
        bytes: 20 << 20,
        datagram: None,
        segments: None,
        seconds: 60.0,
    };
    let tcp = traffic::checked_stream(&a, &b, &stream)?;
    let datagrams = StreamArgs {
        bytes: 1 << 20,
        datagram: Some(1000),
        segments: Some(8),
        ..stream
    };
    let udp = traffic::checked_stream(&a, &b, &datagrams)?;
    let bits = traffic::iperf(&a, &b, "192.0.2.2", "-t 2")?;
    ui::say(&format!(
        "    tcp {tcp:?}\n    udp {udp:?}\n    iperf3 {:.0} Mbit/s",
        bits / 1e6
    ));

    hotplug(&a)?;
    let before = Instant::now();
    a.reboot()?;
    ui::say(&format!(
        "    rebooted in {:.1} s",
        before.elapsed().as_secs_f64()
    ));
    ensure!(a.run("true")?.is_empty());
    a.quit()
}

fn hotplug(vm: &Vm) -> Result<()> {
    vm.qmp.execute(
        "netdev_add",
        &json!({"type": "hubport", "id": "n9", "hubid": 9}),
    )?;
    let device = json!({"driver": "virtio-net-pci", "netdev": "n9", "id": "hot"}).to_string();
    let before = Instant::now();
    vm.qmp.device_add(&device, &[("bus", "hot0")])?;
    vm.run(
        "n=0; until [ -e /sys/class/net/eth1 ]; do n=$((n+1)); [ $n -lt 1000 ]; usleep 10000; done",
    )?;
    let added = before.elapsed();
    vm.qmp.device_del("hot")?;
    ui::say(&format!(
        "    hot-added in {:.1} s, removed in {:.1} s",
        added.as_secs_f64(),
        (before.elapsed() - added).as_secs_f64()
    ));
    Ok(())
}
