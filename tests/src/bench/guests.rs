//! `guests-*`: two stock guests over mdevd, beside the same two over QEMU's own virtio-net and a socket
//! between the two QEMUs. Guests are booted anew for every turn, so that nobody's are warmer.

use std::collections::BTreeMap;

use anyhow::{Context, Result};

use super::family::{Family, Outcome, Run};
use super::row::{Bar, Row, Side, Spec};
use crate::artifacts::{self, Programs};
use crate::daemon::Daemon;
use crate::lab::Lab;
use crate::traffic;
use crate::ui;
use crate::vm::{Vm, VmConfig};

/// Echo requests of a turn. An echo is a dozen turns of threads on the machine's cores, and takes twice as long when two of
/// them meet: only many of them say anything.
const ECHOES: u32 = 500;
/// Addresses of the two guests.
const ADDRESSES: [&str; 2] = ["192.0.2.1", "192.0.2.2"];
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

impl Wire {
    const fn name(self) -> &'static str {
        match self {
            Wire::Mdevd => "mdevd",
            Wire::Qemu => "qemu-virtio-net",
        }
    }
}

/// What a turn measures.
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
        run.turns(&[Wire::Mdevd, Wire::Qemu], |wire, round| {
            let (name, of) = (wire.name(), run.repetitions);
            let step = ui::Step::begin(format!("guests, {} of {of}: {name}", round + 1));
            let (mbits, echo) = turn(&lab, &programs, *wire).with_context(|| name.to_owned())?;
            figures.entry((*wire, TCP)).or_default().push(mbits);
            figures.entry((*wire, ECHO)).or_default().push(echo);
            step.done();
            Ok(())
        })?;
        let side = |wire: Wire, what: &'static str| {
            let figures = figures.get(&(wire, what)).cloned().unwrap_or_default();
            Side::new(wire.name(), figures)
        };
        let row = |spec: &Spec| {
            let what = if spec.name == TCP { TCP } else { ECHO };
            let ours = side(Wire::Mdevd, what)?;
            Some(Row::new(spec.clone(), ours, side(Wire::Qemu, what)))
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

/// Boots two guests; megabits a second over TCP, and microseconds of an echo.
fn turn(lab: &Lab, programs: &Programs, wire: Wire) -> Result<(f64, f64)> {
    let daemon = match wire {
        Wire::Mdevd => {
            let pf = "soft:lab,queue-pairs=8";
            Some(Daemon::start(programs, lab.dir(), &[pf], None)?)
        }
        Wire::Qemu => None,
    };
    let socket = lab.dir().join("wire");
    let (mut starting, mut macs) = (Vec::new(), Vec::new());
    for (name, mac) in ["g1", "g2"].into_iter().zip(MACS) {
        let config = VmConfig::new(name);
        let (config, mac) = match &daemon {
            Some(daemon) => {
                let device = daemon.create(name, &[])?;
                (config.device(&device.qemu), device.mac)
            }
            None => {
                let listens = mac == MACS[0];
                (config.own_nic(&socket, listens, mac), mac.to_owned())
            }
        };
        starting.push(Vm::start(lab, config)?);
        macs.push(mac);
    }
    for ((vm, mac), address) in starting.iter().zip(&macs).zip(ADDRESSES) {
        vm.ready()?;
        vm.run(&format!(
            "i=$(grep -lix '{mac}' /sys/class/net/*/address) && i=$(basename $(dirname $i)) && \
             ip link set $i up && ip addr add {address}/24 dev $i"
        ))?;
    }
    let [a, b] = starting.as_slice() else {
        anyhow::bail!("two guests");
    };
    traffic::ping_all(a, ADDRESSES[1], 5, "")?;
    let bits = traffic::iperf(a, b, ADDRESSES[1], "-t 4 -O 1")?;
    let text = a.run(&format!(
        "ping -q -c {ECHOES} -i 0.01 -W 5 {}",
        ADDRESSES[1]
    ))?;
    let echo = echo_time(&text).with_context(|| format!("ping said {text:?}"))?;
    for vm in starting {
        vm.quit()?;
    }
    if daemon.is_none()
        && let Err(error) = std::fs::remove_file(&socket)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        // QEMU takes it away itself where it has the time.
        return Err(error).context("remove the wire's socket");
    }
    if let Some(daemon) = daemon {
        daemon.stop()?;
    }
    Ok((bits / 1e6, echo * 1e3))
}

/// The average of ping's last line, in milliseconds.
fn echo_time(text: &str) -> Option<f64> {
    let line = text.lines().find(|line| line.contains("min/avg/max"))?;
    let figures = line.split(" = ").nth(1)?;
    figures.split('/').nth(1)?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::echo_time;

    #[test]
    fn the_average_is_read() {
        let iputils = "2 packets transmitted\nrtt min/avg/max/mdev = 0.325/0.510/0.913/0.1 ms";
        assert_eq!(echo_time(iputils), Some(0.510));
        let busybox = "round-trip min/avg/max = 0.3/0.4/0.5 ms";
        assert_eq!(echo_time(busybox), Some(0.4));
        assert_eq!(echo_time("100% packet loss"), None);
    }
}
