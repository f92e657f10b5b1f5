//! Two guests with a device of split and one of packed rings each, all on one switch, and how they are
//! set for a case.

use super::super::Suite;
use super::super::rig;
use super::case::{Case, EVERYTHING_ON};
use super::load;
use crate::daemon::Daemon;
use crate::traffic::planned;
use crate::vm::{Vm, VmConfig};
use anyhow::{Context, Result, ensure};
use lab_guest::kernel;
use lab_guest::wire::FlowArgs;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

/// Port of the first case; each has its own, so that nothing of an earlier one is taken for its own.
const FIRST_PORT: u16 = 20_000;

/// An end of a flow gives up after so many seconds of silence.
const SILENCE: f64 = 10.0;

/// Longest time that an end may run.
const LIMIT: Duration = Duration::from_secs(120);

/// Daemon and guests. The guests first, so that they end first.
pub struct Ground {
    sender: Guest,
    receiver: Guest,
    daemon: Daemon,
}

struct Guest {
    vm: Vm,
    /// Of split and of packed rings.
    interfaces: [String; 2],
}

/// What the two ends of a case reported.
pub struct Told {
    /// Themselves.
    pub flow: planned::Told,
    /// Frames of the two devices that the daemon dropped, by reason.
    pub dropped: BTreeMap<String, u64>,
}

/// The network in which two devices meet, by the formats of their rings: a guest has no two devices in
/// the same, so that it is clear which one is used.
fn address(packed: (bool, bool), v6: bool, end: u8) -> IpAddr {
    let network = 2 * u8::from(packed.0) + u8::from(packed.1);
    if v6 {
        Ipv6Addr::new(0x2001, 0xdb8, 0, network.into(), 0, 0, 0, end.into()).into()
    } else {
        Ipv4Addr::new(192, 0, 2, 64 * network + end).into()
    }
}

impl Ground {
    /// Builds everything.
    ///
    /// # Errors
    /// If any part does not come up.
    pub fn build(suite: &Suite) -> Result<Self> {
        let pf = "soft:lab,queue-pairs=16";
        let daemon = Daemon::start(suite.programs()?, suite.lab().dir(), &[pf], None)?;
        let mut starting = Vec::new();
        for name in ["sender", "receiver"] {
            // One processor: an emulated one may run into code that another is patching, which is what a
            // kernel does when it first hashes a flow or runs a program for XDP, and then panics.
            let mut config = VmConfig::new(name).cpus(1);
            let mut devices = Vec::new();
            for format in ["split", "packed"] {
                let more = [
                    "--queue-pairs",
                    "2",
                    "--mtu",
                    "9000",
                    "--ring-format",
                    format,
                ];
                let device = daemon.create(&format!("{name}-{format}"), &more)?;
                config = config.device(&device.qemu);
                devices.push(device);
            }
            starting.push((Vm::start(suite.lab(), config)?, devices));
        }
        let mut guests = Vec::new();
        for (vm, devices) in starting {
            vm.ready()?;
            let interface = |nth: usize| rig::interface_of(&vm, &devices[nth].mac);
            let interfaces = [interface(0)?, interface(1)?];
            for (nth, device) in devices.iter().enumerate() {
                let shown = daemon.ctl(&["show", &device.name])?;
                let features = shown["health"]["features"].to_string();
                let packed = features.contains("RING_PACKED");
                ensure!(packed == (nth == 1), "{}: {features}", device.name);
            }
            guests.push(Guest { vm, interfaces });
        }
        let receiver = guests.pop().context("two guests")?;
        let sender = guests.pop().context("two guests")?;
        sender.address(
            |format, other| address((format, other), false, 1),
            |format, other| address((format, other), true, 1),
        )?;
        receiver.address(
            |format, other| address((other, format), false, 2),
            |format, other| address((other, format), true, 2),
        )?;
        Ok(Ground {
            sender,
            receiver,
            daemon,
        })
    }

