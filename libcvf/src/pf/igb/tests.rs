use std::sync::Arc;
use std::time::{Duration, Instant};

use super::fill::Fill;
use super::line::Line;
use super::model::Model;
use super::nic::Nic;
use super::regs;
use super::send::Send;
use crate::dataplane::{FillLane, HardwareFill, HardwareLine, HardwareSend, SendLane, Slots};
use crate::mem::OwnMemory;
use crate::offload::{Csum, FrameMeta, Gso};
use crate::pf::MacAddr;
use crate::pf::dma::DmaBlock;
use crate::ring::{Payload, Pushed};

const RING: u32 = 64;
const SLOT: u32 = 2048;
const RING_BYTES: usize = RING as usize * regs::DESCRIPTOR;

struct Bench {
    model: Model,
    nic: Arc<Nic>,
}

impl Bench {
    fn new() -> Self {
        let model = Model::default();
        let nic = Arc::new(Nic::new(Box::new(model.clone()), "test"));
        nic.set_up();
        Self { model, nic }
    }

    fn block(&self, iova: u64) -> (DmaBlock, Slots) {
        let memory = Arc::new(OwnMemory::new(RING_BYTES + (RING * SLOT) as usize).expect("memory"));
        self.model.add(iova, &memory);
        let slots = Slots::new(
            Arc::clone(&memory),
            RING_BYTES,
            iova + RING_BYTES as u64,
            (RING, SLOT),
        );
        (DmaBlock::of_model(memory, iova), slots)
    }

    fn send(&self, queue: u32) -> SendLane {
        let (block, slots) = self.block(0x1000_0000 + u64::from(queue) * 0x100_0000);
        let send = Send::new(Arc::clone(&self.nic), queue, block, RING);
        let mut lane = SendLane::new(Box::new(send), slots);
        lane.start();
        lane
    }

    fn fill(&self, queue: u32) -> FillLane {
        let (block, slots) = self.block(0x2000_0000 + u64::from(queue) * 0x100_0000);
        let fill = Fill::new(Arc::clone(&self.nic), queue, block, (RING, SLOT));
        let mut lane = FillLane::new(Box::new(fill), slots);
        lane.start();
        lane.restock();
        lane
    }
}

/// Queues a frame of which all is copied.
fn push(lane: &mut SendLane, meta: &FrameMeta, head: &[u8], tail: &[u8]) -> Pushed {
    lane.push_copied(meta, head, Payload::from(tail))
}

fn frame(len: usize, seed: u8) -> Vec<u8> {
    let mut bytes = vec![0x02, 0, 0, 0, 0, 1, 0x02, 0, 0, 0, 0, 2, 0x88, 0xb5];
    bytes.extend((14..len).map(|at| (at as u8).wrapping_mul(31).wrapping_add(seed)));
    bytes
}

#[test]
fn frames_leave_as_they_were_and_slots_come_back() {
    let bench = Bench::new();
    bench.nic.enable_pool(3, true);
    let mut lane = bench.send(3);
    let mut expected = Vec::new();
    // Several times around ring and slots, in frames of all sizes.
    for round in 0..300usize {
        let bytes = frame(60 + round * 37 % 1455, round as u8);
        let split = 14 + round % 40;
        let pushed = push(
            &mut lane,
            &FrameMeta::default(),
            &bytes[..split],
            &bytes[split..],
        );
        assert_eq!(pushed, Pushed::Done, "round {round}");
        expected.push(bytes);
        if round % 7 == 6 {
            lane.kick();
            assert_eq!(lane.reap(), 7);
            assert_eq!(lane.under_way(), 0);
            let sent = bench.model.sent();
            assert!(
                sent.iter()
                    .all(|sent| sent.queue == 3 && sent.context.is_none())
            );
            let sent: Vec<_> = sent.into_iter().map(|sent| sent.bytes).collect();
            assert_eq!(sent, expected);
            expected.clear();
        }
    }
    assert_eq!(bench.model.faults(), 0);
}

