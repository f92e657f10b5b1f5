//! What a device's policy keeps its guest from, driven as a guest's driver does.

mod guest;

use std::time::{Duration, Instant};

use guest::{Guest, compose, eventually, frame, pf, spec};
use libcvf::cvf::{
    Cvf, CvfSpec, GroupRate, NeighbourCheck, Network, PolicyError, PortPolicy, PortRates,
    RateGroup, SourceMac, Vid,
};

const CTRL: u64 = 1 << 17 | 1 << 18 | 1 << 23;
const SET_MAC: [u8; 2] = [1, 1];

fn under(last: u8, policy: PortPolicy) -> CvfSpec {
    CvfSpec {
        policy,
        ..spec(last)
    }
}

fn source(source_mac: SourceMac) -> PortPolicy {
    PortPolicy {
        source_mac,
        ..PortPolicy::default()
    }
}

fn tagged(mut frame: Vec<u8>, tags: &[[u8; 4]]) -> Vec<u8> {
    frame.splice(12..12, tags.concat());
    frame
}

/// Sends what must not arrive, then what must: nothing else came.
fn only_the_last(from: &mut Guest, to: &mut Guest, bad: &[Vec<u8>], good: &[u8]) {
    for frame in bad {
        from.send(frame);
    }
    from.send(good);
    assert_eq!(to.receive().as_deref(), Some(good));
    assert_eq!(to.poll(), None);
}

fn drops(cvf: &Cvf) -> Vec<(&'static str, u64)> {
    cvf.stats().transmit.drops
}

#[test]
fn an_attackers_frames_go_nowhere_and_its_neighbours_are_served() {
    let pf = pf(8);
    let attacker = compose(&pf, under(1, source(SourceMac::Assigned)));
    let (one, two) = (compose(&pf, spec(2)), compose(&pf, spec(3)));
    let mut attacker = Guest::new(&attacker);
    let (mut one, mut two) = (Guest::new(&one), Guest::new(&two));
    attacker.start(0);
    one.start(0);
    two.start(0);
    // A route is known, so that what follows could take it.
    for _ in 0..3 {
        attacker.send(&frame(2, 1, 60));
        assert!(one.receive().is_some());
    }
    let bad = [frame(2, 3, 60), frame(2, 9, 60), frame(2, 3, 60)];
    only_the_last(&mut attacker, &mut one, &bad, &frame(2, 1, 61));
    assert_eq!(drops(&attacker.cvf), [("spoofed", 3)]);
    let counted = attacker.cvf.misbehaviour();
    assert_eq!((counted.spoofed, counted.malformed), (3, 0));
    // Whose address it took still has it.
    one.send(&frame(3, 2, 60));
    assert_eq!(two.receive(), Some(frame(3, 2, 60)));
    two.send(&frame(2, 3, 60));
    assert_eq!(one.receive(), Some(frame(2, 3, 60)));
    assert!(drops(&one.cvf).is_empty() && drops(&two.cvf).is_empty());
}

#[test]
fn what_was_allowed_is_not_what_was_given() {
    let pf = pf(4);
    let a = compose(&pf, under(1, source(SourceMac::Granted)));
    let (mut a, mut b) = (Guest::new(&a), Guest::new(&compose(&pf, spec(2))));
    a.start(CTRL);
    b.start(0);
    let command = [&SET_MAC[..], &[2, 0, 0, 0, 0, 9]].concat();
    assert_eq!(a.command(2, &command), 0);
    only_the_last(&mut a, &mut b, &[frame(2, 1, 60)], &frame(2, 9, 60));
    a.cvf.set_policy(source(SourceMac::Assigned)).unwrap();
    only_the_last(&mut a, &mut b, &[frame(2, 9, 60)], &frame(2, 1, 60));
    a.cvf.set_policy(PortPolicy::default()).unwrap();
    for last in [9, 1, 7] {
        a.send(&frame(2, last, 60));
        assert_eq!(b.receive(), Some(frame(2, last, 60)));
    }
    assert_eq!(drops(&a.cvf), [("spoofed", 2)]);
    assert_eq!(a.cvf.policy(), PortPolicy::default());
}

