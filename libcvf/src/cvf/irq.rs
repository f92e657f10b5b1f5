//! `VFIO_USER_DEVICE_SET_IRQS` in terms of interrupt lines.

use std::os::fd::OwnedFd;

use crate::dataplane::{Interrupts, LineError, LineKind};

/// What to do with lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IrqAction {
    /// Set or use the trigger.
    Trigger,
    /// Hold interrupts back.
    Mask,
    /// Let them through.
    Unmask,
}

/// What comes with the action.
#[derive(Debug)]
pub enum IrqData {
    /// Nothing: the action applies to all lines of the range.
    None,
    /// It applies where true.
    Bools(Vec<bool>),
    /// Eventfds, one a line; `None` takes one away.
    Events(Vec<Option<OwnedFd>>),
}

/// A client's request.
#[derive(Debug)]
pub struct IrqRequest {
    /// VFIO interrupt index: 0 INTx, 1 MSI, 2 MSI-X, 3 error, 4 request.
    pub index: u32,
    /// First line.
    pub start: u32,
    /// How many; 0 with a trigger and no data: disable all.
    pub count: u32,
    /// What to do.
    pub action: IrqAction,
    /// With what.
    pub data: IrqData,
}

/// Why it is refused.
#[derive(Debug, thiserror::Error)]
pub enum IrqError {
    /// The device has no such interrupts.
    #[error("interrupt index {0} has no lines on this device")]
    Index(u32),
    /// A line refuses.
    #[error("{0}")]
    Line(#[from] LineError),
}

impl IrqError {
    /// The errno that tells a client.
    pub const fn errno(&self) -> nix::errno::Errno {
        use nix::errno::Errno;
        match self {
            Self::Line(LineError::NoEventFd(_)) => Errno::ENOENT,
            _ => Errno::EINVAL,
        }
    }
}

/// Applies a request. A returned descriptor is the client's way to say "unmask INTx": whoever serves
/// the client calls [`super::Cvf::unmask_intx`] each time it becomes readable.
pub(super) fn apply(
    interrupts: &Interrupts,
    request: IrqRequest,
) -> Result<Option<OwnedFd>, IrqError> {
    let IrqRequest {
        index,
        start,
        count,
        action,
        data,
    } = request;
    let kind = match index {
        0 => LineKind::Intx,
        2 => LineKind::Msix,
        _ if count == 0 => return Ok(None),
        _ => return Err(IrqError::Index(index)),
    };
    match (action, data) {
        (IrqAction::Trigger, IrqData::None) if count == 0 => interrupts.disable(kind),
        (IrqAction::Trigger, IrqData::None) => interrupts.trigger(kind, start, count)?,
        (IrqAction::Trigger, IrqData::Bools(which)) => {
            each(start, &which, |line| interrupts.trigger(kind, line, 1))?;
        }
        (IrqAction::Trigger, IrqData::Events(fds)) => interrupts.set(kind, start, fds)?,
        (IrqAction::Unmask, IrqData::Events(fds)) if kind == LineKind::Intx => {
            return Ok(fds.into_iter().next().flatten());
        }
        (_, IrqData::Events(_)) => return Err(IrqError::Index(index)),
        (mask, IrqData::None) => {
            interrupts.mask(kind, start, count, mask == IrqAction::Mask)?;
        }
        (mask, IrqData::Bools(which)) => {
            let masked = mask == IrqAction::Mask;
            each(start, &which, |line| interrupts.mask(kind, line, 1, masked))?;
        }
    }
    Ok(None)
}

fn each(
    start: u32,
    which: &[bool],
    mut act: impl FnMut(u32) -> Result<(), LineError>,
) -> Result<(), LineError> {
    for line in (start..)
        .zip(which)
        .filter(|(_, yes)| **yes)
        .map(|(line, _)| line)
    {
        act(line)?;
    }
    Ok(())
}
