//! Descriptors and messages as words, field by field.

use proptest::prelude::*;

use crate::fakevm::avf::desc::{
    Lengths, Written, cmd, context_words, data_word, error, ptype, size_bits,
};
use crate::fakevm::avf::flex;
use crate::fakevm::avf::mailbox::Descriptor;

/// Bits `from..=to` of a word.
fn bits(word: u64, from: u32, to: u32) -> u64 {
    word >> from & (u64::MAX >> (63 - (to - from)))
}

proptest! {
    #[test]
    fn data_descriptors_hold_what_is_said(
        command in 0_u64..0x400,
        mac in 0_u16..128,
        ip in 0_u16..128,
        l4 in 0_u16..16,
        size in 1_usize..=16383,
        tag: u16,
    ) {
        let lengths = Lengths { mac: mac * 2, ip: ip * 4, l4: l4 * 4 };
        let word = data_word(command, lengths, tag) | size_bits(size);
        prop_assert_eq!(bits(word, 0, 3), 0);
        prop_assert_eq!(bits(word, 4, 13), command);
        prop_assert_eq!(bits(word, 16, 22), u64::from(mac));
        prop_assert_eq!(bits(word, 23, 29), u64::from(ip));
        prop_assert_eq!(bits(word, 30, 33), u64::from(l4));
        prop_assert_eq!(bits(word, 34, 47), size as u64);
        prop_assert_eq!(bits(word, 48, 63), u64::from(tag));
    }

    #[test]
    fn context_descriptors_hold_what_is_said(
        command in 0_u64..8,
        tag: u16,
        payload in 0_u32..1 << 18,
        mss in 0_u16..1 << 14,
    ) {
        let [first, second] = context_words(command, tag, payload, mss);
        prop_assert_eq!(bits(first, 0, 31), 0);
        prop_assert_eq!(bits(first, 32, 47), u64::from(tag));
        prop_assert_eq!(bits(second, 0, 3), 1);
        prop_assert_eq!(bits(second, 4, 19), command);
        prop_assert_eq!(bits(second, 30, 47), u64::from(payload));
        prop_assert_eq!(bits(second, 50, 63), u64::from(mss));
    }

    #[test]
    fn written_descriptors_are_read_bit_by_bit(word: u64) {
        let written = Written(word);
        prop_assert_eq!(written.is_done(), bits(word, 0, 0) == 1);
        prop_assert_eq!(written.is_last(), bits(word, 1, 1) == 1);
        prop_assert_eq!(written.has_tag(), bits(word, 2, 2) == 1);
        prop_assert_eq!(written.is_checked(), bits(word, 3, 3) == 1);
        prop_assert_eq!(written.has_hash(), bits(word, 12, 13) == 3);
        prop_assert_eq!(written.has_extensions(), bits(word, 15, 15) == 1);
        prop_assert_eq!(u64::from(written.errors()), bits(word, 19, 26));
        prop_assert_eq!(u64::from(written.ptype()), bits(word, 30, 37));
        prop_assert_eq!(written.len() as u64, bits(word, 38, 51));
    }

    #[test]
    fn flexible_descriptors_are_read_bit_by_bit(first: u64, second: u64) {
        let first = first & !0xff | 2;
        let told = flex::written(first, second, 0);
        if bits(first, 16, 25) > 0xff {
            prop_assert!(told.is_err());
            return Ok(());
        }
        let told = told.unwrap();
        prop_assert_eq!(u64::from(told.ptype()), bits(first, 16, 25));
        prop_assert_eq!(told.len() as u64, bits(first, 32, 45));
        prop_assert_eq!(told.is_done(), bits(second, 0, 0) == 1);
        prop_assert_eq!(told.is_last(), bits(second, 1, 1) == 1);
        prop_assert_eq!(told.is_checked(), bits(second, 3, 3) == 1);
        prop_assert_eq!(told.has_extensions(), bits(second, 9, 9) == 1);
        prop_assert_eq!(told.has_hash(), bits(second, 12, 12) == 1);
        prop_assert_eq!(told.has_tag(), bits(second, 13, 13) == 1);
        for (bit, error) in [(4, error::IPE), (5, error::L4E), (6, error::EIPE), (10, error::RXE)] {
            prop_assert_eq!(told.errors() & error != 0, bits(second, bit, bit) == 1);
        }
        prop_assert!(flex::written(first, second, 1).is_err());
        prop_assert!(flex::written(first ^ 3, second, 0).is_err(), "of another format");
    }

    #[test]
    fn messages_survive_their_descriptor(bytes: [u8; 32]) {
        prop_assert_eq!(Descriptor::decode(&bytes).encode(), bytes);
    }
}

#[test]
fn descriptors_of_the_mailbox_lie_as_the_hardware_has_them() {
    let mut descriptor = Descriptor::message(7, 513);
    descriptor.address = 0x1122_3344_5566_7788;
    let bytes = descriptor.encode();
    assert_eq!(bytes[..8], [0x00, 0x36, 0x01, 0x08, 0x01, 0x02, 0, 0]);
    assert_eq!(bytes[8..16], [7, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(
        bytes[24..],
        [0x44, 0x33, 0x22, 0x11, 0x88, 0x77, 0x66, 0x55],
        "the upper half comes first"
    );
    assert_eq!(Descriptor::message(7, 512).flags, 0x3400);
    assert_eq!(Descriptor::message(7, 0).flags, 0x2000);
}

#[test]
fn constants_are_those_of_the_hardware() {
    assert_eq!(cmd::L4T_UDP, 0x300);
    assert_eq!(error::L4E, 0x10);
    assert!(ptype::has_l4(ptype::V4_TCP) && !ptype::has_l4(ptype::V4_ICMP));
}
