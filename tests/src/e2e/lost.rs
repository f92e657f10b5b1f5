//! Functions that the host takes back while mdevd has them, in a machine that is a host.

use super::nested::boot_with;
use super::sliced::{carrier, cross, no_faults};
use super::{Suite, Test};
use crate::daemon::Device;
use crate::nested::limits::GIVE_BACK;
use crate::nested::{Mdevd, Model, Outer, Outside, Physical, Plug, Run};
use crate::{limits, process, ui};
use anyhow::{Context, Result, anyhow, bail, ensure};
use serde_json::Value;
use std::thread;
use std::time::{Duration, Instant};

/// The tests of this file.
pub fn tests() -> Vec<Test> {
    vec![Test::nested(
        "nested-unbind",
        "a function that is unbound, and one that is unplugged, costs its own PF's devices and nobody else",
        unbind,
    )]
}

const PLUGS: [Plug; 2] = [
    Plug {
        model: Model::Igb,
        outside: Outside::Process,
    },
    Plug {
        model: Model::Virtio,
        outside: Outside::Process,
    },
];

/// Starts mdevd on both functions, the igb as `nic0`, and makes a device on each.
fn start<'a>(
    suite: &Suite,
    outer: &'a Outer,
    physical: &[Physical],
) -> Result<(Mdevd<'a>, [Device; 2])> {
    let pf = |(number, one): (usize, &Physical)| {
        let address = &one.function.address;
        format!("vfio:{address},name=nic{number}")
    };
    let pfs: Vec<_> = physical.iter().enumerate().map(pf).collect();
    let daemon = Mdevd::start(outer, suite.programs()?, &pfs)?;
    for pf in ["nic0", "nic1"] {
        carrier(&daemon, pf, true)?;
    }
    let sliced = daemon.create("sliced0", &["--pf", "nic0"])?;
    let behind = daemon.create("behind0", &["--pf", "nic1"])?;
    Ok((daemon, [sliced, behind]))
}

/// Does something while a device has traffic, of which nothing may be lost; how long that took.
fn beside_traffic(
    (outer, daemon): (&Outer, &Mdevd<'_>),
    (one, device): (&mut Physical, &Device),
    number: &mut u32,
    act: impl FnOnce() -> Result<()> + Send,
) -> Result<Duration> {
    let mut frames = 0;
    let took = thread::scope(|scope| -> Result<Duration> {
        let act = scope.spawn(|| {
            let begun = Instant::now();
            act().map(|()| begun.elapsed())
        });
        loop {
            // One run at least begins behind it.
            let last = act.is_finished();
            *number += 1;
            let run = Run {
                number: *number,
                count: 2000,
                size: 900,
                window: 64,
            };
            cross(outer, daemon, (&mut *one, device), &run)?;
            frames += run.count;
            if last {
                break;
            }
        }
        act.join().map_err(|_| anyhow!("the thread beside died"))?
    })?;
    ui::say(&format!(
        "    {frames} frames of {} each way meanwhile, which took {:.2} s",
        device.name,
        took.as_secs_f64()
    ));
    Ok(took)
}

/// Waits until a device says what has become of it.
fn driver(daemon: &Mdevd<'_>, device: &Device, words: &[&str]) -> Result<()> {
    let done = process::wait_for("the device to say why", limits::SETTLE, || {
        let shown = daemon.ctl(&["show", &device.name])?;
        let said = shown.pointer("/health/driver").and_then(Value::as_str);
        let said = said.context("what its driver does")?;
        Ok(words.iter().all(|word| said.contains(word)).then_some(()))
    });
    done.map_err(|error| daemon.explain(&format!("wait for {words:?} of {}", device.name), &error))
}

/// Fails unless the daemon's log says this.
fn logged(daemon: &Mdevd<'_>, words: &str) -> Result<()> {
    let log = daemon.log_tail();
    ensure!(log.contains(words), "mdevd did not log {words:?}:\n{log}");
    Ok(())
}

fn unbind(suite: &Suite) -> Result<()> {
    let (outer, mut physical) = boot_with(suite, &PLUGS)?;
    for one in &physical {
        one.function.bind_vfio(&outer.vm)?;
    }
    unbound(suite, &outer, &mut physical)?;
    unplugged(suite, &outer, &mut physical)?;
    outer.vm.quit()
}

fn two(physical: &mut [Physical]) -> Result<[&mut Physical; 2]> {
    match physical {
        [igb, virtio] => Ok([igb, virtio]),
        all => bail!("{} functions", all.len()),
    }
}

/// The igb is taken away by its operator; the virtio function's device goes on.
fn unbound(suite: &Suite, outer: &Outer, physical: &mut [Physical]) -> Result<()> {
    let (daemon, [sliced, behind]) = start(suite, outer, physical)?;
    let [igb, virtio] = two(physical)?;
    let mut number = 0;
    let run = Run {
        number,
        count: 500,
        size: 900,
        window: 32,
    };
    cross(outer, &daemon, (&mut *igb, &sliced), &run)?;
    let function = igb.function.clone();
    let took = beside_traffic(
        (outer, &daemon),
        (&mut *virtio, &behind),
        &mut number,
        || function.unbind_vfio(&outer.vm),
    )
    .map_err(|error| daemon.explain("unbind the igb", &error))?;
    ensure!(took < GIVE_BACK, "the kernel got it back after {took:?}");
    ensure!(function.driver(&outer.vm)?.is_none(), "somebody has it");
    driver(
        &daemon,
        &sliced,
        &["needs reset", "wanted back by the host"],
    )?;
    carrier(&daemon, "nic0", false)?;
    let pf = daemon.ctl(&["pf", "show", "nic0"])?;
    let why = pf["lost"].as_str().unwrap_or_default();
    ensure!(why.contains("wanted back by the host"), "{pf}");
    let refused = daemon.create("late0", &["--pf", "nic0"]).err();
    let refused = format!("{:#}", refused.context("a device was made of nothing")?);
    ensure!(refused.contains("wanted back by the host"), "{refused}");
    logged(&daemon, "the function was given back to the host")?;
    // Whoever drives it next finds all of it, while the daemon still runs.
    let interface = function.bind_stock(&outer.vm)?;
    outer.bring_up(&interface)?;
    carrier(&daemon, "nic1", true)?;
    daemon.stop()?;
    no_faults(outer)?;
    function.bind_vfio(&outer.vm)
}

/// The virtio function is pulled out; the igb's device goes on.
fn unplugged(suite: &Suite, outer: &Outer, physical: &mut [Physical]) -> Result<()> {
    let (daemon, [sliced, behind]) = start(suite, outer, physical)?;
    let [igb, virtio] = two(physical)?;
    let mut number = 1000;
    let run = Run {
        number,
        count: 500,
        size: 900,
        window: 32,
    };
    cross(outer, &daemon, (&mut *virtio, &behind), &run)?;
    let id = virtio.id.clone();
    beside_traffic((outer, &daemon), (&mut *igb, &sliced), &mut number, || {
        outer.vm.qmp.device_del(&id)
    })
    .map_err(|error| daemon.explain("unplug the virtio function", &error))?;
    carrier(&daemon, "nic1", false)?;
    logged(&daemon, "the function was given back to the host")?;
    // Its device has lost its way out, and nothing else.
    let shown = daemon.ctl(&["show", &behind.name])?;
    let said = shown.pointer("/health/driver").and_then(Value::as_str);
    ensure!(
        said.is_some_and(|said| !said.contains("needs reset")),
        "a device that is in memory was stopped: {shown}"
    );
    carrier(&daemon, "nic0", true)?;
    daemon.stop()?;
    no_faults(outer)
}
