//! Descriptors that no honest driver would write, against a slow reader of them.

use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;

use nix::sys::memfd::{MFdFlags, memfd_create};
use proptest::prelude::*;

use super::driver::{DATA, Driver, EOP, RS, Said, data};
use crate::limits::{BURST, MAX_FRAME};
use crate::mem::{GuestMemory, MapRequest, TranslateError};
use crate::offload::{FrameMeta, PackedMeta};
use crate::ring::{
    AvfReceive, AvfRing, AvfTransmit, Burst, BurstBuffers, DescriptorError, FrameFault, Frames,
    Payload, Pushed, ReceiveRing, RingError, TransmitRing,
};

const SIZE: u16 = 64;
/// What is mapped: guest address, offset in the file, bytes. The rest of the file is canary.
const MAPS: [(u64, u64, u64); 2] = [(0, 0x1000, 0x4000), (0x4000, 0x6000, 0x2000)];
const FILE: u64 = 0x9000;
const CANARY: u8 = 0xc5;

fn world() -> (GuestMemory, File) {
    let fd = memfd_create(c"hostile", MFdFlags::MFD_CLOEXEC).unwrap();
    nix::unistd::ftruncate(&fd, FILE as i64).unwrap();
    let memory = GuestMemory::default();
    for (iova, fd_offset, size) in MAPS {
        let fd = Some(fd.try_clone().unwrap());
        let map = MapRequest {
            iova,
            size,
            fd,
            fd_offset,
            read: true,
            write: true,
        };
        memory.map(map).unwrap();
    }
    let file = File::from(fd);
    file.write_all_at(&vec![CANARY; FILE as usize], 0).unwrap();
    (memory, file)
}

fn write(file: &File, guest: u64, bytes: &[u8]) {
    let (iova, offset, _) = MAPS.into_iter().rfind(|(iova, ..)| guest >= *iova).unwrap();
    file.write_all_at(bytes, offset + guest - iova).unwrap();
}

fn check_canary(file: &File) {
    let mut all = vec![0; FILE as usize];
    file.read_exact_at(&mut all, 0).unwrap();
    for (_, offset, size) in MAPS {
        all[offset as usize..(offset + size) as usize].fill(CANARY);
    }
    assert!(
        all.iter().all(|byte| *byte == CANARY),
        "memory that was not mapped has changed"
    );
}

fn ring(size: u16, base: u64) -> AvfRing {
    AvfRing {
        size,
        base,
        tail: crate::ring::Tail::new(),
        buffer: 1024,
        longest: 9728,
        strip: std::sync::Arc::default(),
        format: crate::ring::ReceiveFormat::Legacy,
        keep_crc: false,
        uso: true,
    }
}

/// An address: mostly where something is.
fn address() -> impl Strategy<Value = u64> {
    prop_oneof![
        8 => 0u64..0x5000,
        1 => 0x3f00u64..0x4100,
        1 => 0x5f80u64..0x6080,
        1 => any::<u64>(),
    ]
}

fn transmit_descriptor() -> impl Strategy<Value = [u64; 2]> {
    let data = (
        address(),
        prop_oneof![6 => 17u64..200, 1 => 0u64..20, 1 => 0u64..16_384],
        prop_oneof![4 => Just(EOP | RS), 2 => Just(EOP), 2 => Just(0u64), 2 => 0u64..0x400],
        any::<u64>(),
        any::<bool>(),
    )
        .prop_map(|(at, len, cmd, noise, spoken)| {
            let said = if spoken {
                noise & (0x3fff << 16 | 0xffff << 48)
            } else {
                0
            };
            [at, cmd << 4 | len << 34 | said]
        });
    let context =
        (any::<u64>(), any::<u64>()).prop_map(|(a, b)| [a & 0xffff_0000_0000, b & !0xf | 1]);
    prop_oneof![12 => data, 2 => context, 1 => any::<[u64; 2]>()]
}

/// What is expected of a burst: frames with their bytes, and how many descriptors they take.
#[derive(Debug, PartialEq, Eq)]
struct Read {
    frames: Vec<(Option<FrameFault>, Vec<u64>)>,
    slots: u16,
}