#[test]
fn a_full_queue_takes_no_more_until_hardware_has_sent() {
    let bench = Bench::new();
    bench.nic.enable_pool(0, true);
    let mut lane = bench.send(0);
    bench.model.pause(true);
    let bytes = frame(60, 0);
    let mut queued = 0;
    while push(&mut lane, &FrameMeta::default(), &bytes, &[]) == Pushed::Done {
        queued += 1;
        assert!(queued < RING, "a ring is finite");
    }
    lane.kick();
    assert_eq!(lane.reap(), 0);
    bench.model.pause(false);
    assert_eq!(lane.reap(), queued as usize);
    assert_eq!(bench.model.sent().len(), queued as usize);
    assert_eq!(
        push(&mut lane, &FrameMeta::default(), &bytes, &[]),
        Pushed::Done
    );
}

#[test]
fn what_is_asked_stands_in_a_context_descriptor() {
    let bench = Bench::new();
    bench.nic.enable_pool(0, true);
    let mut lane = bench.send(0);
    // IPv4 and TCP, 4,000 bytes behind them.
    let mut bytes = vec![0u8; 14 + 20 + 20 + 4000];
    bytes[12..14].copy_from_slice(&[0x08, 0x00]);
    bytes[14] = 0x45;
    let total = (bytes.len() - 14) as u16;
    bytes[16..18].copy_from_slice(&total.to_be_bytes());
    bytes[14 + 9] = 6;
    bytes[14 + 20 + 12] = 0x50;
    let csum = Csum::Partial {
        start: 34,
        offset: 16,
    };
    let large = FrameMeta {
        csum,
        gso: Gso::TcpV4,
        gso_size: 1448,
        ..FrameMeta::default()
    };
    assert_eq!(
        push(&mut lane, &large, &bytes[..128], &bytes[128..]),
        Pushed::Done
    );
    let small = FrameMeta {
        csum,
        ..FrameMeta::default()
    };
    assert_eq!(
        push(&mut lane, &small, &bytes[..128], &bytes[128..200]),
        Pushed::Done
    );
    lane.kick();
    let sent = bench.model.sent();
    assert_eq!(sent.len(), 2);
    assert_eq!(sent[0].bytes, bytes);
    let (low, high) = sent[0].context.expect("a context");
    assert_eq!(
        (low >> 9 & 0x7f, low & 0x1ff),
        (14, 20),
        "lengths of link and network header"
    );
    assert_eq!(
        (high >> 48, high >> 40 & 0xff),
        (1448, 20),
        "segment and transport header"
    );
    assert_eq!(high >> 10 & 3, 3, "IPv4 and TCP");
    let command = sent[0].command;
    assert_eq!(command >> 46, 4000, "payload behind the headers");
    assert_eq!(
        (command >> 31 & 1, command >> 40 & 3),
        (1, 3),
        "cut, both checksums"
    );
    let command = sent[1].command;
    assert_eq!(command >> 46, 200, "all of it where nothing is cut");
    assert_eq!(
        (command >> 31 & 1, command >> 40 & 3),
        (0, 2),
        "not cut, checksum of TCP"
    );
}