#[test]
fn a_trunk_is_held_to_its_vlans_both_ways() {
    let pf = pf(4);
    let policy = PortPolicy {
        vlans: Some([Vid(7)].into_iter().collect()),
        ..PortPolicy::default()
    };
    let a = compose(&pf, under(1, policy.clone()));
    let (mut a, mut b) = (Guest::new(&a), Guest::new(&compose(&pf, spec(2))));
    // Neither driver filters VLANs.
    a.start(0);
    b.start(0);
    let foreign: [&[[u8; 4]]; 4] = [
        &[[0x81, 0, 0, 8]],
        &[[0x88, 0xa8, 0, 7]],
        &[[0x81, 0, 0, 7], [0x81, 0, 0, 8]],
        &[[0x81, 0, 0, 0], [0x81, 0, 0, 8]],
    ];
    let bad: Vec<_> = foreign.iter().map(|t| tagged(frame(2, 1, 60), t)).collect();
    let own = [[0x81, 0, 0x60, 7]];
    only_the_last(&mut a, &mut b, &bad, &tagged(frame(2, 1, 60), &own));
    only_the_last(
        &mut a,
        &mut b,
        &[],
        &tagged(frame(2, 1, 60), &[[0x81, 0, 0xa0, 0]]),
    );
    assert_eq!(drops(&a.cvf), [("vlan", 4)]);
    assert_eq!(a.cvf.misbehaviour().spoofed, 4);
    let mut others: Vec<_> = foreign.iter().map(|t| tagged(frame(1, 2, 60), t)).collect();
    // It is in VLAN 7, whatever is behind that tag.
    others.remove(2);
    only_the_last(&mut b, &mut a, &others, &tagged(frame(1, 2, 60), &own));
    assert_eq!(drops(&b.cvf), [("no-destination", 3)]);
    let all = PortPolicy {
        vlans: None,
        ..policy
    };
    a.cvf.set_policy(all).unwrap();
    b.send(&others[0]);
    assert_eq!(a.receive().as_deref(), Some(&others[0][..]));
}

#[test]
fn a_policy_that_cannot_be_changes_nothing() {
    let pf = pf(2);
    let a = compose(&pf, under(1, source(SourceMac::Granted)));
    let mut policy = PortPolicy::default();
    policy.rates.transmit_bits = Some(0);
    let refused = a.set_policy(policy.clone());
    assert_eq!(refused, Err(PolicyError::ZeroRate("transmit-bits")));
    assert_eq!(a.policy(), source(SourceMac::Granted));
    let gate = std::sync::Arc::new(libcvf::control::Permit);
    assert!(Cvf::compose(std::sync::Arc::clone(&pf) as _, under(2, policy), gate).is_err());
    let gone = eventually(|| a.dismantle().try_finish().then_some(()));
    assert_eq!(gone, Some(()));
    let refused = a.set_policy(PortPolicy::default());
    assert!(
        matches!(refused, Err(PolicyError::Switch(_))),
        "{refused:?}"
    );
}

fn rates(rates: PortRates) -> PortPolicy {
    PortPolicy {
        rates,
        ..PortPolicy::default()
    }
}

/// Sends as fast as its ring takes it, for a while; how many frames came, how many were sent, and how long it took.
fn flood(from: &mut Guest, to: &mut Guest, frame: &[u8], last: Duration) -> (u64, u64, Duration) {
    let (mut came, mut sent) = (0, 0);
    let began = Instant::now();
    while began.elapsed() < last {
        for _ in 0..16 {
            from.place([0; 12], frame);
        }
        from.kick(1);
        sent += 16;
        let done = eventually(|| (from.sent() == from.offered(1)).then_some(()));
        assert_eq!(done, Some(()));
        while to.poll().is_some() {
            came += 1;
        }
    }
    (came, sent, began.elapsed())
}

