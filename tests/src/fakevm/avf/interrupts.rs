//! Interrupts of an AVF function: a vector switches itself off when it fires, and what happens meanwhile is held until
//! the driver enables it again.

use std::time::{Duration, Instant};

use super::AvfVm;
use super::registers::{ICR0_ADMINQ, dyn_ctl, reg};
use super::virtchnl::cap;
use crate::fakevm::InterruptMode;
use crate::fakevm::bus::Bus;
use crate::fakevm::error::{Error, Result};
use crate::fakevm::interrupts::Interrupts;

/// Interval of write-backs without interrupts, in units of 2 us, as DPDK's driver has it.
const WRITE_BACK: u32 = 2;

impl<B: Bus> AvfVm<B> {
    /// Takes as many vectors as there are, the mailbox's and one a queue pair at most, and wires them unless the
    /// driver polls. Returns how many there are.
    pub(super) fn open_interrupts(&mut self) -> Result<u16> {
        let wanted = self.config.queue_pairs + 1;
        let vectors = wanted
            .min(self.resources.vectors)
            .min(self.client.vectors()?);
        if vectors < 2 {
            return Err(Error::Device(format!("{vectors} vectors of 2 or more")));
        }
        self.armed = vec![false; vectors.into()];
        self.fired = 0;
        if self.config.interrupts == InterruptMode::EventFd {
            self.pci.enable_msix(&mut self.client, true)?;
            self.interrupts = Some(Interrupts::assign(&mut self.client, vectors)?);
        }
        self.enable_misc()?;
        Ok(vectors)
    }

    /// Gives the vectors back.
    pub(super) fn close_interrupts(&mut self) -> Result<()> {
        self.armed.clear();
        if self.interrupts.take().is_some() {
            Interrupts::disable(&mut self.client)?;
        }
        Ok(())
    }

    /// Enables the interrupt of the mailbox.
    fn enable_misc(&mut self) -> Result<()> {
        if self.interrupts.is_none() {
            return Ok(());
        }
        self.arm(0)?;
        self.write_register(reg::VFINT_ICR0_ENA, ICR0_ADMINQ)?;
        // The read flushes both.
        self.read_register(reg::VFGEN_RSTAT).map(drop)
    }

    /// Enables the interrupts of all queues, or has the device write back without them.
    pub(super) fn enable_queue_interrupts(&mut self) -> Result<()> {
        for vector in 1..self.armed.len() as u16 {
            if self.interrupts.is_some() {
                self.arm(vector)?;
            } else if self.resources.capabilities & cap::WB_ON_ITR != 0 {
                let value = dyn_ctl::WB_ON_ITR | WRITE_BACK << dyn_ctl::INTERVAL_SHIFT;
                self.write_register(reg::dyn_ctl(vector), value)?;
            }
        }
        Ok(())
    }

    /// Enables the interrupt of a vector, unless it is. What was held until then comes at once.
    ///
    /// # Errors
    /// Fails when the device's side is gone.
    pub fn arm(&mut self, vector: u16) -> Result<()> {
        match self.armed.get_mut(usize::from(vector)) {
            Some(armed) if self.interrupts.is_some() && !*armed => *armed = true,
            _ => return Ok(()),
        }
        let value = dyn_ctl::INTENA | dyn_ctl::ITR_NONE;
        self.write_register(reg::dyn_ctl(vector), value)
    }

    /// Has the device fire a vector of queues, as Linux's watchdog does for a queue that has stalled.
    ///
    /// # Errors
    /// Fails when the device's side is gone.
    pub fn trigger(&mut self, vector: u16) -> Result<()> {
        let value =
            dyn_ctl::INTENA | dyn_ctl::ITR_NONE | dyn_ctl::SWINT_TRIG | dyn_ctl::SW_ITR_INDX_ENA;
        if let Some(armed) = self.armed.get_mut(usize::from(vector)) {
            *armed = true;
        }
        self.write_register(reg::dyn_ctl(vector), value)
    }

    /// Has the interrupts of a pair be so far apart: those of receive, or those of transmit.
    ///
    /// # Errors
    /// Fails when the device's side is gone.
    pub fn set_throttle(&mut self, pair: u16, receive: bool, interval: Duration) -> Result<()> {
        let vector = self.pair(pair).vector;
        let units = (interval.as_micros() / 2).min(0xfff) as u32;
        self.write_register(reg::itr(u64::from(!receive), vector), units)
    }

    /// The vector of a queue, if it has an event.
    pub fn vector_of(&self, queue: u16) -> Option<u16> {
        self.interrupts.as_ref()?;
        let pair = self.pairs.get(usize::from(queue / 2))?;
        Some(pair.vector)
    }

    /// Interrupts of a vector that have come since the last look; others that were waited for are not among them.
    pub fn take_vector(&mut self, vector: u16) -> u64 {
        let count = match &self.interrupts {
            Some(interrupts) => interrupts.take(vector),
            None => 0,
        };
        if let (1.., Some(armed)) = (count, self.armed.get_mut(usize::from(vector))) {
            *armed = false;
        }
        count
    }

    /// The same, added to those that [`NetGuest`](crate::fakevm::net::NetGuest) tells of.
    pub(super) fn collect(&mut self, vector: u16) {
        self.fired += self.take_vector(vector);
    }

    /// Sleeps until a vector fires, the server says something, or `deadline`.
    pub(super) fn sleep(&mut self, vector: u16, deadline: Instant) -> Result<()> {
        self.arm(vector)?;
        if let Some(interrupts) = &self.interrupts {
            interrupts.sleep(vector, self.client.attention(), deadline)?;
            self.take_vector(vector);
        }
        Ok(())
    }

    /// The same for the mailbox, whose cause is read, which takes it back, before the vector is enabled again.
    pub(super) fn sleep_for_mail(&mut self, deadline: Instant) -> Result<()> {
        self.sleep(0, deadline)?;
        if self.armed.first().is_some_and(|armed| !armed) {
            self.read_register(reg::VFINT_ICR0)?;
            self.enable_misc()?;
        }
        Ok(())
    }
}
