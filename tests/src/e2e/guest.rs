//! Full guests, stock from kernel to driver, on devices of a function in a machine that is a host.

use super::rig::{bringing_up, finding_interface};
use super::sliced::{boot_all, no_faults, start_all};
use super::{Suite, Test};
use crate::daemon::Device;
use crate::nested::limits::{GUEST_TOOL, GUESTS};
use crate::nested::{Inner, Mdevd, Model, Outer, Outside, Physical, Plug};
use crate::netns::Netns;
use crate::{limits, process, traffic, ui};
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
        Test::nested(
            "nested-guest-both",
            "a full guest on a device that hardware serves and one on a device whose frames are translated reach the outside \
             and each other",
            both,
        ),
        Test::nested(
            "nested-guest-avf",
            "a full guest on an adaptive virtual function of an 82576, with stock iavf, reaches the outside",
            avf,
        ),
    ]
}

/// A function whose wire leads to a kernel.
const fn plug(model: Model) -> Plug {
    Plug {
        model,
        outside: Outside::Kernel { pairs: 1 },
    }
}

/// A guest's device.
#[derive(Clone, Copy)]
struct Cut {
    /// Number of the function that it is cut from.
    function: usize,
    /// What else `create` is told.
    create: &'static [&'static str],
    /// The stock driver that binds it.
    driver: &'static str,
}

/// Of the first function, with virtio.
const ORDINARY: Cut = Cut {
    function: 0,
    create: &[],
    driver: "virtio_net",
};

/// One whose rings hardware works.
const DIRECT: Cut = Cut {
    create: &["--data-path", "direct", "--profile", "lab"],
    ..ORDINARY
};

/// Address of the kernel outside.
const FAR: &str = "198.51.100.254";

/// Echo requests of each kind.
const PINGS: u32 = 5;

fn igb(suite: &Suite) -> Result<()> {
    full(suite, &[plug(Model::Igb)], &[ORDINARY; GUESTS])
}

fn direct(suite: &Suite) -> Result<()> {
    full(suite, &[plug(Model::Virtio)], &[DIRECT])
}

fn both(suite: &Suite) -> Result<()> {
    let plugs = [Model::Virtio, Model::Igb].map(plug);
    let translated = Cut {
        function: 1,
        ..ORDINARY
    };
    full(suite, &plugs, &[DIRECT, translated])
}

fn avf(suite: &Suite) -> Result<()> {
    let avf = Cut {
        create: &["--personality", "avf"],
        driver: "iavf",
        ..ORDINARY
    };
    full(suite, &[plug(Model::Igb)], &[avf])
}

/// Has full guests, each on a device of its own, reach the outside and each other. Wires of several functions lead to one
/// switch there.
fn full(suite: &Suite, plugs: &[Plug], cuts: &[Cut]) -> Result<()> {
    let (outer, physical) = boot_all(suite, plugs)?;
    let daemon = start_all(suite, &outer, &physical)?;
    full_in(suite, (&outer, &physical), &daemon, cuts)
        .map_err(|error| daemon.explain("full guests on devices of the function", &error))?;
    daemon.stop()?;
    no_faults(&outer)?;
    outer.vm.quit()
}

fn full_in(
    suite: &Suite,
    (outer, physical): (&Outer, &[Physical]),
    daemon: &Mdevd<'_>,
    cuts: &[Cut],
) -> Result<()> {
    let mut running = Vec::new();
    for (number, cut) in cuts.iter().enumerate() {
        let pf = format!("nic{}", cut.function);
        let words = [&["--pf", &pf], cut.create].concat();
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
        let wanted = cuts[number].driver;
        ensure!(driver == wanted, "{interface} is driven by {driver}");
        ui::say(&format!(
            "    guest {number}: up after {booted:.0} s, {interface} driven by {driver}"
        ));
    }
    let netns = outer.netns.as_ref().context("a namespace")?;
    let outside = meeting_place(netns, physical)?;
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
        let ends = [&first.agent, &second.agent];
        let rate = traffic::iperf_between(GUEST_TOOL, ends, &near(1))?;
        ensure!(rate > 0.0, "a stream between the guests carried nothing");
        ui::say(&format!(
            "    between the guests: {PINGS} of {PINGS} pings each way, {:.1} Mbit/s",
            rate / 1e6
        ));
    }
    for (guest, device) in running {
        guest.stop()?;
        // The daemon sees a moment later that its client has gone.
        process::wait_for("the guest's device to go", limits::SETTLE, || {
            Ok(daemon.ctl(&["destroy", &device.name]).ok())
        })?;
    }
    Ok(())
}

/// The interface outside at which all guests are met: that of the only function, or a switch behind those of several.
fn meeting_place(netns: &Netns, physical: &[Physical]) -> Result<String> {
    let outside = physical.iter().map(|one| one.outside.as_deref());
    let outside: Vec<&str> = outside
        .collect::<Option<_>>()
        .context("interfaces outside")?;
    if let [only] = outside[..] {
        return Ok(only.to_owned());
    }
    netns.ip("link add far type bridge")?;
    for one in outside {
        netns.ip(&format!("link set {one} master far"))?;
    }
    netns.ip("link set far up")?;
    Ok("far".into())
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
