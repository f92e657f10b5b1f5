use std::fs::File;
use std::os::unix::fs::FileExt;

use proptest::prelude::*;

use super::*;
use crate::mem::GuestMemory;
use crate::mem::testutil::guest;

const RAM: u64 = 1 << 20;
const SEND: u64 = 0x1000;
const RECEIVE: u64 = 0x2000;
const BUFFERS: u64 = 0x1_0000;
const ENTRIES: u16 = 32;

/// The driver's side of a mailbox.
struct Driver {
    memory: GuestMemory,
    file: File,
    mailbox: Mailbox,
}

impl Driver {
    fn new() -> Self {
        // Both rings and some buffers lie across the seam of two maps.
        let (memory, file) = guest(RAM, SEND + 32 * 3 + 16);
        let mut mailbox = Mailbox::new();
        for (side, base) in [(MailboxSide::Send, SEND), (MailboxSide::Receive, RECEIVE)] {
            let size = ENTRIES;
            mailbox.place(side, Some(MailboxPlace { size, base }));
        }
        Self {
            memory,
            file,
            mailbox,
        }
    }

    fn write(&self, at: u64, bytes: &[u8]) {
        self.file.write_all_at(bytes, at).unwrap();
    }

    fn read<const N: usize>(&self, at: u64) -> [u8; N] {
        let mut bytes = [0; N];
        self.file.read_exact_at(&mut bytes, at).unwrap();
        bytes
    }

    fn put(&self, ring: u64, slot: u16, words: [u16; 4], cookies: [u32; 2], address: u64) {
        let mut bytes = Vec::new();
        words
            .iter()
            .for_each(|word| bytes.extend(word.to_le_bytes()));
        for word in [
            cookies[0],
            cookies[1],
            0xaaaa_aaaa,
            0xbbbb_bbbb,
            (address >> 32) as u32,
            address as u32,
        ] {
            bytes.extend(word.to_le_bytes());
        }
        self.write(ring + 32 * u64::from(slot), &bytes);
    }

    /// Puts a message as drivers do: with a buffer, if it has bytes.
    fn send(&self, slot: u16, op: u32, bytes: &[u8]) {
        let at = BUFFERS + 0x1000 * u64::from(slot);
        self.write(at, bytes);
        let flags = if bytes.is_empty() { 0x2000 } else { 0x3400 };
        let words = [flags, 0x0801, bytes.len() as u16, 0];
        self.put(SEND, slot, words, [op, 0], at);
    }

    fn buffer(&self, slot: u16, room: u16) {
        let at = BUFFERS + 0x2_0000 + 0x1000 * u64::from(slot);
        self.put(RECEIVE, slot, [0x1200, 0, room, 0], [0, 0], at);
    }

    fn received(&self, slot: u16) -> ([u16; 4], [u32; 2], Vec<u8>) {
        let bytes: [u8; 32] = self.read(RECEIVE + 32 * u64::from(slot));
        let word = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        let long = |at: usize| u32::from(word(at + 2)) << 16 | u32::from(word(at));
        let buffer: [u8; 4096] = self.read(BUFFERS + 0x2_0000 + 0x1000 * u64::from(slot));
        let len = usize::from(word(4));
        (
            [word(0), word(2), word(4), word(6)],
            [long(8), long(12)],
            buffer[..len].to_vec(),
        )
    }

    fn take(&mut self, tail: u16) -> Result<Option<MailboxMessage>, MailboxError> {
        self.mailbox.take(&self.memory.load(), tail)
    }

    fn post(&mut self, tail: u16, op: u32) -> Result<bool, MailboxError> {
        let message = reply(op);
        self.mailbox.post(&self.memory.load(), tail, &message)
    }

    fn head(&self, side: MailboxSide) -> u16 {
        self.mailbox.head(side)
    }
}

fn reply(op: u32) -> MailboxReply {
    MailboxReply {
        opcode: op,
        status: -5,
        bytes: vec![op as u8; 16],
    }
}

#[test]
fn messages_are_taken_in_order_and_completed() {
    let mut d = Driver::new();
    for slot in 0..6u16 {
        d.send(
            slot,
            100 + u32::from(slot),
            &vec![slot as u8; 7 * slot as usize],
        );
    }
    for slot in 0..6u16 {
        let message = d.take(6).unwrap().unwrap();
        assert_eq!(message.opcode, 100 + u32::from(slot));
        assert_eq!(message.bytes, vec![slot as u8; 7 * slot as usize]);
        assert_eq!(d.head(MailboxSide::Send), slot + 1);
        let at = SEND + 32 * u64::from(slot);
        let [flags, _, retval] = [0, 4, 6].map(|n| u16::from_le_bytes(d.read(at + n)));
        assert_eq!((flags & 7, retval), (3, 0), "DD, CMP");
        assert_eq!(d.read::<4>(at + 16), [0xaa; 4], "the rest stays");
    }
    assert_eq!(d.take(6).unwrap(), None);
}

