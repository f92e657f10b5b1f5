//! Devices with hardware queues of their own: what goes out and comes in without a copy, and what stays safe meanwhile.

mod guest;
mod hardware;

use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::Duration;

use guest::{Guest, compose, eventually, frame, spec};
use hardware::{Hardware, HardwarePf};
use libcvf::cvf::{Cvf, CvfSpec, HardwarePath, Wanted};
use libcvf::dataplane::Filled;
use libcvf::pf::PhysicalFunction;

/// Nobody here: what is sent there goes outside.
const FAR: u8 = 200;

fn device(pf: &Arc<HardwarePf>, last: u8) -> (Guest, Hardware) {
    device_of(pf, spec(last))
}

fn device_of(pf: &Arc<HardwarePf>, spec: CvfSpec) -> (Guest, Hardware) {
    let hardware = pf.hardware[usize::from(spec.uuid[0]) - 1].clone();
    let cvf = compose(pf, spec);
    let mut guest = Guest::new(&cvf);
    hardware.plug(&guest.ram);
    guest.start(0);
    (guest, hardware)
}

fn path(cvf: &Cvf) -> HardwarePath {
    cvf.health().hardware.expect("it has hardware queues")
}

/// Waits until so many frames have left, and returns them.
fn sent(hardware: &Hardware, count: usize) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    let done = eventually(|| {
        all.extend(hardware.sent());
        (all.len() >= count).then_some(())
    });
    assert!(done.is_some(), "{count} frames leave, not {}", all.len());
    all
}

/// Has frames come in, waiting for buffers.
fn receive(hardware: &Hardware, frame: &[u8]) {
    let taken = eventually(|| hardware.receive(frame).then_some(()));
    assert!(taken.is_some(), "no buffer: {:?}", hardware.posted());
}

#[test]
fn frames_go_out_and_come_in_without_a_copy() {
    let pf = HardwarePf::start(1);
    let (mut guest, hardware) = device(&pf, 1);
    for number in 0..2000usize {
        let out = frame(FAR, 1, 60 + number * 13 % 1455);
        guest.send(&out);
        assert_eq!(sent(&hardware, 1), [out], "frame {number} out");
        let into = frame(1, FAR, 60 + number * 29 % 1455);
        receive(&hardware, &into);
        assert_eq!(guest.receive(), Some(into), "frame {number} in");
    }
    let path = path(&guest.cvf);
    assert_eq!((path.copied_out, path.copied_in), (0, 0));
    assert_eq!(path.reached, 8 << 20);
    assert_eq!(hardware.faults(), 0);
    let stats = guest.cvf.stats();
    assert_eq!((stats.transmit.frames, stats.receive.frames), (2000, 2000));
}

#[test]
fn a_frame_is_given_back_when_hardware_has_sent_it() {
    let pf = HardwarePf::start(1);
    let (mut guest, hardware) = device(&pf, 1);
    hardware.pause(true);
    for _ in 0..10 {
        guest.send(&frame(FAR, 1, 1000));
    }
    assert!(eventually(|| (hardware.queued() == 10).then_some(())).is_some());
    assert_eq!(guest.sent(), 0, "hardware still reads them");
    // One that is all header is copied, and its driver may have it back before the others.
    guest.send(&frame(FAR, 1, 100));
    assert!(eventually(|| (guest.sent() == 1).then_some(())).is_some());
    hardware.pause(false);
    assert!(eventually(|| (guest.sent() == 11).then_some(())).is_some());
    assert_eq!(sent(&hardware, 11).len(), 11);
}

#[test]
fn frames_between_devices_never_wait_for_hardware() {
    let pf = HardwarePf::start(2);
    let ((mut a, outside_a), (mut b, outside_b)) = (device(&pf, 1), device(&pf, 2));
    let lent =
        |hardware: &Hardware| eventually(|| (hardware.posted().1 > 0).then(|| hardware.posted().1));
    for hardware in [&outside_a, &outside_b] {
        let lent = lent(hardware).expect("buffers are lent");
        assert!(
            lent <= usize::from(guest::SIZE) / 2,
            "{lent} of {}",
            guest::SIZE
        );
    }
    // Hardware fills nothing, and frames go around the ring many times.
    for number in 0..1000usize {
        let one = frame(2, 1, 60 + number % 1400);
        a.send(&one);
        assert_eq!(b.receive(), Some(one), "frame {number}");
    }
    assert!(outside_a.sent().is_empty() && outside_b.sent().is_empty());
    // What was lent is filled behind them, and frames of both kinds take turns.
    for number in 0..500usize {
        let (near, far) = (
            frame(2, 1, 60 + number % 1400),
            frame(2, FAR, 64 + number % 1400),
        );
        receive(&outside_b, &far);
        assert_eq!(b.receive(), Some(far), "frame {number}");
        a.send(&near);
        assert_eq!(b.receive(), Some(near), "frame {number}");
    }
    assert_eq!(path(&b.cvf).copied_in, 0);
}

