//! Resets by the device, under traffic: what the operator changes is told so, and nobody helps the guest.

use super::pair::{PAIRS, Pair};
use super::shown::{shown, value};
use crate::traffic::{Flow, FrameRun};
use crate::{process, traffic, ui};
use anyhow::{Context, Result, ensure};
use std::time::Duration;

/// Another address for the device.
const OTHER: &str = "02:00:5e:00:53:7a";

/// Longest that a guest may be without traffic: a bound for what is broken, not for what is slow.
const LIMIT: Duration = Duration::from_secs(60);

/// Frames a second in each direction.
const RATE: u64 = 500;

/// Frames that have to arrive before and after a reset.
const SOME: u64 = 200;

/// Every kind of change that a driver is reset for, and back.
pub fn recovery(pair: &Pair) -> Result<()> {
    let own = format!("mac={}", pair.first.device.mac);
    let other = format!("mac={OTHER}");
    let changes = [
        ("mtu=8000", PAIRS),
        ("mtu=9000", PAIRS),
        (&other, PAIRS),
        (&own, PAIRS),
        // The driver goes on with all that it has, and frames come to these.
        ("queue-pairs=2", 2),
        ("queue-pairs=4", PAIRS),
    ];
    for (change, pairs) in changes {
        round(pair, change).with_context(|| change.to_owned())?;
        let health = &pair.show()?["health"];
        ensure!(health["active_pairs"] == pairs, "{change}: {health}");
    }
    let mac = traffic::mac(pair.a_end())?;
    ensure!(mac == pair.first.device.mac, "the guest has address {mac}");
    fewer(pair)
}

/// Fewer queue pairs are told to a driver that is loaded anew, more to one that runs.
fn fewer(pair: &Pair) -> Result<()> {
    let most = |wanted: u32| -> Result<()> {
        let wanted = wanted.to_string();
        process::wait_for("the driver to know how many pairs there are", LIMIT, || {
            let text = shown(&pair.a, "-l", &pair.first.interface)?;
            let (most, _) = text.split_once("Current").context("ethtool -l")?;
            Ok((value(most, "Combined") == Some(wanted.as_str())).then_some(()))
        })
    };
    let told = pair.set("queue-pairs=2")?;
    ensure!(told.contains("frames come to 2 of them"), "{told}");
    most(PAIRS).context("of a driver that runs")?;
    pair.a.run("rmmod iavf && insmod /lib/modules/iavf.ko")?;
    pair.restore()?;
    most(2).context("of a driver that was loaded anew")?;
    pair.reach("with two pairs")?;
    pair.set(&format!("queue-pairs={PAIRS}"))?;
    most(PAIRS).context("after there are more")?;
    let interface = &pair.first.interface;
    pair.a
        .run(&format!("ethtool -L {interface} combined {PAIRS}"))?;
    pair.restore()?;
    pair.reach("with all pairs again")
}

/// Frames to everybody, both ways: the guest's address may change meanwhile.
fn round(pair: &Pair, change: &str) -> Result<()> {
    let run = |stream| FrameRun {
        stream,
        size: 200,
        rate: RATE,
        count: 0,
        limit: LIMIT * 2,
    };
    let all = "ff:ff:ff:ff:ff:ff";
    let out = Flow::start_to(pair.a_end(), pair.b_end(), all, &run(71))?;
    let back = Flow::start_to(pair.b_end(), pair.a_end(), all, &run(72))?;
    moving(pair)?;
    let told = pair.set(change)?;
    ensure!(told.contains("has reset its function"), "{told}");
    moving(pair)?;
    for flow in [&out, &back] {
        flow.stop()?;
    }
    // Of those that were lost nobody will hear.
    let patience = Duration::from_millis(300);
    let (out, back) = (out.finish_within(patience)?, back.finish_within(patience)?);
    let (sent, got) = (&out.receive, &back.receive);
    ui::say(&format!(
        "    {change}: sends again after {:.2} s ({} frames lost), receives again after {:.2} s ({} lost)",
        sent.longest_gap, sent.lost, got.longest_gap, got.lost
    ));
    for end in [sent, got] {
        ensure!(end.duplicate + end.corrupt == 0, "{end:?}");
        ensure!(end.longest_gap < LIMIT.as_secs_f64(), "{end:?}");
    }
    pair.b.run("ip neigh flush all")?;
    pair.reach("after the reset")
}

/// Waits until frames pass in both directions as the driver in the guest runs.
fn moving(pair: &Pair) -> Result<()> {
    let name = &pair.first.device.name;
    let look = || -> Result<[u64; 2]> {
        let stats = pair.daemon.ctl(&["stats", name])?;
        let frames = |way: &str| stats[way]["frames"].as_u64().context("frames");
        Ok([frames("rx")?, frames("tx")?])
    };
    let begin = look()?;
    process::wait_for("frames to pass both ways", LIMIT, || {
        let now = look()?;
        let enough = (0..2).all(|way| now[way] >= begin[way] + SOME);
        Ok(enough.then_some(()))
    })
}
