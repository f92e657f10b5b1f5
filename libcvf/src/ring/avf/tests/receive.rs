use std::sync::atomic::Ordering;

use proptest::prelude::*;

use super::driver::{DATA, Driver, Received, SEAM};
use crate::limits::BURST;
use crate::mem::PlaceError;
use crate::offload::testutil::Spec;
use crate::offload::{Csum, FrameHash, FrameMeta, PackedMeta};
use crate::ring::{
    AvfReceive, AvfRing, BurstBuffers, Frames, Lone, Payload, Pushed, ReceiveFormat, ReceiveRing,
    RingError,
};

/// Bytes that are no tag, or begin with one.
fn frame(len: usize, number: usize, tag: Option<u16>) -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..len).map(|at| (at * 13 + number * 5) as u8).collect();
    bytes[12..14].copy_from_slice(&[8, 0]);
    if let Some(tag) = tag {
        bytes[12..14].copy_from_slice(&[0x81, 0]);
        bytes[14..16].copy_from_slice(&tag.to_be_bytes());
    }
    bytes
}

/// What is to be received of a frame that nothing else is known of.
fn expected(bytes: &[u8], strip: bool, hash: Option<u32>, buffer: usize) -> Received {
    let tag =
        (strip && bytes[12..14] == [0x81, 0]).then(|| u16::from_be_bytes([bytes[14], bytes[15]]));
    let bytes = match tag {
        Some(_) => [&bytes[..12], &bytes[16..]].concat(),
        None => bytes.to_vec(),
    };
    Received {
        descriptors: bytes.len().div_ceil(buffer) as u16,
        bytes,
        tag,
        hash,
        checked: false,
        ptype: if hash.is_some() { 26 } else { 1 },
    }
}

