//! The control queue (virtio 1.3 5.1.6.5): one command at a time, and whoever asks waits.

use std::time::{Duration, Instant};

use super::regs;
use super::ring::Ring;
use super::transport::TransportError;

/// How long the device is given for a command.
const PATIENCE: Duration = Duration::from_millis(500);
/// Bytes of a command with its data.
const COMMAND: usize = 64;
/// Its chain begins with the first descriptor; the second is for the answer.
const HEAD: u16 = 0;
/// What stands where the answer comes.
const UNANSWERED: u64 = 0xff;

/// Why a command was not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ControlError {
    /// The device refuses it.
    #[error("the device refuses command {class}.{command}")]
    Refused {
        /// Its class.
        class: u8,
        /// Its number there.
        command: u8,
    },
    /// It does not answer.
    #[error("the device does not answer command {class}.{command}")]
    Slow {
        /// Its class.
        class: u8,
        /// Its number there.
        command: u8,
    },
}

/// The queue; behind its areas the command and the answer.
pub(super) struct Control {
    ring: Ring,
    /// It is not in use.
    ended: bool,
}

impl Control {
    /// Descriptors that it uses.
    pub(super) const SIZE: u16 = 2;
    /// Bytes that it needs behind its areas.
    pub(super) const EXTRA: usize = COMMAND + 8;

    pub(super) const fn new(ring: Ring) -> Self {
        Self { ring, ended: true }
    }

    pub(super) fn start(&mut self) -> Result<(), TransportError> {
        self.ring.start()?;
        self.ended = false;
        Ok(())
    }

    /// Ends it.
    pub(super) fn stop(&mut self) {
        self.ended = true;
        if let Err(error) = self.ring.stop() {
            tracing::error!(%error, "ending the control queue");
        }
    }

    /// Does a command whose data is `data`, short ones only.
    fn command(&mut self, class: u8, command: u8, data: &[u8]) -> Result<(), ControlError> {
        let slow = ControlError::Slow { class, command };
        if self.ended {
            return Err(slow);
        }
        let at = self.ring.areas().end;
        let block = self.ring.block();
        let memory = block.memory();
        memory.write(at, 2).write(&[class, command]);
        let written = memory.write(at + 2, COMMAND - 2).write(data);
        memory.store64(at + COMMAND, UNANSWERED);
        let iova = block.iova() + at as u64;
        self.ring
            .describe(HEAD, (iova, 2 + written as u32), false, Some(HEAD + 1));
        self.ring
            .describe(HEAD + 1, (iova + COMMAND as u64, 1), true, None);
        self.ring.offer(HEAD);
        self.ring.publish();
        let until = Instant::now() + PATIENCE;
        loop {
            self.ring.collect();
            if self.ring.take(HEAD).is_some() {
                break;
            }
            if Instant::now() >= until || !self.ring.is_sound() {
                // The answer to this one must not be taken for that to the next.
                self.stop();
                return Err(slow);
            }
            std::thread::yield_now();
        }
        let answer = self.ring.block().memory().load64(at + COMMAND) as u8;
        let refused = ControlError::Refused { class, command };
        (answer == regs::CTRL_OK).then_some(()).ok_or(refused)
    }

    /// Has frames for any address come in, or not (5.1.6.5.1).
    pub(super) fn promiscuous(&mut self, on: bool) -> Result<(), ControlError> {
        self.command(regs::CTRL_RX, regs::CTRL_RX_PROMISC, &[on.into()])
    }

    /// Has so many queue pairs receive (5.1.6.5.5).
    pub(super) fn set_pairs(&mut self, pairs: u16) -> Result<(), ControlError> {
        let data = pairs.to_le_bytes();
        self.command(regs::CTRL_MQ, regs::CTRL_MQ_VQ_PAIRS_SET, &data)
    }
}