    /// Runs a case, the `nth` of this run.
    ///
    /// # Errors
    /// If the guests cannot be set so, or do not answer. What went wrong with the flow is in the report.
    pub fn run(&self, case: &Case, nth: usize) -> Result<Told> {
        let (from, to) = case.packed();
        let sends = &self.sender.interfaces[usize::from(from)];
        let receives = &self.receiver.interfaces[usize::from(to)];
        self.sender.set(
            sends,
            case.mtu(),
            &format!("tx {}", case.tx_ring()),
            case.sender(),
        )?;
        self.receiver.set(
            receives,
            case.mtu(),
            &format!("rx {}", case.rx_ring()),
            case.receiver(),
        )?;
        let parts = load::parts(case);
        let receiver = FlowArgs {
            interface: receives.clone(),
            address: address(case.packed(), case.v6(), 2),
            port: FIRST_PORT + (nth % 40_000) as u16,
            udp: case.protocol() != super::case::Protocol::Tcp,
            parts,
            longest: if case.cut() {
                case.mtu().into()
            } else {
                usize::from(u16::MAX) + 40
            },
            xdp: case.xdp().then(|| case.rx_ring()),
            seconds: SILENCE,
        };
        let sender = FlowArgs {
            interface: sends.clone(),
            longest: usize::from(u16::MAX) + 40,
            xdp: None,
            ..receiver.clone()
        };
        let before = self.drops(from, to)?;
        let flow = planned::run(
            (&self.sender.vm, &sender),
            (&self.receiver.vm, &receiver),
            LIMIT,
        )?;
        Ok(Told {
            flow,
            dropped: kernel::risen(&before, &self.drops(from, to)?),
        })
    }

    /// What the daemon has dropped of two devices' frames so far.
    fn drops(&self, from: bool, to: bool) -> Result<BTreeMap<String, u64>> {
        let mut all = BTreeMap::new();
        for (guest, packed) in [("sender", from), ("receiver", to)] {
            let format = if packed { "packed" } else { "split" };
            let stats = self.daemon.ctl(&["stats", &format!("{guest}-{format}")])?;
            for direction in ["rx", "tx"] {
                let drops = stats[direction]["drops"].as_object();
                for (reason, count) in drops.into_iter().flatten() {
                    let count = count.as_u64().context("a counter")?;
                    all.insert(format!("{guest} {direction} {reason}"), count);
                }
            }
        }
        Ok(all)
    }
}

impl Guest {
    /// Gives each interface its two networks.
    fn address(
        &self,
        v4: impl Fn(bool, bool) -> IpAddr,
        v6: impl Fn(bool, bool) -> IpAddr,
    ) -> Result<()> {
        // No queue discipline that drops what has waited for long: on a busy machine and behind a short
        // transmit ring it would, and count it where nobody looks.
        let mut line = String::from(
            "sysctl -qw net.ipv4.conf.all.arp_ignore=1 net.ipv4.tcp_no_metrics_save=1 \
             net.core.default_qdisc=pfifo_fast",
        );
        for (packed, interface) in [(false, &self.interfaces[0]), (true, &self.interfaces[1])] {
            line.push_str(&format!(
                " && sysctl -qw net.ipv6.conf.{interface}.accept_dad=0 && \
                 ethtool -L {interface} combined 2 && ip link set {interface} up"
            ));
            for other in [false, true] {
                line.push_str(&format!(
                    " && ip addr add {}/26 dev {interface} && ip addr add {}/64 dev {interface}",
                    v4(packed, other),
                    v6(packed, other)
                ));
            }
        }
        self.vm.run(&line).map(drop)
    }

    /// Sets an interface: MTU, rings (the other direction's as large as they go) and offloads, which must
    /// then be as they were asked for.
    fn set(&self, interface: &str, mtu: u16, ring: &str, features: &str) -> Result<()> {
        let features = features.trim();
        let mut line = format!(
            "ip link set {interface} mtu {mtu} && ethtool -G {interface} rx 1024 tx 1024 && \
             ethtool -G {interface} {ring} && ethtool -K {interface} {EVERYTHING_ON}"
        );
        if !features.is_empty() {
            line.push_str(&format!(" && ethtool -K {interface} {features}"));
        }
        line.push_str(&format!(
            " && ethtool -k {interface} && ethtool -g {interface}"
        ));
        let shown = self.vm.run(&line)?;
        let mut words = features.split_whitespace();
        while let (Some(name), Some(state)) = (words.next(), words.next()) {
            // Two have older names besides, which are the ones shown.
            let name = match name {
                "rx-gro" => "generic-receive-offload",
                "tx-generic-segmentation" => "generic-segmentation-offload",
                other => other,
            };
            let wanted = format!("{name}: {state}");
            ensure!(
                shown.lines().any(|l| l.trim().starts_with(&wanted)),
                "{}: {interface} is not '{wanted}':\n{shown}",
                self.vm.name()
            );
        }
        let (direction, size) = ring.split_once(' ').context("direction and size")?;
        let now = format!("{}:\t\t\t{size}", direction.to_uppercase());
        ensure!(
            shown.lines().any(|l| l == now),
            "{}: {interface} has no ring '{ring}':\n{shown}",
            self.vm.name()
        );
        Ok(())
    }
}