#[test]
fn what_comes_in_is_in_order_and_buffers_go_around() {
    let bench = Bench::new();
    let tables = super::filters::Tables::of(
        &[Some(super::PoolFilter {
            macs: vec![crate::control::MacAddr([2, 0, 0, 0, 0, 1])],
            untagged: true,
            longest: 1518,
            ..super::PoolFilter::default()
        })],
        &super::filters::Tables::default(),
    )
    .expect("room");
    tables.put(&super::filters::Tables::default(), |register, value| {
        bench.nic.write(register, value);
    });
    bench.nic.enable_pool(0, true);
    let mut lane = bench.fill(0);
    for round in 0..200u32 {
        let frames: Vec<_> = (0..round % 5)
            .map(|n| frame(60 + (round as usize * 13 + n as usize) % 1400, n as u8))
            .collect();
        for bytes in &frames {
            assert_eq!(bench.model.receive(bytes, 1 << 5), 1);
        }
        for bytes in &frames {
            assert!(lane.pending());
            let (slot, filled) = lane.take_slot().expect("a frame");
            assert!(filled.good && filled.checksum);
            let mut got = vec![0; filled.len as usize];
            lane.slots().read(slot, filled.len).read(&mut got);
            assert_eq!(&got, bytes);
        }
        assert!(lane.take_slot().is_none());
        lane.restock();
    }
    // More than there are buffers: what finds none is lost, the rest is whole.
    for _ in 0..2 * RING {
        bench.model.receive(&frame(60, 7), 0);
    }
    let taken: Vec<_> = std::iter::from_fn(|| lane.take_slot()).collect();
    assert_eq!(taken.len(), RING as usize - 1);
    lane.restock();
    bench.model.receive(&frame(60, 9), 0);
    assert!(
        lane.take_slot()
            .is_some_and(|(_, filled)| filled.good && !filled.checksum)
    );
    assert_eq!(bench.model.faults(), 0);
}

#[test]
fn broken_frames_and_those_that_do_not_fit_are_only_given_back() {
    let bench = Bench::new();
    let (block, _) = bench.block(0x3000_0000);
    let memory = Arc::clone(block.memory());
    let mut fill = Fill::new(Arc::clone(&bench.nic), 1, block, (RING, SLOT));
    fill.start();
    for index in 0..8 {
        fill.post(0x3000_0000 + RING_BYTES as u64 + index * u64::from(SLOT));
    }
    fill.kick();
    let done = |index: usize, word: u64| memory.store64(index * regs::DESCRIPTOR + 8, word);
    done(0, 60 << 32 | 3 | 1 << 31);
    done(1, 2048 << 32 | 1);
    done(2, 10 << 32 | 3);
    done(3, 60 << 32 | 3 | 1 << 5 | 1 << 29);
    done(4, 0xffff << 32 | 3);
    let mut next = || fill.next().expect("filled");
    assert!(!next().good, "an error of the receiver");
    assert!(!next().good, "a frame's beginning");
    assert!(!next().good, "and its end");
    let wrong = next();
    assert!(
        wrong.good && !wrong.checksum,
        "a wrong checksum is the guest's to see"
    );
    let long = next();
    assert!(!long.good && long.len <= SLOT, "hardware that lies");
    assert!(fill.next().is_none());
}

#[test]
fn after_a_stop_nothing_moves_and_a_start_begins_anew() {
    let bench = Bench::new();
    bench.nic.enable_pool(0, true);
    let mut lane = bench.send(0);
    bench.model.pause(true);
    let bytes = frame(100, 1);
    assert_eq!(
        push(&mut lane, &FrameMeta::default(), &bytes, &[]),
        Pushed::Done
    );
    lane.kick();
    lane.stop();
    assert_eq!(
        push(&mut lane, &FrameMeta::default(), &bytes, &[]),
        Pushed::NoBuffer
    );
    bench.model.pause(false);
    assert!(
        bench.model.sent().is_empty(),
        "what was queued is forgotten"
    );
    lane.start();
    let other = frame(80, 2);
    assert_eq!(
        push(&mut lane, &FrameMeta::default(), &other, &[]),
        Pushed::Done
    );
    lane.kick();
    assert_eq!(lane.reap(), 1);
    assert_eq!(bench.model.sent()[0].bytes, other);
    let mut send = Send::new(Arc::clone(&bench.nic), 2, bench.block(0x5000_0000).0, RING);
    assert_eq!(send.reap(), 0);
    send.stop();
}

