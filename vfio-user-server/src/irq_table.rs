//! Where a device's interrupts go: the eventfds of one connection.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};

use crate::errno::Errno;
use crate::eventfd::{set_nonblocking, signal};
use crate::wire::{IrqAction, IrqData, SetIrqs};

#[derive(Debug, Default)]
struct Line {
    trigger: Option<OwnedFd>,
    // Kept for the client's sake; a device that polls them unmasks without a message.
    mask: Option<OwnedFd>,
    unmask: Option<OwnedFd>,
    masked: bool,
    pending: bool,
}

/// Applies SET_IRQS and triggers interrupts. For devices that need no more than that; not for a data
/// path, which wants the eventfd itself.
#[derive(Debug, Default)]
pub struct IrqTable {
    lines: BTreeMap<(u32, u32), Line>,
}

impl IrqTable {
    /// A table with nothing connected.
    pub fn new() -> Self {
        Self::default()
    }

    /// Applies a SET_IRQS.
    ///
    /// # Errors
    /// What writing an eventfd says.
    pub fn apply(&mut self, irqs: SetIrqs) -> Result<(), Errno> {
        let SetIrqs {
            index,
            start,
            count,
            action,
            data,
        } = irqs;
        let numbers = start..start.saturating_add(count);
        match data {
            IrqData::DisableAll => self.lines.retain(|&(other, _), _| other != index),
            IrqData::Connect(fds) => {
                for (number, fd) in numbers.zip(fds) {
                    set_nonblocking(fd.as_fd())?;
                    *self.fd(index, number, action) = Some(fd);
                }
            }
            IrqData::Disconnect => {
                for number in numbers {
                    *self.fd(index, number, action) = None;
                }
            }
            IrqData::All => {
                for number in numbers {
                    self.act(index, number, action)?;
                }
            }
            IrqData::Where(bools) => {
                for (number, _) in numbers.zip(bools).filter(|&(_, chosen)| chosen) {
                    self.act(index, number, action)?;
                }
            }
        }
        Ok(())
    }

    /// Triggers interrupt `number` of type `index`. A masked one is kept pending until unmasked.
    ///
    /// # Errors
    /// `ENOENT` if the client has connected nothing to it.
    pub fn trigger(&mut self, index: u32, number: u32) -> Result<(), Errno> {
        let line = self.lines.get_mut(&(index, number)).ok_or(Errno::ENOENT)?;
        if line.trigger.is_none() {
            return Err(Errno::ENOENT);
        }
        line.trigger()
    }

    /// The eventfd on which the client announces that it unmasks interrupt `number` of type `index`.
    pub fn unmask_fd(&self, index: u32, number: u32) -> Option<&OwnedFd> {
        self.lines.get(&(index, number))?.unmask.as_ref()
    }

    /// Masks or unmasks as if the client had said so.
    ///
    /// # Errors
    /// What writing an eventfd says.
    pub fn set_masked(&mut self, index: u32, number: u32, masked: bool) -> Result<(), Errno> {
        let action = if masked {
            IrqAction::Mask
        } else {
            IrqAction::Unmask
        };
        self.act(index, number, action)
    }

    /// Disconnects everything.
    pub fn clear(&mut self) {
        self.lines.clear();
    }

    fn line(&mut self, index: u32, number: u32) -> &mut Line {
        self.lines.entry((index, number)).or_default()
    }

    fn fd(&mut self, index: u32, number: u32, action: IrqAction) -> &mut Option<OwnedFd> {
        let line = self.line(index, number);
        match action {
            IrqAction::Trigger => &mut line.trigger,
            IrqAction::Mask => &mut line.mask,
            IrqAction::Unmask => &mut line.unmask,
        }
    }

    fn act(&mut self, index: u32, number: u32, action: IrqAction) -> Result<(), Errno> {
        let line = self.line(index, number);
        match action {
            IrqAction::Trigger => line.trigger(),
            IrqAction::Mask => {
                line.masked = true;
                Ok(())
            }
            IrqAction::Unmask => {
                line.masked = false;
                if std::mem::take(&mut line.pending) {
                    line.trigger()
                } else {
                    Ok(())
                }
            }
        }
    }
}

impl Line {
    fn trigger(&mut self) -> Result<(), Errno> {
        if self.masked {
            self.pending = true;
            return Ok(());
        }
        match &self.trigger {
            Some(fd) => signal(fd.as_fd()),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
