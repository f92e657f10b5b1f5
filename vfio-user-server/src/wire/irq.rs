//! DEVICE_SET_IRQS.

use std::os::fd::OwnedFd;

use vfio_bindings::bindings::vfio;

use super::WireError;
use super::bytes::{Reader, check_argsz, fixed};
use crate::limits;

const HEAD_SIZE: usize = 20;

/// What is done to interrupts (`VFIO_IRQ_SET_ACTION_*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IrqAction {
    /// Mask, or connect an eventfd that masks.
    Mask,
    /// Unmask, or connect an eventfd that unmasks.
    Unmask,
    /// Trigger, or connect an eventfd that is signalled when the device triggers.
    Trigger,
}

/// The data type bits (`VFIO_IRQ_SET_DATA_*`), with the booleans where there are any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IrqDataKind {
    /// The action applies to each.
    None,
    /// The action applies where the boolean is true.
    Bool(Vec<bool>),
    /// Eventfds come with the message, or none at all.
    EventFd,
}

/// What a validated SET_IRQS does. `start..start + count` exists unless it is `DisableAll`.
#[derive(Debug)]
pub enum IrqData {
    /// Disconnect every interrupt of this index (TRIGGER, DATA_NONE, count 0).
    DisableAll,
    /// Apply the action to every interrupt of the range, now.
    All,
    /// Apply the action where true; one boolean for each interrupt of the range.
    Where(Vec<bool>),
    /// Connect one eventfd to each interrupt of the range, replacing earlier ones.
    Connect(Vec<OwnedFd>),
    /// Disconnect the action's eventfd from every interrupt of the range.
    Disconnect,
}

/// A validated SET_IRQS.
#[derive(Debug)]
pub struct SetIrqs {
    /// The interrupt type (`VFIO_PCI_*_IRQ_INDEX`).
    pub index: u32,
    /// First interrupt.
    pub start: u32,
    /// How many; 0 only with [`IrqData::DisableAll`].
    pub count: u32,
    /// Mask, unmask or trigger.
    pub action: IrqAction,
    /// To which of them, and with what.
    pub data: IrqData,
}

/// The bytes of a DEVICE_SET_IRQS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetIrqsBody {
    /// The interrupt type.
    pub index: u32,
    /// First interrupt.
    pub start: u32,
    /// How many.
    pub count: u32,
    /// Mask, unmask or trigger.
    pub action: IrqAction,
    /// The data.
    pub data: IrqDataKind,
}

impl SetIrqsBody {
    /// Reads the body of a DEVICE_SET_IRQS.
    ///
    /// # Errors
    /// Short bodies, `argsz` below 20, not exactly one action and one data type, booleans that are
    /// not `count` bytes.
    pub fn parse(body: &[u8]) -> Result<Self, WireError> {
        let (head, data) = fixed::<HEAD_SIZE>(body)?;
        let mut reader = Reader::new(head);
        let (argsz, flags) = (reader.u32(), reader.u32());
        let (index, start, count) = (reader.u32(), reader.u32(), reader.u32());
        check_argsz(argsz, HEAD_SIZE as u64, u64::from(u32::MAX))?;
        let known = vfio::VFIO_IRQ_SET_ACTION_TYPE_MASK | vfio::VFIO_IRQ_SET_DATA_TYPE_MASK;
        if flags & !known != 0 {
            return Err(WireError::Flags(flags));
        }
        let action = match flags & vfio::VFIO_IRQ_SET_ACTION_TYPE_MASK {
            vfio::VFIO_IRQ_SET_ACTION_MASK => IrqAction::Mask,
            vfio::VFIO_IRQ_SET_ACTION_UNMASK => IrqAction::Unmask,
            vfio::VFIO_IRQ_SET_ACTION_TRIGGER => IrqAction::Trigger,
            _ => return Err(WireError::Flags(flags)),
        };
        let data = match flags & vfio::VFIO_IRQ_SET_DATA_TYPE_MASK {
            vfio::VFIO_IRQ_SET_DATA_NONE => IrqDataKind::None,
            vfio::VFIO_IRQ_SET_DATA_BOOL => IrqDataKind::Bool(booleans(data, count)?),
            vfio::VFIO_IRQ_SET_DATA_EVENTFD => IrqDataKind::EventFd,
            _ => return Err(WireError::Flags(flags)),
        };
        Ok(Self {
            index,
            start,
            count,
            action,
            data,
        })
    }
}

fn booleans(data: &[u8], count: u32) -> Result<Vec<bool>, WireError> {
    if count > limits::MAX_IRQ_BOOLS {
        return Err(WireError::TooMany {
            field: "count",
            value: u64::from(count),
            limit: u64::from(limits::MAX_IRQ_BOOLS),
        });
    }
    if data.len() != count as usize {
        return Err(WireError::Length {
            want: u64::from(count) + HEAD_SIZE as u64,
            have: data.len() + HEAD_SIZE,
        });
    }
    Ok(data.iter().map(|&byte| byte != 0).collect())
}
