//! `guests-*`: two stock guests over mdevd, beside the same two over QEMU's own virtio-net and a socket
//! between the two QEMUs. Both guests have both, so that whatever a boot or a moment does to one wire it does to the other: it makes
//! more of a difference than who connects them. Guests are booted anew for every round.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::family::{Family, Outcome, Run};
use super::row::{Bar, Row, Side, Spec};
use crate::artifacts::{self, Programs};
use crate::daemon::Daemon;
use crate::lab::Lab;
use crate::traffic;
use crate::ui;
use crate::vm::{Vm, VmConfig};

/// Turns of a wire at echo requests in a round.
const TURNS: u32 = 10;
/// Echo requests of a turn. An echo is a dozen turns of threads on the machine's cores, and takes twice as long when two of
/// them meet: only many of them say anything.
const ECHOES: u32 = 50;
/// Which of a guest's CPUs has all interrupts of its network devices, and ping. A kernel spreads them as it finds devices, so that one wire
/// would always have what it does on the CPU that ping runs on, and the other would not.
const CPU: u32 = 0;
/// A device's: one for its configuration, one for each queue of its pair.
const VECTORS: u32 = 3;
/// Hardware addresses where QEMU gives them.
const MACS: [&str; 2] = ["52:54:00:00:00:01", "52:54:00:00:00:02"];

/// The family.
#[derive(Debug)]
pub struct Guests;

/// Who connects the guests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Wire {
    Mdevd,
    Qemu,
}

const WIRES: [Wire; 2] = [Wire::Mdevd, Wire::Qemu];

impl Wire {
    const fn name(self) -> &'static str {
        match self {
            Wire::Mdevd => "mdevd",
            Wire::Qemu => "qemu-virtio-net",
        }
    }

    /// The guests' addresses there.
    const fn addresses(self) -> [&'static str; 2] {
        match self {
            Wire::Mdevd => ["192.0.2.1", "192.0.2.2"],
            Wire::Qemu => ["198.51.100.1", "198.51.100.2"],
        }
    }
}

/// What is measured.
const TCP: &str = "guests-tcp";
const ECHO: &str = "guests-echo";

impl Family for Guests {
    fn prefix(&self) -> &'static str {
        "guests"
    }

    fn rows(&self) -> Vec<Spec> {
        vec![
            Spec::with_bar(TCP, "Mbit/s", Bar::AtLeast(1.0)),
            Spec::with_bar(ECHO, "us", Bar::AtMost(1.0)),
        ]
    }

    fn measure(&self, run: &Run, wanted: &[Spec]) -> Result<Outcome> {
        let lab = Lab::prepare()?;
        let programs = artifacts::programs()?;
        let mut figures: BTreeMap<(Wire, &str), Vec<f64>> = BTreeMap::new();
        for round in 0..run.repetitions {
            let of = run.repetitions;
            let step = ui::Step::begin(format!("guests, {} of {of}", round + 1));
            let pair = Pair::boot(&lab, &programs)?;
            for wire in turns(2, round) {
                let mbits = pair.throughput(wire).context(wire.name())?;
                figures.entry((wire, TCP)).or_default().push(mbits);
            }
            let mut sums = BTreeMap::new();
            for wire in turns(2 * TURNS, round) {
                *sums.entry(wire).or_insert(0.0) += pair.echo(wire).context(wire.name())?;
            }
            for (wire, sum) in sums {
                let figures = figures.entry((wire, ECHO)).or_default();
                figures.push(sum / f64::from(TURNS));
            }
            pair.end()?;
            step.done();
        }
        let side = |wire: Wire, what: &'static str| {
            let figures = figures.get(&(wire, what)).cloned().unwrap_or_default();
            Side::new(wire.name(), figures)
        };
        let row = |spec: &Spec| {
            let what = if spec.name == TCP { TCP } else { ECHO };
            let (ours, peer) = (side(Wire::Mdevd, what)?, side(Wire::Qemu, what)?);
            Some(Row::by_rounds(spec.clone(), ours, peer))
        };
        let part = |wire: Wire, text: &str| (wire.name().to_owned(), text.to_owned());
        Ok(Outcome {
            rows: wanted.iter().filter_map(row).collect(),
            took_part: vec![
                part(Wire::Mdevd, "one queue pair each, trapped doorbells"),
                part(Wire::Qemu, "virtio-net-pci over a stream of a UNIX socket"),
            ],
            ..Outcome::default()
        })
    }
}

