//! Work done beside numbered frames, none of which may be lost by the daemon.
//!
//! A guest that gets no processor time for long enough runs out of receive buffers, and then frames
//! are lost that no switch could have kept: the device counts each as `no-buffer`. Such a run shows
//! that the rate was not free of loss on this machine at this moment; it is repeated at half the
//! rate, a few times at most, and the repetition is told. Any other loss fails at once.

use super::rig::Rig;
use crate::traffic::{self, Flow, FlowReport, FrameReport, FrameRun};
use crate::ui;
use anyhow::{Result, bail, ensure};
use serde_json::Value;
use std::time::Duration;

/// Length of the frames, in bytes.
const FRAME: usize = 200;

/// Runs at most, each at half the rate of the one before.
const RUNS: u32 = 3;

/// Longest time the work may take.
const LIMIT: Duration = Duration::from_secs(600);

impl Rig {
    /// Does `work` while both guests send each other numbered frames at half their loss-free rate.
    /// None may be lost, doubled or damaged. `work` is repeated if the run is; see the module.
    ///
    /// # Errors
    /// If `work` fails or a frame is not accounted for.
    pub fn beside_traffic<T>(&self, work: impl Fn() -> Result<T>) -> Result<(T, FrameReport)> {
        let mut rate = (traffic::loss_free_rate(self.a.end(), self.b.end(), FRAME)? / 2).max(1);
        for run in 1..=RUNS {
            let before = self.drops()?;
            let (value, flows) = self.once(rate, &work)?;
            let report = FrameReport::of(rate, run, &flows);
            ui::say(&format!(
                "    at {rate} frames/s each way: {} sent, {} received, {} lost",
                report.sent, report.received, report.lost
            ));
            ensure!(report.sent > 0, "no frame was sent: {report:?}");
            if flows.iter().all(FlowReport::is_perfect) {
                return Ok((value, report));
            }
            let after = self.drops()?;
            if run == RUNS || !starved(&flows, &before, &after) {
                bail!(
                    "frames were not all delivered once and intact: {flows:?}\n  \
                     drops before {before:?}\n  drops after {after:?}"
                );
            }
            rate = (rate / 2).max(1);
            ui::say("    a guest ran out of receive buffers: once more at half the rate");
        }
        bail!("no run was made")
    }

    /// One run: the work, and the frames that went both ways meanwhile.
    fn once<T>(&self, rate: u64, work: impl Fn() -> Result<T>) -> Result<(T, [FlowReport; 2])> {
        let (a, b) = (self.a.end(), self.b.end());
        let run = |stream| FrameRun {
            stream,
            size: FRAME,
            rate,
            count: 0,
            limit: LIMIT,
        };
        let there = Flow::start(a, b, &run(1))?;
        let back = Flow::start(b, a, &run(2))?;
        let result = work();
        there.stop()?;
        back.stop()?;
        let flows = [there.finish()?, back.finish()?];
        Ok((result?, flows))
    }

    /// What the devices of both guests have dropped so far.
    fn drops(&self) -> Result<[Drops; 2]> {
        let of =
            |name: &str| Ok::<_, anyhow::Error>(Drops::of(&self.daemon.ctl(&["stats", name])?));
        // In the order of the flows: the first goes to the second guest.
        Ok([of(&self.b.main.device.name)?, of(&self.a.main.device.name)?])
    }
}

/// Frames that a device has dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Drops {
    /// Because its guest had no receive buffer.
    no_buffer: u64,
    /// For any other reason, both directions.
    other: u64,
}

impl Drops {
    fn of(stats: &Value) -> Self {
        let mut drops = Drops::default();
        for direction in ["rx", "tx"] {
            let Some(reasons) = stats[direction]["drops"].as_object() else {
                continue;
            };
            for (reason, count) in reasons {
                let count = count.as_u64().unwrap_or(0);
                if direction == "rx" && reason == "no-buffer" {
                    drops.no_buffer += count;
                } else {
                    drops.other += count;
                }
            }
        }
        drops
    }
}

/// True if every lost frame is one for which the receiving guest had no buffer, and nothing else
/// was wrong.
fn starved(flows: &[FlowReport; 2], before: &[Drops; 2], after: &[Drops; 2]) -> bool {
    flows
        .iter()
        .zip(before)
        .zip(after)
        .all(|((flow, before), after)| {
            flow.receive.announced == Some(flow.send.sent)
                && flow.receive.duplicate + flow.receive.corrupt == 0
                && after.other == before.other
                && flow.receive.lost <= after.no_buffer - before.no_buffer
        })
}

#[cfg(test)]
mod tests;
