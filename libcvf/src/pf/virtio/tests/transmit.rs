use super::*;
use crate::offload::{Csum, Gso};

#[test]
fn frames_leave_as_they_were_and_slots_come_back() {
    let bench = Bench::new(Manners::default());
    let (mut lane, _fill) = bench.lanes();
    let mut expected = Vec::new();
    // Several times around ring and slots, in frames of all sizes.
    for round in 0..300usize {
        let bytes = frame(60 + round * 37 % 4000, round as u8);
        assert_eq!(push(&mut lane, &bytes), Pushed::Done, "round {round}");
        expected.push(bytes);
        if round % 7 == 6 {
            // Done in whatever order.
            bench
                .model
                .behave(|manners| manners.backwards = round % 2 == 0);
            lane.kick();
            assert_eq!((lane.reap(), lane.under_way()), (7, 0));
            let sent = bench.model.sent();
            assert!(
                sent.iter()
                    .all(|sent| sent.queue == 1 && sent.header == [0; 12])
            );
            let sent: Vec<_> = sent.into_iter().map(|sent| sent.bytes).collect();
            assert_eq!(sent, expected);
            expected.clear();
        }
    }
    bench.is_content();
}

#[test]
fn a_full_queue_takes_no_more_until_the_device_has_sent() {
    let bench = Bench::new(Manners::default());
    let (mut lane, _fill) = bench.lanes();
    bench.model.pause(true);
    let bytes = frame(60, 0);
    let mut queued = 0;
    while push(&mut lane, &bytes) == Pushed::Done {
        queued += 1;
        assert!(queued <= SIZE, "a ring is finite");
    }
    assert_eq!(queued, SIZE / 2, "a header and a piece");
    lane.kick();
    assert_eq!(lane.reap(), 0);
    bench.model.pause(false);
    assert_eq!(lane.reap(), usize::from(queued));
    assert_eq!(bench.model.sent().len(), usize::from(queued));
    assert_eq!(push(&mut lane, &bytes), Pushed::Done);
}

#[test]
fn what_is_asked_stands_in_the_header() {
    // virtio 1.3 5.1.6.2
    let bench = Bench::new(Manners::default());
    let (mut lane, _fill) = bench.lanes();
    let accepts = Accepts::CSUM.with(Accepts::TSO4).with(Accepts::TSO6);
    assert!(lane.accepts().contains(accepts));
    assert!(!lane.accepts().contains(Accepts::ECN) && !lane.accepts().contains(Accepts::UFO));
    let mut bytes = vec![0u8; 14 + 20 + 20 + 4000];
    bytes[12..14].copy_from_slice(&[0x08, 0x00]);
    bytes[14] = 0x45;
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
    let small = FrameMeta {
        csum,
        ..FrameMeta::default()
    };
    for (meta, len) in [(&large, bytes.len()), (&small, 200)] {
        let tail = Payload::from(&bytes[128..len]);
        assert_eq!(lane.push_copied(meta, &bytes[..128], tail), Pushed::Done);
    }
    lane.kick();
    let sent = bench.model.sent();
    assert_eq!(sent.len(), 2);
    assert_eq!(sent[0].bytes, bytes);
    let segment = 1448u16.to_le_bytes();
    let expected = [1, 1, 54, 0, segment[0], segment[1], 34, 0, 16, 0, 0, 0];
    assert_eq!(sent[0].header, expected);
    assert_eq!(sent[1].bytes, &bytes[..200]);
    assert_eq!(sent[1].header, [1, 0, 0, 0, 0, 0, 34, 0, 16, 0, 0, 0]);
}

#[test]
fn the_device_is_told_only_when_it_wants_to_be() {
    // virtio 1.3 2.7.10
    let bench = Bench::new(Manners::default());
    let (mut lane, _fill) = bench.lanes();
    let before = bench.model.notified();
    bench.model.wants_doorbells(1, false);
    assert_eq!(push(&mut lane, &frame(60, 1)), Pushed::Done);
    lane.kick();
    lane.kick();
    assert_eq!(bench.model.notified(), before);
    bench.model.wants_doorbells(1, true);
    assert_eq!(push(&mut lane, &frame(60, 2)), Pushed::Done);
    lane.kick();
    assert_eq!(bench.model.notified(), before + 1);
    assert_eq!(bench.model.sent().len(), 2);
    assert!(
        bench.model.interrupts().is_empty(),
        "nobody waits for what is sent"
    );
}

#[test]
fn after_a_stop_nothing_moves_and_a_start_begins_anew() {
    let bench = Bench::new(Manners::default());
    let (mut lane, _fill) = bench.lanes();
    bench.model.pause(true);
    let bytes = frame(100, 1);
    assert_eq!(push(&mut lane, &bytes), Pushed::Done);
    lane.kick();
    lane.stop();
    // virtio 1.3 2.6.1
    assert!(!bench.model.queue(1).0);
    assert!(bench.model.queue(0).0, "the other goes on");
    assert_eq!(push(&mut lane, &bytes), Pushed::NoBuffer);
    bench.model.pause(false);
    assert!(
        bench.model.sent().is_empty(),
        "what was queued is forgotten"
    );
    lane.start();
    assert_eq!(bench.model.queue(1), (true, SIZE, 1));
    let other = frame(80, 2);
    assert_eq!(push(&mut lane, &other), Pushed::Done);
    lane.kick();
    assert_eq!(lane.reap(), 1);
    assert_eq!(bench.model.sent()[0].bytes, other);
    bench.is_content();
}

#[test]
fn a_queue_that_does_not_end_takes_the_device_with_it() {
    let bench = Bench::new(Manners::default());
    let (mut lane, _fill) = bench.lanes();
    bench.model.behave(|manners| manners.ends_queues = false);
    lane.stop();
    assert_eq!(bench.model.status(), 0);
    assert!(!bench.model.queue(0).0 && !bench.model.queue(1).0);
}

#[test]
fn a_device_that_lies_about_what_it_sent_loses_its_queue() {
    let lies: [fn(&Model); 4] = [
        |model| model.jump(1, 2),
        |model| model.jump(1, u16::MAX),
        |model| model.lie(1, u32::MAX, 0),
        // A piece, not a head.
        |model| model.lie(1, 1, 0),
    ];
    for lie in lies {
        let bench = Bench::new(Manners::default());
        let (mut lane, _fill) = bench.lanes();
        bench.model.pause(true);
        assert_eq!(push(&mut lane, &frame(60, 0)), Pushed::Done);
        lane.kick();
        lie(&bench.model);
        assert_eq!(lane.reap(), 0);
        assert_eq!(push(&mut lane, &frame(60, 0)), Pushed::NoBuffer);
        lane.stop();
        bench.model.pause(false);
        lane.start();
        assert_eq!(
            push(&mut lane, &frame(60, 3)),
            Pushed::Done,
            "it begins anew"
        );
        lane.kick();
        assert_eq!(lane.reap(), 1);
    }
}
