//! Devices whose rings a virtio-net function works itself: without the daemon while it goes well, and under its hand when
//! it does not.

use super::sliced::{boot_all, carrier, cross, no_faults, start_all};
use super::{Suite, Test};
use crate::daemon::Device;
use crate::nested::inside::{Exchange, StrayReport, UnmapReport};
use crate::nested::peer::Course;
use crate::nested::traffic::{answered, ask};
use crate::nested::{Crossing, Driven, Mdevd, Model, Outer, Outside, Physical, Plug, Run};
use crate::{limits, process, ui};
use anyhow::{Context, Result, anyhow, bail, ensure};
use serde_json::Value;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// The tests of this file.
pub fn tests() -> Vec<Test> {
    vec![
        Test::nested(
            "nested-direct",
            "100,000 frames of a direct device without a message and without the daemon; what refuses it",
            alone,
        ),
        Test::nested(
            "nested-direct-life",
            "a direct device is destroyed, and its daemon killed, under traffic: the function comes back",
            life,
        ),
        Test::nested(
            "nested-direct-held",
            "a client keeps what a killed daemon gave it: the device comes back when it has let go",
            held,
        ),
        Test::nested(
            "nested-direct-memory",
            "memory taken away under traffic is left alone, stray descriptors stop the device, others go on",
            memory,
        ),
    ]
}

/// The functions: `nic0` works devices' rings itself, `nic1` is another.
pub(super) const PLUGS: [Plug; 2] = [
    Plug {
        model: Model::Virtio,
        outside: Outside::Process,
    },
    Plug {
        model: Model::Igb,
        outside: Outside::Process,
    },
];

/// What `create` is told for a direct device.
pub(super) const DIRECT: [&str; 6] = ["--pf", "nic0", "--data-path", "direct", "--profile", "lab"];

/// The same for a device of somebody who is not trusted with a function.
const OF_A_TENANT: [&str; 6] = [
    "--pf",
    "nic0",
    "--data-path",
    "direct",
    "--profile",
    "tenant",
];

/// Without the daemon: the shortest frames, and the longest of an ordinary Ethernet.
const LONG_RUNS: [Run; 2] = [
    Run {
        number: 0,
        count: 100_000,
        size: 60,
        window: 64,
    },
    Run {
        number: 1,
        count: 20_000,
        size: 1514,
        window: 64,
    },
];

/// Frames that are answered before something happens under traffic.
const UNDER_WAY: u64 = 1000;

/// A short run.
fn short(number: u32) -> Run {
    Run {
        number,
        count: 1000,
        size: 700,
        window: 32,
    }
}

/// A run that something happens in: it is longer than anybody waits.
fn endless(number: u32) -> Run {
    Run {
        count: 100_000_000,
        ..short(number)
    }
}

/// Fails unless `cvfctl create` with these words is refused; its words.
fn refused(daemon: &Mdevd<'_>, why: &str, words: &[&str]) -> Result<()> {
    let Err(error) = daemon.create("refused", words) else {
        bail!("a device was made: {why}");
    };
    let said = format!("{error:#}");
    let last = said.lines().last().unwrap_or_default().trim();
    ui::say(&format!("    refused ({why}): {last}"));
    Ok(())
}

fn alone(suite: &Suite) -> Result<()> {
    let (outer, mut physical) = boot_all(suite, &PLUGS[..1])?;
    let daemon = start_all(suite, &outer, &physical)?;
    let one = &mut physical[0];
    alone_in(&outer, &daemon, one).map_err(|error| daemon.explain("a direct device", &error))?;
    daemon.stop()?;
    no_faults(&outer)?;
    outer.vm.quit()
}

