//! Rings alone, over many turns, with a device that takes its time.

use std::collections::VecDeque;

use proptest::prelude::*;

use crate::fakevm::avf::desc::MAX_CHAIN;
use crate::fakevm::avf::model::{Memory, RxModel, Say, TxModel};
use crate::fakevm::avf::{AvfRingConfig, AvfRx, AvfTx, Offload, RxFormat};
use crate::fakevm::memory::{Backing, GuestMemory, MemoryPlan};
use crate::fakevm::net::NetHeader;

const BUFFER: usize = 256;

fn rings(config: AvfRingConfig, format: RxFormat) -> (Memory, AvfTx, AvfRx) {
    let mut memory = GuestMemory::new(&MemoryPlan::single(4 << 20, Backing::Memfd)).unwrap();
    memory.alloc(4096, 4096).unwrap();
    let tx = AvfTx::new(&mut memory, &config).unwrap();
    let rx = AvfRx::new(&mut memory, &config, format).unwrap();
    (Memory::of(&memory), tx, rx)
}

fn config(size: u16, reports: u16) -> AvfRingConfig {
    AvfRingConfig {
        tx_size: size,
        rx_size: size,
        tx_buffer: BUFFER,
        rx_buffer: BUFFER,
        reports,
        ..AvfRingConfig::default()
    }
}

/// A frame that tells which it is and is different everywhere.
fn frame(number: u64, len: usize) -> Vec<u8> {
    let mut frame: Vec<u8> = (0..len).map(|at| (at as u64 + number) as u8).collect();
    frame[..8].copy_from_slice(&number.to_le_bytes());
    frame
}

#[derive(Clone, Debug)]
enum Step {
    /// The driver sends a frame so long, with a context descriptor or without.
    Push(usize, bool),
    /// The driver sends so many frames of those that it has prepared.
    Prepared(usize),
    /// The driver shows what it has pushed.
    Publish,
    /// The device takes up to so many frames.
    Take(usize),
    /// The device reports on up to so many.
    Report(usize),
    /// The driver takes back what was reported.
    Reap,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (17_usize..8 * BUFFER, any::<bool>()).prop_map(|(len, tag)| Step::Push(len, tag)),
        2 => (1_usize..40).prop_map(Step::Prepared),
        3 => Just(Step::Publish),
        3 => (1_usize..40).prop_map(Step::Take),
        3 => (1_usize..40).prop_map(Step::Report),
        3 => Just(Step::Reap),
    ]
}

