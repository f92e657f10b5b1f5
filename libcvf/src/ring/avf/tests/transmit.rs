use proptest::prelude::*;

use super::driver::{BASE, DATA, Driver, EOP, IL2TAG1, RS, SEAM, Said, context, cut, data};
use crate::limits::{BURST, FLOW_COPY};
use crate::ring::{
    AvfTransmit, Burst, BurstBuffers, FrameFault, Frames, RingError, Token, TransmitRing,
};

/// All of a frame, as it would be delivered.
pub(super) fn bytes(burst: &Burst<'_>, index: usize) -> Vec<u8> {
    let (head, tail) = burst.parts(index);
    let mut all = head.to_vec();
    all.resize(head.len() + tail.len(), 0);
    assert_eq!(tail.read(&mut all[head.len()..]), tail.len());
    assert_eq!(all.len(), burst.size(index));
    all
}

fn frame(len: usize, number: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 31 + number * 7) as u8).collect()
}

/// Sizes of rings: small ones wrap often.
fn sizes() -> impl Strategy<Value = u16> {
    (2u16..=6).prop_map(|n| 32 * n)
}

/// What a driver and a worker do.
#[derive(Clone, Debug)]
enum Step {
    /// Bytes, where they are cut, whether a report is wanted, a context that says nothing.
    Send(usize, Vec<usize>, bool, bool),
    Kick,
    /// Frames that are kept.
    Serve(u32),
    /// Of those, some are completed, in any order.
    Complete(u8, u8),
    Reap,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let send = || {
        (
            17usize..900,
            prop::collection::vec(any::<usize>(), 0..7),
            any::<bool>(),
            0u8..8,
        )
            .prop_map(|(len, cuts, report, kind)| {
                let cuts = if kind < 5 { Vec::new() } else { cuts };
                Step::Send(len, cuts, report, kind == 7)
            })
    };
    let step = prop_oneof![
        6 => send(),
        2 => Just(Step::Kick),
        3 => (any::<u32>(), 0u8..3).prop_map(|(kept, some)| Step::Serve(if some == 0 { kept } else { 0 })),
        1 => (any::<u8>(), any::<u8>()).prop_map(|(count, at)| Step::Complete(count, at)),
        2 => Just(Step::Reap),
    ];
    prop::collection::vec(step, 1..250)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Frames come out as they went in, in order, and are reported in order: none before all before it are done, and
    /// those that asked for it as soon as they are.
    #[test]
    fn frames_are_taken_and_reported_in_order(size in sizes(), steps in steps()) {
        struct Sent { bytes: Vec<u8>, report: Option<u16>, done: bool }
        let mut driver = Driver::transmit(size);
        let mut sent: Vec<Sent> = Vec::new();
        let (mut kicked, mut taken, mut reported) = (0, 0, 0);
        let mut kept: Vec<(usize, Token)> = Vec::new();
        let mut buffers = BurstBuffers::default();
        let regions = driver.memory.load().clone();
        let mut ring = AvfTransmit::new(&driver.ring, &regions).unwrap();
        for step in steps {
            let mut told = None;
            match step {
                Step::Send(len, cuts, report, spoken) => {
                    let bytes = frame(len, sent.len());
                    let said = Said {
                        cmd: if report { RS } else { 0 },
                        context: if spoken { context(0, 0, 0, 0) } else { None },
                        ..Said::default()
                    };
                    if driver.send(&bytes, &cut(len, &cuts), said).is_some() {
                        let last = (driver.next + size - 1) % size;
                        sent.push(Sent { bytes, report: report.then_some(last), done: false });
                    }
                }
                Step::Kick => {
                    driver.kick();
                    kicked = sent.len();
                }
                Step::Serve(keep) => {
                    prop_assert_eq!(ring.has_work(&regions), kicked > taken);
                    prop_assert_eq!(ring.arm(&regions), Ok(kicked > taken));
                    let mut burst = buffers.lend();
                    ring.take(&regions, &mut burst).unwrap();
                    let count = burst.len();
                    prop_assert_eq!(count, (kicked - taken).min(BURST));
                    let mut keeps = Frames::default();
                    for index in 0..count {
                        let frame = burst.frame(index).unwrap();
                        prop_assert!(frame.fault.is_none() && frame.meta.is_plain());
                        prop_assert_eq!(&bytes(&burst, index), &sent[taken + index].bytes);
                        if keep >> index & 1 != 0 {
                            keeps.add(Frames::one(index));
                            kept.push((taken + index, ring.token(&burst, index).unwrap()));
                        } else {
                            sent[taken + index].done = true;
                        }
                    }
                    prop_assert!(ring.token(&burst, count).is_none());
                    told = Some(ring.give_back(&regions, &burst, keeps));
                    taken += count;
                }
                Step::Complete(count, at) => {
                    let count = usize::from(count) % (kept.len() + 1);
                    let mut tokens = Vec::new();
                    for nth in 0..count {
                        let (number, token) = kept.swap_remove((usize::from(at) + nth) % kept.len());
                        sent[number].done = true;
                        tokens.push(token);
                    }
                    told = Some(ring.complete(&regions, &tokens));
                }
                Step::Reap => { driver.reap(); }
            }
            if let Some(told) = told {
                let until = sent[..taken].iter().take_while(|sent| sent.done).count();
                let asked = sent[reported..until].iter().any(|sent| sent.report.is_some());
                prop_assert_eq!(told, Ok(asked));
                reported = until;
            }
            // What the driver may know: it has waited for these, and for nothing else.
            let awaited: Vec<_> = driver.awaited.iter().copied().collect();
            let reports: Vec<_> = sent.iter().filter_map(|sent| sent.report).collect();
            let told = sent[..reported].iter().filter(|sent| sent.report.is_some()).count();
            for (nth, index) in awaited.iter().enumerate() {
                let number = reports.len() - awaited.len() + nth;
                prop_assert_eq!(reports[number], *index);
                prop_assert_eq!(driver.is_done(*index), number < told);
            }
        }
    }

