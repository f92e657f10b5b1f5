//! Whether the processor is ours alone.
//!
//! On a shared machine the other half of a core may belong to somebody else, who comes and goes within
//! seconds and halves what we get of it, and our two cores may be moved apart. A rate that is measured then says nothing about a forwarder. So
//! measurements are made in slices, and between them the two cores show how fast they are, with the
//! forwarder stopped: slices between two fast looks count. Nobody is favoured: the looks know nothing of
//! the contender.

use std::hint::black_box;
use std::sync::Barrier;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::cpu::{self, Cores};
use super::limits::{ACQUAINTANCE, LOOK, MEASURE, PATIENCE, QUIET};

/// The best that was seen of each measure: as bits.
static BEST: [AtomicU64; 2] = [const { AtomicU64::new(0) }; 2];

/// How fast the cores are. More is better.
#[derive(Clone, Copy, Debug, Default)]
struct Speed {
    /// Steps of arithmetic a second, of the slower core while both are busy.
    steps: f64,
    /// Times a second that a cache line goes from one to the other.
    passes: f64,
}

impl Speed {
    /// The worse of its measures, as a share of the best that was seen of it.
    fn share(self) -> f64 {
        let share = |(best, now): (&AtomicU64, f64)| {
            let best_now = f64::from_bits(best.load(Ordering::Relaxed)).max(now);
            best.store(best_now.to_bits(), Ordering::Relaxed);
            now / best_now
        };
        let both = BEST.iter().zip([self.steps, self.passes]);
        both.map(share).fold(1.0, f64::min)
    }
}

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

/// A line that two cores write in turn.
#[repr(align(128))]
struct Ball(AtomicU32);

const OVER: u32 = u32::MAX;

/// Sends the ball back each time it comes: odd numbers are ours.
fn return_ball(ball: &Ball) {
    loop {
        match ball.0.load(Ordering::Acquire) {
            OVER => return,
            at if at % 2 == 1 => ball.0.store(at + 1, Ordering::Release),
            _ => std::hint::spin_loop(),
        }
    }
}

/// Passes a second.
fn serve_ball(ball: &Ball) -> f64 {
    const ROUND: u32 = 256;
    let (start, mut at) = (Instant::now(), 0);
    loop {
        for _ in 0..ROUND {
            ball.0.store(at + 1, Ordering::Release);
            at += 2;
            while ball.0.load(Ordering::Acquire) != at {
                std::hint::spin_loop();
            }
        }
        let took = start.elapsed();
        if took >= LOOK {
            ball.0.store(OVER, Ordering::Release);
            return f64::from(at) / took.as_secs_f64();
        }
    }
}

/// How fast both cores are. The calling thread is the driver's.
fn speed(cores: Cores) -> Result<Speed> {
    let together = Barrier::new(2);
    let ball = Ball(AtomicU32::new(0));
    let other = || {
        let pinned = cpu::pin_this_thread(cores.forwarder);
        together.wait();
        let steps = steps();
        return_ball(&ball);
        pinned.map(|_pinned| steps)
    };
    let (here, passes, there) = thread::scope(|scope| {
        let there = scope.spawn(other);
        together.wait();
        let here = steps();
        (here, serve_ball(&ball), there.join())
    });
    let there = there.map_err(|_| anyhow::anyhow!("the other core's look panicked"))??;
    let steps = here.min(there);
    Ok(Speed { steps, passes })
}

/// Finds out how fast the cores are when nobody else uses them, as far as a moment tells.
///
/// # Errors
/// Fails when a thread cannot be pinned.
pub fn acquaint(cores: Cores) -> Result<()> {
    let _pinned = cpu::pin_this_thread(cores.driver)?;
    let until = Instant::now() + ACQUAINTANCE;
    while Instant::now() < until {
        speed(cores)?.share();
    }
    Ok(())
}

/// Looks at the cores on behalf of one measurement.
#[derive(Debug)]
pub struct Watch {
    cores: Cores,
    /// The process to be stopped meanwhile.
    forwarder: Option<Pid>,
    last: Speed,
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
            last: Speed::default(),
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
        let before = std::mem::replace(&mut self.last, speed?);
        Ok(before.share().min(self.last.share()) >= QUIET)
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
