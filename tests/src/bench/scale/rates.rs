//! `scale-*`: the rate of busy devices among many others, beside that of two alone.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use serde_json::json;

use super::fleet::{Fleet, huge_pages};
use super::{DEVICES, crowd};
use crate::artifacts;
use crate::bench::cpu::{self, Cores};
use crate::bench::family::{Family, Outcome, Run};
use crate::bench::frames::traffic::{self, Guests};
use crate::bench::frames::{Size, Workload};
use crate::bench::peers::{Frames, Shape};
use crate::bench::plot::{Kind, Line, Plot};
use crate::bench::quiet::Watch;
use crate::bench::row::{Bar, Row, Side, Spec};
use crate::fakevm::memory::HugePages;
use crate::fakevm::net::{NetGuest, NetRingConfig, feature};
use crate::fakevm::{FakeVm, FakeVmConfig};
use crate::ui;

/// Two busy devices, and how large the forwarding table is: every device's own address counts.
const TABLES: [usize; 3] = [DEVICES, 10_000, 60_000];
/// How many of all devices are busy.
const BUSY: [usize; 4] = [2, 16, 128, DEVICES];
const BIDIRECTIONAL: Workload = Workload {
    size: Size::Wire(64),
    both_ways: true,
};
/// A guest that polls; the fleet says where its memory is.
const BUSY_GUEST: Shape = Shape {
    frames: Frames::Plain,
    huge: false,
    notified: false,
};

/// The family.
#[derive(Debug)]
pub struct Rates;

fn among(entries: usize) -> String {
    format!("scale-2-among-{DEVICES}-table-{entries}")
}

fn busy(count: usize) -> String {
    format!("scale-{count}-busy")
}

fn messages(doorbells: &str) -> String {
    format!("scale-messages-{doorbells}")
}

impl Family for Rates {
    fn prefix(&self) -> &'static str {
        "scale"
    }

    fn rows(&self) -> Vec<Spec> {
        let mut rows = Vec::new();
        for entries in TABLES {
            let bar = (entries == 10_000).then_some(Bar::AtLeast(0.9));
            rows.push((among(entries), "Mpps", bar));
        }
        for count in BUSY {
            let bar = (count == DEVICES).then_some(Bar::AtLeast(0.6));
            rows.push((busy(count), "Mpps", bar));
        }
        let per_million = "messages per million frames";
        rows.push((messages("mapped"), per_million, Some(Bar::AtMost(0.0))));
        rows.push((messages("trapped"), per_million, Some(Bar::AtMost(1000.0))));
        rows.into_iter()
            .map(|(name, unit, bar)| Spec { name, unit, bar })
            .collect()
    }

    fn measure(&self, run: &Run, wanted: &[Spec]) -> Result<Outcome> {
        let _pinned = cpu::pin_this_thread(run.cores.driver)?;
        let _preferred = cpu::prefer_this_thread();
        let mut bench = Bench::start(run, wanted)?;
        for round in 0..run.repetitions {
            let step = ui::Step::begin(format!("scale, {} of {}", round + 1, run.repetitions));
            bench.round(round)?;
            step.done();
        }
        bench.finish()
    }
}

/// Fleets that stand ready, and what was measured.
struct Bench<'a> {
    wanted: &'a [Spec],
    cores: Cores,
    alone: Fleet,
    mapped: Option<Fleet>,
    many: Option<Fleet>,
    figures: BTreeMap<String, Vec<f64>>,
    base: Vec<f64>,
    faults: BTreeMap<String, u64>,
    runs: u16,
    huge: Option<HugePages>,
}

