//! Device statistics (virtio 1.3 5.1.6.5.10).

use super::super::{CONTROL_ERR, CONTROL_OK, bits};
use super::driver::Driver;

const QUERY: [u8; 2] = [8, 0];
const ROOM: usize = 64 << 10;

fn get(entries: &[(u16, u64)]) -> Vec<u8> {
    let mut bytes = vec![8, 1];
    for (queue, types) in entries {
        bytes.extend_from_slice(&queue.to_le_bytes());
        // Reserved words are not looked at.
        bytes.extend_from_slice(&[7; 6]);
        bytes.extend_from_slice(&types.to_le_bytes());
    }
    bytes
}

/// A reply: type, queue, numbers.
fn replies(answer: &[u8]) -> Vec<(u8, u16, Vec<u64>)> {
    assert_eq!(answer[0], CONTROL_OK);
    let mut rest = &answer[1..];
    let mut found = Vec::new();
    while let Some((header, _)) = rest.split_first_chunk::<8>() {
        let size = usize::from(u16::from_le_bytes([header[6], header[7]]));
        let numbers = rest[8..size].chunks_exact(8);
        let numbers = numbers.map(|n| u64::from_le_bytes(n.try_into().unwrap()));
        let queue = u16::from_le_bytes([header[2], header[3]]);
        found.push((header[0], queue, numbers.collect()));
        rest = &rest[size..];
    }
    assert!(rest.is_empty());
    found
}

#[test]
fn virtio_5_1_6_5_10_1_types_follow_what_was_agreed() {
    let mut d = Driver::running(2);
    let answer = d.ask(&QUERY, 9);
    assert_eq!(answer[0], CONTROL_OK);
    assert_eq!(answer[1..], (1u64 << 32 | 0x0007_0007).to_le_bytes());
    let mut d = Driver::running_with(1, bits::CTRL_VQ | bits::DEVICE_STATS);
    assert_eq!(
        d.ask(&QUERY, 9)[1..],
        (1u64 << 32 | 0x0001_0001).to_le_bytes()
    );
    assert_eq!(d.ask(&get(&[(0, 2)]), ROOM), [CONTROL_ERR], "no GUEST_CSUM");
    let mut d = Driver::running_with(1, bits::CTRL_VQ);
    assert_eq!(d.ask(&QUERY, 9), [CONTROL_ERR]);
    assert_eq!(d.ask(&get(&[(0, 1)]), ROOM), [CONTROL_ERR]);
}

#[test]
fn virtio_5_1_6_5_10_2_several_queues_and_types_in_one_command() {
    let mut d = Driver::running(2);
    let command = get(&[(2, 7), (1, 7 << 16), (4, 1 << 32), (0, 0)]);
    let answer = d.ask(&command, ROOM);
    assert_eq!(
        replies(&answer),
        [
            (0, 2, vec![2001, 2002, 2003, 2004, 2005, 2006]),
            (1, 2, vec![8, 9, 2002 - 17, 0]),
            (2, 2, vec![2010, 2011, 0, 0]),
            (
                16,
                1,
                vec![100_001, 100_002, 100_003, 100_004, 100_005, 100_007]
            ),
            (17, 1, vec![100_002 - 9, 9]),
            (18, 1, vec![100_010, 100_011, 14, 15, 99_998, 99_998]),
            (32, 4, vec![1, 1]),
        ]
    );
}

#[test]
fn virtio_5_1_6_5_10_3_commands_are_counted() {
    let mut d = Driver::running(1);
    assert_eq!(d.command(&[99, 0]), CONTROL_ERR);
    assert_eq!(d.command(&[0, 0, 1]), CONTROL_OK);
    assert_eq!(d.ask(&[6, 3, 0, 0, 0, 0], 9)[8], CONTROL_OK);
    let answer = d.ask(&get(&[(2, 1 << 32)]), ROOM);
    assert_eq!(replies(&answer), [(32, 2, vec![4, 3])]);
}

#[test]
fn virtio_5_1_6_5_10_4_one_error_fails_the_command() {
    let mut d = Driver::running(2);
    for bad in [
        get(&[(0, 1), (5, 1)]),
        get(&[(0, 1), (0xffff, 0)]),
        get(&[(0, 1 << 3)]),
        get(&[(0, 1 << 63)]),
        get(&[(0, 1 << 16)]),
        get(&[(1, 1)]),
        get(&[(4, 1)]),
        get(&[(0, 1 << 32)]),
        get(&[(0, u64::MAX)]),
    ] {
        assert_eq!(d.ask(&bad, ROOM), [CONTROL_ERR], "{bad:x?}");
    }
    let good = get(&[(0, 1)]);
    for len in 3..good.len() {
        assert_eq!(d.ask(&good[..len], ROOM), [CONTROL_ERR]);
    }
    assert_eq!(d.ask(&[8, 0, 0], ROOM), [CONTROL_ERR]);
    assert_eq!(d.ask(&[8, 2], ROOM), [CONTROL_ERR]);
}

/// The longest command there is asks for less than the longest answer holds.
#[test]
fn virtio_5_1_6_5_10_4_answers_fill_only_the_room_there_is() {
    use crate::limits::{MAX_CONTROL_COMMAND, MAX_CONTROL_RESULT};
    let mut d = Driver::running(1);
    let most = get(&vec![(0, 7); (MAX_CONTROL_COMMAND - 2) / 16]);
    let answer = d.ask(&most, MAX_CONTROL_RESULT);
    assert_eq!(replies(&answer).len(), 3 * ((MAX_CONTROL_COMMAND - 2) / 16));
    assert!(answer.len() < MAX_CONTROL_RESULT);
    assert_eq!(d.ask(&most, 100), answer[..100]);
    assert_eq!(d.ask(&most, 0), [CONTROL_OK]);
    let more = get(&vec![(0, 7); MAX_CONTROL_COMMAND / 16]);
    assert_eq!(d.ask(&more, MAX_CONTROL_RESULT), [CONTROL_ERR]);
}
