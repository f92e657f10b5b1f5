//! The driver's side against the model of a device.

use proptest::prelude::*;

use super::model::ModelDevice;
use super::*;
use crate::fakevm::memory::{Backing, MemoryPlan};

fn pair(size: u16, event_idx: bool) -> (SplitQueue, ModelDevice) {
    let mut memory = GuestMemory::new(&MemoryPlan::single(1 << 20, Backing::Memfd)).unwrap();
    let layout = QueueLayout::alloc(&mut memory, size).unwrap();
    let queue = SplitQueue::new(&memory, layout, event_idx).unwrap();
    let device = ModelDevice::new(&memory, layout, event_idx).unwrap();
    (queue, device)
}

fn piece(len: u32) -> Segment {
    Segment {
        gpa: 0x1000,
        len,
        device_writes: false,
    }
}

#[test]
fn sizes_that_are_no_powers_of_two_are_refused() {
    let mut memory = GuestMemory::new(&MemoryPlan::single(1 << 20, Backing::Memfd)).unwrap();
    for size in [0, 3, 100, 0x8001, 0xffff] {
        assert!(QueueLayout::alloc(&mut memory, size).is_err(), "{size}");
    }
}

#[test]
fn chains_arrive_in_order_with_all_pieces() {
    let (mut queue, mut device) = pair(8, false);
    let head = queue.push_chain(&[piece(1), piece(2), piece(3)]).unwrap();
    assert_eq!(
        device.pop(),
        None,
        "nothing is shown before it is published"
    );
    assert!(queue.publish());
    assert_eq!(device.pop(), Some(head));
    let lens: Vec<u32> = device
        .chain(head)
        .iter()
        .map(|segment| segment.len)
        .collect();
    assert_eq!(lens, [1, 2, 3]);
    assert_eq!(queue.free(), 5);
    device.give(head, 9);
    device.publish();
    assert_eq!(queue.pop().unwrap(), Some(Used { id: head, len: 9 }));
    assert_eq!(queue.free(), 8);
    assert_eq!(queue.pop().unwrap(), None);
}

#[test]
fn a_full_ring_takes_no_more() {
    let (mut queue, _) = pair(4, false);
    assert!(queue.push_chain(&[piece(1); 5]).is_err());
    queue.push_chain(&[piece(1); 4]).unwrap();
    assert!(queue.push_chain(&[piece(1)]).is_err());
}

#[test]
fn a_device_that_lies_is_noticed() {
    // An identifier that is not outstanding.
    let (mut queue, mut device) = pair(4, false);
    queue.push_chain(&[piece(1)]).unwrap();
    queue.publish();
    device.give(0x7000, 0);
    device.publish();
    assert!(matches!(queue.pop(), Err(Error::Device(_))));
    // More than it was given.
    let (mut queue, mut device) = pair(4, false);
    device.give(0, 0);
    device.publish();
    assert!(matches!(queue.pop(), Err(Error::Device(_))));
    // The same chain twice.
    let (mut queue, mut device) = pair(4, false);
    let head = queue.push_chain(&[piece(1)]).unwrap();
    queue.push_chain(&[piece(1)]).unwrap();
    queue.publish();
    device.give(head, 0);
    device.give(head, 0);
    device.publish();
    assert!(queue.pop().unwrap().is_some());
    assert!(matches!(queue.pop(), Err(Error::Device(_))));
}

#[test]
fn notifications_follow_the_flag() {
    let (mut queue, device) = pair(8, false);
    device.want_notification(false);
    queue.push_chain(&[piece(1)]).unwrap();
    assert!(!queue.publish());
    device.want_notification(true);
    queue.push_chain(&[piece(1)]).unwrap();
    assert!(queue.publish());
    assert!(!queue.publish(), "nothing new");
}

#[test]
fn notifications_follow_the_event_index() {
    let (mut queue, mut device) = pair(8, true);
    queue.push_chain(&[piece(1)]).unwrap();
    assert!(queue.publish(), "the first is always wanted");
    queue.push_chain(&[piece(1)]).unwrap();
    assert!(!queue.publish(), "the event lies behind");
    while device.pop().is_some() {}
    device.want_notification(true);
    queue.push_chain(&[piece(1)]).unwrap();
    queue.push_chain(&[piece(1)]).unwrap();
    assert!(queue.publish(), "the event lies within the burst");
}

#[test]
fn interrupts_are_armed_without_a_gap() {
    for event_idx in [false, true] {
        let (mut queue, mut device) = pair(8, event_idx);
        let head = queue.push_chain(&[piece(1)]).unwrap();
        queue.publish();
        device.pop();
        assert!(!queue.arm());
        device.give(head, 0);
        assert!(device.publish(), "event_idx {event_idx}");
        assert!(queue.arm(), "it has come already");
        queue.pop().unwrap();
        queue.disarm();
        let head = queue.push_chain(&[piece(1)]).unwrap();
        queue.publish();
        device.give(head, 0);
        assert!(!device.publish(), "event_idx {event_idx}");
    }
}

proptest! {
    /// Whatever the order in which a device returns chains, over many turns of the indices:
    /// every chain comes back once, and no descriptor is lost or used twice.
    #[test]
    fn descriptors_are_conserved(
        event_idx: bool,
        steps in prop::collection::vec((1_usize..6, any::<prop::sample::Index>(), any::<bool>()), 1..400),
    ) {
        let (mut queue, mut device) = pair(16, event_idx);
        let mut held: Vec<(u16, usize)> = Vec::new();
        let mut used = 0;
        for (pieces, which, give_back) in steps {
            if queue.push_chain(&vec![piece(1); pieces]).is_ok() {
                queue.publish();
                used += pieces;
                let head = device.pop().unwrap();
                prop_assert_eq!(device.chain(head).len(), pieces);
                held.push((head, pieces));
            }
            if (give_back || queue.free() < 6) && !held.is_empty() {
                let (head, pieces) = held.swap_remove(which.index(held.len()));
                device.give(head, pieces as u32);
                device.publish();
                prop_assert_eq!(queue.pop().unwrap(), Some(Used { id: head, len: pieces as u32 }));
                used -= pieces;
            }
            prop_assert_eq!(queue.free() + used, 16);
        }
    }
}
