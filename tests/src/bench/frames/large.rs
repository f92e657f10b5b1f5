//! Large-send frames of 64 KiB from guest to guest, beside what the same core copies: `send64k-*`.
//!
//! Both sides are spread over four times the last-level cache, so that neither measures a cache.

use std::time::Instant;

use anyhow::{Context, Result};

use super::campaign::{self, Compared};
use super::traffic::{self, Guests};
use super::{Size, Workload};
use crate::bench::cpu;
use crate::bench::family::{Family, Outcome, Run};
use crate::bench::limits::{LARGE_BUFFER, MEASURE, WARM_UP};
use crate::bench::peers::{Frames, OURS, Peer, Shape, large_working_set};
use crate::bench::row::{Bar, Row, Side, Spec};
use crate::fakevm::memory::{Backing, GuestMemory, MemoryPlan};

const UNIT: &str = "GB/s";
/// Least share of the core's own bandwidth.
const BAR: f64 = 0.7;
/// Bytes of a frame.
const FRAME: usize = 65_536;
const KEY: &str = "64KiB";
const COPY: &str = "memcpy";

/// The family.
#[derive(Debug)]
pub struct Large;

fn rows() -> Vec<Compared> {
    let row = |(ours, mode): (Peer, &str)| Compared {
        spec: Spec::with_bar(format!("send64k-{mode}"), UNIT, Bar::AtLeast(BAR)),
        key: KEY.into(),
        ours,
        peer: None,
    };
    OURS.map(row).into()
}

impl Family for Large {
    fn prefix(&self) -> &'static str {
        "send64k"
    }

    fn rows(&self) -> Vec<Spec> {
        rows().into_iter().map(|row| row.spec).collect()
    }

    fn measure(&self, run: &Run, wanted: &[Spec]) -> Result<Outcome> {
        let rows = campaign::chosen(rows(), wanted);
        let workload = Workload {
            size: Size::Large,
            both_ways: false,
        };
        let mut copies = Vec::new();
        let (figures, mut outcome) =
            campaign::run(run, "large send", &rows, |contender, figures| {
                copies.push(copy(run).context("copy on the forwarder's core")?);
                let rig = contender.start(Shape::polling(Frames::Large, run));
                let mut rig = rig.context("start")?;
                let measured = traffic::drive(Guests::of(&mut rig, 0, run.cores), workload)?;
                let rate = measured.frames as f64 * FRAME as f64 / measured.seconds;
                figures.add(contender.id(), KEY, rate / 1e9);
                rig.stop()
            })?;
        let row = |row: &Compared| {
            let ours = figures.side(row.ours, KEY)?;
            Some(Row::new(
                row.spec.clone(),
                ours,
                Side::new(COPY, copies.clone()),
            ))
        };
        outcome.rows = rows.iter().filter_map(row).collect();
        let what = format!(
            "copy_nonoverlapping of 64 KiB at a time over {} MiB and as much again, on the forwarder's core",
            large_working_set() >> 20
        );
        outcome.took_part.push((COPY.into(), what));
        Ok(outcome)
    }
}

/// Copies as the guests' buffers lie, on the forwarder's core. In GB of payload a second.
fn copy(run: &Run) -> Result<f64> {
    let stride = LARGE_BUFFER + 128;
    let count = (large_working_set() as usize).div_ceil(stride);
    let size = ((count * stride) as u64).next_multiple_of(2 << 20);
    let backing = if run.huge {
        Backing::Hugetlb
    } else {
        Backing::Memfd
    };
    let make = || -> Result<_> {
        let memory = GuestMemory::new(&MemoryPlan::single(size, backing))?;
        let bytes = memory.view(0, size as usize)?;
        bytes.fill(0, size as usize, 1);
        Ok(bytes)
    };
    let (from, to) = (make()?, make()?);
    let _pinned = cpu::pin_this_thread(run.cores.forwarder)?;
    let start = Instant::now();
    let mut counting: Option<(Instant, u64)> = None;
    let mut copied = 0_u64;
    for nth in (0..count).cycle() {
        from.copy_to(nth * stride, &to, nth * stride, FRAME);
        copied += 1;
        if !copied.is_multiple_of(64) {
            continue;
        }
        let now = Instant::now();
        match counting {
            None if now - start >= WARM_UP => counting = Some((now, copied)),
            Some((since, before)) if now - since >= MEASURE => {
                let bytes = (copied - before) as f64 * FRAME as f64;
                return Ok(bytes / (now - since).as_secs_f64() / 1e9);
            }
            _ => {}
        }
    }
    anyhow::bail!("nothing to copy")
}
