//! What most of these tests share: a daemon with an uplink, and two guests with adaptive virtual functions.

use super::super::Suite;
use super::super::rig::{self, Nic, configure, namespace};
use crate::daemon::Daemon;
use crate::netns::Netns;
use crate::traffic::{self, End};
use crate::vm::{GuestKernel, Vm, VmConfig};
use crate::{limits, process, ui};
use anyhow::{Context, Result, anyhow, ensure};
use std::time::Instant;

/// Queue pairs of the first guest's device, and its CPUs.
pub const PAIRS: u32 = 4;

/// MTU that the devices are made with; drivers of adaptive virtual functions begin with 1500.
const MTU: &str = "9000";

/// Two guests: the first has one adaptive virtual function, the second another and a virtio device.
pub struct Pair {
    /// The kernel of both.
    pub kernel: GuestKernel,
    /// First guest.
    pub a: Vm,
    /// Second guest.
    pub b: Vm,
    /// Device of the first: `PAIRS` queue pairs.
    pub first: Nic,
    /// The same kind of device in the second, with one pair.
    pub second: Nic,
    /// The second's virtio device.
    pub virtio: Nic,
    /// The daemon; after the guests, so that it is dropped after them.
    pub daemon: Daemon,
    /// The host's side.
    pub netns: Netns,
}

impl Pair {
    /// Builds everything.
    ///
    /// # Errors
    /// If any part does not come up.
    pub fn build(suite: &Suite, kernel: GuestKernel) -> Result<Self> {
        let start = Instant::now();
        let netns = namespace(suite.lab())?;
        let daemon = rig::daemon_with_uplink(suite, &netns)?;
        let avf = ["--personality", "avf", "--mtu", MTU, "--queue-pairs"];
        let create = |name, pairs: u32| {
            let pairs = pairs.to_string();
            daemon.create(name, &[&avf[..], &[&pairs]].concat())
        };
        let first = create("first", PAIRS)?;
        let second = create("second", 1)?;
        let virtio = daemon.create("virtio", &["--mtu", MTU])?;
        let config = VmConfig::new("a").kernel(kernel).cpus(PAIRS);
        let a = Vm::start(suite.lab(), config.device(&first.qemu))?;
        let config = VmConfig::new("b").kernel(kernel).device(&second.qemu);
        let b = Vm::start(suite.lab(), config.device(&virtio.qemu))?;
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
        ui::say(&format!(
            "    two guests with kernel {} ready after {:.1} s",
            a.agent.kernel(),
            start.elapsed().as_secs_f64()
        ));
        Ok(Pair {
            kernel,
            a,
            b,
            first,
            second,
            virtio,
            daemon,
            netns,
        })
    }

    /// Runs a test, holds what the guests' kernels say against it, and adds what everybody has said to its
    /// failure.
    ///
    /// # Errors
    /// The test's.
    pub fn run(&self, test: fn(&Self) -> Result<()>) -> Result<()> {
        let guests = [&self.a, &self.b];
        test(self)
            .and_then(|()| guests.iter().try_for_each(|vm| quiet(vm)))
            .map_err(|error| explained(&self.daemon, &guests, &error))
    }

    /// The first guest's device as an end for frames.
    pub fn a_end(&self) -> End<'_> {
        end(&self.a, &self.first)
    }

    /// The second guest's adaptive virtual function as one.
    pub fn b_end(&self) -> End<'_> {
        end(&self.b, &self.second)
    }

    /// Fails unless the first guest reaches both devices of the second.
    pub fn reach(&self, what: &str) -> Result<()> {
        for nic in [&self.second, &self.virtio] {
            traffic::ping_all(&self.a, &nic.address, 5, "").with_context(|| what.to_owned())?;
        }
        Ok(())
    }

    /// Gives the first guest's device its address again, and waits for its link, after a change that its driver
    /// comes back from.
    pub fn restore(&self) -> Result<()> {
        configure(&self.a, &self.first.device, &self.first.address).map(drop)
    }

    /// What the daemon shows of the first guest's device.
    pub fn show(&self) -> Result<serde_json::Value> {
        self.daemon.ctl(&["show", &self.first.device.name])
    }

    /// Changes the first guest's device; what the operator is told.
    pub fn set(&self, attribute: &str) -> Result<String> {
        let name = &self.first.device.name;
        let changed = self.daemon.ctl(&["set", name, attribute])?;
        Ok(changed["notes"].to_string())
    }

    /// The rule that the daemon names for what it refused the first guest last.
    pub fn expect_refusal(&self, rule: &str) -> Result<()> {
        let last = self.show()?["health"]["last_refusal"]["what"].to_string();
        ensure!(last.contains(rule), "{last:?} instead of {rule:?}");
        Ok(())
    }
}

/// A device as an end for frames.
pub const fn end<'a>(vm: &'a Vm, nic: &'a Nic) -> End<'a> {
    End {
        vm,
        interface: nic.interface.as_str(),
    }
}

/// A shell line that prints what a guest's kernel has complained of about its function.
const COMPLAINTS: &str =
    "dmesg -r | grep -E '^<[0-4]>' | grep -E 'iavf|WARNING|BUG:|[Tt]x timeout|NETDEV WATCHDOG'";

/// Fails where a guest's kernel has complained about its function.
pub fn quiet(vm: &Vm) -> Result<()> {
    let said = vm.run(&format!("{COMPLAINTS} || true"))?;
    let name = vm.name();
    ensure!(said.is_empty(), "the kernel of {name} complains:\n{said}");
    Ok(())
}

/// Waits until a guest's driver has said this.
pub fn said(vm: &Vm, what: &str) -> Result<()> {
    process::wait_for("the driver to say something", limits::SETTLE, || {
        let said = vm.run(&format!("dmesg | grep iavf | grep -F '{what}' || true"))?;
        Ok((!said.is_empty()).then_some(()))
    })
    .with_context(|| what.to_owned())
}

/// Waits until a guest's driver has complained of this, which it is then excused.
pub fn complained(vm: &Vm, of: &str) -> Result<()> {
    said(vm, of)?;
    let others = vm.run(&format!("{COMPLAINTS} | grep -v -F '{of}' || true"))?;
    ensure!(others.is_empty(), "it complains of more:\n{others}");
    forget(vm)
}

/// Has a guest's kernel forget what it has said, which was nothing to complain of.
pub fn cleared(vm: &Vm) -> Result<()> {
    quiet(vm)?;
    forget(vm)
}

fn forget(vm: &Vm) -> Result<()> {
    vm.run("dmesg -c > /dev/null").map(drop)
}

/// Adds what everybody has said to a failure.
pub fn explained(daemon: &Daemon, guests: &[&Vm], error: &anyhow::Error) -> anyhow::Error {
    let mut text = format!("{error:#}\n  mdevd said last:\n{}", daemon.log_tail());
    for vm in guests {
        let said = vm
            .run("dmesg | grep -i -E 'iavf|eth|watchdog' | tail -n 25; ip addr")
            .unwrap_or_else(|error| format!("{error:#}"));
        text.push_str(&format!("\n  {} says:\n{said}", vm.name()));
    }
    for what in [
        &["show", "first"][..],
        &["stats", "first"],
        &["stats", "second"],
    ] {
        if let Ok(shown) = daemon.ctl(what) {
            text.push_str(&format!("\n  {}: {shown}", what.join(" ")));
        }
    }
    anyhow!(text)
}
