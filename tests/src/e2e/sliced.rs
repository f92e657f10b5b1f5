//! Devices cut from a PCI function that mdevd drives itself, in a machine that is a host.

use super::direct::{strayed, taken_away};
use super::nested::{RUNS, boot_with};
use super::{Suite, Test};
use crate::daemon::Device;
use crate::nested::inside::{Exchange, RECEIVE};
use crate::nested::{Crossing, Driven, Mdevd, Model, Outer, Outside, Physical, Plug, Run};
use crate::{limits, process, ui};
use anyhow::{Context, Result, anyhow, ensure};
use serde_json::{Value, json};
use std::ops::Range;
use std::slice;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;

/// The tests of this file.
pub fn tests() -> Vec<Test> {
    vec![
        Test::nested(
            "nested-igb",
            "frames of a device cut from an 82576 go out and come in through its pool, without a copy",
            igb,
        ),
        Test::nested(
            "nested-igb-avf",
            "the same with adaptive virtual functions, doorbells trapped and mapped: sent without a copy",
            igb_avf,
        ),
        Test::nested(
            "nested-virtio",
            "frames of a device on a virtio-net function that mdevd drives go out and come in",
            virtio,
        ),
        Test::nested(
            "nested-igb-eight",
            "eight devices of an 82576 at once: one comes and goes while another has traffic",
            eight,
        ),
        Test::nested(
            "nested-igb-memory",
            "memory taken away under traffic from a device of an 82576 is left alone; stray descriptors stop it",
            memory,
        ),
        Test::nested(
            "nested-igb-isolated",
            "the same with virtual functions on: each device in an IOMMU domain of its own, also after a kill, until the host takes \
             them away",
            isolated,
        ),
        Test::nested(
            "nested-igb-life",
            "a link that flaps, a daemon that is killed, and a function that is left clean",
            life,
        ),
    ]
}

const IGB: Plug = Plug {
    model: Model::Igb,
    outside: Outside::Process,
};

const VIRTIO: Plug = Plug {
    model: Model::Virtio,
    outside: Outside::Process,
};

/// Devices that an 82576 has.
const POOLS: usize = 8;

/// Boots a machine with these functions, bound to vfio-pci.
pub(super) fn boot_all(suite: &Suite, plugs: &[Plug]) -> Result<(Outer, Vec<Physical>)> {
    let (outer, physical) = boot_with(suite, plugs)?;
    for one in &physical {
        one.function.bind_vfio(&outer.vm)?;
    }
    Ok((outer, physical))
}

/// Starts mdevd on the functions, as `nic0` and so on, and waits for their links.
pub(super) fn start_all<'a>(
    suite: &Suite,
    outer: &'a Outer,
    physical: &[Physical],
) -> Result<Mdevd<'a>> {
    let pf = |(number, one): (usize, &Physical)| {
        format!("vfio:{},name=nic{number}", one.function.address)
    };
    let pfs: Vec<String> = physical.iter().enumerate().map(pf).collect();
    let daemon = Mdevd::start(outer, suite.programs()?, &pfs)?;
    for number in 0..physical.len() {
        carrier(&daemon, &format!("nic{number}"), true)?;
    }
    Ok(daemon)
}

/// The same with one function.
pub(super) fn boot(suite: &Suite, plug: Plug) -> Result<(Outer, Physical)> {
    let (outer, physical) = boot_all(suite, &[plug])?;
    let one = physical.into_iter().next().context("a function")?;
    Ok((outer, one))
}

/// Starts mdevd on the function and waits for its link.
pub(super) fn start<'a>(suite: &Suite, outer: &'a Outer, one: &Physical) -> Result<Mdevd<'a>> {
    start_all(suite, outer, slice::from_ref(one))
}