#[test]
fn what_goes_to_all_goes_outside_too() {
    let pf = HardwarePf::start(2);
    let ((mut a, outside_a), (mut b, _)) = (device(&pf, 1), device(&pf, 2));
    let mut all = frame(0, 1, 700);
    all[..6].fill(0xff);
    for _ in 0..200 {
        a.send(&all);
        assert_eq!(b.receive().as_ref(), Some(&all));
        assert_eq!(sent(&outside_a, 1), [all.as_slice()]);
    }
    assert!(eventually(|| (a.sent() == 200).then_some(())).is_some());
    // From outside every device gets its own.
    let mut from = frame(0, FAR, 300);
    from[..6].fill(0xff);
    receive(&outside_a, &from);
    assert_eq!(a.receive().as_ref(), Some(&from));
    assert!(b.poll().is_none(), "it was for a's hardware alone");
}

#[test]
fn what_is_for_another_is_not_given_to_the_guest() {
    let pf = HardwarePf::start(1);
    let (mut guest, hardware) = device(&pf, 1);
    for _ in 0..200 {
        // Hardware that filters loosely, an error, a length that cannot be.
        receive(&hardware, &frame(77, FAR, 100));
        receive(&hardware, &[2, 0, 0]);
        let bad = |len, good| Filled {
            len,
            good,
            checksum: true,
        };
        for filled in [bad(100, false), bad(0, true), bad(u32::MAX, true)] {
            assert!(eventually(|| (hardware.posted().0 > 0).then_some(())).is_some());
            hardware.claim(filled);
        }
        let good = frame(1, FAR, 500);
        receive(&hardware, &good);
        assert_eq!(guest.receive(), Some(good), "and nothing before it");
    }
    assert_eq!(guest.cvf.health().driver, "running");
}

#[test]
fn memory_that_is_unmapped_is_out_of_reach_before_its_client_hears_of_it() {
    let pf = HardwarePf::start(1);
    let (mut guest, hardware) = device(&pf, 1);
    assert!(eventually(|| (hardware.posted().1 > 0).then_some(())).is_some());
    hardware.pause(true);
    for _ in 0..5 {
        guest.send(&frame(FAR, 1, 1000));
    }
    assert!(eventually(|| (hardware.queued() == 5).then_some(())).is_some());
    let mut gone = guest.cvf.unmap(0, 8 << 20).expect("mapped");
    assert!(gone.wait(Duration::from_secs(2)).is_ok());
    assert_eq!(hardware.reached(), 0);
    // The client may use its memory for something else now.
    let pattern = vec![0xa5; 8 << 20];
    guest.ram.write_all_at(&pattern, 0).expect("ram");
    while hardware.receive(&frame(1, FAR, 200)) {}
    hardware.pause(false);
    assert!(hardware.faults() > 5, "hardware is told, not the memory");
    let mut after = vec![0; 8 << 20];
    guest.ram.read_exact_at(&mut after, 0).expect("ram");
    assert!(after == pattern, "late DMA has landed");
    drop(gone);
}

#[test]
fn a_reset_with_frames_under_way_leaves_nothing() {
    let pf = HardwarePf::start(1);
    let (mut guest, hardware) = device(&pf, 1);
    for round in 0..50 {
        hardware.pause(true);
        for _ in 0..7 {
            guest.send(&frame(FAR, 1, 900));
        }
        assert!(eventually(|| (hardware.queued() == 7).then_some(())).is_some());
        guest.set(20, &[0]);
        assert_eq!(
            (hardware.queued(), hardware.posted().0),
            (0, 0),
            "round {round}"
        );
        hardware.pause(false);
        assert!(
            hardware.sent().is_empty(),
            "what was under way is forgotten"
        );
        guest.start(0);
        let one = frame(1, FAR, 400);
        receive(&hardware, &one);
        assert_eq!(guest.receive(), Some(one));
        guest.send(&frame(FAR, 1, 900));
        assert_eq!(sent(&hardware, 1).len(), 1);
    }
    assert_eq!(hardware.faults(), 0);
}

