//! The daemon takes rings over from a function that works them, while frames are on their way.

use super::direct::DIRECT;
use super::sliced::{boot, carrier, no_faults, start};
use super::{Suite, Test};
use crate::daemon::Device;
use crate::nested::account::Account;
use crate::nested::inside::{Exchange, NorthSouthReport};
use crate::nested::peer::Course;
use crate::nested::traffic::answered;
use crate::nested::{Mdevd, Model, Outer, Outside, Physical, Plug, Run};
use crate::{limits, process, ui};
use anyhow::{Context, Result, anyhow, ensure};
use serde_json::Value;
use std::thread;

/// The tests of this file.
pub fn tests() -> Vec<Test> {
    vec![Test::nested(
        "nested-takeover",
        "a direct device's rings are taken over under traffic, and are the function's again after the driver's reset",
        takeover,
    )]
}

const VIRTIO: Plug = Plug {
    model: Model::Virtio,
    outside: Outside::Process,
};

/// Drivers that come one after the other, each of whose rings are taken over.
const DRIVERS: u32 = 3;

/// Frames that hardware has carried before, and a worker has to carry afterwards.
const BEFORE: u64 = 2000;
const AFTER: u64 = 2000;

/// Longer than the command takes; it ends early.
const RUN: Run = Run {
    number: 0,
    count: 1_000_000,
    size: 300,
    window: 64,
};

fn takeover(suite: &Suite) -> Result<()> {
    let (outer, mut one) = boot(suite, VIRTIO)?;
    let daemon = start(suite, &outer, &one)?;
    takeover_in(&outer, &daemon, &mut one)
        .map_err(|error| daemon.explain("take rings over from hardware", &error))?;
    daemon.stop()?;
    no_faults(&outer)?;
    outer.vm.quit()
}

fn takeover_in(outer: &Outer, daemon: &Mdevd<'_>, one: &mut Physical) -> Result<()> {
    let device = daemon.create("direct0", &DIRECT)?;
    let refused = daemon.ctl(&["takeover", &device.name]);
    ensure!(refused.is_err(), "rings of no driver were taken over");
    // A driver that does not have buffers used in order keeps its hardware.
    let run = Run { number: 0, ..RUN };
    under_traffic(outer, one, (&device, false), &run, |course| {
        let Err(error) = daemon.ctl(&["takeover", &device.name]) else {
            anyhow::bail!("rings were taken over of which nobody knows where hardware is");
        };
        let said = format!("{error:#}");
        ensure!(said.contains("VIRTIO_F_IN_ORDER"), "{said}");
        shows(daemon, &device, "direct")?;
        reaches(course, course.answered() + AFTER)
    })?;
    for number in 1..=DRIVERS {
        let run = Run { number, ..RUN };
        let (mut over, counted) = (0, frames_sent(daemon, &device)?);
        let (inside, outside) = under_traffic(outer, one, (&device, true), &run, |course| {
            shows(daemon, &device, "direct")?;
            let taken = daemon.ctl(&["takeover", &device.name])?;
            ensure!(taken["result"] == "taken", "{taken}");
            over = course.answered();
            shows(daemon, &device, "copied")?;
            let again = daemon.ctl(&["takeover", &device.name])?;
            ensure!(again["result"] == "already", "{again}");
            carrier(daemon, "nic0", true)?;
            reaches(course, over + AFTER)
        })?;
        let whole = |account: &Account| (account.wrong, account.disordered) == (0, 0);
        let missing = inside.account.sent.saturating_sub(inside.account.received);
        ui::say(&format!(
            "    driver {number}: taken over after {over} frames each way, {} more by a worker, {missing} lost",
            inside.account.received.saturating_sub(over)
        ));
        ensure!(
            whole(&inside.account) && whole(&outside) && missing <= 2 * run.window,
            "inside {inside:?}, outside {outside:?}"
        );
        let sent = frames_sent(daemon, &device)? - counted;
        ensure!(sent >= AFTER, "the worker has counted {sent} frames");
    }
    Ok(())
}

/// Has traffic on a device and does something when it is under way, then ends it; the reports of both ends.
fn under_traffic(
    outer: &Outer,
    one: &mut Physical,
    (device, in_order): (&Device, bool),
    run: &Run,
    act: impl FnOnce(&Course) -> Result<()>,
) -> Result<(NorthSouthReport, Account)> {
    let exchange = Exchange {
        forgive: true,
        until: Some(ENOUGH.into()),
        ..Exchange::new(run)
    };
    let mut words = vec![
        "north-south".to_owned(),
        format!("--socket={}", device.socket),
    ];
    words.extend(in_order.then(|| "--in-order".to_owned()));
    words.extend(exchange.words());
    outer.vm.run(&format!("rm -f {ENOUGH}"))?;
    let course = Course::default();
    thread::scope(|scope| {
        let traffic = scope
            .spawn(|| answered::<NorthSouthReport>(outer, &mut one.wire, &words, run, &course));
        let under_way = process::wait_for("traffic to be under way", limits::SETTLE, || {
            ensure!(!traffic.is_finished(), "it ended before");
            Ok((course.answered() >= BEFORE).then_some(()))
        });
        let done = under_way.and_then(|()| act(&course));
        let ended = outer.vm.run(&format!("touch {ENOUGH}"));
        let traffic = traffic
            .join()
            .map_err(|_| anyhow!("the thread with traffic died"))?;
        match (done, traffic) {
            (Ok(()), traffic) => ended.and(traffic),
            (Err(error), traffic) => Err(error.context(format!("traffic: {traffic:?}"))),
        }
    })
}

/// A file inside that says to the traffic there that it is enough.
const ENOUGH: &str = "/run/enough";

/// Waits until so many frames have been answered.
fn reaches(course: &Course, frames: u64) -> Result<()> {
    process::wait_for("traffic to go on", limits::SETTLE, || {
        Ok((course.answered() >= frames).then_some(()))
    })
}

/// Fails unless the device's frames go this way.
fn shows(daemon: &Mdevd<'_>, device: &Device, path: &str) -> Result<()> {
    let shown = daemon.ctl(&["show", &device.name])?;
    let is = shown.pointer("/health/data_path").and_then(Value::as_str);
    ensure!(is == Some(path), "not {path}: {shown}");
    Ok(())
}

/// Frames of the device's driver that the daemon has seen.
fn frames_sent(daemon: &Mdevd<'_>, device: &Device) -> Result<u64> {
    let stats = daemon.ctl(&["stats", &device.name])?;
    let frames = stats.pointer("/tx/frames").and_then(Value::as_u64);
    frames.with_context(|| format!("no frames in {stats}"))
}