fn hash_of(value: Option<u32>) -> FrameHash {
    value.map_or(FrameHash::default(), |value| FrameHash { value, report: 2 })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Many at once, one by one, or each alone: the driver finds the same, and it is what was sent. Buffers are taken in
    /// order, as many as a frame needs; what does not fit leaves the ring as it was.
    #[test]
    fn frames_arrive_as_they_were_sent(
        size in (2u16..=6).prop_map(|n| 32 * n),
        buffer in 1024u32..3000,
        longest in 1000u32..9000,
        flex: bool,
        rounds in prop::collection::vec((
            0u16..80,
            any::<bool>(),
            prop::collection::vec(
                (prop_oneof![6 => 18usize..300, 1 => 18usize..12_000], 18usize..140,
                 any::<Option<u16>>(), any::<Option<u32>>()),
                1..=BURST),
        ), 1..8),
    ) {
        let mut all = Vec::new();
        for how in 0..3 {
            let mut driver = Driver::receive(size, buffer);
            driver.ring.longest = longest;
            if flex {
                driver.ring.format = ReceiveFormat::Flex;
            }
            let regions = driver.memory.load().clone();
            let mut ring = AvfReceive::new(&driver.ring, &regions).unwrap();
            let mut received = Vec::new();
            let mut posted = 0;
            for (post, strip, frames) in &rounds {
                driver.ring.strip.store(*strip, Ordering::Relaxed);
                posted += usize::from(driver.post(*post));
                prop_assert_eq!(ring.is_spent(&regions), posted == 0);
                let bytes: Vec<_> = frames.iter().enumerate()
                    .map(|(number, (len, _, tag, _))| frame(*len, number, *tag))
                    .collect();
                let mut buffers = BurstBuffers::default();
                let mut burst = buffers.lend();
                for (index, (bytes, (_, head, _, hash))) in bytes.iter().zip(frames).enumerate() {
                    prop_assert!(burst.push(PackedMeta::PLAIN, bytes));
                    // Some are usual.
                    if *head > 40 {
                        burst.copy_head(index, *head);
                    }
                    if how != 2 && hash.is_some() {
                        burst.set_hash(index, hash_of(*hash));
                    }
                }
                let mut left = Frames::row(0, frames.len());
                let mut wanted = Vec::new();
                while !left.is_empty() {
                    if how == 0 {
                        let (done, count) = ring.push_plain(&regions, &burst, left).unwrap();
                        let lens = done.map(|index| bytes[index].len() as u64);
                        prop_assert_eq!(count, lens.sum::<u64>());
                        for index in done {
                            let hash = frames[index].3;
                            wanted.push(expected(&bytes[index], *strip, hash, buffer as usize));
                            prop_assert!(wanted.last().unwrap().tag.is_none());
                            posted -= 1;
                        }
                        left.remove(done);
                    }
                    let Some(index) = left.next() else { break };
                    let hash = frames[index].3;
                    let want = expected(&bytes[index], *strip, hash, buffer as usize);
                    let room = usize::from(want.descriptors);
                    let lone = Lone::of(&bytes[index]).unwrap().hashed(hash_of(hash));
                    let alone = how == 2 && ring.push_lone(&regions, &lone).unwrap();
                    if alone {
                        prop_assert!(room == 1 && want.tag.is_none());
                    } else {
                        burst.copy_head(index, 18);
                        let meta = FrameMeta { hash: hash_of(hash), ..FrameMeta::default() };
                        let (head, tail) = burst.parts(index);
                        let pushed = ring.push(&regions, &meta, head, tail).unwrap();
                        let fits = match () {
                            () if bytes[index].len() > longest as usize || room > 5 => Pushed::TooSmall,
                            () if room > posted => Pushed::NoBuffer,
                            () => Pushed::Done,
                        };
                        prop_assert_eq!(pushed, fits);
                        if pushed != Pushed::Done {
                            continue;
                        }
                    }
                    posted -= room;
                    wanted.push(want);
                }
                // A batch that grows too long is shown before its end, whole frames of it.
                let shown = driver.poll_all();
                prop_assert!(shown.is_empty() || wanted.iter().map(|want| want.descriptors).sum::<u16>() > 32);
                prop_assert_eq!(ring.publish(&regions), Ok(!wanted.is_empty()));
                prop_assert_eq!(ring.publish(&regions), Ok(false), "told once");
                let mut found = shown;
                found.extend(driver.poll_all());
                prop_assert_eq!(&found, &wanted);
                received.push(found);
            }
            all.push((received, driver));
        }
        let [(at_once, first), (single, second), _] = &all[..] else { unreachable!() };
        prop_assert_eq!(at_once, single);
        prop_assert!(first.read(0, DATA as usize) == second.read(0, DATA as usize));
    }
}

/// Every size that a ring may have, over more than a turn.
#[test]
fn rings_of_every_size_turn() {
    let bytes = [0x33; 60];
    let mut buffers = BurstBuffers::default();
    let mut burst = buffers.lend();
    (0..BURST).for_each(|_| assert!(burst.push(PackedMeta::PLAIN, &bytes)));
    for size in (64..=4096u16).step_by(32) {
        let driver = Driver::receive(size, 1024);
        let regions = driver.memory.load().clone();
        // All descriptors once, with one buffer.
        let ring = (0..size)
            .flat_map(|_| [DATA, 0, 0, 0])
            .map(u64::to_le_bytes);
        driver.write(super::driver::BASE, &ring.collect::<Vec<_>>().concat());
        let mut ring = AvfReceive::new(&driver.ring, &regions).unwrap();
        let mut at = 0u32;
        let turn = u32::from(size);
        while at < 2 * turn + 7 {
            // As many as may be, and one short of it.
            let count = 31 + at % 2;
            driver.ring.tail.set((at + count) % turn);
            let (done, _) = ring
                .push_plain(&regions, &burst, Frames::row(0, BURST))
                .unwrap();
            assert_eq!(done.count() as u32, count, "{size} at {at}");
            assert_eq!(ring.publish(&regions), Ok(true));
            for index in [at, at + count - 1].map(|at| (at % turn) as u16) {
                assert_eq!(
                    driver.word(index, 1),
                    3 | 60 << 38 | 1 << 30,
                    "{size} at {index}"
                );
                driver.set(index, [DATA, 0]);
            }
            at += count;
        }
    }
}

