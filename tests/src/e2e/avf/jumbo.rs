//! Frames of MTU 9000.

use super::super::rig::bringing_up;
use super::pair::{Pair, end};
use crate::traffic::{self, End, Flow, FrameRun};
use crate::vm::Vm;
use anyhow::{Context, Result, ensure};
use lab_guest::wire::StreamArgs;
use std::time::Duration;

/// Bytes of a checked stream.
const STREAM: u64 = 8 << 20;

/// Frames each way.
const FRAMES: u64 = 500;

/// Both drivers of adaptive virtual functions are told to use what their devices can do, and reach each other and virtio
/// with frames of that length, uncut and intact.
pub fn intact(pair: &Pair) -> Result<()> {
    resize(pair, 9000)?;
    let cut = || -> Result<Vec<u64>> { [&pair.a, &pair.b].map(fragments).into_iter().collect() };
    let before = cut()?;
    for nic in [&pair.second, &pair.virtio] {
        traffic::ping_all(&pair.a, &nic.address, 5, "-s 8900")?;
        exchange(pair.a_end(), end(&pair.b, nic))?;
        exchange(end(&pair.b, nic), pair.a_end())?;
    }
    ensure!(cut()? == before, "IP cut packets to fragments");
    for (port, (from, to, address)) in (5300..).zip([
        (&pair.a, &pair.b, &pair.second.address),
        (&pair.b, &pair.a, &pair.first.address),
        (&pair.a, &pair.b, &pair.virtio.address),
    ]) {
        let args = StreamArgs {
            address: address.clone(),
            port,
            bytes: STREAM,
            datagram: None,
            segments: None,
            seconds: 30.0,
        };
        traffic::checked_stream(from, to, &args).with_context(|| format!("to {address}"))?;
    }
    let more = pair
        .a
        .try_run(&format!("ip link set {} mtu 9001", pair.first.interface))?;
    ensure!(
        more.outcome != lab_guest::wire::Outcome::Exit(0),
        "a larger MTU than the device's was taken"
    );
    resize(pair, 1500)?;
    pair.reach("back at MTU 1500")
}

/// Gives both adaptive virtual functions another MTU.
pub fn resize(pair: &Pair, mtu: u32) -> Result<()> {
    for (vm, nic) in [(&pair.a, &pair.first), (&pair.b, &pair.second)] {
        vm.run(&format!("ip link set {} mtu {mtu}", nic.interface))?;
        vm.run(&bringing_up(&nic.interface, &nic.address))?;
    }
    Ok(())
}

/// Packets that a guest has cut into fragments.
fn fragments(vm: &Vm) -> Result<u64> {
    // `FragCreates`.
    let said = vm.run("awk '/^Ip:/ && n++ { print $20 }' /proc/net/snmp")?;
    said.parse().with_context(|| format!("{said:?}"))
}

fn exchange(from: End<'_>, to: End<'_>) -> Result<()> {
    let run = FrameRun {
        stream: 41,
        size: 9014,
        rate: 1000,
        count: FRAMES,
        limit: Duration::from_secs(60),
    };
    let report = Flow::start(from, to, &run)?.finish()?;
    ensure!(report.is_perfect(), "{report:?}");
    Ok(())
}
