//! Frames between devices, driven as a guest's driver does.

mod guest;

use std::sync::atomic::{AtomicBool, Ordering};

use guest::{Guest, compose, eventually, frame, pf, spec};
use libcvf::cvf::{CvfSpec, TagStyle};
use libcvf::pf::{PhysicalFunction, SoftPf, SoftPfConfig};
use libcvf::switch::PortId;

const MRG_RXBUF: u64 = 1 << 15;
const CTRL: u64 = 1 << 17 | 1 << 18 | 1 << 23;
const CSUM: u64 = 3;

#[test]
fn a_frame_goes_from_guest_to_guest_and_back() {
    let pf = pf(4);
    let (a, b) = (compose(&pf, spec(1)), compose(&pf, spec(2)));
    let (mut a, mut b) = (Guest::new(&a), Guest::new(&b));
    a.start(0);
    b.start(0);
    for len in [60, 64, 128, 129, 500, 1514] {
        let there = frame(2, 1, len);
        a.send(&there);
        assert_eq!(
            b.receive().as_deref(),
            Some(&there[..]),
            "{len} bytes there"
        );
        let back = frame(1, 2, len);
        b.send(&back);
        assert_eq!(a.receive().as_deref(), Some(&back[..]), "{len} bytes back");
    }
    assert_eq!(
        eventually(|| (a.sent() == 6).then_some(())),
        Some(()),
        "buffers come back"
    );
    let stats = a.cvf.stats();
    assert_eq!((stats.transmit.frames, stats.receive.frames), (6, 6));
    assert_eq!(stats.transmit.bytes, 60 + 64 + 128 + 129 + 500 + 1514);
    assert!(stats.transmit.drops.is_empty());
}

/// virtio 1.3 5.1.6.4.1: a driver without GUEST_CSUM is told nothing.
#[test]
fn only_who_takes_checksums_is_told_that_one_is_right() {
    let pf = pf(4);
    let (a, b) = (compose(&pf, spec(1)), compose(&pf, spec(2)));
    let (mut a, mut b) = (Guest::new(&a), Guest::new(&b));
    a.start(0);
    let mut said = [0; 12];
    // DATA_VALID.
    said[0] = 2;
    for (features, flags) in [(0, 0), (1 << 1, 2)] {
        b.start(features);
        a.send_with(said, &frame(2, 1, 100));
        let (header, _) = eventually(|| b.poll()).expect("a frame");
        assert_eq!(header[0], flags, "{features:#x}");
    }
}

#[test]
fn thousands_of_frames_keep_content_and_order() {
    let pf = pf(4);
    let (a, b) = (compose(&pf, spec(1)), compose(&pf, spec(2)));
    let (mut a, mut b) = (Guest::new(&a), Guest::new(&b));
    a.start(1 << 29);
    b.start(1 << 29);
    for number in 0..5000u32 {
        let mut one = frame(2, 1, 60 + number as usize % 1400);
        one[14..18].copy_from_slice(&number.to_le_bytes());
        a.send(&one);
        assert_eq!(b.receive(), Some(one), "frame {number}");
    }
}

#[test]
fn a_large_frame_is_spread_over_merged_buffers() {
    let pf = pf(4);
    let (a, b) = (compose(&pf, spec(1)), compose(&pf, spec(2)));
    let (mut a, mut b) = (Guest::new(&a), Guest::new(&b));
    a.start(MRG_RXBUF);
    b.start(MRG_RXBUF);
    // Four descriptors of 2,000 bytes: more than one receive buffer holds.
    let sent = frame(2, 1, 8000);
    use std::os::unix::fs::FileExt;
    let mut bytes = vec![0; 12];
    bytes.extend(&sent);
    for (slot, part) in bytes.chunks(2003).enumerate() {
        let slot = slot as u16;
        let at = Guest::buffer(1, slot);
        a.ram.write_all_at(part, at).unwrap();
        let more = if slot < 3 { 1 } else { 0 };
        a.descriptor(1, slot, at, part.len() as u32, more, slot + 1);
    }
    a.offer(1, 0);
    a.kick(1);
    assert_eq!(b.receive(), Some(sent));
}