impl<'a> Bench<'a> {
    fn start(run: &Run, wanted: &'a [Spec]) -> Result<Self> {
        let programs = artifacts::programs()?;
        let is_wanted = |name: String| wanted.iter().any(|spec| spec.name == name);
        let core = run.cores.forwarder;
        let crowded = TABLES.iter().any(|&entries| is_wanted(among(entries)))
            || BUSY.iter().any(|&count| is_wanted(busy(count)));
        // All guests of a run lie on the same kind of pages.
        let pages = if crowded {
            huge_pages(&one_of_many(), DEVICES)
        } else {
            0
        };
        let few = huge_pages(&BUSY_GUEST.guest(), 2 * 3);
        let huge = HugePages::reserve(pages + few);
        let on_huge = huge.is_some();
        let mut alone = Fleet::start(&programs, core, "trapped", on_huge)?;
        alone.attach(2, &BUSY_GUEST.guest())?;
        let mapped = if is_wanted(messages("mapped")) {
            let mut fleet = Fleet::start(&programs, core, "mapped", on_huge)?;
            fleet.attach(2, &BUSY_GUEST.guest())?;
            Some(fleet)
        } else {
            None
        };
        let many = if crowded {
            let step = ui::Step::begin(format!("scale: {DEVICES} devices with their guests"));
            let mut fleet = Fleet::start(&programs, core, "trapped", on_huge)?;
            fleet.attach(2, &BUSY_GUEST.guest())?;
            fleet.attach(DEVICES, &one_of_many())?;
            step.done();
            Some(fleet)
        } else {
            None
        };
        for fleet in [Some(&alone), mapped.as_ref(), many.as_ref()]
            .into_iter()
            .flatten()
        {
            // Threads that have come since it started.
            cpu::pin_process(fleet.daemon.pid(), core)?;
            cpu::prefer_process(fleet.daemon.pid())?;
        }
        Ok(Bench {
            wanted,
            cores: run.cores,
            alone,
            mapped,
            many,
            figures: BTreeMap::new(),
            base: Vec::new(),
            faults: BTreeMap::new(),
            runs: 0,
            huge,
        })
    }

    fn wants(&self, name: &str) -> bool {
        self.wanted.iter().any(|spec| spec.name == name)
    }

    fn note(&mut self, name: String, figure: f64, lost: u64) {
        *self.faults.entry(name.clone()).or_default() += lost;
        self.figures.entry(name).or_default().push(figure);
    }

    /// Two devices alone, before everything that they are compared with.
    fn alone(&mut self) -> Result<()> {
        self.runs += 1;
        let (mpps, lost, per_million) = two(&mut self.alone, self.runs, self.cores)?;
        ensure!(lost == 0, "{lost} frames lost between two devices alone");
        self.base.push(mpps);
        self.note(messages("trapped"), per_million, 0);
        Ok(())
    }

    fn round(&mut self, round: u32) -> Result<()> {
        self.alone()?;
        if let Some(mut fleet) = self.mapped.take() {
            let (_, lost, per_million) = two(&mut fleet, self.runs, self.cores)?;
            self.note(messages("mapped"), per_million, lost);
            self.mapped = Some(fleet);
        }
        let Some(mut fleet) = self.many.take() else {
            return Ok(());
        };
        for entries in TABLES {
            if self.wants(&among(entries)) {
                fleet.fill_table(entries)?;
                self.alone()?;
                let (mpps, lost, _) = two(&mut fleet, self.runs, self.cores)?;
                self.note(among(entries), mpps, lost);
            }
        }
        for (nth, count) in BUSY.into_iter().enumerate() {
            if self.wants(&busy(count)) {
                self.alone()?;
                let run = u64::from(round) * BUSY.len() as u64 + nth as u64 + 100;
                let (guests, macs) = (&mut fleet.guests[..count], &fleet.macs[..count]);
                let crowd = crowd::drive(guests, macs, run, self.cores, fleet.daemon.pid())?;
                self.note(busy(count), crowd.mpps, crowd.lost);
            }
        }
        self.many = Some(fleet);
        Ok(())
    }

