//! Frames in and out of a fake VM, one at a time or in bursts, with waiting.

use std::time::{Duration, Instant};

use super::FakeVm;
use super::bus::Bus;
use super::error::{Error, Result};
use super::limits::{BURST, CONTROL_DEADLINE};
use super::net::{NetGuest, NetHeader, rx_queue, tx_queue};

impl<B: Bus> FakeVm<B> {
    /// Sends one frame on the first pair; waits for room if the ring is full.
    ///
    /// # Errors
    /// Fails when the device is gone, or takes nothing for seconds.
    pub fn send(&mut self, frame: &[u8]) -> Result<()> {
        self.send_on(0, &NetHeader::default(), frame)
    }

    /// Sends one frame with a header of its own.
    ///
    /// # Errors
    /// Fails when the device is gone, or takes nothing for seconds.
    pub fn send_on(&mut self, pair: u16, header: &NetHeader, frame: &[u8]) -> Result<()> {
        let deadline = Instant::now() + CONTROL_DEADLINE;
        loop {
            let tx = &mut self.pair(pair).tx;
            tx.reap()?;
            if tx.push(header, frame)? {
                if tx.publish() {
                    self.kick(tx_queue(pair))?;
                }
                return Ok(());
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
                if tx.push(&NetHeader::default(), frame)? {
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

    fn flush_tx(&mut self, pair: u16) -> Result<()> {
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
        let armed = self.vector_of(tx_queue(pair)).is_some();
        if armed && !self.pair(pair).tx.queue().arm() {
            self.sleep(tx_queue(pair), deadline)?;
        }
        self.pair(pair).tx.queue().disarm();
        self.breathe()
    }

    /// Waits until the device has sent everything that was pushed on a pair.
    ///
    /// # Errors
    /// Fails when that does not happen in time.
    pub fn drain_tx(&mut self, pair: u16) -> Result<()> {
        let deadline = Instant::now() + CONTROL_DEADLINE;
        loop {
            let tx = &mut self.pair(pair).tx;
            tx.reap()?;
            if tx.queue().free() == usize::from(tx.queue().size()) {
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

    /// Waits for a frame on a pair. None when none came.
    ///
    /// # Errors
    /// Fails when the device is gone or breaks the specification.
    pub fn recv_on(
        &mut self,
        pair: u16,
        timeout: Duration,
    ) -> Result<Option<(NetHeader, Vec<u8>)>> {
        let deadline = Instant::now() + timeout;
        let mut frame = Vec::new();
        loop {
            if let Some(header) = self.poll_rx(pair, &mut frame)? {
                return Ok(Some((header, frame)));
            }
            if Instant::now() >= deadline {
                return Ok(None);
            }
            let armed = self.vector_of(rx_queue(pair)).is_some();
            if armed && !self.pair(pair).rx.queue().arm() {
                self.sleep(rx_queue(pair), deadline)?;
            }
            self.pair(pair).rx.queue().disarm();
            self.breathe()?;
        }
    }

    /// Takes a frame if one is there, without waiting.
    ///
    /// # Errors
    /// Fails when the device is gone or breaks the specification.
    pub fn poll_rx(&mut self, pair: u16, frame: &mut Vec<u8>) -> Result<Option<NetHeader>> {
        let rx = &mut self.pair(pair).rx;
        let header = rx.poll(frame)?;
        if header.is_some() && rx.publish() {
            self.kick(rx_queue(pair))?;
        }
        Ok(header)
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

    /// Sleeps until the queue's vector fires, the server says something, or `deadline`.
    fn sleep(&mut self, queue: u16, deadline: Instant) -> Result<()> {
        let (Some(interrupts), Some(vector)) = (&self.interrupts, self.vector_of(queue)) else {
            return Ok(());
        };
        interrupts.sleep(vector, self.client.attention(), deadline)?;
        interrupts.take(vector);
        Ok(())
    }
}

/// The first frame that `wanted` accepts of those that `receive` gives before a time is over.
pub(super) fn first_of(
    timeout: Duration,
    mut wanted: impl FnMut(&[u8]) -> bool,
    mut receive: impl FnMut(Duration) -> Result<Option<Vec<u8>>>,
) -> Result<Option<Vec<u8>>> {
    let deadline = Instant::now() + timeout;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match receive(left)? {
            Some(frame) if wanted(&frame) => return Ok(Some(frame)),
            Some(_) => {}
            None => return Ok(None),
        }
    }
}