/// Waits until a PF's link is up, or down.
pub(super) fn carrier(daemon: &Mdevd<'_>, pf: &str, wanted: bool) -> Result<()> {
    let what = if wanted { "up" } else { "down" };
    let done = process::wait_for(
        &format!("the link of {pf} to be {what}"),
        limits::SETTLE,
        || {
            let shown = daemon.ctl(&["pf", "show", pf])?;
            let up = shown.pointer("/uplink/up").and_then(Value::as_bool);
            Ok((up == Some(wanted)).then_some(()))
        },
    );
    done.map_err(|error| daemon.explain("wait for the link of the function", &error))
}

/// Has the fake VM behind a device exchange frames with the outside, none of which may be lost.
pub(super) fn cross(
    outer: &Outer,
    daemon: &Mdevd<'_>,
    (one, device): (&mut Physical, &Device),
    run: &Run,
) -> Result<Crossing> {
    let crossing = Crossing::make(outer, &mut one.wire, &device.socket, run)
        .and_then(|crossing| crossing.must_be_perfect(run).map(|()| crossing));
    crossing.map_err(|error| {
        let ask = |words: &[&str]| {
            let said = daemon.ctl(words);
            said.map_or_else(|error| error.to_string(), |said| said.to_string())
        };
        let shown = [&["stats", &device.name][..], &["pf", "list"]];
        let shown = shown.map(ask).join(" ");
        daemon.explain(
            &format!("frames of {} through the function ({shown})", device.name),
            &error,
        )
    })
}

/// Fails where payload of a device was copied.
fn nothing_copied(daemon: &Mdevd<'_>, device: &Device) -> Result<()> {
    let shown = daemon.ctl(&["show", &device.name])?;
    let copied = |way: &str| {
        let place = format!("/health/hardware/{way}_copied_bytes");
        shown.pointer(&place).and_then(Value::as_u64)
    };
    if (copied("tx"), copied("rx")) == (Some(0), Some(0)) {
        return Ok(());
    }
    let error = anyhow!("payload was copied: {}", shown["health"]["hardware"]);
    Err(daemon.explain(&format!("look at {}", device.name), &error))
}

/// Fails where the IOMMU has refused something.
pub(super) fn no_faults(outer: &Outer) -> Result<()> {
    let faults = outer.dma_faults()?;
    ensure!(
        faults.is_empty(),
        "the IOMMU has refused accesses: {faults:?}"
    );
    Ok(())
}

fn igb(suite: &Suite) -> Result<()> {
    alone(suite, IGB, nothing_copied)
}

fn igb_avf(suite: &Suite) -> Result<()> {
    let (outer, mut one) = boot(suite, IGB)?;
    let daemon = start(suite, &outer, &one)?;
    for (part, doorbells) in (0..).zip(["trapped", "mapped"]) {
        let words = ["--pf", "nic0", "--personality", "avf"];
        let words = [&words[..], &["--doorbells", doorbells]].concat();
        let device = daemon.create("north0", &words)?;
        for run in RUNS {
            let run = Run {
                number: run.number + part * 10,
                ..run
            };
            let driven = Driven::Avf(&device.socket);
            let crossing = Crossing::of(&outer, &mut one.wire, driven, &run, &Exchange::new(&run))?;
            let perfect = crossing.must_be_perfect(&run);
            perfect.map_err(|error| daemon.explain("frames of an adaptive function", &error))?;
            let (rate, messages) = (crossing.inside.frames_per_second, crossing.inside.messages);
            ui::say(&format!(
                "    {doorbells}: {} frames of {} bytes each way, {rate:.0} a second, {messages} messages",
                run.count, run.size
            ));
            ensure!(
                crossing.inside.mapped == (doorbells == "mapped"),
                "doorbells are not {doorbells}"
            );
        }
        let shown = daemon.ctl(&["show", &device.name])?;
        let copied = ["tx", "rx"].map(|way| {
            let place = format!("/health/hardware/{way}_copied_bytes");
            shown.pointer(&place).and_then(Value::as_u64)
        });
        ensure!(
            matches!(copied, [Some(0), Some(1..)]),
            "copied: {}",
            shown["health"]["hardware"]
        );
        daemon.ctl(&["destroy", &device.name])?;
    }
    daemon.stop()?;
    no_faults(&outer)?;
    outer.vm.quit()
}

