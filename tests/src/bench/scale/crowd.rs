//! One thread that plays many guests, in pairs that send to each other.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::bench::frames::direction::Direction;
use crate::bench::frames::load::Load;
use crate::bench::limits::{DRAIN, MEASURE, WARM_UP};
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

/// Lets all `guests` (an even number) send and receive as fast as this thread can make them.
/// `run` tells runs on the same guests apart.
///
/// # Errors
/// Fails when a guest loses its device, or a frame arrives changed.
pub fn drive(guests: &mut [FakeVm], macs: &[[u8; 6]], run: u64) -> Result<Crowd> {
    let first_tag = 2 + run * (super::DEVICES as u64 + 2);
    let mut ways = Vec::with_capacity(guests.len());
    for (pair, macs) in guests.chunks_exact_mut(2).zip(macs.chunks_exact(2)) {
        for (from, to) in [(0, 1), (1, 0)] {
            let tag = first_tag + ways.len() as u64;
            let load = Load::plain(macs[to], macs[from], WIRE);
            let mut way = Direction::new(&mut pair[from], load, tag);
            way.set_window(WINDOW);
            ways.push(way);
        }
    }
    let clock = Instant::now();
    let mut counting: Option<(Duration, Vec<u64>)> = None;
    let mut crowd = loop {
        round(guests, &mut ways, true)?;
        let now = clock.elapsed();
        match &counting {
            None if now >= WARM_UP && ways.iter().all(|way| way.received >= WARM_FRAMES) => {
                counting = Some((now, ways.iter().map(|way| way.received).collect()));
            }
            Some((since, before)) if now >= *since + MEASURE => {
                let counts = ways.iter().zip(before);
                let counts: Vec<u64> = counts.map(|(way, before)| way.received - before).collect();
                let seconds = (now - *since).as_secs_f64();
                break Crowd {
                    mpps: counts.iter().sum::<u64>() as f64 / seconds / 1e6,
                    lost: 0,
                    shares: [
                        counts.iter().copied().min().unwrap_or(0),
                        counts.iter().copied().max().unwrap_or(0),
                    ],
                };
            }
            None => ensure!(
                now < WARM_DEADLINE,
                "a device has passed less than {WARM_FRAMES} frames in {WARM_DEADLINE:?}"
            ),
            _ => {}
        }
    };
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