    /// Alone or in a burst, the driver finds the same.
    #[test]
    fn a_frame_alone_is_sent_as_any_other(
        size in sizes(), frames in prop::collection::vec((17usize..400, any::<bool>()), 1..300),
    ) {
        let mut driver = Driver::transmit(size);
        let regions = driver.memory.load().clone();
        let mut ring = AvfTransmit::new(&driver.ring, &regions).unwrap();
        for (number, (len, report)) in frames.into_iter().enumerate() {
            let bytes = frame(len, number);
            let said = Said { cmd: RS, ..Said::default() };
            let said = if report || driver.free() < 2 { said } else { Said::default() };
            let report = said.cmd == RS;
            let place = driver.send_one(&bytes, said)[0].0;
            let at = (driver.next + size - 1) % size;
            let crosses = place < SEAM && place + len as u64 > SEAM;
            let unread = ring.lone(&regions);
            let lone = unread.and_then(|unread| unread.look());
            prop_assert_eq!(lone.is_some(), !crosses, "in one piece");
            if let (Some(lone), Some(unread)) = (lone, unread) {
                prop_assert_eq!((lone.size(), &lone.start()[..]), (len, &bytes[..FLOW_COPY]));
                prop_assert!(!driver.is_done(at), "nothing is given back before its time");
                prop_assert_eq!(ring.give_lone(&regions, &unread), Ok(report));
            } else {
                let mut buffers = BurstBuffers::default();
                let mut burst = buffers.lend();
                ring.take(&regions, &mut burst).unwrap();
                prop_assert_eq!(burst.len(), 1);
                prop_assert_eq!(ring.give_back(&regions, &burst, Frames::default()), Ok(report));
            }
            prop_assert_eq!(driver.is_done(at), report);
            prop_assert!(!ring.has_work(&regions));
            driver.reap();
        }
    }
}

/// Every size that a ring may have, over more than a turn.
#[test]
fn rings_of_every_size_turn() {
    let mut buffers = BurstBuffers::default();
    for size in (64..=4096u16).step_by(32) {
        let mut driver = Driver::transmit(size);
        let regions = driver.memory.load().clone();
        let mut ring = AvfTransmit::new(&driver.ring, &regions).unwrap();
        driver.write(DATA, &[0x42; 60]);
        let mut number = 0u32;
        let (mut sent, mut seen) = (0, 0);
        while sent < u32::from(size) * 2 + 7 {
            let count = u32::from(driver.free()).min(32 + sent % 29);
            for _ in 0..count {
                let report = if number % 32 == 31 { RS } else { 0 };
                let said = Said {
                    cmd: report,
                    ..Said::default()
                };
                driver.set(driver.next, [DATA, data(60, &said, EOP)]);
                if report != 0 {
                    driver.awaited.push_back(driver.next);
                }
                driver.next = (driver.next + 1) % size;
                number += 1;
            }
            driver.kick();
            sent += count;
            while ring.has_work(&regions) {
                let mut burst = buffers.lend();
                ring.take(&regions, &mut burst).unwrap();
                assert_eq!(burst.usuals().count(), burst.len());
                seen += burst.len() as u32;
                ring.give_back(&regions, &burst, Frames::default()).unwrap();
            }
            assert_eq!(seen, sent, "{size}");
            driver.reap();
            assert!(
                driver.awaited.is_empty(),
                "all that was reported is seen: {size}"
            );
        }
    }
}

