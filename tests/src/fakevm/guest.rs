//! A guest with queue pairs, whatever its rings look like and whatever carries its doorbells.
//!
//! Benchmarks see guests only like this. Which rings they are is asked once a burst, never once a frame.

use super::avf::{AvfRx, AvfTx};
use super::error::Result;
use super::net::{Frame, NetHeader, RxRing, TxRing};

/// A guest with queue pairs.
pub trait NetGuest {
    /// The transmit ring of a queue pair.
    fn tx(&mut self, pair: u16) -> Tx<'_>;

    /// The receive ring of a queue pair.
    fn rx(&mut self, pair: u16) -> Rx<'_>;

    /// Tells the device that a queue has new entries.
    ///
    /// # Errors
    /// Fails when the device's side is gone.
    fn kick(&mut self, queue: u16) -> Result<()>;

    /// Asks for an interrupt at the next frame of a pair.
    ///
    /// # Errors
    /// Fails when the device's side is gone.
    #[inline]
    fn arm_rx(&mut self, pair: u16) -> Result<()> {
        if let Rx::Virtio(ring) = self.rx(pair) {
            ring.queue().arm();
        }
        Ok(())
    }

    /// Says that no interrupts are wanted for the frames of a pair.
    ///
    /// # Errors
    /// Fails when the device's side is gone.
    #[inline]
    fn disarm_rx(&mut self, pair: u16) -> Result<()> {
        if let Rx::Virtio(ring) = self.rx(pair) {
            ring.queue().disarm();
        }
        Ok(())
    }

    /// How many interrupts its queues have had since the last question.
    fn take_interrupts(&mut self) -> u64 {
        0
    }
}

/// A transmit ring of either kind.
#[derive(Debug)]
pub enum Tx<'a> {
    /// virtio-net, split or packed.
    Virtio(&'a mut TxRing),
    /// AVF.
    Avf(&'a mut AvfTx),
}

/// A receive ring of either kind.
#[derive(Debug)]
pub enum Rx<'a> {
    /// virtio-net, split or packed.
    Virtio(&'a mut RxRing),
    /// AVF.
    Avf(&'a mut AvfRx),
}

impl Tx<'_> {
    /// Writes header and frame into every buffer, for frames that change little.
    ///
    /// # Errors
    /// Fails when the ring cannot say what the header asks for.
    pub fn prepare(&mut self, header: &NetHeader, frame: &[u8]) -> Result<()> {
        match self {
            Tx::Virtio(ring) => {
                ring.prepare(header, frame);
                Ok(())
            }
            Tx::Avf(ring) => ring.prepare(header, frame),
        }
    }

    /// Takes back what the device has sent. Returns how many frames.
    ///
    /// # Errors
    /// Fails when the device returns what it was not given.
    #[inline]
    pub fn reap(&mut self) -> Result<usize> {
        match self {
            Tx::Virtio(ring) => ring.reap(),
            Tx::Avf(ring) => ring.reap(),
        }
    }

    /// The same, but only when room gets scarce.
    ///
    /// # Errors
    /// Fails when the device returns what it was not given.
    #[inline]
    pub fn reap_if_scarce(&mut self) -> Result<usize> {
        match self {
            Tx::Virtio(ring) => ring.reap_if_scarce(),
            Tx::Avf(ring) => ring.reap_if_scarce(),
        }
    }

    /// Pushes up to `count` frames that [`Tx::prepare`] has written, `frame_len` bytes each, each
    /// with a number at `stamp_at` bytes into the frame, rising from `stamp`. Returns how many had
    /// room.
    #[inline]
    pub fn push_prepared(
        &mut self,
        count: usize,
        frame_len: usize,
        stamp_at: usize,
        stamp: u64,
    ) -> usize {
        match self {
            Tx::Virtio(ring) => ring.push_prepared(count, frame_len, stamp_at, stamp),
            Tx::Avf(ring) => ring.push_prepared(count, frame_len, stamp_at, stamp),
        }
    }

    /// Pushes one frame with its header. False when the ring has not enough room now.
    ///
    /// # Errors
    /// Fails when the frame can never fit the ring.
    pub fn push(&mut self, header: &NetHeader, frame: &[u8]) -> Result<bool> {
        match self {
            Tx::Virtio(ring) => ring.push(header, frame),
            Tx::Avf(ring) => ring.push_header(header, frame),
        }
    }

    /// Shows what was pushed to the device. True when the device wants a notification.
    #[inline]
    pub fn publish(&mut self) -> bool {
        match self {
            Tx::Virtio(ring) => ring.publish(),
            Tx::Avf(ring) => ring.publish(),
        }
    }
}

impl Rx<'_> {
    /// Hands up to `max` frames to `each`, in order; the caller publishes. Frames must fit one
    /// buffer. Allocates nothing. Returns how many there were.
    ///
    /// # Errors
    /// Fails when the device returns what it was not given, or spreads a frame over buffers.
    #[inline]
    pub fn poll_burst(&mut self, max: usize, each: impl FnMut(Frame<'_>)) -> Result<usize> {
        match self {
            Rx::Virtio(ring) => ring.poll_burst(max, each),
            Rx::Avf(ring) => ring.poll_burst(max, each),
        }
    }

    /// Shows posted buffers to the device. True when the device wants a notification.
    #[inline]
    pub fn publish(&mut self) -> bool {
        match self {
            Rx::Virtio(ring) => ring.publish(),
            Rx::Avf(ring) => ring.publish(),
        }
    }
}