#[test]
fn without_merged_buffers_a_frame_that_does_not_fit_is_counted() {
    let pf = pf(4);
    let (a, b) = (compose(&pf, spec(1)), compose(&pf, spec(2)));
    let (mut a, mut b) = (Guest::new(&a), Guest::new(&b));
    a.start(0);
    b.start(0);
    a.send(&frame(2, 1, 2036));
    assert!(b.receive().is_some(), "2,048 bytes with the header fit");
    a.send(&frame(2, 1, 2030));
    b.receive();
    use std::os::unix::fs::FileExt;
    let at = Guest::buffer(1, 10);
    a.ram.write_all_at(&[0; 12], at).unwrap();
    a.ram.write_all_at(&frame(2, 1, 4000), at + 12).unwrap();
    a.descriptor(1, 10, at, 4012, 0, 0);
    a.offer(1, 10);
    a.kick(1);
    let drops = eventually(|| Some(b.cvf.stats().receive.drops).filter(|d| !d.is_empty()));
    assert_eq!(drops, Some(vec![("buffer-too-small", 1)]));
}

/// virtio 1.3 5.1.4.1
#[test]
fn a_frame_above_the_agreed_mtu_is_not_passed_to_the_driver() {
    const MTU: u64 = 1 << 3;
    let pf = pf(4);
    let (a, b) = (compose(&pf, spec(1)), compose(&pf, spec(2)));
    let (mut a, mut b) = (Guest::new(&a), Guest::new(&b));
    a.start(MTU);
    b.start(MTU);
    // Known and alone, later ones go a way of their own.
    for len in [60, 60, 60] {
        a.send(&frame(2, 1, len));
        assert!(b.receive().is_some());
    }
    a.send(&frame(2, 1, 1515));
    a.send(&frame(2, 1, 1514));
    assert_eq!(
        b.receive().map(|f| f.len()),
        Some(1514),
        "1,500 bytes of payload are fine"
    );
    assert_eq!(b.cvf.stats().receive.drops, vec![("exceeds-mtu", 1)]);
    let mut tagged = frame(2, 1, 1518);
    tagged[12..16].copy_from_slice(&[0x81, 0, 0, 7]);
    a.send(&tagged);
    assert_eq!(b.receive(), Some(tagged), "a tag is no payload");
    b.start(0);
    a.send(&frame(2, 1, 1600));
    assert_eq!(
        b.receive().map(|f| f.len()),
        Some(1600),
        "a driver that agreed to none takes it"
    );
}

#[test]
fn a_jumbo_frame_of_exactly_the_mtu_passes() {
    use std::os::unix::fs::FileExt;
    const FEATURES: u64 = 1 << 3 | MRG_RXBUF;
    let pf = pf(4);
    let jumbo = |last| CvfSpec {
        mtu: 9000,
        ..spec(last)
    };
    let (a, b) = (compose(&pf, jumbo(1)), compose(&pf, jumbo(2)));
    let (mut a, mut b) = (Guest::new(&a), Guest::new(&b));
    a.start(FEATURES);
    b.start(FEATURES);
    for ethertype in [[0x88, 0xb5], [8, 0]] {
        let mut sent = frame(2, 1, 9014);
        sent[12..14].copy_from_slice(&ethertype);
        sent[14..34].copy_from_slice(&[
            0x45, 0, 0x23, 0x28, 0, 0, 0, 0, 64, 1, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2,
        ]);
        let at = Guest::buffer(2, 1);
        a.ram.write_all_at(&[0; 12], at).unwrap();
        a.ram.write_all_at(&sent, at + 12).unwrap();
        a.descriptor(1, 9, at, 9026, 0, 0);
        a.offer(1, 9);
        a.kick(1);
        let got = b.receive();
        assert_eq!(b.cvf.stats().receive.drops, vec![]);
        assert_eq!(a.cvf.stats().transmit.drops, vec![]);
        assert_eq!(got, Some(sent));
    }
}

