//! Linux' `iavf` on devices that are adaptive virtual functions, beside guests with virtio and the host.

use super::rig::{self, HOST, Nic, TAP, configure, namespace};
use super::{Suite, Test};
use crate::daemon::Daemon;
use crate::netns::Netns;
use crate::vm::{Vm, VmConfig};
use crate::{limits, process, traffic, ui};
use anyhow::{Context, Result, ensure};

/// The tests of this file.
pub fn tests() -> Vec<Test> {
    vec![
        Test::alone(
            "avf-traffic",
            "stock iavf drivers reach each other, a virtio guest and the host",
            reaching,
        ),
        Test::alone(
            "avf-ethtool",
            "what ethtool shows and sets of an iavf interface is what the device does",
            ethtool,
        ),
        Test::alone(
            "avf-life",
            "an iavf driver is unloaded and loaded, its guest reboots, its function is reset",
            life,
        ),
    ]
}

/// Queue pairs of the first guest's device.
const PAIRS: u32 = 4;

/// Devices of two guests: the first has one adaptive virtual function, the second another and a virtio device.
struct Pair {
    a: Vm,
    b: Vm,
    first: Nic,
    second: Nic,
    virtio: Nic,
    daemon: Daemon,
    netns: Netns,
}

impl Pair {
    fn build(suite: &Suite) -> Result<Self> {
        let netns = namespace(suite.lab())?;
        let daemon = rig::daemon_with_uplink(suite, &netns)?;
        let pairs = PAIRS.to_string();
        let first = daemon.create("first", &["--personality", "avf", "--queue-pairs", &pairs])?;
        let second = daemon.create("second", &["--personality", "avf", "--mtu", "9000"])?;
        let virtio = daemon.create("virtio", &["--mtu", "9000"])?;
        let config = VmConfig::new("a").cpus(PAIRS).device(&first.qemu);
        let a = Vm::start(suite.lab(), config)?;
        let config = VmConfig::new("b").device(&second.qemu).device(&virtio.qemu);
        let b = Vm::start(suite.lab(), config)?;
        a.ready()?;
        b.ready()?;
        let up = || -> Result<_> {
            Ok((
                configure(&a, &first, "192.0.2.1")?,
                configure(&b, &second, "192.0.2.2")?,
                configure(&b, &virtio, "192.0.2.3")?,
            ))
        };
        let (first, second, virtio) =
            up().map_err(|error| explained(&daemon, &[&a, &b], &error))?;
        Ok(Pair {
            a,
            b,
            first,
            second,
            virtio,
            daemon,
            netns,
        })
    }

    /// Runs a test, and adds what everybody has said to its failure.
    fn test(suite: &Suite, test: impl FnOnce(&Self) -> Result<()>) -> Result<()> {
        let pair = Self::build(suite)?;
        test(&pair).map_err(|error| explained(&pair.daemon, &[&pair.a, &pair.b], &error))?;
        pair.quiet()?;
        pair.a.quit()?;
        pair.b.quit()?;
        pair.daemon.stop()
    }

    /// Fails where a guest's kernel has complained about its function.
    fn quiet(&self) -> Result<()> {
        for vm in [&self.a, &self.b] {
            let said = vm.run("dmesg -r | grep -E '^<[0-4]>' | grep -i -E 'iavf|WARN|BUG|tx timeout|NETDEV WATCHDOG' || true")?;
            ensure!(
                said.is_empty(),
                "the kernel of {} complains:\n{said}",
                vm.name()
            );
        }
        Ok(())
    }
}

fn explained(daemon: &Daemon, guests: &[&Vm], error: &anyhow::Error) -> anyhow::Error {
    let mut text = format!("{error:#}\n  mdevd said last:\n{}", daemon.log_tail());
    for vm in guests {
        let said = vm
            .run("dmesg | grep -i -E 'iavf|eth|watchdog' | tail -n 25; ip addr")
            .unwrap_or_else(|error| format!("{error:#}"));
        text.push_str(&format!("\n  {} says:\n{said}", vm.name()));
    }
    if let Ok(shown) = daemon.ctl(&["show", "first"]) {
        text.push_str(&format!("\n  first: {shown}"));
    }
    anyhow::anyhow!(text)
}

