//! Queue counts.

use super::super::Suite;
use super::super::rig::{self, Nic, bringing_up, configure, namespace};
use super::pair::{explained, quiet};
use super::shown::{by_queue, expect, shown};
use crate::daemon::Daemon;
use crate::vm::{GuestKernel, Vm, VmConfig};
use crate::{limits, process, traffic, ui};
use anyhow::{Context, Result, ensure};
use std::time::{Duration, Instant};

/// As many as an adaptive virtual function can have.
const PAIRS: usize = 16;

/// Addresses of the second guest, each of which is a flow.
const FLOWS: usize = 64;

/// The first and the last of them are 192.0.2.100 and so on.
const FIRST: usize = 100;

/// What a guest of so many CPUs gets to boot where two emulate all of them.
const BOOT: Duration = Duration::from_secs(240);

/// Every number of pairs.
pub fn newest(suite: &Suite) -> Result<()> {
    let all: Vec<usize> = (1..=PAIRS).collect();
    run(suite, GuestKernel::Newest, &all)
}

/// Some, for time's sake.
pub fn stable(suite: &Suite) -> Result<()> {
    run(suite, GuestKernel::Stable, &[1, 2, 7, PAIRS])
}

/// A guest with a device of 16 pairs, and one that talks to it.
struct Many {
    a: Vm,
    b: Vm,
    nic: Nic,
    daemon: Daemon,
}

fn run(suite: &Suite, kernel: GuestKernel, counts: &[usize]) -> Result<()> {
    let start = Instant::now();
    let netns = namespace(suite.lab())?;
    let daemon = rig::daemon_with_uplink(suite, &netns)?;
    let pairs = PAIRS.to_string();
    let first = daemon.create("first", &["--personality", "avf", "--queue-pairs", &pairs])?;
    let second = daemon.create("second", &[])?;
    let mut config = VmConfig::new("a").kernel(kernel).device(&first.qemu);
    config = config.cpus(u32::try_from(PAIRS)?);
    config.memory_mib = 640;
    config.boot_limit = BOOT;
    let a = Vm::start(suite.lab(), config)?;
    let config = VmConfig::new("b").kernel(kernel).device(&second.qemu);
    let b = Vm::boot(suite.lab(), config)?;
    a.ready()?;
    ui::say(&format!(
        "    a guest with {PAIRS} CPUs and kernel {} ready after {:.1} s",
        a.agent.kernel(),
        start.elapsed().as_secs_f64()
    ));
    let up = || -> Result<Nic> {
        let second = configure(&b, &second, "192.0.2.2")?;
        let last = FIRST + FLOWS - 1;
        b.run(&format!(
            "for n in $(seq {FIRST} {last}); do ip addr add 192.0.2.$n/24 dev {}; done",
            second.interface
        ))?;
        configure(&a, &first, "192.0.2.1")
    };
    let nic = up().map_err(|error| explained(&daemon, &[&a, &b], &error))?;
    let many = Many { a, b, nic, daemon };
    let tried = many.default().and_then(|()| {
        counts.iter().try_for_each(|count| {
            many.with(*count)
                .with_context(|| format!("with {count} pairs"))
        })
    });
    tried
        .and_then(|()| quiet(&many.a))
        .map_err(|error| explained(&many.daemon, &[&many.a, &many.b], &error))?;
    many.a.quit()?;
    many.b.quit()?;
    many.daemon.stop()
}

impl Many {
    /// A driver begins with all that there are.
    fn default(&self) -> Result<()> {
        let text = shown(&self.a, "-l", &self.nic.interface)?;
        expect(&text, &[("Combined", &PAIRS.to_string())])
    }

    fn with(&self, count: usize) -> Result<()> {
        let Many { a, nic, daemon, .. } = self;
        let interface = &nic.interface;
        a.run(&format!("ethtool -L {interface} combined {count}"))?;
        a.run(&bringing_up(interface, &nic.address))?;
        let text = shown(a, "-l", interface)?;
        expect(&text, &[("Combined", &count.to_string())])?;
        let health = &daemon.ctl(&["show", "first"])?["health"];
        ensure!(health["active_pairs"] == count, "{health}");
        traffic::ping_all(a, "192.0.2.2", 3, "")?;

        let before = self.counted()?;
        self.flows()?;
        // Stray frames may come between two looks.
        let mut last = [vec![], vec![]];
        let agree = process::wait_for(
            "driver and device to count the same",
            limits::SETTLE,
            || {
                let now = self.counted()?;
                last = [0, 1].map(|of| rise(&before[of], &now[of]));
                Ok((last[0] == last[1]).then_some(()))
            },
        );
        agree.with_context(|| format!("by queue, the device and the driver: {last:?}"))?;
        let [frames, _] = last;
        let used = frames.iter().filter(|frames| **frames > 0).count();
        ui::say(&format!("    {count:2} pairs, frames by queue: {frames:?}"));
        ensure!(frames.len() <= count, "a queue beyond {count}: {frames:?}");
        // A key is random and addresses differ in few bits, so that some keys make few of them; hardly one fewer.
        ensure!(used >= count.div_ceil(4), "{used} of {count}: {frames:?}");
        Ok(())
    }

    /// An echo request from each of the second guest's addresses, all at once.
    fn flows(&self) -> Result<()> {
        let last = FIRST + FLOWS - 1;
        let answered = self.b.run(&format!(
            "for n in $(seq {FIRST} {last}); do ping -c 1 -W 10 -I 192.0.2.$n {} > /tmp/flow-$n & done; wait; \
             grep -l ' 1 packets received' /tmp/flow-* | wc -l",
            self.nic.address
        ))?;
        ensure!(
            answered.trim() == FLOWS.to_string(),
            "{answered} of {FLOWS} flows were answered"
        );
        Ok(())
    }

    /// Received frames by queue, as the device and as the driver counts them.
    fn counted(&self) -> Result<[Vec<u64>; 2]> {
        let stats = self.daemon.ctl(&["stats", "first"])?;
        let pairs = stats["pairs"].as_array().context("no queues in stats")?;
        let mut device = vec![0; PAIRS];
        for pair in pairs {
            let of = |key: &str| pair.pointer(key).and_then(serde_json::Value::as_u64);
            let (number, frames) = (of("/pair").context("pair")?, of("/rx/frames"));
            device[usize::try_from(number)?] = frames.context("frames")?;
        }
        let text = shown(&self.a, "-S", &self.nic.interface)?;
        Ok([device, by_queue(&text, "rx", "packets")?])
    }
}

/// By how much each went up; what did not at the end is left out.
fn rise(before: &[u64], now: &[u64]) -> Vec<u64> {
    let mut rise: Vec<u64> = before.iter().zip(now).map(|(b, n)| n - b).collect();
    while rise.last() == Some(&0) {
        rise.pop();
    }
    rise
}