#[test]
fn buffers_that_cannot_be_lent_are_copied_into() {
    let pf = HardwarePf::start(1);
    let hardware = pf.hardware[0].clone();
    let cvf = compose(&pf, spec(1));
    let mut guest = Guest::new(&cvf);
    hardware.plug(&guest.ram);
    // Merged buffers of 300 bytes: no frame fits into one.
    guest.small = Some(300);
    guest.start(1 << 15);
    for number in 0..300usize {
        let one = frame(1, FAR, 60 + number * 7 % 1400);
        receive(&hardware, &one);
        assert_eq!(guest.receive(), Some(one), "frame {number}");
    }
    assert!(path(&cvf).copied_in > 0);
    assert_eq!(hardware.posted().1, 0, "none is lent");
}

#[test]
fn somebody_who_looks_sees_all_and_afterwards_nothing_is_copied_again() {
    let pf = HardwarePf::start(1);
    let (mut guest, hardware) = device(&pf, 1);
    let wanted = Wanted::default();
    let both = |guest: &mut Guest, number: usize| {
        let into = frame(1, FAR, 200 + number);
        receive(&hardware, &into);
        assert_eq!(guest.receive(), Some(into), "frame {number}");
        let out = frame(FAR, 1, 300 + number);
        guest.send(&out);
        assert_eq!(sent(&hardware, 1), [out]);
    };
    (0..50).for_each(|number| both(&mut guest, number));
    assert_eq!(path(&guest.cvf).copied_in, 0);
    let tap = guest.cvf.tap(wanted).expect("a tap");
    (0..300).for_each(|number| both(&mut guest, number));
    let mut seen = 0;
    let mut catch = libcvf::cvf::Catch::default();
    tap.take(&mut catch);
    seen += catch.frames().count();
    assert_eq!(seen, 600);
    guest.cvf.untap(&tap);
    (0..300).for_each(|number| both(&mut guest, number));
    let after = path(&guest.cvf).copied_in;
    (0..300).for_each(|number| both(&mut guest, number));
    assert_eq!(
        path(&guest.cvf).copied_in,
        after,
        "all buffers are the guest's again"
    );
}

#[test]
fn what_came_damaged_is_counted_wherever_it_came() {
    let pf = HardwarePf::start(1);
    let (mut guest, hardware) = device(&pf, 1);
    let bad = Filled {
        len: 100,
        good: false,
        checksum: false,
    };
    // Into the guest's buffers first; then somebody looks, and what is lent already goes the ordinary way.
    for (already, looks) in [(0, false), (1, true)] {
        let whole = frame(1, FAR, 200);
        receive(&hardware, &whole);
        assert_eq!(guest.receive(), Some(whole));
        let tap = looks.then(|| guest.cvf.tap(Wanted::default()).expect("a tap"));
        assert!(eventually(|| (hardware.posted().0 > 0).then_some(())).is_some());
        hardware.claim(bad);
        let counted = eventually(|| {
            let counted = hardware.drops() == [("malformed", already + 1)];
            counted.then_some(())
        });
        assert!(counted.is_some(), "{:?}", hardware.drops());
        tap.iter().for_each(|tap| guest.cvf.untap(tap));
    }
}

#[test]
fn an_access_vlan_is_tagged_outside_and_untagged_inside() {
    let pf = HardwarePf::start(1);
    let spec = CvfSpec {
        vlan: Some(7),
        ..spec(1)
    };
    let (mut guest, hardware) = device_of(&pf, spec);
    let tagged = |frame: &[u8]| [&frame[..12], &[0x81, 0, 0, 7], &frame[12..]].concat();
    for number in 0..200usize {
        let out = frame(FAR, 1, 60 + number * 5);
        guest.send(&out);
        assert_eq!(sent(&hardware, 1), [tagged(&out)]);
        let into = frame(1, FAR, 60 + number * 5);
        receive(&hardware, &tagged(&into));
        assert_eq!(guest.receive(), Some(into));
    }
    assert_eq!(
        path(&guest.cvf).copied_out,
        0,
        "a tag is in the copied beginning"
    );
}

