//! Datagrams that the device cuts, and frames that keep their check sequence.

use super::super::rig::Nic;
use super::jumbo;
use super::pair::{Pair, end};
use super::shown::{expect, shown};
use crate::traffic::{self, End, Flow, FrameRun, planned};
use crate::{limits, process};
use anyhow::{Context, Result, ensure};
use lab_guest::plan::Part;
use lab_guest::wire::FlowArgs;
use std::time::Duration;

/// Bytes of a datagram, of which the sender hands over so many at once.
const DATAGRAM: u16 = 1400;
const TOGETHER: u16 = 16;

/// Sends under way, far fewer than fill the receiver's ring.
const WINDOW: u32 = 4;

/// Longest packet where nothing has joined datagrams.
const MTU: usize = 1500;

/// Longest time that a flow may take.
const LIMIT: Duration = Duration::from_secs(60);

/// Numbered frames of a run.
const FRAMES: u64 = 500;

/// `ethtool -K` of the first guest's interface.
fn set(pair: &Pair, feature: &str, word: &str) -> Result<()> {
    let interface = &pair.first.interface;
    pair.a
        .run(&format!("ethtool -K {interface} {feature} {word}"))
        .map(drop)
}

/// Fails unless the first guest's features are so, and can be changed.
fn are(pair: &Pair, wanted: &[(&str, &str)]) -> Result<()> {
    expect(&shown(&pair.a, "-k", &pair.first.interface)?, wanted)
}

/// An address of IPv6 for each interface, in the order of the pair's, and its network.
const V6: [&str; 3] = ["2001:db8::1", "2001:db8::2", "2001:db8::3"];

/// Datagrams that a program hands over together are cut by the device, or by its guest's kernel where that offload is
/// off. Each arrives alone, of its length and with its checksum; virtio's driver is given them together.
pub fn datagrams(pair: &Pair) -> Result<()> {
    let ends = [
        (pair.a_end(), V6[0]),
        (pair.b_end(), V6[1]),
        (end(&pair.b, &pair.virtio), V6[2]),
    ];
    let address = |verb: &str| -> Result<()> {
        for (End { vm, interface }, address) in ends {
            vm.run(&format!(
                "sysctl -qw net.ipv6.conf.{interface}.accept_dad=0 && \
                 ip addr {verb} {address}/64 dev {interface}"
            ))?;
        }
        Ok(())
    };
    address("add")?;
    for (round, word) in (0..).zip(["on", "off", "on"]) {
        // What it is from the beginning is not set.
        if round > 0 {
            set(pair, "tx-udp-segmentation", word)?;
        }
        are(pair, &[("tx-udp-segmentation", word)])?;
        for (nth, (nic, address)) in [(&pair.second, V6[1]), (&pair.virtio, V6[2])]
            .into_iter()
            .enumerate()
        {
            for (version, address) in [nic.address.as_str(), address].into_iter().enumerate() {
                let port = 5400 + 4 * round + 2 * nth as u16 + version as u16;
                cut(pair, nic, (address, port), word == "on")
                    .with_context(|| format!("to {address} with tx-udp-segmentation {word}"))?;
            }
        }
    }
    address("del")?;
    pair.reach("after datagrams")
}

/// One flow of datagrams that are handed over together, which the sender's device is to cut or its kernel.
fn cut(pair: &Pair, nic: &Nic, (address, port): (&str, u16), by_device: bool) -> Result<()> {
    let daemon = &pair.daemon;
    let large = |nic: &Nic, way: &str| {
        let name = &nic.device.name;
        daemon.counter(name, &format!("/{way}/large_frames"))
    };
    let whole = by_device && nic.device.name == pair.virtio.device.name;
    let before = [large(&pair.first, "tx")?, large(nic, "rx")?];
    let size = DATAGRAM * TOGETHER;
    let part = |size, count| Part {
        segment: DATAGRAM,
        ..Part::of(size, count, WINDOW)
    };
    let receiver = FlowArgs {
        interface: nic.interface.clone(),
        address: address.parse().context("an address")?,
        port,
        udp: true,
        // The last datagram is as long as the others, shorter, and of a byte.
        parts: vec![
            part(size.into(), 40),
            part(u32::from(size) - 1, 8),
            part(u32::from(size) - u32::from(DATAGRAM) + 1, 8),
            part(u32::from(DATAGRAM) + 1, 20),
        ],
        longest: if whole { usize::MAX } else { MTU },
        xdp: None,
        seconds: 10.0,
    };
    let sender = FlowArgs {
        interface: pair.first.interface.clone(),
        longest: usize::MAX,
        ..receiver.clone()
    };
    let told = planned::run((&pair.a, &sender), (&pair.b, &receiver), LIMIT)?;
    let wrong = told.wrong();
    ensure!(wrong.is_empty(), "{}: {told:?}", wrong.join("; "));
    let sent = large(&pair.first, "tx")? - before[0];
    let came = large(nic, "rx")? - before[1];
    let right = if by_device {
        sent == told.planned
    } else {
        sent == 0
    };
    ensure!(
        right && (came > 0) == whole,
        "of {} sends {sent} were cut by the device, {came} received whole: {told:?}",
        told.planned
    );
    Ok(())
}

