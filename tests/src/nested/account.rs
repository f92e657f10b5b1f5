//! What one end of a scenario keeps of the frames that come from the other.

use lab_guest::frame::{self, Seen};
use lab_guest::tally::Tally;
use serde::{Deserialize, Serialize};

/// Most runs that frames can be told apart of.
pub const MAX_RUN: u32 = u32::MAX / 2;

/// The stream of the frames of run `run` that leave the machine. What an earlier run has left behind on the way, a later
/// one does not take for its own.
#[must_use]
pub fn north(run: u32) -> u32 {
    2 * run.min(MAX_RUN)
}

/// The stream of the frames of run `run` that come into the machine.
#[must_use]
pub fn south(run: u32) -> u32 {
    north(run) + 1
}

/// Looks at what arrives and counts the frames of one stream.
#[derive(Debug)]
pub struct Watch {
    stream: u32,
    tally: Tally,
    wrong: u64,
    strangers: u64,
}

/// The account of one end.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct Account {
    /// Frames that this end has sent.
    pub sent: u64,
    /// Distinct frames of the other end that came, unharmed.
    pub received: u64,
    /// Frames of the other end that never came.
    pub lost: u64,
    /// Frames whose contents are not what their number says.
    pub wrong: u64,
    /// Frames that came twice, or after one with a higher number.
    pub disordered: u64,
    /// Frames that are none of the stream's: what kernels on the way say to each other.
    pub strangers: u64,
}

impl Watch {
    /// Nothing has come yet.
    #[must_use]
    pub fn new(stream: u32) -> Self {
        Watch {
            stream,
            tally: Tally::default(),
            wrong: 0,
            strangers: 0,
        }
    }

    /// Looks at one frame; its number if it is one of the stream's, unharmed, for the first time.
    pub fn look(&mut self, frame: &[u8]) -> Option<u64> {
        match frame::read(frame, self.stream) {
            Seen::Frame(number) => {
                let before = self.tally.received();
                self.tally.frame(number);
                (self.tally.received() > before).then_some(number)
            }
            Seen::Corrupt => {
                self.wrong += 1;
                None
            }
            Seen::End(_) | Seen::Other => {
                self.strangers += 1;
                None
            }
        }
    }

    /// Distinct frames so far.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.tally.received()
    }

    /// The account, when the other end was to send `expected` frames and this one has sent `sent`.
    #[must_use]
    pub fn account(&self, sent: u64, expected: u64) -> Account {
        let received = self.tally.received();
        Account {
            sent,
            received,
            lost: expected.saturating_sub(received),
            wrong: self.wrong,
            disordered: self.tally.duplicate() + self.tally.reordered(),
            strangers: self.strangers,
        }
    }
}

impl Account {
    /// Whether this end has sent all of `count` frames and got as many, unharmed and in order.
    #[must_use]
    pub fn is_perfect(&self, count: u64) -> bool {
        let Account {
            sent,
            received,
            lost,
            wrong,
            disordered,
            strangers: _,
        } = *self;
        (sent, received) == (count, count) && (lost, wrong, disordered) == (0, 0, 0)
    }
}

#[cfg(test)]
mod tests;
