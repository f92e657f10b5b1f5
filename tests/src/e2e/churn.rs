//! Devices made and destroyed by the thousand beside traffic.

use super::Test;
use super::rig::Rig;
use crate::ui;
use anyhow::{Context, Result, ensure};
use std::os::unix::net::UnixStream;
use std::time::Instant;

/// Create and destroy cycles.
const CYCLES: usize = 1000;

/// The tests of this file.
pub fn tests() -> Vec<Test> {
    vec![Test::on_rig(
        "churn",
        "1,000 create and destroy cycles beside traffic, nothing left",
        churn,
    )]
}

fn cycle(rig: &Rig) -> Result<f64> {
    let start = Instant::now();
    let device = rig.daemon.create("churn", &[])?;
    drop(UnixStream::connect(&device.socket).context("the new device's socket")?);
    let seconds = start.elapsed().as_secs_f64();
    rig.daemon.ctl(&["destroy", "churn", "--force"])?;
    ensure!(
        !std::path::Path::new(&device.socket).exists(),
        "{} was left",
        device.socket
    );
    Ok(seconds)
}

fn churn(rig: &Rig) -> Result<()> {
    for _ in 0..10 {
        cycle(rig)?;
    }
    let before = rig.daemon.footprint()?;
    let (mut times, _) = rig.beside_traffic(|| {
        (0..CYCLES)
            .map(|n| cycle(rig).with_context(|| format!("cycle {n}")))
            .collect::<Result<Vec<_>>>()
    })?;
    rig.daemon.back_to(&before)?;
    times.sort_by(f64::total_cmp);
    ui::say(&format!(
        "    {CYCLES} cycles; `cvfctl create` to connected: median {:.1} ms, longest {:.1} ms",
        times[times.len() / 2] * 1e3,
        times[times.len() - 1] * 1e3
    ));
    let list = rig.daemon.ctl(&["list"])?.to_string();
    ensure!(!list.contains("churn"), "still listed: {list}");
    rig.ping_both_ways()
}
