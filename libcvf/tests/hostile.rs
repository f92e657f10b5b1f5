//! What a lying guest or client costs: its own device, never another's.

mod guest;

use std::sync::Arc;

use guest::{Guest, SIZE, compose, eventually, frame, map, pf, spec};

/// Runs `spoil` on one device and checks that it is stopped with a reason that contains `why`, that
/// a reset revives it, and that a neighbour's traffic went on all the while.
fn stopped(why: &str, features: u64, spoil: impl Fn(&mut Guest)) {
    let pf = pf(8);
    let cvfs = [1, 2, 3].map(|n| compose(&pf, spec(n)));
    let mut guests = cvfs.each_ref().map(Guest::new);
    for guest in &mut guests {
        guest.start(features);
    }
    let [bad, a, b] = &mut guests;
    spoil(bad);
    let reason = eventually(|| bad.cvf.health().reason).expect("the device is stopped");
    assert!(reason.contains(why), "'{reason}' tells about '{why}'");
    let counted = bad.cvf.misbehaviour().rings;
    assert_eq!(counted > 0, !reason.contains("truncated"), "{reason}");
    assert_eq!(
        bad.status() & 0x40,
        0x40,
        "virtio 1.3 2.1: DEVICE_NEEDS_RESET"
    );
    a.send(&frame(3, 2, 200));
    assert_eq!(b.receive(), Some(frame(3, 2, 200)), "the neighbours go on");
    bad.start(features);
    assert_eq!(bad.cvf.health().reason, None);
    a.send(&frame(1, 2, 99));
    assert_eq!(bad.receive(), Some(frame(1, 2, 99)), "a reset heals");
}

const INDIRECT: u64 = 1 << 28;

#[test]
fn chain_loop() {
    stopped("longer than the ring", 0, |g| {
        g.descriptor(1, 0, Guest::buffer(1, 0), 10, 1, 1);
        g.descriptor(1, 1, Guest::buffer(1, 0), 0, 1, 0);
        g.offer(1, 0);
        g.kick(1);
    });
}

#[test]
fn head_out_of_range() {
    stopped("beyond the table", 0, |g| {
        g.offer(1, SIZE);
        g.kick(1);
    });
}

#[test]
fn next_out_of_range() {
    stopped("beyond the table", 0, |g| {
        g.descriptor(1, 0, Guest::buffer(1, 0), 10, 1, 0xffff);
        g.offer(1, 0);
        g.kick(1);
    });
}

#[test]
fn index_jump() {
    stopped("jumped", 0, |g| {
        g.set_available(1, SIZE + 1);
        g.kick(1);
    });
}

#[test]
fn unmapped_buffer() {
    stopped("not mapped", 0, |g| {
        g.descriptor(1, 0, 1 << 40, 100, 0, 0);
        g.offer(1, 0);
        g.kick(1);
    });
}

#[test]
fn buffer_that_wraps() {
    stopped("wraps", 0, |g| {
        g.descriptor(1, 0, u64::MAX - 10, 100, 0, 0);
        g.offer(1, 0);
        g.kick(1);
    });
}

#[test]
fn buffer_that_leaves_its_map() {
    stopped("not mapped", 0, |g| {
        g.descriptor(1, 0, (8 << 20) - 50, 100, 0, 0);
        g.offer(1, 0);
        g.kick(1);
    });
}

#[test]
fn writable_buffer_to_send() {
    stopped("wrong direction", 0, |g| {
        g.descriptor(1, 0, Guest::buffer(1, 0), 100, 2, 0);
        g.offer(1, 0);
        g.kick(1);
    });
}

#[test]
fn indirect_not_negotiated() {
    stopped("not negotiated", 0, |g| {
        g.descriptor(1, 0, Guest::buffer(1, 0), 16, 4, 0);
        g.offer(1, 0);
        g.kick(1);
    });
}