fn dropped(drops: &[(&'static str, u64)], reason: &str) -> u64 {
    let found = drops.iter().find(|(name, _)| *name == reason);
    found.map_or(0, |(_, count)| *count)
}

#[test]
fn a_sender_keeps_to_its_rate_and_so_does_a_receiver() {
    const RATE: u64 = 2000;
    const BURST: Duration = Duration::from_millis(20);
    let frames = PortRates {
        transmit_frames: Some(RATE),
        burst: BURST,
        ..PortRates::default()
    };
    let bits = PortRates {
        receive_bits: Some(RATE * 1000 * 8),
        burst: BURST,
        ..PortRates::default()
    };
    for (sender, receiver) in [
        (rates(frames), rates(PortRates::default())),
        (rates(PortRates::default()), rates(bits)),
    ] {
        let pf = pf(4);
        let (a, b) = (
            compose(&pf, under(1, sender.clone())),
            compose(&pf, under(2, receiver)),
        );
        let (mut a, mut b) = (Guest::new(&a), Guest::new(&b));
        a.start(0);
        b.start(0);
        let (came, sent, time) = flood(
            &mut a,
            &mut b,
            &frame(2, 1, 1000),
            Duration::from_millis(300),
        );
        // Of bytes as much as the largest frame has may come at once.
        let most = time.as_secs_f64() * RATE as f64 + (BURST.as_secs_f64() * RATE as f64).max(66.0);
        assert!(came as f64 <= most + 1.0, "{came} of {sent} in {time:?}");
        let of = if sender.rates == frames { &a } else { &b };
        let stats = of.cvf.stats();
        let over = dropped(&stats.transmit.drops, "over-rate")
            + dropped(&stats.receive.drops, "over-rate");
        assert_eq!(came + over, sent, "all others are counted");
        if sent > 2 * most as u64 {
            // It asked for more all the time, as far as this machine lets it.
            assert!(
                came as f64 >= time.as_secs_f64() * RATE as f64 / 2.0,
                "{came} in {time:?}"
            );
        }
    }
}

#[test]
fn a_flooded_neighbour_is_served_and_alone_frames_are_metered() {
    let pf = pf(8);
    let limited = rates(PortRates {
        flood_frames: Some(1),
        transmit_frames: Some(1),
        receive_frames: Some(1),
        burst: Duration::from_secs(60),
        ..PortRates::default()
    });
    let (a, b) = (compose(&pf, under(1, limited)), compose(&pf, spec(2)));
    let (mut a, mut b) = (Guest::new(&a), Guest::new(&b));
    a.start(0);
    b.start(0);
    // One at a time: the way of lone frames. Sixty, and what time gives.
    let began = Instant::now();
    let mut came = 0;
    for number in 0..200 {
        a.send(&frame(2, 1, 60 + number));
        assert_eq!(
            eventually(|| (a.sent() == a.offered(1)).then_some(())),
            Some(())
        );
        while b.poll().is_some() {
            came += 1;
        }
    }
    let most = 60 + began.elapsed().as_secs() + 1;
    assert!((60..=most).contains(&came), "{came}");
    assert_eq!(dropped(&drops(&a.cvf), "over-rate"), 200 - came);
    let mut answers = 0;
    for number in 0..200 {
        b.send(&frame(1, 2, 60 + number));
        assert_eq!(
            eventually(|| (b.sent() == b.offered(1)).then_some(())),
            Some(())
        );
        while a.poll().is_some() {
            answers += 1;
        }
    }
    let most = 60 + began.elapsed().as_secs() + 1;
    assert!((60..=most).contains(&answers), "{answers}");
    let over = dropped(&a.cvf.stats().receive.drops, "over-rate");
    assert_eq!(over, 200 - answers);
    assert!(drops(&b.cvf).is_empty(), "the sender is not told");
}

#[test]
fn a_group_keeps_to_its_rate_and_leaves_everybody_their_share() {
    const RATE: u64 = 2000;
    let bits = |frames: u64| frames * 1000 * 8;
    let group = RateGroup::new("web", bits(RATE));
    let member = |share_bits| PortPolicy {
        group: Some(GroupRate {
            group: std::sync::Arc::clone(&group),
            share_bits,
        }),
        ..PortPolicy::default()
    };
    let pf = pf(8);
    let (a, b) = (
        compose(&pf, under(1, member(None))),
        compose(&pf, under(2, member(Some(bits(1000))))),
    );
    let refused = compose(&pf, spec(4)).set_policy(member(Some(bits(1001))));
    assert!(matches!(refused, Err(PolicyError::Group(_))), "{refused:?}");
    assert_eq!(group.census(), (bits(RATE), bits(1000), 2));
    let (mut a, mut b) = (Guest::new(&a), Guest::new(&b));
    let mut c = Guest::new(&compose(&pf, spec(3)));
    for guest in [&mut a, &mut b, &mut c] {
        guest.start(0);
    }
    let time = Duration::from_millis(300);
    let (came, sent, time) = flood(&mut a, &mut c, &frame(3, 1, 1000), time);
    // A group saves up what it does not use for 100 ms.
    let most = (time.as_secs_f64() + 0.1) * RATE as f64 + 1.0;
    assert!(came as f64 <= most, "{came} of {sent} in {time:?}");
    assert_eq!(came + dropped(&drops(&a.cvf), "over-rate"), sent);
    // Nothing is left of the group; its own share is, as much as the largest frame has.
    for _ in 0..40 {
        b.send(&frame(3, 2, 1000));
        assert!(c.receive().is_some());
    }
    assert!(drops(&b.cvf).is_empty());
    let gone = eventually(|| b.cvf.dismantle().try_finish().then_some(()));
    assert_eq!((gone, group.census().2), (Some(()), 1));
}

const LINK_LOCAL: [u8; 16] = [0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];

fn arp(to: u8, from: u8, named: u8, protocol: [u8; 4]) -> Vec<u8> {
    let mut bytes = vec![2, 0, 0, 0, 0, to, 2, 0, 0, 0, 0, from];
    bytes.extend([8, 6, 0, 1, 8, 0, 6, 4, 0, 2, 2, 0, 0, 0, 0, named]);
    bytes.extend(protocol);
    bytes.resize(60, 0);
    bytes
}

/// An IPv6 packet whose last header is `next`, and `body`.
fn v6(to: u8, from: u8, next: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![
        2, 0, 0, 0, 0, to, 2, 0, 0, 0, 0, from, 0x86, 0xdd, 0x60, 0, 0, 0,
    ];
    bytes.extend((body.len() as u16).to_be_bytes());
    bytes.extend([next, 255]);
    bytes.extend(LINK_LOCAL);
    bytes.extend(LINK_LOCAL);
    bytes.extend(body);
    bytes
}

fn advertisement(target: [u8; 16], named: u8) -> Vec<u8> {
    let mut body = vec![136, 0, 0, 0, 0x20, 0, 0, 0];
    body.extend(target);
    body.extend([2, 1, 2, 0, 0, 0, 0, named]);
    body
}

#[test]
fn what_a_guest_says_of_neighbours_is_looked_at_in_every_frame() {
    let pf = pf(8);
    let network = |address: &str, bits| Network {
        address: address.parse().unwrap(),
        bits,
    };
    let policy = PortPolicy {
        source_mac: SourceMac::Assigned,
        arp: NeighbourCheck::MacAndNetwork,
        nd: NeighbourCheck::MacAndNetwork,
        networks: vec![network("192.0.2.0", 24), network("2001:db8::", 32)],
        ..PortPolicy::default()
    };
    let (a, b) = (compose(&pf, under(1, policy)), compose(&pf, spec(2)));
    let (mut a, mut b) = (Guest::new(&a), Guest::new(&b));
    a.start(0);
    b.start(0);
    let own = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    let foreign = [0x20, 1, 0xd, 0xb9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    let udp = v6(2, 1, 17, &[0, 7, 0, 7, 0, 12, 0, 0, 1, 2, 3, 4]);
    let good = [
        arp(2, 1, 1, [192, 0, 2, 1]),
        arp(2, 1, 1, [0; 4]),
        v6(2, 1, 58, &advertisement(own, 1)),
        v6(2, 1, 58, &[128, 0, 0, 0, 0, 0, 0, 0]),
        udp.clone(),
    ];
    let hidden = [&[58, 0, 1, 4, 0, 0, 0, 0][..], &advertisement(own, 7)].concat();
    let bad = [
        arp(2, 1, 7, [192, 0, 2, 1]),
        arp(2, 1, 1, [192, 0, 3, 1]),
        arp(2, 1, 1, [192, 0, 2, 1])[..40].to_vec(),
        tagged(arp(2, 1, 7, [192, 0, 2, 1]), &[[0x81, 0, 0, 9]]),
        tagged(
            arp(2, 1, 7, [192, 0, 2, 1]),
            &[[0x81, 0, 0, 0], [0x88, 0xa8, 0, 9]],
        ),
        v6(2, 1, 58, &advertisement(own, 7)),
        v6(2, 1, 58, &advertisement(foreign, 1)),
        v6(2, 1, 60, &hidden),
        tagged(v6(2, 1, 58, &advertisement(own, 7)), &[[0x81, 0, 0, 9]]),
        v6(
            2,
            1,
            58,
            &[134, 0, 0, 0, 64, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        ),
    ];
    // Alone, then in bursts behind frames of a flow that is known.
    for _ in 0..2 {
        for frame in &good {
            only_the_last(&mut a, &mut b, &[], frame);
        }
        only_the_last(&mut a, &mut b, &bad, &udp);
    }
    let mut wanted = Vec::new();
    for (bad, good) in bad.iter().zip(good.iter().cycle()) {
        for frame in [good, bad, &udp] {
            a.place([0; 12], frame);
        }
        wanted.extend([good.clone(), udp.clone()]);
    }
    a.kick(1);
    for frame in wanted {
        assert_eq!(b.receive(), Some(frame));
    }
    assert_eq!(b.poll(), None);
    assert_eq!(drops(&a.cvf), [("spoofed", 30)]);
    // A neighbour may say what it likes, and off is off.
    b.send(&arp(1, 2, 7, [203, 0, 113, 1]));
    assert!(a.receive().is_some());
    a.cvf.set_policy(PortPolicy::default()).unwrap();
    for frame in &bad {
        only_the_last(&mut a, &mut b, &[], frame);
    }
}

/// A large-send frame is TCP or UDP, whatever else it contains.
#[test]
fn large_send_frames_are_no_neighbour_messages() {
    const LARGE: u64 = 3 | 1 << 8 | 1 << 12 | 1 << 15;
    let pf = pf(4);
    let policy = PortPolicy {
        arp: NeighbourCheck::Mac,
        nd: NeighbourCheck::Mac,
        ..PortPolicy::default()
    };
    let (a, b) = (compose(&pf, under(1, policy)), compose(&pf, spec(2)));
    let (mut a, mut b) = (Guest::new(&a), Guest::new(&b));
    a.start(LARGE);
    b.start(LARGE);
    let mut tcp = vec![
        0, 7, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 0x10, 0, 0, 0, 0, 0, 0,
    ];
    tcp.extend([0x5a; 1200]);
    // NEEDS_CSUM; TCPV6, headers of 74 bytes, segments of 500, checksum of the TCP header.
    let header = [1, 4, 74, 0, 244, 1, 54, 0, 16, 0, 0, 0];
    let sent = v6(2, 1, 6, &tcp);
    a.send_with(header, &sent);
    assert!(b.receive().is_some());
    assert!(drops(&a.cvf).is_empty());
    // One that says so and is not is dropped for that.
    a.send_with(header, &v6(2, 1, 58, &advertisement(LINK_LOCAL, 7)));
    let told = eventually(|| Some(drops(&a.cvf)).filter(|drops| !drops.is_empty()));
    assert_eq!(told, Some(vec![("bad-offload", 1)]));
    assert_eq!(b.poll(), None);
}
