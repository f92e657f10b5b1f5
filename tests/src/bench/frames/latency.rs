//! Round trips with one frame under way: `latency-*`. Two forwardings and two turns of the
//! driver each.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::campaign::{self, Compared};
use super::load::Load;
use super::pace::{PERCENTILES, percentiles};
use super::traffic::{Guests, introduce};
use crate::bench::family::{Family, Outcome, Run};
use crate::bench::limits::{BROKEN, SLICE, SLICE_WARM_UP, WARM_UP};
use crate::bench::peers::{Frames, OURS, Peer, Shape};
use crate::bench::plot::{Kind, Line, Plot};
use crate::bench::row::{Bar, Spec};
use crate::fakevm::limits::BURST;
use crate::fakevm::net::{NetGuest, rx_queue, tx_queue};

const UNIT: &str = "us";
const SIZES: [usize; 2] = [64, 1518];
const PEERS: [(Peer, &str); 2] = [(Peer::TestpmdIo, ""), (Peer::Ovs, "-vs-ovs")];
/// Greatest ratio of the median round trip of small frames to testpmd's.
const BAR: f64 = 0.8;
/// Looks between two looks at the clock while waiting.
const LOOKS: u32 = 1 << 20;

/// The family.
#[derive(Debug)]
pub struct Latency;

fn key(bytes: usize, name: &str) -> String {
    format!("{bytes}B-{name}")
}

fn rows() -> Vec<Compared> {
    let mut rows = Vec::new();
    for bytes in SIZES {
        for (percentile, _) in PERCENTILES {
            for (peer, against) in PEERS {
                for (ours, mode) in OURS {
                    let key = key(bytes, percentile);
                    let with_bar = bytes == 64 && percentile == "p50" && peer == Peer::TestpmdIo;
                    let spec = Spec {
                        name: format!("latency-{key}-{mode}{against}"),
                        unit: UNIT,
                        bar: with_bar.then_some(Bar::AtMost(BAR)),
                    };
                    let peer = Some(peer);
                    rows.push(Compared {
                        spec,
                        key,
                        ours,
                        peer,
                    });
                }
            }
        }
    }
    rows
}

impl Family for Latency {
    fn prefix(&self) -> &'static str {
        "latency"
    }

    fn rows(&self) -> Vec<Spec> {
        rows().into_iter().map(|row| row.spec).collect()
    }

    fn measure(&self, run: &Run, wanted: &[Spec]) -> Result<Outcome> {
        let rows = campaign::chosen(rows(), wanted);
        let mut all: BTreeMap<Peer, Vec<u32>> = BTreeMap::new();
        let (figures, mut outcome) =
            campaign::run(run, "round trips", &rows, |contender, figures| {
                let rig = contender.start(Shape::polling(Frames::Plain, run));
                let mut rig = rig.context("start")?;
                for (number, bytes) in SIZES.into_iter().enumerate() {
                    if !rows.iter().any(|row| row.key.starts_with(&key(bytes, ""))) {
                        continue;
                    }
                    let guests = Guests::of(&mut rig, number as u16, run.cores);
                    let (mut trips, disturbed) = round_trips(guests, bytes)?;
                    let found = percentiles(&mut trips).context("no round trip at all")?;
                    for (name, us) in found {
                        figures.add_watched(contender.id(), key(bytes, name), us, disturbed);
                    }
                    if bytes == SIZES[0] {
                        all.entry(contender.id()).or_default().extend(trips);
                    }
                }
                rig.stop()
            })?;
        outcome.rows = rows.iter().filter_map(|row| figures.row(row)).collect();
        outcome.plots = vec![plot(
            "latency-light",
            "Round trip of 64 B, one frame under way",
            all,
        )];
        Ok(outcome)
    }
}

/// Delays by share of frames, one line for each contender.
pub(super) fn plot(file: &str, title: &str, all: BTreeMap<Peer, Vec<u32>>) -> Plot {
    let line = |(who, mut delays): (Peer, Vec<u32>)| {
        let points = percentiles(&mut delays)?;
        let shares = PERCENTILES.iter().map(|(_, share)| 1.0 / (1.0 - share));
        let points = shares.zip(points).map(|(x, (_, us))| (x, us)).collect();
        let name = who.name().to_owned();
        Some(Line { name, points })
    };
    Plot {
        file: file.into(),
        title: title.into(),
        y: "microseconds".into(),
        kind: Kind::Lines {
            x: "one frame in so many is later".into(),
            log: [true, true],
            lines: all.into_iter().filter_map(line).collect(),
        },
    }
}

/// Sends one frame there and one back, again and again: in nanoseconds, and whether all of it was disturbed.
fn round_trips(guests: Guests<'_>, bytes: usize) -> Result<(Vec<u32>, bool)> {
    let Guests {
        first,
        second,
        macs,
        run,
        mut watch,
    } = guests;
    introduce(first, second, macs)?;
    let there = Load::plain(macs[1], macs[0], bytes);
    let back = Load::plain(macs[0], macs[1], bytes);
    first.tx(0).prepare(&there.header, &there.frame)?;
    second.tx(0).prepare(&back.header, &back.frame)?;
    let mut trips = Vec::with_capacity(1 << 20);
    let mut stamp = (u64::from(run) + 1) << 40;
    let mut run = |time: Duration, trips: &mut Vec<u32>| -> Result<()> {
        let clock = Instant::now();
        let mut before = clock;
        while before - clock < time {
            stamp += 1;
            pass(first, second, &there, stamp)?;
            pass(second, first, &back, stamp)?;
            let now = Instant::now();
            if trips.len() < trips.capacity() {
                let trip = (now - before).as_nanos();
                trips.push(u32::try_from(trip).unwrap_or(u32::MAX));
            }
            before = now;
        }
        Ok(())
    };
    run(WARM_UP, &mut trips)?;
    trips.clear();
    // Those of disturbed slices, which count only when there are no others.
    let mut disturbed = Vec::with_capacity(1 << 20);
    watch.look()?;
    while !watch.is_over() {
        let quiet = trips.len();
        run(SLICE_WARM_UP, &mut trips)?;
        trips.truncate(quiet);
        run(SLICE, &mut trips)?;
        if watch.look()? {
            watch.count(SLICE);
        } else {
            let room = disturbed.capacity() - disturbed.len();
            disturbed.extend(trips.drain(quiet..).take(room));
        }
    }
    if trips.is_empty() {
        return Ok((disturbed, true));
    }
    Ok((trips, false))
}

/// One frame from one guest to the other.
#[inline]
fn pass(from: &mut dyn NetGuest, to: &mut dyn NetGuest, load: &Load, stamp: u64) -> Result<()> {
    let mut tx = from.tx(0);
    tx.reap_if_scarce()?;
    tx.push_prepared(1, load.frame.len(), load.stamp_at, stamp);
    if tx.publish() {
        from.kick(tx_queue(0))?;
    }
    let mut waiting: Option<Instant> = None;
    loop {
        for _ in 0..LOOKS {
            let mut rx = to.rx(0);
            let mut came = false;
            rx.poll_burst(BURST, |frame| {
                came |= frame.stamp(load.stamp_at) == stamp && frame.len == load.frame.len();
            })?;
            if came {
                if rx.publish() {
                    to.kick(rx_queue(0))?;
                }
                return Ok(());
            }
        }
        let since = *waiting.get_or_insert_with(Instant::now);
        ensure!(since.elapsed() < BROKEN, "a frame was lost");
    }
}
