//! A machine that is a host with physical functions: frames from a device to the other end of a function's wire.

use super::{CannotRun, Suite, Test};
use crate::nested::inside::{VfioReport, stray};
use crate::nested::{Crossing, Function, Mdevd, Model, Outer, Outside, Physical, Plug, Run};
use crate::{host, limits, process, traffic, ui};
use anyhow::{Context, Result, anyhow, bail, ensure};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Queue pairs of the virtio function.
const PAIRS: u16 = 8;

/// Both functions: one that leads to this process alone, and one that leads to a kernel beside it.
const PLUGS: [Plug; 2] = [
    Plug {
        model: Model::Igb,
        outside: Outside::Process,
    },
    Plug {
        model: Model::Virtio,
        outside: Outside::Kernel { pairs: PAIRS },
    },
];

/// The shortest and the longest frames of an ordinary Ethernet.
pub(super) const RUNS: [Run; 2] = [
    Run {
        number: 0,
        count: 4000,
        size: 60,
        window: 64,
    },
    Run {
        number: 1,
        count: 2000,
        size: 1514,
        window: 64,
    },
];

/// Addresses of the machine and of the kernel outside.
const NEAR: &str = "198.51.100.1";
const FAR: &str = "198.51.100.254";

/// The tests of this file.
pub fn tests() -> Vec<Test> {
    vec![
        Test::nested(
            "nested-soft",
            "frames of a software PF's device cross stock igb and virtio_net to the outside and back",
            soft,
        ),
        Test::nested(
            "nested-vfio-ready",
            "both functions go to vfio-pci, are held to what is mapped there, and come back to their drivers",
            vfio_ready,
        ),
    ]
}

/// Boots a machine with both functions.
fn boot(suite: &Suite) -> Result<(Outer, Vec<Physical>)> {
    let (outer, physical) = boot_with(suite, &PLUGS)?;
    let [one, other] = &physical[..] else {
        bail!("{} functions", physical.len());
    };
    ensure!(
        one.function.group != other.function.group,
        "both functions are in group {}",
        one.function.group
    );
    Ok((outer, physical))
}

/// Boots a machine with these functions and says what came of it.
pub(super) fn boot_with(suite: &Suite, plugs: &[Plug]) -> Result<(Outer, Vec<Physical>)> {
    if !host::is_root() {
        let why = "a kernel at the other end of a wire takes root";
        return Err(anyhow!(CannotRun(why.into())));
    }
    let (outer, physical) = Outer::boot(suite.lab(), plugs)?;
    let seconds = [outer.booted, outer.furnished].map(|time| time.as_secs_f64());
    ui::say(&format!(
        "    booted after {:.1} s, a host after {:.1} s more",
        seconds[0], seconds[1]
    ));
    for Physical { function, .. } in &physical {
        ui::say(&format!(
            "    {} at {}, IOMMU group {}",
            function.model.name(),
            function.address,
            function.group
        ));
    }
    Ok((outer, physical))
}

fn soft(suite: &Suite) -> Result<()> {
    let (outer, mut physical) = boot(suite)?;
    soft_in(suite, &outer, &mut physical)
        .map_err(|error| outer.explain("use the stock drivers", &error))?;
    outer.vm.quit()
}

fn soft_in(suite: &Suite, outer: &Outer, physical: &mut [Physical]) -> Result<()> {
    let virtio = physical.iter().find(|one| one.outside.is_some());
    pairs(
        outer,
        virtio.context("a function with several queue pairs")?,
    )?;
    through_stock_drivers(suite, outer, physical)?;
    let outside = physical.iter().find_map(|one| one.outside.as_deref());
    speak(outer, 1, outside.context("an interface outside")?)
}

fn vfio_ready(suite: &Suite) -> Result<()> {
    let (outer, mut physical) = boot(suite)?;
    vfio_ready_in(suite, &outer, &mut physical)
        .map_err(|error| outer.explain("use VFIO", &error))?;
    outer.vm.quit()
}

fn vfio_ready_in(suite: &Suite, outer: &Outer, physical: &mut [Physical]) -> Result<()> {
    let functions: Vec<Function> = physical.iter().map(|one| one.function.clone()).collect();
    for function in &functions {
        let members = function.group_members(&outer.vm)?;
        ensure!(
            members == [function.address.as_str()],
            "group {} of {} has {members:?}",
            function.group,
            function.model.name()
        );
        function.bind_vfio(&outer.vm)?;
    }
    for function in &functions {
        let report: VfioReport = inside(outer, "vfio-ready", function)?;
        ui::say(&format!(
            "    {} through {}: {} regions, {} kinds of interrupts",
            function.model.name(),
            function.node(),
            report.regions,
            report.irqs
        ));
    }
    let igb = functions.iter().find(|one| one.model == Model::Igb);
    refused(outer, igb.context("an igb")?)?;
    for function in &functions {
        let interface = function.bind_stock(&outer.vm)?;
        let driver = function.driver(&outer.vm)?;
        ensure!(
            driver.as_deref() == Some(function.model.stock_driver()),
            "{interface} of {} is driven by {driver:?}",
            function.address
        );
    }
    through_stock_drivers(suite, outer, physical)
}

