//! The outside's part of a scenario: answers each numbered frame with one of its own.

use super::account::{Account, Watch, north, south};
use super::limits::{CROSSING, LOOK, SEND};
use super::traffic::Run;
use super::wire::Wire;
use anyhow::Result;
use lab_guest::frame;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

/// Address of the outside.
pub const MAC: [u8; 6] = [2, 0, 0, 0, 0xff, 1];

/// How far a run has come, and whether it should go on: what whoever has it run can see and do meanwhile.
#[derive(Debug, Default)]
pub struct Course {
    answered: AtomicU64,
    stopped: AtomicBool,
}

impl Course {
    /// Frames that the outside has answered.
    pub fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    /// Has the outside end it: nothing more can come.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }
}

/// Answers frame by frame until all of `run` have come, or it is stopped, or the time for a run is over.
///
/// Numbers of answers are those of what is answered, so that an order that was lost on the way here is seen inside,
/// too. Whoever sends decides how many are on their way.
///
/// # Errors
/// If the wire breaks.
pub fn answer(wire: &mut Wire, run: &Run, course: &Course) -> Result<Account> {
    let mut watch = Watch::new(north(run.number));
    let mut out = vec![0; run.size];
    let stream = south(run.number);
    let (mut sent, deadline) = (0, Instant::now() + CROSSING);
    while watch.received() < run.count {
        let now = Instant::now();
        if course.stopped.load(Ordering::Relaxed) || now >= deadline {
            break;
        }
        let Some(frame) = wire.receive(now + LOOK)? else {
            continue;
        };
        let Some(number) = watch.look(&frame) else {
            continue;
        };
        let mut back = [0; 6];
        back.copy_from_slice(&frame[6..12]);
        frame::write(&mut out, back, MAC, stream, number, false);
        wire.send(&out, Instant::now() + SEND)?;
        sent += 1;
        course.answered.store(sent, Ordering::Relaxed);
    }
    Ok(watch.account(sent, run.count))
}

#[cfg(test)]
mod tests;
