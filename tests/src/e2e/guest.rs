//! Full guests, stock from kernel to driver, on devices of a function in a machine that is a host.

use super::rig::{bringing_up, finding_interface};
use super::sliced::{boot, no_faults, start};
use super::{Suite, Test};
use crate::daemon::Device;
use crate::nested::limits::{GUEST_TOOL, GUESTS};
use crate::nested::{Inner, Mdevd, Model, Outer, Outside, Physical, Plug};
use crate::{traffic, ui};
use anyhow::{Context, Result, ensure};

/// The tests of this file.
pub fn tests() -> Vec<Test> {
    vec![
        Test::nested(
            "nested-guest",
            "two full guests on devices of an 82576, with stock virtio_net, reach the outside and each other",
            igb,
        ),
        Test::nested(
            "nested-guest-direct",
            "a full guest whose rings a virtio-net function works, with stock virtio_net, reaches the outside",
            direct,
        ),
    ]
}

/// A function whose wire leads to a kernel.
const IGB: Plug = Plug {
    model: Model::Igb,
    outside: Outside::Kernel { pairs: 1 },
};

/// Address of the kernel outside.
const FAR: &str = "198.51.100.254";

/// Echo requests of each kind.
const PINGS: u32 = 5;

fn igb(suite: &Suite) -> Result<()> {
    full(suite, IGB, &[], GUESTS)
}

fn direct(suite: &Suite) -> Result<()> {
    let plug = Plug {
        model: Model::Virtio,
        ..IGB
    };
    full(
        suite,
        plug,
        &["--data-path", "direct", "--profile", "lab"],
        1,
    )
}

/// Has `guests` full guests, each on a device that was created with these words on the function, reach the outside and
/// each other.
pub(super) fn full(suite: &Suite, plug: Plug, create: &[&str], guests: usize) -> Result<()> {
    let (outer, one) = boot(suite, &[plug])?;
    let daemon = start(suite, &outer, &one)?;
    full_in(suite, (&outer, &one), &daemon, create, guests)
        .map_err(|error| daemon.explain("full guests on devices of the function", &error))?;
    daemon.stop()?;
    no_faults(&outer)?;
    outer.vm.quit()
}

fn full_in(
    suite: &Suite,
    (outer, one): (&Outer, &Physical),
    daemon: &Mdevd<'_>,
    create: &[&str],
    guests: usize,
) -> Result<()> {
    let mut running = Vec::new();
    for number in 0..guests {
        let words = [&["--pf", "nic0"], create].concat();
        let device = daemon.create(&format!("web{number}"), &words)?;
        let guest = Inner::start(suite.lab(), outer, number, &[&device])?;
        running.push((guest, device));
    }
    for (number, (guest, device)) in running.iter().enumerate() {
        let booted = guest.ready()?.as_secs_f64();
        let interface = configure(guest, device, &near(number))?;
        let driver = guest.run(&format!(
            "basename $(readlink /sys/class/net/{interface}/device/driver)"
        ))?;
        ensure!(driver == "virtio_net", "{interface} is driven by {driver}");
        ui::say(&format!(
            "    guest {number}: up after {booted:.0} s, {interface} driven by {driver}"
        ));
    }
    let netns = outer.netns.as_ref().context("a namespace")?;
    let outside = one.outside.as_deref().context("an interface outside")?;
    netns.ip(&format!("addr add {FAR}/24 dev {outside}"))?;
    for (number, (guest, _)) in running.iter().enumerate() {
        guest.ping(FAR, PINGS)?;
        let answered = netns.ping(&near(number), PINGS)?;
        ensure!(
            answered == PINGS,
            "{answered} of {PINGS} echo requests from outside"
        );
        let mut rates = [0.0; 2];
        for (rate, reverse) in rates.iter_mut().zip([false, true]) {
            *rate = traffic::iperf_within(GUEST_TOOL, netns, &guest.agent, FAR, reverse)?;
            ensure!(*rate > 0.0, "a stream carried nothing (reverse: {reverse})");
        }
        let [out, back] = rates.map(|bits| bits / 1e6);
        ui::say(&format!(
            "    guest {number}, to the kernel outside: {PINGS} of {PINGS} pings each way, \
             {out:.1} Mbit/s out, {back:.1} back"
        ));
    }
    if let [(first, _), (second, _)] = &running[..] {
        first.ping(&near(1), PINGS)?;
        second.ping(&near(0), PINGS)?;
        ui::say(&format!(
            "    between the guests: {PINGS} of {PINGS} pings each way"
        ));
    }
    for (guest, device) in running {
        guest.stop()?;
        daemon.ctl(&["destroy", &device.name])?;
    }
    Ok(())
}

/// Address of a guest.
fn near(number: usize) -> String {
    format!("198.51.100.{}", number + 1)
}

/// Finds a device's interface in a guest, gives it an address and waits for its link; its name.
fn configure(guest: &Inner<'_>, device: &Device, address: &str) -> Result<String> {
    let interface = guest.run(&finding_interface(&device.mac))?;
    guest.run(&bringing_up(&interface, address))?;
    Ok(interface)
}
