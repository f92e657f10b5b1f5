//! One direction of a run: what was sent, what came, and what is under way.

use std::time::Duration;

use anyhow::Result;

use super::load::Load;
use super::pace::Pace;
use crate::bench::limits::{COMPARE_ONE_OF, RING_SIZE};
use crate::fakevm::limits::BURST;
use crate::fakevm::net::{NetGuest, rx_queue, tx_queue};

/// Bits of a frame's number; those above say which run and direction it belongs to.
const NUMBER_BITS: u32 = 44;

/// Frames under way at most: the receiver always has buffers for them, although it posts those
/// that it has emptied in bursts.
const WINDOW: u64 = RING_SIZE as u64 - 2 * BURST as u64;

/// What one direction has done so far.
pub struct Direction {
    load: Load,
    /// Upper bits of every number: run and direction.
    tag: u64,
    window: u64,
    /// Frames sent.
    pub sent: u64,
    /// Frames received.
    pub received: u64,
    /// Number that the next frame should have.
    expected: u64,
    /// Frames under way that were given up, so that the window opens again. They may still come.
    written_off: u64,
    /// Frames that came after a later one.
    pub reordered: u64,
    /// Frames that came changed.
    pub damaged: u64,
    /// Doorbells rung.
    pub kicks: u64,
    /// Of so many frames one is compared in full.
    pub compared: u64,
    /// Number of the next one that is.
    compare_at: u64,
    /// Whether the receiver asks for an interrupt whenever it has nothing left to do.
    pub armed: bool,
    pace: Option<Pace>,
    scratch: Vec<u8>,
}

impl Direction {
    /// Prepares a guest to send `load`, marked by `tag`.
    ///
    /// # Errors
    /// Fails when the guest's rings cannot say what the load asks for.
    pub fn new(from: &mut dyn NetGuest, load: Load, tag: u64) -> Result<Self> {
        from.tx(0).prepare(&load.header, &load.frame)?;
        Ok(Direction {
            scratch: vec![0; load.frame.len()],
            load,
            tag: tag << NUMBER_BITS,
            window: WINDOW,
            sent: 0,
            received: 0,
            expected: 0,
            written_off: 0,
            reordered: 0,
            damaged: 0,
            kicks: 0,
            compared: COMPARE_ONE_OF,
            compare_at: 0,
            armed: false,
            pace: None,
        })
    }

    /// Sets how many frames may be under way; at most what the receiver's ring holds.
    pub fn set_window(&mut self, frames: u64) {
        self.window = frames;
    }

    /// Sends nothing in this direction.
    pub fn close(&mut self) {
        self.window = 0;
    }

    /// Frames that may still come.
    pub fn under_way(&self) -> u64 {
        self.sent.saturating_sub(self.received + self.written_off)
    }

    /// Frames that have not come.
    pub fn missing(&self) -> u64 {
        self.sent.saturating_sub(self.received)
    }

    /// Sends by a schedule instead of as fast as it goes, whether frames arrive or not.
    pub fn pace(&mut self, pace: Pace) {
        self.pace = Some(pace);
    }

    /// How many frames should have been sent by `now` and are not.
    pub fn behind(&self, now: Duration) -> u64 {
        let due = self.pace.as_ref().map_or(0, |pace| pace.due(now));
        if self.window == 0 {
            0
        } else {
            due.saturating_sub(self.sent)
        }
    }

    /// The delays that were kept, in nanoseconds.
    pub fn into_delays(self) -> Vec<u32> {
        self.pace.map(Pace::into_delays).unwrap_or_default()
    }

    /// Pushes a burst, as far as the window is open.
    ///
    /// # Errors
    /// Fails when the guest has lost its device.
    #[inline]
    pub fn send(&mut self, from: &mut dyn NetGuest) -> Result<()> {
        let room = self
            .window
            .saturating_sub(self.under_way())
            .min(BURST as u64);
        self.push(from, room)
    }

    /// Pushes what is due, a burst at most, as far as the ring has room.
    ///
    /// # Errors
    /// Fails when the guest has lost its device.
    #[inline]
    pub fn send_due(&mut self, from: &mut dyn NetGuest, now: Duration) -> Result<()> {
        let due = self.behind(now).min(BURST as u64);
        self.push(from, due)
    }

    #[inline]
    fn push(&mut self, from: &mut dyn NetGuest, count: u64) -> Result<()> {
        if count == 0 {
            return Ok(());
        }
        let mut tx = from.tx(0);
        tx.reap_if_scarce()?;
        let (len, stamp) = (self.load.frame.len(), self.tag | self.sent);
        let pushed = tx.push_prepared(count as usize, len, self.load.stamp_at, stamp);
        self.sent += pushed as u64;
        if tx.publish() {
            self.kicks += 1;
            from.kick(tx_queue(0))?;
        }
        Ok(())
    }

    /// Takes a burst and checks every frame.
    ///
    /// # Errors
    /// Fails when the guest has lost its device.
    #[inline]
    pub fn receive(&mut self, to: &mut dyn NetGuest) -> Result<()> {
        self.receive_at(to, Duration::ZERO)
    }

    /// The same at `now`, for delays.
    ///
    /// # Errors
    /// Fails when the guest has lost its device.
    #[inline]
    pub fn receive_at(&mut self, to: &mut dyn NetGuest, now: Duration) -> Result<()> {
        let mut rx = to.rx(0);
        // Kept in registers meanwhile.
        let (tag, sent, stamp_at, len) = (
            self.tag,
            self.sent,
            self.load.stamp_at,
            self.load.frame.len(),
        );
        let (mut received, mut damaged, mut reordered) = (0, 0, 0);
        let (mut expected, compared) = (self.expected, self.compared);
        let mut compare_at = self.compare_at;
        let (load, scratch, pace) = (&self.load, &mut self.scratch, &mut self.pace);
        let count = rx.poll_burst(BURST, |frame| {
            let stamp = frame.stamp(stamp_at);
            let number = stamp & (u64::MAX >> (64 - NUMBER_BITS));
            if stamp - number != tag {
                // Left over from an earlier run, or rubbish that is missed at the end.
                return;
            }
            received += 1;
            if frame.len != len || number >= sent {
                damaged += 1;
                return;
            }
            if number >= compare_at {
                compare_at = number + compared;
                frame.copy_to(scratch);
                if !load.same(scratch) {
                    damaged += 1;
                }
            }
            if let Some(pace) = pace {
                pace.arrived(number, now);
            }
            if number >= expected {
                expected = number + 1;
            } else {
                reordered += 1;
            }
        });
        self.received += received;
        self.damaged += damaged;
        self.reordered += reordered;
        self.expected = expected;
        self.compare_at = compare_at;
        let count = count?;
        if count == 0 {
            if self.armed {
                to.arm_rx(0)?;
            }
            return Ok(());
        }
        let wanted = rx.publish();
        if self.armed {
            to.disarm_rx(0)?;
        }
        // What was given up has come after all.
        self.written_off = self
            .written_off
            .min(self.sent - self.received.min(self.sent));
        if wanted {
            self.kicks += 1;
            to.kick(rx_queue(0))?;
        }
        Ok(())
    }

    /// Gives up what is under way, so that the window opens again.
    pub fn give_up(&mut self) {
        self.written_off += self.under_way();
    }
}