#[test]
fn indirect_of_odd_length() {
    for len in [0, 15, 17, 16 * (u32::from(SIZE) + 1)] {
        stopped("indirect table", INDIRECT, |g| {
            g.descriptor(1, 0, Guest::buffer(1, 0), len, 4, 0);
            g.offer(1, 0);
            g.kick(1);
        });
    }
}

#[test]
fn indirect_nested() {
    use std::os::unix::fs::FileExt;
    stopped("nested", INDIRECT, |g| {
        let table = Guest::buffer(1, 0);
        let mut entry = [0; 16];
        entry[..8].copy_from_slice(&table.to_le_bytes());
        entry[8] = 16;
        entry[12] = 4;
        g.ram.write_all_at(&entry, table).unwrap();
        g.descriptor(1, 0, table, 16, 4, 0);
        g.offer(1, 0);
        g.kick(1);
    });
}

#[test]
fn control_queue_garbage() {
    stopped("control queue", 1 << 17, |g| {
        g.descriptor(2, 0, 1 << 50, 100, 0, 0);
        g.offer(2, 0);
        g.kick(2);
    });
}

#[test]
fn truncated_memory_file() {
    stopped_for_good("truncated", |g| {
        nix::unistd::ftruncate(&g.ram, 0x1000).unwrap();
        g.kick(1);
    });
}

/// The first to notice is a frame for it: one that is alone and goes where others went, or the first there.
#[test]
fn truncated_memory_file_of_a_receiver() {
    for before in [0, 3] {
        let pf = pf(8);
        let cvfs = [1, 2, 3].map(|n| compose(&pf, spec(n)));
        let mut guests = cvfs.each_ref().map(Guest::new);
        for guest in &mut guests {
            guest.start(0);
        }
        let [victim, a, b] = &mut guests;
        for _ in 0..before {
            a.send(&frame(1, 2, 100));
            assert_eq!(victim.receive(), Some(frame(1, 2, 100)));
        }
        nix::unistd::ftruncate(&victim.ram, 0x1000).unwrap();
        a.send(&frame(1, 2, 100));
        let reason = eventually(|| victim.cvf.health().reason).expect("the device is stopped");
        assert!(reason.contains("truncated"), "'{reason}' tells why");
        a.send(&frame(3, 2, 200));
        assert_eq!(b.receive(), Some(frame(3, 2, 200)), "the neighbours go on");
    }
}

/// As [`stopped`], without revival: the memory is gone.
fn stopped_for_good(why: &str, spoil: impl Fn(&mut Guest)) {
    let pf = pf(8);
    let cvfs = [1, 2, 3].map(|n| compose(&pf, spec(n)));
    let mut guests = cvfs.each_ref().map(Guest::new);
    for guest in &mut guests {
        guest.start(0);
    }
    let [bad, a, b] = &mut guests;
    spoil(bad);
    let reason = eventually(|| bad.cvf.health().reason).expect("the device is stopped");
    assert!(reason.contains(why), "'{reason}' tells about '{why}'");
    a.send(&frame(3, 2, 200));
    assert_eq!(b.receive(), Some(frame(3, 2, 200)), "the neighbours go on");
}

#[test]
fn short_and_lying_frames_are_dropped_and_returned() {
    let pf = pf(8);
    let (a, b) = (compose(&pf, spec(1)), compose(&pf, spec(2)));
    let (mut a, mut b) = (Guest::new(&a), Guest::new(&b));
    a.start(3);
    b.start(3);
    a.descriptor(1, 0, Guest::buffer(1, 0), 11, 0, 0);
    a.offer(1, 0);
    a.kick(1);
    a.descriptor(1, 1, Guest::buffer(1, 1), 25, 0, 0);
    a.offer(1, 1);
    a.kick(1);
    let mut past_end = [0; 12];
    past_end[0] = 1;
    past_end[6..10].copy_from_slice(&[60, 0, 0, 1]);
    a.send_with(past_end, &frame(2, 1, 100));
    let mut without_csum = [0; 12];
    without_csum[1] = 1;
    a.send_with(without_csum, &frame(2, 1, 100));
    let mut unknown = [0; 12];
    unknown[1] = 77;
    a.send_with(unknown, &frame(2, 1, 100));
    a.send(&frame(2, 1, 100));
    assert_eq!(
        b.receive(),
        Some(frame(2, 1, 100)),
        "the good frame behind them arrives"
    );
    assert!(
        eventually(|| (a.sent() == 6).then_some(())).is_some(),
        "all buffers come back"
    );
    let drops = a.cvf.stats().transmit.drops;
    assert_eq!(drops, vec![("malformed", 3), ("bad-offload", 2)]);
    assert_eq!(a.cvf.health().reason, None);
}