/// Runs a verb of the lab about a function inside, which must succeed; its report.
fn inside<R: DeserializeOwned>(outer: &Outer, verb: &str, function: &Function) -> Result<R> {
    let group = format!("--group={}", function.group);
    let address = format!("--address={}", function.address);
    let program = outer.program.to_string_lossy();
    let said = outer.run(&[&program, "--json", "inside", verb, &group, &address])?;
    let line = said.lines().last().unwrap_or_default();
    serde_json::from_str(line).with_context(|| format!("no report of {verb} in {said:?}"))
}

/// Fails unless the IOMMU refuses what is not mapped, and the machine's kernel says so, and of nothing else.
fn refused(outer: &Outer, igb: &Function) -> Result<()> {
    let before = outer.dma_faults()?;
    ensure!(
        before.is_empty(),
        "refused before anybody strayed: {before:?}"
    );
    let _: Value = inside(outer, "stray-dma", igb)?;
    // Older kernels leave the PCI domain out.
    let who = format!("{}]", igb.address.trim_start_matches("0000:"));
    let what = format!("addr {:#x}", stray::ADDRESS);
    let faults = process::wait_for(
        "the kernel to tell of a refused access",
        limits::SETTLE,
        || Ok(Some(outer.dma_faults()?).filter(|faults| !faults.is_empty())),
    )?;
    let other = faults
        .iter()
        .find(|fault| !(fault.contains(&who) && fault.contains(&what)));
    ensure!(
        other.is_none(),
        "wanted a fault of {who} at {what}, got {faults:?}"
    );
    ui::say(&format!("    {}", faults[0]));
    Ok(())
}

/// Fails unless the kernel can use all queue pairs that the function was given.
fn pairs(outer: &Outer, physical: &Physical) -> Result<()> {
    let interface = physical.function.interface(&outer.vm)?;
    let said = outer.vm.run(&format!("ethtool -l {interface}"))?;
    let most = said
        .lines()
        .find_map(|line| line.strip_prefix("Combined:")?.trim().parse::<u16>().ok());
    ensure!(most == Some(PAIRS), "ethtool -l {interface}: {said}");
    Ok(())
}

/// Bridges each function to a software PF of its own, and has a fake VM behind a device of each exchange frames with
/// the other end of the function's wire.
fn through_stock_drivers(suite: &Suite, outer: &Outer, physical: &mut [Physical]) -> Result<()> {
    let mut pfs = Vec::new();
    for (number, one) in physical.iter().enumerate() {
        let interface = one.function.interface(&outer.vm)?;
        outer
            .vm
            .run(&format!(
                "ip link show br{number} >/dev/null 2>&1 || ip link add br{number} type bridge forward_delay 0; \
                 ip link set {interface} master br{number} && ip link set br{number} up"
            ))
            .with_context(|| format!("put {interface} into a bridge"))?;
        if one.outside.is_some() {
            // Linux gives a frame that it forwards the queue of the processor that is at it, and so keeps no order
            // among frames whose sender moves from one to another.
            outer
                .vm
                .run(&format!("ethtool -L {interface} combined 1"))?;
        }
        outer.bring_up(&interface)?;
        pfs.push(format!(
            "soft:soft{number},queue-pairs=8,uplink=tap:up{number},bridge=br{number}"
        ));
    }
    let daemon = Mdevd::start(outer, suite.programs()?, &pfs)?;
    for (number, one) in physical.iter_mut().enumerate() {
        let name = one.function.model.name();
        cross(outer, &daemon, number, one)
            .map_err(|error| daemon.explain(&format!("frames through {name}"), &error))?;
    }
    daemon.stop()
}

fn cross(outer: &Outer, daemon: &Mdevd<'_>, number: usize, one: &mut Physical) -> Result<()> {
    outer.bring_up(&format!("up{number}"))?;
    let device = daemon.create(
        &format!("north{number}"),
        &["--pf", &format!("soft{number}")],
    )?;
    for run in RUNS {
        let crossing = Crossing::make(outer, &mut one.wire, &device.socket, &run)?;
        crossing.must_be_perfect(&run)?;
        ui::say(&format!(
            "    {}: {} frames of {} bytes each way, {:.0} a second",
            one.function.model.name(),
            run.count,
            run.size,
            crossing.inside.frames_per_second
        ));
    }
    let stats: Value = daemon.ctl(&["stats", &device.name])?;
    let all: u64 = RUNS.iter().map(|run| run.count).sum();
    let sent = stats.pointer("/tx/frames").and_then(Value::as_u64);
    ensure!(sent >= Some(all), "fewer than {all} frames sent: {stats}");
    Ok(())
}

/// Has the kernel outside speak to the machine's bridge: echoes, and streams both ways.
fn speak(outer: &Outer, number: usize, outside: &str) -> Result<()> {
    let netns = outer.netns.as_ref().context("a namespace")?;
    outer
        .vm
        .run(&format!("ip addr add {NEAR}/24 dev br{number}"))?;
    netns.ip(&format!("addr add {FAR}/24 dev {outside}"))?;
    let answered = netns.ping(NEAR, 5)?;
    ensure!(answered == 5, "{answered} of 5 echo requests were answered");
    let mut rates = [0.0; 2];
    for (rate, reverse) in rates.iter_mut().zip([false, true]) {
        *rate = traffic::iperf_with_host(netns, &outer.vm.agent, FAR, reverse)?;
        ensure!(*rate > 0.0, "a stream carried nothing (reverse: {reverse})");
    }
    let [out, back] = rates.map(|bits| bits / 1e6);
    ui::say(&format!(
        "    virtio, to the kernel outside: {out:.0} Mbit/s out, {back:.0} back"
    ));
    Ok(())
}
