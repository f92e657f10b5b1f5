//! Frames between stock guests, and between guests and the host.

use super::Test;
use super::rig::{Guest, HOST, PAIRS, Rig};
use crate::traffic::{self, End, Flow, FrameRun};
use crate::ui;
use crate::vm::Vm;
use anyhow::{Context, Result, ensure};
use std::time::Duration;

/// The tests of this file.
pub fn tests() -> Vec<Test> {
    vec![
        Test::on_rig(
            "driver-bound",
            "the stock driver drives 1af4:1041 with all queue pairs",
            driver,
        ),
        Test::on_rig(
            "ring-formats",
            "the stock driver takes packed rings where they are offered, split ones elsewhere",
            ring_formats,
        ),
        Test::on_rig("ping", "guests reach each other over IPv4 and IPv6", ping),
        Test::on_rig(
            "ping-host",
            "guests reach the host through the uplink and back",
            ping_host,
        ),
        Test::on_rig(
            "frames",
            "numbered frames of all sizes arrive once and intact",
            frames,
        ),
        Test::on_rig(
            "jumbo",
            "MTU 9000: frames of 9014 bytes arrive intact",
            jumbo,
        ),
        Test::on_rig("vlan-in-guest", "guests tag frames themselves", guest_vlan),
        Test::on_rig(
            "large-sends",
            "large sends pass between guests uncut",
            large_sends,
        ),
    ]
}

/// Fails unless the guest's stock driver is bound to the device with all its queue pairs.
///
/// # Errors
/// With what it is instead.
pub fn check_driver(vm: &Vm, interface: &str, pairs: u32) -> Result<()> {
    let device = format!("/sys/class/net/{interface}/device");
    let driver = vm.run(&format!("basename $(readlink {device}/driver)"))?;
    ensure!(driver == "virtio_net", "driver of {interface} is {driver}");
    let ids = vm.run(&format!("cat {device}/../vendor {device}/../device"))?;
    ensure!(ids == "0x1af4\n0x1041", "PCI ids are {ids:?}");
    let queues = vm.run(&format!("ls /sys/class/net/{interface}/queues | wc -l"))?;
    ensure!(
        queues.trim() == (2 * pairs).to_string(),
        "{queues} queues, {pairs} pairs wanted"
    );
    let vectors = vm.run(&format!("ls {device}/../msi_irqs | wc -l"))?;
    let vectors: u32 = vectors.trim().parse().context("number of vectors")?;
    // One vector for each queue, one for configuration changes; the control queue is polled.
    ensure!(
        vectors > 2 * pairs,
        "{vectors} MSI-X vectors for {pairs} queue pairs"
    );
    Ok(())
}

fn driver(rig: &Rig) -> Result<()> {
    for guest in [&rig.a, &rig.b] {
        check_driver(&guest.vm, &guest.main.interface, PAIRS)?;
        let name = &guest.main.device.name;
        let show = rig.daemon.ctl(&["show", name])?;
        ensure!(show["state"] == "connected", "{show}");
        ensure!(show["health"]["memory"] == "shared", "{show}");
        ensure!(show["health"]["active_pairs"] == PAIRS, "{show}");
        ensure!(show["health"]["client"]["pid"] == guest.vm.pid(), "{show}");
    }
    Ok(())
}

fn ring_formats(rig: &Rig) -> Result<()> {
    for (nic, packed) in [
        (&rig.a.main, false),
        (&rig.b.main, true),
        (&rig.a.jumbo, true),
        (&rig.b.jumbo, true),
    ] {
        let name = &nic.device.name;
        let features = rig.daemon.ctl(&["show", name])?["health"]["features"].take();
        let has = |feature: &str| {
            let all = features.as_array().map_or(&[][..], Vec::as_slice);
            all.iter().any(|one| one == feature)
        };
        ensure!(has("RING_PACKED") == packed, "{name}: {features}");
        // Whether a kernel knows these is its own business; what was agreed on is reported.
        ui::say(&format!(
            "    {name}: packed {packed}, in order {}, notification data {}",
            has("IN_ORDER"),
            has("NOTIFICATION_DATA")
        ));
    }
    Ok(())
}

fn ping(rig: &Rig) -> Result<()> {
    rig.ping_both_ways()?;
    traffic::ping_all(&rig.a.vm, &rig.b.main.address, 5, "-s 1400")?;
    for (guest, number) in [(&rig.a, 1), (&rig.b, 2)] {
        let interface = &guest.main.interface;
        // Nobody answers for an address that may be another's, which is found out within a second or two.
        guest.vm.run(&format!(
            "sysctl -qw net.ipv6.conf.{interface}.accept_dad=0 && \
             ip addr replace 2001:db8::{number}/64 dev {interface}"
        ))?;
    }
    traffic::ping_all(&rig.a.vm, "2001:db8::2", 5, "-6")
}

fn ping_host(rig: &Rig) -> Result<()> {
    for guest in [&rig.a, &rig.b] {
        traffic::ping_all(&guest.vm, HOST, 5, "")?;
        let back = rig.netns.ping(&guest.main.address, 5)?;
        ensure!(
            back == 5,
            "{back} of 5 echo requests from the host were answered"
        );
    }
    Ok(())
}

/// Sends numbered frames of `size` bytes between two ends, which must all arrive.
fn exchange(from: End<'_>, to: End<'_>, size: usize, count: u64) -> Result<()> {
    let limit = Duration::from_secs(60);
    let run = FrameRun {
        stream: 7,
        size,
        rate: 2000,
        count,
        limit,
    };
    let report = Flow::start(from, to, &run)?.finish()?;
    ensure!(
        report.is_perfect() && report.send.sent == count,
        "{size} bytes: {report:?}"
    );
    Ok(())
}

