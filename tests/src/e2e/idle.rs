//! What idle machines cost.

use super::Test;
use super::rig::Rig;
use crate::ui;
use anyhow::{Result, ensure};
use std::thread;
use std::time::{Duration, Instant};

/// How long the daemon is watched.
const WINDOW: Duration = Duration::from_secs(10);

/// Most of one core that the daemon may use meanwhile.
const SHARE: f64 = 0.005;

/// The tests of this file.
pub fn tests() -> Vec<Test> {
    vec![Test::on_rig(
        "idle",
        "two idle guests cost the daemon under 0.5% of a core",
        idle,
    )]
}

/// The share of a core the daemon uses while nothing happens for [`WINDOW`].
///
/// # Errors
/// If it is gone.
pub fn share(rig: &Rig) -> Result<f64> {
    let (start, before) = (Instant::now(), rig.daemon.cpu_seconds()?);
    // Not a wait for something to happen: the time during which nothing does is what is measured.
    thread::sleep(WINDOW);
    Ok((rig.daemon.cpu_seconds()? - before) / start.elapsed().as_secs_f64())
}

fn idle(rig: &Rig) -> Result<()> {
    let share = share(rig)?;
    ui::say(&format!("    {:.2}% of a core", share * 100.0));
    ensure!(share < SHARE, "{:.2}% of a core while idle", share * 100.0);
    rig.ping_both_ways()
}
