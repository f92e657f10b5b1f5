//! `idle-*`: what devices cost while they do nothing.

use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::json;

use super::fleet::Fleet;
use super::process::{cpu_seconds, own_memory};
use crate::artifacts;
use crate::bench::cpu;
use crate::bench::family::{Family, Outcome, Run};
use crate::bench::row::{Bar, Row, Side, Spec};
use crate::fakevm::FakeVmConfig;
use crate::ui;

/// Devices that are connected and idle.
const DEVICES: usize = 1000;
/// Devices before the first look, so that what the first one costs once is not counted.
const FIRST: usize = 40;
/// How long the daemon is watched doing nothing.
const WATCH: Duration = Duration::from_secs(5);
/// Devices that are created and destroyed beside all others.
const EXTRA: usize = 20;

const LISTENING: &str = "idle-memory-listening";
const CONNECTED: &str = "idle-memory-connected";
const CPU: &str = "idle-cpu";
const CREATE: &str = "idle-create";
const DESTROY: &str = "idle-destroy";

/// The family.
#[derive(Debug)]
pub struct Idle;

impl Family for Idle {
    fn prefix(&self) -> &'static str {
        "idle"
    }

    fn rows(&self) -> Vec<Spec> {
        vec![
            Spec::with_bar(LISTENING, "KiB per device", Bar::AtMost(32.0)),
            Spec::with_bar(CONNECTED, "KiB per device", Bar::AtMost(64.0)),
            Spec::with_bar(CPU, "cores", Bar::AtMost(0.01)),
            Spec::informative(CREATE, "ms"),
            Spec::informative(DESTROY, "ms"),
        ]
    }

    fn measure(&self, run: &Run, wanted: &[Spec]) -> Result<Outcome> {
        let _pinned = cpu::pin_this_thread(run.cores.driver)?;
        let mut fleet = Fleet::start(
            &artifacts::programs()?,
            run.cores.forwarder,
            "trapped",
            false,
        )?;
        let pid = fleet.daemon.pid();
        let slope =
            |after: u64, before: u64| (after as f64 - before as f64) / (DEVICES - FIRST) as f64;
        let mut figures: Vec<(&str, Vec<f64>)> = Vec::new();

        let step = ui::Step::begin(format!("idle: {DEVICES} devices listen"));
        fleet.create(FIRST)?;
        let before = own_memory(pid)?;
        fleet.create(DEVICES)?;
        let listening = slope(own_memory(pid)?, before);
        figures.push((LISTENING, vec![listening]));
        step.done();

        let step = ui::Step::begin(format!("idle: {DEVICES} guests run"));
        let config = FakeVmConfig::default();
        fleet.attach(FIRST, &config)?;
        let before = own_memory(pid)?;
        fleet.attach(DEVICES, &config)?;
        figures.push((CONNECTED, vec![listening + slope(own_memory(pid)?, before)]));
        step.done();
        let footprint = fleet.daemon.footprint()?;

        if wanted.iter().any(|spec| spec.name == CPU) {
            let mut used = Vec::new();
            for round in 0..run.repetitions {
                let step = ui::Step::begin(format!("idle, {} of {}", round + 1, run.repetitions));
                let (start, before) = (Instant::now(), cpu_seconds(pid)?);
                std::thread::sleep(WATCH);
                used.push((cpu_seconds(pid)? - before) / start.elapsed().as_secs_f64());
                step.done();
            }
            figures.push((CPU, used));
        }
        let [created, destroyed] = come_and_go(&fleet)?;
        figures.push((CREATE, created));
        figures.push((DESTROY, destroyed));
        fleet.stop()?;

        let mut outcome = Outcome::default();
        for spec in wanted {
            let found = figures.iter().find(|(name, _)| *name == spec.name);
            let Some(ours) = found.and_then(|(_, f)| Side::new("mdevd", f.clone())) else {
                continue;
            };
            let mut row = Row::new(spec.clone(), ours, None);
            row.details = json!({
                "devices": DEVICES,
                "descriptors": footprint.descriptors,
                "threads": footprint.threads,
            });
            outcome.rows.push(row);
        }
        let what = format!(
            "mdevd, {DEVICES} devices of one queue pair, trapped doorbells: {} descriptors, {} threads",
            footprint.descriptors, footprint.threads
        );
        outcome.took_part.push(("mdevd".into(), what));
        Ok(outcome)
    }
}

/// Milliseconds of creating and of destroying one device more, each a run of `cvfctl`.
fn come_and_go(fleet: &Fleet) -> Result<[Vec<f64>; 2]> {
    let mut times = [Vec::new(), Vec::new()];
    for nth in 0..EXTRA {
        let name = format!("extra{nth}");
        let start = Instant::now();
        fleet.daemon.create(&name, &["--queue-pairs", "1"])?;
        times[0].push(start.elapsed().as_secs_f64() * 1e3);
        let start = Instant::now();
        fleet.daemon.destroy(&name)?;
        times[1].push(start.elapsed().as_secs_f64() * 1e3);
    }
    Ok(times)
}
