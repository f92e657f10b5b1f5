//! Frames in and out of a fake VM with an AVF function, one at a time or in bursts, with waiting.

use std::time::{Duration, Instant};

use super::{AvfVm, Offload, Received};
use crate::fakevm::bus::Bus;
use crate::fakevm::error::{Error, Result};
use crate::fakevm::limits::{BURST, CONTROL_DEADLINE};
use crate::fakevm::net::{NetGuest, rx_queue, tx_queue};
use crate::fakevm::traffic::first_of;

impl<B: Bus> AvfVm<B> {
    /// Sends one frame on the first pair; waits for room if the ring is full.
    ///
    /// # Errors
    /// Fails when the device is gone, or takes nothing for seconds.
    pub fn send(&mut self, frame: &[u8]) -> Result<()> {
        self.send_on(0, &Offload::default(), frame)
    }

    /// Sends one frame with offloads of its own.
    ///
    /// # Errors
    /// Fails when the device is gone, or takes nothing for seconds.
    pub fn send_on(&mut self, pair: u16, offload: &Offload, frame: &[u8]) -> Result<()> {
        self.send_with(pair, |vm| vm.pair(pair).tx.push(offload, frame))
    }

    /// Sends one frame with what a virtio header asks for.
    ///
    /// # Errors
    /// Fails when the device is gone, or takes nothing for seconds.
    pub fn send_header(
        &mut self,
        pair: u16,
        header: &crate::fakevm::net::NetHeader,
        frame: &[u8],
    ) -> Result<()> {
        self.send_with(pair, |vm| vm.pair(pair).tx.push_header(header, frame))
    }

    fn send_with(
        &mut self,
        pair: u16,
        mut push: impl FnMut(&mut Self) -> Result<bool>,
    ) -> Result<()> {
        let deadline = Instant::now() + CONTROL_DEADLINE;
        loop {
            self.pair(pair).tx.reap()?;
            if push(self)? {
                return self.flush_tx(pair);
            }
            self.wait_for_room(pair, deadline)?;
        }
    }

    /// Sends frames on the first pair, in bursts with one doorbell each.
    ///
    /// # Errors
    /// Fails when the device is gone, or takes nothing for seconds.
    pub fn send_burst(&mut self, frames: &[&[u8]]) -> Result<()> {
        for burst in frames.chunks(BURST) {
            let mut rest = burst;
            let deadline = Instant::now() + CONTROL_DEADLINE;
            while let [frame, others @ ..] = rest {
                let tx = &mut self.pair(0).tx;
                if tx.push(&Offload::default(), frame)? {
                    rest = others;
                } else if tx.reap()? == 0 {
                    self.flush_tx(0)?;
                    self.wait_for_room(0, deadline)?;
                }
            }
            self.flush_tx(0)?;
        }
        Ok(())
    }

    /// Shows the device what was pushed on a pair.
    ///
    /// # Errors
    /// Fails when the device's side is gone.
    pub fn flush_tx(&mut self, pair: u16) -> Result<()> {
        if self.pair(pair).tx.publish() {
            self.kick(tx_queue(pair))?;
        }
        Ok(())
    }

    fn wait_for_room(&mut self, pair: u16, deadline: Instant) -> Result<()> {
        if Instant::now() >= deadline {
            return Err(Error::Timeout {
                what: "room in the transmit ring".into(),
            });
        }
        if let Some(vector) = self.vector_of(tx_queue(pair)) {
            self.sleep(vector, deadline)?;
        }
        self.breathe()
    }

    /// Waits until the device has said of everything that was pushed on a pair that it is done, as far as it was asked
    /// to: with [`reports`](super::AvfRingConfig::reports) of 1 that is all.
    ///
    /// # Errors
    /// Fails when that does not happen in time.
    pub fn drain_tx(&mut self, pair: u16) -> Result<()> {
        let deadline = Instant::now() + CONTROL_DEADLINE;
        loop {
            let tx = &mut self.pair(pair).tx;
            tx.reap()?;
            if tx.is_reported() {
                return Ok(());
            }
            self.wait_for_room(pair, deadline)?;
        }
    }

    /// Waits for a frame on the first pair. None when none came.
    ///
    /// # Errors
    /// Fails when the device is gone or breaks the specification.
    pub fn recv(&mut self, timeout: Duration) -> Result<Option<Vec<u8>>> {
        Ok(self.recv_on(0, timeout)?.map(|(_, frame)| frame))
    }

    /// Waits for a frame on a pair, and for what the device says of it. None when none came.
    ///
    /// # Errors
    /// Fails when the device is gone or breaks the specification.
    pub fn recv_on(&mut self, pair: u16, timeout: Duration) -> Result<Option<(Received, Vec<u8>)>> {
        let deadline = Instant::now() + timeout;
        let mut frame = Vec::new();
        loop {
            if let Some(received) = self.poll_rx(pair, &mut frame)? {
                return Ok(Some((received, frame)));
            }
            if Instant::now() >= deadline {
                return Ok(None);
            }
            if let Some(vector) = self.vector_of(rx_queue(pair)) {
                self.sleep(vector, deadline)?;
            }
            self.breathe()?;
        }
    }

    /// Takes a frame if one is there, without waiting.
    ///
    /// # Errors
    /// Fails when the device is gone or breaks the specification.
    pub fn poll_rx(&mut self, pair: u16, frame: &mut Vec<u8>) -> Result<Option<Received>> {
        let rx = &mut self.pair(pair).rx;
        let received = rx.poll(frame)?;
        if received.is_some() && rx.publish() {
            self.kick(rx_queue(pair))?;
        }
        Ok(received)
    }

    /// Waits for a frame that `wanted` accepts, and drops the others. None when none came.
    ///
    /// # Errors
    /// Fails when the device is gone or breaks the specification.
    pub fn recv_matching(
        &mut self,
        timeout: Duration,
        wanted: impl FnMut(&[u8]) -> bool,
    ) -> Result<Option<Vec<u8>>> {
        first_of(timeout, wanted, |left| self.recv(left))
    }

    /// Takes all frames that have come in on a pair, without waiting, with what the device says of them.
    ///
    /// # Errors
    /// Fails when the device breaks the specification.
    pub fn take_frames(&mut self, pair: u16) -> Result<Vec<(Received, Vec<u8>)>> {
        let mut frames = Vec::new();
        let mut frame = Vec::new();
        while let Some(received) = self.poll_rx(pair, &mut frame)? {
            frames.push((received, frame.clone()));
        }
        Ok(frames)
    }
}