fn reaching(suite: &Suite) -> Result<()> {
    Pair::test(suite, |pair| {
        let Pair {
            a,
            b,
            first,
            second,
            virtio,
            netns,
            ..
        } = pair;
        for (vm, nic) in [(a, first), (b, second)] {
            let driver = vm.run(&format!("ethtool -i {} | head -n 1", nic.interface))?;
            ensure!(driver == "driver: iavf", "{driver}");
        }
        for address in [&second.address, &virtio.address, &HOST.to_owned()] {
            traffic::ping_all(a, address, 5, "")?;
            traffic::ping_all(a, address, 5, "-s 1400")?;
        }
        traffic::ping_all(b, &first.address, 5, "")?;
        for address in [&second.address, &virtio.address] {
            for more in ["", "-R"] {
                let rate = traffic::iperf(a, b, address, more)? / 1e6;
                ui::say(&format!("    first and {address} {more}: {rate:.0} Mbit/s"));
                ensure!(rate > 0.0, "a stream carried nothing");
            }
        }
        for reverse in [false, true] {
            let rate = traffic::iperf_with_host(netns, &a.agent, HOST, reverse)? / 1e6;
            ui::say(&format!(
                "    first and the host, reverse {reverse}: {rate:.0} Mbit/s"
            ));
            ensure!(rate > 0.0, "a stream carried nothing");
        }
        Ok(())
    })
}

fn ethtool(suite: &Suite) -> Result<()> {
    Pair::test(suite, |pair| {
        let Pair { a, first, .. } = pair;
        let interface = &first.interface;
        let reach = |what: &str| {
            traffic::ping_all(a, &pair.second.address, 5, "").with_context(|| what.to_owned())
        };
        let shown = |what: &str| a.run(&format!("ethtool {what} {interface}"));
        for what in ["-i", "-k", "-l", "-g", "-c", "-x", "-S"] {
            ensure!(!shown(what)?.is_empty(), "ethtool {what} shows nothing");
        }
        for pairs in [1, 2, PAIRS] {
            a.run(&format!("ethtool -L {interface} combined {pairs}"))?;
            a.run(&rig::bringing_up(interface, &first.address))?;
            let now = shown("-l")?;
            let now = now.lines().rfind(|line| line.starts_with("Combined"));
            ensure!(
                now.is_some_and(|line| line.ends_with(&format!("\t{pairs}"))),
                "{now:?} and not {pairs}"
            );
            reach(&format!("with {pairs} pairs"))?;
        }
        a.run(&format!("ethtool -G {interface} rx 1024 tx 256"))?;
        a.run(&rig::bringing_up(interface, &first.address))?;
        reach("with other rings")?;
        a.run(&format!(
            "ethtool -C {interface} adaptive-rx off adaptive-tx off rx-usecs 100 tx-usecs 80"
        ))?;
        let held = shown("-c")?;
        ensure!(
            held.lines()
                .any(|line| line.trim_end().ends_with("100") && line.starts_with("rx-usecs:")),
            "{held}"
        );
        reach("with held interrupts")?;
        // Without the word, what the driver does not know of is taken for a transformation that it lacks.
        a.run(&format!("ethtool -X {interface} equal 2 xfrm none"))?;
        let table = shown("-x")?;
        ensure!(
            !table.contains(" 3 "),
            "queues beyond the second in {table}"
        );
        reach("with two queues")?;
        // The driver asks every other second.
        let before = counted(a, interface)?;
        reach("counted")?;
        process::wait_for("the driver to have counted", limits::SETTLE, || {
            Ok((counted(a, interface)? >= before + 5).then_some(()))
        })?;
        Ok(())
    })
}

/// Frames sent as the driver counts them, that is as the device says.
fn counted(vm: &Vm, interface: &str) -> Result<u64> {
    let said = vm.run(&format!(
        "cat /sys/class/net/{interface}/statistics/tx_packets"
    ))?;
    said.parse().with_context(|| format!("{said:?}"))
}

fn life(suite: &Suite) -> Result<()> {
    Pair::test(suite, |pair| {
        let Pair { a, first, .. } = pair;
        let reach = |what: &str| -> Result<()> {
            // A driver that finds its function reset looks again after a moment.
            let back = process::wait_for("the guest to be back", limits::SETTLE, || {
                let up = configure(a, &first.device, &first.address);
                let answered = up.and_then(|_| traffic::ping(a, &pair.second.address, 1, "-W 1"));
                Ok(answered.is_ok_and(|count| count == 1).then_some(()))
            });
            back.with_context(|| what.to_owned())?;
            traffic::ping_all(a, &pair.second.address, 5, "").with_context(|| what.to_owned())
        };
        for _ in 0..2 {
            a.run("rmmod iavf && insmod /lib/modules/iavf.ko")?;
            reach("after the driver was loaded anew")?;
        }
        let device = a.run(&format!(
            "basename $(readlink -f /sys/class/net/{}/device)",
            first.interface
        ))?;
        a.run(&format!("echo 1 > /sys/bus/pci/devices/{device}/reset"))?;
        reach("after a reset of its function")?;
        a.reboot()?;
        reach("after a reboot")?;
        pair.netns.ip(&format!("link set {TAP} down"))?;
        pair.netns.ip(&format!("link set {TAP} up"))?;
        reach("after the uplink flapped")
    })
}