fn frames(rig: &Rig) -> Result<()> {
    for size in [60, 61, 64, 200, 1000, 1513, 1514] {
        exchange(rig.a.end(), rig.b.end(), size, 500)?;
    }
    exchange(rig.b.end(), rig.a.end(), 1514, 2000)
}

fn jumbo_end(guest: &Guest) -> End<'_> {
    End {
        vm: &guest.vm,
        interface: &guest.jumbo.interface,
    }
}

fn jumbo(rig: &Rig) -> Result<()> {
    for guest in [&rig.a, &rig.b] {
        let interface = &guest.jumbo.interface;
        let mtu = guest
            .vm
            .run(&format!("cat /sys/class/net/{interface}/mtu"))?;
        ensure!(mtu == "9000", "the guest chose MTU {mtu}");
        let above = guest
            .vm
            .try_run(&format!("ip link set {interface} mtu 9001"))?;
        ensure!(
            above.outcome != lab_guest::wire::Outcome::Exit(0),
            "MTU 9001 was accepted"
        );
    }
    traffic::ping_all(&rig.a.vm, &rig.b.jumbo.address, 5, "-s 8972")?;
    for size in [1514, 4096, 9013, 9014] {
        exchange(jumbo_end(&rig.a), jumbo_end(&rig.b), size, 300)?;
        exchange(jumbo_end(&rig.b), jumbo_end(&rig.a), size, 300)?;
    }
    Ok(())
}

fn guest_vlan(rig: &Rig) -> Result<()> {
    for (guest, number) in [(&rig.a, 1), (&rig.b, 2)] {
        guest.vm.run(&format!(
            "ip link add link {} name v5 type vlan id 5 && ip addr add 203.0.113.{number}/24 dev v5 \
             && ip link set v5 up",
            guest.main.interface
        ))?;
    }
    traffic::ping_all(&rig.a.vm, "203.0.113.2", 5, "")?;
    for guest in [&rig.a, &rig.b] {
        guest.vm.run("ip link del v5")?;
    }
    Ok(())
}

/// What passed through a device's receive side during some work.
#[derive(Clone, Copy, Debug)]
pub struct Received {
    /// Frames the device delivered.
    pub frames: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Large sends among them.
    pub large: u64,
    /// Bytes of an average packet as the guest's own counters have it.
    pub guest_average: f64,
}

/// Measures what a guest's first device receives during `work`.
///
/// # Errors
/// If `work` fails or counters cannot be read.
pub fn measure(rig: &Rig, guest: &Guest, work: impl FnOnce() -> Result<()>) -> Result<Received> {
    let name = &guest.main.device.name;
    let look = || -> Result<[u64; 5]> {
        let stats = rig.daemon.ctl(&["stats", name])?;
        let of = |key: &str| {
            let value = stats["rx"][key].as_u64();
            value.with_context(|| format!("no rx.{key} in {stats}"))
        };
        let inside = |key: &str| -> Result<u64> {
            let file = format!("/sys/class/net/{}/statistics/{key}", guest.main.interface);
            Ok(guest.vm.run(&format!("cat {file}"))?.parse()?)
        };
        Ok([
            of("frames")?,
            of("bytes")?,
            of("large_frames")?,
            inside("rx_packets")?,
            inside("rx_bytes")?,
        ])
    };
    let before = look()?;
    work()?;
    let after = look()?;
    let [frames, bytes, large, packets, octets] =
        std::array::from_fn(|i| after[i].saturating_sub(before[i]));
    Ok(Received {
        frames,
        bytes,
        large,
        guest_average: octets as f64 / packets.max(1) as f64,
    })
}

/// Runs iperf3 from one guest to the other; megabits a second, and what the receiver's device saw.
///
/// # Errors
/// If it fails.
pub fn bulk(rig: &Rig, from: &Guest, to: &Guest, more: &str) -> Result<(f64, Received)> {
    let mut bits = 0.0;
    let seen = measure(rig, to, || {
        bits = traffic::iperf(&from.vm, &to.vm, &to.main.address, more)?;
        Ok(())
    })?;
    ui::say(&format!(
        "    {} -> {}: {:.0} Mbit/s, {} frames of {} bytes on average, {} large sends, guest saw {:.0}",
        from.vm.name(),
        to.vm.name(),
        bits / 1e6,
        seen.frames,
        seen.bytes / seen.frames.max(1),
        seen.large,
        seen.guest_average
    ));
    Ok((bits / 1e6, seen))
}

/// Fails unless large sends arrived uncut.
///
/// # Errors
/// With the counters.
pub fn check_uncut(seen: &Received) -> Result<()> {
    ensure!(seen.large > 0, "no large send was counted: {seen:?}");
    // A cut stream has no frame above 1514 bytes and an average below that.
    ensure!(
        seen.bytes / seen.frames.max(1) > 3000,
        "large sends were cut: {seen:?}"
    );
    ensure!(
        seen.guest_average > 3000.0,
        "the guest saw small packets: {seen:?}"
    );
    Ok(())
}

fn large_sends(rig: &Rig) -> Result<()> {
    for (from, to) in [(&rig.a, &rig.b), (&rig.b, &rig.a)] {
        let (_, seen) = bulk(rig, from, to, "-t 3")?;
        check_uncut(&seen)?;
    }
    Ok(())
}
