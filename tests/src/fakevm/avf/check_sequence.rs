//! The check sequences behind received frames, where the device was asked to leave them.

use lab_guest::crc;

use crate::fakevm::error::{Error, Result};
use crate::fakevm::mem::Span;

/// Takes check sequences off frames, and counts those that are wrong.
#[derive(Debug, Default)]
pub(super) struct CheckSequences {
    wrong: u64,
    /// Room for a frame that lies in a ring's memory.
    room: Vec<u8>,
}

impl CheckSequences {
    /// How many were not that of their frame.
    pub fn wrong(&self) -> u64 {
        self.wrong
    }

    /// Takes one off a frame.
    ///
    /// # Errors
    /// Fails when there is nothing in front of it.
    pub fn take(&mut self, frame: &mut Vec<u8>) -> Result<()> {
        let len = self.look(frame)?;
        frame.truncate(len);
        Ok(())
    }

    /// The same for `len` bytes in a ring's memory: how many of them are the frame.
    ///
    /// # Errors
    /// As [`CheckSequences::take`].
    pub fn take_at(&mut self, bytes: Span<'_>, at: usize, len: usize) -> Result<usize> {
        let mut room = std::mem::take(&mut self.room);
        room.resize(len, 0);
        bytes.read(at, &mut room);
        let len = self.look(&room);
        self.room = room;
        len
    }

    fn look(&mut self, frame: &[u8]) -> Result<usize> {
        let (frame, right) = crc::take(frame).ok_or_else(|| {
            let len = frame.len();
            Error::Device(format!("{len} bytes with a check sequence"))
        })?;
        self.wrong += u64::from(!right);
        Ok(frame.len())
    }
}
