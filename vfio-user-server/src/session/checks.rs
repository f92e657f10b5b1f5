//! Requests against the device's description.

use std::os::fd::OwnedFd;

use super::refused::Refused;
use crate::describe::{Description, Irq, Region};
use crate::wire::{IrqAction, IrqDataKind, RegionAccessBody};

pub(super) fn no_fds(fds: &[OwnedFd]) -> Result<(), Refused> {
    if fds.is_empty() {
        return Ok(());
    }
    Err(Refused::UnexpectedFds {
        got: fds.len(),
        want: 0,
    })
}

pub(super) fn at_most_one(fds: &[OwnedFd]) -> Result<(), Refused> {
    if fds.len() <= 1 {
        return Ok(());
    }
    Err(Refused::UnexpectedFds {
        got: fds.len(),
        want: 1,
    })
}

/// Checks that a range can exist in a file.
pub(super) fn file_range(offset: u64, size: u64) -> Result<(), Refused> {
    match offset.checked_add(size).map(i64::try_from) {
        Some(Ok(_)) => Ok(()),
        _ => Err(Refused::FileOffset { offset, size }),
    }
}

pub(super) fn region(description: &Description, index: u32) -> Result<&Region, Refused> {
    let regions = description.regions();
    regions.get(index as usize).ok_or(Refused::NoRegion {
        index,
        count: regions.len(),
    })
}

pub(super) fn irq(description: &Description, index: u32) -> Result<Irq, Refused> {
    let irqs = description.irqs();
    irqs.get(index as usize).copied().ok_or(Refused::NoIrqType {
        index,
        count: irqs.len(),
    })
}

/// Checks a region access. One of no bytes is fine anywhere inside or at the end.
pub(super) fn access(
    description: &Description,
    access: RegionAccessBody,
    max_transfer: u32,
    write: bool,
) -> Result<(), Refused> {
    let RegionAccessBody {
        offset,
        region: index,
        count,
    } = access;
    let region = region(description, index)?;
    if write && !region.writable {
        return Err(Refused::NotWritable(index));
    }
    if !write && !region.readable {
        return Err(Refused::NotReadable(index));
    }
    if count > max_transfer {
        return Err(Refused::Transfer {
            count,
            limit: max_transfer,
        });
    }
    let inside = offset
        .checked_add(u64::from(count))
        .is_some_and(|end| end <= region.size);
    if !inside {
        return Err(Refused::OutOfRegion {
            region: index,
            offset,
            count,
            size: region.size,
        });
    }
    let natural =
        matches!(count, 0 | 1 | 2 | 4 | 8) && offset.is_multiple_of(u64::from(count.max(1)));
    if region.registers_only && !natural {
        return Err(Refused::Width {
            region: index,
            offset,
            count,
        });
    }
    Ok(())
}

/// Interrupts that a SET_IRQS names.
#[derive(Clone, Copy)]
pub(super) struct IrqRange {
    pub(super) index: u32,
    pub(super) start: u32,
    pub(super) count: u32,
}

/// Checks a SET_IRQS; true if it disables the whole type.
pub(super) fn irq_range(
    irq: Irq,
    range: IrqRange,
    action: IrqAction,
    data: &IrqDataKind,
) -> Result<bool, Refused> {
    let IrqRange {
        index,
        start,
        count,
    } = range;
    let inside = start < irq.count && start.checked_add(count).is_some_and(|end| end <= irq.count);
    if !inside {
        return Err(Refused::NoIrq {
            index,
            start,
            count,
            have: irq.count,
        });
    }
    if action != IrqAction::Trigger && !irq.maskable {
        return Err(Refused::NotMaskable(index));
    }
    if count > 0 {
        return Ok(false);
    }
    if start == 0 && action == IrqAction::Trigger && *data == IrqDataKind::None {
        Ok(true)
    } else {
        Err(Refused::IrqCountZero)
    }
}
