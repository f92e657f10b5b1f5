//! Packed rings against a model of their driver: random chains, sizes that are no powers of two, many
//! turns of the ring, and what a lying driver does.

mod driver;

use proptest::prelude::*;

use self::driver::*;
use super::*;
use crate::limits::{BURST, FLOW_COPY};
use crate::mem::{Event, Position, RingPlace};
use crate::offload::{FrameHash, PackedMeta};

/// Cuts `total` into parts at arbitrary places.
fn cut(total: usize, cuts: &[usize]) -> Vec<usize> {
    let mut at: Vec<usize> = cuts.iter().map(|c| c % total).collect();
    at.extend([0, total]);
    at.sort_unstable();
    at.windows(2).map(|w| w[1] - w[0]).collect()
}

fn sizes() -> impl Strategy<Value = u16> {
    prop_oneof![
        Just(1u16),
        Just(2),
        Just(7),
        Just(16),
        Just(33),
        1u16..70,
        Just(1024)
    ]
}

fn features() -> impl Strategy<Value = RingFeatures> {
    any::<[bool; 4]>().prop_map(|[event_idx, merge, in_order, hash_report]| RingFeatures {
        event_idx,
        indirect: true,
        merge,
        hash_report,
        in_order,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    /// Frames in any shape through many turns of a ring of any size: taken as they were made, given
    /// back by their names, once.
    #[test]
    fn transmit_follows_the_model(
        size in sizes(),
        features in features(),
        rounds in prop::collection::vec(prop::collection::vec(
            (14usize..2000, prop::collection::vec(any::<usize>(), 0..5), any::<bool>()), 0..12), 1..30),
    ) {
        let mut driver = Driver::new(size);
        let regions = driver.memory.load();
        let mut ring = PackedTransmit::new(driver.place(), features, &regions).unwrap();
        let mut room = BurstBuffers::default();
        let front = features.header_len();
        let mut number = 0;
        for round in rounds {
            let mut made = Vec::new();
            for (len, cuts, indirect) in &round {
                number += 1;
                let bytes: Vec<u8> =
                    (0..front + len).map(|i| if i < front { 0 } else { (i * 31 + number) as u8 }).collect();
                let Some((id, buffer)) = driver.offer(&cut(bytes.len(), cuts), 0, *indirect) else {
                    continue;
                };
                let usual = *len >= FLOW_COPY
                    && !indirect
                    && matches!(buffer.parts[..], [(at, len)] if !(at < SEAM && SEAM < at + len as u64));
                let mut at = 0;
                for (address, len) in buffer.parts {
                    driver.write(address, &bytes[at..at + len]);
                    at += len;
                }
                made.push((id, bytes[front..].to_vec(), usual));
            }
            let mut given = Vec::new();
            let mut seen = 0;
            while seen < made.len() {
                let unread = ring.lone(&regions);
                let lone = unread.and_then(|unread| unread.look());
                let [(_, bytes, usual), others @ ..] = &made[seen..] else { unreachable!() };
                let alone = *usual && others.is_empty();
                prop_assert_eq!(lone.is_some(), alone, "a usual frame, and no other");
                if let (Some(lone), Some(unread)) = (lone, unread) {
                    prop_assert_eq!((lone.size(), &lone.start()[..]), (bytes.len(), &bytes[..FLOW_COPY]));
                    prop_assert_eq!(driver.poll(features.in_order), None, "not given back yet");
                    ring.give_lone(&regions, &unread).unwrap();
                    given.extend(driver.poll_all(features.in_order));
                    break;
                }
                let mut burst = room.lend();
                ring.take(&regions, &mut burst).unwrap();
                prop_assert!(!burst.is_empty());
                for (index, frame) in burst.frames().enumerate() {
                    let bytes = &made[seen + index].1;
                    prop_assert!(frame.fault.is_none());
                    let mut got = vec![0; frame.len()];
                    let payload = burst.payload(index).unwrap();
                    prop_assert_eq!(payload.read(&mut got), bytes.len());
                    prop_assert_eq!(&got, bytes);
                }
                seen += burst.len();
                prop_assert_eq!(driver.poll(features.in_order), None, "not given back yet");
                ring.give_back(&regions, &burst, Frames::default()).unwrap();
                given.extend(driver.poll_all(features.in_order));
            }
            let expected: Vec<_> = made.iter().map(|(id, ..)| (*id, None)).collect();
            prop_assert_eq!(given, expected);
            let mut burst = room.lend();
            ring.take(&regions, &mut burst).unwrap();
            prop_assert!(burst.is_empty(), "nothing is taken twice");
        }
        prop_assert_eq!(driver.free, size);
    }

    /// What is pushed stands in the buffers, in order, with the lengths told.
    #[test]
    fn receive_follows_the_model(
        size in sizes(),
        features in features(),
        rounds in prop::collection::vec((
            prop::collection::vec(
                (20usize..2500, prop::collection::vec(any::<usize>(), 0..4), any::<bool>()), 0..8),
            prop::collection::vec((1usize..200, 0usize..4000), 0..8),
        ), 1..20),
    ) {
        let mut driver = Driver::new(size);
        let regions = driver.memory.load();
        let mut ring = PackedReceive::new(driver.place(), features, &regions).unwrap();
        let mut posted: std::collections::VecDeque<(u16, Buffer)> = Default::default();
        for (number, (buffers, frames)) in rounds.into_iter().enumerate() {
            for (len, cuts, indirect) in buffers {
                posted.extend(driver.offer(&cut(len, &cuts), WRITE, indirect));
            }
            let mut expected = Vec::new();
            for (head, tail) in frames {
                let frame: Vec<u8> = (0..head + tail).map(|i| (i * 13 + number) as u8).collect();
                let done = {
                    let mut room = BurstBuffers::default();
                    let mut burst = room.lend();
                    burst.push(PackedMeta::PLAIN, &frame);
                    let one = Frames::one(0);
                    let hash = FrameHash { value: number as u32 * 77, report: 2 };
                    burst.set_hash(0, hash);
                    let lone = Lone::of(&frame).map(|lone| lone.hashed(hash));
                    let other_way = match (number % 3, lone) {
                        (0, _) => false,
                        (1, Some(lone)) => ring.push_lone(&regions, &lone).unwrap(),
                        _ => ring.push_plain(&regions, &burst, one).unwrap().0 == one,
                    };
                    if other_way {
                        Pushed::Done
                    } else {
                        let tail = Payload::from(&frame[head..]);
                        let meta = FrameMeta { hash, ..FrameMeta::default() };
                        ring.push(&regions, &meta, &frame[..head], tail).unwrap()
                    }
                };
                let need = features.header_len() + frame.len();
                let bytes = |buffer: &Buffer| buffer.parts.iter().map(|(_, len)| len).sum::<usize>();
                let (mut room, mut count) = (0, 0);
                let most = if features.merge { usize::MAX } else { 1 };
                while room < need && count < posted.len().min(most) {
                    room += bytes(&posted[count].1);
                    count += 1;
                }
                prop_assert_eq!(done == Pushed::Done, room >= need);
                if done == Pushed::Done {
                    expected.push((posted.drain(..count).collect::<Vec<_>>(), frame, number as u32 * 77));
                }
            }
            prop_assert_eq!(driver.poll(false), None, "not visible before it is published");
            ring.publish(&regions).unwrap();
            for (buffers, frame, hash) in expected {
                let mut got = Vec::new();
                for (id, buffer) in &buffers {
                    let used = driver.poll(false).expect("as many as were filled");
                    let len = used[0].1.expect("a length is told");
                    prop_assert_eq!(used[0].0, *id);
                    let bytes: Vec<u8> =
                        buffer.parts.iter().flat_map(|(at, len)| driver.read(*at, *len)).collect();
                    got.extend(&bytes[..len as usize]);
                }
                prop_assert_eq!(u16::from_le_bytes([got[10], got[11]]), buffers.len() as u16);
                if features.hash_report {
                    prop_assert_eq!(&got[12..20], &[&hash.to_le_bytes()[..], &[2, 0, 0, 0]].concat()[..]);
                }
                prop_assert_eq!(&got[features.header_len()..], &frame[..]);
            }
            prop_assert_eq!(driver.poll(false), None, "and no more");
        }
    }

    /// Interrupts with `DESC`: exactly when the descriptor asked for was passed.
    #[test]
    fn virtio_2_8_10_an_interrupt_comes_when_the_event_is_passed(
        size in 1u16..40,
        bursts in prop::collection::vec((1u16..32, 0u16..80), 1..40),
    ) {
        let mut driver = Driver::new(size);
        let regions = driver.memory.load();
        let features = RingFeatures { event_idx: true, ..RingFeatures::default() };
        let mut ring = PackedTransmit::new(driver.place(), features, &regions).unwrap();
        let mut room = BurstBuffers::default();
        // Used descriptors counted without end; wrap and offset follow.
        let mut used = 0u64;
        for (count, ahead) in bursts {
            let event = used + u64::from(ahead) % u64::from(size);
            let turn = event / u64::from(size);
            let off = (event % u64::from(size)) as u16;
            driver.set_event(off | u16::from(turn.is_multiple_of(2)) << 15, 2);
            let count = count.min(size);
            for _ in 0..count {
                driver.offer(&[80], 0, false).unwrap();
            }
            let mut burst = room.lend();
            ring.take(&regions, &mut burst).unwrap();
            let wanted = ring.give_back(&regions, &burst, Frames::default()).unwrap();
            driver.poll_all(false);
            let now = used + u64::from(count);
            prop_assert_eq!(wanted, (used..now).contains(&event));
            used = now;
        }
    }
}

#[test]
fn interrupts_follow_the_drivers_flags() {
    let mut driver = Driver::new(8);
    let regions = driver.memory.load();
    let mut ring = PackedTransmit::new(driver.place(), RingFeatures::default(), &regions).unwrap();
    let mut room = BurstBuffers::default();
    // DESC was not negotiated and 3 is reserved: rather one too many.
    for (flags, wanted) in [(0, true), (1, false), (2, true), (3, true)] {
        driver.set_event(0, flags);
        driver.offer(&[80], 0, false).unwrap();
        let mut burst = room.lend();
        ring.take(&regions, &mut burst).unwrap();
        assert_eq!(
            ring.give_back(&regions, &burst, Frames::default()),
            Ok(wanted),
            "{flags}"
        );
        driver.poll_all(false);
    }
}

#[test]
fn doorbells_are_asked_for_only_when_armed() {
    for event_idx in [false, true] {
        let mut driver = Driver::new(5);
        let regions = driver.memory.load();
        let features = RingFeatures {
            event_idx,
            ..RingFeatures::default()
        };
        let mut ring = PackedTransmit::new(driver.place(), features, &regions).unwrap();
        ring.suppress(&regions);
        assert_eq!(driver.device_event().1, 1);
        assert_eq!(ring.arm(&regions), Ok(false));
        let armed = if event_idx { (0x8000, 2) } else { (0x8000, 0) };
        assert_eq!(driver.device_event(), armed);
        driver.offer(&[100], 0, false).unwrap();
        assert_eq!(ring.arm(&regions), Ok(true), "what came before is seen");
    }
}

#[test]
fn virtio_2_8_9_a_batch_is_given_back_as_one_descriptor() {
    let mut driver = Driver::new(32);
    let regions = driver.memory.load();
    let features = RingFeatures {
        in_order: true,
        ..RingFeatures::default()
    };
    let mut ring = PackedTransmit::new(driver.place(), features, &regions).unwrap();
    let mut room = BurstBuffers::default();
    for _ in 0..6 {
        driver.offer(&[12, 60], 0, false).unwrap();
    }
    let before = driver.read(0, 16 * 32);
    let mut burst = room.lend();
    ring.take(&regions, &mut burst).unwrap();
    ring.give_back(&regions, &burst, Frames::default()).unwrap();
    let after = driver.read(0, 16 * 32);
    assert_eq!(before[16..], after[16..], "only the first was written");
    assert_eq!(driver.poll(true).map(|all| all.len()), Some(6));
}

#[test]
fn sizes_at_their_limits() {
    for (size, good) in [
        (0, false),
        (1, true),
        (32768, true),
        (32769, false),
        (u16::MAX, false),
    ] {
        let driver = Driver::new(1);
        let regions = driver.memory.load();
        let place = RingPlace {
            size,
            descriptors: DATA,
            ..driver.place()
        };
        let made = PackedTransmit::new(place, RingFeatures::default(), &regions);
        assert_eq!(made.is_ok(), good, "{size}");
    }
}

/// Runs one malformed first buffer through a transmit ring of four; `flags` without availability.
fn refused(indirect: bool, descriptors: &[(u64, u32, u16)]) -> Result<usize, ChainError> {
    let driver = Driver::new(4);
    for (slot, (at, len, flags)) in descriptors.iter().enumerate() {
        let mark = if flags & AVAIL != 0 { 0 } else { AVAIL };
        let flags = (flags | mark) & !(flags & AVAIL);
        driver.descriptor(16 * slot as u64, *at, *len, 7, flags);
    }
    let regions = driver.memory.load();
    let features = RingFeatures {
        indirect,
        ..RingFeatures::default()
    };
    let mut ring = PackedTransmit::new(driver.place(), features, &regions).unwrap();
    let mut room = BurstBuffers::default();
    let mut burst = room.lend();
    match ring.take(&regions, &mut burst) {
        Ok(()) => Ok(burst.len()),
        Err(RingError::Chain { source, .. }) => Err(source),
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn lies_are_noticed() {
    // AVAIL in these flags means: this one was not made available.
    let data = (DATA, 100, 0);
    let more = (DATA, 100, NEXT);
    assert_eq!(refused(true, &[data]), Ok(1));
    assert_eq!(refused(true, &[(DATA, 100, AVAIL)]), Ok(0));
    assert_eq!(
        refused(true, &[(DATA, 100, USED)]),
        Ok(0),
        "used is not available"
    );
    assert_eq!(refused(true, &[more; 4]), Err(ChainError::Loop));
    assert_eq!(
        refused(true, &[more, (DATA, 100, AVAIL)]),
        Err(ChainError::Unavailable)
    );
    assert_eq!(
        refused(true, &[(DATA, 100, WRITE)]),
        Err(ChainError::Direction)
    );
    assert_eq!(
        refused(true, &[more, (DATA, 100, WRITE)]),
        Err(ChainError::Direction)
    );
    let table = (TABLES, 16, INDIRECT);
    assert_eq!(
        refused(false, &[table]),
        Err(ChainError::IndirectUnexpected)
    );
    assert_eq!(
        refused(true, &[more, table]),
        Err(ChainError::IndirectNested)
    );
    assert_eq!(
        refused(true, &[(TABLES, 16, INDIRECT | NEXT), data]),
        Err(ChainError::IndirectNested)
    );
    for len in [0, 15, 17, 80, u32::MAX] {
        assert_eq!(
            refused(true, &[(TABLES, len, INDIRECT)]),
            Err(ChainError::IndirectLength(len))
        );
    }
    for (at, len) in [(RAM - 50, 100), (1 << 40, 100), (u64::MAX - 10, 100)] {
        for flags in [0, INDIRECT] {
            let len = if flags == 0 { len } else { 64 };
            let refusal = refused(true, &[(at, len, flags)]);
            assert!(matches!(refusal, Err(ChainError::Memory(_))), "{refusal:?}");
        }
    }
}

#[test]
fn a_frame_over_too_many_pieces_is_given_back_whole() {
    let mut driver = Driver::new(2048);
    let parts = vec![1; crate::limits::MAX_FRAME_PIECES + BURST + 1];
    driver.offer(&parts, 0, false).unwrap();
    driver.offer(&[100], 0, false).unwrap();
    let regions = driver.memory.load();
    let mut ring = PackedTransmit::new(driver.place(), RingFeatures::default(), &regions).unwrap();
    let mut room = BurstBuffers::default();
    let mut burst = room.lend();
    ring.take(&regions, &mut burst).unwrap();
    let faults: Vec<_> = burst.frames().map(|frame| frame.fault).collect();
    assert_eq!(faults, [Some(FrameFault::Scattered), None]);
    ring.give_back(&regions, &burst, Frames::default()).unwrap();
    assert_eq!(driver.poll_all(false).len(), 2);
    assert_eq!(driver.free, 2048);
}

#[test]
fn endless_tiny_buffers_end() {
    let mut driver = Driver::new(60);
    while driver.offer(&[1], WRITE, false).is_some() {}
    let regions = driver.memory.load();
    let features = RingFeatures {
        merge: true,
        ..RingFeatures::default()
    };
    let mut ring = PackedReceive::new(driver.place(), features, &regions).unwrap();
    let none = Payload::from(&[][..]);
    let done = ring.push(&regions, &FrameMeta::default(), &[0; 60], none);
    assert_eq!(done, Ok(Pushed::NoBuffer));
    ring.publish(&regions).unwrap();
    assert_eq!(driver.poll(false), None, "the ring is left as it was");
}

#[test]
fn commands_are_taken_and_answered() {
    let mut driver = Driver::new(3);
    let regions = driver.memory.load();
    let features = RingFeatures {
        indirect: true,
        ..RingFeatures::default()
    };
    let mut ring =
        ControlRing::new(RingFormat::Packed, driver.place(), features, &regions).unwrap();
    assert!(ring.take(&regions).unwrap().is_none());
    assert_eq!(driver.device_event().1, 0, "armed");
    for round in 0..20u8 {
        let (_, buffer) = driver.offer(&[2, 1], 0, false).unwrap();
        driver.write(buffer.parts[0].0, &[1, round]);
        // The second element takes the answer: the driver's slot before this one, set anew.
        let slot = (driver.next_avail + driver.size - 1) % driver.size;
        let wrap = if driver.next_avail == 0 {
            !driver.avail_wrap
        } else {
            driver.avail_wrap
        };
        let mark = if wrap { AVAIL } else { USED };
        let id = driver.order[0];
        driver.descriptor(16 * u64::from(slot), buffer.parts[1].0, 1, id, WRITE | mark);
        let command = ring.take(&regions).unwrap().expect("a command");
        assert_eq!(command.bytes, [1, round]);
        ring.answer(&regions, &command, &[0x5a]).unwrap();
        assert_eq!(driver.poll(false), Some(vec![(id, Some(1))]));
        assert_eq!(driver.read(buffer.parts[1].0, 1), [0x5a]);
    }
}

/// A driver that has to post buffers is not left waiting for an interrupt that is held back.
#[test]
fn a_packed_ring_is_spent_when_its_last_buffer_is_used() {
    // Two, so that the second turn of the ring starts where the first did.
    let mut driver = Driver::new(2);
    let regions = driver.memory.load();
    let mut ring = PackedReceive::new(driver.place(), RingFeatures::default(), &regions).unwrap();
    for _ in 0..3 {
        assert!(ring.is_spent(&regions), "nothing is posted");
        for _ in 0..2 {
            driver.offer(&[2048], WRITE, false).unwrap();
        }
        for left in [1, 0] {
            let tail = Payload::from(&[][..]);
            let pushed = ring.push(&regions, &FrameMeta::default(), &[7; 60], tail);
            assert_eq!(pushed, Ok(Pushed::Done));
            assert_eq!(
                ring.is_spent(&regions),
                left == 0,
                "{left} left, unpublished"
            );
        }
        ring.publish(&regions).unwrap();
        assert_eq!(driver.poll_all(false).len(), 2);
    }
}

#[test]
fn endless_empty_elements_end_in_a_packed_ring_too() {
    let mut driver = Driver::new(64);
    for _ in 0..17 {
        driver.offer(&[0; 64], WRITE, true).unwrap();
    }
    driver.offer(&[2048], WRITE, false).unwrap();
    let regions = driver.memory.load();
    let features = RingFeatures {
        indirect: true,
        merge: true,
        ..RingFeatures::default()
    };
    let mut ring = PackedReceive::new(driver.place(), features, &regions).unwrap();
    let tail = Payload::from(&[][..]);
    let pushed = ring.push(&regions, &FrameMeta::default(), &[7; 60], tail);
    assert_eq!(pushed, Ok(Pushed::TooSmall));
}

/// A decision that is taken back again and again spans more than two turns of a small ring, after which
/// positions look as they did at first.
#[test]
fn an_interrupt_held_over_turns_of_the_ring_is_not_lost() {
    let mut driver = Driver::new(8);
    let regions = driver.memory.load();
    let features = RingFeatures {
        event_idx: true,
        ..RingFeatures::default()
    };
    let mut ring = PackedReceive::new(driver.place(), features, &regions).unwrap();
    driver.set_event(Position::START.off_wrap(), Event::DESC);
    for burst in 1..=5 {
        for _ in 0..4 {
            driver.offer(&[2048], WRITE, false).unwrap();
            let tail = Payload::from(&[][..]);
            let pushed = ring.push(&regions, &FrameMeta::default(), &[7; 60], tail);
            assert_eq!(pushed, Ok(Pushed::Done));
        }
        // The driver polls on its own, and asks for one when the last that it has seen is passed.
        assert_eq!(ring.publish(&regions), Ok(true), "burst {burst}");
        if burst < 5 {
            ring.hold();
            assert_eq!(driver.poll_all(false).len(), 4);
            let at = Position::from_off_wrap(driver.next_used, 8).unwrap();
            let at = if driver.used_wrap {
                at.off_wrap() | 1 << 15
            } else {
                at.index()
            };
            driver.set_event(at, Event::DESC);
        }
    }
    assert_eq!(ring.wants_interrupt(&regions), Ok(false), "decided once");
}