/// A driver that writes its tail within a frame is waited for, quietly.
#[test]
fn a_frame_that_does_not_end_yet_waits() {
    let mut driver = Driver::transmit(64);
    let regions = driver.memory.load().clone();
    let mut ring = AvfTransmit::new(&driver.ring, &regions).unwrap();
    let mut buffers = BurstBuffers::default();
    let bytes = frame(90, 1);
    driver.send(&bytes, &[90], Said::default()).unwrap();
    let said = Said {
        cmd: RS,
        ..Said::default()
    };
    driver.send(&bytes, &[30, 30, 30], said).unwrap();
    driver.ring.tail.set(3);
    assert!(ring.has_work(&regions));
    let mut burst = buffers.lend();
    ring.take(&regions, &mut burst).unwrap();
    assert_eq!(burst.len(), 1);
    ring.give_back(&regions, &burst, Frames::default()).unwrap();
    assert!(
        !ring.has_work(&regions),
        "nothing to do until more is there"
    );
    assert_eq!(ring.arm(&regions), Ok(false));
    assert!(ring.lone(&regions).is_none());
    driver.kick();
    assert_eq!(ring.arm(&regions), Ok(true));
    let mut burst = buffers.lend();
    ring.take(&regions, &mut burst).unwrap();
    assert_eq!(
        (burst.len(), bytes.as_slice()),
        (1, &self::bytes(&burst, 0)[..])
    );
    assert_eq!(
        ring.give_back(&regions, &burst, Frames::default()),
        Ok(true)
    );
    assert_eq!(driver.reap(), [3]);
}

/// Also where so much of it was there that the tail was not looked for any more.
#[test]
fn a_long_frame_that_does_not_end_yet_is_found_when_it_does() {
    let mut driver = Driver::transmit(128);
    let regions = driver.memory.load().clone();
    let mut ring = AvfTransmit::new(&driver.ring, &regions).unwrap();
    let mut buffers = BurstBuffers::default();
    let parts = [100; 60];
    let bytes = frame(parts.iter().sum(), 1);
    let said = Said {
        cmd: RS,
        context: context(1, 5900, 1400, 0),
        ..Said::default()
    };
    driver.send(&bytes, &parts, said).unwrap();
    for tail in [20, 40, 50, 60] {
        driver.ring.tail.set(tail);
        assert!(ring.has_work(&regions), "{tail}");
        let mut burst = buffers.lend();
        ring.take(&regions, &mut burst).unwrap();
        assert!(burst.is_empty());
        ring.give_back(&regions, &burst, Frames::default()).unwrap();
        assert!(!ring.has_work(&regions), "{tail}");
        assert_eq!(ring.arm(&regions), Ok(false));
    }
    driver.kick();
    assert_eq!(ring.arm(&regions), Ok(true));
    let mut burst = buffers.lend();
    ring.take(&regions, &mut burst).unwrap();
    assert_eq!(burst.len(), 1);
    ring.give_back(&regions, &burst, Frames::default()).unwrap();
    assert_eq!(driver.reap(), [60]);
}

/// One that posts over what it has not got back gets it back first.
#[test]
fn kept_frames_are_not_run_over() {
    let driver = Driver::transmit(64);
    let regions = driver.memory.load().clone();
    let mut ring = AvfTransmit::new(&driver.ring, &regions).unwrap();
    let mut buffers = BurstBuffers::default();
    let said = Said {
        cmd: RS,
        ..Said::default()
    };
    for index in 0..64 {
        driver.set(index, [DATA, data(60, &said, EOP)]);
    }
    driver.ring.tail.set(2);
    let mut burst = buffers.lend();
    ring.take(&regions, &mut burst).unwrap();
    assert_eq!(burst.len(), 2);
    let token = ring.token(&burst, 0).unwrap();
    assert_eq!(
        ring.give_back(&regions, &burst, Frames::one(0)),
        Ok(false),
        "the second waits"
    );
    // All that there are, and again from the beginning.
    driver.ring.tail.set(1);
    let mut taken = 0;
    while ring.has_work(&regions) {
        let mut burst = buffers.lend();
        ring.take(&regions, &mut burst).unwrap();
        assert!(!burst.is_empty());
        taken += burst.len();
        assert_eq!(
            ring.give_back(&regions, &burst, Frames::default()),
            Ok(false)
        );
    }
    assert_eq!(taken, 61, "up to the one before the first that is kept");
    assert_eq!(ring.complete(&regions, &[token]), Ok(true));
    assert!((0..63).all(|index| driver.is_done(index)));
    assert!(ring.has_work(&regions), "the rest");
}