#[test]
fn a_reset_leaves_the_function_as_it_was() {
    let bench = Bench::new();
    let _lane = (bench.send(0), bench.fill(0));
    assert_ne!(bench.model.register(regs::MRQC), 0);
    bench.nic.reset();
    assert_eq!(bench.model.register(regs::MRQC), 0);
    assert_eq!(bench.model.register(regs::transmit(0) + regs::TXDCTL), 0);
}

/// Every register of a function that has gone reads as all ones, for whoever waits for a bit to be set or cleared, too.
#[test]
fn nobody_waits_for_a_function_that_has_gone() {
    let bench = Bench::new();
    bench.nic.enable_pool(0, true);
    let (mut send, mut fill) = (bench.send(0), bench.fill(0));
    let bytes = frame(100, 1);
    bench.model.pause(true);
    push(&mut send, &FrameMeta::default(), &bytes, &[]);
    send.kick();
    assert!(bench.nic.link() && !bench.nic.is_gone());
    bench.model.vanish();
    let begun = Instant::now();
    assert!(!bench.nic.link(), "all ones have the link's bit, too");
    assert!(bench.nic.is_gone());
    assert_eq!((send.reap(), fill.take().is_none()), (0, true));
    for _ in 0..100 {
        bench.nic.heard();
        send.stop();
        fill.stop();
        assert_eq!(send.under_way(), 0);
        send.start();
        fill.start();
        fill.restock();
    }
    bench.nic.reset();
    bench.nic.set_up();
    assert!(begun.elapsed() < Duration::from_millis(150), "{begun:?}");
}

/// A guest that takes addresses takes them from its own share: eight shares are all that the table has.
#[test]
fn a_device_has_its_share_of_addresses_and_no_more() {
    let take = |addresses: u8| {
        let filter = super::PoolFilter {
            macs: (0..addresses)
                .map(|last| MacAddr([2, 0, 0, 0, 0, last]))
                .collect(),
            ..super::PoolFilter::default()
        };
        super::Tables::of(&[Some(filter)], &super::Tables::default())
    };
    assert!(take(3).is_ok());
    let why = take(4).expect_err("refused");
    assert!(
        why.to_string()
            .contains("4 addresses were asked for, and a device of this PF has 3 at most"),
        "{why}"
    );
    let each = super::EACH.filters.expect("a share") as usize;
    assert_eq!(each * usize::from(super::DEVICES), regs::RAR_ENTRIES);
}

/// What is said of locked memory is what a device takes.
#[test]
fn what_a_device_pins_is_counted_whole() {
    let ring = |count: u32| u64::from(count) * (regs::DESCRIPTOR as u64 + u64::from(super::SLOT));
    assert_eq!(
        super::PINNED,
        ring(super::SEND_RING) + ring(super::FILL_RING)
    );
    assert_eq!(super::EACH.most_mtu, Some(2030));
}

#[test]
fn where_virtual_functions_interrupt_the_function_keeps_its_first_vector() {
    let model = Model::default();
    let nic = Nic::new(Box::new(model.clone()), "test").with_virtuals(true);
    nic.set_up();
    let routes: Vec<u32> = (0..regs::POOLS.into())
        .map(|pool| model.register(regs::ivar(pool)))
        .collect();
    assert_eq!(
        routes,
        [0; regs::POOLS as usize],
        "no pool is the function's"
    );
    assert_eq!(model.register(regs::IVAR_MISC), regs::IVAR_VALID << 8);
    assert_eq!(model.register(regs::EIAC), 1);
    // A virtual function has its registers where the function has its own.
    let model = Model::default();
    let virtual_nic = Arc::new(Nic::new(Box::new(model.clone()), "virtual"));
    virtual_nic.set_up_virtual();
    let entry = regs::IVAR_VALID;
    assert_eq!(model.register(regs::ivar(0)), entry | entry << 8);
    assert_eq!(model.register(regs::EIAC), 1);
    Line::new(virtual_nic, 0).arm();
    assert_eq!(model.register(regs::EIMS), 1);
}
