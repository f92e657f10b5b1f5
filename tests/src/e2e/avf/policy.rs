//! What profiles let a stock `iavf` have. The decisions are those for virtio (`super::super::policy`).

use super::pair::{Pair, cleared, complained, said};
use crate::traffic::{self, Flow, FrameRun};
use crate::{limits, process};
use anyhow::{Context, Result, ensure};
use std::time::Duration;

/// Nobody has this address: the switch floods, the receiver's filter decides.
const NOBODY: &str = "02:00:5e:00:53:99";

/// Another address for the guest.
const OTHER: &str = "02:00:5e:00:53:79";

/// Frames of a run.
const FRAMES: u64 = 200;

/// `VIRTCHNL_OP_ADD_ETH_ADDR` and `VIRTCHNL_OP_CONFIG_PROMISCUOUS_MODE`, as the driver names what was refused.
const ADD: &str = "Failed to add MAC filter";
const PROMISCUOUS: &str = "to our request 14";

/// How many frames for somebody else the first guest sees.
fn overheard(pair: &Pair) -> Result<u64> {
    let run = FrameRun {
        stream: 61,
        size: 100,
        rate: 500,
        count: FRAMES,
        limit: Duration::from_secs(30),
    };
    let flow = Flow::start_to(pair.b_end(), pair.a_end(), NOBODY, &run)?;
    Ok(flow
        .finish_within(Duration::from_millis(500))?
        .receive
        .received)
}

/// Waits until the first guest sees all of them, or none: its driver asks by and by.
fn hears(pair: &Pair, what: &str, all: bool) -> Result<()> {
    let wanted = if all { FRAMES } else { 0 };
    let mut last = 0;
    process::wait_for(what, limits::SETTLE, || {
        last = overheard(pair)?;
        Ok((last == wanted).then_some(()))
    })
    .with_context(|| format!("{last} of {FRAMES} frames for somebody else were seen"))
}

fn listen(pair: &Pair, word: &str) -> Result<()> {
    let interface = &pair.first.interface;
    pair.a
        .run(&format!("ip link set {interface} promisc {word}"))
        .map(drop)
}

/// Allowed, taken back, refused, and allowed again.
pub fn promiscuous(pair: &Pair) -> Result<()> {
    let before = overheard(pair)?;
    ensure!(before == 0, "{before} frames for somebody else were seen");
    listen(pair, "on")?;
    hears(pair, "the guest to hear all", true)?;
    listen(pair, "off")?;
    hears(pair, "the guest to hear its own only", false)?;

    listen(pair, "on")?;
    hears(pair, "the guest to hear all again", true)?;
    let notes = pair.set("profile=tenant")?;
    ensure!(
        notes.contains("lost what it had been allowed") && notes.contains("promiscuous"),
        "{notes}"
    );
    hears(pair, "what it heard to be taken back", false)?;
    pair.restore()?;
    pair.reach("as a tenant")?;
    cleared(&pair.a)?;

    listen(pair, "off")?;
    // A driver that has not come to it yet would not ask again.
    said(&pair.a, "Leaving promiscuous mode")?;
    listen(pair, "on")?;
    complained(&pair.a, PROMISCUOUS)?;
    pair.expect_refusal("rule promiscuous of profile 'tenant'")?;
    let seen = overheard(pair)?;
    ensure!(seen == 0, "a tenant saw {seen} frames for somebody else");
    pair.reach("after a refusal")?;

    listen(pair, "off")?;
    pair.set("profile=lab")?;
    pair.reach("in the lab again")
}

fn take(pair: &Pair, mac: &str) -> String {
    format!("ip link set {} address {mac}", pair.first.interface)
}

/// The address that the guest has, and the one that is in force.
fn address_is(pair: &Pair, mac: &str) -> Result<()> {
    let name = &pair.first.device.name;
    pair.daemon
        .wait_show(name, "the address to be in force", |shown| {
            shown["health"]["mac"] == mac
        })?;
    process::wait_for("the guest to have the address", limits::SETTLE, || {
        Ok((traffic::mac(pair.a_end())? == mac).then_some(()))
    })?;
    pair.b.run("ip neigh flush all")?;
    Ok(())
}

/// Allowed, taken back, refused, and allowed again.
pub fn address(pair: &Pair) -> Result<()> {
    let own = pair.first.device.mac.as_str();
    for mac in [OTHER, own, OTHER] {
        pair.a.run(&take(pair, mac))?;
        address_is(pair, mac)?;
        pair.reach(&format!("with address {mac}"))?;
    }

    let notes = pair.set("profile=tenant")?;
    ensure!(
        notes.contains("lost what it had been allowed") && notes.contains("mac-change"),
        "{notes}"
    );
    // By itself: nobody tells the guest.
    address_is(pair, own).context("the address is taken back")?;
    pair.restore()?;
    pair.reach("with the address that was taken back")?;
    pair.a.run(&take(pair, own))?;
    cleared(&pair.a)?;

    let refused = pair.a.try_run(&take(pair, OTHER))?;
    ensure!(
        refused.outcome != lab_guest::wire::Outcome::Exit(0),
        "a tenant took another address"
    );
    pair.expect_refusal("rule mac-change of profile 'tenant'")?;
    address_is(pair, own)?;
    complained(&pair.a, ADD)?;
    pair.reach("after a refusal")?;

    pair.set("profile=lab")?;
    for mac in [OTHER, own] {
        pair.a.run(&take(pair, mac)).context("under profile lab")?;
        address_is(pair, mac)?;
    }
    pair.reach("in the lab again")
}