fn alone_in(outer: &Outer, daemon: &Mdevd<'_>, one: &mut Physical) -> Result<()> {
    let device = daemon.create("direct0", &DIRECT)?;
    let pid = daemon.pid()?;
    for run in LONG_RUNS {
        let driven = Driven::Socket(&device.socket);
        let exchange = Exchange {
            watch: Some(pid),
            ..Exchange::new(&run)
        };
        let crossing = Crossing::of(outer, &mut one.wire, driven, &run, &exchange)?;
        crossing.must_be_perfect(&run)?;
        let inside = crossing.inside;
        ui::say(&format!(
            "    {} frames of {} bytes each way, {:.0} a second: doorbells mapped {}, messages {}, \
             context switches of mdevd {:?}",
            run.count,
            run.size,
            inside.frames_per_second,
            inside.mapped,
            inside.messages,
            inside.switches
        ));
        ensure!(
            inside.mapped && inside.messages == 0 && inside.switches == Some(0),
            "somebody took part: {inside:?}"
        );
    }
    refused(
        daemon,
        "a direct device has the function",
        &["--pf", "nic0"],
    )?;
    refused(daemon, "another direct device has the function", &DIRECT)?;
    daemon.ctl(&["destroy", &device.name])?;
    refused(daemon, "a tenant's", &OF_A_TENANT)?;
    let plain = ordinary(outer, daemon, one, 10)?;
    refused(daemon, "an ordinary device is on the function", &DIRECT)?;
    daemon.ctl(&["destroy", &plain.name])?;
    // The way back is open, too.
    let device = daemon.create("direct1", &DIRECT)?;
    cross(outer, daemon, (one, &device), &short(11)).map(drop)
}

/// The function is an uplink again: an ordinary device on it has traffic.
fn ordinary(outer: &Outer, daemon: &Mdevd<'_>, one: &mut Physical, number: u32) -> Result<Device> {
    carrier(daemon, "nic0", true)?;
    let plain = daemon.create("plain0", &["--pf", "nic0"])?;
    cross(outer, daemon, (one, &plain), &short(number))?;
    Ok(plain)
}

/// Has traffic on a device, and does something when it is under way, that ends it.
fn interrupted(
    outer: &Outer,
    one: &mut Physical,
    (device, cling): (&Device, Option<&str>),
    number: u32,
    act: impl FnOnce() -> Result<()>,
) -> Result<()> {
    let run = endless(number);
    let mut words = vec![
        "north-south".to_owned(),
        format!("--socket={}", device.socket),
    ];
    words.extend(cling.map(|file| format!("--cling={file}")));
    words.extend(Exchange::new(&run).words());
    let course = Course::default();
    thread::scope(|scope| {
        let traffic =
            scope.spawn(|| answered::<Value>(outer, &mut one.wire, &words, &run, &course));
        let under_way = process::wait_for("traffic to be under way", limits::SETTLE, || {
            ensure!(!traffic.is_finished(), "it ended before");
            Ok((course.answered() >= UNDER_WAY).then_some(()))
        });
        let done = under_way.and_then(|()| act());
        course.stop();
        let traffic = traffic
            .join()
            .map_err(|_| anyhow!("the thread with traffic died"))?;
        done?;
        if let Ok((report, account)) = traffic
            && report.get("error").is_none()
        {
            bail!("traffic went on to its end: {report}, outside {account:?}");
        }
        ui::say(&format!(
            "    ended after {} frames each way",
            course.answered()
        ));
        Ok(())
    })
}

fn life(suite: &Suite) -> Result<()> {
    let (outer, mut physical) = boot_all(suite, &PLUGS[..1])?;
    let mut daemon = start_all(suite, &outer, &physical)?;
    let one = &mut physical[0];
    let device = daemon.create("direct0", &DIRECT)?;
    interrupted(&outer, one, (&device, None), 0, || {
        daemon.ctl(&["destroy", "--force", &device.name]).map(drop)
    })
    .map_err(|error| daemon.explain("destroy a direct device under traffic", &error))?;
    let plain = ordinary(&outer, &daemon, one, 1)?;
    daemon.ctl(&["destroy", &plain.name])?;
    let device = daemon.create("direct0", &DIRECT)?;
    for number in 2..4 {
        interrupted(&outer, one, (&device, None), number, || daemon.kill())
            .map_err(|error| daemon.explain("kill mdevd under traffic", &error))?;
        daemon = daemon.started_again()?;
        back(&daemon)?;
        cross(&outer, &daemon, (one, &device), &short(10 + number))?;
    }
    daemon.stop()?;
    no_faults(&outer)?;
    outer.vm.quit()
}

