use std::fs::File;
use std::os::unix::fs::FileExt;

use proptest::prelude::*;

use super::*;
use crate::limits::{BURST, FLOW_COPY, HEADER_COPY};
use crate::mem::testutil::guest;
use crate::mem::{GuestMemory, RingPlace};
use crate::offload::{FrameHash, PackedMeta};

const SIZE: u16 = 64;
const RAM: u64 = 1 << 20;
const AVAILABLE: u64 = 0x1000;
const USED: u64 = 0x2000;
const TABLES: u64 = 0x4000;
const DATA: u64 = 0x10000;

/// The driver's side: a ring in a file, filled by hand.
struct Driver {
    memory: GuestMemory,
    file: File,
    free: u16,
    available: u16,
    data: u64,
}

impl Driver {
    fn new() -> Self {
        let (memory, file) = guest(RAM, RAM / 2);
        Self {
            memory,
            file,
            free: 0,
            available: 0,
            data: DATA,
        }
    }

    fn place() -> RingPlace {
        RingPlace {
            size: SIZE,
            descriptors: 0,
            available: AVAILABLE,
            used: USED,
        }
    }

    fn write(&self, at: u64, bytes: &[u8]) {
        self.file.write_all_at(bytes, at).unwrap();
    }

    fn read(&self, at: u64, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.file.read_exact_at(&mut bytes, at).unwrap();
        bytes
    }

    fn descriptor(&self, table: u64, slot: u16, at: u64, len: u32, flags: u16, next: u16) {
        let mut bytes = at.to_le_bytes().to_vec();
        bytes.extend(len.to_le_bytes());
        bytes.extend(flags.to_le_bytes());
        bytes.extend(next.to_le_bytes());
        self.write(table + 16 * u64::from(slot), &bytes);
    }

    /// Makes a chain of buffers of these lengths available; returns head and buffers.
    fn offer(&mut self, parts: &[usize], flags: u16, indirect: bool) -> (u16, Vec<(u64, usize)>) {
        let head = self.free % SIZE;
        let mut buffers = Vec::new();
        let table = if indirect {
            TABLES + u64::from(head) * 16 * 64
        } else {
            0
        };
        for (index, len) in parts.iter().enumerate() {
            let slot = if indirect {
                index as u16
            } else {
                (self.free + index as u16) % SIZE
            };
            let next = if indirect {
                slot + 1
            } else {
                (slot + 1) % SIZE
            };
            let more = u16::from(index + 1 < parts.len());
            self.descriptor(table, slot, self.data, *len as u32, flags | more, next);
            buffers.push((self.data, *len));
            self.data += *len as u64;
        }
        if indirect {
            self.descriptor(0, head, table, 16 * parts.len() as u32, 4, 0);
            self.free += 1;
        } else {
            self.free += parts.len() as u16;
        }
        self.write(
            AVAILABLE + 4 + 2 * u64::from(self.available % SIZE),
            &head.to_le_bytes(),
        );
        self.available += 1;
        self.write(AVAILABLE + 2, &self.available.to_le_bytes());
        (head, buffers)
    }

    fn used(&self) -> u16 {
        let bytes = self.read(USED + 2, 2);
        u16::from_le_bytes([bytes[0], bytes[1]])
    }

    fn used_entry(&self, index: u16) -> (u32, u32) {
        let bytes = self.read(USED + 4 + 8 * u64::from(index % SIZE), 8);
        let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
        (word(0), word(4))
    }
}

/// Cuts `total` into parts at arbitrary places.
fn cut(total: usize, cuts: &[usize]) -> Vec<usize> {
    let mut at: Vec<usize> = cuts.iter().map(|c| c % total).collect();
    at.extend([0, total]);
    at.sort_unstable();
    at.windows(2).map(|w| w[1] - w[0]).collect()
}

