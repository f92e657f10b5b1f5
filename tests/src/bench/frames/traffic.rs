//! One thread that plays two guests as fast as it can.
//!
//! Each direction keeps no more frames under way than the receiver has buffers, so a forwarder
//! that loses nothing by itself loses nothing here, and what is measured is its rate. Every
//! frame carries a number; every number is checked, and some frames in full.

use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};

use super::Workload;
use super::direction::Direction;
use crate::bench::cpu::Cores;
use crate::bench::limits::{BROKEN, DRAIN, ROUNDS_PER_LOOK, SLICE, SLICE_WARM_UP, STALL, WARM_UP};
use crate::bench::peers::Rig;
use crate::bench::quiet::Watch;
use crate::fakevm::frame;
use crate::fakevm::limits::BURST;
use crate::fakevm::net::{NetGuest, rx_queue, tx_queue};

/// The two guests of a run.
pub struct Guests<'a> {
    /// Always sends.
    pub first: &'a mut dyn NetGuest,
    /// Always receives.
    pub second: &'a mut dyn NetGuest,
    /// Addresses of both.
    pub macs: [[u8; 6]; 2],
    /// Number of the run, different from those before it on the same guests: frames of an
    /// earlier run that come late are told apart by it.
    pub run: u16,
    /// Says when the machine is ours alone.
    pub watch: Watch,
}

impl<'a> Guests<'a> {
    /// The guests of a contender.
    pub fn of(rig: &'a mut Rig, run: u16, cores: Cores) -> Self {
        Guests {
            watch: Watch::new(cores, rig.pid),
            first: rig.first.as_mut(),
            second: rig.second.as_mut(),
            macs: rig.macs,
            run,
        }
    }
}

/// What came of one run.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Measured {
    /// Frames received while it counted, both ways together.
    pub frames: u64,
    /// How long it counted.
    pub seconds: f64,
    /// The machine was never ours alone; it counted all the same.
    pub disturbed: bool,
    /// Frames sent, from the first to the last.
    pub sent: u64,
    /// Frames received, from the first to the last.
    pub received: u64,
    /// Frames sent that never came.
    pub lost: u64,
    /// Frames that came after a later one.
    pub reordered: u64,
    /// Frames that came changed.
    pub damaged: u64,
    /// Doorbells rung.
    pub kicks: u64,
}

impl Measured {
    /// Millions of frames a second.
    pub fn mpps(&self) -> f64 {
        self.frames as f64 / self.seconds / 1e6
    }
}

/// Runs one workload.
///
/// # Errors
/// Fails when nothing arrives at all, frames arrive changed, or a guest loses its device.
pub fn drive(guests: Guests<'_>, workload: Workload) -> Result<Measured> {
    drive_guests(guests, workload, false)
}

/// The same with receivers that ask for an interrupt whenever they have nothing left to do. They
/// poll on all the same: what is measured is how often they would have been interrupted.
///
/// # Errors
/// As [`drive`].
pub fn drive_armed(guests: Guests<'_>, workload: Workload) -> Result<Measured> {
    drive_guests(guests, workload, true)
}

fn drive_guests(guests: Guests<'_>, workload: Workload, armed: bool) -> Result<Measured> {
    let Guests {
        first,
        second,
        macs,
        run,
        mut watch,
    } = guests;
    introduce(first, second, macs)?;
    let load = |to: usize, from: usize| workload.load(macs[to], macs[from]);
    let mut forth = Direction::new(first, load(1, 0), u64::from(run) * 2 + 2)?;
    let mut back = Direction::new(second, load(0, 1), u64::from(run) * 2 + 3)?;
    forth.armed = armed;
    back.armed = armed;
    if !workload.both_ways {
        back.close();
    }
    let mut run = |time: Duration| -> Result<(u64, Duration)> {
        let (clock, before) = (Instant::now(), forth.received + back.received);
        let mut progress = Progress::default();
        loop {
            for _ in 0..ROUNDS_PER_LOOK {
                forth.send(first)?;
                back.receive(first)?;
                back.send(second)?;
                forth.receive(second)?;
            }
            let now = clock.elapsed();
            let received = forth.received + back.received;
            if progress.stalled(now, received)? {
                forth.give_up();
                back.give_up();
            }
            if now >= time {
                return Ok((received - before, now));
            }
        }
    };
    run(WARM_UP)?;
    let (mut all, mut quiet) = (Slices::default(), Slices::default());
    watch.look()?;
    while !watch.is_over() {
        run(SLICE_WARM_UP)?;
        let (frames, time) = run(SLICE)?;
        all.add(frames, time);
        if watch.look()? {
            watch.count(time);
            quiet.add(frames, time);
        }
    }
    let disturbed = quiet.frames == 0;
    let Slices { frames, time } = if disturbed { all } else { quiet };
    collect(first, second, &mut forth, &mut back)?;
    let measured = Measured {
        frames,
        seconds: time.as_secs_f64(),
        disturbed,
        sent: forth.sent + back.sent,
        received: forth.received + back.received,
        lost: forth.missing() + back.missing(),
        reordered: forth.reordered + back.reordered,
        damaged: forth.damaged + back.damaged,
        kicks: forth.kicks + back.kicks,
    };
    ensure!(
        measured.damaged == 0,
        "{} frames arrived changed",
        measured.damaged
    );
    Ok(measured)
}