/// Wires in turn, so many in all; each comes first once in a while.
fn turns(all: u32, round: u32) -> impl Iterator<Item = Wire> {
    let from = round as usize % WIRES.len();
    WIRES.into_iter().cycle().skip(from).take(all as usize)
}

/// Two guests that both wires connect.
struct Pair {
    vms: [Vm; 2],
    daemon: Daemon,
    socket: PathBuf,
}

impl Pair {
    fn boot(lab: &Lab, programs: &Programs) -> Result<Self> {
        let daemon = Daemon::start(programs, lab.dir(), &["soft:lab,queue-pairs=8"], None)?;
        let socket = lab.dir().join("wire");
        let start = |number: usize| -> Result<(Vm, String)> {
            let name = ["g1", "g2"][number];
            let device = daemon.create(name, &[])?;
            let config = VmConfig::new(name).device(&device.qemu).own_nic(
                &socket,
                number == 0,
                MACS[number],
            );
            Ok((Vm::start(lab, config)?, device.mac))
        };
        let started = [start(0)?, start(1)?];
        for (number, (vm, mac)) in started.iter().enumerate() {
            vm.ready()?;
            for (wire, mac) in [(Wire::Mdevd, mac.as_str()), (Wire::Qemu, MACS[number])] {
                let address = wire.addresses()[number];
                vm.run(&format!(
                    "i=$(grep -lix '{mac}' /sys/class/net/*/address) && i=$(basename $(dirname $i)) && \
                     ip link set $i up && ip addr add {address}/24 dev $i && \
                     irqs=$(ls /sys/class/net/$i/device/../msi_irqs) && [ $(echo $irqs | wc -w) = {VECTORS} ] && \
                     for n in $irqs; do echo {CPU} > /proc/irq/$n/smp_affinity_list || exit 1; done"
                ))
                .with_context(|| format!("{}'s device", wire.name()))?;
            }
        }
        let pair = Pair {
            vms: started.map(|(vm, _)| vm),
            daemon,
            socket,
        };
        for wire in WIRES {
            traffic::ping_all(&pair.vms[0], wire.addresses()[1], 5, "").context(wire.name())?;
        }
        Ok(pair)
    }

    /// Megabits a second over TCP.
    fn throughput(&self, wire: Wire) -> Result<f64> {
        let [a, b] = &self.vms;
        Ok(traffic::iperf(a, b, wire.addresses()[1], "-t 4 -O 1")? / 1e6)
    }

    /// Microseconds of an echo, of a few on average.
    fn echo(&self, wire: Wire) -> Result<f64> {
        let to = wire.addresses()[1];
        let text = self.vms[0].run(&format!(
            "taskset -c {CPU} ping -q -c {ECHOES} -i 0.01 -W 5 {to}"
        ))?;
        // An average is of those that came back.
        let answers = traffic::answers(&text).with_context(|| format!("ping said {text:?}"))?;
        ensure!(
            answers == ECHOES,
            "{answers} of {ECHOES} echo requests were answered"
        );
        let millis = echo_time(&text).with_context(|| format!("ping said {text:?}"))?;
        Ok(millis * 1e3)
    }

    fn end(self) -> Result<()> {
        for vm in self.vms {
            vm.quit()?;
        }
        self.daemon.stop()?;
        take_away(&self.socket)
    }
}

/// QEMU takes its socket away itself where it has the time.
fn take_away(socket: &Path) -> Result<()> {
    match std::fs::remove_file(socket) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).context("remove the wire's socket")
        }
        _ => Ok(()),
    }
}

/// The average of ping's last line, in milliseconds.
fn echo_time(text: &str) -> Option<f64> {
    let line = text.lines().find(|line| line.contains("min/avg/max"))?;
    let figures = line.split(" = ").nth(1)?;
    figures.split('/').nth(1)?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_average_is_read() {
        let iputils = "2 packets transmitted\nrtt min/avg/max/mdev = 0.325/0.510/0.913/0.1 ms";
        assert_eq!(echo_time(iputils), Some(0.510));
        let busybox = "round-trip min/avg/max = 0.3/0.4/0.5 ms";
        assert_eq!(echo_time(busybox), Some(0.4));
        assert_eq!(echo_time("100% packet loss"), None);
    }

    #[test]
    fn wires_take_turns_and_each_begins_once_in_a_while() {
        use Wire::{Mdevd, Qemu};
        let of = |all, round| turns(all, round).collect::<Vec<_>>();
        assert_eq!(of(2, 0), [Mdevd, Qemu]);
        assert_eq!(of(4, 1), [Qemu, Mdevd, Qemu, Mdevd]);
    }
}