proptest! {
    /// Whatever the order of events, over many turns of the ring: every frame arrives once, whole and in order, no
    /// descriptor is written that the device still has, and all are given back in the end.
    #[test]
    fn frames_leave_in_order_over_many_turns(
        size in prop::sample::select(vec![64_u16, 96, 128]),
        reports in prop::sample::select(vec![1_u16, 7, 16]),
        steps in prop::collection::vec(step(), 1..400),
    ) {
        let (memory, mut tx, _) = rings(config(size, reports), RxFormat::default());
        let mut device = TxModel::new(tx.base(), size);
        let prepared = frame(0, 64);
        let (mut pushed, mut due) = (VecDeque::new(), VecDeque::new());
        let (mut number, mut shown, mut back, mut taken) = (0, 0, 0, 0);
        for step in steps {
            match step {
                Step::Push(len, tag) => {
                    let offload = Offload { vlan2: tag.then_some(9), ..Offload::default() };
                    if tx.push(&offload, &frame(number, len)).unwrap() {
                        pushed.push_back((number, len, tag));
                        number += 1;
                    } else {
                        prop_assert!(tx.free() < len.div_ceil(BUFFER) + 1);
                    }
                }
                // Only then has the device nothing of what is in the buffers.
                Step::Prepared(count) if pushed.is_empty() => {
                    tx.prepare(&NetHeader::default(), &prepared).unwrap();
                    let count = tx.push_prepared(count, 64, 8, number);
                    for number in number..number + count as u64 {
                        pushed.push_back((number, 0, false));
                    }
                    number += count as u64;
                }
                Step::Prepared(_) => {}
                Step::Publish => {
                    prop_assert_eq!(tx.publish(), shown != tx.tail());
                    shown = tx.tail();
                }
                Step::Take(most) => {
                    for _ in 0..most {
                        let Some(frame_out) = device.take(&memory, shown) else { break };
                        let (number, len, tag) = pushed.pop_front().unwrap();
                        if len == 0 {
                            prop_assert_eq!(&frame_out.bytes[8..16], number.to_le_bytes());
                            prop_assert_eq!(&frame_out.bytes[16..], &prepared[16..]);
                        } else {
                            prop_assert!(frame_out.bytes == frame(number, len));
                            prop_assert!(frame_out.pieces.len() <= 8);
                        }
                        prop_assert_eq!(frame_out.context.is_some(), tag);
                        taken += 1;
                        due.extend(frame_out.report);
                    }
                }
                Step::Report(most) => {
                    for index in due.drain(..most.min(due.len())) {
                        device.report(&memory, index);
                    }
                }
                Step::Reap => {
                    back += tx.reap().unwrap();
                    prop_assert!(back <= taken);
                }
            }
            prop_assert_eq!(tx.free() + tx.taken(), usize::from(size) - 1);
        }
        tx.publish();
        while let Some(frame_out) = device.take(&memory, tx.tail()) {
            taken += 1;
            due.extend(frame_out.report);
        }
        for index in due {
            device.report(&memory, index);
        }
        back += tx.reap().unwrap();
        prop_assert!(tx.is_reported());
        prop_assert_eq!(back + usize::from(tx.unreported()), taken);
        prop_assert_eq!(tx.sent(), number);
        if reports == 1 {
            prop_assert_eq!(tx.taken(), 0);
        }
    }

    /// Whatever the format, the lengths and whenever the driver looks: every frame comes once, whole and in order.
    #[test]
    fn frames_come_in_order_over_many_turns(
        size in prop::sample::select(vec![64_u16, 96]),
        each in 1_u16..4,
        (flex, crc) in any::<(bool, bool)>(),
        steps in prop::collection::vec(
            (prop::collection::vec(17_usize..MAX_CHAIN * BUFFER - 4, 0..12), 0_usize..12, any::<bool>()),
            1..200,
        ),
    ) {
        let config = AvfRingConfig { buffers_each: each, ..config(size, 1) };
        let (memory, _, mut rx) = rings(config, RxFormat { flex, crc });
        let mut device = RxModel::new(rx.base(), size, BUFFER);
        (device.flex, device.crc) = (flex, crc);
        let room = if crc { BUFFER - 4 } else { BUFFER };
        let mut under_way = VecDeque::new();
        let (mut number, mut shown, mut came) = (0, 0, Vec::new());
        for (lengths, looks, alone) in steps {
            for len in lengths {
                // Frames of one buffer, for those who look at bursts.
                let len = if alone { len.min(room) } else { len };
                if device.put(&memory, shown, &frame(number, len), Say::default()) {
                    under_way.push_back((number, len));
                    number += 1;
                }
            }
            for _ in 0..looks {
                if rx.poll(&mut came).unwrap().is_none() {
                    prop_assert!(under_way.is_empty());
                    break;
                }
                let (number, len) = under_way.pop_front().unwrap();
                prop_assert!(came == frame(number, len));
            }
            if under_way.iter().all(|(_, len)| *len <= room) {
                let mut lens = Vec::new();
                let count = rx.poll_burst(5, |frame| lens.push((frame.stamp(0), frame.len)));
                prop_assert_eq!(count.unwrap(), lens.len());
                prop_assert_eq!(lens.len(), under_way.len().min(5));
                for found in lens {
                    prop_assert_eq!(Some(found), under_way.pop_front());
                }
            }
            prop_assert_eq!(rx.publish(), shown != rx.tail());
            shown = rx.tail();
        }
        while rx.poll(&mut came).unwrap().is_some() {
            let (number, len) = under_way.pop_front().unwrap();
            prop_assert!(came == frame(number, len));
        }
        prop_assert!(under_way.is_empty());
        prop_assert_eq!(rx.received(), number);
        prop_assert_eq!(rx.wrong_sequences(), 0);
    }
}