/// Reads descriptors one by one, with nothing but what the data sheets say.
fn read(
    descriptors: &[[u64; 2]],
    (next, tail): (u16, u16),
    memory: &GuestMemory,
) -> Result<Read, (u16, DescriptorError)> {
    let regions = memory.load();
    let mapped = |at: u64, len: u64| regions.readable(at, len, |_| true).map(drop);
    let mut read = Read {
        frames: Vec::new(),
        slots: 0,
    };
    let (mut at, mut bytes, mut buffers) = (next, 0, Vec::new());
    let (mut slots, mut context) = (0, None);
    while at != tail && read.frames.len() < BURST {
        let [first, second] = descriptors[usize::from(at)];
        slots += 1;
        let fail = |error| Err((at, error));
        let (kind, cmd, len) = (second & 0xf, second >> 4 & 0x3ff, second >> 34 & 0x3fff);
        match kind {
            1 if slots == 1 => context = Some(second),
            0 => {
                let large = context.is_some_and(|context: u64| context >> 4 & 1 != 0);
                if len == 0 {
                    return fail(DescriptorError::Empty);
                }
                if buffers.len() == if large { 1024 } else { 8 } {
                    return fail(DescriptorError::Buffers);
                }
                if let Err(error) = mapped(first, len) {
                    return fail(DescriptorError::Memory(error));
                }
                buffers.push(first);
                bytes += len;
                if cmd & EOP != 0 {
                    if bytes < 17 {
                        return fail(DescriptorError::Short(bytes as u32));
                    }
                    let long = bytes > MAX_FRAME as u64;
                    let fault = long.then_some(FrameFault::Long);
                    read.frames.push((fault, std::mem::take(&mut buffers)));
                    read.slots += slots;
                    (bytes, slots, context) = (0, 0, None);
                }
            }
            kind => return fail(DescriptorError::Type(kind as u8)),
        }
        at = (at + 1) % SIZE;
    }
    Ok(read)
}