    fn finish(self) -> Result<Outcome> {
        let mut outcome = Outcome::default();
        let part = |text: &str| ("mdevd".to_owned(), text.to_owned());
        let pages = match self.huge {
            Some(_) => "huge",
            None => "small",
        };
        outcome.took_part.push(part(&format!(
            "one worker, all of the daemon on one core, trapped doorbells, guests on {pages} pages"
        )));
        for spec in self.wanted {
            let Some(figures) = self.figures.get(&spec.name) else {
                continue;
            };
            let (name, peer) = if spec.unit == "Mpps" {
                ("these", Side::new("two alone", self.base.clone()))
            } else {
                ("two alone", None)
            };
            let Some(ours) = Side::new(name, figures.clone()) else {
                continue;
            };
            let mut row = Row::new(spec.clone(), ours, peer);
            let lost = self.faults.get(&spec.name).copied().unwrap_or(0);
            row.fault = (lost > 0).then(|| format!("{lost} frames lost"));
            row.details = json!({ "lost": lost });
            outcome.rows.push(row);
        }
        outcome.plots = plots(&outcome.rows);
        for fleet in [Some(self.alone), self.mapped, self.many]
            .into_iter()
            .flatten()
        {
            fleet.stop()?;
        }
        Ok(outcome)
    }
}

/// Two guests at full rate: millions of frames a second, frames lost, messages per million frames.
fn two(fleet: &mut Fleet, run: u16, cores: Cores) -> Result<(f64, u64, f64)> {
    let count = |fleet: &Fleet| -> Result<u64> {
        let of = |name| fleet.daemon.counter(name, "/messages");
        Ok(of("d0")? + of("d1")?)
    };
    let before = count(fleet)?;
    let macs = [fleet.macs[0], fleet.macs[1]];
    let [first, second, ..] = fleet.guests.as_mut_slice() else {
        anyhow::bail!("two guests are needed");
    };
    let guests = Guests {
        first: guest(first),
        second: guest(second),
        macs,
        run,
        watch: Watch::new(cores, Some(fleet.daemon.pid())),
    };
    let measured = traffic::drive(guests, BIDIRECTIONAL)?;
    let sent = count(fleet)? - before;
    let per_million = sent as f64 * 1e6 / measured.received.max(1) as f64;
    Ok((measured.mpps(), measured.lost, per_million))
}

fn guest(vm: &mut FakeVm) -> &mut dyn NetGuest {
    vm
}

/// As the busy two, with rings of the usual size and a control queue for address lists.
fn one_of_many() -> FakeVmConfig {
    FakeVmConfig {
        rings: NetRingConfig {
            ring_size: 256,
            ..NetRingConfig::default()
        },
        features: feature::PLAIN | feature::CTRL_VQ | feature::CTRL_RX,
        ..BUSY_GUEST.guest()
    }
}

/// The same figures over the number of devices and of table entries.
fn plots(rows: &[Row]) -> Vec<Plot> {
    let line = |points: &dyn Fn(&Row) -> Option<f64>| Line {
        name: "mdevd, trapped doorbells".into(),
        points: rows
            .iter()
            .filter_map(|row| Some((points(row)?, row.ours.spread.median)))
            .collect(),
    };
    let after = |row: &Row, names: &[(String, usize)]| {
        let found = names.iter().find(|(name, _)| *name == row.spec.name);
        found.map(|(_, x)| *x as f64)
    };
    let by_busy = BUSY.map(|count| (busy(count), count));
    let by_table = TABLES.map(|entries| (among(entries), entries));
    let plot = |file: &str, title: &str, x: &str, line: Line| Plot {
        file: file.into(),
        title: title.into(),
        y: "Mpps".into(),
        kind: Kind::Lines {
            x: x.into(),
            log: [true, false],
            lines: vec![line],
        },
    };
    let all = [
        plot(
            "scale-devices",
            "Total rate at 64 B by busy devices",
            "busy devices of 1024",
            line(&|row| after(row, &by_busy)),
        ),
        plot(
            "scale-table",
            "Rate at 64 B of two devices by table size",
            "forwarding-table entries",
            line(&|row| after(row, &by_table)),
        ),
    ];
    let drawn = |plot: &Plot| match &plot.kind {
        Kind::Lines { lines, .. } => lines.iter().any(|line| line.points.len() > 1),
        Kind::Bars(_) => true,
    };
    all.into_iter().filter(drawn).collect()
}
