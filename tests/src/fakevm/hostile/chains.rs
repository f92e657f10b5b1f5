//! Chains of descriptors that are no chains.

use super::tools::{NOWHERE, bytes, desc, good_frame, lie_tx, memory_end, push_tx, readable};
use crate::fakevm::FakeVm;
use crate::fakevm::error::{Error, Result};
use crate::fakevm::mem::Shared;
use crate::fakevm::net::{NetGuest, tx_queue};
use crate::fakevm::ring::{DESC_INDIRECT, DESC_NEXT, DESC_WRITE};

/// Frames that are sent while their descriptors change.
const CHANGING_FRAMES: usize = 2000;

pub fn cycle(vm: &mut FakeVm) -> Result<()> {
    let (gpa, len) = good_frame(vm)?;
    let lie = [
        desc(0, gpa, len, DESC_NEXT, 1),
        desc(1, gpa, 1, DESC_NEXT, 0),
    ];
    lie_tx(vm, &lie, 0)
}

pub fn empty_self_cycle(vm: &mut FakeVm) -> Result<()> {
    let (gpa, _) = good_frame(vm)?;
    lie_tx(vm, &[desc(0, gpa, 0, DESC_NEXT, 0)], 0)
}

pub fn next_out_of_range(vm: &mut FakeVm) -> Result<()> {
    let (gpa, len) = good_frame(vm)?;
    let size = vm.pair(0).tx.queue().size();
    lie_tx(vm, &[desc(0, gpa, len, DESC_NEXT, size)], 0)
}

pub fn readable_after_writable(vm: &mut FakeVm) -> Result<()> {
    let (gpa, len) = good_frame(vm)?;
    let lie = [
        desc(0, gpa, len, DESC_WRITE | DESC_NEXT, 1),
        desc(1, gpa, len, 0, 0),
    ];
    lie_tx(vm, &lie, 0)
}

pub fn writable_only(vm: &mut FakeVm) -> Result<()> {
    let (gpa, len) = good_frame(vm)?;
    lie_tx(vm, &[desc(0, gpa, len, DESC_WRITE, 0)], 0)
}

pub fn partly_unmapped(vm: &mut FakeVm) -> Result<()> {
    let end = memory_end(vm)?;
    lie_tx(vm, &[desc(0, end - 32, 64, 0, 0)], 0)
}

pub fn unmapped(vm: &mut FakeVm) -> Result<()> {
    lie_tx(vm, &[desc(0, NOWHERE, 64, 0, 0)], 0)
}

pub fn address_wraps(vm: &mut FakeVm) -> Result<()> {
    lie_tx(vm, &[desc(0, u64::MAX - 31, 64, 0, 0)], 0)
}

pub fn total_overflows(vm: &mut FakeVm) -> Result<()> {
    let (gpa, len) = good_frame(vm)?;
    // 2^32 bytes and a few: a sum in 32 bits is the length of a good frame.
    let lie = [
        desc(0, gpa, len, DESC_NEXT, 1),
        desc(1, gpa, u32::MAX, DESC_NEXT, 2),
        desc(2, gpa, 1, 0, 0),
    ];
    lie_tx(vm, &lie, 0)
}

/// Sends good frames while a thread turns one descriptor after the other into rubbish and back.
/// A device that reads a field twice sees two values sooner or later.
pub fn double_fetch(vm: &mut FakeVm) -> Result<()> {
    let (gpa, len) = good_frame(vm)?;
    let size = usize::from(vm.pair(0).tx.queue().size());
    let table = vm.pair(0).tx.queue().split()?.areas()[0].clone();
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let liar = std::thread::spawn(move || {
        use std::sync::mpsc::TryRecvError::Empty;
        while stopped.try_recv() == Err(Empty) {
            flip(&table, size, gpa, len);
        }
    });
    let outcome = send_through(vm, gpa, len);
    drop(stop);
    let joined = liar.join();
    joined.map_err(|_| Error::Memory("the lying thread has panicked".into()))?;
    match outcome {
        // A stopped queue returns nothing more, and rubbish may well have stopped it.
        Err(Error::Timeout { .. } | Error::Memory(_)) => Ok(()),
        other => other,
    }
}

