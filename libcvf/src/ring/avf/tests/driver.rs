//! The driver's side of AVF rings, over a file of its own: written after the data sheets and not after the code under
//! test.

use std::collections::VecDeque;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use crate::mem::GuestMemory;
use crate::mem::testutil::guest;
use crate::ring::{AvfRing, ReceiveFormat, Tail};
use crate::sync::atomic::AtomicBool;

pub(super) const RAM: u64 = 4 << 20;
pub(super) const BASE: u64 = 0x1000;
pub(super) const DATA: u64 = 0x100000;
/// Where one region ends and the next begins.
pub(super) const SEAM: u64 = DATA + 0x1801;
pub(super) const DATA_END: u64 = RAM - 0x10000;

// `cmd` of a transmit data descriptor.
pub(super) const EOP: u64 = 1;
pub(super) const RS: u64 = 2;
pub(super) const IL2TAG1: u64 = 8;
pub(super) const IPV6: u64 = 0x20;
pub(super) const IPV4: u64 = 0x40;
pub(super) const IPV4_CSUM: u64 = 0x60;
pub(super) const TCP: u64 = 0x100;
pub(super) const SCTP: u64 = 0x200;
pub(super) const UDP: u64 = 0x300;
// `cmd` of a context descriptor.
pub(super) const TSO: u64 = 1;
pub(super) const IL2TAG2: u64 = 4;

/// Memory, and where a ring is in it.
pub(super) struct Driver {
    pub(super) memory: GuestMemory,
    pub(super) file: File,
    pub(super) ring: AvfRing,
    /// Bytes of a descriptor.
    stride: u64,
    /// Next descriptor to fill, and the first that is not free again.
    pub(super) next: u16,
    pub(super) clean: u16,
    /// Where reports are awaited.
    pub(super) awaited: VecDeque<u16>,
    data: u64,
    /// Receive: buffers by descriptor.
    pub(super) buffers: Vec<u64>,
}

/// What is said of a frame beside its buffers.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Said {
    pub(super) cmd: u64,
    /// MACLEN, IPLEN and L4LEN in bytes.
    pub(super) lens: (u64, u64, u64),
    pub(super) tag: u64,
    pub(super) context: Option<[u64; 2]>,
}

/// A context descriptor: commands, bytes to cut, bytes of a segment, and a tag.
pub(super) fn context(cmd: u64, len: u64, mss: u64, tag: u64) -> Option<[u64; 2]> {
    Some([tag << 32, 1 | cmd << 4 | len << 30 | mss << 50])
}

/// The second word of a data descriptor.
pub(super) fn data(len: u64, said: &Said, more: u64) -> u64 {
    let (mac, ip, l4) = said.lens;
    (said.cmd | more) << 4
        | (mac / 2) << 16
        | (ip / 4) << 23
        | (l4 / 4) << 30
        | len << 34
        | said.tag << 48
}

/// A frame as it was received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Received {
    pub(super) bytes: Vec<u8>,
    pub(super) descriptors: u16,
    pub(super) tag: Option<u16>,
    pub(super) hash: Option<u32>,
    pub(super) checked: bool,
    pub(super) ptype: u64,
}

impl Driver {
    fn new(size: u16, stride: u64) -> Self {
        let (memory, file) = guest(RAM, SEAM);
        Self {
            memory,
            file,
            ring: AvfRing {
                size,
                base: BASE,
                tail: Tail::new(),
                buffer: 2048,
                longest: 9728,
                strip: Arc::new(AtomicBool::new(false)),
                format: ReceiveFormat::Legacy,
                keep_crc: false,
                uso: false,
            },
            stride,
            next: 0,
            clean: 0,
            awaited: VecDeque::new(),
            data: DATA,
            buffers: vec![0; size.into()],
        }
    }

    pub(super) fn transmit(size: u16) -> Self {
        Self::new(size, 16)
    }

    pub(super) fn receive(size: u16, buffer: u32) -> Self {
        let mut driver = Self::new(size, 32);
        driver.ring.buffer = buffer;
        driver
    }

    pub(super) fn write(&self, at: u64, bytes: &[u8]) {
        self.file.write_all_at(bytes, at).unwrap();
    }

    pub(super) fn read(&self, at: u64, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.file.read_exact_at(&mut bytes, at).unwrap();
        bytes
    }

    pub(super) fn word(&self, index: u16, nth: u64) -> u64 {
        let at = BASE + self.stride * u64::from(index) + 8 * nth;
        u64::from_le_bytes(self.read(at, 8).try_into().unwrap())
    }

    pub(super) fn set(&self, index: u16, words: [u64; 2]) {
        let bytes = words.map(u64::to_le_bytes).concat();
        self.write(BASE + self.stride * u64::from(index), &bytes);
    }

    fn room(&mut self, len: usize) -> u64 {
        if self.data + len as u64 > DATA_END {
            self.data = DATA;
        }
        let at = self.data;
        self.data += len as u64;
        at
    }

    /// Writes the tail.
    pub(super) fn kick(&self) {
        self.ring.tail.set(self.next.into());
    }