#[test]
fn memory_without_a_file_is_told() {
    let pf = pf(2);
    let cvf = compose(&pf, spec(1));
    let mut guest = Guest::new(&cvf);
    assert!(
        cvf.unmap_all()
            .wait(std::time::Duration::from_secs(1))
            .is_ok()
    );
    map(&cvf, None, 0, 8 << 20);
    let started = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| guest.start(0)));
    drop(started);
    let health = cvf.health();
    assert_eq!(health.memory.as_str(), "without-fd");
    assert!(health.last_refusal.unwrap().what.contains("share=on"));
}

#[test]
fn private_memory_is_told() {
    let pf = pf(2);
    let cvf = compose(&pf, spec(1));
    let mut guest = Guest::new(&cvf);
    // The device sees another file than the one that the driver writes to.
    assert!(
        cvf.unmap_all()
            .wait(std::time::Duration::from_secs(1))
            .is_ok()
    );
    map(&cvf, Some(guest::memory(8 << 20)), 0, 8 << 20);
    guest.start(0);
    guest.kick(0);
    let health = cvf.health();
    assert_eq!(health.memory.as_str(), "not-shared");
    assert!(health.last_refusal.unwrap().what.contains("share=on"));
}

/// Linux rings its control queue first, and waits there.
#[test]
fn private_memory_is_told_by_the_control_queue_too() {
    const CTRL: u64 = 1 << 17 | 1 << 18 | 1 << 23;
    for shared in [true, false] {
        let pf = pf(2);
        let cvf = compose(&pf, spec(1));
        let mut guest = Guest::new(&cvf);
        if !shared {
            let gone = cvf.unmap_all().wait(std::time::Duration::from_secs(1));
            assert!(gone.is_ok());
            map(&cvf, Some(guest::memory(8 << 20)), 0, 8 << 20);
        }
        guest.start(CTRL);
        assert_eq!(cvf.health().memory.as_str(), "unknown");
        let answer = guest.command(2, &[0, 0, 1]);
        let told = cvf.health().memory.as_str();
        match shared {
            true => assert_eq!((answer, told), (0, "shared")),
            false => assert_eq!((answer, told), (0xee, "not-shared")),
        }
    }
}

#[test]
fn rings_that_leave_and_come_back() {
    let pf = pf(4);
    let (a, b) = (compose(&pf, spec(1)), compose(&pf, spec(2)));
    let (mut a, mut b) = (Guest::new(&a), Guest::new(&b));
    a.start(0);
    b.start(0);
    for _ in 0..20 {
        let fd = a.fd();
        let mut gone = a.cvf.unmap(0, 8 << 20).unwrap();
        assert!(gone.wait(std::time::Duration::from_secs(2)).is_ok());
        a.send(&frame(2, 1, 70));
        map(&a.cvf, Some(fd), 0, 8 << 20);
        assert_eq!(b.receive(), Some(frame(2, 1, 70)), "what waited is sent");
    }
}

#[test]
fn a_command_waits_for_memory_that_comes_back() {
    const CTRL: u64 = 1 << 17 | 1 << 18 | 1 << 23;
    let pf = pf(4);
    let cvf = compose(&pf, spec(1));
    let mut guest = Guest::new(&cvf);
    guest.start(CTRL);
    for round in 0..3 {
        let fd = guest.fd();
        let mut gone = cvf.unmap(0, 8 << 20).unwrap();
        assert!(gone.wait(std::time::Duration::from_secs(2)).is_ok());
        let command = [1, 1, 2, 0, 0, 0, 0, 9 + round];
        assert_eq!(guest.command(2, &command), 0xee, "no answer can be written");
        map(&cvf, Some(fd), 0, 8 << 20);
        assert_eq!(guest.answer(), 0, "what waited is done");
        assert_eq!(cvf.health().mac.0[5], 9 + round);
    }
}