/// A large-send frame that finds no room beside others of its burst comes with the next.
#[test]
fn a_frame_of_many_pieces_waits_for_an_empty_burst() {
    let mut driver = Driver::transmit(4096);
    let regions = driver.memory.load().clone();
    let mut ring = AvfTransmit::new(&driver.ring, &regions).unwrap();
    let mut buffers = BurstBuffers::default();
    let bytes = frame(60_000, 3);
    let large = Said {
        cmd: RS,
        context: context(1, 0, 100, 0),
        ..Said::default()
    };
    let mut parts = vec![1; 1020];
    parts.extend([14_745; 4]);
    for _ in 0..2 {
        driver.send(&bytes, &parts, large).unwrap();
    }
    driver.kick();
    for _ in 0..2 {
        let mut burst = buffers.lend();
        ring.take(&regions, &mut burst).unwrap();
        assert_eq!(burst.len(), 1);
        // It asks for something that its bytes are not.
        assert_eq!(
            burst.frame(0).unwrap().fault,
            Some(FrameFault::Contradicted)
        );
        assert_eq!(
            burst.payload(0).map(|payload| payload.len()),
            Some(bytes.len())
        );
        assert_eq!(
            ring.give_back(&regions, &burst, Frames::default()),
            Ok(true)
        );
    }
    assert_eq!(driver.reap().len(), 2);
}

#[test]
fn rings_are_refused_where_they_cannot_be() {
    let driver = Driver::transmit(64);
    let regions = driver.memory.load();
    let with = |size, base| {
        let ring = crate::ring::AvfRing {
            size,
            base,
            ..driver.ring.clone()
        };
        AvfTransmit::new(&ring, &regions).is_ok()
    };
    assert!(with(64, BASE) && with(96, BASE) && with(4096, 0));
    for size in [0, 1, 32, 63, 65, 80, 4097, 4128, 8160, u16::MAX] {
        assert!(!with(size, BASE), "{size}");
    }
    for base in [
        64,
        1,
        BASE + 16,
        super::driver::RAM - 512,
        1 << 40,
        u64::MAX - 127,
    ] {
        assert!(!with(64, base), "{base:#x}");
    }
}

/// Its memory may come back.
#[test]
fn a_ring_whose_memory_is_away_says_so() {
    let mut driver = Driver::transmit(64);
    let regions = driver.memory.load().clone();
    let mut ring = AvfTransmit::new(&driver.ring, &regions).unwrap();
    driver.send_one(&frame(60, 0), Said::default());
    let before = driver.memory.clear();
    let nothing = driver.memory.load();
    let away = |error: &RingError| matches!(error, RingError::Away(_));
    assert!(ring.arm(&nothing).is_err_and(|error| away(&error)));
    assert!(ring.has_work(&nothing), "to be told so");
    assert!(ring.lone(&nothing).is_none());
    let mut buffers = BurstBuffers::default();
    let mut burst = buffers.lend();
    assert!(
        ring.take(&nothing, &mut burst)
            .is_err_and(|error| away(&error))
    );
    let mut burst = buffers.lend();
    ring.take(&before, &mut burst).unwrap();
    assert_eq!(burst.len(), 1);
}

#[test]
fn an_untouched_ring_is_known() {
    let mut driver = Driver::transmit(64);
    let regions = driver.memory.load().clone();
    let mut ring = AvfTransmit::new(&driver.ring, &regions).unwrap();
    driver.ring.tail.set(1);
    assert!(ring.looks_untouched(&regions));
    driver.send_one(
        &frame(60, 0),
        Said {
            cmd: IL2TAG1,
            ..Said::default()
        },
    );
    assert!(!ring.looks_untouched(&regions));
}

#[test]
fn an_interrupt_that_is_held_back_is_asked_for_again() {
    let mut driver = Driver::transmit(64);
    let regions = driver.memory.load().clone();
    let mut ring = AvfTransmit::new(&driver.ring, &regions).unwrap();
    let mut buffers = BurstBuffers::default();
    let mut sends = |ring: &mut AvfTransmit, report: u64| {
        let said = Said {
            cmd: report,
            ..Said::default()
        };
        driver.send(&frame(100, 1), &[100], said).unwrap();
        driver.kick();
        let mut burst = buffers.lend();
        ring.take(&regions, &mut burst).unwrap();
        ring.give_back(&regions, &burst, Frames::default()).unwrap()
    };
    assert!(sends(&mut ring, RS));
    ring.hold();
    assert!(sends(&mut ring, 0), "what is held counts");
    assert!(!sends(&mut ring, 0), "once");
    ring.hold();
    assert!(ring.wants_interrupt(&regions).unwrap());
    assert!(!sends(&mut ring, 0));
    ring.hold();
    assert!(ring.complete(&regions, &[]).unwrap());
}