#[test]
fn a_ring_turns() {
    let mut d = Driver::new();
    let mut tail = 0;
    for n in 0..100u32 {
        d.send(tail, n, b"turn");
        tail = (tail + 1) % ENTRIES;
        assert_eq!(d.take(tail).unwrap().unwrap().opcode, n);
        assert_eq!(d.head(MailboxSide::Send), tail);
    }
}

#[test]
fn a_farewell_and_what_is_no_message_are_completed() {
    let mut d = Driver::new();
    d.put(SEND, 0, [0x2000, 0x0003, 0, 0], [0, 0], 0);
    d.put(SEND, 1, [0x2000, 0x0801 + 7, 0, 0], [3, 0], 0);
    d.put(SEND, 2, [0x3400, 0x0801, 4097, 0], [3, 0], BUFFERS);
    d.put(SEND, 3, [0x3400, 0x0801, 8, 0], [3, 0], RAM - 4);
    d.put(SEND, 4, [0x3400, 0x0801, 8, 0], [3, 0], u64::MAX - 3);
    d.send(5, 1, b"at last!");
    assert_eq!(d.take(6).unwrap().unwrap().bytes, b"at last!");
    let outcomes = [0u64, 1, 2, 3, 4]
        .map(|n| [0, 6].map(|at| u16::from_le_bytes(d.read(SEND + 32 * n + at))))
        .map(|[flags, retval]| (flags & 7, retval));
    assert_eq!(outcomes, [(3, 0), (7, 14), (7, 14), (7, 20), (7, 20)]);
}

#[test]
fn the_longest_message_is_copied_whole() {
    let mut d = Driver::new();
    let bytes: Vec<u8> = (0..4096).map(|n| n as u8).collect();
    d.send(0, 6, &bytes);
    assert_eq!(d.take(1).unwrap().unwrap().bytes, bytes);
}

#[test]
fn a_tail_beyond_the_ring_is_an_error_on_either_side() {
    let mut d = Driver::new();
    for tail in [ENTRIES, ENTRIES + 1, 0x3ff, u16::MAX] {
        let size = ENTRIES;
        let side = MailboxSide::Send;
        assert_eq!(d.take(tail), Err(MailboxError::Tail { side, tail, size }));
        let side = MailboxSide::Receive;
        assert_eq!(
            d.post(tail, 1),
            Err(MailboxError::Tail { side, tail, size })
        );
    }
    assert!(d.mailbox.waits());
}

#[test]
fn a_queue_in_memory_that_is_away_goes_on_when_it_is_back() {
    let mut d = Driver::new();
    d.send(0, 1, b"version!");
    d.buffer(0, 4096);
    let regions = Regions::default();
    let error = d.mailbox.take(&regions, 1).unwrap_err();
    assert!(
        matches!(error, MailboxError::Away { index: 0, .. }),
        "{error}"
    );
    let error = d.mailbox.post(&regions, 1, &reply(17)).unwrap_err();
    assert!(matches!(error, MailboxError::Away { .. }), "{error}");
    assert_eq!(d.take(1).unwrap().unwrap().bytes, b"version!");
    let regions = d.memory.load();
    assert_eq!(d.mailbox.flush(&regions, 1), Ok(true));
    assert_eq!(d.received(0).1[0], 17);
}

#[test]
fn a_reply_fills_descriptor_and_buffer() {
    let mut d = Driver::new();
    d.buffer(0, 4096);
    assert_eq!(d.post(1, 3), Ok(true));
    let (words, cookies, bytes) = d.received(0);
    assert_eq!(words, [0x1003, 0x0802, 16, 0], "DD, CMP, BUF");
    assert_eq!(cookies, [3, -5i32 as u32]);
    assert_eq!(bytes, [3; 16]);
    assert_eq!(d.head(MailboxSide::Receive), 1);
    let address: [u8; 8] = d.read(RECEIVE + 24);
    assert_eq!(address[4..], ((BUFFERS + 0x2_0000) as u32).to_le_bytes());
    assert_eq!(d.read::<8>(RECEIVE + 16), [0; 8], "parameters");
}

#[test]
fn a_reply_without_bytes_has_no_buffer_and_a_long_one_a_large_one() {
    let mut d = Driver::new();
    d.buffer(0, 4096);
    d.buffer(1, 4096);
    for bytes in [vec![], vec![9; 5000]] {
        let message = MailboxReply {
            opcode: 8,
            status: 0,
            bytes,
        };
        assert_eq!(d.mailbox.post(&d.memory.load(), 2, &message), Ok(true));
    }
    assert_eq!(d.received(0).0, [3, 0x0802, 0, 0]);
    assert_eq!(d.received(1).0, [0x1203, 0x0802, 4096, 0], "cut off");
}

