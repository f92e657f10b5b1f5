//! What happens below the peak: the highest rate without loss, and at half of it delays and the
//! processor time of whoever forwards: `paced-*`.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::campaign::{self, Compared, Figures};
use super::direction::Direction;
use super::latency::plot;
use super::pace::{PERCENTILES, Pace, percentiles};
use super::traffic::{Guests, collect, introduce};
use super::{Size, Workload};
use crate::bench::cpu::CpuTime;
use crate::bench::family::{Family, Outcome, Run};
use crate::bench::limits::{
    HALF_LOAD, HIGHEST_RATE, RING_SIZE, SEARCH_STEPS, TRIAL, TRIAL_WARM_UP,
};
use crate::bench::peers::{Contender, Frames, OURS, Peer, Shape};
use crate::bench::row::Spec;
use crate::bench::stats;

const SIZES: [usize; 2] = [64, 1518];
const PEERS: [(Peer, &str); 2] = [(Peer::TestpmdIo, ""), (Peer::Ovs, "-vs-ovs")];
const LOSS_FREE: &str = "lossfree";
const CPU: &str = "cpu";
const SHARE: &str = "core-share";

/// The family.
#[derive(Debug)]
pub struct Paced;

/// What is told of every workload, with its unit.
fn told() -> Vec<(String, &'static str)> {
    let mut told = vec![
        (LOSS_FREE.to_owned(), "Mpps"),
        (CPU.to_owned(), "ns of processor per frame"),
        (SHARE.to_owned(), "share of a core"),
    ];
    let delays = PERCENTILES.iter();
    told.extend(delays.map(|(name, _)| (format!("delay-{name}"), "us")));
    told
}

fn key(workload: Workload, what: &str) -> String {
    format!("{what}-{}", workload.name())
}

fn workloads() -> [Workload; 2] {
    SIZES.map(|bytes| Workload {
        size: Size::Wire(bytes),
        both_ways: true,
    })
}

fn rows() -> Vec<Compared> {
    let mut rows = Vec::new();
    for workload in workloads() {
        for (what, unit) in told() {
            for (peer, against) in PEERS {
                for (ours, mode) in OURS {
                    let (key, peer) = (key(workload, &what), Some(peer));
                    let name = format!("paced-{key}-{mode}{against}");
                    rows.push(Compared {
                        spec: Spec::informative(name, unit),
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

impl Family for Paced {
    fn prefix(&self) -> &'static str {
        "paced"
    }

    fn rows(&self) -> Vec<Spec> {
        rows().into_iter().map(|row| row.spec).collect()
    }

    fn measure(&self, run: &Run, wanted: &[Spec]) -> Result<Outcome> {
        let rows = campaign::chosen(rows(), wanted);
        let is_wanted = |workload: &Workload| {
            let name = workload.name();
            rows.iter().any(|row| row.key.ends_with(&name))
        };
        let workloads: Vec<Workload> = workloads().into_iter().filter(is_wanted).collect();
        let mut delays: BTreeMap<Workload, BTreeMap<Peer, Vec<u32>>> = BTreeMap::new();
        let (figures, mut outcome) =
            campaign::run(run, "paced traffic", &rows, |contender, figures| {
                for workload in &workloads {
                    let found = turn(contender, run, *workload, figures)
                        .with_context(|| workload.name())?;
                    let of = delays.entry(*workload).or_default();
                    of.entry(contender.id()).or_default().extend(found);
                }
                Ok(())
            })?;
        outcome.rows = rows.iter().filter_map(|row| figures.row(row)).collect();
        let plot = |(workload, all): (Workload, _)| {
            let name = workload.name();
            let title = format!("Delay of {name}, each at half of its own loss-free rate");
            plot(&format!("delay-half-{name}"), &title, all)
        };
        outcome.plots = delays.into_iter().map(plot).collect();
        Ok(outcome)
    }
}

/// One turn of one contender with one workload; the delays at half load.
fn turn(
    contender: &dyn Contender,
    run: &Run,
    workload: Workload,
    figures: &mut Figures,
) -> Result<Vec<u32>> {
    let id = contender.id();
    let rig = contender.start(Shape::polling(Frames::Plain, run));
    let mut rig = rig.context("start")?;
    let mut number = 0;
    let mut trial = |rig: &mut _, rate: f64, warm_up, time| {
        number += 1;
        offer(
            Guests::of(rig, number, run.cores),
            workload,
            rate,
            warm_up,
            time,
        )
    };
    let rate = stats::highest(0.0, HIGHEST_RATE, SEARCH_STEPS, |rate| {
        let offered = trial(&mut rig, rate, TRIAL_WARM_UP, TRIAL)?;
        anyhow::Ok(offered.kept_up && offered.lost == 0)
    })?;
    anyhow::ensure!(rate > 0.0, "no rate at all is free of loss");
    figures.add(id, key(workload, LOSS_FREE), rate / 1e6);
    let before = rig.pid.map(CpuTime::of).transpose()?;
    let clock = Instant::now();
    let mut half = trial(&mut rig, rate / 2.0, TRIAL_WARM_UP, HALF_LOAD)?;
    let seconds = clock.elapsed().as_secs_f64();
    if let (Some(before), Some(pid)) = (before, rig.pid) {
        let used = CpuTime::of(pid)?.since(before).as_secs_f64();
        figures.add(id, key(workload, CPU), used * 1e9 / half.received as f64);
        figures.add(id, key(workload, SHARE), used / seconds);
    }
    let found = percentiles(&mut half.delays).context("no frame arrived")?;
    for (name, us) in found {
        figures.add(id, key(workload, &format!("delay-{name}")), us);
    }
    rig.stop()?;
    Ok(half.delays)
}

/// What came of a rate that was offered.
struct Offered {
    lost: u64,
    received: u64,
    /// Whether the sender was never a whole ring behind at the end.
    kept_up: bool,
    delays: Vec<u32>,
}

/// Sends `rate` frames a second, both ways together, whether they arrive or not.
fn offer(
    guests: Guests<'_>,
    workload: Workload,
    rate: f64,
    warm_up: Duration,
    time: Duration,
) -> Result<Offered> {
    let Guests {
        first,
        second,
        macs,
        run,
        watch: _,
    } = guests;
    if run == 1 {
        introduce(first, second, macs)?;
    }
    let load = |to: usize, from: usize| workload.load(macs[to], macs[from]);
    let mut forth = Direction::new(first, load(1, 0), u64::from(run) * 2 + 2)?;
    let mut back = Direction::new(second, load(0, 1), u64::from(run) * 2 + 3)?;
    let ways = if workload.both_ways { 2.0 } else { 1.0 };
    let clock = Instant::now();
    forth.pace(Pace::new(Duration::ZERO, rate / ways, warm_up));
    back.pace(Pace::new(Duration::ZERO, rate / ways, warm_up));
    if !workload.both_ways {
        back.close();
    }
    let mut now = clock.elapsed();
    while now < warm_up + time {
        forth.send_due(first, now)?;
        back.receive_at(first, clock.elapsed())?;
        back.send_due(second, now)?;
        forth.receive_at(second, clock.elapsed())?;
        now = clock.elapsed();
    }
    let kept_up = [&forth, &back]
        .iter()
        .all(|way| way.behind(now) <= u64::from(RING_SIZE));
    collect(first, second, &mut forth, &mut back)?;
    Ok(Offered {
        lost: forth.missing() + back.missing(),
        received: forth.received + back.received,
        kept_up,
        delays: [forth.into_delays(), back.into_delays()].concat(),
    })
}
