//! What somebody sees who looks at a device's frames, and what it costs the device.

mod guest;

use std::sync::Arc;
use std::time::Duration;

use guest::{Guest, compose, eventually, frame, pf, spec};
use libcvf::cvf::{
    Catch, Cvf, CvfSpec, PortPolicy, PortRates, SourceMac, Tap, TapError, Vid, VlanSet, Wanted, Way,
};
use libcvf::limits::{MAX_TAPS, TAP_BYTES};

/// What was seen: way, why it was dropped, bytes.
type Told = (Way, Option<&'static str>, Vec<u8>);

fn told(tap: &Tap) -> Vec<Told> {
    let mut catch = Catch::default();
    tap.take(&mut catch);
    let frames = catch.frames().map(|seen| {
        assert_eq!(seen.lost, 0);
        let reason = seen.dropped.map(|reason| reason.name());
        (seen.way, reason, seen.bytes.to_vec())
    });
    frames.collect()
}

/// Waits until that many were seen.
fn told_all(tap: &Tap, count: usize) -> Vec<Told> {
    let mut all = Vec::new();
    let done = eventually(|| {
        all.extend(told(tap));
        (all.len() >= count).then_some(())
    });
    assert!(done.is_some(), "{count} frames are seen, not {all:?}");
    all
}

fn out(bytes: Vec<u8>) -> Told {
    (Way::Out, None, bytes)
}

fn inward(bytes: Vec<u8>) -> Told {
    (Way::In, None, bytes)
}

fn two(a: CvfSpec, b: CvfSpec) -> (Guest, Guest) {
    let pf = pf(4);
    let (mut a, mut b) = (Guest::new(&compose(&pf, a)), Guest::new(&compose(&pf, b)));
    a.start(0);
    b.start(0);
    (a, b)
}

fn tap(cvf: &Arc<Cvf>) -> Arc<Tap> {
    cvf.tap(Wanted::default()).expect("a tap")
}

#[test]
fn every_frame_is_seen_both_ways_as_it_is_and_in_order() {
    let (mut a, mut b) = two(spec(1), spec(2));
    let mut expected = Vec::new();
    // Routes are known before somebody looks.
    for _ in 0..3 {
        a.send(&frame(2, 1, 60));
        assert!(b.receive().is_some());
    }
    let (at_a, at_b) = (tap(&a.cvf), tap(&b.cvf));
    for len in [60, 61, 128, 129, 500, 1514, 60, 60] {
        let (there, back) = (frame(2, 1, len), frame(1, 2, len));
        a.send(&there);
        assert_eq!(b.receive().as_deref(), Some(&there[..]));
        b.send(&back);
        assert_eq!(a.receive().as_deref(), Some(&back[..]));
        expected.extend([out(there), inward(back)]);
    }
    assert_eq!(told_all(&at_a, 16), expected);
    let swapped = expected.into_iter().map(|(way, reason, bytes)| match way {
        Way::Out => (Way::In, reason, bytes),
        Way::In => (Way::Out, reason, bytes),
    });
    assert_eq!(told_all(&at_b, 16), swapped.collect::<Vec<_>>());
    // Who has looked enough is shown nothing.
    a.cvf.untap(&at_a);
    assert_eq!((a.cvf.taps(), b.cvf.taps()), (0, 1));
    a.send(&frame(2, 1, 70));
    assert!(b.receive().is_some());
    assert_eq!(told(&at_a), []);
    assert_eq!(told_all(&at_b, 1), [inward(frame(2, 1, 70))]);
}

#[test]
fn a_burst_is_seen_whole_whatever_is_in_it() {
    let (mut a, mut b) = two(spec(1), spec(2));
    let at_a = tap(&a.cvf);
    let mut everybody = frame(2, 1, 90);
    everybody[..6].copy_from_slice(&[0xff; 6]);
    let mut expected = Vec::new();
    for n in 0..20 {
        let one = match n {
            7 => everybody.clone(),
            // Less than a header: no frame, so that there is nothing to show of it.
            11 => frame(2, 1, 60)[..9].to_vec(),
            n => frame(2, 1, 60 + n),
        };
        a.place([0; 12], &one);
        let shown = if n == 11 { Vec::new() } else { one };
        expected.push((Way::Out, (n == 11).then_some("malformed"), shown));
    }
    a.kick(1);
    for _ in 0..19 {
        assert!(b.receive().is_some());
    }
    assert_eq!(told_all(&at_a, 20), expected);
}

#[test]
fn what_is_dropped_is_seen_with_the_reason() {
    let policy = PortPolicy {
        source_mac: SourceMac::Assigned,
        rates: PortRates {
            transmit_frames: Some(1),
            burst: Duration::from_secs(3),
            ..PortRates::default()
        },
        ..PortPolicy::default()
    };
    let (mut a, mut b) = two(CvfSpec { policy, ..spec(1) }, spec(2));
    let (all, drops) = (
        tap(&a.cvf),
        a.cvf
            .tap(Wanted {
                drops_only: true,
                ..Wanted::default()
            })
            .expect("another"),
    );
    let (good, spoofed) = (frame(2, 1, 60), frame(2, 3, 60));
    for one in [&good, &spoofed, &good, &good] {
        a.send(one);
    }
    let seen = told_all(&all, 4);
    let reasons: Vec<_> = seen.iter().map(|(_, reason, _)| *reason).collect();
    assert_eq!(reasons, [None, Some("spoofed"), None, Some("over-rate")]);
    assert_eq!(seen[1].2, spoofed);
    assert_eq!(seen[3].2, good);
    let dropped: Vec<_> = seen.into_iter().filter(|seen| seen.1.is_some()).collect();
    assert_eq!(told_all(&drops, 2), dropped);
    assert!(b.receive().is_some() && b.receive().is_some());
    assert_eq!(b.poll(), None);
}

#[test]
fn what_a_receiver_cannot_take_is_seen_there() {
    const MTU: u64 = 1 << 3;
    let (mut a, mut b) = two(spec(1), spec(2));
    b.start(MTU);
    let at_b = tap(&b.cvf);
    let (long, short) = (frame(2, 1, 1600), frame(2, 1, 64));
    a.send(&long);
    a.send(&short);
    assert_eq!(b.receive(), Some(short.clone()));
    let expected = [
        (Way::In, Some("exceeds-mtu"), long.clone()),
        inward(short.clone()),
    ];
    assert_eq!(told_all(&at_b, 2), expected);
    // Nobody posts buffers.
    for _ in 0..70 {
        a.send(&short);
        let sent = a.offered(1);
        assert!(eventually(|| (a.sent() == sent).then_some(())).is_some());
    }
    let seen = told_all(&at_b, 70);
    let lost = seen.iter().filter(|seen| seen.1 == Some("no-buffer"));
    let counted = b.cvf.stats().receive.drops;
    assert!(
        counted.contains(&("no-buffer", lost.count() as u64)),
        "{counted:?}"
    );
    b.set(20, &[0]);
    a.send(&short);
    assert_eq!(told_all(&at_b, 1), [(Way::In, Some("not-ready"), short)]);
}

#[test]
fn tags_are_seen_as_each_guest_sees_them() {
    let trunk = PortPolicy {
        vlans: Some(VlanSet::from_iter([Vid(7)])),
        ..PortPolicy::default()
    };
    let member = CvfSpec {
        vlan: Some(7),
        ..spec(2)
    };
    let (mut a, mut b) = two(
        CvfSpec {
            policy: trunk,
            ..spec(1)
        },
        member,
    );
    let (at_a, at_b) = (tap(&a.cvf), tap(&b.cvf));
    let plain = frame(2, 1, 80);
    let mut tagged = plain.clone();
    tagged.splice(12..12, [0x81, 0, 0, 7]);
    a.send(&tagged);
    assert_eq!(b.receive(), Some(plain.clone()));
    assert_eq!(told_all(&at_a, 1), [out(tagged)]);
    assert_eq!(told_all(&at_b, 1), [inward(plain)]);
}

#[test]
fn who_never_looks_is_told_what_was_lost_and_delays_nobody() {
    let (mut a, mut b) = two(spec(1), spec(2));
    let at_a = tap(&a.cvf);
    let sent = frame(2, 1, 1514);
    let fit = TAP_BYTES / 1514;
    for _ in 0..fit + 100 {
        a.send(&sent);
        assert!(b.receive().is_some(), "every frame arrives");
    }
    let mut catch = Catch::default();
    let lost = at_a.take(&mut catch);
    let seen = catch.frames().count();
    assert!(lost > 100, "{lost}");
    assert_eq!(seen as u64 + lost, fit as u64 + 100);
    a.send(&sent);
    assert!(b.receive().is_some());
    at_a.take(&mut catch);
    let next: Vec<_> = catch.frames().map(|seen| seen.lost).collect();
    assert_eq!(
        next,
        [lost as u32],
        "the next one says how many are missing"
    );
}

#[test]
fn only_what_is_wanted_is_copied() {
    let (mut a, mut b) = two(spec(1), spec(2));
    let wanted = Wanted {
        out: false,
        snaplen: 20,
        ..Wanted::default()
    };
    let at_a = a.cvf.tap(wanted).expect("a tap");
    a.send(&frame(2, 1, 60));
    assert!(b.receive().is_some());
    b.send(&frame(1, 2, 600));
    assert!(a.receive().is_some());
    let mut catch = Catch::default();
    at_a.take(&mut catch);
    let seen: Vec<_> = catch.frames().collect();
    assert_eq!(seen.len(), 1);
    assert_eq!((seen[0].way, seen[0].len), (Way::In, 600));
    assert_eq!(seen[0].bytes, &frame(1, 2, 600)[..20]);
}

#[test]
fn a_device_is_looked_at_by_few_and_ends_with_them() {
    let (a, _b) = two(spec(1), spec(2));
    let taps: Vec<_> = (0..MAX_TAPS).map(|_| tap(&a.cvf)).collect();
    let Err(TapError::TooMany) = a.cvf.tap(Wanted::default()) else {
        panic!("one too many");
    };
    a.cvf.untap(&taps[0]);
    let last = tap(&a.cvf);
    assert!(!last.is_over());
    let _ = a.cvf.dismantle().wait(Duration::from_secs(2));
    assert!(last.is_over() && taps[1].is_over());
    assert!(!taps[0].is_over(), "nobody looks there any more");
    assert_eq!(a.cvf.taps(), 0);
    let Err(TapError::Gone) = a.cvf.tap(Wanted::default()) else {
        panic!("it is gone");
    };
}
