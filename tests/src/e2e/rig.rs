//! The shared rig: a daemon in a namespace of its own with an uplink to the host's side, and two
//! guests with two devices each.

use super::{CannotRun, Suite};
use crate::daemon::{Daemon, Device};
use crate::lab::Lab;
use crate::netns::Netns;
use crate::traffic::{self, End};
use crate::vm::{Vm, VmConfig};
use crate::{host, ui};
use anyhow::{Context, Result, anyhow};
use std::sync::Arc;
use std::time::Instant;

/// Name of the uplink's interface on the host's side.
pub const TAP: &str = "tap0";

/// Address of the host's side.
pub const HOST: &str = "192.0.2.254";

/// Queue pairs of each guest's first device; the guests have as many CPUs.
pub const PAIRS: u32 = 4;

/// Daemon, namespace and two guests.
pub struct Rig {
    /// First guest.
    pub a: Guest,
    /// Second guest.
    pub b: Guest,
    /// The daemon; after the guests, so that it is dropped after them.
    pub daemon: Daemon,
    /// The host's side.
    pub netns: Netns,
    /// The lab, for tests that boot a third guest.
    pub lab: Arc<Lab>,
}

/// A guest with its devices.
pub struct Guest {
    /// The machine.
    pub vm: Vm,
    /// Its first device: `PAIRS` queue pairs, MTU 1500.
    pub main: Nic,
    /// Its second device: one queue pair, MTU 9000.
    pub jumbo: Nic,
}

/// A device inside a guest.
#[derive(Clone)]
pub struct Nic {
    /// The device as it was created.
    pub device: Device,
    /// What the guest's kernel calls it.
    pub interface: String,
    /// Its IPv4 address in the guest.
    pub address: String,
}

impl Guest {
    /// The first device as an end for frames.
    #[must_use]
    pub fn end(&self) -> End<'_> {
        End {
            vm: &self.vm,
            interface: &self.main.interface,
        }
    }
}

/// A namespace, or the reason why there is none.
///
/// # Errors
/// [`CannotRun`] without root.
pub fn namespace(lab: &Lab) -> Result<Netns> {
    if !host::is_root() {
        return Err(anyhow!(CannotRun("an uplink needs root".into())));
    }
    Netns::new(lab.tree())
}

/// Starts a daemon with an uplink in `netns` and gives the host's side its address.
///
/// # Errors
/// If it does not come up.
pub fn daemon_with_uplink(suite: &Suite, netns: &Netns) -> Result<Daemon> {
    let pf = format!("soft:lab,queue-pairs=64,uplink=tap:{TAP}");
    let daemon = Daemon::start(suite.programs()?, suite.lab().dir(), &[&pf], Some(netns))?;
    netns.wait_for_link(TAP)?;
    netns.ip(&format!("link set {TAP} up"))?;
    netns.ip(&format!("addr add {HOST}/24 dev {TAP}"))?;
    Ok(daemon)
}

/// A shell line that prints the guest's name for the interface with this MAC address, once it is there.
#[must_use]
pub fn finding_interface(mac: &str) -> String {
    format!(
        "n=0; until i=$(grep -lix '{mac}' /sys/class/net/*/address); do n=$((n+1)); \
         [ $n -lt 1000 ] || exit 1; usleep 10000; done; basename $(dirname $i)"
    )
}

/// A shell line that gives an interface its address and waits for its link.
///
/// A carrier is not enough: until the kernel has come to work with it (`operstate`, and what is done under the lock that
/// the last command takes), what is sent is dropped, and nobody is told.
#[must_use]
pub fn bringing_up(interface: &str, address: &str) -> String {
    let at = format!("/sys/class/net/{interface}");
    format!(
        "ip link set {interface} up && ip addr replace {address}/24 dev {interface} && \
         n=0; until [ \"$(cat {at}/carrier)\" = 1 ] && [ \"$(cat {at}/operstate)\" != down ]; do n=$((n+1)); \
         [ $n -lt 1000 ] || exit 1; usleep 10000; done; ip link show dev {interface} > /dev/null"
    )
}

