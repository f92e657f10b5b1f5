//! Packed rings that are none.

use super::tools::{NOWHERE, bytes, good_frame, memory_end};
use crate::fakevm::FakeVm;
use crate::fakevm::error::{Error, Result};
use crate::fakevm::mem::Shared;
use crate::fakevm::net::{NetGuest, rx_queue, tx_queue};
use crate::fakevm::ring::packed::{DESC_AVAIL, DESC_USED, Place};
use crate::fakevm::ring::{DESC_INDIRECT, DESC_NEXT, DESC_WRITE, PackedQueue};

/// Frames that are sent while their descriptors change.
const CHANGING_FRAMES: usize = 2000;

/// Address, length and flags of a descriptor, without what marks it available.
type Desc = (u64, u32, u16);

/// Writes descriptors where the device looks next, all of them available, the first last.
fn place(queue: &PackedQueue, at: Place, descs: &[Desc]) {
    let size = queue.layout().size;
    for (nth, (gpa, len, flags)) in descs.iter().enumerate().rev() {
        let slot = at.after(nth as u16, size);
        queue.write_slot(slot.index, *gpa, *len, 0, flags | slot.available());
    }
}

fn lie_tx(vm: &mut FakeVm, descs: &[Desc]) -> Result<()> {
    let queue = vm.pair(0).tx.queue().packed()?;
    place(queue, queue.next_avail(), descs);
    vm.kick(tx_queue(0))
}

/// The receive ring was filled and nothing received: where the next buffer would be posted, one turn
/// on, is where the device looks for its first.
fn lie_rx(vm: &mut FakeVm, descs: &[Desc]) -> Result<()> {
    let queue = vm.pair(0).rx.queue().packed()?;
    // What came meanwhile is taken, so that the position is known.
    queue.returned()?;
    let at = queue.next_used();
    place(queue, at, descs);
    vm.kick(rx_queue(0))
}

pub fn longer_than_the_ring(vm: &mut FakeVm) -> Result<()> {
    let (gpa, len) = good_frame(vm)?;
    let size = usize::from(vm.pair(0).tx.queue().size());
    lie_tx(vm, &vec![(gpa, len, DESC_NEXT); size])
}

pub fn into_nothing(vm: &mut FakeVm) -> Result<()> {
    let (gpa, len) = good_frame(vm)?;
    lie_tx(vm, &[(gpa, len, DESC_NEXT)])
}

pub fn writable(vm: &mut FakeVm) -> Result<()> {
    let (gpa, len) = good_frame(vm)?;
    lie_tx(vm, &[(gpa, len, DESC_NEXT), (gpa, len, DESC_WRITE)])
}

pub fn unmapped(vm: &mut FakeVm) -> Result<()> {
    lie_tx(vm, &[(NOWHERE, 64, 0)])
}

pub fn partly_unmapped(vm: &mut FakeVm) -> Result<()> {
    let end = memory_end(vm)?;
    lie_tx(vm, &[(end - 32, 64, 0)])
}

pub fn address_wraps(vm: &mut FakeVm) -> Result<()> {
    lie_tx(vm, &[(u64::MAX - 31, 64, 0)])
}

pub fn total_overflows(vm: &mut FakeVm) -> Result<()> {
    let (gpa, len) = good_frame(vm)?;
    lie_tx(
        vm,
        &[
            (gpa, len, DESC_NEXT),
            (gpa, u32::MAX, DESC_NEXT),
            (gpa, 1, 0),
        ],
    )
}

/// One raw word of flags where the device looks next.
fn flagged(vm: &mut FakeVm, flags: impl FnOnce(Place) -> u16) -> Result<()> {
    let (gpa, len) = good_frame(vm)?;
    let queue = vm.pair(0).tx.queue().packed()?;
    let at = queue.next_avail();
    queue.write_slot(at.index, gpa, len, 0, flags(at));
    vm.kick(tx_queue(0))
}

pub fn used_already(vm: &mut FakeVm) -> Result<()> {
    flagged(vm, |_| DESC_AVAIL | DESC_USED)
}

pub fn other_turn(vm: &mut FakeVm) -> Result<()> {
    flagged(vm, |at| at.available() ^ (DESC_AVAIL | DESC_USED))
}

/// Everything available twice over, in both turns: the device may send what is there, and no more
/// than a ring of it at a time.
pub fn flags_run_ahead(vm: &mut FakeVm) -> Result<()> {
    let (gpa, len) = good_frame(vm)?;
    for _ in 0..8 {
        let queue = vm.pair(0).tx.queue().packed()?;
        for slot in 0..queue.layout().size {
            queue.write_slot(slot, gpa, len, 0, DESC_AVAIL);
        }
        for slot in 0..queue.layout().size {
            queue.write_slot(slot, gpa, len, 0, DESC_USED);
        }
        vm.kick(tx_queue(0))?;
    }
    Ok(())
}

pub fn name_of_no_buffer(vm: &mut FakeVm) -> Result<()> {
    let (gpa, len) = good_frame(vm)?;
    let queue = vm.pair(0).tx.queue().packed()?;
    let at = queue.next_avail();
    queue.write_slot(at.index, gpa, len, 0xffff, at.available());
    vm.kick(tx_queue(0))
}

pub fn event_beyond_the_ring(vm: &mut FakeVm) -> Result<()> {
    for (off_wrap, flags) in [(0x7fff, 2), (0xffff, 2), (0xffff, 0xffff), (0, 3)] {
        let (gpa, len) = good_frame(vm)?;
        let queue = vm.pair(0).tx.queue().packed()?;
        queue.write_event(off_wrap, flags);
        super::tools::push_tx(vm, &[super::tools::readable(gpa, len)])?;
    }
    Ok(())
}