/// A device that uses another address for a while must get its own back: nobody else may take it.
#[test]
fn an_assigned_address_cannot_be_stolen_while_it_is_not_in_use() {
    const CTRL: u64 = 1 << 17 | 1 << 18 | 1 << 23;
    let pf = pf(4);
    let (a, b) = (compose(&pf, spec(1)), compose(&pf, spec(2)));
    let (mut a, mut b) = (Guest::new(&a), Guest::new(&b));
    a.start(CTRL);
    b.start(CTRL);
    assert_eq!(a.command(2, &[1, 1, 2, 0, 0, 0, 0, 9]), 0, "A uses another");
    assert_eq!(b.command(2, &[1, 1, 2, 0, 0, 0, 0, 1]), 1, "as its own");
    let listed = [1, 0, 1, 0, 0, 0, 2, 0, 0, 0, 0, 1, 0, 0, 0, 0];
    assert_eq!(b.command(2, &listed), 1, "or in its filter");
    a.start(CTRL);
    b.send(&frame(1, 2, 60));
    assert_eq!(a.receive(), Some(frame(1, 2, 60)));
}

/// A reset must not bring a device back on the private pages that replaced its truncated memory.
#[test]
fn a_reset_does_not_revive_truncated_memory() {
    let pf = pf(4);
    let (a, b) = (compose(&pf, spec(1)), compose(&pf, spec(2)));
    let (mut a, mut b) = (Guest::new(&a), Guest::new(&b));
    a.start(0);
    b.start(0);
    let fd = a.fd();
    nix::unistd::ftruncate(&fd, 0).expect("ftruncate");
    a.kick(1);
    eventually(|| a.cvf.health().reason).expect("the device is stopped");
    nix::unistd::ftruncate(&fd, 8 << 20).expect("ftruncate");
    a.start(0);
    let reason = a.cvf.health().reason.expect("it is stopped again");
    assert!(reason.contains("map it anew"), "{reason}");
    drop(a.cvf.unmap_all());
    map(&a.cvf, Some(fd), 0, 8 << 20);
    a.start(0);
    assert_eq!(a.cvf.health().reason, None);
    b.send(&frame(1, 2, 60));
    assert_eq!(a.receive(), Some(frame(1, 2, 60)));
}

/// The client shares the eventfd's file description: it can fill it and let writes block.
#[test]
fn a_full_eventfd_that_would_block_is_not_written() {
    use libcvf::cvf::{IrqAction, IrqData, IrqRequest};
    use nix::fcntl::{FcntlArg, OFlag, fcntl};
    let pf = pf(4);
    let cvf = compose(&pf, spec(1));
    let event = nix::sys::eventfd::EventFd::new().expect("eventfd");
    let request = |data| IrqRequest {
        index: 2,
        start: 0,
        count: 1,
        action: IrqAction::Trigger,
        data,
    };
    let shared = std::os::fd::AsFd::as_fd(&event)
        .try_clone_to_owned()
        .expect("dup");
    cvf.set_irqs(request(IrqData::Events(vec![Some(shared)])))
        .expect("taken");
    fcntl(&event, FcntlArg::F_SETFL(OFlag::O_RDWR)).expect("blocking again");
    event.write(u64::MAX - 1).expect("full");
    let (done, finished) = std::sync::mpsc::channel();
    let thread = Arc::clone(&cvf);
    std::thread::spawn(move || {
        let _ = thread.set_irqs(request(IrqData::None));
        let _ = done.send(());
    });
    let waited = finished.recv_timeout(std::time::Duration::from_secs(5));
    assert_eq!(waited, Ok(()), "the interrupt blocks whoever sends it");
}
