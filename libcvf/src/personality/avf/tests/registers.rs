//! Accesses of any width, and the mailbox's registers.

use super::driver::*;
use super::host::Call;
use crate::personality::Personality;
use crate::ring::{MailboxPlace, MailboxSide};

#[test]
fn parts_of_registers_are_read_and_written() {
    let mut d = Driver::new(settings(1));
    d.write(reg::ATQ.bal, 0x1122_3344);
    let read = |d: &mut Driver, offset, len| {
        let mut data = vec![0xee; len];
        d.device.read(&mut d.host, 0, offset, &mut data).unwrap();
        data
    };
    assert_eq!(read(&mut d, reg::ATQ.bal + 1, 2), [0x33, 0x22]);
    assert_eq!(read(&mut d, reg::ATQ.bal - 2, 4), [0, 0, 0x44, 0x33]);
    assert_eq!(read(&mut d, reg::ATQ.bal + 3, 5), [0x11, 0, 0, 0, 0]);
    assert_eq!(read(&mut d, reg::ATQ.bal, 0), [0; 0]);
    let at = reg::ATQ.bal + 1;
    d.device.write(&mut d.host, 0, at, &[0xaa, 0xbb]).unwrap();
    assert_eq!(d.read(reg::ATQ.bal), 0x11bb_aa44);
    assert_eq!(d.host.take(), [], "the queue is not enabled");
}

#[test]
fn one_write_may_move_several_tails() {
    let mut d = Driver::running(2);
    let data: Vec<u8> = [5u32, 6].iter().flat_map(|v| v.to_le_bytes()).collect();
    d.device.write(&mut d.host, 0, 0x2000, &data).unwrap();
    assert_eq!(d.host.take(), [Call::Tail(0, 5), Call::Tail(2, 6)]);
    d.device.write(&mut d.host, 0, 0x2001, &[1]).unwrap();
    assert_eq!(d.host.take(), [Call::Tail(0, 0x105)]);
    d.write(0x2000, u32::MAX);
    assert_eq!(d.host.take(), [Call::Tail(0, u32::MAX)], "the ring judges");
    assert_eq!(d.read(0x2000), u32::MAX);
}

#[test]
fn all_of_the_bar_reads_and_takes_writes() {
    let mut d = Driver::running(2);
    let mut all = vec![0; 128 << 10];
    d.device.read(&mut d.host, 0, 0, &mut all).unwrap();
    d.device.write(&mut d.host, 0, 0, &all).unwrap();
    d.device
        .write(&mut d.host, 0, 0, &vec![0xff; 128 << 10])
        .unwrap();
    for unused in [
        0x0040, 0x2040, 0x28c0, 0x3840, 0x8804, 0xc400, 0xcc00, 0xd000,
    ] {
        assert_eq!(d.read(unused), 0, "{unused:#x}");
    }
    assert_eq!(d.read(reg::RSTAT), 2, "not the driver's to write");
}

#[test]
fn a_queue_is_placed_anew_whenever_its_place_changes() {
    let mut d = Driver::new(settings(1));
    let place = |size, base| Call::Mailbox(MailboxSide::Send, Some(MailboxPlace { size, base }));
    let q = reg::ATQ;
    d.write(q.head, 0);
    d.write(q.tail, 0);
    assert_eq!(d.host.take(), []);
    d.write(q.len, 1 << 31);
    assert_eq!(d.host.take(), [], "of no length");
    d.write(q.len, 0x7000_0000 | 1 << 31 | 32);
    assert_eq!(d.host.take(), [place(32, 0)]);
    assert_eq!(d.read(q.len), 1 << 31 | 32, "there is no error");
    d.write(q.bal, 0x1000);
    d.write(q.bah, 2);
    assert_eq!(d.host.take(), [place(32, 0x1000), place(32, 0x2_0000_1000)]);
    d.write(q.bah, 2);
    d.write(q.len, 1 << 31 | 32);
    assert_eq!(d.host.take(), [], "it is there");
    d.write(q.tail, 0xffff_fc05);
    assert_eq!(d.host.take(), [Call::MailboxTail(MailboxSide::Send, 5)]);
    assert_eq!(d.read(q.tail), 5);
    d.host.heads[0] = 5;
    assert_eq!(d.read(q.head), 5);
    // Another length, and off and on again: it goes on where it was.
    d.write(q.len, 1 << 31 | 16);
    d.write(q.len, 0);
    d.write(q.len, 1 << 31 | 32);
    assert_eq!((d.read(q.head), d.read(q.tail)), (5, 5));
    d.host.take();
    // As it is shut down: nothing is taken twice.
    d.write(q.head, 0);
    assert_eq!(d.read(q.head), 0);
    d.write(q.tail, 0);
    d.write(q.len, 0);
    assert_eq!(
        d.host.take(),
        [
            Call::MailboxTail(MailboxSide::Send, 0),
            Call::Mailbox(MailboxSide::Send, None)
        ]
    );
    d.write(q.tail, 7);
    d.write(q.head, 0xffff_fc03);
    assert_eq!(d.host.take(), [], "nothing is there");
    assert_eq!(d.read(q.head), 3);
    d.write(q.len, 1 << 31 | 8);
    assert_eq!(
        d.host.take(),
        [
            place(8, 0x2_0000_1000),
            Call::MailboxTail(MailboxSide::Send, 7)
        ],
        "a tail that was written before counts"
    );
}
