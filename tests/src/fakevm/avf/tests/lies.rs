//! Devices that break the rules, and what a test can do to a device with the driver's hooks.

use std::time::Duration;

use super::*;
use crate::fakevm::avf::mailbox::Descriptor;
use crate::fakevm::avf::model::{Memory, RxModel, Say};
use crate::fakevm::avf::virtchnl::op;
use crate::fakevm::net::{rx_queue, tx_queue};

fn is_device<T: std::fmt::Debug>(outcome: &Result<T>) {
    assert!(matches!(outcome, Err(Error::Device(_))), "{outcome:?}");
}

#[test]
fn a_mailbox_that_lies_is_noticed() {
    let mut vm = started(config(InterruptMode::Polling));
    vm.client.behaviour.confuses = Some((op::GET_STATS, op::VERSION));
    is_device(&vm.statistics());
    let mut vm = started(config(InterruptMode::Polling));
    vm.client.set(0x6400, 32);
    is_device(&vm.set_promiscuous(true, true));
    let mut vm = started(config(InterruptMode::Polling));
    vm.client.set(0x7400, 0x3ff);
    is_device(&vm.take_events());
    let mut vm = started(config(InterruptMode::Polling));
    vm.client.say(op::VERSION, 0, &[]);
    is_device(&vm.take_events());
    let mut vm = started(config(InterruptMode::Polling));
    vm.client.say(op::EVENT, 0, &[0; 8]);
    is_device(&vm.take_events());
    // A head that runs ahead, into buffers that hold nothing.
    let mut vm = started(config(InterruptMode::Polling));
    vm.take_events().unwrap();
    let head = vm.read_register(0x7400).unwrap();
    vm.client.set(0x7400, (head + 1) % 32);
    is_device(&vm.take_events());
    // A base that does not read back.
    for at in [0x6c00, 0x7c00] {
        let behaviour = Behaviour {
            deaf: Some(at),
            ..Behaviour::default()
        };
        let mut vm = over(behaviour, config(InterruptMode::Polling));
        is_device(&vm.start());
    }
    // A capability that nobody has asked for.
    let behaviour = Behaviour {
        forces: 1 << 31,
        ..Behaviour::default()
    };
    let mut vm = over(behaviour, config(InterruptMode::Polling));
    is_device(&vm.start());
}

#[test]
fn a_transmit_ring_that_lies_is_noticed() {
    let mut vm = started(config(InterruptMode::Polling));
    vm.send(&[1; 60]).unwrap();
    let tx = &mut vm.pair(0).tx;
    tx.ring().store64(8, 0x5);
    is_device(&tx.reap());
}

#[test]
fn a_receive_ring_that_lies_is_noticed() {
    let done = |len: u64, more: u64| 1 | more | len << 38;
    for (word, chained) in [
        (done(0, 2), false),
        (done(2049, 2), false),
        (done(60, 2 | 1 << 19), false),
        (done(60, 0), true),
    ] {
        let mut vm = started(config(InterruptMode::Polling));
        let rx = &mut vm.pair(0).rx;
        rx.ring().store64(8, word);
        if chained {
            // A short piece amidst a frame.
            assert!(rx.poll(&mut Vec::new()).unwrap().is_none(), "not all of it");
            rx.ring().store64(32 + 8, done(60, 2));
        }
        is_device(&rx.poll(&mut Vec::new()));
    }
    let mut vm = started(config(InterruptMode::Polling));
    let rx = &mut vm.pair(0).rx;
    for at in 0..4 {
        rx.ring().store64(at * 32 + 8, done(2048, 0));
        assert!(rx.poll(&mut Vec::new()).unwrap().is_none());
    }
    rx.ring().store64(4 * 32 + 8, done(2048, 0));
    is_device(&rx.poll(&mut Vec::new()));
    let mut vm = started(config(InterruptMode::Polling));
    let rx = &mut vm.pair(0).rx;
    rx.ring().store64(8, done(2048, 0));
    is_device(&rx.poll_burst(32, |_| {}));
}

