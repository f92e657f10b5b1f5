//! Offloads switched on and off in the guests, with every byte that then arrives checked.

use super::Test;
use super::rig::{Guest, Rig};
use super::traffic::measure;
use crate::traffic;
use anyhow::{Context, Result, bail, ensure};
use lab_guest::wire::StreamArgs;

/// The tests of this file.
pub fn tests() -> Vec<Test> {
    vec![
        Test::on_rig(
            "offload-toggles",
            "streams stay intact under every offload setting",
            toggles,
        ),
        Test::on_rig(
            "cut-for-receiver",
            "large sends are cut for a driver that takes none",
            cut,
        ),
        Test::on_rig(
            "offloads-to-host",
            "partial checksums and large sends reach the host",
            host,
        ),
    ]
}

/// Settings of one guest, as `ethtool -K` takes them. Those a driver cannot change are found out.
const SETTINGS: [&str; 6] = [
    "tso off",
    "gso off tso off",
    "tx off",
    "rx-gro-hw off",
    "gro off rx-gro-hw off",
    "tso off tx off gso off gro off rx-gro-hw off",
];

const PORT: u16 = 7100;

/// Names that stand for several features; setting one sets more than it tells.
const GROUPS: [&str; 3] = [
    "tx-checksumming",
    "scatter-gather",
    "tcp-segmentation-offload",
];

/// Single features of an interface that can be changed, and whether they are on.
fn features(guest: &Guest) -> Result<Vec<(String, bool)>> {
    let text = guest
        .vm
        .run(&format!("ethtool -k {}", guest.main.interface))?;
    let changeable = text.lines().filter(|line| !line.contains("[fixed]"));
    Ok(changeable
        .filter_map(|line| {
            let (name, state) = line.trim().split_once(": ")?;
            (!GROUPS.contains(&name)).then(|| (name.to_owned(), state.starts_with("on")))
        })
        .collect())
}

fn set(guest: &Guest, setting: &str) -> Result<()> {
    guest
        .vm
        .run(&format!("ethtool -K {} {setting}", guest.main.interface))
        .map(drop)
}

/// Puts back what `before` says.
fn restore(guest: &Guest, before: &[(String, bool)]) -> Result<()> {
    let now = features(guest)?;
    let mut words = String::new();
    for (name, on) in before {
        if now.iter().any(|(n, o)| n == name && o != on) {
            words.push_str(&format!(" {name} {}", if *on { "on" } else { "off" }));
        }
    }
    if words.is_empty() {
        return Ok(());
    }
    guest
        .vm
        .run(&format!("ethtool -K {}{words}", guest.main.interface))?;
    let after = features(guest)?;
    ensure!(
        after == before,
        "features did not come back:\nbefore {before:?}\nafter {after:?}"
    );
    Ok(())
}

/// Sends a checked byte stream and checked datagrams (segmented by the kernel or the device).
fn checked(from: &Guest, to: &Guest) -> Result<()> {
    let stream = StreamArgs {
        address: to.main.address.clone(),
        port: PORT,
        bytes: 4 << 20,
        datagram: None,
        segments: None,
        seconds: 60.0,
    };
    traffic::checked_stream(&from.vm, &to.vm, &stream).context("TCP")?;
    let datagrams = StreamArgs {
        bytes: 400_000,
        datagram: Some(1000),
        segments: Some(16),
        ..stream
    };
    traffic::checked_stream(&from.vm, &to.vm, &datagrams)
        .context("UDP")
        .map(drop)
}

fn toggles(rig: &Rig) -> Result<()> {
    let before = (features(&rig.a)?, features(&rig.b)?);
    for needed in ["tx-tcp-segmentation", "tx-checksum-ip-generic", "rx-gro-hw"] {
        if !before.0.iter().any(|(name, on)| name == needed && *on) {
            bail!("the guest's driver cannot switch {needed}: {:?}", before.0);
        }
    }
    checked(&rig.a, &rig.b).context("as the driver chose")?;
    for setting in SETTINGS {
        let result = set(&rig.a, setting)
            .and_then(|()| checked(&rig.a, &rig.b))
            .and_then(|()| checked(&rig.b, &rig.a))
            .with_context(|| format!("one guest with {setting}"));
        restore(&rig.a, &before.0)?;
        result?;
    }
    for guest in [&rig.a, &rig.b] {
        set(guest, SETTINGS[5])?;
    }
    let result = checked(&rig.a, &rig.b).context("both guests with everything off");
    restore(&rig.a, &before.0)?;
    restore(&rig.b, &before.1)?;
    result
}

fn cut(rig: &Rig) -> Result<()> {
    let before = features(&rig.b)?;
    set(&rig.b, "gro off rx-gro-hw off")?;
    let seen = measure(rig, &rig.b, || checked(&rig.a, &rig.b));
    restore(&rig.b, &before)?;
    let seen = seen?;
    ensure!(
        seen.large == 0,
        "a large send was delivered whole: {seen:?}"
    );
    ensure!(
        seen.guest_average < 1600.0,
        "the guest saw large packets: {seen:?}"
    );
    Ok(())
}

fn host(rig: &Rig) -> Result<()> {
    // The host's kernel checks what it is given; a wrong checksum or a bad cut would show as
    // retransmissions that never end, and iperf3 would fail.
    let bits = traffic::iperf_with_host(&rig.netns, &rig.a.vm.agent, super::rig::HOST, false)?;
    let back = traffic::iperf_with_host(&rig.netns, &rig.a.vm.agent, super::rig::HOST, true)?;
    crate::ui::say(&format!(
        "    to the host {:.0} Mbit/s, from the host {:.0} Mbit/s",
        bits / 1e6,
        back / 1e6
    ));
    ensure!(bits > 0.0 && back > 0.0, "no byte arrived");
    Ok(())
}