#[test]
fn messages_wait_for_buffers_up_to_a_limit() {
    let mut d = Driver::new();
    for op in 0..20 {
        assert_eq!(d.post(0, op), Ok(false));
    }
    assert_eq!(d.mailbox.lost(), 4);
    (0..31).for_each(|slot| d.buffer(slot, 64));
    assert_eq!(d.mailbox.flush(&d.memory.load(), 31), Ok(true));
    assert_eq!(d.head(MailboxSide::Receive), 16);
    let ops = (0..16).map(|slot| d.received(slot).1[0]);
    assert!(ops.eq(0..16), "in order, the oldest first");
    assert_eq!(d.mailbox.flush(&d.memory.load(), 31), Ok(false));
}

#[test]
fn a_buffer_that_does_not_do_is_given_back_with_an_error() {
    let mut d = Driver::new();
    d.buffer(0, 15);
    d.put(RECEIVE, 1, [0, 0, 4096, 0], [0, 0], BUFFERS);
    d.put(RECEIVE, 2, [0x1000, 0, 4096, 0], [0, 0], RAM);
    d.buffer(3, 16);
    for op in 1..=4 {
        assert_eq!(d.post(4, op), Ok(true));
    }
    let words = [0, 1, 2, 3].map(|slot| {
        let [flags, _, len, retval] = d.received(slot).0;
        (flags & 7, len, retval)
    });
    assert_eq!(words, [(7, 0, 22), (7, 0, 22), (7, 0, 20), (3, 16, 0)]);
    assert_eq!(d.mailbox.lost(), 3);
}

#[test]
fn a_queue_keeps_its_head_wherever_it_is() {
    let mut d = Driver::new();
    d.send(0, 2, b"");
    d.buffer(0, 64);
    d.take(1).unwrap().unwrap();
    assert_eq!(d.post(1, 17), Ok(true));
    for side in [MailboxSide::Send, MailboxSide::Receive] {
        d.mailbox.place(side, None);
        assert_eq!(d.head(side), 1);
    }
    assert_eq!(d.take(5), Ok(None));
    assert_eq!(d.post(5, 17), Ok(false));
    assert!(!d.mailbox.waits(), "nobody is there to get it");
    let nothing = MailboxPlace { size: 0, base: 0 };
    d.mailbox.place_send(Some(nothing));
    assert_eq!((d.take(0), d.head(MailboxSide::Send)), (Ok(None), 1));
    let place = MailboxPlace {
        size: 4,
        base: SEND,
    };
    d.mailbox.place_send(Some(place));
    d.mailbox.place_receive(Some(place));
    assert_eq!(d.head(MailboxSide::Send), 1);
    assert_eq!(d.head(MailboxSide::Receive), 1);
    d.mailbox.set_head(MailboxSide::Send, 3);
    d.mailbox.set_head(MailboxSide::Receive, 4);
    let heads = [MailboxSide::Send, MailboxSide::Receive].map(|side| d.head(side));
    assert_eq!(heads, [3, 0], "beyond the queue");
    d.mailbox
        .place_send(Some(MailboxPlace { size: 3, ..place }));
    assert_eq!(d.head(MailboxSide::Send), 0, "of a smaller one");
}

#[test]
fn what_waits_is_forgotten_with_its_queue() {
    let mut d = Driver::new();
    assert_eq!(d.post(0, 17), Ok(false));
    let place = MailboxPlace {
        size: ENTRIES,
        base: RECEIVE,
    };
    d.mailbox.place_receive(Some(place));
    d.buffer(0, 64);
    assert_eq!(d.mailbox.flush(&d.memory.load(), 1), Ok(false));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn whatever_lies_in_memory_every_call_ends_and_is_bounded(
        image in proptest::collection::vec(any::<u8>(), 64 * 32),
        sizes in (1u16..70, 1u16..70),
        bases in (0u64..RAM + 64, prop_oneof![0u64..RAM, any::<u64>()]),
        calls in proptest::collection::vec((0u8..5, any::<u16>()), 0..40),
    ) {
        let mut d = Driver::new();
        d.write(SEND, &image);
        d.write(RECEIVE, &image);
        let base = |n: u64, at| if n.is_multiple_of(3) { n } else { at };
        d.mailbox.place_send(Some(MailboxPlace { size: sizes.0, base: base(bases.0, SEND) }));
        d.mailbox.place_receive(Some(MailboxPlace { size: sizes.1, base: base(bases.1, RECEIVE) }));
        for (what, tail) in calls {
            let tail = if what < 2 { tail % sizes.0.max(sizes.1) } else { tail };
            if what == 4 {
                d.mailbox.set_head(MailboxSide::Send, tail);
                d.mailbox.set_head(MailboxSide::Receive, tail);
                continue;
            }
            if what % 2 == 0 {
                if let Ok(Some(message)) = d.take(tail) {
                    prop_assert!(message.bytes.len() <= MAX_MAILBOX_MESSAGE);
                }
            } else {
                let _ = d.post(tail, 17);
            }
            prop_assert!(d.mailbox.backlog.len() <= MAILBOX_BACKLOG);
            prop_assert!(d.head(MailboxSide::Send) < sizes.0);
            prop_assert!(d.head(MailboxSide::Receive) < sizes.1);
        }
    }
}
