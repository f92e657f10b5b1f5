//! Doorbells that are answered by the thread that hears them, and those that are not.

mod guest;

use std::sync::Arc;
use std::time::Instant;

use guest::{Guest, compose, eventually, frame, pf, spec};
use libcvf::control::{Coalescing, CoalescingScope};
use libcvf::cvf::{Cvf, CvfSpec, Doorbells, IrqAction, IrqData, IrqRequest};
use libcvf::dataplane::Port;
use libcvf::limits::{MAX_ANSWERED_FRAME, SILENCE};
use libcvf::pf::{PhysicalFunction, SoftPf};
use nix::sys::eventfd::{EfdFlags, EventFd};

/// Turns of the worker, once it sleeps and nobody has rung for a while.
fn silence(pf: &SoftPf) -> u64 {
    let turns = eventually(|| pf.fabric().sleepers()[0]).expect("the worker falls asleep");
    let since = Instant::now();
    while since.elapsed() <= SILENCE {
        std::hint::spin_loop();
    }
    turns
}

/// Two guests whose worker knows the way from the first to the second.
fn acquainted(pf: &Arc<SoftPf>) -> ([Arc<Cvf>; 2], Guest, Guest) {
    acquainted_with(pf, 0)
}

/// The same, with features of virtio.
fn acquainted_with(pf: &Arc<SoftPf>, features: u64) -> ([Arc<Cvf>; 2], Guest, Guest) {
    let devices = [compose(pf, spec(1)), compose(pf, spec(2))];
    let (mut one, mut two) = (Guest::new(&devices[0]), Guest::new(&devices[1]));
    one.start(features);
    two.start(features);
    one.send(&frame(2, 1, 60));
    assert_eq!(two.receive(), Some(frame(2, 1, 60)));
    (devices, one, two)
}

/// The port of the device that was made as number `index`.
fn port(pf: &SoftPf, index: usize) -> Arc<Port> {
    Arc::clone(&pf.fabric().devices()[index])
}

/// What a device's first vector goes to.
fn event_of(device: &Cvf) -> EventFd {
    let event = EventFd::from_flags(EfdFlags::EFD_NONBLOCK).expect("an event");
    let shared = std::os::fd::AsFd::as_fd(&event).try_clone_to_owned();
    let request = IrqRequest {
        index: 2,
        start: 0,
        count: 1,
        action: IrqAction::Trigger,
        data: IrqData::Events(vec![Some(shared.expect("dup"))]),
    };
    device.set_irqs(request).expect("taken");
    event
}

#[test]
fn a_frame_after_a_silence_wakes_nobody() {
    wakes_nobody(0, |guest| guest.used_flags(1) & 1 == 0);
}

/// The driver is asked for the doorbell of the next frame, though nobody was told to hold its doorbells back.
#[test]
fn virtio_2_7_10_a_doorbell_that_was_answered_is_asked_for_again() {
    wakes_nobody(1 << 29, |guest| {
        guest.available_event(1) == guest.offered(1)
    });
}

fn wakes_nobody(features: u64, asks: impl Fn(&Guest) -> bool) {
    let pf = pf(4);
    let (_devices, mut one, mut two) = acquainted_with(&pf, features);
    // No more than the buffers that the receiver's ring is known to have: the worker looks for new ones.
    for round in 0..50 {
        let before = silence(&pf);
        let sent = frame(2, 1, 60 + round);
        one.send(&sent);
        let there = two.poll().map(|(_, frame)| frame);
        assert_eq!(
            there,
            Some(sent),
            "round {round}: before the doorbell returns"
        );
        assert_eq!(one.sent(), 2 + round as u16, "and it was given back");
        assert_eq!(pf.fabric().sleepers(), [Some(before)], "round {round}");
        assert!(asks(&one), "round {round}: the next doorbell is wanted");
    }
    let port = port(&pf, 0);
    let counters = &port.transmit[0].counters;
    assert_eq!((counters.frames.get(), counters.kicks.get()), (51, 51));
}

/// What is more than a frame is more than a client should wait for; what is unusual takes tables.
#[test]
fn bursts_and_unusual_frames_are_the_workers() {
    let pf = pf(4);
    let (_devices, mut one, mut two) = acquainted(&pf);
    let mut given = |place: &dyn Fn(&mut Guest), expected: &[Vec<u8>]| {
        let before = silence(&pf);
        place(&mut one);
        one.kick(1);
        for frame in expected {
            assert_eq!(two.receive().as_ref(), Some(frame));
        }
        assert!(silence(&pf) > before, "the worker did it");
    };
    let both = [frame(2, 1, 60), frame(2, 1, 61)];
    given(
        &|one| both.iter().for_each(|frame| one.place([0; 12], frame)),
        &both,
    );
    let to_all = frame(0xff, 1, 60);
    let mut to_all = to_all.clone();
    to_all[..6].fill(0xff);
    given(&|one| one.place([0; 12], &to_all), &[to_all.clone()]);
}

/// Who rings again soon is the worker's: it looks by itself for a while.
#[test]
fn a_queue_that_rings_often_is_the_workers() {
    let pf = pf(4);
    let (_devices, mut one, mut two) = acquainted(&pf);
    let before = silence(&pf);
    let woken = eventually(|| {
        one.send(&frame(2, 1, 60));
        assert!(two.receive().is_some());
        one.send(&frame(2, 1, 60));
        assert!(two.receive().is_some());
        (pf.fabric().sleepers() != [Some(before)]).then_some(())
    });
    assert!(woken.is_some());
}

