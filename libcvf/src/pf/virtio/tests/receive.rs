use proptest::prelude::*;

use super::*;

fn take(lane: &mut FillLane) -> Option<(Vec<u8>, bool, bool)> {
    let (slot, filled) = lane.take_slot()?;
    let mut bytes = vec![0; filled.len as usize];
    lane.slots().read(slot, filled.len).read(&mut bytes);
    Some((bytes, filled.good, filled.checksum))
}

#[test]
fn what_comes_in_is_in_order_and_buffers_go_around() {
    let bench = Bench::new(Manners::default());
    let (_send, mut lane) = bench.lanes();
    for round in 0..200u32 {
        // Whatever the order in which the device is done.
        bench
            .model
            .behave(|manners| manners.backwards = round % 2 == 0);
        let frames: Vec<_> = (0..round % 5)
            .map(|n| frame(60 + (round as usize * 13 + n as usize) % 1400, n as u8))
            .collect();
        assert_eq!(bench.model.receive(0, &frames, 2), frames.len());
        for bytes in &frames {
            assert!(lane.pending());
            assert_eq!(take(&mut lane), Some((bytes.clone(), true, true)));
        }
        assert!(!lane.pending() && take(&mut lane).is_none());
        lane.restock();
    }
    // More than there are buffers: what finds none is lost, the rest is whole.
    let many = vec![frame(60, 7); 2 * usize::from(SIZE)];
    assert_eq!(bench.model.receive(0, &many, 0), usize::from(SIZE) / 2);
    let taken = std::iter::from_fn(|| lane.take_slot()).count();
    assert_eq!(taken, usize::from(SIZE) / 2);
    lane.restock();
    assert_eq!(bench.model.receive(0, &[frame(60, 9)], 0), 1);
    assert_eq!(take(&mut lane), Some((frame(60, 9), true, false)));
    bench.is_content();
}

#[test]
fn broken_frames_and_lies_about_lengths_are_only_given_back() {
    let bench = Bench::new(Manners::default());
    let (_send, mut lane) = bench.lanes();
    // virtio 1.3 5.1.6.4.1: nothing unfinished without GUEST_CSUM.
    bench.model.receive(0, &[frame(60, 0)], 1);
    assert_eq!(take(&mut lane).map(|taken| taken.1), Some(false));
    for (head, len) in [(2, 0), (4, 12), (6, 25), (8, u32::MAX), (10, 12 + 2049)] {
        bench.model.lie(0, head, len);
        let (slot, filled) = lane.take_slot().expect("a buffer");
        assert_eq!(slot, head / 2);
        assert!(!filled.good && filled.len <= 2048, "{len}");
    }
    bench.model.lie(0, 12, 12 + 2048);
    assert!(take(&mut lane).is_some_and(|taken| taken.1));
}

#[test]
fn a_large_mtu_has_large_buffers() {
    // virtio 1.3 5.1.4.2
    let bench = Bench::new(Manners {
        mtu: 9000,
        ..Manners::default()
    });
    let (_send, mut lane) = bench.lanes();
    let jumbo = frame(9014, 5);
    bench.model.receive(0, std::slice::from_ref(&jumbo), 0);
    assert_eq!(take(&mut lane), Some((jumbo, true, false)));
}

#[test]
fn after_a_stop_nothing_is_posted_and_a_start_begins_anew() {
    let bench = Bench::new(Manners::default());
    let (_send, mut lane) = bench.lanes();
    bench.model.receive(0, &[frame(60, 1)], 0);
    lane.stop();
    assert!(!lane.pending() && lane.take_slot().is_none());
    assert_eq!(bench.model.receive(0, &[frame(60, 2)], 0), 0);
    lane.start();
    lane.restock();
    assert_eq!(bench.model.receive(0, &[frame(60, 3)], 0), 1);
    assert_eq!(take(&mut lane), Some((frame(60, 3), true, false)));
    bench.is_content();
}

#[test]
fn interrupts_come_when_they_are_asked_for_and_none_is_lost() {
    let bench = Bench::new(Manners::default());
    let mut pair = bench.pair(0);
    let vectors = VectorEvents::ours(2).expect("events");
    let event = Arc::clone(vectors.get(1).expect("an event"));
    let line = pair.line(Arc::clone(&event));
    pair.fill.start();
    pair.fill.restock();
    bench.transport.drive();
    let receive = || bench.model.receive(0, &[frame(60, 1)], 0);
    receive();
    assert!(bench.model.interrupts().is_empty(), "nobody asked");
    line.arm();
    assert_eq!(event.read(), Ok(1), "one for what came before");
    receive();
    assert_eq!(bench.model.interrupts(), [1]);
    line.disarm();
    receive();
    assert!(bench.model.interrupts().is_empty());
    assert_eq!(std::iter::from_fn(|| pair.fill.take_slot()).count(), 3);
    line.arm();
    assert!(event.read().is_err(), "everything was seen");
}

/// What a hostile device does to a receive queue.
#[derive(Clone, Debug)]
enum Deed {
    Receive(usize),
    Lie(u32, u32),
    Jump(u16),
    GiveBack,
    StartAnew,
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        6 => (0usize..2100).prop_map(Deed::Receive),
        1 => (0u32..80, any::<u32>()).prop_map(|(head, len)| Deed::Lie(head, len)),
        1 => (any::<u32>(), 0u32..3000).prop_map(|(head, len)| Deed::Lie(head, len)),
        1 => (0u16..100).prop_map(Deed::Jump),
        1 => any::<u16>().prop_map(Deed::Jump),
        4 => Just(Deed::GiveBack),
        1 => Just(Deed::StartAnew),
    ]
}

proptest! {
    #[test]
    fn whatever_a_device_does_buffers_stay_in_order_and_within_bounds(
        deeds in prop::collection::vec(deed(), 0..60),
    ) {
        let bench = Bench::new(Manners::default());
        let (_send, mut lane) = bench.lanes();
        let mut next = 0;
        for deed in deeds {
            match deed {
                Deed::Receive(len) => {
                    bench.model.receive(0, &[vec![7; len]], 0);
                }
                Deed::Lie(head, len) => bench.model.lie(0, head, len),
                Deed::Jump(used) => bench.model.jump(0, used),
                Deed::GiveBack => lane.restock(),
                Deed::StartAnew => {
                    lane.stop();
                    lane.start();
                    lane.restock();
                    next = 0;
                }
            }
            let mut count = 0;
            while let Some((slot, filled)) = lane.take_slot() {
                prop_assert_eq!(slot, next);
                prop_assert!(filled.len <= 2048);
                next = (next + 1) % u32::from(SIZE / 2);
                count += 1;
                prop_assert!(count <= SIZE / 2);
            }
        }
        lane.stop();
        lane.start();
        lane.restock();
        bench.model.receive(0, &[frame(60, 1)], 0);
        prop_assert_eq!(take(&mut lane), Some((frame(60, 1), true, false)));
    }
}