/// The guest's name for the interface with this MAC address, once it is there.
///
/// # Errors
/// If it does not appear.
pub fn interface_of(vm: &Vm, mac: &str) -> Result<String> {
    vm.run(&finding_interface(mac))
        .with_context(|| format!("no interface with MAC {mac}"))
}

/// Finds a device's interface in a guest, brings it up and gives it an address.
///
/// # Errors
/// If it does not appear.
pub fn configure(vm: &Vm, device: &Device, address: &str) -> Result<Nic> {
    let interface = interface_of(vm, &device.mac)?;
    vm.run(&bringing_up(&interface, address))?;
    Ok(Nic {
        device: device.clone(),
        interface,
        address: address.to_owned(),
    })
}

impl Rig {
    /// Builds everything.
    ///
    /// # Errors
    /// If any part does not come up.
    pub fn build(suite: &Suite) -> Result<Self> {
        let start = Instant::now();
        let netns = namespace(suite.lab())?;
        let daemon = daemon_with_uplink(suite, &netns)?;
        let pairs = PAIRS.to_string();
        let mut starting = Vec::new();
        for name in ["a", "b"] {
            // The second guest's driver may choose its ring format, and takes packed rings; so may
            // both second devices' drivers.
            let format = if name == "b" { "any" } else { "split" };
            let main = ["--queue-pairs", &pairs, "--ring-format", format];
            let main = daemon.create(name, &main)?;
            let jumbo = ["--mtu", "9000", "--ring-format", "any"];
            let jumbo = daemon.create(&format!("{name}-jumbo"), &jumbo)?;
            let config = VmConfig::new(name)
                .cpus(PAIRS)
                .hotplug_ports(2)
                .device(&main.qemu)
                .device(&jumbo.qemu);
            starting.push((Vm::start(suite.lab(), config)?, main, jumbo));
        }
        let mut guests = Vec::new();
        for (number, (vm, main, jumbo)) in (1..).zip(starting) {
            vm.ready()?;
            let main = configure(&vm, &main, &format!("192.0.2.{number}"))?;
            let jumbo = configure(&vm, &jumbo, &format!("198.51.100.{number}"))?;
            guests.push(Guest { vm, main, jumbo });
        }
        let b = guests.pop().context("two guests")?;
        let a = guests.pop().context("two guests")?;
        ui::say(&format!(
            "    rig ready after {:.1} s",
            start.elapsed().as_secs_f64()
        ));
        Ok(Rig {
            a,
            b,
            daemon,
            netns,
            lab: suite.shared_lab(),
        })
    }

    /// Brings a guest's devices back into service after a reboot or a rebind.
    ///
    /// # Errors
    /// If one does not come back.
    pub fn reconfigure(&self, guest: &Guest) -> Result<()> {
        for nic in [&guest.main, &guest.jumbo] {
            configure(&guest.vm, &nic.device, &nic.address)?;
        }
        Ok(())
    }

    /// Fails unless echo requests pass between the guests, both ways, without loss.
    ///
    /// # Errors
    /// If one is lost.
    pub fn ping_both_ways(&self) -> Result<()> {
        traffic::ping_all(&self.a.vm, &self.b.main.address, 5, "")?;
        traffic::ping_all(&self.b.vm, &self.a.main.address, 5, "")
    }

    /// Adds the daemon's log and state to a failure.
    pub fn explain(&self, error: anyhow::Error) -> anyhow::Error {
        if error.downcast_ref::<CannotRun>().is_some() {
            return error;
        }
        let list = self
            .daemon
            .ctl(&["list"])
            .map(|v| v.to_string())
            .unwrap_or_default();
        anyhow!(
            "{error:#}\n  devices: {list}\n  mdevd said last:\n{}",
            self.daemon.log_tail()
        )
    }
}
