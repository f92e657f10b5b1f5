//! Whether the processor is ours alone.
//!
//! On a shared machine the other half of a core may belong to somebody else, who comes and goes within
//! seconds and halves what we get of it. A rate that is measured then says nothing about a forwarder. So
//! measurements are made in slices, and between them the two cores show how fast they are, with the
//! forwarder stopped: slices between two fast looks count. Nobody is favoured: the looks know nothing of
//! the contender.

use std::hint::black_box;
use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::cpu::{self, Cores};
use super::limits::{ACQUAINTANCE, LOOK, MEASURE, PATIENCE, QUIET};

/// The fastest that both cores have been, in steps a second: as bits.
static BEST: AtomicU64 = AtomicU64::new(0);

/// Steps a second of work that keeps a core's arithmetic busy.
fn steps() -> f64 {
    const ROUND: u64 = 4096;
    let mut words = black_box([1u64, 2, 3, 5, 7, 11]);
    let (start, mut steps) = (Instant::now(), 0);
    loop {
        for _ in 0..ROUND {
            for word in &mut words {
                *word ^= *word << 13;
                *word ^= *word >> 7;
                *word ^= *word << 17;
            }
        }
        steps += ROUND;
        let took = start.elapsed();
        if took >= LOOK {
            black_box(words);
            return steps as f64 / took.as_secs_f64();
        }
    }
}

/// Steps a second of the slower of both cores while both are busy. The calling thread is the driver's.
fn speed(cores: Cores) -> Result<f64> {
    let together = Barrier::new(2);
    let other = || {
        let pinned = cpu::pin_this_thread(cores.forwarder);
        together.wait();
        pinned.map(|_pinned| steps())
    };
    let (here, there) = thread::scope(|scope| {
        let there = scope.spawn(other);
        together.wait();
        (steps(), there.join())
    });
    let there = there.map_err(|_| anyhow::anyhow!("the other core's look panicked"))??;
    let speed = here.min(there);
    let best = f64::from_bits(BEST.load(Ordering::Relaxed)).max(speed);
    BEST.store(best.to_bits(), Ordering::Relaxed);
    Ok(speed)
}

/// Finds out how fast the cores are when nobody else uses them, as far as a moment tells.
///
/// # Errors
/// Fails when a thread cannot be pinned.
pub fn acquaint(cores: Cores) -> Result<()> {
    let _pinned = cpu::pin_this_thread(cores.driver)?;
    let until = Instant::now() + ACQUAINTANCE;
    while Instant::now() < until {
        speed(cores)?;
    }
    Ok(())
}

/// Looks at the cores on behalf of one measurement.
#[derive(Debug)]
pub struct Watch {
    cores: Cores,
    /// The process to be stopped meanwhile.
    forwarder: Option<Pid>,
    last: f64,
    since: Instant,
    /// Time in slices that count.
    quiet: Duration,
}

impl Watch {
    /// A watch over a measurement that begins now; `forwarder` is stopped while the cores are looked at.
    pub fn new(cores: Cores, forwarder: Option<u32>) -> Self {
        Watch {
            cores,
            forwarder: forwarder.map(|pid| Pid::from_raw(pid as i32)),
            last: 0.0,
            since: Instant::now(),
            quiet: Duration::ZERO,
        }
    }

    /// Looks at the cores. True when they were fast now and at the look before.
    ///
    /// # Errors
    /// Fails when the forwarder is gone.
    pub fn look(&mut self) -> Result<bool> {
        if let Some(pid) = self.forwarder {
            kill(pid, Signal::SIGSTOP).context("stop the forwarder for a look at the cores")?;
        }
        let speed = speed(self.cores);
        if let Some(pid) = self.forwarder {
            kill(pid, Signal::SIGCONT).context("let the forwarder go on")?;
        }
        let slower = std::mem::replace(&mut self.last, speed?).min(self.last);
        Ok(slower >= QUIET * f64::from_bits(BEST.load(Ordering::Relaxed)))
    }

    /// Notes a slice that counts.
    pub fn count(&mut self, slice: Duration) {
        self.quiet += slice;
    }

    /// True when enough slices count, or none are waited for any more.
    pub fn is_over(&self) -> bool {
        self.quiet >= MEASURE || self.since.elapsed() >= PATIENCE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watch_ends_and_lets_its_forwarder_go_on() {
        let Ok(cores) = Cores::choose() else { return };
        let _pinned = cpu::pin_this_thread(cores.driver).unwrap();
        let mut child = std::process::Command::new("sleep")
            .arg("100")
            .spawn()
            .unwrap();
        let mut watch = Watch::new(cores, Some(child.id()));
        watch.look().unwrap();
        watch.look().unwrap();
        assert!(!watch.is_over());
        watch.count(MEASURE);
        assert!(watch.is_over());
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
        assert!(!stat.contains(") T "), "{stat}");
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(watch.look().is_err(), "the forwarder is gone");
    }
}