#[test]
fn a_stopped_device_costs_its_worker_nothing() {
    let pf = HardwarePf::start(1);
    let (mut guest, hardware) = device(&pf, 1);
    assert!(eventually(|| (hardware.posted().1 >= 10).then_some(())).is_some());
    // Its guest tears a ring, and never resets the device; then frames come.
    guest.set_available(1, 5000);
    guest.kick(1);
    let stopped = || (guest.cvf.health().driver == "needs reset").then_some(());
    assert!(eventually(stopped).is_some());
    for _ in 0..10 {
        assert!(hardware.receive(&frame(1, FAR, 100)));
    }
    // It sleeps, and nobody wakes it again.
    let asleep = || pf.fabric().sleepers()[0];
    let turns = eventually(asleep).expect("it sleeps");
    let still = eventually(|| {
        let now = asleep();
        (now == Some(turns)).then_some(())
    });
    assert!(still.is_some(), "{turns} turns, then {:?}", asleep());
}

#[test]
fn a_driver_that_starts_again_on_a_lost_function_is_stopped_again() {
    let (pf, other) = (HardwarePf::start(1), HardwarePf::start(1));
    let ((mut guest, hardware), (mut beside, outside)) = (device(&pf, 1), device(&other, 1));
    let why = "its function has gone";
    *pf.lost.lock().expect("lost") = Some(why.into());
    guest.cvf.stop(why.into());
    for _ in 0..3 {
        let health = guest.cvf.health();
        assert_eq!(
            (health.driver, health.reason.as_deref()),
            ("needs reset", Some(why))
        );
        assert_eq!(guest.status() & 0x40, 0x40, "its driver is told, too");
        guest.set(20, &[0]);
        assert_eq!(guest.cvf.health().reason, None);
        assert_eq!(
            hardware.posted(),
            (0, 0),
            "hardware is not asked for anything"
        );
        guest.start(0);
    }
    let out = frame(FAR, 1, 700);
    beside.send(&out);
    assert_eq!(sent(&outside, 1), [out]);
    assert_eq!(beside.cvf.health().reason, None);
}

#[test]
fn hardware_that_sends_nothing_does_not_stop_frames_for_other_devices() {
    let pf = HardwarePf::start(2);
    let ((mut a, outside), (mut b, _)) = (device(&pf, 1), device(&pf, 2));
    outside.pause(true);
    // All header: its driver gets it back at once, so that its ring never ends. Until hardware has no more room.
    let mut taken = 0;
    for _ in 0..4000u32 {
        let before = a.sent();
        a.send(&frame(FAR, 1, 100));
        assert!(eventually(|| (a.sent() != before).then_some(())).is_some());
        taken = outside.queued();
    }
    assert!(taken > 900 && taken < 2048, "{taken} are queued");
    for number in 0..100 {
        let near = frame(2, 1, 200 + number);
        a.send(&near);
        assert_eq!(b.receive(), Some(near), "frame {number}");
    }
    outside.pause(false);
    assert_eq!(sent(&outside, taken).len(), taken);
    a.send(&frame(FAR, 1, 1000));
    assert_eq!(sent(&outside, 1).len(), 1, "it goes on");
}

#[test]
fn a_device_that_is_polled_is_polled_on_while_a_frame_is_under_way() {
    let pf = HardwarePf::start(2);
    let polled = CvfSpec {
        doorbells: libcvf::cvf::Doorbells::Mapped,
        ..spec(1)
    };
    let ((mut a, outside), (mut b, _)) = (device_of(&pf, polled), device(&pf, 2));
    outside.pause(true);
    a.place([0; 12], &frame(FAR, 1, 1000));
    assert!(eventually(|| (outside.queued() == 1).then_some(())).is_some());
    // Long enough to be taken for idle.
    let later = std::time::Instant::now() + Duration::from_millis(5);
    assert!(eventually(|| (std::time::Instant::now() > later).then_some(())).is_some());
    let near = frame(2, 1, 200);
    a.place([0; 12], &near);
    assert_eq!(b.receive(), Some(near), "nobody rings for it");
    outside.pause(false);
}