#[test]
fn check_sequences_that_are_wrong_are_counted() {
    let format = RxFormat {
        crc: true,
        ..RxFormat::default()
    };
    let (memory, _, mut rx) = rings(config(64, 1), format);
    let mut device = RxModel::new(rx.base(), 64, BUFFER);
    let (good, mut came) = (frame(1, 60), Vec::new());
    let sequence = lab_guest::crc::of(&good);
    for (nth, wrong) in [0, 1, 1 << 31].into_iter().enumerate() {
        let bytes = [&good[..], &(sequence ^ wrong).to_le_bytes()].concat();
        for _ in 0..2 {
            assert!(device.put_bytes(&memory, rx.tail(), &bytes, Say::default()));
        }
        assert!(rx.poll(&mut came).unwrap().is_some());
        assert!(came == good, "handed on without it");
        let count = rx.poll_burst(1, |frame| assert_eq!(frame.len, good.len()));
        assert_eq!(count.unwrap(), 1);
        assert_eq!(rx.wrong_sequences(), 2 * nth as u64);
    }
    for taken_by_burst in [false, true] {
        assert!(device.put_bytes(&memory, rx.tail(), &[0; 4], Say::default()));
        let outcome = if taken_by_burst {
            rx.poll_burst(1, |_| {}).map(drop)
        } else {
            rx.poll(&mut came).map(drop)
        };
        assert!(outcome.is_err(), "a check sequence of nothing");
    }
}

#[test]
fn descriptors_that_stand_are_not_written_again() {
    let (memory, mut tx, _) = rings(config(64, 16), RxFormat::default());
    let mut device = TxModel::new(tx.base(), 64);
    tx.prepare(&NetHeader::default(), &frame(0, 64)).unwrap();
    let mut turn = |tx: &mut AvfTx| {
        for burst in 0..4 {
            assert_eq!(tx.push_prepared(16, 64, 0, burst), 16);
            while let Some(taken) = device.take(&memory, tx.tail()) {
                if let Some(index) = taken.report {
                    device.report(&memory, index);
                }
            }
            assert_eq!(tx.reap().unwrap(), 16);
        }
    };
    turn(&mut tx);
    // A mark in a descriptor stays there for as long as nobody writes to it.
    let marked = tx.ring().load64(8) | 1 << 63;
    tx.ring().store64(8, marked);
    turn(&mut tx);
    assert_eq!(tx.ring().load64(8), marked);
    // The device has written to this one, so the driver has to.
    assert_eq!(tx.ring().load64(15 * 16 + 8), 0xf);
}

#[test]
fn a_full_ring_takes_no_more() {
    let (_, mut tx, rx) = rings(config(64, 1), RxFormat::default());
    for number in 0..63 {
        assert!(tx.push(&Offload::default(), &frame(number, 60)).unwrap());
    }
    assert!(!tx.push(&Offload::default(), &frame(63, 60)).unwrap());
    assert_eq!((tx.free(), tx.tail()), (0, 63), "one stays empty");
    assert_eq!(rx.tail(), 63, "likewise");
}

#[test]
fn rings_of_impossible_shape_are_refused() {
    let mut memory = GuestMemory::new(&MemoryPlan::single(4 << 20, Backing::Memfd)).unwrap();
    for rx_buffer in [0, 100, 129, 16_384] {
        let config = AvfRingConfig {
            rx_buffer,
            ..config(64, 1)
        };
        assert!(
            AvfRx::new(&mut memory, &config, RxFormat::default()).is_err(),
            "{rx_buffer}"
        );
    }
    let config = AvfRingConfig {
        tx_buffer: 64,
        ..config(64, 1)
    };
    assert!(AvfTx::new(&mut memory, &config).is_err());
}
