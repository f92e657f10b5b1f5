//! Resets of the function while a driver has it, and what the driver does after them.

use std::time::Instant;

use super::AvfVm;
use super::mailbox::Mailbox;
use super::registers::ResetState;
use super::virtchnl::op;
use crate::fakevm::bus::Bus;
use crate::fakevm::error::{Error, Result};
use crate::fakevm::limits::AVF_DETECT_DEADLINE;

impl<B: Bus> AvfVm<B> {
    /// Asks the device to reset itself, and brings it up again. Nothing is answered to that.
    ///
    /// # Errors
    /// Fails when no reset comes, it does not end, or the device does not come up after it.
    pub fn reset(&mut self) -> Result<()> {
        self.post(op::RESET_VF, &[])?;
        self.recover()
    }

    /// Waits for a reset, whoever wants it, and brings the device up again. Frames in the rings are lost.
    ///
    /// # Errors
    /// Fails when no reset comes, it does not end, or the device does not come up after it.
    pub fn recover(&mut self) -> Result<()> {
        self.await_reset()?;
        // Registers say what they said before the reset until they are written.
        self.pci.set_bus_master(&mut self.client, true)?;
        if let Some(mailbox) = &self.mailbox {
            mailbox.stop(&mut self.client)?;
        }
        self.forget()?;
        self.bring_up(false)
    }

    /// Waits until the device has switched the mailbox off, and then until it is there again.
    ///
    /// # Errors
    /// Fails when no reset comes, or it does not end.
    pub fn await_reset(&mut self) -> Result<()> {
        let deadline = Instant::now() + AVF_DETECT_DEADLINE;
        while Mailbox::is_enabled(&mut self.client, self.registers)? {
            if Instant::now() >= deadline {
                let what = "a reset to begin".into();
                return Err(Error::Timeout { what });
            }
            self.breathe()?;
        }
        self.wait_state(|state| state == ResetState::Active)
    }
}
