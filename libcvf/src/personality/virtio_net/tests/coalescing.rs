//! Notifications coalescing (virtio 1.3 5.1.6.5.9).

use super::super::{CONTROL_ERR, CONTROL_OK, bits};
use super::driver::{Driver, reg};
use super::host::Call;
use crate::control::{Coalescing, CoalescingScope, ControlRequest};
use crate::limits::MAX_COALESCE_USECS;

fn coal(packets: u32, usecs: u32) -> Vec<u8> {
    [packets.to_le_bytes(), usecs.to_le_bytes()].concat()
}

fn all(command: u8, packets: u32, usecs: u32) -> Vec<u8> {
    [&[6, command], &coal(packets, usecs)[..]].concat()
}

fn one(queue: u16, packets: u32, usecs: u32) -> Vec<u8> {
    // The reserved word is ignored.
    let [low, high] = queue.to_le_bytes();
    [&[6, 2, low, high, 0xaa, 0x55], &coal(packets, usecs)[..]].concat()
}

fn asked(d: &mut Driver, bytes: &[u8]) -> (CoalescingScope, Coalescing) {
    assert_eq!(d.command(bytes), CONTROL_OK, "{bytes:x?}");
    match d.host.take().as_slice() {
        [Call::Control(ControlRequest::SetCoalescing(scope, to))] => (*scope, *to),
        other => panic!("{bytes:x?} led to {other:?}"),
    }
}

fn refused(d: &mut Driver, bytes: &[u8]) {
    assert_eq!(d.command(bytes), CONTROL_ERR, "{bytes:x?}");
    assert_eq!(d.host.take(), [], "{bytes:x?} reached the host");
}

#[test]
fn virtio_5_1_6_5_9_limits_reach_the_host() {
    use CoalescingScope::*;
    let mut d = Driver::running(4);
    let to = Coalescing {
        max_packets: 15,
        max_usecs: 10,
    };
    assert_eq!(asked(&mut d, &all(0, 15, 10)), (Transmit, to));
    assert_eq!(asked(&mut d, &all(1, 15, 10)), (Receive, to));
    for pair in 0..4 {
        assert_eq!(
            asked(&mut d, &one(2 * pair, 15, 10)),
            (ReceiveQueue(pair), to)
        );
        let queue = 2 * pair + 1;
        assert_eq!(
            asked(&mut d, &one(queue, 15, 10)),
            (TransmitQueue(pair), to)
        );
    }
    let most = all(1, u32::MAX, MAX_COALESCE_USECS);
    assert_eq!(asked(&mut d, &most).1.max_packets, u32::MAX);
}

#[test]
fn virtio_5_1_6_5_9_what_is_wrong_is_refused() {
    let mut d = Driver::running(2);
    for bad in [
        all(1, 1, MAX_COALESCE_USECS + 1),
        all(0, 1, u32::MAX),
        one(0, 1, MAX_COALESCE_USECS + 1),
        one(4, 1, 1),
        one(5, 1, 1),
        one(0xffff, 1, 1),
        all(4, 1, 1),
        vec![6],
    ] {
        refused(&mut d, &bad);
    }
    for good in [all(0, 1, 1), all(1, 1, 1), one(0, 1, 1)] {
        for len in 2..good.len() {
            refused(&mut d, &good[..len]);
        }
        refused(&mut d, &[&good[..], &[0]].concat());
    }
}

#[test]
fn virtio_5_1_6_5_9_only_enabled_data_queues_have_limits() {
    let mut d = Driver::running(2);
    d.select(2);
    d.write16(reg::QUEUE_RESET, 1);
    d.host.take();
    refused(&mut d, &one(2, 1, 1));
    assert_eq!(d.ask(&[6, 3, 2, 0, 0, 0], 9), [0, 0, 0, 0, 0, 0, 0, 0, 1]);
    d.set_up(2, 64, 3);
    d.host.take();
    asked(&mut d, &one(2, 1, 1));
}

/// The structure is the end of the command's own data, so `ack` follows it.
#[test]
fn virtio_5_1_6_5_9_limits_are_read_back() {
    let mut d = Driver::running(2);
    let read = |queue: u8| [6, 3, queue, 0, 0xff, 0xff];
    assert_eq!(d.ask(&read(2), 9), [10, 0, 0, 0, 101, 0, 0, 0, CONTROL_OK]);
    assert_eq!(d.ask(&read(1), 64), [20, 0, 0, 0, 200, 0, 0, 0, CONTROL_OK]);
    for queue in [4, 5, 255] {
        assert_eq!(d.ask(&read(queue), 9).last(), Some(&CONTROL_ERR));
    }
    // Without room for the structure the last byte says so.
    assert_eq!(d.ask(&read(2), 8), [0, 0, 0, 0, 0, 0, 0, CONTROL_ERR]);
    assert_eq!(d.ask(&read(2), 1), [CONTROL_ERR]);
    assert_eq!(d.ask(&read(2), 0), [CONTROL_ERR]);
    assert_eq!(d.ask(&[6, 3, 2, 0], 9).last(), Some(&CONTROL_ERR));
    assert_eq!(d.host.take(), []);
}

#[test]
fn virtio_5_1_6_5_9_each_command_needs_its_feature() {
    let mut d = Driver::running_with(1, bits::CTRL_VQ | bits::NOTF_COAL);
    asked(&mut d, &all(0, 1, 1));
    refused(&mut d, &one(0, 1, 1));
    let mut d = Driver::running_with(1, bits::CTRL_VQ | bits::VQ_NOTF_COAL);
    refused(&mut d, &all(0, 1, 1));
    asked(&mut d, &one(0, 1, 1));
    let mut d = Driver::running_with(1, bits::CTRL_VQ);
    refused(&mut d, &one(0, 1, 1));
    assert_eq!(d.ask(&[6, 3, 0, 0, 0, 0], 9)[0], CONTROL_ERR);
}