#[test]
fn a_descriptor_of_another_format_is_noticed() {
    let flexible = AvfVmConfig {
        flex: true,
        ..config(InterruptMode::Polling)
    };
    for (first, third) in [
        (1 | 60 << 32, 0),
        (2 | 256 << 16 | 60 << 32, 0),
        (2 | 60 << 32, 7),
        (2, 0),
    ] {
        let mut vm = started(flexible.clone());
        let rx = &mut vm.pair(0).rx;
        rx.ring().store64(0, first);
        rx.ring().store64(16, third);
        rx.ring().store64(8, 3);
        is_device(&rx.poll(&mut Vec::new()));
    }
}

#[test]
fn no_descriptor_is_looked_at_that_was_not_posted() {
    let mut vm = started(config(InterruptMode::Polling));
    let rx = &mut vm.pair(0).rx;
    for at in 0..64 {
        rx.ring().store64(at * 32 + 8, 3 | 60 << 38);
    }
    let mut frame = Vec::new();
    let mut count = 0;
    while rx.poll(&mut frame).unwrap().is_some() {
        count += 1;
    }
    // All but the one that was the driver's, which is as new now like the others.
    assert_eq!((count, rx.head()), (63, 63));
}

#[test]
fn a_test_says_what_no_driver_says() {
    let mut vm = started(config(InterruptMode::Polling));
    // A tail beyond the ring.
    vm.write_tail(rx_queue(0), 0xffff_ffff).unwrap();
    assert_eq!(vm.read_register(0x2000).unwrap(), 0xffff_ffff);
    assert!(vm.write_tail(rx_queue(1), 0).is_err(), "no such queue");
    vm.kick(rx_queue(0)).unwrap();
    // A descriptor as it is.
    let gpa = vm.pair(0).tx.buffer_gpa(0);
    vm.pair(0).tx.write_buffer(0, &[9; 64]);
    let word = 3 << 4 | 64 << 34;
    vm.pair(0).tx.push_raw([gpa, word]);
    vm.kick(tx_queue(0)).unwrap();
    assert_eq!(vm.client.sent, [vec![9; 64]]);
    vm.pair(0).rx.write_raw(5, [1, 2]);
    assert_eq!(vm.pair(0).rx.ring().load64(5 * 32 + 8), 2);
    // A message as it is.
    vm.take_events().unwrap();
    let (mailbox, client) = vm.mailbox().unwrap();
    let what = Descriptor::message(op::CONFIG_PROMISCUOUS_MODE, 4);
    mailbox.put(what, &[11, 0, 3, 0]).unwrap();
    mailbox.put_raw(&Descriptor::message(12_345, 0));
    mailbox.ring(client).unwrap();
    assert!(mailbox.is_done(client).unwrap());
    let deadline = Instant::now() + Duration::from_secs(5);
    let first = vm.next_answer(deadline).unwrap().unwrap();
    assert_eq!((first.op, first.status), (op::CONFIG_PROMISCUOUS_MODE, 0));
    let second = vm.next_answer(deadline).unwrap().unwrap();
    assert_eq!((second.op, second.status), (12_345, -64));
    let [(ring, gpa), _] = vm.mailbox().unwrap().0.rings();
    assert_eq!((ring.len(), gpa % 4096), (1024, 0));
}

#[test]
fn a_frame_that_is_still_written_is_not_taken() {
    let mut vm = started(config(InterruptMode::Polling));
    let memory = Memory::of(&vm.memory);
    let rx = &mut vm.pair(0).rx;
    let mut device = RxModel::new(rx.base(), rx.size(), rx.buffer_len());
    assert_eq!(device.posted(rx.tail()), 63);
    let mut frame = vec![1];
    device.put_piece(&memory, &[7; 2048], false, Say::default());
    assert_eq!(rx.poll(&mut frame).unwrap(), None);
    assert!(frame.is_empty());
    device.put_piece(&memory, &[8; 10], true, Say::default());
    let received = rx.poll(&mut frame).unwrap().unwrap();
    assert_eq!((received.buffers, frame.len()), (2, 2058));
    assert_eq!(frame[2040..], [[7; 8].as_slice(), &[8; 10]].concat());
}