#[test]
fn frames_that_are_not_exactly_the_devices_are_never_in_its_guests_memory() {
    let pf = HardwarePf::start(1);
    let (mut guest, hardware) = device(&pf, 1);
    let exact = Arc::clone(&hardware.exact);
    let both = |guest: &mut Guest| {
        let good = frame(1, FAR, 500);
        receive(&hardware, &good);
        assert_eq!(guest.receive(), Some(good));
    };
    both(&mut guest);
    // From here on hardware may give it what is another VLAN's: what was lent is used up, and nothing is lent again.
    exact.store(false, std::sync::atomic::Ordering::SeqCst);
    for _ in 0..500 {
        both(&mut guest);
    }
    assert_eq!(hardware.posted().1, 0, "hardware has none of its buffers");
    let secret = b"of a neighbour's VLAN";
    let mut other = frame(77, FAR, 300);
    other[100..100 + secret.len()].copy_from_slice(secret);
    receive(&hardware, &other);
    both(&mut guest);
    let mut ram = vec![0; 8 << 20];
    guest.ram.read_exact_at(&mut ram, 0).expect("ram");
    assert!(!ram.windows(secret.len()).any(|bytes| bytes == secret));
    // And back.
    exact.store(true, std::sync::atomic::Ordering::SeqCst);
    for _ in 0..500 {
        both(&mut guest);
    }
    let copied = path(&guest.cvf).copied_in;
    both(&mut guest);
    assert_eq!(path(&guest.cvf).copied_in, copied);
}

#[test]
fn an_address_that_the_switch_refuses_does_not_reach_hardware() {
    let pf = HardwarePf::start(2);
    let (_b, _) = device(&pf, 2);
    let (mut a, _) = device(&pf, 1);
    a.start(1 << 17 | 1 << 23);
    assert_eq!(
        a.command(2, &[1, 1, 2, 0, 0, 0, 0, 2]),
        1,
        "it is the neighbour's"
    );
    let told = pf.tuned.lock().expect("tuned").clone();
    let stolen = |(pair, station): &&(u32, libcvf::pf::Station)| {
        let own = station
            .unicast
            .iter()
            .any(|mac| mac.0 == [2, 0, 0, 0, 0, 2]);
        *pair == 1 && own
    };
    assert!(told.iter().find(stolen).is_none(), "{told:?}");
    let last = told
        .iter()
        .rev()
        .find(|(pair, _)| *pair == 1)
        .expect("tuned");
    assert_eq!(
        last.1.unicast.first().map(|mac| mac.0),
        Some([2, 0, 0, 0, 0, 1])
    );
}

#[test]
fn a_large_send_is_cut_out_of_guest_memory() {
    const HOST_TSO4: u64 = 1 << 11;
    let pf = HardwarePf::start(1);
    let hardware = pf.hardware[0].clone();
    let cvf = compose(&pf, spec(1));
    let mut guest = Guest::new(&cvf);
    hardware.plug(&guest.ram);
    guest.start(1 | HOST_TSO4);
    let payload: Vec<u8> = (0..1900u32).map(|n| (n * 31 % 251) as u8).collect();
    let mut large = frame(FAR, 1, 14);
    large[12..14].copy_from_slice(&[0x08, 0x00]);
    let total = (20 + 20 + payload.len()) as u16;
    let mut ip = vec![
        0x45, 0, 0, 0, 0, 1, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2,
    ];
    ip[2..4].copy_from_slice(&total.to_be_bytes());
    large.extend(&ip);
    let mut tcp = vec![0; 20];
    tcp[12] = 0x50;
    large.extend(&tcp);
    large.extend(&payload);
    // NEEDS_CSUM, TCPV4, segments of 500 bytes.
    let header = [1, 1, 54, 0, 244, 1, 34, 0, 16, 0, 0, 0];
    for round in 0..100u16 {
        guest.send_with(header, &large);
        let parts = sent(&hardware, 4);
        let joined: Vec<u8> = parts.iter().flat_map(|part| part[54..].to_vec()).collect();
        assert!(joined == payload, "round {round}");
        let back = eventually(|| (guest.sent() == round + 1).then_some(()));
        assert!(
            back.is_some(),
            "given back once, not {} times",
            guest.sent()
        );
    }
    assert_eq!(path(&cvf).copied_out, 0, "headers alone were written");
}