/// Waits until the function is in use and its device there.
fn back(daemon: &Mdevd<'_>) -> Result<()> {
    let there = process::wait_for("the device to be back", limits::SETTLE, || {
        let pf = daemon.ctl(&["pf", "show", "nic0"])?;
        Ok((pf["devices"] == 1).then_some(()))
    });
    there.map_err(|error| daemon.explain("start again after a kill", &error))?;
    carrier(daemon, "nic0", true)
}

/// A file inside that says to a clinging client that it may let go.
const LET_GO: &str = "/run/let-go";

fn held(suite: &Suite) -> Result<()> {
    let (outer, mut physical) = boot_all(suite, &PLUGS[..1])?;
    let daemon = start_all(suite, &outer, &physical)?;
    let one = &mut physical[0];
    let device = daemon.create("direct0", &DIRECT)?;
    // Another daemon comes while the client of the first still has the function.
    let mut killed = Some(daemon);
    let mut again = None;
    interrupted(&outer, one, (&device, Some(LET_GO)), 0, || {
        let daemon = killed.take().context("a daemon")?;
        daemon.kill()?;
        let started = daemon.started_again()?;
        outer.vm.run(&format!("touch {LET_GO}"))?;
        again = Some(started);
        Ok(())
    })
    .map_err(|error| outer.explain("start mdevd while a client has the function", &error))?;
    let daemon = again.context("a daemon")?;
    // It could not be made while somebody else had the function, and says so; now it can.
    let started = process::wait_for("the device to be started", limits::SETTLE, || {
        Ok(daemon.ctl(&["start", &device.name]).ok())
    });
    started.map_err(|error| daemon.explain("start again after a kill", &error))?;
    back(&daemon)?;
    cross(&outer, &daemon, (one, &device), &short(1))?;
    daemon.stop()?;
    no_faults(&outer)?;
    outer.vm.quit()
}

fn memory(suite: &Suite) -> Result<()> {
    let (outer, mut physical) = boot_all(suite, &PLUGS)?;
    let daemon = start_all(suite, &outer, &physical)?;
    let [one, other] = &mut physical[..] else {
        bail!("two functions");
    };
    let neighbour = daemon.create("neighbour", &["--pf", "nic1"])?;
    let done = AtomicBool::new(false);
    let (did, went_on) = thread::scope(|scope| {
        let others = scope.spawn(|| goes_on(&outer, &daemon, (other, &neighbour), &done));
        let did = memory_in(&outer, &daemon, one);
        done.store(true, Ordering::Relaxed);
        (did, others.join())
    });
    did.map_err(|error| daemon.explain("a direct device's memory", &error))?;
    let runs = went_on.map_err(|_| anyhow!("the neighbour's thread died"))??;
    ui::say(&format!(
        "    a device of the igb had {runs} runs meanwhile"
    ));
    daemon.stop()?;
    outer.vm.quit()
}

/// Has traffic on a device of another function until it is told to end; how many runs.
fn goes_on(
    outer: &Outer,
    daemon: &Mdevd<'_>,
    (one, device): (&mut Physical, &Device),
    done: &AtomicBool,
) -> Result<u32> {
    let mut runs = 0;
    while !done.load(Ordering::Relaxed) || runs == 0 {
        cross(outer, daemon, (one, device), &short(runs))?;
        runs += 1;
    }
    Ok(runs)
}