/// The control side has the queue: the doorbell returns, and the frame arrives when the queue is free.
#[test]
fn a_doorbell_waits_for_nobody_who_has_the_queue() {
    let pf = pf(4);
    let (_devices, mut one, mut two) = acquainted(&pf);
    let port = port(&pf, 0);
    silence(&pf);
    let access = port.transmit[0].state.lock();
    one.send(&frame(2, 1, 60));
    assert_eq!(two.poll(), None);
    drop(access);
    assert_eq!(two.receive(), Some(frame(2, 1, 60)));
}

/// An interrupt that the driver wants held back is held by a thread that watches its deadline, whoever rings.
#[test]
fn interrupts_that_are_held_back_go_out_in_the_end() {
    let pf = pf(4);
    let (devices, mut one, mut two) = acquainted(&pf);
    let event = event_of(&devices[1]);
    two.set(22, &0u16.to_le_bytes());
    two.set(26, &0u16.to_le_bytes());
    let to = Coalescing {
        max_usecs: 2_000,
        max_packets: 64,
    };
    port(&pf, 1).set_coalescing(CoalescingScope::ReceiveQueue(0), to);
    for round in 0..20 {
        let before = silence(&pf);
        one.send(&frame(2, 1, 60));
        assert_eq!(two.receive(), Some(frame(2, 1, 60)), "round {round}");
        assert!(
            eventually(|| event.read().ok()).is_some(),
            "round {round}: told"
        );
        assert!(silence(&pf) > before, "round {round}: a worker watched");
    }
    // Without limits it is told of at once, by who rings.
    port(&pf, 1).set_coalescing(CoalescingScope::ReceiveQueue(0), Coalescing::default());
    let before = silence(&pf);
    one.send(&frame(2, 1, 60));
    assert_eq!(event.read().ok(), Some(1));
    assert_eq!(pf.fabric().sleepers(), [Some(before)]);
}

/// A receiver without buffers, or that has gone, costs the sender its frame and nothing else.
#[test]
fn a_receiver_that_takes_nothing_is_the_workers() {
    let pf = pf(4);
    let (devices, mut one, two) = acquainted(&pf);
    two.set(20, &[0]);
    for _ in 0..3 {
        silence(&pf);
        let before = one.sent();
        one.send(&frame(2, 1, 60));
        assert!(eventually(|| (one.sent() == before + 1).then_some(())).is_some());
    }
    assert_eq!(devices[0].health().reason, None);
    let lost = port(&pf, 1).receive[0].counters.report();
    assert!(lost.packets <= 1, "none after it had gone: {lost:?}");
}

/// A worker that polls has the queue whose interrupts it is told, while it works, to hold back: it looks at them in time all
/// the same.
#[test]
fn what_a_polled_queue_holds_back_goes_out_in_the_end() {
    let pf = pf(4);
    let mapped = CvfSpec {
        doorbells: Doorbells::Mapped,
        ..spec(1)
    };
    let devices = [compose(&pf, mapped), compose(&pf, spec(2))];
    let (mut one, mut two) = (Guest::new(&devices[0]), Guest::new(&devices[1]));
    one.start(0);
    two.start(0);
    let event = event_of(&devices[0]);
    one.set(22, &1u16.to_le_bytes());
    one.set(26, &0u16.to_le_bytes());
    let port = port(&pf, 0);
    for round in 0..20 {
        let limits = Coalescing {
            max_usecs: 500 * (round % 2),
            max_packets: 64,
        };
        port.set_coalescing(CoalescingScope::TransmitQueue(0), limits);
        one.send(&frame(2, 1, 60));
        assert_eq!(two.receive(), Some(frame(2, 1, 60)), "round {round}");
        assert!(
            eventually(|| event.read().ok()).is_some(),
            "round {round}: told"
        );
    }
}

/// Whose memory is gone when a frame is looked at, or written, is stopped, and nobody else.
#[test]
fn memory_that_is_gone_stops_its_own_device_alone() {
    for whose in [0, 1] {
        let pf = pf(4);
        let (devices, mut one, mut two) = acquainted(&pf);
        silence(&pf);
        one.place([0; 12], &frame(2, 1, 60));
        // Its rings stay, its buffers go.
        let file = if whose == 0 { one.fd() } else { two.fd() };
        let buffers = Guest::buffer(0, 0) as i64;
        nix::unistd::ftruncate(&file, buffers).expect("truncated");
        one.kick(1);
        let reason = eventually(|| devices[whose].health().reason).expect("it is stopped");
        assert!(reason.contains("truncated"), "{reason}");
        assert_eq!(devices[1 - whose].health().reason, None);
        if whose == 0 {
            assert_eq!(two.poll(), None, "nothing came of it");
        }
    }
}

/// Long frames are not for a thread that somebody waits for.
#[test]
fn long_frames_are_the_workers() {
    let pf = pf(4);
    let (_devices, mut one, mut two) = acquainted(&pf);
    for (len, answered) in [(1514, true), (MAX_ANSWERED_FRAME + 1, false)] {
        let before = silence(&pf);
        one.send(&frame(2, 1, len));
        assert!(two.receive() == Some(frame(2, 1, len)), "{len}");
        assert_eq!(silence(&pf) == before, answered, "{len}");
    }
}