/// A buffer over two regions takes a frame like any other.
#[test]
fn a_buffer_may_cross_regions() {
    let mut driver = Driver::receive(64, 2048);
    let regions = driver.memory.load().clone();
    let mut ring = AvfReceive::new(&driver.ring, &regions).unwrap();
    driver.post(8);
    let bytes = frame(1500, 1, None);
    let mut buffers = BurstBuffers::default();
    let mut burst = buffers.lend();
    (0..8).for_each(|_| assert!(burst.push(PackedMeta::PLAIN, &bytes)));
    let (done, _) = ring
        .push_plain(&regions, &burst, Frames::row(0, 8))
        .unwrap();
    let crossing = driver
        .buffers
        .iter()
        .position(|at| (*at..at + 2048).contains(&SEAM))
        .unwrap();
    assert_eq!(done, Frames::row(0, crossing), "it is no plain one");
    let pushed = ring.push(
        &regions,
        &FrameMeta::default(),
        &bytes[..20],
        Payload::from(&bytes[20..]),
    );
    assert_eq!(pushed, Ok(Pushed::Done));
    ring.publish(&regions).unwrap();
    let received = driver.poll_all();
    assert_eq!(received.len(), crossing + 1);
    assert!(received.iter().all(|received| received.bytes == bytes));
}

/// Packet types as Linux's drivers have them, and that a checksum is right where it was said to be.
#[test]
fn what_is_known_is_told() {
    let udp = Spec {
        udp: true,
        payload: vec![1; 60],
        ..Spec::default()
    };
    let tcp = Spec {
        payload: vec![1; 60],
        ..Spec::default()
    };
    let v6 = |spec: &Spec| Spec {
        v6: true,
        ..spec.clone()
    };
    let mut fragment = tcp.build(false).bytes;
    fragment[20] |= 0x20;
    let mut icmp = tcp.build(false).bytes;
    icmp[23] = 1;
    let mut sctp = tcp.build(false).bytes;
    sctp[23] = 132;
    let mut icmp6 = v6(&tcp).build(false).bytes;
    icmp6[20] = 58;
    let extended = Spec {
        extensions: vec![(60, 0)],
        ..v6(&tcp)
    };
    let tagged = Spec {
        tags: vec![(0x8100, 5)],
        ..tcp.clone()
    };
    let arp = [&[0xff; 12][..], &[8, 6], &[0; 46]].concat();
    for (bytes, ptype, checked) in [
        (tcp.build(false).bytes, 26, true),
        (udp.build(false).bytes, 24, true),
        (v6(&tcp).build(false).bytes, 92, true),
        (v6(&udp).build(false).bytes, 90, true),
        (tagged.build(false).bytes, 26, true),
        (extended.build(false).bytes, 92, false),
        (fragment, 22, false),
        (icmp, 28, false),
        (icmp6, 94, false),
        (sctp, 27, false),
        (arp, 1, false),
    ] {
        for (csum, report) in [(Csum::None, 0), (Csum::Valid, 0), (Csum::Valid, 5)] {
            let mut driver = Driver::receive(64, 2048);
            let regions = driver.memory.load().clone();
            let mut ring = AvfReceive::new(&driver.ring, &regions).unwrap();
            driver.post(1);
            let hash = FrameHash {
                value: 0x1234_5678,
                report,
            };
            let meta = FrameMeta {
                csum,
                hash,
                ..FrameMeta::default()
            };
            let tail = Payload::from(&[][..]);
            assert_eq!(ring.push(&regions, &meta, &bytes, tail), Ok(Pushed::Done));
            ring.publish(&regions).unwrap();
            let valid = csum == Csum::Valid;
            let expect = Received {
                bytes: bytes.clone(),
                descriptors: 1,
                tag: None,
                hash: (report != 0).then_some(0x1234_5678),
                checked: checked && valid,
                ptype: if valid { ptype } else { 1 },
            };
            assert_eq!(driver.poll(), Some(expect));
        }
    }
}

