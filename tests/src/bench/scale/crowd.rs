//! One thread that plays many guests, in pairs that send to each other.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::bench::cpu::Cores;
use crate::bench::frames::direction::Direction;
use crate::bench::frames::load::Load;
use crate::bench::limits::{DRAIN, SLICE, WARM_UP};
use crate::bench::quiet::Watch;
use crate::fakevm::FakeVm;

/// Frames under way in each direction: more than a burst, so that no ring is seen empty, and few
/// enough that it is not this process's caches that are measured.
const WINDOW: u64 = 64;
/// Frames that every direction carries before it counts: each buffer of both rings has been in use
/// then, so that both sides have its page.
const WARM_FRAMES: u64 = 600;
/// How long that may take.
const WARM_DEADLINE: Duration = Duration::from_secs(30);
/// Bytes of a frame on a wire.
const WIRE: usize = 64;

/// What came of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Crowd {
    /// Millions of frames a second, all together.
    pub mpps: f64,
    /// Frames that never came.
    pub lost: u64,
    /// Least and most frames that one direction received while it counted.
    pub shares: [u64; 2],
}

/// What every direction received while it counted.
struct Counted {
    frames: Vec<u64>,
    time: Duration,
}

impl Counted {
    fn new(ways: usize) -> Self {
        Counted {
            frames: vec![0; ways],
            time: Duration::ZERO,
        }
    }

    fn add(&mut self, ways: &[Direction], before: &[u64], time: Duration) {
        for ((frames, way), before) in self.frames.iter_mut().zip(ways).zip(before) {
            *frames += way.received - before;
        }
        self.time += time;
    }

    fn crowd(&self) -> Crowd {
        let frames = || self.frames.iter().copied();
        Crowd {
            mpps: frames().sum::<u64>() as f64 / self.time.as_secs_f64() / 1e6,
            lost: 0,
            shares: [frames().min().unwrap_or(0), frames().max().unwrap_or(0)],
        }
    }
}

/// Lets all `guests` (an even number) send and receive as fast as this thread can make them.
/// `run` tells runs on the same guests apart.
///
/// # Errors
/// Fails when a guest loses its device, or a frame arrives changed.
pub fn drive(
    guests: &mut [FakeVm],
    macs: &[[u8; 6]],
    run: u64,
    cores: Cores,
    forwarder: u32,
) -> Result<Crowd> {
    let first_tag = 2 + run * (super::DEVICES as u64 + 2);
    let mut ways = Vec::with_capacity(guests.len());
    for (pair, macs) in guests.chunks_exact_mut(2).zip(macs.chunks_exact(2)) {
        for (from, to) in [(0, 1), (1, 0)] {
            let tag = first_tag + ways.len() as u64;
            let load = Load::plain(macs[to], macs[from], WIRE);
            let mut way = Direction::new(&mut pair[from], load, tag)?;
            way.set_window(WINDOW);
            ways.push(way);
        }
    }
    let clock = Instant::now();
    while clock.elapsed() < WARM_UP || ways.iter().any(|way| way.received < WARM_FRAMES) {
        round(guests, &mut ways, true)?;
        ensure!(
            clock.elapsed() < WARM_DEADLINE,
            "a device has passed less than {WARM_FRAMES} frames in {WARM_DEADLINE:?}"
        );
    }
    let (mut all, mut quiet) = (Counted::new(ways.len()), Counted::new(ways.len()));
    let mut watch = Watch::new(cores, Some(forwarder));
    watch.look()?;
    while !watch.is_over() {
        round(guests, &mut ways, true)?;
        let before: Vec<u64> = ways.iter().map(|way| way.received).collect();
        let clock = Instant::now();
        while clock.elapsed() < SLICE {
            round(guests, &mut ways, true)?;
        }
        let time = clock.elapsed();
        all.add(&ways, &before, time);
        if watch.look()? {
            watch.count(time);
            quiet.add(&ways, &before, time);
        }
    }
    let counted = if quiet.time.is_zero() { all } else { quiet };
    let mut crowd = counted.crowd();
    let missing = |ways: &[Direction]| ways.iter().map(Direction::missing).sum::<u64>();
    let mut quiet = Instant::now() + DRAIN;
    while missing(&ways) > 0 && Instant::now() < quiet {
        let before = missing(&ways);
        round(guests, &mut ways, false)?;
        if missing(&ways) != before {
            quiet = Instant::now() + DRAIN;
        }
    }
    crowd.lost = missing(&ways);
    let damaged: u64 = ways.iter().map(|way| way.damaged).sum();
    ensure!(damaged == 0, "{damaged} frames arrived changed");
    Ok(crowd)
}

/// Every guest once: takes what has come, and sends if it may.
fn round(guests: &mut [FakeVm], ways: &mut [Direction], send: bool) -> Result<()> {
    for (pair, ways) in guests.chunks_exact_mut(2).zip(ways.chunks_exact_mut(2)) {
        let ([first, second], [forth, back]) = (pair, ways) else {
            continue;
        };
        if send {
            forth.send(first)?;
        }
        back.receive(first)?;
        if send {
            back.send(second)?;
        }
        forth.receive(second)?;
    }
    Ok(())
}