#[test]
fn partial_checksums_pass_or_are_finished() {
    let pf = pf(4);
    let (a, b) = (compose(&pf, spec(1)), compose(&pf, spec(2)));
    let (mut a, mut b) = (Guest::new(&a), Guest::new(&b));
    a.start(CSUM);
    let mut header = [0; 12];
    header[0] = 1;
    header[6] = 34;
    header[8] = 6;
    // IPv4, UDP, three bytes of payload beyond a long copied head.
    let mut sent = frame(2, 1, 34);
    sent[12..14].copy_from_slice(&[8, 0]);
    sent[14..34].copy_from_slice(&[
        0x45, 0, 0, 228, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2,
    ]);
    sent.extend([0, 7, 0, 8, 0, 208, 0, 0]);
    sent.extend((0..200).map(|i| i as u8));
    // The pseudo header's sum stands in the field, as a driver puts it.
    let pseudo: u32 = 0x0a00 + 1 + 0x0a00 + 2 + 17 + 208;
    sent[40..42].copy_from_slice(&(pseudo as u16).to_be_bytes());
    b.start(CSUM);
    a.send_with(header, &sent);
    let (got, whole) = eventually(|| b.poll()).unwrap();
    assert_eq!(
        (got[0], got[6], got[8]),
        (1, 34, 6),
        "a receiver that takes it gets it as it is"
    );
    assert_eq!(whole, sent);
    b.start(0);
    a.send_with(header, &sent);
    let (got, finished) = eventually(|| b.poll()).unwrap();
    assert_eq!(got[0], 0);
    let words = finished[34..]
        .chunks(2)
        .map(|c| u32::from(u16::from_be_bytes([c[0], c[1]])));
    let mut sum: u32 = words.sum::<u32>() + pseudo;
    while sum >> 16 != 0 {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    assert_eq!(sum, 0xffff, "the checksum is right");
}

#[test]
fn vlans_keep_apart_and_access_ports_are_untagged() {
    let pf = pf(8);
    let vlan = |last, vlan| compose(&pf, CvfSpec { vlan, ..spec(last) });
    let devices = [
        vlan(1, Some(5)),
        vlan(2, Some(5)),
        vlan(3, Some(6)),
        vlan(4, None),
    ];
    let mut guests = devices.each_ref().map(Guest::new);
    for guest in &mut guests {
        guest.start(0);
    }
    let [a, b, c, trunk] = &mut guests;
    let mut broadcast = frame(2, 1, 60);
    broadcast[..6].fill(0xff);
    a.send(&broadcast);
    assert_eq!(
        b.receive().as_ref(),
        Some(&broadcast),
        "same VLAN, untagged"
    );
    let tagged = trunk.receive().expect("the trunk gets a copy");
    assert_eq!(tagged[12..16], [0x81, 0, 0, 5]);
    assert_eq!(tagged[16..], broadcast[12..]);
    assert!(c.poll().is_none(), "another VLAN hears nothing");
    // Known and alone, the later ones would not have to be looked at.
    for number in 0..4 {
        let one = frame(4, 1, 60 + number);
        a.send(&one);
        let tagged = trunk.receive().expect("a frame for the trunk");
        assert_eq!(tagged[12..16], [0x81, 0, 0, 5], "frame {number}");
        assert_eq!(tagged[16..], one[12..]);
    }
}

#[test]
fn an_access_vlan_has_the_tag_that_it_was_given() {
    let pf = pf(8);
    let style = |priority, service| TagStyle { priority, service };
    let vlan = |last, vlan, vlan_tag| {
        compose(
            &pf,
            CvfSpec {
                vlan,
                vlan_tag,
                ..spec(last)
            },
        )
    };
    let a = vlan(1, Some(5), style(Some(6), true));
    let trunk = compose(&pf, spec(2));
    let (mut a, mut trunk) = (Guest::new(&a), Guest::new(&trunk));
    a.start(0);
    trunk.start(0);
    let tagged = |frame: &[u8], tag: [u8; 4]| {
        let mut tagged = frame.to_vec();
        tagged.splice(12..12, tag);
        tagged
    };
    let (there, back) = (frame(2, 1, 60), frame(1, 2, 60));
    for _ in 0..3 {
        a.send(&there);
        let seen = tagged(&there, [0x88, 0xa8, 0xc0, 5]);
        assert_eq!(trunk.receive(), Some(seen));
        trunk.send(&tagged(&back, [0x88, 0xa8, 0x20, 5]));
        assert_eq!(a.receive().as_ref(), Some(&back), "without the tag");
    }
    // The guest's own priority counts for nothing beside the operator's.
    a.send(&tagged(&there, [0x81, 0, 0xe0, 0]));
    assert_eq!(trunk.receive(), Some(tagged(&there, [0x88, 0xa8, 0xc0, 5])));
    // A customer's VLAN of that number is another.
    trunk.send(&tagged(&back, [0x81, 0, 0, 5]));
    assert_eq!(
        eventually(|| Some(trunk.cvf.stats().transmit.drops).filter(|d| !d.is_empty())),
        Some(vec![("no-destination", 1)])
    );
    assert_eq!(a.poll(), None);
    // Live, from the next burst on.
    a.cvf.set_vlan(Some(5), style(Some(3), false)).unwrap();
    a.send(&there);
    assert_eq!(trunk.receive(), Some(tagged(&there, [0x81, 0, 0x60, 5])));
    trunk.send(&tagged(&back, [0x81, 0, 0, 5]));
    assert_eq!(a.receive(), Some(back));
    let refused = vlan_refusal(&pf);
    assert!(
        refused.contains("VLAN 5 has tags of 802.1Q here"),
        "{refused}"
    );
}

fn vlan_refusal(pf: &std::sync::Arc<libcvf::pf::SoftPf>) -> String {
    let spec = CvfSpec {
        vlan: Some(5),
        vlan_tag: TagStyle {
            priority: None,
            service: true,
        },
        ..spec(3)
    };
    let gate = std::sync::Arc::new(libcvf::control::Permit);
    let refused = libcvf::cvf::Cvf::compose(std::sync::Arc::clone(pf) as _, spec, gate);
    refused.err().expect("refused").to_string()
}

#[test]
fn control_commands_change_what_is_received() {
    let pf = pf(4);
    let (a, b) = (compose(&pf, spec(1)), compose(&pf, spec(2)));
    let (mut a, mut b) = (Guest::new(&a), Guest::new(&b));
    a.start(CTRL);
    b.start(CTRL);
    let to_nine = frame(9, 1, 60);
    a.send(&to_nine);
    let dropped = eventually(|| Some(a.cvf.stats().transmit.drops).filter(|d| !d.is_empty()));
    assert_eq!(dropped, Some(vec![("no-destination", 1)]));
    assert_eq!(
        b.command(2, &[1, 1, 2, 0, 0, 0, 0, 9]),
        0,
        "MAC address set"
    );
    a.send(&to_nine);
    assert_eq!(b.receive(), Some(to_nine));
    assert_eq!(b.command(2, &[0, 0, 1]), 0, "promiscuous on");
    a.send(&frame(77, 1, 60));
    assert_eq!(b.receive(), Some(frame(77, 1, 60)));
    assert_eq!(
        b.command(2, &[1, 1, 2, 0, 0, 0, 0, 1]),
        1,
        "another device's address is refused"
    );
    assert_eq!(b.command(2, &[200, 1]), 1, "an unknown class");
    assert_eq!(b.command(2, &[]), 1, "an empty command");
}

/// Queues keep the memory that they last worked with; that must not outlast its unmapping.
#[test]
fn memory_that_is_unmapped_is_let_go() {
    use std::os::unix::fs::MetadataExt;
    let pf = pf(4);
    let (a, b) = (compose(&pf, spec(1)), compose(&pf, spec(2)));
    let (mut a, mut b) = (Guest::new(&a), Guest::new(&b));
    a.start(0);
    b.start(0);
    a.send(&frame(2, 1, 60));
    assert_eq!(b.receive(), Some(frame(2, 1, 60)));
    for guest in [&a, &b] {
        let inode = guest.ram.metadata().unwrap().ino().to_string();
        let mapped = || {
            let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
            maps.lines()
                .any(|line| line.split_whitespace().nth(4) == Some(&inode))
        };
        assert!(mapped(), "{inode}");
        let mut gone = guest.cvf.unmap(0, 8 << 20).unwrap();
        assert!(gone.wait(std::time::Duration::from_secs(2)).is_ok());
        drop(gone);
        assert!(!mapped(), "{inode}");
    }
}

#[test]
fn a_reset_takes_the_rings_away_and_a_second_driver_starts_clean() {
    let pf = pf(4);
    let (a, b) = (compose(&pf, spec(1)), compose(&pf, spec(2)));
    let (mut a, mut b) = (Guest::new(&a), Guest::new(&b));
    for _ in 0..50 {
        a.start(0);
        b.start(0);
        a.send(&frame(2, 1, 100));
        assert_eq!(b.receive(), Some(frame(2, 1, 100)));
        b.set(20, &[0]);
        a.send(&frame(2, 1, 100));
        assert!(eventually(|| (a.sent() == 2).then_some(())).is_some());
        assert!(
            b.poll().is_none(),
            "virtio 1.3 2.1.2: a reset device touches no ring"
        );
    }
    let drops = b.cvf.stats().receive.drops;
    assert_eq!(drops, vec![("not-ready", 50)]);
}

#[test]
fn a_device_that_goes_gives_everything_back() {
    let pf = pf(1);
    for _ in 0..100 {
        let cvf = compose(&pf, spec(1));
        let mut guest = Guest::new(&cvf);
        guest.start(0);
        guest.send(&frame(2, 1, 60));
        assert!(
            cvf.dismantle()
                .wait(std::time::Duration::from_secs(2))
                .is_ok()
        );
        assert_eq!(cvf.health().maps, 0);
    }
}

/// Whoever serves a queue, its frames keep their order and none is lost or served twice.
#[test]
fn a_queue_goes_from_worker_to_worker_under_traffic() {
    let config = SoftPfConfig {
        queue_pairs: 4,
        workers: 3,
        ..SoftPfConfig::new("moved")
    };
    let pf = SoftPf::start(config).expect("a soft PF starts");
    let (a, b) = (compose(&pf, spec(1)), compose(&pf, spec(2)));
    let (mut a, mut b) = (Guest::new(&a), Guest::new(&b));
    a.start(1 << 29);
    b.start(0);
    let fabric = pf.fabric();
    assert!(
        !fabric.move_queue(PortId(0), 1, 0),
        "there is no such queue"
    );
    assert!(
        !fabric.move_queue(PortId(0), 0, 3),
        "there is no such worker"
    );
    assert!(
        !fabric.move_queue(PortId(99), 0, 0),
        "there is no such port"
    );
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for worker in (0..3).cycle() {
                assert!(fabric.move_queue(PortId(0), 0, worker));
                assert!(fabric.move_queue(PortId(1), 0, 2 - worker));
                if over.load(Ordering::Relaxed) {
                    break;
                }
                std::thread::yield_now();
            }
        });
        for round in 0..2000u32 {
            // Several under way, so that a queue has work while it moves.
            for number in 0..8 {
                let mut one = frame(2, 1, 60 + (round as usize * 8 + number as usize) % 1400);
                one[14..18].copy_from_slice(&(round * 8 + number).to_le_bytes());
                a.send(&one);
            }
            for number in 0..8 {
                let got = b.receive().expect("a frame");
                assert_eq!(got[14..18], (round * 8 + number).to_le_bytes());
            }
        }
        over.store(true, Ordering::Relaxed);
    });
    assert_eq!(eventually(|| (a.sent() == 16_000).then_some(())), Some(()));
    assert_eq!(a.cvf.stats().transmit.frames, 16_000);
    assert_eq!(fabric.loads().len(), 3);
}