fn features() -> impl Strategy<Value = RingFeatures> {
    (any::<bool>(), any::<bool>(), any::<bool>()).prop_map(|(event_idx, merge, hash_report)| {
        RingFeatures {
            event_idx,
            indirect: true,
            merge,
            hash_report,
            in_order: false,
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// virtio 1.3 2.7.4.2: no assumption about how a frame is cut into descriptors.
    #[test]
    fn frames_are_taken_as_they_were_made(
        features in features(),
        frames in prop::collection::vec(
            (14usize..3000, prop::collection::vec(any::<usize>(), 0..6), any::<bool>()), 1..9),
    ) {
        let mut driver = Driver::new();
        let mut made = Vec::new();
        let front = features.header_len();
        for (number, (len, cuts, indirect)) in frames.iter().enumerate() {
            let bytes: Vec<u8> = (0..front + len).map(|i| if i < front { 0 } else { (i * 31 + number) as u8 }).collect();
            let (head, buffers) = driver.offer(&cut(bytes.len(), cuts), 0, *indirect);
            let mut at = 0;
            for (address, len) in buffers {
                driver.write(address, &bytes[at..at + len]);
                at += len;
            }
            made.push((head, bytes[front..].to_vec()));
        }
        let regions = driver.memory.load();
        let mut ring = SplitTransmit::new(Driver::place(), features, &regions).unwrap();
        let unread = ring.lone(&regions);
        let lone = unread.and_then(|unread| unread.look());
        let [(len, cuts, indirect), ..] = &frames[..] else { unreachable!() };
        let usual = *len >= FLOW_COPY && cuts.is_empty() && !indirect;
        prop_assert_eq!(lone.is_some(), usual && made.len() == 1, "a usual frame, and no other");
        if let (Some(lone), Some(unread)) = (lone, unread) {
            let (head, bytes) = &made[0];
            prop_assert_eq!((lone.size(), &lone.start()[..]), (bytes.len(), &bytes[..FLOW_COPY]));
            prop_assert_eq!(driver.used(), 0, "nothing is given back before its time");
            ring.give_lone(&regions, &unread).unwrap();
            prop_assert_eq!((driver.used(), driver.used_entry(0)), (1, (u32::from(*head), 0)));
            prop_assert!(!ring.has_work(&regions));
            return Ok(());
        }
        let mut buffers = BurstBuffers::default();
        let mut burst = buffers.lend();
        ring.take(&regions, &mut burst).unwrap();
        prop_assert_eq!(burst.len(), made.len());
        for (index, (_, bytes)) in made.iter().enumerate() {
            let (frame, payload) = (burst.frame(index).unwrap(), burst.payload(index).unwrap());
            prop_assert!(frame.fault.is_none());
            let mut got = vec![0; frame.len()];
            prop_assert_eq!(payload.read(&mut got), bytes.len());
            prop_assert_eq!(&got, bytes);
            let middle = bytes.len() / 3..bytes.len() * 2 / 3;
            let mut part = vec![0; middle.len()];
            payload.range(middle.clone()).read(&mut part);
            prop_assert_eq!(&part[..], &bytes[middle]);
        }
        // Copied in two steps, a head is what one step would copy.
        for (index, (_, bytes)) in made.iter().enumerate() {
            burst.copy_head(index, 16);
            let head = burst.copy_head(index, 128);
            prop_assert_eq!(head, &bytes[..bytes.len().min(128)]);
            let (head, tail) = burst.parts(index);
            prop_assert_eq!(head.len() + tail.len(), bytes.len());
            let mut got = vec![0; tail.len()];
            tail.read(&mut got);
            prop_assert_eq!(&got, &bytes[head.len()..]);
        }
        prop_assert_eq!(driver.used(), 0, "nothing is given back before its time");
        ring.give_back(&regions, &burst, Frames::default()).unwrap();
        prop_assert_eq!(driver.used(), made.len() as u16);
        for (index, (head, _)) in made.iter().enumerate() {
            prop_assert_eq!(driver.used_entry(index as u16), (u32::from(*head), 0));
        }
    }

    /// virtio 1.3 5.1.6.4: what is pushed stands in the buffers, in order, with the lengths told.
    #[test]
    fn frames_are_scattered_over_what_was_posted(
        features in features(),
        posted in prop::collection::vec(
            (20usize..2500, prop::collection::vec(any::<usize>(), 0..4), any::<bool>()), 1..12),
        pushed in prop::collection::vec((1usize..200, 0usize..4000), 1..8),
    ) {
        let mut driver = Driver::new();
        let chains: Vec<_> = posted.iter()
            .map(|(len, cuts, indirect)| driver.offer(&cut(*len, cuts), 2, *indirect))
            .collect();
        let regions = driver.memory.load();
        let mut ring = SplitReceive::new(Driver::place(), features, &regions).unwrap();
        let (mut next, mut used) = (0, 0);
        for (number, (head, tail)) in pushed.iter().enumerate() {
            let frame: Vec<u8> = (0..head + tail).map(|i| (i * 13 + number) as u8).collect();
            let hash = FrameHash { value: 0x0102_0304 + number as u32, report: 5 };
            let meta = FrameMeta { hash, ..FrameMeta::default() };
            let done = ring.push(&regions, &meta, &frame[..*head], Payload::from(&frame[*head..])).unwrap();
            // The model: buffers are taken until they hold header and frame.
            let front = features.header_len();
            let need = front + frame.len();
            let mut room = 0;
            let taken = posted[next..].iter().take_while(|(len, ..)| {
                let more = room < need;
                room += if more { len } else { &0 };
                more
            }).count();
            let expect = match (room >= need, features.merge || taken == 1) {
                _ if next == posted.len() => Pushed::NoBuffer,
                (_, false) => Pushed::TooSmall,
                (false, true) if !features.merge => Pushed::TooSmall,
                (false, true) => Pushed::NoBuffer,
                (true, true) => Pushed::Done,
            };
            // A single last buffer that is too small is told as such only when another follows.
            if !features.merge && room < need {
                prop_assert_ne!(done, Pushed::Done);
                continue;
            }
            prop_assert_eq!(done, expect, "frame {} of {}", number, need);
            if done != Pushed::Done {
                continue;
            }
            prop_assert_eq!(driver.used(), used, "not visible before it is published");
            ring.publish(&regions).unwrap();
            prop_assert_eq!(driver.used(), used + taken as u16);
            let mut got = Vec::new();
            for (index, (head, buffers)) in chains[next..next + taken].iter().enumerate() {
                let (id, len) = driver.used_entry(used + index as u16);
                prop_assert_eq!(id, u32::from(*head));
                let bytes: Vec<u8> =
                    buffers.iter().flat_map(|(at, len)| driver.read(*at, *len)).collect();
                got.extend(&bytes[..len as usize]);
            }
            prop_assert_eq!(u16::from_le_bytes([got[10], got[11]]), taken as u16);
            if features.hash_report {
                // virtio 1.3 5.1.6: hash_value, hash_report, padding.
                prop_assert_eq!(&got[12..16], &hash.value.to_le_bytes());
                prop_assert_eq!(&got[16..20], &[5, 0, 0, 0]);
            }
            prop_assert_eq!(&got[front..], &frame[..]);
            next += taken;
            used += taken as u16;
        }
    }

    /// Many at once, one by one, or each alone: the driver finds the same.
    #[test]
    fn plain_frames_are_pushed_as_any_others(
        features in features(),
        posted in prop::collection::vec(
            (20usize..400, prop::collection::vec(any::<usize>(), 0..2), any::<bool>()), 1..40),
        frames in prop::collection::vec((14usize..300, 14usize..140, any::<Option<u32>>()), 1..=BURST),
    ) {
        let bytes: Vec<Vec<u8>> = frames.iter().enumerate()
            .map(|(number, (len, ..))| (0..*len).map(|i| (i * 7 + number) as u8).collect())
            .collect();
        let mut buffers = BurstBuffers::default();
        let mut burst = buffers.lend();
        // Of a receiver before.
        for index in 0..BURST {
            burst.set_hash(index, FrameHash { value: u32::MAX, report: 9 });
        }
        burst.forget_hashes();
        for (index, (bytes, (_, head, hash))) in bytes.iter().zip(&frames).enumerate() {
            prop_assert!(burst.push(PackedMeta::PLAIN, bytes));
            burst.copy_head(index, *head);
            if let Some(value) = *hash {
                burst.set_hash(index, FrameHash { value, report: 2 });
            }
        }
        let push = |how: u8| {
            let mut driver = Driver::new();
            for (len, cuts, indirect) in &posted {
                driver.offer(&cut(*len, cuts), 2, *indirect);
            }
            let regions = driver.memory.load();
            let mut ring = SplitReceive::new(Driver::place(), features, &regions).unwrap();
            let mut left = Frames::default();
            (0..frames.len()).for_each(|index| left.add(Frames::one(index)));
            let mut delivered = Vec::new();
            loop {
                if how == 0 {
                    let (done, bytes) = ring.push_plain(&regions, &burst, left).unwrap();
                    let lens = done.map(|index| burst.frame(index).unwrap().len() as u64);
                    assert_eq!(bytes, lens.sum::<u64>());
                    delivered.extend(done);
                    left.remove(done);
                }
                let Some(index) = left.next() else { break };
                let hash = burst.hash(index);
                assert_eq!(hash.value, frames[index].2.unwrap_or(0));
                let lone = Lone::of(&bytes[index]);
                if how == 1 && let Some(lone) = lone && ring.push_lone(&regions, &lone.hashed(hash)).unwrap() {
                    delivered.push(index);
                    continue;
                }
                let meta = FrameMeta { hash, ..FrameMeta::default() };
                let (head, tail) = burst.parts(index);
                if ring.push(&regions, &meta, head, tail) == Ok(Pushed::Done) {
                    delivered.push(index);
                }
            }
            ring.publish(&regions).unwrap();
            (delivered, driver.read(0, RAM as usize))
        };
        let [at_once, alone, one_by_one] = [0, 1, 2].map(push);
        prop_assert!(at_once == one_by_one);
        prop_assert!(alone == one_by_one);
    }

    /// From ring to ring, whatever the chains look like: a set of frames pushed at once is what each pushed by
    /// itself is, what was decided about is what is delivered although the sender has changed it since,
    /// and nothing is left of the burst before in the same room.
    #[test]
    fn frames_go_from_ring_to_ring_at_once_as_one_by_one(
        (from, to) in (features(), features()),
        bursts in prop::collection::vec(prop::collection::vec(
            (14usize..700, prop::collection::vec(any::<usize>(), 0..2), 0u8..8, 0usize..140), 1..20), 1..4),
        posted in prop::collection::vec((30usize..900, 0u8..8), 1..40),
    ) {
        let mut room = BurstBuffers::default();
        for frames in &bursts {
            let mut sender = Driver::new();
            let front = from.header_len();
            let mut made = Vec::new();
            for (number, (len, cuts, kind, _)) in frames.iter().enumerate() {
                let mut bytes: Vec<u8> = (0..front + len).map(|i| (i * 31 + number) as u8).collect();
                bytes[..front].fill(0);
                // Some say something: their checksum is valid.
                bytes[0] = if *kind == 0 { 2 } else { 0 };
                let cuts = if *kind < 4 { &cuts[..] } else { &[] };
                let (_, buffers) = sender.offer(&cut(bytes.len(), cuts), 0, *kind % 4 == 1);
                let mut at = 0;
                for (address, len) in &buffers {
                    sender.write(*address, &bytes[at..at + len]);
                    at += len;
                }
                made.push((bytes[front..].to_vec(), buffers));
            }
            let regions = sender.memory.load();
            let mut ring = SplitTransmit::new(Driver::place(), from, &regions).unwrap();
            let mut burst = room.lend();
            ring.take(&regions, &mut burst).unwrap();
            prop_assert_eq!(burst.len(), made.len());
            let mut wanted = Vec::new();
            for (index, (bytes, _)) in made.iter().enumerate() {
                let (usuals, mut seen) = (burst.usuals(), [0; HEADER_COPY]);
                let looked = burst.look(index, &mut seen);
                prop_assert_eq!(looked.is_some(), usuals.has(index));
                if let Some(looked) = looked {
                    prop_assert_eq!(looked, &bytes[..bytes.len().min(HEADER_COPY)]);
                }
                prop_assert_eq!(burst.usuals(), usuals, "a look changes nothing");
                let copied = burst.copy_head(index, frames[index].3).len();
                let mut frame = bytes.clone();
                frame[copied..].fill(0xee);
                wanted.push(frame);
            }
            for (address, len) in made.iter().flat_map(|(_, buffers)| buffers) {
                sender.write(*address, &vec![0xee; *len]);
            }
            let mut plain = Frames::default();
            for (index, frame) in burst.frames().enumerate() {
                prop_assert!(frame.fault.is_none());
                prop_assert_eq!(frame.meta.is_plain(), frames[index].2 != 0);
                if frame.meta.is_plain() {
                    plain.add(Frames::one(index));
                }
            }
            let push = |at_once: bool| {
                let mut receiver = Driver::new();
                let mut buffers = Vec::new();
                for (len, kind) in &posted {
                    let cuts = if *kind == 0 { &[7][..] } else { &[] };
                    buffers.push(receiver.offer(&cut(*len, cuts), 2, *kind == 1).1);
                }
                let regions = receiver.memory.load();
                let mut ring = SplitReceive::new(Driver::place(), to, &regions).unwrap();
                let mut left = Frames::row(0, made.len());
                let mut delivered = Vec::new();
                while !left.is_empty() {
                    let run = left.before(left.without(plain));
                    if at_once && !run.is_empty() {
                        let (done, bytes) = ring.push_plain(&regions, &burst, run).unwrap();
                        let lens = done.map(|index| made[index].0.len() as u64);
                        assert_eq!(bytes, lens.sum::<u64>());
                        delivered.extend(done);
                        left.remove(done);
                    }
                    let Some(index) = left.next() else { break };
                    let meta = FrameMeta::from(burst.frame(index).unwrap().meta);
                    let (head, tail) = burst.parts(index);
                    if ring.push(&regions, &meta, head, tail) == Ok(Pushed::Done) {
                        delivered.push(index);
                    }
                }
                ring.publish(&regions).unwrap();
                (delivered, buffers, receiver)
            };
            let ((at_once, buffers, first), (single, _, second)) = (push(true), push(false));
            prop_assert_eq!(&at_once, &single);
            prop_assert!(first.read(0, RAM as usize) == second.read(0, RAM as usize));
            if !to.merge {
                // One chain a frame: what is in it is what was decided about.
                let mut chains = buffers.iter();
                for index in at_once {
                    let need = to.header_len() + wanted[index].len();
                    let room = |chain: &&Vec<(u64, usize)>| chain.iter().map(|part| part.1).sum::<usize>() >= need;
                    prop_assert!(chains.len() > 0);
                    let Some(chain) = chains.next().filter(room) else { break };
                    let got: Vec<u8> = chain.iter().flat_map(|(at, len)| first.read(*at, *len)).collect();
                    prop_assert_eq!(&got[to.header_len()..need], &wanted[index][..]);
                }
            }
        }
    }
}

#[test]
fn a_burst_is_bounded_and_the_rest_waits() {
    let mut driver = Driver::new();
    for _ in 0..40 {
        driver.offer(&[12 + 60], 0, false);
    }
    let regions = driver.memory.load();
    let mut ring = SplitTransmit::new(Driver::place(), RingFeatures::default(), &regions).unwrap();
    let mut buffers = BurstBuffers::default();
    let mut seen = Vec::new();
    for _ in 0..3 {
        let mut burst = buffers.lend();
        ring.take(&regions, &mut burst).unwrap();
        seen.push(burst.len());
        ring.give_back(&regions, &burst, Frames::default()).unwrap();
    }
    assert_eq!(seen, [32, 8, 0]);
}

#[test]
fn doorbells_are_asked_for_only_when_armed() {
    for event_idx in [false, true] {
        let mut driver = Driver::new();
        let regions = driver.memory.load();
        let features = RingFeatures {
            event_idx,
            ..RingFeatures::default()
        };
        let mut ring = SplitTransmit::new(Driver::place(), features, &regions).unwrap();
        let wanted = |driver: &Driver| {
            let flags = u16::from_le_bytes(driver.read(USED, 2).try_into().unwrap());
            let event = driver.read(USED + 4 + 8 * u64::from(SIZE), 2);
            let event = u16::from_le_bytes([event[0], event[1]]);
            if event_idx {
                event == driver.available
            } else {
                flags == 0
            }
        };
        ring.suppress(&regions);
        assert!(!wanted(&driver));
        assert_eq!(ring.arm(&regions), Ok(false));
        assert!(wanted(&driver));
        driver.offer(&[100], 0, false);
        assert_eq!(
            ring.arm(&regions),
            Ok(true),
            "what came before the arming is seen"
        );
    }
}

#[test]
fn interrupts_follow_the_drivers_wish() {
    let mut driver = Driver::new();
    for _ in 0..4 {
        driver.offer(&[100], 2, false);
    }
    let regions = driver.memory.load();
    let push = |ring: &mut SplitReceive| {
        let done = ring.push(
            &regions,
            &FrameMeta::default(),
            &[0; 20],
            Payload::from(&[][..]),
        );
        assert_eq!(done, Ok(Pushed::Done));
        ring.publish(&regions).unwrap()
    };
    let mut ring = SplitReceive::new(Driver::place(), RingFeatures::default(), &regions).unwrap();
    assert!(push(&mut ring));
    driver.write(AVAILABLE, &[1, 0]);
    assert!(!push(&mut ring), "NO_INTERRUPT");
    let features = RingFeatures {
        event_idx: true,
        ..RingFeatures::default()
    };
    let mut ring = SplitReceive::new(Driver::place(), features, &regions).unwrap();
    driver.write(AVAILABLE + 4 + 2 * u64::from(SIZE), &[1, 0]);
    assert!(
        !push(&mut ring),
        "virtio 1.3 2.7.7.2: not before the threshold"
    );
    assert!(push(&mut ring));
    assert!(!push(&mut ring));
}

/// A decision that was taken back is about the frames before it too, and falls when they were seen.
#[test]
fn a_held_interrupt_is_decided_again() {
    let mut driver = Driver::new();
    for _ in 0..5 {
        driver.offer(&[100], 2, false);
    }
    let regions = driver.memory.load();
    let features = RingFeatures {
        event_idx: true,
        ..RingFeatures::default()
    };
    let mut ring = SplitReceive::new(Driver::place(), features, &regions).unwrap();
    let push = |ring: &mut SplitReceive| {
        let meta = FrameMeta::default();
        let done = ring.push(&regions, &meta, &[0; 20], Payload::from(&[][..]));
        assert_eq!(done, Ok(Pushed::Done));
        ring.publish(&regions).unwrap()
    };
    // The driver waits for the first frame.
    for _ in 0..2 {
        assert!(push(&mut ring));
        ring.hold();
    }
    assert_eq!(ring.wants_interrupt(&regions), Ok(true));
    assert_eq!(ring.wants_interrupt(&regions), Ok(false), "told once");
    // It has seen both and waits for the third; then it sees that on its own, and the fourth.
    driver.write(AVAILABLE + 4 + 2 * u64::from(SIZE), &[2, 0]);
    assert!(push(&mut ring));
    ring.hold();
    assert!(push(&mut ring));
    ring.hold();
    driver.write(AVAILABLE + 4 + 2 * u64::from(SIZE), &[4, 0]);
    assert_eq!(ring.wants_interrupt(&regions), Ok(false));
    assert!(push(&mut ring), "the fifth is what it waits for");
}

#[test]
fn endless_tiny_buffers_end() {
    let mut driver = Driver::new();
    for _ in 0..SIZE {
        driver.offer(&[1], 2, false);
    }
    let regions = driver.memory.load();
    let features = RingFeatures {
        merge: true,
        ..RingFeatures::default()
    };
    let mut ring = SplitReceive::new(Driver::place(), features, &regions).unwrap();
    let done = ring.push(
        &regions,
        &FrameMeta::default(),
        &[0; 60],
        Payload::from(&[][..]),
    );
    assert_eq!(done, Ok(Pushed::NoBuffer));
    assert_eq!(
        driver.used(),
        0,
        "a frame that does not fit leaves the ring as it was"
    );
}

/// A driver that has to post buffers is not left waiting for an interrupt that is held back.
#[test]
fn a_ring_is_spent_when_its_last_buffer_is_used() {
    let mut driver = Driver::new();
    driver.offer(&[2048], 2, false);
    let regions = driver.memory.load();
    let mut ring = SplitReceive::new(Driver::place(), RingFeatures::default(), &regions).unwrap();
    assert!(!ring.is_spent(&regions));
    let push = |ring: &mut SplitReceive| {
        let tail = Payload::from(&[][..]);
        ring.push(&regions, &FrameMeta::default(), &[7; 60], tail)
            .unwrap()
    };
    assert_eq!(push(&mut ring), Pushed::Done);
    assert!(ring.is_spent(&regions));
    assert_eq!(push(&mut ring), Pushed::NoBuffer);
    drop(regions);
    driver.offer(&[2048], 2, false);
    assert!(!ring.is_spent(&driver.memory.load()));
}

/// Elements without a byte are looked at like any other, so they count like any other: a driver cannot
/// have a frame's sender look at them without end.
#[test]
fn endless_empty_elements_end() {
    let mut driver = Driver::new();
    for _ in 0..17 {
        driver.offer(&[0; 64], 2, true);
    }
    driver.offer(&[2048], 2, false);
    let regions = driver.memory.load();
    let features = RingFeatures {
        indirect: true,
        merge: true,
        ..RingFeatures::default()
    };
    let mut ring = SplitReceive::new(Driver::place(), features, &regions).unwrap();
    let tail = Payload::from(&[][..]);
    let pushed = ring.push(&regions, &FrameMeta::default(), &[7; 60], tail);
    assert_eq!(pushed, Ok(Pushed::TooSmall));
}

/// A few of them do no harm.
#[test]
fn empty_elements_are_passed_over() {
    let mut driver = Driver::new();
    let (_, buffers) = driver.offer(&[0, 20, 0, 200, 0], 2, true);
    let regions = driver.memory.load();
    let features = RingFeatures {
        indirect: true,
        ..RingFeatures::default()
    };
    let mut ring = SplitReceive::new(Driver::place(), features, &regions).unwrap();
    let tail = Payload::from(&[][..]);
    let pushed = ring.push(&regions, &FrameMeta::default(), &[7; 60], tail);
    assert_eq!(pushed, Ok(Pushed::Done));
    let (at, len) = buffers[3];
    assert_eq!(len, 200);
    assert_eq!(driver.read(at, 52), [7; 52], "8 bytes went into the first");
}

/// A frame about which its sender says something is looked at like any other, however alone.
#[test]
fn only_a_usual_frame_is_alone() {
    for (flags, kind, usual) in [(0, 0, true), (1, 0, false), (2, 0, false), (0, 1, false)] {
        let mut driver = Driver::new();
        let (_, buffers) = driver.offer(&[80], 0, false);
        driver.write(buffers[0].0, &[flags, kind]);
        let regions = driver.memory.load();
        let mut ring =
            SplitTransmit::new(Driver::place(), RingFeatures::default(), &regions).unwrap();
        assert_eq!(
            ring.lone(&regions)
                .and_then(|unread| unread.look())
                .is_some(),
            usual,
            "{flags} {kind}"
        );
        driver.offer(&[80], 0, false);
        assert!(ring.lone(&regions).is_none(), "there are two");
    }
}

/// From ring to ring, one frame at a time, over more than all their indexes. What was decided about is what
/// arrives, although the sender has changed it since.
#[test]
fn a_frame_alone_goes_from_ring_to_ring() {
    for hash_report in [false, true] {
        let (sender, receiver) = (Driver::new(), Driver::new());
        let from = RingFeatures {
            hash_report,
            ..RingFeatures::default()
        };
        let (there, here) = (sender.memory.load(), receiver.memory.load());
        let mut tx = SplitTransmit::new(Driver::place(), from, &there).unwrap();
        let mut rx = SplitReceive::new(Driver::place(), RingFeatures::default(), &here).unwrap();
        let front = from.header_len();
        sender.descriptor(0, 5, DATA, (front + 60) as u32, 0, 0);
        receiver.descriptor(0, 3, DATA, 100, 2, 0);
        sender.write(DATA, &vec![0; front]);
        let mut alone = 0;
        for number in 0..70_000u32 {
            let slot = u64::from(number % u32::from(SIZE));
            let next = (number as u16).wrapping_add(1);
            // The receiver's driver is always a buffer ahead: the ring knows of it every other time.
            for (driver, id, to) in [(&sender, 5u16, next), (&receiver, 3, next.wrapping_add(1))] {
                driver.write(AVAILABLE + 4 + 2 * slot, &id.to_le_bytes());
                driver.write(
                    AVAILABLE + 4 + 2 * ((slot + 1) % u64::from(SIZE)),
                    &id.to_le_bytes(),
                );
                driver.write(AVAILABLE + 2, &to.to_le_bytes());
            }
            if number == 0 {
                // What the driver has posted is not known of before somebody looks.
                let frame = Lone::of(&[9; 60]).unwrap();
                assert_eq!(rx.push_lone(&here, &frame), Ok(false));
                assert!(!rx.is_spent(&here));
                let tail = Payload::from(&[][..]);
                assert_eq!(
                    rx.push(&here, &FrameMeta::default(), &[9; 60], tail),
                    Ok(Pushed::Done)
                );
            } else {
                let bytes: Vec<u8> = (0..60).map(|at| (at + number) as u8).collect();
                sender.write(DATA + front as u64, &bytes);
                let unread = tx.lone(&there).expect("a frame");
                let lone = unread.look().expect("a usual one");
                sender.write(DATA + front as u64, &[0xee; 16]);
                if rx.push_lone(&here, &lone) == Ok(true) {
                    alone += 1;
                } else {
                    let mut buffers = BurstBuffers::default();
                    let mut burst = buffers.lend();
                    burst.push(PackedMeta::PLAIN, &bytes);
                    rx.push_plain(&here, &burst, Frames::one(0)).unwrap();
                }
                let got = receiver.read(DATA, 72);
                assert_eq!(
                    (&got[10..12], &got[12..]),
                    (&[1, 0][..], &bytes[..]),
                    "{number}"
                );
            }
            if let Some(unread) = tx.lone(&there) {
                tx.give_lone(&there, &unread).unwrap();
            }
            rx.publish(&here).unwrap();
            assert_eq!((sender.used(), receiver.used()), (next, next));
            assert_eq!(sender.used_entry(number as u16), (5, 0));
            assert_eq!(receiver.used_entry(number as u16), (3, 72));
        }
        assert!(alone > 30_000, "{alone} went alone");
    }
}