/// With the offload that takes them off switched off, every frame comes with its check sequence, and it is right.
pub fn check_sequences(pair: &Pair) -> Result<()> {
    let vlans = "rx-vlan-offload";
    are(pair, &[("rx-fcs", "off"), (vlans, "on")])?;
    for _ in 0..2 {
        set(pair, "rx-fcs", "on")?;
        settled(pair, true)?;
        // The driver leaves tags in by itself then.
        are(pair, &[("rx-fcs", "on"), (vlans, "off [requested on]")])?;
        with_sequences(pair, &[60, 64, 999, 1514])?;
        // Over several buffers.
        jumbo::resize(pair, 9000)?;
        settled(pair, true)?;
        with_sequences(pair, &[60, 4096, 9014])?;
        traffic::ping_all(&pair.a, &pair.second.address, 5, "-s 8900")?;
        jumbo::resize(pair, 1500)?;
        settled(pair, true)?;
        pair.reach("with check sequences")?;
        let rate = traffic::iperf(&pair.b, &pair.a, &pair.first.address, "-t 1")?;
        ensure!(rate > 0.0, "a stream with check sequences carried nothing");
        set(pair, "rx-fcs", "off")?;
        settled(pair, false)?;
        are(pair, &[("rx-fcs", "off"), (vlans, "on")])?;
        perfect(pair.b_end(), pair.a_end(), &run(71, 1514, FRAMES), false)?;
    }
    pair.reach("without check sequences")
}

/// Frames of these lengths come to the first guest with their check sequences from both devices of the second, and leave
/// without.
fn with_sequences(pair: &Pair, sizes: &[usize]) -> Result<()> {
    for (stream, size) in (61..).zip(sizes) {
        let run = run(stream, *size, FRAMES);
        for from in [pair.b_end(), end(&pair.b, &pair.virtio)] {
            perfect(from, pair.a_end(), &run, true)?;
        }
        perfect(pair.a_end(), pair.b_end(), &run, false)?;
    }
    Ok(())
}

fn run(stream: u32, size: usize, count: u64) -> FrameRun {
    FrameRun {
        stream,
        size,
        rate: 2000,
        count,
        limit: Duration::from_secs(30),
    }
}

fn start<'a>(from: End<'a>, to: End<'a>, run: &FrameRun, sequences: bool) -> Result<Flow<'a>> {
    if sequences {
        Flow::start_with_sequences(from, to, run)
    } else {
        Flow::start(from, to, run)
    }
}

fn perfect(from: End<'_>, to: End<'_>, run: &FrameRun, sequences: bool) -> Result<()> {
    let report = start(from, to, run, sequences)?.finish()?;
    ensure!(report.is_perfect(), "{run:?}: {report:?}");
    Ok(())
}

/// Waits until the first guest's driver, which resets its function for this, receives frames with check sequences or
/// without.
fn settled(pair: &Pair, sequences: bool) -> Result<()> {
    let what = format!("frames to come with check sequences: {sequences}");
    process::wait_for(&what, limits::SETTLE, || {
        if pair.restore().is_err() {
            return Ok(None);
        }
        let flow = start(pair.b_end(), pair.a_end(), &run(60, 100, 20), sequences)?;
        let report = flow.finish_within(Duration::from_millis(500))?;
        Ok(report.is_perfect().then_some(()))
    })
}