fn flip(table: &Shared, size: usize, gpa: u64, len: u32) {
    let good = u64::from(len);
    for index in 0..size {
        for (address, word) in [
            (gpa, good),
            (gpa, u64::from(u32::MAX)),
            (gpa, good),
            (NOWHERE, good),
            (gpa, good),
            (gpa, good | u64::from(DESC_NEXT) << 32 | 0xffff << 48),
            (gpa, good),
        ] {
            table.store64(index * 16, address);
            table.store64(index * 16 + 8, word);
        }
    }
}

fn send_through(vm: &mut FakeVm, gpa: u64, len: u32) -> Result<()> {
    for _ in 0..CHANGING_FRAMES {
        vm.pair(0).tx.reap()?;
        push_tx(vm, &[readable(gpa, len)])?;
        vm.breathe()?;
    }
    Ok(())
}

/// Writes a table into the second transmit buffer and points descriptor 0 to `len` bytes of it.
fn indirect(vm: &mut FakeVm, entries: &[(u64, u32, u16, u16)], len: u32, flags: u16) -> Result<()> {
    let table = vm.pair(0).tx.buffer_gpa(1);
    let view = bytes(vm, table, entries.len() * 16)?;
    for (nth, (gpa, len, flags, next)) in entries.iter().enumerate() {
        view.write(nth * 16, &gpa.to_le_bytes());
        view.write(nth * 16 + 8, &len.to_le_bytes());
        view.write(nth * 16 + 12, &flags.to_le_bytes());
        view.write(nth * 16 + 14, &next.to_le_bytes());
    }
    lie_tx(vm, &[desc(0, table, len, DESC_INDIRECT | flags, 1)], 0)
}

pub fn indirect_nested(vm: &mut FakeVm) -> Result<()> {
    let table = vm.pair(0).tx.buffer_gpa(1);
    indirect(vm, &[(table, 16, DESC_INDIRECT, 0)], 16, 0)
}

pub fn indirect_with_next(vm: &mut FakeVm) -> Result<()> {
    let (gpa, len) = good_frame(vm)?;
    vm.pair(0).tx.queue().split()?.write_desc(1, gpa, len, 0, 0);
    indirect(vm, &[(gpa, len, 0, 0)], 16, DESC_NEXT)
}

pub fn indirect_uneven(vm: &mut FakeVm) -> Result<()> {
    let (gpa, len) = good_frame(vm)?;
    indirect(vm, &[(gpa, len, 0, 0), (gpa, len, 0, 0)], 24, 0)
}

pub fn indirect_empty(vm: &mut FakeVm) -> Result<()> {
    let (gpa, len) = good_frame(vm)?;
    indirect(vm, &[(gpa, len, 0, 0)], 0, 0)
}

pub fn indirect_long(vm: &mut FakeVm) -> Result<()> {
    let (gpa, len) = good_frame(vm)?;
    let entries = u32::from(vm.pair(0).tx.queue().size()) + 1;
    indirect(vm, &[(gpa, len, 0, 0)], entries * 16, 0)
}

pub fn indirect_leaves_memory(vm: &mut FakeVm) -> Result<()> {
    let (gpa, len) = good_frame(vm)?;
    let last = memory_end(vm)? - 16;
    // The entry in memory goes on in the one behind its end.
    let entry = bytes(vm, last, 16)?;
    entry.write(0, &gpa.to_le_bytes());
    entry.write(
        8,
        &(u64::from(len) | u64::from(DESC_NEXT) << 32 | 1 << 48).to_le_bytes(),
    );
    lie_tx(vm, &[desc(0, last, 64, DESC_INDIRECT, 0)], 0)
}

pub fn indirect_cycle(vm: &mut FakeVm) -> Result<()> {
    let (gpa, len) = good_frame(vm)?;
    indirect(
        vm,
        &[(gpa, len, DESC_NEXT, 1), (gpa, 0, DESC_NEXT, 0)],
        32,
        0,
    )
}

pub fn indirect_unexpected(vm: &mut FakeVm) -> Result<()> {
    let (gpa, len) = good_frame(vm)?;
    indirect(vm, &[(gpa, len, 0, 0)], 16, 0)?;
    // Some devices look only when told again.
    vm.kick(tx_queue(0))
}
