//! The driver's side of a packed ring, over a file of its own.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt;

use crate::mem::testutil::guest;
use crate::mem::{GuestMemory, RingPlace};

pub(super) const RAM: u64 = 4 << 20;
pub(super) const DRIVER: u64 = 0x10000;
pub(super) const DEVICE: u64 = 0x10004;
pub(super) const TABLES: u64 = 0x20000;
pub(super) const DATA: u64 = 0x200000;
/// Where one region ends and the next begins.
pub(super) const SEAM: u64 = DATA + 0x1801;
pub(super) const DATA_END: u64 = RAM - 0x10000;

pub(super) const NEXT: u16 = 1;
pub(super) const WRITE: u16 = 2;
pub(super) const INDIRECT: u16 = 4;
pub(super) const AVAIL: u16 = 1 << 7;
pub(super) const USED: u16 = 1 << 15;

/// What the driver keeps of a buffer.
#[derive(Clone, Debug)]
pub(super) struct Buffer {
    pub(super) slots: u16,
    pub(super) parts: Vec<(u64, usize)>,
}

/// The driver's side, written after virtio 1.3 2.8 and not after the code under test.
pub(super) struct Driver {
    pub(super) memory: GuestMemory,
    pub(super) file: File,
    pub(super) size: u16,
    pub(super) next_avail: u16,
    pub(super) avail_wrap: bool,
    pub(super) next_used: u16,
    pub(super) used_wrap: bool,
    pub(super) free: u16,
    pub(super) ids: Vec<u16>,
    pub(super) buffers: HashMap<u16, Buffer>,
    /// Ids in the order in which they were made available.
    pub(super) order: Vec<u16>,
    pub(super) data: u64,
}

impl Driver {
    pub(super) fn new(size: u16) -> Self {
        let (memory, file) = guest(RAM, SEAM);
        Self {
            memory,
            file,
            size,
            next_avail: 0,
            avail_wrap: true,
            next_used: 0,
            used_wrap: true,
            free: size,
            // Names that are no slots, in no order.
            ids: (0..size).map(|i| i.wrapping_mul(0x3331) ^ 0x55).collect(),
            buffers: HashMap::new(),
            order: Vec::new(),
            data: DATA,
        }
    }

    pub(super) fn place(&self) -> RingPlace {
        RingPlace {
            size: self.size,
            descriptors: 0,
            available: DRIVER,
            used: DEVICE,
        }
    }

    pub(super) fn write(&self, at: u64, bytes: &[u8]) {
        self.file.write_all_at(bytes, at).unwrap();
    }

    pub(super) fn read(&self, at: u64, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.file.read_exact_at(&mut bytes, at).unwrap();
        bytes
    }

    pub(super) fn descriptor(&self, at: u64, address: u64, len: u32, id: u16, flags: u16) {
        let mut bytes = address.to_le_bytes().to_vec();
        bytes.extend(len.to_le_bytes());
        bytes.extend(id.to_le_bytes());
        bytes.extend(flags.to_le_bytes());
        self.write(at, &bytes);
    }

    pub(super) fn room(&mut self, len: usize) -> u64 {
        if self.data + len as u64 > DATA_END {
            self.data = DATA;
        }
        let at = self.data;
        self.data += len as u64;
        at
    }

    /// Makes a buffer of elements of these lengths available; `None` when the ring has no room.
    pub(super) fn offer(
        &mut self,
        parts: &[usize],
        flags: u16,
        indirect: bool,
    ) -> Option<(u16, Buffer)> {
        let slots = if indirect { 1 } else { parts.len() as u16 };
        // 2.8.19: no list longer than the ring, in a table neither.
        if slots > self.free || parts.len() > usize::from(self.size) {
            return None;
        }
        let id = self.ids.remove(0);
        let elements: Vec<_> = parts.iter().map(|len| (self.room(*len), *len)).collect();
        let table = TABLES + u64::from(self.next_avail) * 16 * 16;
        let mut written = Vec::new();
        if indirect {
            for (nth, (at, len)) in elements.iter().enumerate() {
                // Everything but WRITE is reserved there, the id too.
                let noise = if nth % 2 == 0 {
                    NEXT | AVAIL
                } else {
                    INDIRECT | USED
                };
                self.descriptor(
                    table + 16 * nth as u64,
                    *at,
                    *len as u32,
                    0xdead,
                    flags | noise,
                );
            }
            written.push((table, 16 * elements.len() as u32, INDIRECT));
        } else {
            for (nth, (at, len)) in elements.iter().enumerate() {
                let more = if nth + 1 < elements.len() { NEXT } else { 0 };
                written.push((*at, *len as u32, flags | more));
            }
        }
        // The first last.
        let places: Vec<_> = written
            .iter()
            .map(|_| {
                let place = (self.next_avail, self.avail_wrap);
                self.next_avail += 1;
                if self.next_avail == self.size {
                    (self.next_avail, self.avail_wrap) = (0, !self.avail_wrap);
                }
                place
            })
            .collect();
        for (nth, ((slot, wrap), (at, len, flags))) in places.iter().zip(&written).enumerate().rev()
        {
            let mark = if *wrap { AVAIL } else { USED };
            let id = if nth + 1 == written.len() { id } else { 0xbad };
            self.descriptor(16 * u64::from(*slot), *at, *len, id, flags | mark);
        }
        self.free -= slots;
        let buffer = Buffer {
            slots,
            parts: elements,
        };
        self.buffers.insert(id, buffer.clone());
        self.order.push(id);
        Some((id, buffer))
    }

    /// Takes the next used buffer: id, length if one is told.
    pub(super) fn poll(&mut self, in_order: bool) -> Option<Vec<(u16, Option<u32>)>> {
        let bytes = self.read(16 * u64::from(self.next_used), 16);
        let word = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        let (id, flags) = (word(12), word(14));
        let bit = |mask: u16| flags & mask != 0;
        if bit(AVAIL) != self.used_wrap || bit(USED) != self.used_wrap {
            return None;
        }
        let len = u32::from_le_bytes(bytes[8..12].try_into().unwrap());
        let len = bit(WRITE).then_some(len);
        let mut taken = Vec::new();
        loop {
            // Without in-order use, the one named; with it, all up to the one named.
            let one = if in_order { self.order[0] } else { id };
            let buffer = self
                .buffers
                .remove(&one)
                .expect("a buffer that is outstanding");
            self.order.retain(|other| *other != one);
            self.ids.push(one);
            self.free += buffer.slots;
            self.next_used += buffer.slots;
            if self.next_used >= self.size {
                self.next_used -= self.size;
                self.used_wrap = !self.used_wrap;
            }
            taken.push((one, len));
            if one == id {
                return Some(taken);
            }
        }
    }

    pub(super) fn poll_all(&mut self, in_order: bool) -> Vec<(u16, Option<u32>)> {
        std::iter::from_fn(|| self.poll(in_order))
            .flatten()
            .collect()
    }

    pub(super) fn set_event(&self, off_wrap: u16, flags: u16) {
        let value = u32::from(off_wrap) | u32::from(flags) << 16;
        self.write(DRIVER, &value.to_le_bytes());
    }

    pub(super) fn device_event(&self) -> (u16, u16) {
        let bytes = self.read(DEVICE, 4);
        let word = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        (word(0), word(2))
    }
}