    /// Descriptors that can be filled: one is always left.
    pub(super) fn free(&self) -> u16 {
        let size = self.ring.size;
        (self.clean + size - self.next - 1) % size
    }

    fn put(&mut self, words: [u64; 2]) -> u16 {
        let at = self.next;
        self.set(at, words);
        self.next = (at + 1) % self.ring.size;
        at
    }

    /// Puts a frame into the ring, in parts of these lengths, the tail not written; where its parts lie. `None`: there is
    /// no room.
    pub(super) fn send(
        &mut self,
        bytes: &[u8],
        parts: &[usize],
        said: Said,
    ) -> Option<Vec<(u64, usize)>> {
        let slots = parts.len() + usize::from(said.context.is_some());
        if slots > self.free().into() {
            return None;
        }
        if let Some(words) = said.context {
            self.put(words);
        }
        let (mut at, mut places) = (0, Vec::new());
        for (nth, len) in parts.iter().enumerate() {
            let place = self.room(*len);
            self.write(place, &bytes[at..at + len]);
            at += len;
            // What is said is in every descriptor; the end, and the report, in the last.
            let last = nth + 1 == parts.len();
            let more = if last { EOP } else { 0 };
            let asked = Said {
                cmd: if last { said.cmd } else { said.cmd & !RS },
                ..said
            };
            let index = self.put([place, data(*len as u64, &asked, more)]);
            if last && said.cmd & RS != 0 {
                self.awaited.push_back(index);
            }
            places.push((place, *len));
        }
        assert_eq!(at, bytes.len());
        Some(places)
    }

    /// A frame in one part, told of at once.
    pub(super) fn send_one(&mut self, bytes: &[u8], said: Said) -> Vec<(u64, usize)> {
        let places = self.send(bytes, &[bytes.len()], said).unwrap();
        self.kick();
        places
    }

    pub(super) fn is_done(&self, index: u16) -> bool {
        self.word(index, 1) & 0xf == 0xf
    }

    /// Looks at the reports that it waits for, in order.
    pub(super) fn reap(&mut self) -> Vec<u16> {
        let mut done = Vec::new();
        while let Some(index) = self.awaited.front().copied().filter(|at| self.is_done(*at)) {
            self.clean = (index + 1) % self.ring.size;
            done.push(index);
            self.awaited.pop_front();
        }
        done
    }

    /// Posts receive buffers; how many there was room for.
    pub(super) fn post(&mut self, count: u16) -> u16 {
        let count = count.min(self.free());
        for _ in 0..count {
            let place = self.room(self.ring.buffer as usize);
            self.buffers[usize::from(self.next)] = place;
            // What it was before is not cleared but for what says that it is done.
            self.put([place, 0]);
        }
        self.kick();
        count
    }

    /// Takes the next frame, if all of it is there.
    pub(super) fn poll(&mut self) -> Option<Received> {
        let (mut at, mut bytes, mut descriptors) = (self.clean, Vec::new(), 0);
        loop {
            // What is behind the tail says what it said before.
            if at == self.next {
                return None;
            }
            let (first, second) = (self.word(at, 0), self.word(at, 1));
            if second & 1 == 0 {
                return None;
            }
            let flex = self.ring.format == ReceiveFormat::Flex;
            let len = if flex {
                assert_eq!(first & 0xff, 2, "the format");
                (first >> 32 & 0x3fff) as usize
            } else {
                (second >> 38 & 0x3fff) as usize
            };
            assert!(len <= self.ring.buffer as usize);
            bytes.extend(self.read(self.buffers[usize::from(at)], len));
            at = (at + 1) % self.ring.size;
            descriptors += 1;
            if second & 2 == 0 {
                assert_eq!(len, self.ring.buffer as usize, "only the last is not full");
                continue;
            }
            self.clean = at;
            if flex {
                assert_eq!(second & 0x4fe0, 0, "no error bits");
                return Some(Received {
                    bytes,
                    descriptors,
                    tag: (second >> 13 & 1 != 0).then_some((second >> 16) as u16),
                    hash: (second >> 12 & 1 != 0).then_some((second >> 32) as u32),
                    checked: second & 8 != 0,
                    ptype: first >> 16 & 0x3ff,
                });
            }
            assert_eq!(second >> 19 & 0xff, 0, "no error bits");
            return Some(Received {
                bytes,
                descriptors,
                tag: (second & 4 != 0).then_some((first >> 16) as u16),
                hash: (second >> 12 & 3 == 3).then_some((first >> 32) as u32),
                checked: second & 8 != 0,
                ptype: second >> 30 & 0xff,
            });
        }
    }

    pub(super) fn poll_all(&mut self) -> Vec<Received> {
        std::iter::from_fn(|| self.poll()).collect()
    }
}

/// Cuts `total` into `count` parts, none of them empty.
pub(super) fn cut(total: usize, cuts: &[usize]) -> Vec<usize> {
    let mut at: Vec<usize> = cuts.iter().map(|cut| 1 + cut % (total - 1)).collect();
    at.extend([0, total]);
    at.sort_unstable();
    at.dedup();
    at.windows(2).map(|pair| pair[1] - pair[0]).collect()
}
