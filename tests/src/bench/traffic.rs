//! One thread that plays two guests as fast as it can.
//!
//! Each direction keeps no more frames under way than the receiver has buffers, so a forwarder
//! that loses nothing by itself loses nothing here, and what is measured is its rate. Every
//! frame carries a number; every number is checked, and some frames in full.

use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};

use super::limits::{BROKEN, COMPARE_ONE_OF, MEASURE, RING_SIZE, ROUNDS_PER_LOOK, STALL, WARM_UP};
use super::rows::Workload;
use crate::fakevm::frame::{self, PAYLOAD};
use crate::fakevm::limits::BURST;
use crate::fakevm::net::{NetGuest, rx_queue, tx_queue};

/// The check sequence that a wire adds to each frame.
const CHECK_SEQUENCE: usize = 4;

/// The two guests of a run.
pub struct Guests<'a> {
    /// Always sends.
    pub first: &'a mut dyn NetGuest,
    /// Always receives.
    pub second: &'a mut dyn NetGuest,
    /// Addresses of both.
    pub macs: [[u8; 6]; 2],
}

/// What came of one run.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Measured {
    /// Frames received while it counted, both ways together.
    pub frames: u64,
    /// How long it counted.
    pub seconds: f64,
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

/// What one direction has done so far.
struct Direction {
    template: Vec<u8>,
    window: u64,
    sent: u64,
    received: u64,
    /// Number that the next frame should have.
    expected: u64,
    lost: u64,
    reordered: u64,
    damaged: u64,
    kicks: u64,
    scratch: Vec<u8>,
}

impl Direction {
    fn new(from: &mut dyn NetGuest, macs: [[u8; 6]; 2], len: usize) -> Self {
        let template = frame::numbered(macs[1], macs[0], 0, len);
        let mut buffer = vec![0; crate::fakevm::net::HEADER_LEN];
        buffer.extend_from_slice(&template);
        from.pair(0).tx.prepare(&buffer);
        Direction {
            scratch: vec![0; template.len()],
            template,
            window: u64::from(RING_SIZE),
            sent: 0,
            received: 0,
            expected: 0,
            lost: 0,
            reordered: 0,
            damaged: 0,
            kicks: 0,
        }
    }

    fn under_way(&self) -> u64 {
        self.sent - self.received - self.lost
    }

    #[inline]
    fn send(&mut self, from: &mut dyn NetGuest) -> Result<()> {
        let room = self
            .window
            .saturating_sub(self.under_way())
            .min(BURST as u64);
        let tx = &mut from.pair(0).tx;
        tx.reap()?;
        let start = self.sent;
        while self.sent < start + room && tx.push_prepared(self.template.len(), PAYLOAD, self.sent)
        {
            self.sent += 1;
        }
        if tx.publish() {
            self.kicks += 1;
            from.kick(tx_queue(0))?;
        }
        Ok(())
    }

    #[inline]
    fn receive(&mut self, to: &mut dyn NetGuest) -> Result<()> {
        let rx = &mut to.pair(0).rx;
        let count = rx.poll_burst(BURST, |frame| {
            let number = frame.stamp(PAYLOAD);
            if frame.len != self.template.len() || number >= self.sent {
                self.damaged += 1;
                return;
            }
            if number.is_multiple_of(COMPARE_ONE_OF) {
                frame.copy_to(&mut self.scratch);
                let after = PAYLOAD + 8;
                if self.scratch[..PAYLOAD] != self.template[..PAYLOAD]
                    || self.scratch[after..] != self.template[after..]
                {
                    self.damaged += 1;
                }
            }
            if number >= self.expected {
                self.expected = number + 1;
            } else {
                self.reordered += 1;
            }
        })?;
        self.received += count as u64;
        if rx.publish() {
            self.kicks += 1;
            to.kick(rx_queue(0))?;
        }
        Ok(())
    }

    /// Gives up what is under way, so that the window opens again.
    fn give_up(&mut self) {
        self.lost += self.under_way();
    }
}

/// Runs one workload.
///
/// # Errors
/// Fails when nothing arrives at all, frames arrive changed, or a guest loses its device.
pub fn drive(guests: Guests<'_>, workload: &Workload) -> Result<Measured> {
    let Guests {
        first,
        second,
        macs,
    } = guests;
    let len = workload.wire_len - CHECK_SEQUENCE;
    introduce(first, second, macs)?;
    let mut forth = Direction::new(first, macs, len);
    let mut back = Direction::new(second, [macs[1], macs[0]], len);
    if !workload.both_ways {
        back.window = 0;
    }
    let clock = Instant::now();
    let mut counting: Option<(Duration, u64)> = None;
    let mut progress = Progress::default();
    let (frames, seconds) = loop {
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
        match counting {
            None if now >= WARM_UP => counting = Some((now, received)),
            Some((since, before)) if now >= since + MEASURE => {
                break (received - before, (now - since).as_secs_f64());
            }
            _ => {}
        }
    };
    collect(first, second, &mut forth, &mut back)?;
    let measured = Measured {
        frames,
        seconds,
        sent: forth.sent + back.sent,
        received: forth.received + back.received,
        lost: forth.lost + back.lost,
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

/// Lets both guests send one frame, so that a switch has learnt where they are, and waits until
/// both ways have carried something.
fn introduce(
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
    let tx = &mut guest.pair(0).tx;
    tx.reap()?;
    let frame = frame::numbered(frame::BROADCAST, mac, 0, 60);
    tx.push(&crate::fakevm::net::NetHeader::default(), &frame)?;
    if tx.publish() {
        guest.kick(tx_queue(0))?;
    }
    Ok(())
}

fn discard(guest: &mut dyn NetGuest) -> Result<usize> {
    let rx = &mut guest.pair(0).rx;
    let count = rx.poll_burst(BURST, |_| {})?;
    if rx.publish() {
        guest.kick(rx_queue(0))?;
    }
    Ok(count)
}

/// Receives what is still under way; what does not come is lost.
fn collect(
    first: &mut dyn NetGuest,
    second: &mut dyn NetGuest,
    forth: &mut Direction,
    back: &mut Direction,
) -> Result<()> {
    let mut quiet = Instant::now() + STALL;
    let mut before = 0;
    while forth.under_way() + back.under_way() > 0 && Instant::now() < quiet {
        back.receive(first)?;
        forth.receive(second)?;
        let received = forth.received + back.received;
        if received != before {
            before = received;
            quiet = Instant::now() + STALL;
        }
    }
    forth.give_up();
    back.give_up();
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