/// Looks at all of it, as whoever delivers it would.
fn look(burst: &mut Burst<'_>) {
    for index in 0..burst.len() {
        let frame = burst.frame(index).unwrap();
        if frame.fault.is_none() {
            burst.copy_head(index, 128);
            let _ = FrameMeta::from(frame.meta).check(burst.copy_head(index, 256), frame.len());
            let bytes = super::transmit::bytes(burst, index);
            assert!((17..=MAX_FRAME).contains(&bytes.len()));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// The right frames, or the right descriptor with what is wrong about it; nothing outside is touched.
    #[test]
    fn transmit_rings_take_what_is_right_and_name_what_is_wrong(
        descriptors in prop::collection::vec(transmit_descriptor(), usize::from(SIZE)),
        tails in prop::collection::vec(prop_oneof![9 => 0u32..64, 1 => any::<u32>()], 1..6),
    ) {
        let (memory, file) = world();
        let place = ring(SIZE, 0x5000);
        for (nth, words) in descriptors.iter().enumerate() {
            write(&file, 0x5000 + 16 * nth as u64, &words.map(u64::to_le_bytes).concat());
        }
        let regions = memory.load();
        let mut ring = AvfTransmit::new(&place, &regions).unwrap();
        let mut buffers = BurstBuffers::default();
        let (mut next, mut given) = (0, 0);
        for tail in tails {
            place.tail.set(tail);
            if ring.lone(&regions).is_some() {
                prop_assert_eq!(u32::from((next + 1) % SIZE), tail);
            }
            let mut burst = buffers.lend();
            let taken = ring.take(&regions, &mut burst);
            if tail >= u32::from(SIZE) {
                prop_assert_eq!(taken, Err(RingError::Tail { tail, size: SIZE }));
                break;
            }
            // Once around it would find what was given back.
            let posted = (tail as u16 + SIZE - next) % SIZE;
            given += posted;
            if given >= SIZE {
                break;
            }
            match read(&descriptors, (next, tail as u16), &memory) {
                Err((index, source)) => {
                    prop_assert_eq!(taken, Err(RingError::Descriptor { index, source }));
                    break;
                }
                Ok(read) => {
                    prop_assert_eq!(taken, Ok(()));
                    prop_assert_eq!(burst.len(), read.frames.len());
                    for (index, (fault, _)) in read.frames.iter().enumerate() {
                        let found = burst.frame(index).unwrap().fault;
                        prop_assert!(found == *fault || found == Some(FrameFault::Contradicted));
                    }
                    look(&mut burst);
                    ring.give_back(&regions, &burst, Frames::default()).unwrap();
                    given -= posted - read.slots;
                    next = (next + read.slots) % SIZE;
                }
            }
        }
        check_canary(&file);
    }

    /// Whatever is posted: no panic, nothing outside, and the descriptor that is wrong.
    #[test]
    fn receive_rings_write_where_they_may(
        addresses in prop::collection::vec(address(), usize::from(SIZE)),
        tails in prop::collection::vec(prop_oneof![9 => 0u32..64, 1 => any::<u32>()], 1..6),
        frames in prop::collection::vec((14usize..6000, any::<bool>(), any::<bool>()), 1..40),
    ) {
        let (memory, file) = world();
        let place = ring(SIZE, 0x5000);
        for (nth, address) in addresses.iter().enumerate() {
            write(&file, 0x5000 + 32 * nth as u64, &address.to_le_bytes());
        }
        let regions = memory.load();
        let mut ring = AvfReceive::new(&place, &regions).unwrap();
        let mut buffers = BurstBuffers::default();
        let bytes = vec![0x5a; 6000];
        let mut frames = frames.into_iter();
        'all: for tail in tails {
            place.tail.set(tail);
            for (len, at_once, strip) in frames.by_ref().take(8) {
                place.strip.store(strip, std::sync::atomic::Ordering::Relaxed);
                if at_once {
                    let mut burst = buffers.lend();
                    (0..5).for_each(|_| assert!(burst.push(PackedMeta::PLAIN, &bytes[..len])));
                    let (done, count) = ring.push_plain(&regions, &burst, Frames::row(0, 5)).unwrap();
                    prop_assert_eq!(count, (done.count() * len) as u64);
                }
                let (head, rest) = bytes[..len].split_at(len.min(128));
                match ring.push(&regions, &FrameMeta::default(), head, Payload::from(rest)) {
                    Ok(Pushed::Done) => prop_assert!(len <= 5 * 1024),
                    Ok(Pushed::NoBuffer) => {}
                    Ok(Pushed::TooSmall) => prop_assert!(len > 5 * 1024),
                    Err(RingError::Tail { tail: bad, size }) => {
                        prop_assert_eq!((bad, size), (tail, SIZE));
                        prop_assert!(bad >= u32::from(size));
                        break 'all;
                    }
                    Err(RingError::Descriptor { source: DescriptorError::Memory(_), .. }) => break 'all,
                    Err(error) => return Err(TestCaseError::fail(error.to_string())),
                }
            }
            ring.publish(&regions).unwrap();
            let _ = ring.ahead(&regions);
        }
        check_canary(&file);
    }
}

/// What is wrong with this row of descriptors.
fn refused(descriptors: &[[u64; 2]]) -> (u16, DescriptorError) {
    let driver = Driver::transmit(64);
    for (index, words) in descriptors.iter().enumerate() {
        driver.set(index as u16, *words);
    }
    driver.ring.tail.set(descriptors.len() as u32);
    let regions = driver.memory.load();
    let mut ring = AvfTransmit::new(&driver.ring, &regions).unwrap();
    let mut buffers = BurstBuffers::default();
    let mut burst = buffers.lend();
    match ring.take(&regions, &mut burst) {
        Err(RingError::Descriptor { index, source }) => (index, source),
        other => panic!("{other:?}"),
    }
}

#[test]
fn each_malformed_descriptor_is_named() {
    let plain = |len, more| [DATA, data(len, &Said::default(), more)];
    let (good, part) = (plain(60, EOP | RS), plain(20, 0));
    assert_eq!(
        refused(&[good, [DATA, 0xf]]),
        (1, DescriptorError::Type(0xf))
    );
    assert_eq!(refused(&[[DATA, 8]]), (0, DescriptorError::Type(8)));
    assert_eq!(refused(&[[0, 1], [0, 1]]), (1, DescriptorError::Type(1)));
    assert_eq!(refused(&[part, [0, 1]]), (1, DescriptorError::Type(1)));
    assert_eq!(refused(&[good, plain(0, EOP)]), (1, DescriptorError::Empty));
    assert_eq!(refused(&[part, plain(0, EOP)]), (1, DescriptorError::Empty));
    assert_eq!(refused(&[plain(16, EOP)]), (0, DescriptorError::Short(16)));
    assert_eq!(
        refused(&[plain(8, 0), plain(8, EOP)]),
        (1, DescriptorError::Short(16))
    );
    assert_eq!(refused(&[part; 9]), (8, DescriptorError::Buffers));
    for (at, error) in [
        (1 << 40, TranslateError::Unmapped(1 << 40)),
        (
            super::driver::RAM - 30,
            TranslateError::Unmapped(super::driver::RAM),
        ),
        (u64::MAX - 10, TranslateError::Wraps(u64::MAX - 10)),
    ] {
        let bad = [at, data(60, &Said::default(), EOP)];
        assert_eq!(refused(&[good, bad]), (1, DescriptorError::Memory(error)));
        let last = [at, data(60, &Said::default(), EOP)];
        assert_eq!(refused(&[part, last]), (1, DescriptorError::Memory(error)));
    }
}

/// 17 bytes and eight buffers are the edge.
#[test]
fn what_may_just_be_is_taken() {
    let mut driver = Driver::transmit(64);
    let regions = driver.memory.load().clone();
    let mut ring = AvfTransmit::new(&driver.ring, &regions).unwrap();
    let mut buffers = BurstBuffers::default();
    driver.send(&[7; 17], &[17], Said::default()).unwrap();
    driver
        .send(&[7; 17], &[10, 1, 1, 1, 1, 1, 1, 1], Said::default())
        .unwrap();
    driver
        .send(&[7; 65_532], &[16_383; 4], Said::default())
        .unwrap();
    driver
        .send(
            &[7; 65_560],
            &[16_383, 16_383, 16_383, 16_383, 28],
            Said::default(),
        )
        .unwrap();
    driver.kick();
    let mut burst = buffers.lend();
    ring.take(&regions, &mut burst).unwrap();
    let found: Vec<_> = burst
        .frames()
        .map(|frame| (frame.len(), frame.fault))
        .collect();
    let long = (0, Some(FrameFault::Long));
    assert_eq!(found, [(17, None), (17, None), (65_532, None), long]);
}

/// A client that truncates its file: what is read are zeroes, and it is noticed.
#[test]
fn truncated_memory_is_noticed() {
    let mut driver = Driver::transmit(64);
    let regions = driver.memory.load().clone();
    let mut ring = AvfTransmit::new(&driver.ring, &regions).unwrap();
    driver.send_one(&[7; 60], Said::default());
    nix::unistd::ftruncate(driver.file.as_fd(), 0).unwrap();
    let mut buffers = BurstBuffers::default();
    let mut burst = buffers.lend();
    let taken = ring.take(&regions, &mut burst);
    assert_eq!(
        taken,
        Err(RingError::Descriptor {
            index: 0,
            source: DescriptorError::Empty
        })
    );
    assert!(regions.faulted());
}

/// A ring over pages that are scattered is joined, and its truncation its own.
#[test]
fn a_scattered_ring_works_and_its_truncation_is_noticed() {
    let fd = memfd_create(c"scattered", MFdFlags::MFD_CLOEXEC).unwrap();
    nix::unistd::ftruncate(&fd, 16 * 4096).unwrap();
    let memory = GuestMemory::default();
    for (page, in_file) in [9u64, 3, 12, 1, 7].into_iter().enumerate() {
        let map = MapRequest {
            iova: page as u64 * 4096,
            size: 4096,
            fd: Some(fd.try_clone().unwrap()),
            fd_offset: in_file * 4096,
            read: true,
            write: true,
        };
        memory.map(map).unwrap();
    }
    let file = File::from(fd.try_clone().unwrap());
    let regions = memory.load();
    // 512 descriptors of 16 bytes are two pages, with the buffer in a third.
    let place = ring(512, 0);
    let mut transmit = AvfTransmit::new(&place, &regions).unwrap();
    let words = [2 * 4096, data(60, &Said::default(), EOP | RS)];
    for nth in 0..511u64 {
        let page = [9u64, 3][(nth / 256) as usize];
        let at = page * 4096 + 16 * (nth % 256);
        file.write_all_at(&words.map(u64::to_le_bytes).concat(), at)
            .unwrap();
    }
    place.tail.set(511);
    let mut buffers = BurstBuffers::default();
    let mut taken = 0;
    while transmit.has_work(&regions) {
        let mut burst = buffers.lend();
        transmit.take(&regions, &mut burst).unwrap();
        taken += burst.len();
        transmit
            .give_back(&regions, &burst, Frames::default())
            .unwrap();
    }
    assert_eq!(taken, 511);
    let mut last = [0; 16];
    file.read_exact_at(&mut last, 3 * 4096 + 16 * 254).unwrap();
    assert_eq!(last[8], 0xf);
    nix::unistd::ftruncate(fd.as_fd(), 0).unwrap();
    assert!(!transmit.faulted());
    place.tail.set(5);
    let mut burst = buffers.lend();
    let _ = transmit.take(&regions, &mut burst);
    assert!(transmit.faulted());
}