/// What came while it counted.
#[derive(Clone, Copy, Debug, Default)]
struct Slices {
    frames: u64,
    time: Duration,
}

impl Slices {
    fn add(&mut self, frames: u64, time: Duration) {
        self.frames += frames;
        self.time += time;
    }
}

/// Lets both guests send one frame, so that a switch has learnt where they are, and waits until
/// both ways have carried something.
pub(super) fn introduce(
    first: &mut dyn NetGuest,
    second: &mut dyn NetGuest,
    macs: [[u8; 6]; 2],
) -> Result<()> {
    let deadline = Instant::now() + BROKEN;
    let (mut forth, mut back) = (false, false);
    let mut again = Instant::now();
    while !(forth && back) {
        if Instant::now() >= deadline {
            bail!("no frame came through (there: {forth}, back: {back})");
        }
        if Instant::now() >= again {
            hello(first, macs[0])?;
            hello(second, macs[1])?;
            again = Instant::now() + STALL;
        }
        forth |= discard(second)? > 0;
        back |= discard(first)? > 0;
    }
    // Stragglers of the greeting must not be counted later.
    let quiet = Instant::now() + STALL;
    while Instant::now() < quiet {
        discard(first)?;
        discard(second)?;
    }
    Ok(())
}

fn hello(guest: &mut dyn NetGuest, mac: [u8; 6]) -> Result<()> {
    let mut tx = guest.tx(0);
    tx.reap()?;
    let frame = frame::numbered(frame::BROADCAST, mac, 0, 60);
    tx.push(&crate::fakevm::net::NetHeader::default(), &frame)?;
    if tx.publish() {
        guest.kick(tx_queue(0))?;
    }
    Ok(())
}

fn discard(guest: &mut dyn NetGuest) -> Result<usize> {
    let mut rx = guest.rx(0);
    let count = rx.poll_burst(BURST, |_| {})?;
    if rx.publish() {
        guest.kick(rx_queue(0))?;
    }
    Ok(count)
}

/// Receives what is still missing, until all is there or nothing comes any more.
pub(super) fn collect(
    first: &mut dyn NetGuest,
    second: &mut dyn NetGuest,
    forth: &mut Direction,
    back: &mut Direction,
) -> Result<()> {
    let mut quiet = Instant::now() + DRAIN;
    let mut before = 0;
    while forth.missing() + back.missing() > 0 && Instant::now() < quiet {
        back.receive(first)?;
        forth.receive(second)?;
        let received = forth.received + back.received;
        if received != before {
            before = received;
            quiet = Instant::now() + DRAIN;
        }
    }
    Ok(())
}

/// Notices when nothing arrives any more.
#[derive(Default)]
struct Progress {
    received: u64,
    since: Duration,
    given_up: Duration,
}

impl Progress {
    /// Whether what is under way should be given up.
    fn stalled(&mut self, now: Duration, received: u64) -> Result<bool> {
        if received != self.received {
            self.received = received;
            self.since = now;
            self.given_up = now;
            return Ok(false);
        }
        ensure!(
            now < self.since + BROKEN,
            "nothing has arrived for {BROKEN:?}"
        );
        let stalled = now >= self.given_up + STALL;
        if stalled {
            self.given_up = now;
        }
        Ok(stalled)
    }
}