/// "The checksum is right" covers that of IPv4's header, at which nobody has looked when it is said: it is said of TCP's.
#[test]
fn a_wrong_checksum_of_ip_is_told_beside_a_right_one_of_tcp() {
    let spec = Spec {
        payload: vec![1; 60],
        ..Spec::default()
    };
    let right = spec.build(false).bytes;
    let mut wrong = right.clone();
    // Time to live.
    wrong[22] -= 1;
    let meta = FrameMeta {
        csum: Csum::Valid,
        ..FrameMeta::default()
    };
    for (bytes, errors) in [(right, 0), (wrong, 1 << 3)] {
        let mut driver = Driver::receive(64, 2048);
        let regions = driver.memory.load().clone();
        let mut ring = AvfReceive::new(&driver.ring, &regions).unwrap();
        driver.post(1);
        let tail = Payload::from(&[][..]);
        assert_eq!(ring.push(&regions, &meta, &bytes, tail), Ok(Pushed::Done));
        ring.publish(&regions).unwrap();
        let second = driver.word(0, 1);
        assert_eq!((second >> 19 & 0xff, second >> 3 & 1), (errors, 1));
    }
}

/// A hash without more says what it was made of: a driver takes it only with a type that fits.
#[test]
fn a_hash_names_the_type() {
    let types = [
        (1, 23),
        (2, 26),
        (3, 24),
        (4, 89),
        (5, 92),
        (6, 90),
        (7, 89),
        (8, 92),
        (9, 90),
    ];
    for (report, ptype) in types {
        let mut driver = Driver::receive(64, 2048);
        let regions = driver.memory.load().clone();
        let mut ring = AvfReceive::new(&driver.ring, &regions).unwrap();
        driver.post(1);
        let mut buffers = BurstBuffers::default();
        let mut burst = buffers.lend();
        burst.push(PackedMeta::PLAIN, &[9; 60]);
        burst.set_hash(0, FrameHash { value: 77, report });
        ring.push_plain(&regions, &burst, Frames::one(0)).unwrap();
        ring.publish(&regions).unwrap();
        let received = driver.poll().unwrap();
        assert_eq!((received.hash, received.ptype), (Some(77), ptype));
    }
}

#[test]
fn bad_tails_and_sizes_are_refused() {
    let driver = Driver::receive(64, 2048);
    let regions = driver.memory.load().clone();
    let with = |size, buffer| {
        let ring = AvfRing {
            size,
            buffer,
            ..driver.ring.clone()
        };
        AvfReceive::new(&ring, &regions).map(drop)
    };
    for buffer in [1024, 2048, 16_256] {
        assert_eq!(with(64, buffer), Ok(()));
    }
    for buffer in [0, 1023, 16_257, 16_383, u32::MAX] {
        assert_eq!(with(64, buffer), Err(PlaceError::Buffer(buffer)));
    }
    for size in [0, 32, 65, 8160] {
        assert_eq!(with(size, 2048), Err(PlaceError::Size(size)));
    }
    let mut ring = AvfReceive::new(&driver.ring, &regions).unwrap();
    for tail in [64, 65, u32::MAX] {
        driver.ring.tail.set(tail);
        let mut buffers = BurstBuffers::default();
        let mut burst = buffers.lend();
        burst.push(PackedMeta::PLAIN, &[9; 60]);
        let none = ring.push_plain(&regions, &burst, Frames::one(0));
        assert_eq!(none, Ok((Frames::default(), 0)));
        assert_eq!(
            ring.push_lone(&regions, &Lone::of(&[9; 60]).unwrap()),
            Ok(false)
        );
        let pushed = ring.push(
            &regions,
            &FrameMeta::default(),
            &[9; 60],
            Payload::from(&[][..]),
        );
        assert_eq!(pushed, Err(RingError::Tail { tail, size: 64 }));
    }
}

