//! Tests.

use nix::sys::eventfd::{EfdFlags, EventFd};

use super::*;

fn connect(table: &mut IrqTable, action: IrqAction) -> EventFd {
    let fd = EventFd::from_flags(EfdFlags::EFD_NONBLOCK).unwrap();
    let theirs = fd.as_fd().try_clone_to_owned().unwrap();
    let data = IrqData::Connect(vec![theirs]);
    table
        .apply(SetIrqs {
            index: 0,
            start: 3,
            count: 1,
            action,
            data,
        })
        .unwrap();
    fd
}

#[test]
fn nothing_connected_is_enoent() {
    let mut table = IrqTable::new();
    assert_eq!(table.trigger(0, 3), Err(Errno::ENOENT));
    table.set_masked(0, 3, true).unwrap();
    assert_eq!(table.trigger(0, 3), Err(Errno::ENOENT));
    assert!(table.unmask_fd(0, 3).is_none());
}

#[test]
fn a_masked_interrupt_fires_once_when_unmasked() {
    let mut table = IrqTable::new();
    let fd = connect(&mut table, IrqAction::Trigger);
    table.set_masked(0, 3, true).unwrap();
    table.trigger(0, 3).unwrap();
    table.trigger(0, 3).unwrap();
    assert!(fd.read().is_err());
    table.set_masked(0, 3, false).unwrap();
    assert_eq!(fd.read(), Ok(1));
    table.set_masked(0, 3, false).unwrap();
    assert!(fd.read().is_err());
}

#[test]
fn clear_disconnects_everything() {
    let mut table = IrqTable::new();
    let _trigger = connect(&mut table, IrqAction::Trigger);
    let _mask = connect(&mut table, IrqAction::Mask);
    table.clear();
    assert_eq!(table.trigger(0, 3), Err(Errno::ENOENT));
}