fn memory_in(outer: &Outer, daemon: &Mdevd<'_>, one: &mut Physical) -> Result<()> {
    let device = daemon.create("direct0", &DIRECT)?;
    taken_away(outer, daemon, (one, &device))?;
    let before = outer.dma_faults()?.len();
    strayed(outer, &device)?;
    let faults = outer.dma_faults()?;
    let told = process::wait_for("refused accesses to be told", limits::SETTLE, || {
        dma_faults(&daemon.ctl(&["show", &device.name])?)
    })?;
    ui::say(&format!(
        "    the kernel has {} reports more of the function, `show` has {told}",
        faults.len() - before
    ));
    cross(outer, daemon, (one, &device), &short(11)).map(drop)
}

/// Takes memory away from a device under traffic: nothing may land there afterwards, and the device works again with it.
pub(super) fn taken_away(
    outer: &Outer,
    daemon: &Mdevd<'_>,
    (one, device): (&mut Physical, &Device),
) -> Result<()> {
    for (number, region) in ["spare", "receive"].into_iter().enumerate() {
        let run = Run {
            number: number as u32,
            count: 10_000,
            ..short(0)
        };
        let mut words = vec![
            "unmap".to_owned(),
            format!("--socket={}", device.socket),
            format!("--region={region}"),
        ];
        words.extend(Exchange::new(&run).words());
        let course = Course::default();
        let (report, _) = answered::<UnmapReport>(outer, &mut one.wire, &words, &run, &course)?;
        ui::say(&format!(
            "    memory taken away ({region}): {} bytes changed afterwards, {} frames sent then, needs reset {}",
            report.changed, report.sent_after, report.needs_reset
        ));
        ensure!(
            report.ok && report.came_back && report.sent_after > 0,
            "{region}: {report:?}"
        );
    }
    cross(outer, daemon, (one, device), &short(10)).map(drop)
}

/// Gives a device a descriptor that leads nowhere: it stops, and comes up again.
pub(super) fn strayed(outer: &Outer, device: &Device) -> Result<()> {
    let words = [
        "stray-descriptor".to_owned(),
        format!("--socket={}", device.socket),
    ];
    let report: StrayReport = ask(outer, &words)?;
    ensure!(report.ok, "a descriptor that leads nowhere: {report:?}");
    ui::say("    a descriptor that leads nowhere stopped the device, and it came up again");
    Ok(())
}

/// What `show` has of accesses that the IOMMU refused: the kernel's last report, or why there are none to be had;
/// nothing yet, where there may be one later.
fn dma_faults(shown: &Value) -> Result<Option<String>> {
    let found = find(shown, "dma_faults");
    let found = found.with_context(|| format!("no dma_faults in {shown}"))?;
    let told = found["last"].as_str().or(found["unavailable"].as_str());
    Ok(told.map(str::to_owned))
}

/// The value of a key, wherever it is.
fn find<'v>(value: &'v Value, key: &str) -> Option<&'v Value> {
    match value {
        Value::Object(map) => map
            .get(key)
            .or_else(|| map.values().find_map(|inner| find(inner, key))),
        Value::Array(list) => list.iter().find_map(|inner| find(inner, key)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn reports_of_refused_accesses_are_found_wherever_they_are() {
        let of = |faults: Value| dma_faults(&json!({"health": {"dma_faults": faults}})).unwrap();
        let report = of(json!({"count": 1, "last": "DMAR: fault addr 0x5000"}));
        assert_eq!(report.as_deref(), Some("DMAR: fault addr 0x5000"));
        let why = of(json!({"count": 0, "unavailable": "no /dev/kmsg"}));
        assert_eq!(why.as_deref(), Some("no /dev/kmsg"));
        assert_eq!(of(json!({"count": 0})), None);
        assert!(dma_faults(&json!({"health": {}})).is_err());
    }
}