#[test]
fn an_interrupt_that_is_held_back_is_asked_for_again() {
    let mut driver = Driver::receive(64, 2048);
    driver.post(8);
    let regions = driver.memory.load().clone();
    let mut ring = AvfReceive::new(&driver.ring, &regions).unwrap();
    let meta = FrameMeta::default();
    let bytes = frame(100, 0, None);
    let pushed = ring.push(&regions, &meta, &bytes, Payload::from(&[][..]));
    assert_eq!(pushed.unwrap(), Pushed::Done);
    assert!(ring.publish(&regions).unwrap());
    ring.hold();
    assert!(ring.publish(&regions).unwrap(), "what is held counts");
    assert!(!ring.publish(&regions).unwrap(), "once");
    ring.hold();
    assert!(ring.wants_interrupt(&regions).unwrap());
    assert!(!ring.publish(&regions).unwrap());
}

/// The check sequence is that of IEEE 802.3, wherever the end of the frame falls, and every frame has it.
#[test]
fn frames_come_with_their_check_sequence() {
    // Of the digits: what every description of this CRC gives.
    let digits = [b"123456789".as_slice(), &0xcbf4_3926_u32.to_le_bytes()].concat();
    for format in ReceiveFormat::ALL {
        let mut driver = Driver::receive(64, 1024);
        driver.ring.format = format;
        driver.ring.keep_crc = true;
        let regions = driver.memory.load().clone();
        let mut ring = AvfReceive::new(&driver.ring, &regions).unwrap();
        driver.post(40);
        let head = &digits[..9];
        let meta = FrameMeta::default();
        ring.push(&regions, &meta, head, Payload::from(&[][..]))
            .unwrap();
        let mut buffers = BurstBuffers::default();
        let mut burst = buffers.lend();
        let lens = [60, 300, 1019, 1020, 1021, 1023, 1024, 3068, 3069];
        let frames = lens.map(|len| frame(len, len, Some(5)));
        for frame in &frames {
            assert!(burst.push(PackedMeta::PLAIN, frame));
        }
        let all = Frames::row(0, frames.len());
        let none = ring.push_plain(&regions, &burst, all).unwrap();
        assert_eq!(none, (Frames::default(), 0));
        let lone = Lone::of(&frames[0]).unwrap();
        assert_eq!(ring.push_lone(&regions, &lone), Ok(false));
        for index in all {
            let (head, tail) = burst.parts(index);
            ring.push(&regions, &meta, head, tail).unwrap();
        }
        ring.publish(&regions).unwrap();
        assert_eq!(driver.poll().unwrap().bytes, digits);
        for frame in frames {
            let received = driver.poll().unwrap();
            let (bytes, crc) = received.bytes.split_at(frame.len());
            assert_eq!(bytes, frame);
            assert_eq!(crc, crc32fast::hash(&frame).to_le_bytes());
            let count = (frame.len() + 4).div_ceil(1024);
            assert_eq!(usize::from(received.descriptors), count);
        }
    }
}

/// What a driver says that it takes is with the check sequence: whoever counts on one buffer a frame gets one.
#[test]
fn a_check_sequence_is_a_part_of_the_longest_frame() {
    let mut driver = Driver::receive(64, 1024);
    (driver.ring.longest, driver.ring.keep_crc) = (1024, true);
    let regions = driver.memory.load().clone();
    let mut ring = AvfReceive::new(&driver.ring, &regions).unwrap();
    driver.post(4);
    for (len, pushed) in [
        (1020, Pushed::Done),
        (1021, Pushed::TooSmall),
        (1024, Pushed::TooSmall),
    ] {
        let frame = frame(len, 1, None);
        let tail = Payload::from(&frame[60..]);
        let found = ring.push(&regions, &FrameMeta::default(), &frame[..60], tail);
        assert_eq!(found, Ok(pushed), "{len}");
    }
    ring.publish(&regions).unwrap();
    let received = driver.poll_all();
    assert_eq!(received.len(), 1);
    assert_eq!(
        (received[0].descriptors, received[0].bytes.len()),
        (1, 1024)
    );
}