fn virtio(suite: &Suite) -> Result<()> {
    alone(suite, VIRTIO, |_, _| Ok(()))
}

/// One device on one function, whose frames go out and come in.
fn alone(
    suite: &Suite,
    plug: Plug,
    afterwards: fn(&Mdevd<'_>, &Device) -> Result<()>,
) -> Result<()> {
    let (outer, mut one) = boot(suite, plug)?;
    let daemon = start(suite, &outer, &one)?;
    let device = daemon.create("north0", &["--pf", "nic0"])?;
    for run in RUNS {
        let crossing = cross(&outer, &daemon, (&mut one, &device), &run)?;
        ui::say(&format!(
            "    {} frames of {} bytes each way, {:.0} a second",
            run.count, run.size, crossing.inside.frames_per_second
        ));
    }
    afterwards(&daemon, &device)?;
    daemon.stop()?;
    no_faults(&outer)?;
    outer.vm.quit()
}

fn eight(suite: &Suite) -> Result<()> {
    let (outer, mut one) = boot(suite, IGB)?;
    let (daemon, _) = eight_on(suite, &outer, &mut one)?;
    daemon.stop()?;
    no_faults(&outer)?;
    outer.vm.quit()
}

fn isolated(suite: &Suite) -> Result<()> {
    let (outer, mut one) = boot(suite, IGB)?;
    one.function.enable_virtuals(&outer.vm, POOLS as u16)?;
    let (daemon, devices) = eight_on(suite, &outer, &mut one)?;
    let daemon = daemon.killed_and_started()?;
    carrier(&daemon, "nic0", true)?;
    let device = &devices[3];
    let run = Run {
        number: 102,
        count: 500,
        size: 1514,
        window: 32,
    };
    cross(&outer, &daemon, (&mut one, device), &run)?;
    nothing_copied(&daemon, device)?;
    // The host takes the virtual functions away under the daemon, and is kept waiting by nobody.
    let taken = one.function.disable_virtuals(&outer.vm);
    taken.map_err(|error| daemon.explain("virtual functions that the host wants", &error))?;
    let pf = daemon.ctl(&["pf", "show", "nic0"])?;
    let why = pf["lost"].as_str().unwrap_or_default();
    ensure!(why.contains("wanted back by the host"), "{pf}");
    daemon.stop()?;
    no_faults(&outer)?;
    outer.vm.quit()
}

/// Makes eight devices on the function, which have traffic one after the other and together.
fn eight_on<'a>(
    suite: &Suite,
    outer: &'a Outer,
    one: &mut Physical,
) -> Result<(Mdevd<'a>, Vec<Device>)> {
    let daemon = start(suite, outer, one)?;
    let mut devices = Vec::new();
    for number in 0..POOLS {
        devices.push(daemon.create(&format!("north{number}"), &["--pf", "nic0"])?);
    }
    let refused = daemon.create("north8", &["--pf", "nic0"]);
    let refused = refused.err().context("a ninth device was made")?;
    ensure!(
        format!("{refused:#}").contains("0 of 8 queue pairs free"),
        "a ninth device: {refused:#}"
    );
    for (number, device) in devices.iter().enumerate() {
        let run = Run {
            number: number as u32,
            count: 500,
            size: 200 + 150 * number,
            window: 32,
        };
        cross(outer, &daemon, (&mut *one, device), &run)?;
    }
    // The last comes and goes while the first has traffic.
    let (first, last) = (&devices[0], &devices[POOLS - 1]);
    let (done, times) = (AtomicBool::new(false), AtomicU32::new(0));
    let run = Run {
        number: 100,
        count: 20_000,
        size: 1000,
        window: 64,
    };
    let (crossed, churned) = thread::scope(|scope| {
        let churn = scope.spawn(|| -> Result<()> {
            while !done.load(Ordering::Relaxed) {
                daemon.ctl(&["destroy", &last.name])?;
                daemon.create(&last.name, &["--pf", "nic0"])?;
                times.fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        });
        let crossed = cross(outer, &daemon, (&mut *one, first), &run);
        done.store(true, Ordering::Relaxed);
        (crossed, churn.join())
    });
    let crossed = crossed?;
    churned.map_err(|_| anyhow!("the thread that makes and destroys died"))??;
    let times = times.into_inner();
    ensure!(times >= 3, "only {times} times in {run:?}");
    ui::say(&format!(
        "    {} frames at {:.0} a second while another device came and went {times} times",
        run.count, crossed.inside.frames_per_second
    ));
    // And it works, after all that.
    let run = Run {
        number: 101,
        count: 500,
        ..run
    };
    cross(outer, &daemon, (one, last), &run)?;
    nothing_copied(&daemon, first)?;
    Ok((daemon, devices))
}

/// Where receive buffers that are taken away lie for the function's DMA: in the window of the first pool.
const TAKEN: Range<u64> = (1 << 35) + RECEIVE.0..(1 << 35) + RECEIVE.0 + RECEIVE.1;

fn memory(suite: &Suite) -> Result<()> {
    let (outer, mut one) = boot(suite, IGB)?;
    let daemon = start(suite, &outer, &one)?;
    let device = daemon.create("north0", &["--pf", "nic0"])?;
    taken_away(&outer, &daemon, (&mut one, &device))
        .and_then(|()| strayed(&outer, &device))
        .map_err(|error| daemon.explain("a device's memory", &error))?;
    let run = Run {
        number: 20,
        ..RUNS[0]
    };
    cross(&outer, &daemon, (&mut one, &device), &run)?;
    daemon.stop()?;
    // Buffers that were lent to hardware when they were taken away are what it may have tried to fill.
    let faults = outer.dma_faults()?;
    let other = faults
        .iter()
        .find(|fault| !fault_address(fault).is_some_and(|at| TAKEN.contains(&at)));
    ensure!(
        other.is_none(),
        "the IOMMU has refused an access to other memory than was taken away: {other:?}"
    );
    ui::say(&format!(
        "    the IOMMU refused {} accesses to what was taken away",
        faults.len()
    ));
    outer.vm.quit()
}

/// The address in a report of the kernel's.
fn fault_address(report: &str) -> Option<u64> {
    let (_, rest) = report.split_once("fault addr 0x")?;
    let digits = rest.split(|c: char| !c.is_ascii_hexdigit()).next()?;
    u64::from_str_radix(digits, 16).ok()
}

fn life(suite: &Suite) -> Result<()> {
    let (outer, mut one) = boot(suite, IGB)?;
    let mut daemon = start(suite, &outer, &one)?;
    let device = daemon.create("north0", &["--pf", "nic0"])?;
    let run = |number| Run {
        number,
        count: 1000,
        size: 700,
        window: 32,
    };
    cross(&outer, &daemon, (&mut one, &device), &run(0))?;
    for up in [false, true] {
        let link = json!({"name": "wire0", "up": up});
        outer.vm.qmp.execute("set_link", &link)?;
        carrier(&daemon, "nic0", up)?;
    }
    cross(&outer, &daemon, (&mut one, &device), &run(1))?;
    for number in 2..5 {
        daemon = daemon.killed_and_started()?;
        carrier(&daemon, "nic0", true)?;
        let pf = daemon.ctl(&["pf", "show", "nic0"])?;
        ensure!(pf["devices"] == 1, "the device came back: {pf}");
        cross(&outer, &daemon, (&mut one, &device), &run(number))?;
    }
    daemon.stop()?;
    no_faults(&outer)?;
    // The kernel's own driver finds a function that it can use.
    let interface = one.function.bind_stock(&outer.vm)?;
    outer.bring_up(&interface)?;
    outer.vm.quit()
}