/// Writes a table into the second transmit buffer and points a descriptor to `len` bytes of it.
fn indirect(vm: &mut FakeVm, entries: &[Desc], len: u32, more: &[Desc], flags: u16) -> Result<()> {
    let table = vm.pair(0).tx.buffer_gpa(1);
    let view = bytes(vm, table, entries.len() * 16)?;
    for (nth, (gpa, len, flags)) in entries.iter().enumerate() {
        view.write(nth * 16, &gpa.to_le_bytes());
        view.write(nth * 16 + 8, &len.to_le_bytes());
        view.write(nth * 16 + 12, &[0, 0]);
        view.write(nth * 16 + 14, &flags.to_le_bytes());
    }
    let mut descs = vec![(table, len, DESC_INDIRECT | flags)];
    descs.extend(more);
    lie_tx(vm, &descs)
}

pub fn indirect_with_next(vm: &mut FakeVm) -> Result<()> {
    let (gpa, len) = good_frame(vm)?;
    indirect(vm, &[(gpa, len, 0)], 16, &[(gpa, len, 0)], DESC_NEXT)
}

/// Flags other than `WRITE` are reserved in a table and ignored, an indirect one too.
pub fn indirect_flags(vm: &mut FakeVm) -> Result<()> {
    let (gpa, len) = good_frame(vm)?;
    let flags = DESC_NEXT | DESC_INDIRECT | DESC_AVAIL | DESC_USED;
    indirect(vm, &[(gpa, len, flags)], 16, &[], 0)
}

pub fn indirect_uneven(vm: &mut FakeVm) -> Result<()> {
    let (gpa, len) = good_frame(vm)?;
    indirect(vm, &[(gpa, len, 0), (gpa, len, 0)], 24, &[], 0)
}

pub fn indirect_empty(vm: &mut FakeVm) -> Result<()> {
    let (gpa, len) = good_frame(vm)?;
    indirect(vm, &[(gpa, len, 0)], 0, &[], 0)
}

pub fn indirect_long(vm: &mut FakeVm) -> Result<()> {
    let (gpa, len) = good_frame(vm)?;
    let entries = u32::from(vm.pair(0).tx.queue().size()) + 1;
    indirect(vm, &[(gpa, len, 0)], entries * 16, &[], 0)
}

pub fn indirect_leaves_memory(vm: &mut FakeVm) -> Result<()> {
    let last = memory_end(vm)? - 16;
    lie_tx(vm, &[(last, 64, DESC_INDIRECT)])
}

pub fn indirect_unexpected(vm: &mut FakeVm) -> Result<()> {
    let (gpa, len) = good_frame(vm)?;
    indirect(vm, &[(gpa, len, 0)], 16, &[], 0)
}

/// Sends good frames while a thread turns one descriptor after the other into rubbish and back.
pub fn double_fetch(vm: &mut FakeVm) -> Result<()> {
    let (gpa, len) = good_frame(vm)?;
    let size = usize::from(vm.pair(0).tx.queue().size());
    let ring = vm.pair(0).tx.queue().areas()[0].clone();
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let liar = std::thread::spawn(move || {
        use std::sync::mpsc::TryRecvError::Empty;
        while stopped.try_recv() == Err(Empty) {
            flip(&ring, size, gpa, len);
        }
    });
    let mut outcome = Ok(());
    for _ in 0..CHANGING_FRAMES {
        outcome = vm.kick(tx_queue(0)).and_then(|()| vm.breathe());
        if outcome.is_err() {
            break;
        }
    }
    drop(stop);
    let joined = liar.join();
    joined.map_err(|_| Error::Memory("the lying thread has panicked".into()))?;
    outcome
}

fn flip(ring: &Shared, size: usize, gpa: u64, len: u32) {
    for index in 0..size {
        for mark in [DESC_AVAIL, DESC_USED] {
            for (address, len, flags) in [
                (gpa, len, 0),
                (gpa, u32::MAX, 0),
                (NOWHERE, len, 0),
                (gpa, len, DESC_NEXT),
                (gpa, len, DESC_INDIRECT),
                (gpa, len, DESC_WRITE),
                (gpa, len, 0),
            ] {
                ring.store64(index * 16, address);
                let word = u64::from(len) | u64::from(flags | mark) << 48;
                ring.store64(index * 16 + 8, word);
            }
        }
    }
}

pub fn receive_readable(vm: &mut FakeVm) -> Result<()> {
    let gpa = vm.pair(0).rx.buffer_gpa(0);
    lie_rx(vm, &[(gpa, 2048, 0)])
}

pub fn receive_unmapped(vm: &mut FakeVm) -> Result<()> {
    lie_rx(vm, &[(NOWHERE, 2048, DESC_WRITE)])
}

pub fn receive_crumbs(vm: &mut FakeVm) -> Result<()> {
    let gpa = vm.pair(0).rx.buffer_gpa(0);
    let size = usize::from(vm.pair(0).rx.queue().size());
    lie_rx(vm, &vec![(gpa, 1, DESC_WRITE); size])
}

/// Whatever is received is written over the ring itself.
pub fn receive_on_top_of_the_ring(vm: &mut FakeVm) -> Result<()> {
    let ring = vm.pair(0).rx.queue().layout().desc;
    lie_rx(vm, &[(ring, 2048, DESC_WRITE)])
}

pub fn receive_longer_than_the_ring(vm: &mut FakeVm) -> Result<()> {
    let gpa = vm.pair(0).rx.buffer_gpa(0);
    let size = usize::from(vm.pair(0).rx.queue().size());
    lie_rx(vm, &vec![(gpa, 1, DESC_WRITE | DESC_NEXT); size])
}
